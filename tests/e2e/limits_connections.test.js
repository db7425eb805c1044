'use strict'
// The same of connections, time, streams and sockets.
const test = require('node:test')
const assert = require('node:assert')
const http = require('node:http')
const net = require('node:net')
const path = require('node:path')
const { records, NDJSON, OLD, started, isProblem, raw, HEAD, answered } = require('../support/limits_kit')
const { Server, folder, until } = require('../support/sluice')
const { connect } = require('../support/socket')

// ---- connections

const roomAgain = (t, server) => until(async () => {
  const again = raw(t, server, HEAD('/healthz'))
  await again.until((c) => c.ended || answered(c), 'an answer')
  again.socket.destroy()
  return answered(again)
}, 'room for another one')

test('connections-max: one connection more is turned away with the reason, and let in when another has gone', async (t) => {
  const server = await started(t, '--connections-max', '4')
  const open = Array.from({ length: 4 }, () => raw(t, server, HEAD('/healthz')))
  for (const client of open) await client.until(answered, 'the answer')
  const fifth = raw(t, server)
  await fifth.until((c) => c.ended, 'the end of the fifth')
  assert.match(fifth.text, /^HTTP\/1\.1 503 /)
  assert.match(fifth.text, /"detail":"[^"]*too many connections/)
  assert.strictEqual(await connect(t, server.ws + '/live').status === 101, false)
  open[0].socket.end()
  await roomAgain(t, server)
})

test('connections-per-address: another address is still let in', async (t) => {
  const server = await started(t, '--connections-per-address', '3')
  const open = Array.from({ length: 2 }, () => raw(t, server, HEAD('/healthz')))
  for (const client of open) await client.until(answered, 'the answer')
  const socket = connect(t, server.ws + '/live')
  assert.strictEqual(await socket.status, 101)
  const over = raw(t, server)
  await over.until((c) => c.ended, 'the end of the fourth')
  assert.match(over.text, /^HTTP\/1\.1 429 .*address/s)
  const other = raw(t, server, HEAD('/healthz'), { localAddress: '127.0.0.2' })
  await other.until(answered, 'the answer to another address')
  // a WebSocket gives its place back as well
  socket.socket.terminate()
  await roomAgain(t, server)
})

test('many connections that come and go leave nothing behind', async (t) => {
  const server = await started(t, '--connections-max', '8')
  for (let i = 0; i < 60; i++) {
    const kind = i % 4
    if (kind === 0) {
      const client = connect(t, server.ws + '/live?old=false')
      if (await client.status === 101) await client.until((c) => c.synced(), 'sync') // or the places of those before are not free yet
      client.socket.terminate()
    } else {
      const client = raw(t, server, kind === 1 ? 'GET /lo' : HEAD(kind === 2 ? '/log?limit=1000' : '/healthz'))
      if (kind === 2) await client.until((c) => c.text.length > 0, 'some bytes')
      client.socket.destroy()
    }
  }
  const open = []
  await until(async () => {
    while (open.length < 8) {
      const client = raw(t, server, HEAD('/healthz'))
      await client.until((c) => c.ended || answered(c), 'an answer')
      if (!answered(client)) return false
      open.push(client)
    }
    return true
  }, () => `all eight places, there are ${open.length}`)
})

// ---- time

test('header-timeout: a head that does not come in time ends its connection with 408, a silent one ends too', async (t) => {
  const server = await started(t, '--header-timeout', '1')
  const slow = ['GET /log?limit=1 HT', 'GET /log HTTP/1.1\r\nHost: localhost\r\nX-Slow: ',
    'GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhl'].map((text) => raw(t, server, text))
  const silent = raw(t, server)
  // a byte now and then is no head either
  const dripping = raw(t, server, 'GET / HTTP/1.1\r\nHost: localhost\r\nX-Drip: ')
  const drip = setInterval(() => dripping.ended || dripping.socket.write('x'), 50)
  t.after(() => clearInterval(drip))
  const begun = raw(t, server, HEAD('/healthz'))
  for (const client of slow) {
    await client.until((c) => c.ended, 'the end')
    assert.match(client.text, /^HTTP\/1\.1 408 /)
    assert.ok(client.ms >= 900, `${client.ms} ms`)
  }
  await silent.until((c) => c.ended, 'the end of the silent one')
  await dripping.until((c) => c.ended, 'the end of the dripping one')
  assert.match(dripping.text, /^HTTP\/1\.1 408 /)
  // who asked in time stays
  await begun.until(answered, 'the answer')
  assert.ok(!begun.ended)
})

