'use strict'
// Ids in every spelling, against npm ssb-uri2 and ssb-ref: in paths, in filters and on /live; and answers with URIs.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const ssbRef = require('ssb-ref')
const ssbUri = require('ssb-uri2')
const { Server, generate, importLines } = require('../support/sluice')
const { connect } = require('../support/socket')
const { drawnSeed, makeRandom } = require('../support/random')
const { Author } = require('../support/author')

const seed = drawnSeed()
const lines = generate(400, '--seed', String(seed), '--authors', '8')
const records = lines.map((line) => JSON.parse(line))
const escape = encodeURIComponent
const BLOB = Buffer.from('a blob for its id')
const blobId = '&' + crypto.createHash('sha256').update(BLOB).digest('base64') + '.sha256'

const KINDS = {
  '%': { type: 'message', formats: ['classic', 'sha256'], from: ssbUri.fromMessageSigil, to: ssbUri.toMessageSigil, is: ssbUri.isClassicMessageSSBURI },
  '@': { type: 'feed', formats: ['classic', 'ed25519'], from: ssbUri.fromFeedSigil, to: ssbUri.toFeedSigil, is: ssbUri.isClassicFeedSSBURI },
  '&': { type: 'blob', formats: ['classic', 'sha256'], from: ssbUri.fromBlobSigil, to: ssbUri.toBlobSigil, is: ssbUri.isClassicBlobSSBURI }
}
const uriOf = (id) => KINDS[id[0]].from(id)

// Every URI that ssb-uri2 takes for the id.
function uris(id) {
  const { type, formats, to, is } = KINDS[id[0]]
  const data = uriOf(id).split('/').pop()
  const all = [uriOf(id), ssbUri.compose({ type, format: 'classic', data: id.slice(1, 45) })]
  for (const format of formats) all.push(`ssb:${type}:${format}:${data}`, `ssb:${type}/${format}/${data}`, `ssb://${type}/${format}/${data}`)
  for (const uri of all) assert.ok(is(uri) && to(uri) === id, uri)
  return [...new Set(all)]
}

