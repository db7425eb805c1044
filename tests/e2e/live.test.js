'use strict'
// Streams: old then live, no gap, no duplicate, resumable; slow readers cost nothing.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const net = require('node:net')
const WebSocket = require('ws')
const { Server, folder, generate, importLines, until } = require('../support/sluice')

const lines = generate(400, '--seed', '13', '--authors', '10')
const records = lines.map((line) => JSON.parse(line))
const keys = records.map((r) => r.key)
const OLD = 250

// A server with the first OLD records in its log; the rest is for the test to append.
async function started(t, ...args) {
  return Server.start(t, ['--data', importLines(t, lines.slice(0, OLD)), ...args])
}

async function append(server, from, to) {
  for (let i = from; i < to; i += 25) {
    const body = records.slice(i, Math.min(i + 25, to)).map((r) => JSON.stringify(r.value)).join('\n')
    const res = await server.post('/log', body, { 'Content-Type': 'application/x-ndjson' })
    assert.strictEqual(res.status, 201, res.text)
  }
}

// A WebSocket client that keeps every frame.
function connect(t, server, target, headers = {}) {
  const socket = new WebSocket(server.ws + target, { headers })
  const client = { socket, frames: [], closed: null }
  client.opened = new Promise((resolve, reject) => { socket.on('open', resolve); socket.on('error', reject) })
  socket.on('message', (data, binary) => { assert.ok(!binary); client.frames.push(JSON.parse(data)) })
  socket.on('close', (code) => { client.closed = code })
  client.records = (id) => client.frames.filter((f) => f.key && f.id === id)
  client.until = (check, what) => until(() => check(client), () => `${what}; ${client.frames.length} frames, the last ${JSON.stringify(client.frames.at(-1)).slice(0, 300)}`)
  client.send = (object) => socket.send(JSON.stringify(object))
  t.after(() => socket.terminate())
  return client
}

test('WebSocket: old, then sync, then live, once each and in order', async (t) => {
  const server = await started(t)
  const client = connect(t, server, '/live')
  await client.until((c) => c.frames.some((f) => f.sync), 'sync')
  assert.deepStrictEqual(client.frames.slice(0, OLD).map((f) => f.key), keys.slice(0, OLD))
  assert.deepStrictEqual(client.frames[OLD], { sync: true, since: client.frames[OLD - 1].seq })
  await append(server, OLD, 400)
  await client.until((c) => c.records().length >= 400, 'live records')
  assert.deepStrictEqual(client.records().map((f) => f.key), keys)
})

test('WebSocket: a reader that reconnects with its last seq misses and repeats nothing while others append', async (t) => {
  const server = await started(t)
  const got = []
  const writing = append(server, OLD, 400)
  while (got.length < 400) {
    const client = connect(t, server, '/live?gt=' + (got.length ? got.at(-1).seq : -1))
    const want = Math.min(400, got.length + 37)
    await client.until((c) => c.records().length + got.length >= want, 'some records')
    got.push(...client.records())
    client.socket.terminate()
  }
  await writing
  assert.deepStrictEqual(got.map((f) => f.key), keys)
})

test('WebSocket: only what comes from now on', async (t) => {
  const server = await started(t)
  const client = connect(t, server, '/live?old=false')
  await client.until((c) => c.frames.length >= 1, 'sync')
  assert.strictEqual(client.frames[0].sync, true)
  await append(server, OLD, 300)
  await client.until((c) => c.records().length >= 50, 'live records')
  assert.deepStrictEqual(client.records().map((f) => f.key), keys.slice(OLD, 300))
})

test('WebSocket: several subscriptions on one socket, each with its own filter and cursor', async (t) => {
  const server = await started(t)
  const author = records[0].value.author
  const client = connect(t, server, '/live?subscribe=false')
  await client.opened
  client.send({ op: 'sub', id: 'votes', type: 'vote' })
  client.send({ op: 'sub', id: 'one', author, gt: -1 })
  client.send({ op: 'sub', id: 'page', live: false, reverse: true, limit: 5 })
  await client.until((c) => ['votes', 'one'].every((id) => c.frames.some((f) => f.sync && f.id === id)), 'both syncs')
  await client.until((c) => c.frames.some((f) => f.id === 'page' && f.closed), 'the end of the page')
  await append(server, OLD, 400)
  const votes = records.filter((r) => r.value.content.type === 'vote').map((r) => r.key)
  const own = records.filter((r) => r.value.author === author).map((r) => r.key)
  await client.until((c) => c.records('votes').length >= votes.length && c.records('one').length >= own.length, 'live records')
  assert.deepStrictEqual(client.records('votes').map((f) => f.key), votes)
  assert.deepStrictEqual(client.records('one').map((f) => f.key), own)
  assert.deepStrictEqual(client.records('page').map((f) => f.key), keys.slice(OLD - 5, OLD).reverse())
  client.send({ op: 'unsub', id: 'votes' })
  await client.until((c) => c.frames.some((f) => f.id === 'votes' && f.closed), 'the answer to unsub')
  assert.strictEqual(client.records(undefined).length, 0)
})

