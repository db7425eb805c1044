'use strict'
// Every limit that can be set: what stands at it is served, what goes one past it is told so, and room that is given back can be used again.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const path = require('node:path')
const { Author } = require('../support/author')
const { written } = require('../support/offset_log')
const { ROOT, Server, folder, generate, importLines, run, until } = require('../support/sluice')
const { connect } = require('../support/socket')

const lines = generate(120, '--seed', '41', '--authors', '6')
const records = lines.map((line) => JSON.parse(line))
const NDJSON = { Accept: 'application/x-ndjson' }
const OLD = 100

const started = (t, ...args) => Server.start(t, ['--data', importLines(t, lines.slice(0, OLD)), ...args])

function isProblem(res, status, type) {
  assert.strictEqual(res.status, status, res.text)
  assert.match(res.headers['content-type'], /^application\/problem\+json/)
  assert.strictEqual(res.json.status, status)
  assert.match(res.json.type, type)
}

// A connection of its own that says what it is told to: { text, ended, ms() }.
function raw(t, server, text = '', options = {}) {
  const began = Date.now()
  const client = { began, text: '', ended: false, error: null, socket: net.connect({ port: server.port, host: '127.0.0.1', ...options }) }
  client.socket.setEncoding('utf8')
  client.socket.on('data', (data) => { client.text += data })
  client.socket.on('error', (err) => { client.error = err })
  client.socket.on('close', () => { client.ended = true; client.ms = Date.now() - began })
  client.socket.write(text)
  client.until = (check, what, timeout) => until(() => check(client), () => `${what}; it said ${JSON.stringify(client.text.slice(0, 300))}, ended ${client.ended}`, timeout)
  t.after(() => client.socket.destroy())
  return client
}

const HEAD = (target) => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const answered = (client) => client.text.startsWith('HTTP/1.1 200')

// ---- requests