// What people paste besides.
function spellings(id) {
  const safe = id.slice(1, 45).replace(/\+/g, '-').replace(/\//g, '_')
  const suffix = id.slice(45)
  return [id, id[0] + safe + suffix, id[0] + safe.slice(0, 43) + suffix, id[0] + safe.slice(0, 43), ...uris(id)]
}

const rowsOf = ({ since, next, ...page }) => page

async function started(t) {
  const server = await Server.start(t, ['--data', importLines(t, lines)])
  assert.strictEqual((await server.post('/blobs', BLOB)).json.id, blobId)
  return server
}

const interesting = () => {
  const reply = records.find(({ value }) => value.content.root) || assert.fail('no reply')
  const contact = records.find(({ value }) => value.content.type === 'contact') || assert.fail('no contact')
  return { key: reply.key, root: reply.value.content.root, author: contact.value.author }
}

test(`every spelling in a path and in a filter finds the same, seed ${seed}`, async (t) => {
  const server = await started(t)
  const { key, root, author } = interesting()
  const targets = [
    [key, (id) => `/messages/${id}`], [root, (id) => `/messages/${id}/thread`], [key, (id) => `/messages/${id}/raw`], [key, (id) => `/messages/${id}/links`],
    [author, (id) => `/feeds/${id}`], [author, (id) => `/feeds/${id}/1`], [author, (id) => `/about/${id}`], [key, (id) => `/votes/${id}`],
    [author, (id) => `/contacts/${id}`], [author, (id) => `/contacts/${id}/follows`], [blobId, (id) => `/blobs/${id}`],
    [author, (id) => `/log?author=${id}`], [root, (id) => `/log?root=${id}`], [root, (id) => `/log?dest=${id}`], [author, (id) => `/links?source=${id}`],
    [author, (id) => `/links?dest=${id}`], [author, (id) => `/graph?from=${id}`], [author, (id) => `/threads?author=${id}`],
    [author, (id) => `/threads?participating=${id}`], [author, (id) => `/threads?followed=${id}`], [author, (id) => `/about/${escape(author)}?as=${id}`],
    [author, (id) => `/about?id=${id}`], [author, (id) => `/log?contact=${id}`], [author, (id) => `/log?hops=1&from=${id}`], [author, (id) => `/links?hops=1&from=${id}`],
    [author, (id) => `/threads?hops=1&from=${id}`], [author, (id) => `/messages/${escape(root)}/links?source=${id}`],
    [author, (id) => `/contacts/${escape(author)}/follows?gt=${id}`], [author, (id) => `/feeds?gt=${id}`], [author, (id) => `/feeds/${id}?format=atom`], [root, (id) => `/messages/${id}/thread?format=json-feed`]
  ]
  for (const [id, target] of targets) {
    const expected = await server.request(target(escape(id)))
    assert.strictEqual(expected.status, 200, target(id))
    for (const spelling of spellings(id)) {
      const written = [escape(spelling)]
      // as they are, where a URL can hold them
      if (!/[%&+ ]/.test(spelling)) written.push(spelling)
      if (spelling === id) written.push(id)
      for (const text of written) {
        const res = await server.request(target(text))
        assert.strictEqual(res.status, 200, `${target(text)}: ${res.text.slice(0, 200)}`)
        if (res.json === undefined || !res.json.next) assert.strictEqual(res.text, expected.text, target(text))
        else assert.deepStrictEqual(rowsOf(res.json), rowsOf(expected.json), target(text))
      }
    }
  }
})

test('every spelling in a subscription, of the URL and of an operation', async (t) => {
  const server = await started(t)
  const { root, author } = interesting()
  for (const [name, id] of [['author', author], ['root', root], ['dest', root]]) {
    const expected = (await server.pages(`/log?${name}=${escape(id)}&limit=1000`, 'messages')).map(({ key }) => key)
    assert.ok(expected.length > 0)
    const asked = connect(t, server.ws + '/live?subscribe=false')
    assert.strictEqual(await asked.status, 101)
    for (const [i, spelling] of spellings(id).entries()) {
      const socket = connect(t, `${server.ws}/live?${name}=${escape(spelling)}`)
      await socket.until((c) => c.synced(), 'sync')
      assert.deepStrictEqual(socket.records().map(({ key }) => key), expected, spelling)
      socket.socket.terminate()
      asked.send({ op: 'sub', id: 's' + i, [name]: spelling })
      await asked.until((c) => c.frames.some((frame) => frame.id === 's' + i && frame.sync), 'sync of ' + spelling)
      assert.deepStrictEqual(asked.frames.filter((frame) => frame.id === 's' + i && frame.key).map(({ key }) => key), expected, spelling)
    }
  }
})

test(`what ssb-uri2 or ssb-ref refuse is refused, seed ${seed}`, async (t) => {
  const server = await started(t)
  const random = makeRandom(seed)
  const { key, author } = interesting()
  const data = uriOf(key).split('/').pop()
  const bad = ['ssb:message/classic/', 'ssb:message/classic', `ssb:message/${data}`, `ssb:messages/classic/${data}`, `ssb:message/bendybutt-v1/${data}`, `ssb:feed/classic/${data}x`,
    `ssb:message/classic/${data.slice(1)}`, `sbb:message/classic/${data}`, `ssb:/message/classic/${data}`, `ssb:address/multiserver?multiserverAddress=${data}`, 'ssb:experimental?action=x', '%', '@alice', key.slice(0, -1), key + 'x', '#' + key.slice(1)]
  for (const text of bad) {
    const res = await server.request('/log?root=' + escape(text))
    assert.ok(res.status === 400 && res.json.type === '/problems/bad-id', `${text}: ${res.status}`)
  }
  // one kind is not the other
  assert.strictEqual((await server.request('/log?author=' + escape(uriOf(key)))).status, 400)
  assert.strictEqual((await server.request('/blobs/' + escape(uriOf(author)))).status, 400)
  // a changed character leads to another id, or to none as ssb-ref says
  for (let i = 0; i < 100; i++) {
    const at = random.below(key.length)
    const changed = key.slice(0, at) + random.pick([...'%@&AQgw=.+/-_ az09!']) + key.slice(at + 1)
    const { status } = await server.request('/log?dest=' + escape(changed))
    const known = ssbRef.isMsg(changed) || ssbRef.isFeed(changed) || ssbRef.isBlob(changed)
    if (known && changed[45] === '.') assert.strictEqual(status, 200, changed)
    if (!known && !/[-_ ]/.test(changed)) assert.strictEqual(status, 400, changed)
  }
})

// Every id in the envelope as a URI, and nothing else changed.
function inUris(value, name = '') {
  if (typeof value === 'string') return ssbRef.isMsg(value) || ssbRef.isFeed(value) || ssbRef.isBlob(value) ? uriOf(value) : value
  if (value === null || typeof value !== 'object' || name === 'value' || name === 'about') return value
  if (Array.isArray(value)) return value.map((item) => inUris(item))
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [inUris(key), inUris(item, key)]))
}