test('idle-timeout: a body that stops or drips is told 408; one that goes on slowly is taken', async (t) => {
  const server = await started(t, '--idle-timeout', '3', '--accept', 'any')
  const post = (fields) => `POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${fields}\r\n\r\n`
  const late = [post('Content-Length: 100') + '{', post('Content-Length: 100'), post('Transfer-Encoding: chunked') + '1\r\n{\r\n', post('Content-Length: 90000') + '{'].map((text) => raw(t, server, text))
  const slow = raw(t, server, post('Content-Length: 40000'))
  const dripping = late.at(-1)
  const drip = setInterval(() => dripping.ended || dripping.socket.write(' '), 50)
  let body = '"' + 'x'.repeat(39998) + '"'
  // for longer than the idle time, and more than a byte a millisecond
  const pour = setInterval(() => { slow.socket.write(body.slice(0, 1000)); if ((body = body.slice(1000)) === '') clearInterval(pour) }, 100)
  t.after(() => { clearInterval(drip); clearInterval(pour) })
  for (const client of late) {
    await client.until((c) => c.ended, 'the end')
    assert.match(client.text, /^HTTP\/1\.1 408 [^]*"\/problems\/timeout"/)
    assert.strictEqual(client.text.split('HTTP/1.1 ').length, 2)
    assert.ok(client.ms >= 2900, `${client.ms} ms`)
  }
  await slow.until((c) => c.text.startsWith('HTTP/1.1 201'), 'the answer to the slow one')
  assert.ok(Date.now() - slow.began > 3000)
  assert.strictEqual((await server.get('/log?limit=1000')).messages.length, OLD + 1)
})

test('idle-timeout: a connection without requests ends, one with a stream or a socket on it does not', async (t) => {
  const server = await started(t, '--idle-timeout', '1', '--heartbeat', '1')
  const stream = await server.lines('/log?live=true&gt=' + (await server.get('/log?reverse=true&limit=1')).messages[0].seq)
  const socket = connect(t, server.ws + '/live?old=false')
  await socket.until((c) => c.synced(), 'sync')
  const idle = raw(t, server, HEAD('/healthz'))
  await idle.until((c) => c.ended, 'the end')
  assert.ok(answered(idle))
  assert.ok(idle.ms >= 900, `${idle.ms} ms`)
  // a whole round of it more
  const second = raw(t, server, HEAD('/healthz'))
  await second.until((c) => c.ended, 'the end')
  assert.strictEqual(stream.ended, false)
  assert.strictEqual(socket.closed, null)
  assert.strictEqual((await server.post('/log', JSON.stringify(records[OLD].value))).status, 201)
  await stream.until((s) => s.lines.some((line) => line.includes(records[OLD].key)), 'the record on the stream')
  await socket.until((c) => c.records().length === 1, 'the record on the socket')
  stream.close()
})

test('wait-timeout: who waits for what does not come is told to try again', async (t) => {
  for (const [seconds, least] of [[0, 0], [1, 900]]) { // 10 without the option
    const server = await started(t, '--wait-timeout', String(seconds))
    for (const target of ['/types?after=999999999', '/log?type=post&after=999999999', `/feeds/${records[0].value.author}?after=999999999`]) {
      const began = Date.now()
      const res = await server.request(target)
      isProblem(res, 503, /not-ready/)
      assert.ok(Number(res.headers['retry-after']) > 0, target)
      const ms = Date.now() - began
      assert.ok(ms >= least && ms < 9500, `${target}: ${ms} ms`)
      if (seconds > 0) break
    }
    assert.strictEqual((await server.request('/types')).status, 200)
  }
})

test('heartbeat: a quiet stream shows signs of life that are no rows', async (t) => {
  const server = await started(t, '--heartbeat', '1')
  const head = (await server.get('/log?reverse=true&limit=1')).messages[0].seq
  const beats = { ndjson: '', sse: '' }
  for (const [name, accept] of [['ndjson', 'application/x-ndjson'], ['sse', 'text/event-stream']]) {
    const req = http.get({ port: server.port, host: '127.0.0.1', path: '/log?live=true&gt=' + head, headers: { Accept: accept }, agent: false },
      (res) => res.setEncoding('utf8').on('data', (data) => { beats[name] += data }).on('error', () => {}))
    req.on('error', () => {})
    t.after(() => req.destroy())
  }
  await until(() => beats.ndjson !== '' && beats.sse.includes('\n:'), () => `signs of life: ${JSON.stringify(beats)}`)
  assert.match(beats.ndjson, /^\n+$/)
  assert.match(beats.sse, /^(:[^\n]*\n+|retry: \d+\n+)+$/)
})

