'use strict'
// Blobs: what their ids say and nothing else, whole and in ranges, private ones opened, waited for, added.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { Server, folder, generate, importLines, until } = require('../support/sluice')
const { frames } = require('../support/offset_log')
const { makeRandom } = require('../support/random')

const PNG = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(300, 7)])
const idOf = (bytes) => '&' + crypto.createHash('sha256').update(bytes).digest('base64') + '.sha256'
const escape = encodeURIComponent
const target = (id, query = '') => '/blobs/' + escape(id) + query
const BYTES = { 'Content-Type': 'application/octet-stream' }

function fileOf(dir, id) {
  const hex = Buffer.from(id.slice(1, 45), 'base64').toString('hex')
  return path.join(dir, 'sha256', hex.slice(0, 2), hex.slice(2))
}

// As a node stores them: written elsewhere, then renamed. `stated`: what it says it is. Old enough for its hash to be remembered.
function put(dir, bytes, stated = bytes) {
  const id = idOf(stated)
  const file = fileOf(dir, id)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file + '.part', bytes)
  fs.renameSync(file + '.part', file)
  return id
}

// A server that follows a log beside a folder of blobs.
async function following(t, ...args) {
  const home = folder(t)
  fs.mkdirSync(path.join(home, 'flume'))
  const log = path.join(home, 'flume', 'log.offset')
  fs.writeFileSync(log, frames(generate(5, '--seed', '3'), '32').bytes)
  const server = await Server.start(t, ['--follow', log, '--views', folder(t), ...args])
  return { server, dir: path.join(home, 'blobs') }
}

const owning = (t, ...args) => Server.start(t, ['--data', folder(t), ...args])

function isProblem(res, status, type) {
  assert.strictEqual(res.status, status, res.text.slice(0, 300))
  assert.match(res.headers['content-type'], /^application\/problem\+json/)
  assert.strictEqual(res.json.type, '/problems/' + type)
  assert.strictEqual(res.headers['cache-control'], 'no-store')
}

const policy = (res) => res.headers['cross-origin-resource-policy']

test('pictures may be shown by pages of the own origin, and of those that are allowed', async (t) => {
  const { server, dir } = await following(t, '--allow-origin', 'https://app.example')
  const id = put(dir, PNG)
  const ask = (headers) => server.request(target(id), { headers })
  for (const referer of ['https://app.example/', 'https://app.example', 'https://app.example/a/page?q=1']) {
    for (const more of [{}, { Range: 'bytes=0-9' }, { 'If-None-Match': `"${id}"` }]) {
      const res = await ask({ Referer: referer, ...more })
      assert.ok(res.status < 400, referer)
      assert.strictEqual(policy(res), 'cross-origin', `${referer} ${res.status}`)
      assert.match(String(res.headers.vary), /Referer/)
    }
  }
  for (const referer of [undefined, '', 'https://evil.example/', 'https://evil.example/https://app.example/', 'https://app.example.evil.example/', 'https://app.example@evil.example/', 'http://app.example/', 'https://app.example:444/', 'app.example', '://', server.url + '/']) {
    const res = await ask(referer === undefined ? {} : { Referer: referer })
    assert.strictEqual(res.status, 200)
    assert.strictEqual(policy(res), 'same-origin', String(referer))
    assert.match(String(res.headers.vary), /Referer/, 'the answer to one page is not the answer to another')
  }
  // one that says where it comes from is read like anything else
  const read = await ask({ Origin: 'https://app.example' })
  assert.strictEqual(read.headers['access-control-allow-origin'], 'https://app.example')
  // and nothing but blobs
  for (const path of ['/log', '/', '/web/main.js']) assert.strictEqual(policy(await server.request(path, { headers: { Referer: 'https://app.example/' } })), 'same-origin', path)
})

test('without --allow-origin a Referer changes nothing', async (t) => {
  const { server, dir } = await following(t)
  const id = put(dir, PNG)
  const plain = await server.request(target(id))
  const with_ = await server.request(target(id), { headers: { Referer: 'https://app.example/' } })
  assert.strictEqual(policy(with_), 'same-origin')
  for (const res of [plain, with_]) delete res.headers.date
  assert.deepStrictEqual(with_.headers, plain.headers)
})

// ---- reading

