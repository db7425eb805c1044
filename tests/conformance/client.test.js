'use strict'
// api-spec/client/sluice.js against the program: pages, streams, ids, errors, and subscriptions that outlive their socket.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const WebSocket = require('ws')
const ssbKeys = require('ssb-keys')
const ssbRef = require('ssb-ref')
const { ROOT, Server, folder, generate, importLines, until } = require('../support/sluice')
const { Author } = require('../support/author')

const FOLDER = path.join(ROOT, 'api-spec', 'client')
const load = () => import(pathToFileURL(path.join(FOLDER, 'sluice.js')).href)

const COUNT = 700
const lines = generate(COUNT, '--seed', '13', '--authors', '12', '--quirks')
const records = lines.map((line) => JSON.parse(line))

// A server with the first `count` messages, a client of it, and every socket that it opened.
async function start(t, { count = COUNT, args = [], options = {} } = {}) {
  const { Sluice } = await load()
  const server = await Server.start(t, ['--data', importLines(t, lines.slice(0, count)), ...args])
  const sockets = []
  class Counted extends WebSocket {
    constructor(...given) {
      super(...given)
      sockets.push(this)
    }
  }
  const client = new Sluice(server.url, { WebSocket: Counted, ...options })
  t.after(() => client.close())
  return { server, client, sockets }
}

async function take(iterable, count = Infinity) {
  const items = []
  if (count === 0) return items
  for await (const item of iterable) if (items.push(item) >= count) break
  return items
}

// Reads on its own: { items, over, sub }.
function follow(t, sub) {
  const state = { items: [], over: false, sub }
  const read = async () => { for await (const item of sub) state.items.push(item) }
  state.done = read().catch((err) => { state.error = err }).finally(() => { state.over = true })
  state.until = (count) => until(() => state.items.length >= count || state.error, () => `${count} items, there are ${state.items.length}`)
  t.after(() => sub.close())
  return state
}

const without = ({ seq, encrypted, ...record }) => record
const append = (client, from, to) => client.appendBatch(records.slice(from, to).map((record) => record.value))

// ---- what it is

const importsOf = (text) => [...text.matchAll(/^(?:import|export) (?:.* from )?'(.*)'$/gm)].map((match) => match[1])