test('heartbeat: a quiet socket is pinged', async (t) => {
  const server = await started(t, '--heartbeat', '1')
  const client = connect(t, server.ws + '/live?old=false')
  let pings = 0
  client.socket.on('ping', () => pings++)
  await until(() => pings > 1, () => `pings, there are ${pings}`)
  assert.strictEqual(client.frames.length, 1)
  assert.strictEqual(client.closed, null)
})

// ---- streams and sockets

test('streams-max: a live stream more is 503; pages are still answered; a place that is free again is given', async (t) => {
  const server = await started(t, '--streams-max', '3', '--heartbeat', '1')
  const open = []
  for (let i = 0; i < 3; i++) open.push(await server.lines('/log?live=true&type=none', i % 2 ? NDJSON : { Accept: 'text/event-stream' }))
  for (const stream of open) assert.strictEqual(stream.status, 200)
  isProblem(await server.request('/log?live=true', { headers: NDJSON }), 503, /overloaded/)
  assert.strictEqual((await server.request('/log?limit=3', { headers: NDJSON })).text.trimEnd().split('\n').length, 3)
  open[1].close()
  await until(async () => {
    const stream = await server.lines('/log?live=true&type=none')
    stream.close()
    return stream.status === 200
  }, 'room for another stream')
})

test('sockets-max: a WebSocket more is 503, and let in when another has gone', async (t) => {
  const server = await started(t, '--sockets-max', '3')
  const open = Array.from({ length: 3 }, () => connect(t, server.ws + '/live?old=false'))
  for (const client of open) assert.strictEqual(await client.status, 101)
  assert.strictEqual(await connect(t, server.ws + '/live').status, 503)
  assert.strictEqual((await server.request('/healthz')).status, 200)
  open[1].socket.close()
  await until(async () => {
    const client = connect(t, server.ws + '/live')
    const status = await client.status
    client.socket.terminate()
    return status === 101
  }, 'room for another socket')
})

test('frame-max: a message at the limit is read, also in pieces; one byte more closes with 1009', async (t) => {
  const server = await started(t, '--frame-max', '2048')
  const op = (n) => {
    const text = '{"op":"sub","id":"a","limit":1,"live":false}'
    return text + ' '.repeat(n - text.length)
  }
  for (const pieces of [false, true]) {
    const send = (client, text) => {
      if (!pieces) return client.socket.send(text)
      client.socket.send(text.slice(0, 1000), { fin: false })
      client.socket.send(text.slice(1000, 1500), { fin: false })
      client.socket.send(text.slice(1500), { fin: true })
    }
    const client = connect(t, server.ws + '/live?subscribe=false')
    await client.opened
    send(client, op(2048))
    await client.until((c) => c.records('a').length === 1, 'the record')
    assert.strictEqual(client.closed, null)
    send(client, op(2049))
    await client.until((c) => c.closed !== null, 'the close')
    assert.strictEqual(client.closed, 1009)
  }
})

test('subscriptions-max: a place that is free again is given', async (t) => {
  const server = await started(t, '--subscriptions-max', '3')
  const client = connect(t, server.ws + '/live')
  await client.until((c) => c.synced(), 'sync')
  for (const id of ['a', 'b', 'c']) client.send({ op: 'sub', id, old: false })
  await client.until((c) => c.frames.some((f) => f.error), 'the refusal')
  assert.strictEqual(client.frames.find((f) => f.error).id, 'c')
  client.send({ op: 'unsub', id: 'a' })
  client.send({ op: 'sub', id: 'd', old: false })
  await client.until((c) => c.frames.some((f) => f.id === 'd' && f.sync), 'the place of the one that went')
  // one that is over gives its place back by itself
  client.send({ op: 'unsub', id: 'b' })
  for (let i = 0; i < 5; i++) {
    client.send({ op: 'sub', id: 'page' + i, limit: 1, live: false })
    await client.until((c) => c.frames.some((f) => f.id === 'page' + i && f.closed), `the end of page ${i}`)
  }
  assert.strictEqual(client.frames.filter((f) => f.error).length, 1)
})

test('a client that asks and asks and never reads is closed, and costs nothing but its place', async (t) => {
  const server = await started(t)
  const client = connect(t, server.ws + '/live?subscribe=false')
  await client.opened
  const net = client.socket._socket
  client.socket.pause() // the socket's own pause() is undone when its reader has drained
  // the kernel may hold tens of MiB each way: as many as cannot fit in there
  const most = 2000000, op = '{"op":"unsub","id":"nobody"}' + ' '.repeat(100)
  let sent = 0
  while (sent < most && client.failed === null && net.writable) {
    client.socket.send(op)
    if (++sent % 1000 === 0) {
      await new Promise((resolve) => setImmediate(resolve))
      // the server has stopped reading from it: as good as closed
      if (client.socket.bufferedAmount > 1 << 20) break
    }
  }
  assert.ok(sent < most, 'the server took everything without a word')
  client.socket.resume()
  await client.until((c) => c.closed !== null || c.frames.length >= sent, 'the close, or all answers', 60000)
  assert.strictEqual((await server.request('/healthz')).status, 200)
})

