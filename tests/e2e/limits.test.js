'use strict'
// Every limit that can be set: what stands at it is served, what goes one past it is told so, and room that is given back can be used again.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { Author } = require('../support/author')
const { lines, records, NDJSON, OLD, started, isProblem, raw, HEAD, answered } = require('../support/limits_kit')
const { written } = require('../support/offset_log')
const { ROOT, Server, folder, importLines, run, until } = require('../support/sluice')
const { connect } = require('../support/socket')

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

test('head-max: cookies count twice; a head that fits is answered whatever the answer is, the first of a connection and the next', async (t) => {
  const server = await started(t, '--accept', 'any')
  const most = (await server.get('/limits')).limits.find(({ name }) => name === 'head-max').value + 8192
  const rel = 'é'.repeat(1300), long = `/links?limit=1&rel=${encodeURIComponent(rel)}`
  for (let i = 0; i < 2; i++) await server.post('/log', { key: '%x', value: { author: records[0].value.author, content: { type: 'post', [rel]: records[i].key } } })
  const small = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const head = (target, fields, more) => {
    const text = `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${'X: y\r\n'.repeat(fields)}Cookie: `
    return `${text}${'c'.repeat(Math.floor((most - text.length - 4) / 2) + more)}\r\n\r\n`
  }
  for (const target of ['/healthz', '/', '/log?limit=1', long]) {
    for (const fields of [0, 90]) {
      for (const [more, status] of [[0, 200], [1, 431]]) {
        for (const before of ['', small]) {
          const client = raw(t, server, before)
          if (before) await client.until(answered, 'the first answer')
          const start = client.text.length
          client.socket.write(head(target, fields, more))
          await client.until((c) => c.ended, 'the end')
          assert.match(client.text.slice(start), new RegExp(`HTTP/1\\.1 ${status} `), `${target} ${fields} ${more} ${before.length}`)
        }
      }
    }
  }
  // about here the library has room for the request alone
  for (let n = 15900; n < 16400; n += 100) isProblem(await server.request('/log?limit=1', { headers: { Cookie: 'c'.repeat(n) } }), 431, /headers-too-large/)
  const page = await server.request(long)
  assert.ok(page.json.next.length > 4096 && page.headers.link === undefined, page.json.next)
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

test('whole-max: so many bytes of contacts are in one answer, and not one more; a list by itself has pages', async (t) => {
  const idOf = (byte) => '@' + Buffer.alloc(32, byte).toString('base64') + '.ed25519'
  // whom a feed follows, by messages with keys of such lengths
  const follows = (author, ...lengths) => lengths.map((length, i) => JSON.stringify({
    key: 'x'.repeat(length), value: { author: idOf(author), content: { type: 'contact', contact: idOf(100 + i), following: true } }
  }))
  const served = async (...lines) => Server.start(t, ['--data', importLines(t, lines.flat(), '--accept', 'any'), '--accept', 'any'])
  const ask = (server, author, list = '') => server.request('/contacts/' + encodeURIComponent(idOf(author)) + list)
  // the last list is begun when all that can be said of the others is there
  const said = (res) => res.text.indexOf('"friends":[') + '"friends":['.length
  const small = await served(follows(1, 1, 1, 1))
  const first = await ask(small, 1), most = await limit(small, 'whole-max'), third = Math.floor(most / 3)
  const digits = (res) => res.json.follows.map(({ seq }) => String(seq)).join('').length
  // so long that two such keys and a last one make the most, if the three seqs have so many digits
  const rest = (seqs) => most - (said(first) - digits(first) - 3) - seqs - 2 * third
  const server = await served(follows(2, third, third, rest(1 + 7 + 8)), follows(3, third, third, rest(8 + 8 + 8) + 1))
  const res = await ask(server, 2)
  assert.strictEqual(res.status, 200, res.text.slice(0, 300))
  assert.strictEqual(said(res), most)
  isProblem(await ask(server, 3), 413, /too-large/)
  assert.strictEqual((await ask(server, 3, '/follows')).status, 200)
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