test('WebSocket: mistakes are answered and harm nobody', async (t) => {
  const server = await started(t)
  const client = connect(t, server, '/live?subscribe=false')
  await client.opened
  for (const text of ['not json', '{}', '{"op":"sub"}', '{"op":"sub","id":"a","author":"x"}', '{"op":"sub","id":"b","what":1}',
    '{"op":"unsub","id":"none"}', '{"op":"fly","id":"c"}', '{"op":"sub","id":"' + 'x'.repeat(100) + '"}', '[1]']) client.socket.send(text)
  await client.until((c) => c.frames.filter((f) => f.error).length >= 9, 'nine errors')
  for (const frame of client.frames) assert.ok(frame.error.type && frame.error.detail, JSON.stringify(frame))
  client.send({ op: 'sub', id: 'a', limit: 3 })
  await client.until((c) => c.records('a').length === 3, 'records')
  const bad = connect(t, server, '/live?nonsense=1')
  await bad.until((c) => c.closed !== null, 'the close')
  assert.strictEqual(bad.closed, 1008)
  assert.ok(bad.frames[0].error)
})

test('WebSocket: over the limits: subscriptions are refused, a large message closes with 1009, a binary one with 1003', async (t) => {
  const server = await started(t, '--subscriptions-max', '5', '--frame-max', '2048')
  const client = connect(t, server, '/live?subscribe=false')
  await client.opened
  for (let i = 0; i < 6; i++) client.send({ op: 'sub', id: 's' + i, old: false })
  await client.until((c) => c.frames.some((f) => f.error), 'the refusal')
  assert.strictEqual(client.frames.find((f) => f.error).id, 's5')
  assert.strictEqual(client.frames.filter((f) => f.sync).length, 5)
  client.socket.send('"' + 'x'.repeat(4000) + '"')
  await client.until((c) => c.closed !== null, 'the close')
  assert.strictEqual(client.closed, 1009)
  const binary = connect(t, server, '/live?subscribe=false')
  await binary.opened
  binary.socket.send(Buffer.from([1, 2, 3]))
  await binary.until((c) => c.closed !== null, 'the close')
  assert.strictEqual(binary.closed, 1003)
})

test('NDJSON: live with a filter, from the beginning', async (t) => {
  const server = await started(t)
  const stream = await server.lines('/log?live=true&type=post')
  const posts = records.filter((r) => r.value.content.type === 'post').map((r) => r.key)
  await append(server, OLD, 400)
  await stream.until((s) => s.lines.length >= posts.length, 'all posts')
  assert.deepStrictEqual(stream.lines.map((line) => JSON.parse(line).key), posts)
  stream.close()
})

test('SSE: ids are seqs and Last-Event-ID resumes', async (t) => {
  const server = await started(t)
  const accept = { Accept: 'text/event-stream' }
  const first = await server.lines('/log?live=true', accept)
  assert.match(first.headers['content-type'], /^text\/event-stream/)
  const data = (s) => s.lines.filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)))
  await first.until((s) => data(s).length >= OLD, 'old records')
  first.close()
  const events = data(first)
  const ids = first.lines.filter((line) => line.startsWith('id: ')).map((line) => Number(line.slice(4)))
  assert.deepStrictEqual(ids, events.map((e) => e.seq))
  const second = await server.lines('/log?live=true', { ...accept, 'Last-Event-ID': String(events[99].seq) })
  await append(server, OLD, 400)
  await second.until((s) => data(s).length >= 300, 'the rest')
  assert.deepStrictEqual(data(second).map((e) => e.key), keys.slice(100))
  second.close()
})

test('live rows of a feed and of links', async (t) => {
  const server = await started(t)
  const author = records[0].value.author
  const feed = await server.lines(`/feeds/${author}?live=true`)
  const target = records.slice(OLD).find((r) => r.value.content.type === 'vote').value.content.vote.link
  const links = await server.lines(`/links?live=true&rel=vote&dest=${target}`)
  await append(server, OLD, 400)
  const own = records.filter((r) => r.value.author === author).map((r) => r.key)
  const votes = records.filter((r) => r.value.content.type === 'vote' && r.value.content.vote.link === target).map((r) => r.key)
  await feed.until((s) => s.lines.length >= own.length, 'the feed')
  await links.until((s) => s.lines.length >= votes.length, 'the links')
  assert.deepStrictEqual(feed.lines.map((line) => JSON.parse(line).key), own)
  assert.deepStrictEqual(links.lines.map((line) => JSON.parse(line).key), votes)
  feed.close()
  links.close()
})

test('a reader that stops reading costs a bounded amount, and catches up from its place', async (t) => {
  const big = generate(20000, '--seed', '17', '--authors', '10')
  const server = await Server.start(t, ['--data', importLines(t, big)])
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1])
  await server.get('/types')
  const before = rss()
  const sockets = Array.from({ length: 20 }, () => {
    const socket = net.connect(server.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
    socket.pause()
    t.after(() => socket.destroy())
    return socket
  })
  // a healthy client gets everything meanwhile
  const client = connect(t, server, '/live')
  await client.until((c) => c.records().length >= big.length, 'all records')
  const client2 = await server.lines('/log?type=vote')
  await client2.until((s) => s.ended, 'the end of the stream')
  const grown = rss() - before
  // 20 stuck clients and a log of 16 MB: what is mapped of the log counts once, each client a few hundred KiB at most
  assert.ok(grown < 120 * 1024, `memory grew by ${grown} KiB`)
  // a stuck one that wakes up gets the rest
  let bytes = 0
  sockets[0].on('data', (data) => { bytes += data.length })
  sockets[0].resume()
  const size = big.reduce((sum, line) => sum + line.length, 0)
  await until(() => bytes > size, () => `the rest: ${bytes} of ${size} bytes`)
})