test('stall-timeout: a client that takes nothing for so long is sent away with 1013, one that reads slowly is not', async (t) => {
  const text = JSON.stringify('x'.repeat(200000))
  const server = await Server.start(t, ['--data', folder(t), '--accept', 'any', '--stall-timeout', '1', '--heartbeat', '60'])
  for (let i = 0; i < 60; i++) assert.strictEqual((await server.post('/log', text)).status, 201)
  const slow = connect(t, server.ws + '/live')
  await slow.opened
  const pump = setInterval(() => { slow.socket._socket.pause(); setTimeout(() => slow.socket._socket?.resume(), 20) }, 40)
  t.after(() => clearInterval(pump))
  await slow.until((c) => c.synced(), 'everything, slowly')
  assert.strictEqual(slow.frames.length, 61)
  // who reads again soon after that is told; who never does is gone
  const gone = connect(t, server.ws + '/live')
  await gone.opened
  gone.socket._socket.pause()
  let wait = 500
  await until(async () => {
    const stalled = connect(t, server.ws + '/live')
    await stalled.opened
    stalled.socket._socket.pause()
    await new Promise((resolve) => setTimeout(resolve, wait += 500))
    stalled.socket._socket.resume()
    await stalled.until((c) => c.closed !== null || c.synced(), 'the close')
    stalled.socket.terminate()
    return stalled.closed === 1013
  }, 'a close with 1013')
  await until(async () => (await server.get('/status')).counters.ws_clients === 1, 'the end of the one that is gone')
  assert.strictEqual(slow.closed, null)
})

// The library under the WebSockets read the end of such a connection again and again, and nobody else was served any more.
for (const how of ['ends', 'goes']) {
  test(`a client that reads nothing and ${how} holds nobody up`, async (t) => {
    const text = JSON.stringify('x'.repeat(200000))
    const door = path.join(folder(t), 'door')
    const server = await Server.start(t, ['--data', folder(t), '--accept', 'any', '--stall-timeout', '1', '--heartbeat', '60', '--listen', '127.0.0.1:0', '--listen', 'unix:' + door])
    for (let i = 0; i < 300; i++) assert.strictEqual((await server.post('/log', text)).status, 201)
    const head = 'GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
    const doors = [{ port: server.port, host: '127.0.0.1' }, { path: door }, { port: server.port, host: '127.0.0.1' }, { path: door }]
    const stuck = doors.map((where) => net.connect({ ...where, allowHalfOpen: true }))
    for (const socket of stuck) {
      t.after(() => socket.destroy())
      socket.on('error', () => {})
      socket.write(head)
      await new Promise((resolve) => socket.once('readable', resolve)) // and nothing is read
    }
    // until what they are given is with the kernel, as far as it goes
    const frames = async () => Number(/^sluice_ws_frames(?:_total)? (\d+)/m.exec((await server.request('/metrics')).text)[1])
    let before = -1
    await until(async () => {
      const now = await frames(), still = now > 0 && now === before
      before = now
      return still
    }, 'clients that are given no more')
    for (const socket of stuck) how === 'ends' ? socket.end() : socket.destroy()
    const other = connect(t, server.ws + '/live?old=false')
    await other.until((c) => c.synced(), 'the sync of another client')
    assert.strictEqual((await server.post('/log', '"and on"')).status, 201)
    await other.until((c) => c.frames.some((f) => f.value === 'and on'), 'what comes after them')
    await until(async () => (await server.get('/status')).counters.ws_clients === 1, 'the end of those that read nothing')
    other.socket.terminate()
  })
}

test('operations-max: so many may wait for their answers to be read', async (t) => {
  const server = await started(t)
  const client = connect(t, server.ws + '/live?subscribe=false')
  await client.opened
  for (let i = 0; i < 64; i++) client.send({ op: 'unsub', id: 'nobody' })
  await client.until((c) => c.frames.length === 64, 'all answers')
  assert.strictEqual(client.closed, null)
})

test('http-threads: one thread or many answer the same', async (t) => {
  for (const threads of ['1', '8']) {
    const server = await started(t, '--http-threads', threads)
    const stream = await server.lines('/log?live=true')
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => server.request(i % 2 ? '/types' : '/log?limit=100')))
    for (const res of answers) assert.strictEqual(res.status, 200)
    await stream.until((s) => s.lines.length === OLD, 'the stream beside')
    stream.close()
  }
})