test('a blob is found beside the followed log, with a tag, for ever', async (t) => {
  const { server, dir } = await following(t)
  const id = put(dir, PNG)
  const res = await server.request(target(id))
  assert.strictEqual(res.status, 200)
  assert.ok(res.bytes.equals(PNG))
  assert.strictEqual(res.headers.etag, `"${id}"`)
  assert.strictEqual(res.headers['cache-control'], 'public, max-age=31536000, immutable')
  assert.strictEqual(res.headers['content-type'], 'image/png')
  assert.strictEqual(res.headers['content-length'], String(PNG.length))
  assert.strictEqual(res.headers['x-content-type-options'], 'nosniff')
  assert.match(res.headers['content-security-policy'], /default-src 'none';.* sandbox/)
  const head = await server.request(target(id), { method: 'HEAD' })
  assert.deepStrictEqual([head.status, head.bytes.length, head.headers['content-length'], head.headers.etag], [200, 0, String(PNG.length), `"${id}"`])
  const again = await server.request(target(id), { headers: { 'If-None-Match': `"x", ${res.headers.etag}` } })
  assert.deepStrictEqual([again.status, again.bytes.length, again.headers.etag], [304, 0, `"${id}"`])
})

test('--blobs names another folder; a log that is not in a folder "flume" has blobs beside itself', async (t) => {
  const dir = folder(t)
  const { server } = await following(t, '--blobs', dir)
  assert.strictEqual((await server.request(target(put(dir, PNG)))).status, 200)
  const log = path.join(folder(t), 'log.offset')
  fs.writeFileSync(log, frames(generate(5, '--seed', '3'), '32').bytes)
  const other = await Server.start(t, ['--follow', log, '--views', folder(t)])
  assert.strictEqual((await other.request(target(put(path.join(path.dirname(log), 'blobs'), PNG)))).status, 200)
})

test('what is not here is 404 at once; what is no blob id is 400, and no path leads out of the folder', async (t) => {
  const { server, dir } = await following(t)
  put(dir, PNG)
  isProblem(await server.request(target(idOf('nothing'))), 404, 'not-found')
  isProblem(await server.request(target(idOf('nothing')), { headers: { 'If-None-Match': '*' } }), 404, 'not-found')
  fs.writeFileSync(path.join(dir, 'secret'), 'secret')
  for (const bad of ['x', '..', '../secret', '%2e%2e%2fsecret', '..%2f..%2fflume%2flog.offset', 'sha256', '%25' + escape(idOf(PNG).slice(1)), '&' + '.'.repeat(44) + '.sha256', '&..%2f' + 'A'.repeat(40) + '=.sha256']) {
    const res = await server.request('/blobs/' + bad)
    assert.ok(res.status === 400 || res.status === 404, `${bad}: ${res.status}`)
    assert.doesNotMatch(res.text, /^secret/)
  }
  const folderInPlace = idOf('a folder')
  fs.mkdirSync(fileOf(dir, folderInPlace), { recursive: true })
  isProblem(await server.request(target(folderInPlace)), 404, 'not-found')
})

