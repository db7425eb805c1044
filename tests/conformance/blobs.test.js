'use strict'
// Blobs that npm multiblob stores and npm pull-box-stream boxes, read over HTTP; and the other way round.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const multiblob = require('multiblob')
const boxes = require('pull-box-stream')
const pull = require('pull-stream')
const { Server, folder, generate } = require('../support/sluice')
const { frames } = require('../support/offset_log')
const { drawnSeed, makeRandom } = require('../support/random')

const ZEROS = Buffer.alloc(24)
const seed = drawnSeed()

const collect = (...through) => new Promise((resolve, reject) => pull(...through, pull.collect((err, all) => err ? reject(err) : resolve(Buffer.concat(all)))))
const box = (key, ...chunks) => collect(pull.values(chunks), boxes.createBoxStream(key, ZEROS))
const store = (dir) => multiblob({ dir, alg: 'sha256', encode: (bytes, alg) => '&' + bytes.toString('base64') + '.' + alg, decode: (id) => ({ hash: Buffer.from(id.slice(1, 45), 'base64'), alg: 'sha256' }), isHash: (id) => typeof id === 'string' && id[0] === '&' })
const add = (blobs, bytes) => new Promise((resolve, reject) => pull(pull.once(bytes), blobs.add((err, id) => err ? reject(err) : resolve(id))))

async function node(t) {
  const home = folder(t)
  fs.mkdirSync(path.join(home, 'flume'))
  fs.writeFileSync(path.join(home, 'flume', 'log.offset'), frames(generate(3, '--seed', '2'), '32').bytes)
  const server = await Server.start(t, ['--follow', path.join(home, 'flume', 'log.offset'), '--views', folder(t)])
  const get = (id, query = '', headers = {}) => server.request('/blobs/' + encodeURIComponent(id) + query, { headers })
  return { server, get, blobs: store(path.join(home, 'blobs')) }
}

function bytesOf(random, length) {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = random.below(256)
  return bytes
}

test(`what multiblob stores is found, seed ${seed}`, async (t) => {
  const random = makeRandom(seed)
  const { get, blobs } = await node(t)
  for (const length of [1, 2, 65535, 65536, 65537, 131072, 1048576, 1048577, random.below(300000) + 3]) {
    const bytes = bytesOf(random, length)
    const waiting = get('&' + crypto.createHash('sha256').update(bytes).digest('base64') + '.sha256', '?wait=30')
    const id = await add(blobs, bytes)
    assert.ok((await waiting).bytes.equals(bytes), `${length} bytes`)
    const first = random.below(length)
    const last = first + random.below(length - first)
    const part = await get(id, '', { Range: `bytes=${first}-${last}` })
    assert.ok(part.status === 206 && part.bytes.equals(bytes.subarray(first, last + 1)), `${first}-${last} of ${length}`)
  }
})

test('what is added here is found by multiblob', async (t) => {
  const data = folder(t)
  const server = await Server.start(t, ['--data', data])
  const bytes = Buffer.from('added over HTTP')
  const { json: { id } } = await server.post('/blobs', bytes, { 'Content-Type': 'text/plain' })
  const blobs = store(path.join(data, 'blobs'))
  assert.ok((await collect(blobs.get(id))).equals(bytes))
  assert.strictEqual(await new Promise((resolve, reject) => blobs.size(id, (err, size) => err ? reject(err) : resolve(size))), bytes.length)
})

test(`private blobs of pull-box-stream, whole and in ranges, seed ${seed}`, async (t) => {
  const random = makeRandom(seed + 1)
  const { get, blobs } = await node(t)
  for (const length of [0, 1, 4095, 4096, 4097, 8192, 50000, 1500000]) {
    const plain = bytesOf(random, length)
    // the bytes of its own as the key, as ssb-blob-files does; written in pieces of any size
    const key = crypto.createHash('sha256').update(plain).digest()
    const cut = random.below(length + 1)
    const id = await add(blobs, await box(key, plain.subarray(0, cut), plain.subarray(cut)))
    for (const spelling of [key.toString('base64') + '.boxs', key.toString('base64'), key.toString('base64url'), (key.toString('base64') + '.boxs').replace(/\+/g, ' ')]) {
      const res = await get(id, '?unbox=' + encodeURIComponent(spelling))
      assert.strictEqual(res.status, 200, res.text.slice(0, 200))
      assert.ok(res.bytes.equals(plain), `${length} bytes`)
      assert.match(res.headers['cache-control'], /^private, /)
      assert.strictEqual(res.headers['content-length'], String(length))
    }
    for (let i = 0; i < 5 && length > 0; i++) {
      const first = random.below(length)
      const last = first + random.below(length - first)
      const res = await get(id, '?unbox=' + encodeURIComponent(key.toString('base64')), { Range: `bytes=${first}-${last}` })
      assert.ok(res.status === 206 && res.bytes.equals(plain.subarray(first, last + 1)), `${first}-${last} of ${length}`)
      assert.strictEqual(res.headers['content-range'], `bytes ${first}-${last}/${length}`)
    }
  }
  const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(9000)])
  const key = crypto.randomBytes(32)
  const id = await add(blobs, await box(key, png))
  assert.strictEqual((await get(id, '?unbox=' + encodeURIComponent(key.toString('base64')))).headers['content-type'], 'image/png')
  assert.strictEqual((await get(id)).headers['content-type'], 'application/octet-stream')
})

test('a key that does not open it, a box that breaks off, one that is damaged inside', async (t) => {
  const { get, blobs } = await node(t)
  const key = crypto.randomBytes(32)
  const query = '?unbox=' + encodeURIComponent(key.toString('base64') + '.boxs')
  const whole = await box(key, crypto.randomBytes(9000))
  const isProblem = (res, status, type) => assert.deepStrictEqual([res.status, res.json && res.json.type], [status, '/problems/' + type], res.text.slice(0, 200))
  isProblem(await get(await add(blobs, whole), '?unbox=' + encodeURIComponent(crypto.randomBytes(32).toString('base64'))), 400, 'bad-parameter')
  for (const bad of ['', 'x', 'A'.repeat(42), 'A'.repeat(45), key.toString('hex'), '!'.repeat(43)]) isProblem(await get(await add(blobs, whole), '?unbox=' + bad), 400, 'bad-parameter')
  // a key that is "/" and nothing else but for its end, and one of bytes that some decoders take for that
  const slashes = await add(blobs, await box(Buffer.alloc(32, 255), Buffer.from('of slashes')))
  assert.strictEqual((await get(slashes, '?unbox=' + '%2F'.repeat(42) + '8')).text, 'of slashes')
  isProblem(await get(slashes, '?unbox=' + '%C3%AF'.repeat(21) + '8'), 400, 'bad-parameter')
  isProblem(await get(await add(blobs, Buffer.from('not boxed at all, and longer than a header would be')), query), 400, 'bad-parameter')
  for (const cut of [whole.length - 1, whole.length - 34, 4000]) isProblem(await get(await add(blobs, whole.subarray(0, cut)), query), 502, 'damaged-blob')
  // in the first body: told; in a later one: what was sent is cut off, and never reads as whole
  const first = Buffer.from(whole)
  first[40] ^= 1
  isProblem(await get(await add(blobs, first), query), 502, 'damaged-blob')
  const later = Buffer.from(whole)
  later[34 + 4096 + 34 + 10] ^= 1
  await assert.rejects(get(await add(blobs, later), query))
})
