'use strict'
// Behind clients that go in odd ways nothing is left: no connection, no descriptor, and no thread that finds something to do again and again.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const { Server, generate, importLines, until } = require('../support/sluice')
const { Raw, frame } = require('../support/raw')

const CLIENTS = 20
const GET = (target) => `GET ${target} HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n`
const POST = (target) => `POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n`
const LIVE = (target) => `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${crypto.randomBytes(16).toString('base64')}\r\n\r\n`
const CLOSE = frame(8, Buffer.from([3, 232]))
const lists = Array.from({ length: 10 }, (_, i) => frame(1, JSON.stringify({ op: 'sub', id: 'a' + i, list: '/threads' })))

const end = (raw, bytes) => new Promise((resolve) => raw.socket.end(bytes, resolve))
const reset = async (raw) => { raw.socket.resetAndDestroy() }

// What a client says first, whether it reads what it is given, and what it does then, all of them in the same moment.
const ways = {
  'an end between requests': [GET('/healthz'), true, (raw) => end(raw)],
  'a reset between requests': [GET('/healthz'), true, reset],
  'a reset while a stream is given': [GET('/log'), false, reset],
  'an end while a stream is given': [GET('/log'), false, (raw) => end(raw)],
  'more bytes while a stream is given': [GET('/log?live=true'), false, (raw) => raw.send('x'.repeat(50000))],
  'an end of a body that was asked for': [POST('/log') + 'Expect: 100-continue\r\n\r\n', true, (raw) => end(raw)],
  'a reset within a blob': [POST('/blobs') + '\r\nhello', false, reset],
  'an end without a close frame': [LIVE('/live'), true, (raw) => end(raw)],
  'an end within a frame': [LIVE('/live'), true, (raw) => end(raw, lists[0].subarray(0, 9))],
  'an end behind many subscriptions': [LIVE('/live?subscribe=false'), true, (raw) => end(raw, Buffer.concat(lists))],
  'a reset of a client that reads nothing': [LIVE('/live?gt=-1'), false, reset],
  'a close frame of a client that reads nothing, and its end': [LIVE('/live?gt=-1'), false, (raw) => end(raw, CLOSE)],
  'frames without sense of a client that reads nothing': [LIVE('/live?gt=-1'), false, (raw) => raw.send(Buffer.from([0xff, 0xff, 1, 2, 3]))],
  'more bytes behind a close frame': [LIVE('/live'), true, (raw) => raw.send(Buffer.concat([CLOSE, crypto.randomBytes(3000)]))]
}

async function clients(t, server, first, reads) {
  const raws = await Promise.all(Array.from({ length: CLIENTS }, () => Raw.connect({ port: server.port })))
  for (const raw of raws) {
    t.after(() => raw.close())
    if (!reads) raw.socket.pause()
    await raw.send(first)
  }
  if (reads) for (const raw of raws) await raw.until(() => raw.received().includes('\r\n\r\n'), 'an answer')
  return raws
}

const descriptors = (server) => fs.readdirSync(`/proc/${server.child.pid}/fd`).length

// The threads that are awake now; one that has ended since it was listed is not.
function awake(server) {
  const tasks = `/proc/${server.child.pid}/task`
  return fs.readdirSync(tasks).filter((id) => {
    try { return !/^.*\) S/s.test(fs.readFileSync(`${tasks}/${id}/stat`, 'latin1')) } catch { return false }
  })
}

// A thread that spins is awake each time that somebody looks.
async function asleep(server, what) {
  let seen = []
  for (let times = 0; times < 10; times = seen.length === 0 ? times + 1 : 0)
    await until(() => { seen = awake(server); return seen.length === 0 }, () => `quiet behind ${what}: ${seen.length} threads are awake`)
}

async function gone(server, what) {
  let text
  const count = (name) => Number(new RegExp(`^sluice_${name} (\\d+)$`, 'm').exec(text)[1])
  const counts = () => ['connections', 'http_streams', 'ws_clients', 'ws_subscriptions'].map(count)
  await until(async () => {
    text = (await server.request('/metrics')).text
    return counts().join() === '1,0,0,0' // who asks is one
  }, () => `nobody behind ${what}: ${counts()}`)
}

test('behind clients that go in odd ways nothing is left', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, generate(3000)), '--heartbeat', '1'])
  await gone(server, 'the start')
  const before = descriptors(server)
  for (const [what, [first, reads, act]] of Object.entries(ways)) {
    const raws = await clients(t, server, first, reads)
    process.kill(server.child.pid, 'SIGSTOP')
    try {
      await Promise.all(raws.map(act))
    } finally {
      process.kill(server.child.pid, 'SIGCONT')
    }
    await asleep(server, what)
    for (const raw of raws) raw.close()
    await gone(server, what)
    await asleep(server, what)
    await until(() => descriptors(server) <= before, () => `descriptors given back behind ${what}: ${descriptors(server)}, ${before} before`)
  }
  assert.deepStrictEqual(await server.stop(), { code: 0, signal: null })
})