test('every spelling of an id leads to the blob', async (t) => {
  const { server, dir } = await following(t)
  // the base64 of its hash has both "+" and "/"
  let n = 0
  while (!/\+.*\//.test(idOf(String(n)))) n++
  const id = put(dir, Buffer.from(String(n)))
  const safe = id.slice(1, 45).replace(/\+/g, '-').replace(/\//g, '_')
  for (const spelling of [id, escape(id), encodeURI(id), '&' + safe + '.sha256', '&' + safe.slice(0, 43), `ssb:blob/classic/${safe}`, `ssb:blob:sha256:${safe}`, escape(`ssb://blob/classic/${safe}`)]) {
    const res = await server.request('/blobs/' + spelling)
    assert.strictEqual(res.text, String(n), spelling)
  }
})

test('a file that holds something else than its name says is never given out', async (t) => {
  const { server, dir } = await following(t)
  const small = put(dir, Buffer.from('a lie'), Buffer.from('the truth'))
  const large = put(dir, Buffer.alloc(3 << 20, 1), Buffer.alloc(3 << 20, 2))
  for (const id of [small, large]) {
    for (const headers of [{}, { Range: 'bytes=0-3' }]) {
      isProblem(await server.request(target(id), { headers }), 502, 'damaged-blob')
      isProblem(await server.request(target(id, '?unbox=' + escape(Buffer.alloc(32).toString('base64')) + '.boxs'), { headers }), 502, 'damaged-blob')
    }
  }
  // a good one that is damaged later, with its times put back, is noticed; one that is mended is served again
  const file = fileOf(dir, put(dir, PNG))
  const old = new Date(Date.now() - 1e6)
  fs.utimesSync(file, old, old)
  assert.strictEqual((await server.request(target(idOf(PNG)))).status, 200)
  const bad = Buffer.from(PNG)
  bad[100] ^= 1
  fs.writeFileSync(file, bad)
  fs.utimesSync(file, old, old)
  isProblem(await server.request(target(idOf(PNG))), 502, 'damaged-blob')
  put(dir, PNG)
  assert.strictEqual((await server.request(target(idOf(PNG)))).status, 200)
})

test('the hash of a file that has settled is made once', async (t) => {
  const { server, dir } = await following(t)
  const id = put(dir, Buffer.alloc(5 << 20, 3))
  const hashed = async () => Number(/^sluice_blobs_hashed_total (\d+)/m.exec((await server.request('/metrics')).text)[1])
  await until(async () => {
    const before = await hashed()
    assert.strictEqual((await server.request(target(id))).bytes.length, 5 << 20)
    return (await hashed()) === before
  }, 'a request that hashes nothing')
  const settled = await hashed()
  for (let i = 0; i < 5; i++) assert.strictEqual((await server.request(target(id), { headers: { Range: `bytes=${i}-${i}` } })).bytes.length, 1)
  assert.strictEqual(await hashed(), settled)
})

test('types: by the bytes, and nothing that a browser would run', async (t) => {
  const { server, dir } = await following(t)
  const text = (s) => Buffer.from(s)
  const cases = [
    [PNG, 'image/png'], [Buffer.from('ffd8ffe000104a464946', 'hex'), 'image/jpeg'], [text('GIF89a...'), 'image/gif'],
    [text('RIFF....WEBPVP8 '), 'image/webp'], [text('RIFF....WAVEfmt '), 'audio/wav'], [text('\0\0\0\x18ftypmp42....'), 'video/mp4'],
    [text('\0\0\0\x18ftypM4A ....'), 'audio/mp4'], [text('\0\0\0\x18ftypavif....'), 'image/avif'],
    [Buffer.concat([Buffer.from('1a45dfa3', 'hex'), text('....B\x82\x84webm')]), 'video/webm'], [text('ID3\x04....'), 'audio/mpeg'],
    [Buffer.from('fffb90c4', 'hex'), 'audio/mpeg'], [text('OggS....'), 'audio/ogg'], [text('fLaC....'), 'audio/flac'],
    [text('%PDF-1.7 ...'), 'application/pdf', true], [text('PK\x03\x04....'), 'application/zip', true],
    [text('hello wörld 🐦\n'), 'text/plain; charset=utf-8'], [text('<!doctype html><script>alert(1)</script>'), 'text/plain; charset=utf-8'],
    [text('<?xml version="1.0"?>\n<!-- x --><!DOCTYPE svg>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'), 'image/svg+xml', true],
    [text('<svg onload="alert(1)"/>'), 'image/svg+xml', true], [text('<svgx>'), 'text/plain; charset=utf-8'],
    [text('\ufeff <SVG>'), 'image/svg+xml', true], [text('alert(1)'), 'text/plain; charset=utf-8'],
    [Buffer.from([0, 1, 2, 3]), 'application/octet-stream', true], [Buffer.from([0x61, 0xff]), 'application/octet-stream', true],
    [Buffer.alloc(0), 'application/octet-stream', true], [text('<html>' + ' '.repeat(5000) + '\0'), 'text/plain; charset=utf-8'],
    [Buffer.concat([Buffer.alloc(4095, 'a'), text('é'), Buffer.alloc(10, 'b')]), 'text/plain; charset=utf-8']
  ]
  for (const [bytes, type, save = false] of cases) {
    const res = await server.request(target(put(dir, bytes)))
    assert.deepStrictEqual([res.status, res.headers['content-type'], res.headers['content-disposition']], [200, type, save ? 'attachment' : undefined], bytes.subarray(0, 30).toString())
    assert.match(res.headers['content-security-policy'], /sandbox$/)
    assert.ok(res.bytes.equals(bytes))
  }
})

// ---- ranges

test('ranges: every kind of first and last byte, against a loop', async (t) => {
  const { server, dir } = await following(t)
  const random = makeRandom(5)
  const bytes = Buffer.from(Array.from({ length: 1000 }, () => random.below(256)))
  const id = put(dir, bytes)
  const agent = new (require('node:http').Agent)({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  const ask = (range, headers = {}) => server.request(target(id), { headers: { Range: range, ...headers }, agent })
  const part = async (range, first, last) => {
    const res = await ask(range)
    assert.strictEqual(res.status, 206, range)
    assert.ok(res.bytes.equals(bytes.subarray(first, last + 1)), range)
    assert.strictEqual(res.headers['content-range'], `bytes ${first}-${last}/1000`)
    assert.strictEqual(res.headers['content-length'], String(last - first + 1))
    assert.strictEqual(res.headers.etag, `"${id}"`)
  }
  for (const [first, last] of [[0, 0], [0, 999], [999, 999], [1, 998], [500, 500]]) await part(`bytes=${first}-${last}`, first, last)
  for (let i = 0; i < 40; i++) {
    const first = random.below(1000)
    const last = first + random.below(1000 - first)
    await part(`bytes=${first}-${last}`, first, last)
  }
  await part('bytes=10-', 10, 999)
  await part('bytes=-10', 990, 999)
  await part('bytes=-1', 999, 999)
  await part('bytes=-1000', 0, 999)
  await part('bytes=-5000', 0, 999)
  await part('bytes=990-5000', 990, 999)
  await part('bytes=0-99999999999999999999999', 0, 999)
  await part('Bytes= 3-4', 3, 4)
  for (const range of ['bytes=1000-', 'bytes=1000-1000', 'bytes=5000-6000', 'bytes=-0', 'bytes=99999999999999999999-']) {
    const res = await ask(range)
    isProblem(res, 416, 'outside')
    assert.strictEqual(res.headers['content-range'], 'bytes */1000')
  }
  // what is none, or more than one, is answered with all of it
  for (const range of ['bytes=', 'bytes=-', 'bytes=5-4', 'bytes=a-b', 'bytes=1-2,4-5', 'bytes=1', 'items=1-2', 'bytes=1-2-3', 'bytes=+1-2', 'bytes=0x1-2']) {
    const res = await ask(range)
    assert.strictEqual(res.status, 200, range)
    assert.ok(res.bytes.equals(bytes), range)
  }
  assert.strictEqual((await ask('bytes=1-2', { 'If-Range': `"${id}"` })).status, 206)
  for (const other of ['"other"', `W/"${id}"`, 'Sat, 21 Nov 2026 00:00:00 GMT']) assert.strictEqual((await ask('bytes=1-2', { 'If-Range': other })).status, 200, other)
  assert.strictEqual((await ask('bytes=1-2', { 'If-None-Match': `"${id}"` })).status, 304)
  const head = await server.request(target(id), { method: 'HEAD', headers: { Range: 'bytes=1-2' } })
  assert.deepStrictEqual([head.status, head.headers['content-length']], [200, '1000'])
  assert.strictEqual((await server.request(target(put(dir, Buffer.alloc(0))), { headers: { Range: 'bytes=0-0' } })).status, 416)
})

test('a large blob is never in memory', async (t) => {
  const { server, dir } = await following(t)
  const size = 128 << 20
  const bytes = Buffer.alloc(size, 'sluice ')
  const id = put(dir, bytes)
  const memory = () => Number(/^RssAnon:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1])
  const before = memory()
  const res = await server.request(target(id, '?wait=1'))
  assert.ok(res.status === 200 && res.bytes.equals(bytes))
  assert.ok(memory() - before < 64 << 10, `${before} KiB, then ${memory()}`)
  const tail = await server.request(target(id), { headers: { Range: `bytes=${size - 7}-` } })
  assert.ok(tail.bytes.equals(bytes.subarray(size - 7)))
})

// ---- waiting

test('wait: a blob that comes is given then; one that does not is 404 when the time is over', async (t) => {
  const { server, dir } = await following(t)
  const bytes = Buffer.from('late')
  const waiting = [1, 2, 3].map(() => server.request(target(idOf(bytes), '?wait=30')))
  const ranged = server.request(target(idOf(bytes), '?wait=30'), { headers: { Range: 'bytes=1-2' } })
  assert.strictEqual((await server.request(target(idOf(bytes)))).status, 404)
  put(dir, bytes)
  for (const res of await Promise.all(waiting)) assert.deepStrictEqual([res.status, res.text], [200, 'late'])
  assert.strictEqual((await ranged).text, 'at')
  isProblem(await server.request(target(idOf('never'), '?wait=1')), 404, 'not-found')
  isProblem(await server.request(target(idOf('never'), '?wait=0')), 404, 'not-found')
})

test('wait: a damaged blob is waited for until it is mended', async (t) => {
  const { server, dir } = await following(t)
  const id = put(dir, Buffer.from('half'), Buffer.from('whole'))
  const waiting = server.request(target(id, '?wait=30'))
  isProblem(await server.request(target(id)), 502, 'damaged-blob')
  put(dir, Buffer.from('whole'))
  assert.strictEqual((await waiting).text, 'whole')
  put(dir, Buffer.from('half'), Buffer.from('whole'))
  isProblem(await server.request(target(id, '?wait=1')), 502, 'damaged-blob')
})

test('blob-wait-max and blob-waits-max: at the limit, and one past it; who gave up leaves no place behind', async (t) => {
  const { server, dir } = await following(t, '--blob-wait-max', '20', '--blob-waits-max', '3')
  isProblem(await server.request(target(idOf('x'), '?wait=21')), 400, 'bad-parameter')
  const bytes = Buffer.from('three wait')
  const id = idOf(bytes)
  const settled = []
  const waiting = Array.from({ length: 4 }, () => server.request(target(id, '?wait=20')).then((res) => { settled.push(res); return res }))
  await until(() => settled.length > 0, 'the one that is too many')
  isProblem(settled[0], 503, 'overloaded')
  put(dir, bytes)
  assert.deepStrictEqual((await Promise.all(waiting)).filter((res) => res.status === 200).map((res) => res.text), Array(3).fill('three wait'))
  const other = Buffer.from('again three')
  const later = Array.from({ length: 3 }, () => server.request(target(idOf(other), '?wait=20')))
  put(dir, other)
  for (const res of await Promise.all(later)) assert.strictEqual(res.text, 'again three')
})

test('a server that stops lets nobody wait', async (t) => {
  const { server } = await following(t)
  const waiting = [1, 2].map((n) => server.request(target(idOf('never' + n), '?wait=60')))
  await until(async () => (await server.request('/healthz')).status === 200, 'the server')
  const stopped = server.stop()
  for (const res of await Promise.all(waiting.map((p) => p.catch((err) => ({ status: err.code }))))) assert.ok([503, 'ECONNRESET', 'ECONNREFUSED'].includes(res.status), String(res.status))
  assert.strictEqual((await stopped).code, 0)
})

// ---- adding

test('a blob that is added is here, once, and in its place', async (t) => {
  const data = folder(t)
  const server = await Server.start(t, ['--data', data])
  const id = idOf(PNG)
  const waiting = server.request(target(id, '?wait=30'))
  const res = await server.post('/blobs', PNG, BYTES)
  assert.strictEqual(res.status, 201, res.text)
  assert.deepStrictEqual(res.json, { id, size: PNG.length, type: 'image/png' })
  assert.strictEqual(res.headers.location, '/blobs/' + escape(id))
  assert.ok((await server.request(res.headers.location)).bytes.equals(PNG))
  assert.ok((await waiting).bytes.equals(PNG))
  const again = await server.post('/blobs', PNG, { 'Content-Type': 'image/png' })
  assert.deepStrictEqual([again.status, again.json.id], [200, id])
  assert.ok(fs.readFileSync(fileOf(path.join(data, 'blobs'), id)).equals(PNG))
  // the one that was here already is thrown away when its request is over, which is after its answer
  await until(() => fs.readdirSync(path.join(data, 'blobs', 'tmp')).length === 0, 'an empty tmp')
  // a damaged one is mended by adding it again
  fs.writeFileSync(fileOf(path.join(data, 'blobs'), id), 'damage')
  isProblem(await server.request(target(id)), 502, 'damaged-blob')
  assert.strictEqual((await server.post('/blobs', PNG, BYTES)).status, 201)
  assert.ok((await server.request(target(id))).bytes.equals(PNG))
  // and it survives the server
  await server.stop()
  await server.launch()
  assert.ok((await server.request(target(id))).bytes.equals(PNG))
})

test('blob-max: at the limit it is taken, chunked or not; one byte more is 413 and leaves nothing', async (t) => {
  const data = folder(t)
  const server = await Server.start(t, ['--data', data, '--blob-max', '100K', '--body-max', '4K'])
  const bytes = (n) => Buffer.alloc(n, n % 251)
  const chunked = (body) => server.request('/blobs', { method: 'POST', body, headers: { 'Transfer-Encoding': 'chunked' } })
  for (const post of [(body) => server.post('/blobs', body, BYTES), chunked]) {
    isProblem(await post(bytes(102401)), 413, 'too-large')
    isProblem(await post(bytes(300000)), 413, 'too-large')
    assert.ok([200, 201].includes((await post(bytes(102400))).status))
  }
  assert.ok((await server.request(target(idOf(bytes(102400))))).bytes.equals(bytes(102400)))
  await until(() => fs.readdirSync(path.join(data, 'blobs', 'tmp')).length === 0, 'an empty tmp')
  assert.strictEqual((await server.post('/blobs', '', BYTES)).json.id, idOf(''))
})

test('blob-uploads: as many at once as that, one more is told to come back; who breaks off leaves nothing', async (t) => {
  const data = folder(t)
  const server = await Server.start(t, ['--data', data])
  const most = (await server.get('/limits')).limits.find(({ name }) => name === 'blob-uploads').value
  const sockets = Array.from({ length: most }, () => {
    const socket = net.connect(server.port, '127.0.0.1')
    socket.on('error', () => {})
    t.after(() => socket.destroy())
    socket.write('POST /blobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf')
    return socket
  })
  const parts = () => fs.existsSync(path.join(data, 'blobs', 'tmp')) ? fs.readdirSync(path.join(data, 'blobs', 'tmp')).length : 0
  await until(() => parts() === most, () => `${most} uploads, there are ${parts()}`)
  const res = await server.post('/blobs', 'one more', BYTES)
  isProblem(res, 503, 'overloaded')
  assert.ok(Number(res.headers['retry-after']) > 0)
  sockets[0].end('-whole')
  await until(async () => (await server.request(target(idOf('half-whole')))).status === 200, 'the one that was finished')
  for (const socket of sockets) socket.destroy()
  await until(() => parts() === 0, () => `no uploads, there are ${parts()}`)
  assert.strictEqual((await server.post('/blobs', 'one more', BYTES)).status, 201)
})

test('what a killed server left of uploads is removed, and nothing else', async (t) => {
  const data = folder(t)
  const tmp = path.join(data, 'blobs', 'tmp')
  fs.mkdirSync(tmp, { recursive: true })
  fs.writeFileSync(path.join(tmp, 'sluice-upload-1-0'), 'half')
  fs.writeFileSync(path.join(tmp, 'another'), 'x')
  const server = await Server.start(t, ['--data', data])
  assert.deepStrictEqual(fs.readdirSync(tmp), ['another'])
  assert.strictEqual((await server.post('/blobs', PNG, BYTES)).status, 201)
})

test('the blobs of a node that is followed are not written', async (t) => {
  const { server, dir } = await following(t)
  isProblem(await server.post('/blobs', PNG, BYTES), 503, 'read-only')
  assert.ok(!fs.existsSync(dir))
})

test('adding needs the scope append, reading the scope read; what is given for a token is not for shared caches', async (t) => {
  const tokens = path.join(folder(t), 'tokens')
  const [writer, reader] = ['w', 'r'].map((letter) => letter.repeat(32))
  fs.writeFileSync(tokens, `${writer} append\n${reader} read\n`, { mode: 0o600 })
  const server = await owning(t, '--token-file', tokens)
  const as = (name, more) => ({ Authorization: 'Bearer ' + name, ...more })
  assert.strictEqual((await server.post('/blobs', PNG, BYTES)).status, 401)
  assert.strictEqual((await server.post('/blobs', PNG, as(reader, BYTES))).status, 403)
  assert.strictEqual((await server.post('/blobs', PNG, as(writer, BYTES))).status, 201)
  assert.strictEqual((await server.request(target(idOf(PNG)))).status, 401)
  const res = await server.request(target(idOf(PNG)), { headers: as(reader) })
  assert.deepStrictEqual([res.status, res.headers['cache-control']], [200, 'private, max-age=31536000, immutable'])
  const foreign = await server.post('/blobs', PNG, as(writer, { ...BYTES, Origin: 'http://evil.example' }))
  assert.strictEqual(foreign.status, 403)
})

test('a log that is imported later has its blobs beside it', async (t) => {
  const data = importLines(t, generate(3, '--seed', '9'))
  const id = put(path.join(data, 'blobs'), PNG)
  const server = await Server.start(t, ['--data', data])
  assert.strictEqual((await server.request(target(id))).status, 200)
})