test('it needs nothing but what a browser has', () => {
  const files = fs.readdirSync(FOLDER).filter((name) => name.endsWith('.js'))
  for (const name of files) {
    const text = fs.readFileSync(path.join(FOLDER, name), 'utf8')
    assert.deepStrictEqual(importsOf(text).filter((where) => !files.includes(where.replace(/^\.\//, '')) || !where.startsWith('./')), [], name)
    assert.doesNotMatch(text, /\bBuffer\b|\brequire\(|setImmediate|process\.nextTick/, name)
    assert.doesNotMatch(text, /;$/m, name)
  }
  const manifest = JSON.parse(fs.readFileSync(path.join(FOLDER, 'package.json'), 'utf8'))
  assert.deepStrictEqual([manifest.type, manifest.private, manifest.version, manifest.license, manifest.dependencies], ['module', false, '0.1.0', 'MIT', undefined])
  assert.deepStrictEqual([...manifest.files].sort(), [...files, 'README.md'].sort())
})

test('the page is given the same client, with everything that it imports', async (t) => {
  const { server } = await start(t, { count: 1 })
  const names = ['sluice.js']
  for (const name of names) {
    const { status, text } = await server.request('/web/' + name)
    assert.strictEqual(status, 200, name)
    assert.strictEqual(text, fs.readFileSync(path.join(FOLDER, name), 'utf8'), name)
    for (const where of importsOf(text)) if (!names.includes(path.basename(where))) names.push(path.basename(where))
  }
  assert.deepStrictEqual(names.sort(), fs.readdirSync(FOLDER).filter((name) => name.endsWith('.js') && name !== 'flumelog.js').sort())
})

// ---- lists

test('a list is the same over pages, in one stream, and as the server gives it', async (t) => {
  const { server, client } = await start(t)
  const expected = await server.pages('/log?limit=1000', 'messages')
  assert.deepStrictEqual(expected.map(without), records)
  assert.deepStrictEqual(await take(client.log()), expected)
  assert.deepStrictEqual(await client.log({}, { page: 33 }).array(), expected)
  assert.deepStrictEqual(await take(client.log().stream()), expected)
  assert.deepStrictEqual((await take(client.log({}, { page: 300 }).pages())).map((page) => page.messages.length), [300, 300, 100])
  assert.deepStrictEqual(await take(client.log({ reverse: true, limit: 250 })), [...expected].reverse().slice(0, 250))
  assert.deepStrictEqual(await take(client.log({ gt: expected[9].seq, lte: expected[19].seq })), expected.slice(10, 20))
  assert.deepStrictEqual(await take(client.log({ type: 'post', private: false })), await server.pages('/log?type=post&private=false', 'messages'))
})

test('limit is the number of rows in all', async (t) => {
  const { client } = await start(t)
  for (const limit of [1, 99, 100, 101, 200, 699, 700, 701]) {
    assert.strictEqual((await client.log({ limit }).array()).length, Math.min(limit, COUNT))
    assert.strictEqual((await take(client.log({ limit }).stream())).length, Math.min(limit, COUNT))
  }
})

test('URLs for feed readers lead to what they say', async (t) => {
  const { client } = await start(t)
  const post = records.find(({ value }) => value.content.type === 'post' && !value.content.root)
  for (const [url, type] of [[client.feedURL(post.value.author), 'atom+xml'], [client.feedURL(post.value.author, 'rss'), 'rss+xml'], [client.channelURL('#Garden', 'json-feed'), 'feed+json'], [client.threadURL(post.key), 'atom+xml']]) {
    const res = await fetch(url)
    assert.ok(res.status === 200 && res.headers.get('content-type').includes(type), url)
  }
})

test('blobs are added, read, and named by a URL', async (t) => {
  const { client } = await start(t, { count: 1 })
  const { ids } = await load()
  const bytes = new Uint8Array(70000).map((_, i) => i)
  const added = await client.addBlob(bytes)
  assert.deepStrictEqual([ids.kind(added.id), added.size], ['blob', 70000])
  assert.deepStrictEqual(new Uint8Array(await (await client.blob(added.id)).arrayBuffer()), bytes)
  assert.deepStrictEqual(new Uint8Array(await (await client.blob(ids.uri(added.id), { wait: 1 }, { headers: { Range: 'bytes=1-2' } })).arrayBuffer()), bytes.slice(1, 3))
  assert.strictEqual((await fetch(client.blobURL(added.id, { wait: 1 }))).status, 200)
  await assert.rejects(async () => client.blob('&' + 'A'.repeat(43) + '=.sha256'), { code: 'not-found', status: 404 })
})

test('every operation gives what the server answers', async (t) => {
  const { server, client } = await start(t)
  const [first] = await client.log({ limit: 1 }).array()
  const { key, value: { author } } = first
  const id = encodeURIComponent(key), feed = encodeURIComponent(author)
  const same = async (mine, target) => assert.deepStrictEqual(await mine, await server.get(target), target)
  await same(client.record(first.seq), `/log/${first.seq}`)
  await same(client.message(key), `/messages/${id}`)
  await same(client.feedMessage(author, 1), `/feeds/${feed}/1`)
  await same(client.about(author, { by: 'all' }), `/about/${feed}?by=all`)
  await same(client.whoami(), '/whoami')
  // however many there are, in their order
  const feeds = (await server.get('/feeds?limit=1000')).feeds.map((one) => one.id)
  const asked = Array.from({ length: 103 }, (_, i) => feeds[(i * 7) % feeds.length])
  const abouts = await client.abouts(asked, { by: 'latest' })
  assert.deepStrictEqual(abouts.map((one) => one.id), asked)
  assert.deepStrictEqual(abouts[3].about, (await server.get(`/about/${encodeURIComponent(asked[3])}?by=latest`)).about)
  assert.ok(abouts.every((one) => one.since === abouts[0].since && one.since >= first.seq))
  assert.deepStrictEqual(await client.abouts([]), [])
  await same(client.views(), '/views')
  assert.deepStrictEqual(await client.feeds().array(), await server.pages('/feeds', 'feeds'))
  assert.deepStrictEqual(await client.feed(author, { reverse: true }).array(), await server.pages(`/feeds/${feed}?reverse=true`, 'messages'))
  assert.deepStrictEqual(await client.types().array(), await server.pages('/types', 'types'))
  await same(client.thread(key), `/messages/${id}/thread`)
  assert.deepStrictEqual(await client.threads({ participating: author }).array(), await server.pages('/threads?participating=' + feed, 'threads'))
  await same(client.contacts(author), '/contacts/' + feed)
  assert.deepStrictEqual(await client.contactList(author, 'followedBy').array(), await server.pages(`/contacts/${feed}/followedBy`, 'contacts'))
  assert.deepStrictEqual(await client.graph(author, { hops: 2 }).array(), await server.pages(`/graph?from=${feed}&hops=2`, 'feeds'))
  assert.deepStrictEqual(await client.channels().array(), await server.pages('/channels', 'channels'))
  await same(client.channel('#Garden'), '/channels/garden')
  assert.deepStrictEqual(await client.subscribers('garden').array(), await server.pages('/channels/garden/subscribers', 'subscribers'))
  await same(client.votes(key), '/votes/' + id)
  assert.deepStrictEqual(await client.voters(key).array(), await server.pages('/votes/' + id, 'votes'))
  const links = await client.links().array()
  assert.ok(links.length > 100)
  assert.deepStrictEqual(links, await server.pages('/links', 'links'))
  assert.strictEqual(await client.countLinks(), links.length)
  const { dest } = links.find((link) => link.dest.startsWith('%'))
  assert.deepStrictEqual(await client.messageLinks(dest).array(), links.filter((link) => link.dest === dest))
  assert.strictEqual(await client.messageText(key), (await server.request(`/messages/${id}/raw`)).text)
  assert.strictEqual((await client.status()).log.count, COUNT)
  assert.deepStrictEqual(await client.rebuild('types'), { name: 'types', rebuild: true })
  const { head, durable } = (await server.get('/status')).log
  assert.deepStrictEqual(await client.head(), { since: head, durable })
})

test('a live list goes on with what is appended, until it is left', async (t) => {
  const { client } = await start(t, { count: 100 })
  const state = { items: [] }
  const control = new AbortController()
  const reading = (async () => { for await (const row of client.log({ live: true }, { signal: control.signal })) state.items.push(row) })()
  await until(() => state.items.length === 100, 'what is old')
  await append(client, 100, 130)
  await until(() => state.items.length === 130, 'what is new')
  control.abort()
  await assert.rejects(reading, { name: 'AbortError' })
  assert.deepStrictEqual(state.items.map(({ key }) => key), records.slice(0, 130).map(({ key }) => key))
})

test('at most so many requests are made at once', async (t) => {
  let now = 0, most = 0
  const counted = async (...given) => {
    most = Math.max(most, ++now)
    return fetch(...given).finally(() => now--)
  }
  const { client } = await start(t, { options: { requests: 3, fetch: counted } })
  const seqs = (await take(client.log().stream(), 200)).map((row) => row.seq)
  const rows = await Promise.all(seqs.map((seq) => client.record(seq)))
  assert.deepStrictEqual(rows.map((row) => row.seq), seqs)
  assert.ok(most === 3, `${most} at once`)
})

// ---- errors

test('a problem is an error with everything that the server said', async (t) => {
  const { client, server } = await start(t)
  const { SluiceError } = await load()
  const err = await client.record(5).catch((reason) => reason)
  assert.ok(err instanceof SluiceError && err instanceof Error)
  const { type, title, status, detail } = (await server.request('/log/5')).json
  assert.deepStrictEqual([err.type, err.title, err.status, err.detail, err.message, err.code], [type, title, status, detail, detail, 'not-a-record'])
  await assert.rejects(client.message('%' + 'A'.repeat(43) + '=.sha256'), { code: 'not-found', status: 404 })
  await assert.rejects(client.log({ limt: 3 }).array(), { code: 'bad-parameter', status: 400 })
  await assert.rejects(take(client.log({ limt: 3 }).stream()), { code: 'bad-parameter', status: 400 })
  assert.throws(() => client.message('%short'), { code: 'bad-id', status: 0 })
})

test('a message that is refused says which line and why', async (t) => {
  const { client } = await start(t, { count: 100 })
  const values = records.slice(100, 104).map((record) => record.value)
  values[2] = { ...values[2], timestamp: values[2].timestamp + 1 }
  const err = await client.appendBatch(values).catch((reason) => reason)
  assert.deepStrictEqual([err.code, err.status, err.index, typeof err.reason], ['invalid-message', 422, 2, 'string'])
  const done = await append(client, 100, 102)
  assert.deepStrictEqual([done.count, done.duplicates], [2, 0])
  assert.strictEqual((await append(client, 100, 102)).duplicates, 2)
  const one = await client.append(records[102].value, { durability: 'relaxed' })
  assert.strictEqual(one.key, records[102].key)
  assert.strictEqual((await client.record(one.seq, { after: one.seq })).key, one.key)
  assert.throws(() => client.append(undefined), TypeError)
})

test('a server that is not there is an error too, and reading is tried again', async (t) => {
  const { Sluice } = await load()
  const gone = new Sluice('http://127.0.0.1:1', { retries: 1, WebSocket })
  await assert.rejects(gone.status(), { name: 'SluiceError', code: 'unreachable', status: 0 })
  await assert.rejects(take(gone.live()), { code: 'unreachable', status: 0 })
  let failures = 2
  const shaky = (...given) => failures-- > 0 ? Promise.reject(new TypeError('fetch failed')) : fetch(...given)
  const { client } = await start(t, { options: { fetch: shaky } })
  assert.strictEqual((await client.status()).log.count, COUNT)
  failures = 1
  await assert.rejects(append(client, 0, 1), { code: 'unreachable' })
})

// A server that says so first, as often as `times`.
function refusing(times, status, retryAfter) {
  const asked = []
  const fetch = async () => {
    asked.push(Date.now())
    const headers = retryAfter === undefined ? {} : { 'Retry-After': retryAfter }
    return asked.length > times ? new Response('{"well":true}') : new Response('{"type":"/problems/any","status":' + status + '}', { status, headers })
  }
  return { asked, fetch }
}

test('reading is tried again when there is too much to do, not before the time that the server names', async () => {
  const { Sluice } = await load()
  const late = () => new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000).toUTCString()
  await Promise.all([[429, () => '1'], [503, () => '1'], [429, late], [429, () => '0'], [503, () => undefined], [429, () => undefined]].map(async ([status, after]) => {
    const named = after(), server = refusing(2, status, named)
    const began = Date.now()
    assert.deepStrictEqual(await new Sluice('http://x', { fetch: server.fetch }).status(), { well: true })
    assert.strictEqual(server.asked.length, 3)
    // timers are late, never early, but for the millisecond that they are rounded to
    if (named === '1') assert.ok(server.asked[1] - began >= 999 && server.asked[2] - server.asked[1] >= 999, `${status} ${server.asked}`)
    else if (named?.endsWith('GMT')) assert.ok(server.asked[1] >= Date.parse(named) - 1, `${named} ${server.asked}`)
  }))
})

test('what is of no use is not tried again: another answer, more than a minute, an append', async () => {
  const { Sluice } = await load()
  for (const [status, after, seconds] of [[429, '61', 61], [503, '3600', 3600], [404, '1', 1], [500, undefined, undefined]]) {
    const server = refusing(1, status, after)
    await assert.rejects(new Sluice('http://x', { fetch: server.fetch }).status(), (err) => err.status === status && err.retryAfter === seconds)
    assert.strictEqual(server.asked.length, 1)
  }
  const server = refusing(1, 429, '0')
  await assert.rejects(new Sluice('http://x', { fetch: server.fetch }).append({}), { status: 429, retryAfter: 0 })
  assert.strictEqual(server.asked.length, 1)
})

test('a subscription is asked for again when the server has too much of this client', async (t) => {
  const { server } = await start(t, { count: 5 })
  const { Sluice } = await load()
  const busy = refusing(2, 429, '0')
  class Refused extends EventTarget {
    constructor() {
      super()
      setImmediate(() => this.dispatchEvent(new Event('close'))) // once it is listened to
    }
  }
  // what the server says while it refuses the socket
  const Socket = function (...given) { return busy.asked.length < 2 ? new Refused() : new WebSocket(...given) }
  const client = new Sluice(server.url, { WebSocket: Socket, fetch: busy.fetch })
  t.after(() => client.close())
  assert.strictEqual((await take(client.live(), 5)).length, 5)
  assert.strictEqual(busy.asked.length, 2)
  const never = new Sluice(server.url, { WebSocket: Refused, fetch: refusing(9, 429, '0').fetch, retries: 2 })
  await assert.rejects(take(never.live()), { status: 429 })
})

test('a stream that ends with a problem gives its rows first', async () => {
  const { Sluice } = await load()
  const problem = { type: '/problems/internal', title: 'Something went wrong inside', status: 500, detail: 'the disk' }
  const body = (text) => async () => new Response(text)
  const rows = '{"seq":0,"value":"ü"}\n\n{"seq":17,"value":{"error":1}}\n'
  const failed = new Sluice('http://x', { fetch: body(rows + JSON.stringify({ error: problem }) + '\n') })
  const seen = []
  await assert.rejects(async () => { for await (const row of failed.log().stream()) seen.push(row) }, { ...problem, code: 'internal' })
  assert.deepStrictEqual(seen, [{ seq: 0, value: 'ü' }, { seq: 17, value: { error: 1 } }])
  const cut = new Sluice('http://x', { fetch: body(rows + '{"seq":40,"val') })
  await assert.rejects(take(cut.log().stream()), { code: 'unreachable' })
  const plain = new Sluice('http://x', { fetch: async () => new Response('no JSON', { status: 502 }), retries: 0 })
  await assert.rejects(plain.status(), { status: 502, code: 'http-502' })
})

test('rows come whole, wherever the network parts them', async () => {
  const { Sluice } = await load()
  const rows = Array.from({ length: 50 }, (_, i) => ({ seq: i, value: 'ü€😀'.repeat(i) }))
  const bytes = new TextEncoder().encode(rows.map((row) => JSON.stringify(row) + '\n').join(''))
  for (const size of [1, 2, 3, 7, 64, 1000]) {
    const stream = new ReadableStream({
      start(control) {
        for (let at = 0; at < bytes.length; at += size) control.enqueue(bytes.slice(at, at + size))
        control.close()
      }
    })
    const client = new Sluice('http://x', { fetch: async () => new Response(stream) })
    assert.deepStrictEqual(await take(client.log().stream()), rows)
  }
})

test('it publishes in the owner\'s name', async (t) => {
  const dir = folder(t)
  const [secret, tokens] = ['secret', 'tokens'].map((name) => path.join(dir, name))
  const keys = ssbKeys.loadOrCreateSync(secret)
  fs.writeFileSync(tokens, 'the-token-of-the-owner read publish\n', { mode: 0o600 })
  const server = await Server.start(t, ['--data', path.join(dir, 'data'), '--publish', '--sole-signer', '--secret', secret, '--token-file', tokens])
  const { Sluice } = await load()
  const client = new Sluice(server.url, { token: 'the-token-of-the-owner' })
  t.after(() => client.close())
  await assert.rejects(client.publish({ type: 'post', text: 'one' }), { code: 'first-message', status: 428 })
  const one = await client.publish({ type: 'post', text: 'one' }, { head: null })
  assert.strictEqual(one.value.content.text, 'one')
  const two = await client.publish({ type: 'post', text: 'two' }, { head: one.key, recps: [keys.id] })
  assert.strictEqual(ssbKeys.unbox(two.value.content, keys).text, 'two')
  await assert.rejects(client.publish({ type: 'post', text: 'two' }, { head: one.key }), { code: 'stale-head' })
  await assert.rejects(client.publish(), { code: 'bad-request', status: 400 })
})

test('an append can depend on where the feed is', async (t) => {
  const { client } = await start(t)
  const author = new Author('client')
  const first = author.write({ type: 'post', text: 'first' })
  await assert.rejects(client.append(first.value, { head: first.key }), { code: 'stale-head', status: 412 })
  assert.strictEqual((await client.append(first.value, { head: null })).key, first.key)
  const second = author.write({ type: 'post', text: 'second' })
  await assert.rejects(client.append(second.value, { head: null }), { code: 'stale-head', status: 412 })
  assert.strictEqual((await client.append(second.value, { head: first.key })).key, second.key)
})

test('with a token everything works, without it nothing does', async (t) => {
  const file = path.join(folder(t), 'tokens')
  fs.writeFileSync(file, 'verysecretverysecretverysecret12\n', { mode: 0o600 })
  const { client, server } = await start(t, { args: ['--token-file', file], options: { token: 'verysecretverysecretverysecret12' } })
  assert.strictEqual((await client.status()).log.count, COUNT)
  assert.strictEqual((await take(client.live(), 20)).length, 20)
  const { Sluice } = await load()
  const stranger = new Sluice(server.url, { WebSocket })
  await assert.rejects(stranger.status(), { code: 'token-needed', status: 401 })
  await assert.rejects(take(stranger.live()), { code: 'token-needed', status: 401 })
})

// ---- ids

test('ids are understood as the server understands them', async (t) => {
  const { client } = await start(t, { count: 50 })
  const { ids } = await load()
  for (const record of records.slice(0, 50)) {
    const raw = record.key.slice(1, -7)
    const safe = raw.replaceAll('+', '-').replaceAll('/', '_')
    const forms = [record.key, encodeURIComponent(record.key), '%' + encodeURIComponent(record.key.slice(1)), ` ${record.key}\n`, `%${safe}.sha256`, '%' + safe.slice(0, -1),
      record.key.replaceAll('+', ' '), 'ssb:message/classic/' + safe, 'ssb:message/sha256/' + safe.slice(0, -1), 'ssb://message/classic/' + safe, 'ssb:message:classic:' + safe,
      `ssb:message/classic/${safe}?x=1#y`, encodeURIComponent('ssb:message/classic/' + safe)]
    for (const form of forms) {
      assert.strictEqual(ids.text(form), record.key, form)
      assert.ok(ids.isMessage(form) && ids.equal(form, record.key))
    }
    assert.strictEqual((await client.message(forms[Number(raw.charCodeAt(0)) % forms.length])).key, record.key)
    assert.strictEqual(ids.text(ids.uri(record.key)), record.key)
    assert.strictEqual((await client.message(ids.uri(record.key))).key, record.key)
    assert.strictEqual(ids.text(ids.uri(record.value.author)), record.value.author)
  }
})

test('what is an id is what ssb-ref says', async () => {
  const { ids } = await load()
  const body = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'
  for (const sigil of ['%', '@', '&', '#', '']) {
    for (const suffix of ['.sha256', '.ed25519', '.cloaked', '.sha25', '.SHA256', '.toString']) {
      for (const text of [body + '=', body.slice(1) + '=', body + '==', body.slice(0, -1) + '9=', body.slice(0, -1) + '*=']) {
        const id = sigil + text + suffix
        const said = ssbRef.isMsg(id) ? 'message' : ssbRef.isFeed(id) ? 'feed' : ssbRef.isBlob(id) ? 'blob' : ids.kind(id) === 'cloaked' ? 'cloaked' : null
        assert.strictEqual(ids.kind(id) === 'cloaked' ? 'cloaked' : ids.kind(id), said, id)
      }
    }
  }
  assert.strictEqual(ids.kind(`%${body}=.cloaked`), 'cloaked')
  assert.strictEqual(ids.uri(`&${body}=.sha256`), `ssb:blob/classic/${body}=`)
  for (const none of ['', null, undefined, 7, {}, '%', '%zz', 'ssb:message/classic/', 'ssb:address/x/y']) assert.strictEqual(ids.parse(none), null)
  assert.throws(() => ids.text('nobody'), { name: 'SluiceError', code: 'bad-id' })
})

// ---- live

test('several subscriptions share one socket, and none of them hears what is another\'s', async (t) => {
  const { client, sockets, server } = await start(t, { count: 400 })
  const author = records[0].value.author
  const filters = { all: {}, posts: { type: 'post' }, author: { author }, fresh: { old: false }, some: { limit: 30 }, old: { live: false, type: 'vote' }, back: { reverse: true, live: false, limit: 11 } }
  const states = Object.fromEntries(Object.entries(filters).map(([name, query]) => [name, follow(t, client.live(query))]))
  await states.all.until(400)
  await until(() => states.some.over && states.old.over && states.back.over, 'the ends')
  await until(() => states.fresh.sub.since !== null, 'the place of what is new')
  await append(client, 400, COUNT)
  await states.all.until(COUNT)
  await states.fresh.until(300)
  const all = await server.pages('/log?limit=1000', 'messages')
  const posts = await server.pages('/log?type=post', 'messages'), authors = await server.pages(`/log?author=${encodeURIComponent(author)}`, 'messages')
  await states.posts.until(posts.length)
  await states.author.until(authors.length)
  assert.deepStrictEqual(states.all.items, all)
  assert.deepStrictEqual(states.posts.items, posts)
  assert.deepStrictEqual(states.author.items, authors)
  assert.deepStrictEqual(states.fresh.items, all.slice(400))
  assert.deepStrictEqual(states.some.items, all.slice(0, 30))
  assert.deepStrictEqual(states.old.items, (await server.pages('/log?type=vote', 'messages')).filter((row) => row.seq <= all[399].seq))
  assert.deepStrictEqual(states.back.items, all.slice(389, 400).reverse())
  assert.strictEqual(sockets.length, 1)
  for (const state of Object.values(states)) state.sub.close()
  await until(() => sockets[0].readyState === WebSocket.CLOSED, 'the socket to close')
})

test('sync comes once, between what is old and what is new', async (t) => {
  const { client, sockets } = await start(t, { count: 60 })
  const state = follow(t, client.live({}, { sync: true }))
  await state.until(61)
  assert.deepStrictEqual(state.items[60], { sync: true, since: state.items[59].seq })
  sockets[0].terminate()
  await until(() => sockets.length === 2, 'the next socket')
  await append(client, 60, 70)
  await state.until(71)
  assert.deepStrictEqual(state.items.map((item) => item.sync || item.key), [...records.slice(0, 60).map(({ key }) => key), true, ...records.slice(60, 70).map(({ key }) => key)])
})

test('who asked for it is told how the socket is', async (t) => {
  const states = []
  const { client, sockets } = await start(t, { count: 10, options: { connection: (state) => states.push(state) } })
  assert.deepStrictEqual(states, [])
  const all = follow(t, client.live())
  await all.until(10)
  assert.deepStrictEqual(states, ['opening', 'open'])
  sockets.at(-1).terminate()
  await until(() => states.at(-1) === 'open' && states.length === 5, 'the next socket')
  all.sub.close()
  assert.deepStrictEqual(states, ['opening', 'open', 'waiting', 'opening', 'open', 'closed'])
})

test('subscriptions go on from their places when the socket breaks or the server ends', async (t) => {
  const { client, sockets, server } = await start(t, { count: 100 })
  server.args.splice(server.args.indexOf('--listen') + 1, 1, `127.0.0.1:${server.port}`)
  const all = follow(t, client.live()), fresh = follow(t, client.live({ old: false }))
  const few = follow(t, client.live({ old: false, limit: 555 })), posts = follow(t, client.live({ type: 'post' }))
  await until(() => [fresh, few].every((state) => state.sub.since !== null), 'the places')
  for (let at = 100, round = 0; at < COUNT; at += 30, round++) {
    if (round % 7 === 3) {
      await server.stop(round % 2 ? 'SIGTERM' : 'SIGKILL')
      await server.launch()
    } else {
      const before = sockets.length
      sockets.at(-1).terminate()
      if (round % 2) await until(() => sockets.length > before, 'the next socket')
    }
    await append(client, at, Math.min(at + 30, COUNT))
  }
  await all.until(COUNT)
  await fresh.until(COUNT - 100)
  await until(() => few.over, 'the end')
  const rows = await server.pages('/log?limit=1000', 'messages'), expected = await server.pages('/log?type=post', 'messages')
  await posts.until(expected.length)
  assert.deepStrictEqual(all.items, rows)
  assert.deepStrictEqual(fresh.items, rows.slice(100))
  assert.deepStrictEqual(few.items, rows.slice(100, 655))
  assert.deepStrictEqual(posts.items, expected)
  assert.ok(sockets.length > 5, `${sockets.length} sockets`)
})

// What a list says now, by rows that were followed: { sync: false } begins it anew.
function folded(items, key) {
  const state = new Map()
  for (const item of items) {
    if (item.sync === false) state.clear()
    else if (item.removed) state.delete(item[key])
    else if (!item.sync) state.set(item[key], item)
  }
  return [...state.values()].map((row) => JSON.stringify(row)).sort()
}

test('lists are followed beside records, and go on when the socket breaks', async (t) => {
  const { client, sockets, server } = await start(t, { count: 200 })
  const { author } = records[0].value
  const since = (await server.get('/types')).since
  const subs = {
    types: [client.types(), 'types', 'type'], feeds: [client.feeds({ limit: 100000 }), 'feeds', 'id'], threads: [client.threads(), 'threads', 'id'], channels: [client.channels(), 'channels', 'channel'],
    graph: [client.graph(author, { hops: 4 }), 'feeds', 'id'], votes: [client.voters(records[0].key), 'votes', 'author']
  }
  const states = Object.fromEntries(Object.entries(subs).map(([name, [rows]]) => [name, follow(t, rows.live({}, { sync: true }))]))
  const log = follow(t, client.live()), few = follow(t, client.live({ list: '/types?limit=7', since })), behind = follow(t, client.live({ list: '/types', since }))
  await until(() => Object.values(states).every(({ items }) => items.some((item) => item.sync)), 'sync')
  assert.strictEqual(behind.items.length, 0)
  for (let at = 200; at < 400; at += 20) {
    await append(client, at, at + 20)
    if (at % 60 !== 0) continue
    const before = sockets.length
    sockets.at(-1).terminate()
    await until(() => sockets.length > before, 'the next socket')
  }
  for (const [name, [rows, , key]] of Object.entries(subs)) {
    const wanted = (await rows.array()).map((row) => JSON.stringify(row)).sort()
    await until(() => JSON.stringify(folded(states[name].items, key)) === JSON.stringify(wanted), () => `${name}: ${folded(states[name].items, key).length} rows of ${wanted.length}, ${states[name].error}`)
  }
  await log.until(400)
  await until(() => few.over, 'seven rows')
  assert.strictEqual(few.items.length, 7)
  const types = (await server.get('/types?limit=1000')).types.filter(({ seq }) => seq > since).map((row) => JSON.stringify(row)).sort()
  await until(() => JSON.stringify(folded(behind.items, 'type')) === JSON.stringify(types), 'what changed')
  // only a graph has to come again
  for (const [name, { items }] of Object.entries(states)) assert.strictEqual(items.some((item) => item.sync === false), name === 'graph', name)
  await assert.rejects(take(client.live({ list: '/threads?nonsense=1' })), { code: 'bad-parameter', status: 400 })
  await assert.rejects(take(client.live({ list: '/status' })), { code: 'bad-parameter', status: 400 })
})

test('a slow reader gets everything once, and little is fetched ahead of it', async (t) => {
  const { client, sockets } = await start(t)
  const sub = client.live({ live: false }, { buffer: 20000 })
  const quick = follow(t, client.live())
  await quick.until(COUNT)
  await until(() => sub.paused, 'the subscription to be given up')
  const seqs = []
  for await (const row of sub) {
    seqs.push(row.seq)
    if (seqs.length % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.deepStrictEqual(seqs, quick.items.map((row) => row.seq))
  assert.strictEqual(sockets.length, 1)
})

test('a subscription that the server refuses fails alone', async (t) => {
  const { client, sockets } = await start(t, { args: ['--subscriptions-max', '2'] })
  const first = follow(t, client.live())
  await assert.rejects(take(client.live({ typ: 'post' })), { code: 'bad-parameter', status: 400 })
  await assert.rejects(take(client.live({ gt: 5 })), { code: 'not-a-record' })
  const second = follow(t, client.live())
  await second.until(COUNT)
  await assert.rejects(take(client.live()), { code: 'too-many', status: 429 })
  await first.until(COUNT)
  assert.deepStrictEqual([first.over, second.over, sockets.length], [false, false, 1])
})

test('leaving the loop, close() and a signal end a subscription', async (t) => {
  const { client, sockets } = await start(t)
  assert.strictEqual((await take(client.live(), 5)).length, 5)
  await until(() => sockets[0].readyState === WebSocket.CLOSED, 'the socket to close')
  const control = new AbortController()
  const quiet = [client.live({ old: false }), client.live({ old: false }, { signal: control.signal }), client.live({ old: false })]
  const ends = quiet.map((sub) => sub.next())
  quiet[0].close()
  control.abort()
  client.close()
  for (const end of ends) assert.deepStrictEqual(await end, { done: true, value: undefined })
  assert.deepStrictEqual(await take(client.live({}, { signal: AbortSignal.abort() })), [])
  // and the client can be used again
  assert.strictEqual((await take(client.live(), 3)).length, 3)
})

test('members of a record that are named like those of a frame confuse nobody', async (t) => {
  const { client } = await start(t, { count: 0, args: ['--accept', 'any'] })
  const values = [{ key: 1, seq: 999999, id: 's1' }, { key: 2, id: 's2', closed: true }, { key: 3, sync: true, since: 5 }, { key: 4, error: { status: 500 } }]
  const states = [follow(t, client.live()), follow(t, client.live())]
  const { since } = await client.appendBatch(values)
  const rows = await take(client.log().stream())
  assert.strictEqual(rows.at(-1).seq, since)
  for (const state of states) {
    await state.until(4)
    assert.deepStrictEqual(state.items, rows)
    assert.deepStrictEqual(state.items.map(({ seq, ...row }) => row.value ?? row), values)
    assert.ok(state.items[0].seq < since)
  }
})

test('it finds a WebSocket by itself, and says so if there is none', async (t) => {
  const { server } = await start(t, { count: 20 })
  const { Sluice } = await load()
  assert.strictEqual((await take(new Sluice(server.url).live(), 20)).length, 20)
  // as in Node before 22, without npm ws
  const { spawnSync } = require('node:child_process')
  const script = `import(${JSON.stringify(pathToFileURL(path.join(FOLDER, 'sluice.js')).href)}).then(async ({ Sluice }) => {
    delete globalThis.WebSocket
    try { for await (const row of new Sluice(${JSON.stringify(server.url)}).live()) console.log(row) } catch (err) { console.log(err.code) }
  })`
  const { stdout } = spawnSync(process.execPath, ['-e', script], { cwd: folder(t), env: { ...process.env, NODE_PATH: '' }, encoding: 'utf8' })
  assert.strictEqual(stdout, 'no-websocket\n')
})