test('ids=uri: every id of an answer is a URI, but what people wrote is as they wrote it', async (t) => {
  const server = await started(t)
  const { key, root, author } = interesting()
  const targets = ['/log?limit=30', '/log/0', `/messages/${escape(key)}`, `/messages/${escape(root)}/thread`, `/messages/${escape(root)}/links?values=true`, '/feeds', `/feeds/${escape(author)}`,
    `/feeds/${escape(author)}/1`, '/links?limit=40', `/about/${escape(author)}`, `/about/${escape(author)}?by=all`, `/contacts/${escape(author)}`, `/contacts/${escape(author)}/follows`,
    `/graph?from=${escape(author)}`, `/votes/${escape(root)}`, '/threads', '/channels', '/types']
  let ids = 0
  for (const target of targets) {
    const plain = await server.get(target)
    const mark = target.includes('?') ? '&' : '?'
    const { text, json } = await server.request(`${target}${mark}ids=uri`)
    const { next: a, ...expected } = inUris(plain)
    const { next: b, ...got } = json
    assert.deepStrictEqual(got, expected, target)
    if (b) assert.match(b, /[?&]ids=uri/)
    ids += text.split('"ssb:').length - 1
    assert.deepStrictEqual(await server.get(`${target}${mark}ids=sigil`).then(rowsOf), rowsOf(plain))
    // a row of a stream is the same
    if (a === undefined) continue
    const stream = await server.request(`${target}${mark}ids=uri`, { headers: { Accept: 'application/x-ndjson' } })
    const member = Object.keys(got).find((name) => Array.isArray(got[name]) && !['heads', 'missing'].includes(name))
    assert.deepStrictEqual(stream.text.split('\n').filter(Boolean).map((line) => JSON.parse(line)).slice(0, got[member].length), got[member], target)
  }
  assert.ok(ids > 300, `${ids} URIs`)
  for (const bad of ['urls', '', 'URI']) assert.strictEqual((await server.request('/log?ids=' + bad)).json.type, '/problems/bad-parameter')
  // all pages of them
  const all = await server.pages('/log?ids=uri&limit=90', 'messages')
  assert.deepStrictEqual(all.map(({ seq, encrypted, ...record }) => record), records.map((record) => ({ ...record, key: uriOf(record.key) })))
})

test('ids=uri on /live, beside a subscription with sigils at the same place', async (t) => {
  const server = await started(t)
  const plain = connect(t, server.ws + '/live')
  const others = connect(t, server.ws + '/live?ids=uri')
  for (const socket of [plain, others]) await socket.until((c) => c.synced(), 'sync')
  assert.deepStrictEqual(plain.records().map(({ key }) => key), records.map(({ key }) => key))
  assert.deepStrictEqual(others.records().map(({ seq, encrypted, ...record }) => record), records.map((record) => ({ ...record, key: uriOf(record.key) })))
  // both stand at the head now: what comes is made for one of them first
  const message = new Author('uris, live').write({ type: 'post', text: 'for both' })
  assert.strictEqual((await server.post('/log', message.value)).status, 201)
  for (const socket of [plain, others]) await socket.until((c) => c.records().length === records.length + 1, 'the new one')
  assert.strictEqual(plain.records().at(-1).key, message.key)
  assert.strictEqual(others.records().at(-1).key, uriOf(message.key))
  others.send({ op: 'sub', id: 'a', ids: 'uri', type: 'vote' })
  await others.until((c) => c.frames.some((frame) => frame.id === 'a' && frame.sync), 'sync')
  assert.ok(others.frames.filter((frame) => frame.id === 'a' && frame.key).every(({ key }) => ssbUri.isClassicMessageSSBURI(key)))
  others.send({ op: 'sub', id: 'b', ids: 'x' })
  await others.until((c) => c.frames.some((frame) => frame.id === 'b' && frame.error), 'an error')
})