test('body-max: a body at the limit is taken, also in chunks; one byte more is 413', async (t) => {
  const server = await started(t, '--body-max', '4096', '--accept', 'any')
  const text = (n) => JSON.stringify('x'.repeat(n - 2))
  const chunked = (body) => server.request('/log', { method: 'POST', body, headers: { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' } })
  for (const post of [(body) => server.post('/log', body), chunked]) {
    assert.strictEqual((await post(text(4096))).status, 201)
    isProblem(await post(text(4097)), 413, /too-large/)
    isProblem(await post(text(40000)), 413, /too-large/)
  }
  assert.strictEqual((await server.pages('/log?limit=1000', 'messages')).length, OLD + 2)
  assert.strictEqual((await server.request('/healthz')).status, 200)
})

test('body-max: a client that never stops sending is cut off', async (t) => {
  const server = await started(t, '--body-max', '4096')
  const client = raw(t, server, 'POST /log HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n')
  const chunk = (1 << 16).toString(16) + '\r\n' + 'x'.repeat(1 << 16) + '\r\n'
  // what two kernels may hold, many times over
  const most = 4096
  let sent = 0
  while (!client.ended && sent < most) {
    sent++
    if (!client.socket.write(chunk)) await until(() => client.ended || !client.socket.writableNeedDrain, 'room to send')
    await new Promise((resolve) => setImmediate(resolve)) // it reads as well
  }
  assert.ok(client.ended && sent < most, `${sent} chunks were taken`)
  assert.match(client.text, /^HTTP\/1\.1 413 /)
  assert.strictEqual((await server.request('/healthz')).status, 200)
})

test('batch-max: as many messages as that, and not one more', async (t) => {
  const server = await started(t, '--batch-max', '5')
  const batch = (from, to) => server.post('/log', records.slice(from, to).map((r) => JSON.stringify(r.value)).join('\n'), { 'Content-Type': 'application/x-ndjson' })
  isProblem(await batch(OLD, OLD + 6), 413, /too-large/)
  assert.strictEqual((await server.pages('/log?limit=1000', 'messages')).length, OLD)
  assert.strictEqual((await batch(OLD, OLD + 5)).status, 201)
})

test('target-max: a target at the limit is read, one byte more is 414', async (t) => {
  for (const [max, ...args] of [[8192], [256, '--target-max', '256'], [16384, '--target-max', '16K']]) {
    const server = await started(t, ...args)
    const target = (n) => '/types?gt=' + 'x'.repeat(n - 10)
    assert.strictEqual((await server.request(target(max))).status, 200, String(max))
    const over = await server.request(target(max + 1))
    assert.strictEqual(over.status, 414, over.text.slice(0, 200))
    assert.strictEqual(await connect(t, server.ws + '/live?type=' + 'x'.repeat(max - 11)).status, 101, String(max))
    assert.strictEqual(await connect(t, server.ws + '/live?type=' + 'x'.repeat(max - 10)).status, 414, String(max))
    assert.strictEqual((await server.request(target(max * 3))).status, 414)
  }
})

test('header fields of more than there is room for are 431, as many as browsers send are fine', async (t) => {
  const server = await started(t)
  assert.strictEqual((await server.request('/log?limit=1', { headers: { Cookie: 'x'.repeat(4000), 'X-More': 'y'.repeat(4000) } })).status, 200)
  for (const headers of [{ Cookie: 'x'.repeat(100000) }, Object.fromEntries(Array.from({ length: 900 }, (_, i) => ['X-Field-' + i, 'z'.repeat(60)]))]) {
    assert.strictEqual((await server.request('/log?limit=1', { headers })).status, 431)
  }
  const socket = connect(t, server.ws + '/live', { headers: { Cookie: 'x'.repeat(100000) } })
  assert.strictEqual(await socket.status, 431)
  assert.strictEqual((await server.request('/healthz')).status, 200)
})

test('query parameters past the most that are read are a mistake, not ignored', async (t) => {
  const server = await started(t)
  for (const n of [24, 25, 500]) {
    const res = await server.request('/log?' + Array.from({ length: n }, (_, i) => `p${i}=1`).join('&'))
    assert.strictEqual(res.status, 400, `${n}: ${res.text}`)
  }
})

test('limit-max: a page of as many rows as that, and none of more; lines have no such limit', async (t) => {
  const server = await started(t, '--limit-max', '20')
  for (const target of ['/log', '/links', '/feeds', '/types', '/feeds/' + records[0].value.author]) {
    assert.strictEqual((await server.request(target + '?limit=20')).status, 200, target)
    isProblem(await server.request(target + '?limit=21'), 400, /bad-parameter/)
  }
  // the default page is no larger than the largest
  assert.strictEqual((await server.get('/log')).messages.length, 20)
  const { text } = await server.request('/log?limit=90', { headers: NDJSON })
  assert.strictEqual(text.trimEnd().split('\n').length, 90)
})

test('head-max: a head of as many bytes is read, one byte more is 431', async (t) => {
  for (const max of [8192, 256]) {
    const server = await started(t, '--target-max', String(max))
    const head = (n) => {
      const text = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: '
      return text + 'x'.repeat(n - text.length - 4) + '\r\n\r\n'
    }
    const most = (await server.get('/limits')).limits.find(({ name }) => name === 'head-max').value + max
    const fits = raw(t, server, head(most))
    await fits.until((c) => c.ended, 'the end')
    assert.match(fits.text, /^HTTP\/1\.1 200 /)
    const over = raw(t, server, head(most + 1))
    await over.until((c) => c.ended, 'the end')
    assert.match(over.text, /^HTTP\/1\.1 431 /)
  }
})

test('fields-max: header fields, cookies and parameters are counted together', async (t) => {
  const server = await started(t)
  for (const [fields, cookies, parameters] of [[98, 0, 0], [48, 50, 0], [70, 10, 18]]) {
    const ask = (more) => raw(t, server, `GET /healthz?${'&'.repeat(parameters)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
      Array.from({ length: fields + more - (cookies > 0) }, (_, i) => `X-${i}: y\r\n`).join('') + (cookies ? `Cookie: ${Array(cookies + 1).fill('a=b').join(';')}\r\n` : '') + '\r\n')
    const fits = ask(0)
    await fits.until((c) => c.ended, 'the end')
    assert.match(fits.text, /^HTTP\/1\.1 200 /, `${fields} ${cookies} ${parameters}`)
    const over = ask(1)
    await over.until((c) => c.ended, 'the end')
    assert.match(over.text, /^HTTP\/1\.1 431 /, `${fields} ${cookies} ${parameters}`)
  }
})

test('parameters-max: that many are looked at, one more is refused unread', async (t) => {
  const server = await started(t)
  const ask = (n) => server.request('/log?' + Array.from({ length: n }, (_, i) => `p${i}=1`).join('&'))
  isProblem(await ask(64), 400, /bad-parameter/)
  isProblem(await ask(65), 400, /bad-request/)
})

test('about-ids: that many are answered in one request, one more is refused', async (t) => {
  const server = await started(t)
  const id = (i) => '@' + Buffer.alloc(32, i + 1).toString('base64') + '.ed25519'
  const ask = (n) => server.request('/about?' + Array.from({ length: n }, (_, i) => 'id=' + encodeURIComponent(id(i))).join('&'))
  const most = (await server.get('/limits')).limits.find(({ name }) => name === 'about-ids').value
  const fits = await ask(most)
  assert.strictEqual(fits.status, 200, fits.text)
  assert.deepStrictEqual(fits.json.abouts.map((one) => one.id), Array.from({ length: most }, (_, i) => id(i)))
  isProblem(await ask(most + 1), 400, /bad-parameter/)
})

const limit = async (server, wanted) => (await server.get('/limits')).limits.find(({ name }) => name === wanted).value

test('whole-max: so many bytes are said of a feed in one answer, and not one more', async (t) => {
  const id = '@' + Buffer.alloc(32, 1).toString('base64') + '.ed25519'
  const field = (name, length, i) => JSON.stringify({
    key: '%' + Buffer.alloc(32, i + 1).toString('base64') + '.sha256',
    value: { previous: null, author: id, sequence: i + 1, timestamp: 1, hash: 'sha256', content: { type: 'about', about: id, [name]: 'x'.repeat(length) }, signature: '' },
    timestamp: 1
  })
  const told = async (...lengths) => {
    const log = importLines(t, lengths.map((length, i) => field('abc'[i], length, i)), '--accept', 'any')
    const server = await Server.start(t, ['--data', log, '--accept', 'any'])
    return { most: await limit(server, 'whole-max'), res: await server.request('/about/' + encodeURIComponent(id)) }
  }
  const { most, res } = await told(1, 1, 1)
  assert.deepStrictEqual(Object.keys(res.json.about), ['a', 'b', 'c'])
  const third = Math.floor(most / 3), rest = most - (res.text.indexOf('},"since"') - 3) - 2 * third
  const fits = (await told(third, third, rest)).res
  assert.strictEqual(fits.status, 200, fits.text.slice(0, 300))
  assert.strictEqual(fits.text.indexOf('},"since"'), most)
  isProblem((await told(third, third, rest + 1)).res, 413, /too-large/)
})

test('expected-heads: If-Match may name so many ids, and not one more', async (t) => {
  const server = await started(t)
  const most = await limit(server, 'expected-heads')
  const id = (i) => `"%${Buffer.alloc(32, i + 1).toString('base64')}.sha256"`
  const ask = (n) => server.post('/log', JSON.stringify(records[OLD].value), { 'Content-Type': 'application/json', 'If-Match': Array.from({ length: n }, (_, i) => id(i)).join(', ') })
  isProblem(await ask(most), 412, /stale-head/)
  isProblem(await ask(most + 1), 400, /bad-parameter/)
})

test('vote-expressions: so many are counted one by one, the others in the sum; what is counted goes on being counted', async (t) => {
  const key = '%' + Buffer.alloc(32, 7).toString('base64') + '.sha256'
  // votes are read in the order of their authors
  const vote = (author, expression) => JSON.stringify({
    key: `%${crypto.createHash('sha256').update(author + expression).digest('base64')}.sha256`,
    value: { author: `@${Buffer.alloc(32, author).toString('base64')}.ed25519`, content: { type: 'vote', vote: { link: key, value: 1, expression } } }
  })
  const most = await limit(await started(t), 'vote-expressions')
  const said = [...Array.from({ length: most }, (_, i) => 'e' + i), 'another', 'e0']
  const server = await Server.start(t, ['--follow', await written(t, path.join(folder(t), 'log.offset'), 32, said.map((expression, i) => vote(i, expression)))])
  const { count, expressions } = await server.get('/votes/' + encodeURIComponent(key))
  assert.strictEqual(count, most + 2)
  assert.deepStrictEqual(expressions, Object.fromEntries(said.slice(0, most).sort().map((expression) => [expression, expression === 'e0' ? 2 : 1])))
})

test('subscription-id: as long as that, and not one byte longer', async (t) => {
  const server = await started(t)
  const most = await limit(server, 'subscription-id')
  const client = connect(t, server.ws + '/live?subscribe=false')
  assert.strictEqual(await client.status, 101)
  for (const id of ['x'.repeat(most), 'x'.repeat(most + 1)]) client.send({ op: 'sub', id, old: false })
  await client.until(() => client.frames.length === 2, 'both answers')
  const [refused, fits] = [client.frames.find((frame) => frame.error), client.frames.find((frame) => frame.sync)]
  assert.deepStrictEqual([refused.error.status, fits.id], [400, 'x'.repeat(most)])
})

test('message-max: a message at the limit is taken, one past it is 422', async (t) => {
  const server = await Server.start(t, ['--data', folder(t)])
  const author = new Author('limits')
  const text = (length) => {
    const bare = author.sign({ type: 'post', text: '' }).length
    return { type: 'post', text: 'x'.repeat(length - bare) }
  }
  assert.strictEqual(author.sign(text(8192)).length, 8192)
  isProblem(await server.post('/log', author.sign(text(8193)).value), 422, /invalid-message/)
  assert.strictEqual((await server.post('/log', author.write(text(8192)).value)).status, 201)
  assert.strictEqual((await server.get('/log')).messages.length, 1)
})

test('json-depth and record-max: any value at the limit is taken, one past it is refused', async (t) => {
  const server = await Server.start(t, ['--data', folder(t), '--accept', 'any', '--body-max', '32M'])
  const nested = (n) => '['.repeat(n) + '1' + ']'.repeat(n)
  assert.strictEqual((await server.post('/log', nested(512))).status, 201)
  for (const n of [513, 4097, 2000000]) {
    const res = await server.post('/log', nested(n))
    isProblem(res, 422, /invalid-message/)
    assert.match(res.json.detail, /512 levels/)
  }
  const large = (n) => '"' + 'x'.repeat(n - 2) + '"'
  assert.strictEqual((await server.post('/log', large(16 << 20))).status, 201)
  isProblem(await server.post('/log', large((16 << 20) + 1)), 422, /invalid-message/)
  assert.strictEqual((await server.get('/log?limit=1000')).messages.length, 2)
})

test('page-max: a page of huge records ends early, and the next one goes on', async (t) => {
  const server = await Server.start(t, ['--data', folder(t), '--accept', 'any'])
  const values = Array.from({ length: 9 }, (_, i) => JSON.stringify(i + 'x'.repeat(1 << 20)))
  for (const value of values) assert.strictEqual((await server.post('/log', value)).status, 201)
  const page = await server.get('/log?limit=9')
  assert.strictEqual(page.messages.length, 4)
  assert.match(page.next, /gt=/)
  assert.deepStrictEqual((await server.pages('/log?limit=9', 'messages')).map((m) => m.value[0]), [...'012345678'])
})

// What A writes is never a vote, what B writes is nothing else, and they take turns: every step of the intersection is for nothing.
function inTurns(t, count) {
  const a = new Author('turns a')
  const b = new Author('turns b')
  const messages = []
  for (let i = 0; i < count; i++) messages.push(a.write({ type: 'post', text: String(i) }), b.write({ type: 'vote', vote: { link: messages.at(-1)?.key || a.id, value: 1 } }))
  const dir = importLines(t, messages.map(({ key, value }, i) => JSON.stringify({ key, value, timestamp: 1500000000000 + i })))
  return { a, b, dir, messages }
}

test('query-timeout: a query that looks too long for nothing is 503 and says how far it came; a short one is answered', async (t) => {
  const { a, b, dir } = inTurns(t, 1500)
  const patient = await Server.start(t, ['--data', dir])
  assert.deepStrictEqual((await patient.get(`/log?author=${a.id}&type=vote`)).messages, [])
  await patient.stop()
  // a clock that is over at once is looked at every 1024 steps
  const server = await Server.start(t, ['--data', dir, '--query-timeout', '0'])
  for (const query of [`author=${a.id}&type=vote`, `author=${b.id}&type=post&reverse=true`]) {
    isProblem(await server.request('/log?' + query), 503, /query-timeout/)
    const { status, text } = await server.request('/log?' + query, { headers: NDJSON })
    assert.strictEqual(status, 200)
    assert.match(JSON.parse(text).error.type, /query-timeout/)
  }
  const socket = connect(t, `${server.ws}/live?author=${encodeURIComponent(a.id)}&type=vote`)
  await socket.until((c) => c.frames.length > 0, 'a frame')
  assert.match(socket.frames[0].error.type, /query-timeout/)
  // one that finds its rows before the clock is looked at is not bothered
  assert.strictEqual((await server.get(`/log?author=${a.id}&type=post&limit=1000`)).messages.length > 0, true)
  // from where it came to it can be gone on, until the end
  let seq = -1
  for (let tries = 0; ; tries++) {
    assert.ok(tries < 20, 'no end')
    const res = await server.request(`/log?author=${a.id}&type=vote&gt=${seq}`)
    if (res.status === 200) break
    const came = Number(/come to seq (\d+)/.exec(res.json.detail)[1])
    assert.ok(came > seq, `${came} after ${seq}`)
    seq = came
  }
  isProblem(await server.request(`/links?source=${b.id}&count=true`), 503, /query-timeout/)
})

test('query-timeout: what was found in time is given, page by page and all of it', async (t) => {
  const { a, dir, messages } = inTurns(t, 600)
  const server = await Server.start(t, ['--data', dir, '--query-timeout', '0'])
  const first = await server.get(`/log?author=${a.id}&limit=1000`)
  assert.ok(first.messages.length > 0 && first.messages.length < 600, String(first.messages.length))
  const all = await server.pages(`/log?author=${a.id}&limit=1000`, 'messages')
  assert.deepStrictEqual(all.map((m) => m.key), messages.filter((m) => m.value.author === a.id).map((m) => m.key))
})

test('buffered-max: large answers that nobody reads, and large bodies that do not end, are refused when together they are too many', async (t) => {
  const big = Array.from({ length: 60 }, (_, i) => JSON.stringify({ n: i, text: 'x'.repeat(30000) }))
  const server = await Server.start(t, ['--data', importLines(t, big, '--accept', 'any'), '--accept', 'any', '--buffered-max', '8M', '--body-max', '4M'])
  const page = '/log?limit=60' // 1.8 MB
  const waiting = Array.from({ length: 12 }, () => {
    const client = raw(t, server)
    client.socket.pause()
    client.socket.write(HEAD(page))
    return client
  })
  await until(async () => (await server.request(page)).status === 503, 'an answer that is refused')
  isProblem(await server.request(page), 503, /overloaded/)
  // small ones are given, small bodies are taken, rows are streamed
  assert.strictEqual((await server.request('/healthz')).status, 200)
  assert.strictEqual((await server.post('/log', '{"small":true}')).status, 201)
  assert.strictEqual((await server.request(page, { headers: NDJSON })).text.trimEnd().split('\n').length, 60)
  isProblem(await server.post('/log', JSON.stringify('x'.repeat(3000000))), 503, /overloaded/)
  for (const client of waiting) client.socket.destroy()
  await until(async () => (await server.request(page)).status === 200, 'room for large answers again')
  assert.strictEqual((await server.post('/log', JSON.stringify('x'.repeat(3000000)))).status, 201)
})

// ---- connections

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
  await until(async () => {
    const again = raw(t, server, HEAD('/healthz'))
    await again.until((c) => c.ended || answered(c), 'an answer')
    again.socket.destroy()
    return answered(again)
  }, 'room for another one')
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
  await until(async () => {
    const again = raw(t, server, HEAD('/healthz'))
    await again.until((c) => c.ended || answered(c), 'an answer')
    again.socket.destroy()
    return answered(again)
  }, 'room for another one')
})

test('many connections that come and go leave nothing behind', async (t) => {
  const server = await started(t, '--connections-max', '8')
  for (let i = 0; i < 60; i++) {
    const kind = i % 4
    if (kind === 0) {
      const client = connect(t, server.ws + '/live?old=false')
      await until(() => client.synced() || client.failed, 'sync')
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

test('lists have limits too', (t) => {
  const many = (name, n, value) => Array.from({ length: n }, (_, i) => [`--${name}`, value(i)]).flat()
  for (const [name, most, value] of [['listen', 8, (i) => '127.0.0.1:' + (i + 1)], ['allow-host', 32, (i) => `h${i}.example`], ['allow-origin', 32, (i) => `https://h${i}.example`]]) {
    assert.strictEqual(run(['serve', ...many(name, most, value), '--help']).status, 0, name)
    const over = run(['serve', ...many(name, most + 1, value), '--help'])
    assert.strictEqual(over.status, 64, name)
    assert.match(over.stderr, new RegExp(`--${name}.*${most}`))
  }
})

// ---- all of them

// "8M" and "12 KiB" of the table are the same to a reader as 8388608.
function number(text) {
  const [, digits, unit] = /^(\d+) ?(K|M)?$/.exec(text)
  return Number(digits) * ({ K: 1 << 10, M: 1 << 20 }[unit] || 1)
}

test('GET /limits and the table of the README are the same', async (t) => {
  const server = await started(t)
  const { limits } = await server.get('/limits')
  const readme = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8')
  const table = readme.slice(readme.indexOf('## Limits'), readme.indexOf('## In a container')).split('\n').filter((line) => /^\| (`|\w+-)/.test(line))
    .map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))
    .map(([name, usual, unit, text, past]) => ({ name: name.replace(/`|--/g, ''), option: name.startsWith('`--'), default: number(usual), unit, text, past }))
  assert.ok(table.length > 20)
  const past = ({ status, close, ends }) => [status, close, ends && 'closed'].filter(Boolean).join(', ') || '–'
  assert.deepStrictEqual(table, limits.map((limit) => ({ name: limit.name, option: limit.option, default: limit.default, unit: limit.unit, text: limit.text, past: past(limit) })))
  for (const { name, value, default: usual } of limits) assert.strictEqual(value, usual, name)
})

test('GET /limits names every limit that --help names, with what it was set to', async (t) => {
  const help = run(['serve', '--help']).stdout
  const named = [...help.slice(help.indexOf('Limits (')).matchAll(/^ {2}--([a-z-]+) N/gm)].map(([, name]) => name)
  assert.ok(named.length > 15)
  const server = await started(t, '--body-max', '9M', '--stall-timeout', '77', '--limit-max', '123')
  const { limits } = await server.get('/limits')
  assert.deepStrictEqual(limits.filter((limit) => limit.option).map((limit) => limit.name).sort(), named.sort())
  const set = Object.fromEntries(limits.filter((limit) => limit.value !== limit.default).map((limit) => [limit.name, limit.value]))
  assert.deepStrictEqual(set, { 'body-max': 9 << 20, 'stall-timeout': 77, 'limit-max': 123 })
})
