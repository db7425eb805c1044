'use strict'
// What is private: npm ssb-keys boxes and opens, and a server over a log in which nothing was ever encrypted for the owner says what he has to see. For everybody else
// a server with the secret answers as one without, byte for byte.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const ssbKeys = require('ssb-keys')
const { ROOT, Server, folder, until } = require('../support/sluice')
const { Writer, written } = require('../support/offset_log')
const { PrivateLog, keysOf, secretFile } = require('../support/private_log')
const { connect } = require('../support/socket')

const OWNER = 'the-token-of-the-owner-himself'
const READER = 'the-token-of-one-who-may-read'
const bearer = (token) => token ? { Authorization: 'Bearer ' + token } : {}
const owner = bearer(OWNER)
const TOKENS = `${OWNER} private\n${READER} read\n`

function file(t, name, text, mode = 0o600) {
  const where = path.join(folder(t), name)
  fs.writeFileSync(where, text, { mode })
  return where
}

function made(seed, count) {
  const log = new PrivateLog(seed)
  for (let i = 0; i < count; i++) log.write()
  log.odd()
  return log
}

// A server that follows the file; `keys`: with the secret of these.
async function follow(t, where, { keys, tokens = true, views = folder(t), args = [] } = {}) {
  const all = ['--follow', where, '--views', views, ...args]
  if (tokens) all.push('--token-file', file(t, 'tokens', TOKENS))
  if (keys) all.push('--secret', file(t, 'secret', secretFile(keys), 0o400))
  const server = await Server.start(t, all)
  server.views = views
  /* what the views say of themselves is the same once they are built */
  for (const headers of [{}, owner]) await until(async () => (await server.request('/readyz', { headers })).status === 200, 'the views')
  return server
}

const logFile = (t, lines) => written(t, path.join(folder(t), 'log.offset'), 32, lines)

// ---- a public answer never holds a private fact ----------------------------------------------------------------------

const enc = encodeURIComponent

// Targets of every route, with filters that hit what is public, what is private, and nothing.
function targets(log) {
  const { records, people, roots } = log
  const secret = records.filter((r) => r.secret)
  const one = secret.find((r) => r.opened.value.content.type === 'post')
  const reply = secret.find((r) => r.opened.value.content.root)
  const open = records.find((r) => !r.secret && !r.closed)
  const ids = [open.key, one.key, reply.key, records.find((r) => r.closed).key, roots.open[0], roots.secret[0], '%' + 'A'.repeat(43) + '=.sha256']
  const feeds = people.slice(0, 3).map((person) => person.id)
  const out = ['/log', '/log?reverse=true&limit=7', '/log?private=true', '/log?private=false&reverse=true', '/log?type=whisper', '/log?type=post&private=true',
    '/log?channel=gardenshush', '/log?channel=gardens', `/log?dest=${enc(one.key)}`, `/log?root=${enc(roots.secret[0])}`, `/log?root=${enc(roots.open[0])}`,
    `/log?author=${enc(one.author)}&type=post`, '/log?type=no-such&limit=3', '/log?limit=1001', '/log?gt=3', '/log?bad=1', '/log/0', '/log/1',
    '/feeds', '/feeds?reverse=true&limit=2', '/types', '/types?limit=1', '/channels', '/channels/gardens', '/channels/gardenshush', '/channels/gardens?format=atom', '/channels/gardenshush?format=atom', '/blobs/' + enc('&' + 'A'.repeat(43) + '=.sha256'),
    '/channels/gardens/subscribers', '/channels/gardenshush/subscribers', '/threads', '/threads?type=whisper', '/threads?channel=gardenshush', '/threads?private=true', '/threads?private=false', '/views', '/limits', '/whoami', `/about?id=${enc(feeds[0])}&id=${enc(one.key)}&id=${enc(feeds[1])}`,
    '/search?q=quoted', '/search?q=hush*', '/search?q=loud*&order=newest&limit=3', '/search?q=quoted&order=oldest', '/search?q=type:whisper+quoted', '/search?q=channel:gardenshush+quoted', '/log?q=hush*', '/log?q=quoted&reverse=true',
    '/feeds?name=hush', '/feeds?name=loud', '/readyz', '/healthz', '/nowhere', '/links?limit=5', '/openapi.yaml', '/asyncapi.yaml', '/', '/web/main.js']
  for (const id of ids) {
    for (const end of ['', '/raw', '/links', '/thread', '?ids=uri', '/thread?ids=uri', '/thread?format=json-feed']) out.push(`/messages/${enc(id)}${end}`)
    out.push(`/votes/${enc(id)}`, `/about/${enc(id)}`, `/links?dest=${enc(id)}`, `/links?dest=${enc(id)}&count=true`)
  }
  for (const id of feeds) {
    out.push(`/feeds/${id}`, `/feeds/${id}?reverse=true&limit=3`, `/feeds/${id}/2`, `/about/${id}`, `/about/${id}?by=all`, `/contacts/${id}`, `/contacts/${id}/follows`,
      `/contacts/${id}/followedBy`, `/contacts/${id}/blocks`, `/contacts/${id}/blockedBy`, `/contacts/${id}/friends`, `/contacts/${id}?count=true`, `/log?contact=${enc(id)}`, `/links?from=${enc(id)}&hops=1`, `/graph?from=${enc(id)}&hops=3`, `/threads?author=${enc(id)}`, `/threads?participating=${enc(id)}`,
      `/threads?followed=${enc(id)}`, `/log?from=${enc(id)}&hops=2`, `/threads?from=${enc(id)}&hops=1`, `/feeds/${id}?ids=uri`, `/feeds/${id}?format=atom`, `/feeds/${id}?format=rss`, `/links?source=${enc(id)}`, `/links?dest=${enc(id)}&rel=mentions`)
  }
  return out
}

// Rows as lines and as events.
const streamed = ['/log', '/log?type=post', '/log?private=true', '/log?q=hush*', '/feeds', '/feeds?name=hush', '/types', '/threads', '/channels', '/links', '/search?q=hush*', '/channels/gardens/subscribers']

// A new route is in these tests, or they fail.
const routes = fs.readFileSync(path.join(ROOT, 'server', 'routes.def'), 'utf8').split('\n').map((line) => /^(?:ROUTE|LIST)\(GET, "([^"]+)"/.exec(line)?.[1])
  .filter((route) => route && !['/status', '/metrics'].includes(route)) // these count what is asked, too

function hitsAllRoutes(all) {
  for (const route of routes) {
    const pattern = new RegExp('^' + route.replace(/\{[^}]+\}/g, '[^?]+') + '(\\?|$)')
    assert.ok(all.some((target) => pattern.test(target)), `nothing is asked of ${route}`)
  }
}

// One exchange on a connection that others use as well: status, all fields but Date as they came, body.
function ask(server, agent, target, headers = {}) {
  return new Promise((resolve, reject) => {
    const req = http.request({ host: '127.0.0.1', port: server.port, path: target, headers, agent }, (res) => {
      const chunks = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('end', () => {
        const fields = []
        for (let i = 0; i < res.rawHeaders.length; i += 2) if (res.rawHeaders[i] !== 'Date') fields.push(`${res.rawHeaders[i]}: ${res.rawHeaders[i + 1]}`)
        resolve({ status: res.statusCode, fields, body: Buffer.concat(chunks).toString('utf8'), tag: res.headers.etag })
      })
      res.on('error', reject)
    })
    req.on('error', reject)
    req.end()
  })
}

const agents = (t, count) => Array.from({ length: count }, () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  return agent
})

function noSecret(log, text, what) {
  for (const { mark, secret } of log.marks) assert.ok(!secret || !text.includes(mark), `${what} holds ${mark}`)
}

// The same requests of a public reader to a server with the secret and to one without, the owner in between and on the same connection.
async function compare(t, log, withSecret, without, token, scoped = true) {
  const [shared, other] = agents(t, 2)
  const tags = []
  let seen = 0
  const same = async (target, headers) => {
    const theirs = { ...bearer(token), ...headers }
    const his = await ask(withSecret, shared, target, { ...owner, ...headers })
    const [a, b] = await Promise.all([ask(withSecret, shared, target, theirs), ask(without, other, target, theirs)])
    assert.deepStrictEqual(a, b, target)
    noSecret(log, a.body + a.fields.join('\n'), target)
    /* what a feed reader keeps is public, whoever fetches it */
    if (/format=/.test(target)) noSecret(log, his.body, target)
    if (his.status === 200 && his.tag && !/(yaml|main\.js)$|^\/$|format=/.test(target)) tags.push([target, his.tag, a.tag])
    seen += log.marks.some(({ mark, secret }) => secret && his.body.includes(mark)) ? 1 : 0
    return { his, theirs: a }
  }
  const all = targets(log)
  hitsAllRoutes(all)
  for (const target of all) {
    const { his, theirs } = await same(target)
    if (!theirs.tag || theirs.status !== 200) continue
    assert.strictEqual((await same(target, { 'If-None-Match': theirs.tag })).theirs.status, 304, target)
    if (his.tag !== theirs.tag) assert.strictEqual((await same(target, { 'If-None-Match': his.tag })).theirs.status, 200, target)
  }
  for (const accept of ['application/x-ndjson', 'text/event-stream'])
    for (const target of streamed) await same(target, { Accept: accept })
  for (const headers of [{ Host: 'evil.example' }, { Origin: 'https://evil.example' }, { Authorization: 'Bearer wrong' }, { Accept: 'image/png' }]) await same('/log?private=true', headers)
  /* neither one's tag is good for the other */
  for (const [target, his, theirs] of tags) assert.strictEqual(his === theirs, !scoped, target)
  return { asked: all.length, seen }
}

// What counts time and work differs by chance; that it is there, and what else it says, does not.
const steady = (text) => text.replace(/"(uptime|eta)":[\d.-]+/g, '"$1":0').replace(/"(counters)":\{[^}]*\}/g, (all) => all.replace(/:\d+/g, ':0'))
  .replace(/^(sluice_(?!log|view_since|view_ready)\S+) \S+$/gm, '$1 0')

test('a reader without the scope cannot tell a server with the secret from one without', async (t) => {
  const log = made(11, 260)
  const where = await logFile(t, PrivateLog.lines(log.records, 'boxed'))
  const withSecret = await follow(t, where, { keys: log.keys })
  const without = await follow(t, where)
  for (const token of [READER, undefined]) {
    const { asked, seen } = await compare(t, log, withSecret, without, token)
    assert.ok(asked > 100 && seen > 40, `${asked} asked, the owner saw ${seen}`)
  }
  for (const target of ['/status', '/metrics']) {
    const [a, b] = await Promise.all([withSecret, without].map((server) => server.request(target, { headers: bearer(READER) })))
    assert.strictEqual(steady(a.text), steady(b.text))
  }
  /* a server without a secret has nothing to show to the scope either */
  for (const target of ['/log?limit=1000', '/types']) {
    const [a, b] = await Promise.all([OWNER, READER].map((token) => without.request(target, { headers: bearer(token) })))
    assert.deepStrictEqual([a.text, a.headers.etag], [b.text, b.headers.etag])
  }
})

test('without tokens nobody sees what is private, nor with --public', async (t) => {
  const log = made(12, 120)
  const where = await logFile(t, PrivateLog.lines(log.records, 'boxed'))
  for (const args of [[], ['--public']]) {
    const withSecret = await follow(t, where, { keys: log.keys, tokens: false, args })
    const without = await follow(t, where, { tokens: false, args })
    const { seen } = await compare(t, log, withSecret, without, undefined, false)
    assert.strictEqual(seen, 0)
    /* nothing is opened that nobody may see */
    assert.ok(!fs.existsSync(path.join(withSecret.views, 'private')))
  }
})

test('many at once, the owner among them, are each given their own', async (t) => {
  const log = made(13, 200)
  const where = await logFile(t, PrivateLog.lines(log.records, 'boxed'))
  const server = await follow(t, where, { keys: log.keys })
  const asked = targets(log).filter((target) => !/^\/(views|readyz|limits|healthz)/.test(target))
  const [first] = agents(t, 1)
  const wanted = {}
  for (const token of [OWNER, READER]) {
    wanted[token] = []
    for (const target of asked) {
      const given = await ask(server, first, target, bearer(token))
      given.fields.sort()
      wanted[token].push(given)
    }
  }
  await Promise.all(agents(t, 8).map(async (agent, i) => {
    for (let k = 0; k < asked.length; k++) {
      const token = (i + k) % 2 ? OWNER : READER
      const at = (k * 7 + i * 13) % asked.length
      const given = await ask(server, agent, asked[at], bearer(token))
      given.fields.sort() /* an answer that is made ready by an earlier one has them in another order */
      assert.deepStrictEqual(given, wanted[token][at], asked[at])
    }
  }))
})

// ---- what comes ------------------------------------------------------------------------------------------------------

// A log that somebody writes, and two servers that follow it.
async function growing(t, seed) {
  const log = made(seed, 60)
  const where = path.join(folder(t), 'log.offset')
  const writer = new Writer(t, where, 32)
  await writer.append(PrivateLog.lines(log.records, 'boxed'))
  return { log, writer, withSecret: await follow(t, where, { keys: log.keys }), without: await follow(t, where) }
}

async function grow(log, writer) {
  const before = log.records.length
  for (let i = 0; i < 25; i++) log.write()
  await writer.append(PrivateLog.lines(log.records.slice(before), 'boxed'))
}

test('live, each is given what he may see: sockets at the same place, streams, filters', async (t) => {
  const { log, writer, withSecret, without } = await growing(t, 14)
  const readers = []
  for (const query of ['', '?old=false', '?type=post', '?private=true', '?type=whisper&old=false']) {
    for (const [server, token] of [[withSecret, READER], [without, READER], [withSecret, OWNER], [withSecret, READER], [withSecret, OWNER]]) {
      const client = connect(t, server.ws + '/live' + query, { headers: bearer(token) })
      assert.strictEqual(await client.status, 101)
      readers.push({ query, server, token, client, texts: () => client.frames.map((frame) => JSON.stringify(frame)) })
    }
  }
  const line = async (server, token, accept) => {
    const stream = await server.lines('/log?live=true', { Accept: accept, ...bearer(token) })
    t.after(() => stream.close())
    return stream
  }
  const streams = {}
  for (const accept of ['application/x-ndjson', 'text/event-stream'])
    streams[accept] = await Promise.all([line(withSecret, READER, accept), line(without, READER, accept), line(withSecret, OWNER, accept)])
  for (const { client } of readers) await client.until(() => client.synced(), 'what is old')
  for (let batch = 0; batch < 8; batch++) await grow(log, writer)
  /* what everybody is given comes last */
  const post = { type: 'post', text: 'the end' }, end = [log.add(log.people[2], post, post, false)]
  const whisper = { type: 'whisper', text: 'the end' }
  end.push(log.add(log.people[2], whisper, whisper, false), log.add(log.people[2], {}, ssbKeys.box('nothing', [log.people[3].id]), false))
  await writer.append(PrivateLog.lines(end, 'boxed'))
  const last = (query) => end[/type=post/.test(query) ? 0 : /whisper/.test(query) ? 1 : 2].key
  for (const { query, client } of readers) await client.until(() => client.frames.at(-1)?.key === last(query), 'the end of ' + query)
  for (const query of new Set(readers.map((one) => one.query))) {
    const [a, b, his, again, hisAgain] = readers.filter((one) => one.query === query)
    assert.deepStrictEqual(a.texts(), b.texts(), query)
    assert.deepStrictEqual(a.texts(), again.texts(), query)
    assert.deepStrictEqual(his.texts(), hisAgain.texts(), query)
    noSecret(log, a.texts().join('\n'), query)
    const type = /type=(\w+)/.exec(query)?.[1]
    const wanted = log.records.slice(/old=false/.test(query) ? 67 : 0).filter((r) => (!type || r.opened.value.content.type === type) && (!/private/.test(query) || r.secret || r.closed))
    const given = his.client.frames.filter((frame) => frame.key)
    assert.deepStrictEqual(given.map((frame) => frame.key), wanted.map((r) => r.key), query)
    assert.deepStrictEqual(given.map((frame) => frame.value.content), wanted.map((r) => r.opened.value.content), query)
  }
  for (const [accept, [a, b, his]] of Object.entries(streams)) {
    for (const stream of [a, b, his]) await stream.until(() => stream.lines.some((text) => text.includes(end[2].key)), accept)
    const rows = (stream) => stream.lines.filter((text) => text.includes('"key"'))
    assert.deepStrictEqual(rows(a), rows(b))
    noSecret(log, a.lines.join('\n'), accept)
    const contents = rows(his).map((text) => JSON.parse(text.replace(/^data: /, '')).value.content)
    assert.deepStrictEqual(contents, log.records.map((r) => r.opened.value.content))
  }
  await writer.close()
})

// The last row of each thing that a list is about.
function folded(frames, id) {
  const state = new Map()
  for (const { row } of frames.filter((frame) => frame.id === id && frame.row)) {
    const key = row.path ? row.seq + row.path : row.id ?? row.type ?? row.channel ?? row.author ?? row.key
    if (row.removed) state.delete(key)
    else state.set(key, row)
  }
  return [...state.values()].map((row) => JSON.stringify(row)).sort()
}

test('lists that are followed show each what he may see', async (t) => {
  const { log, writer, withSecret, without } = await growing(t, 16)
  const id = enc(log.owner.id)
  const lists = ['/threads', '/threads?private=true', '/threads?type=whisper', '/types', '/channels', '/feeds', '/feeds?name=hush', '/feeds?name=loud', `/graph?from=${id}`, `/contacts/${id}/followedBy`,
    '/channels/gardenshush/subscribers', '/links', '/search?q=hush*&order=oldest', `/votes/${enc(log.roots.secret[0])}`, `/messages/${enc(log.roots.open[0])}/thread`]
  const clients = await Promise.all([[withSecret, READER], [without, READER], [withSecret, OWNER]].map(async ([server, token]) => {
    const client = connect(t, server.ws + '/live?subscribe=false', { headers: bearer(token) })
    assert.strictEqual(await client.status, 101)
    lists.forEach((list, i) => client.send({ op: 'sub', id: 'l' + i, list }))
    await client.until(() => lists.every((list, i) => client.frames.some((frame) => frame.id === 'l' + i && frame.sync)), 'what is there')
    return { server, token, client }
  }))
  for (let batch = 0; batch < 4; batch++) await grow(log, writer)
  for (const { server, token, client } of clients) {
    for (const [i, list] of lists.entries()) {
      const headers = { Accept: 'application/x-ndjson', ...bearer(token) }
      const fresh = async () => (await server.request(list, { headers })).text.split('\n').filter(Boolean).sort()
      await until(async () => JSON.stringify(folded(client.frames, 'l' + i)) === JSON.stringify(await fresh()), () => `${token} ${list}`)
    }
  }
  const [a, b, his] = clients.map(({ client }) => client.frames)
  for (const frames of [a, b]) noSecret(log, JSON.stringify(frames), 'a list')
  for (const [i, list] of lists.entries()) assert.deepStrictEqual(folded(a, 'l' + i), folded(b, 'l' + i), list)
  assert.ok(log.marks.filter(({ mark, secret }) => secret && JSON.stringify(his).includes(mark)).length > 20)
  await writer.close()
})

// ---- the owner finds everything ----------------------------------------------------------------------------------------

// Without what tells where records stand, and what marks them as opened.
function bare(value) {
  if (Array.isArray(value)) return value.map(bare)
  if (value === null || typeof value !== 'object') return value
  const out = {}
  for (const [name, member] of Object.entries(value)) {
    if (['seq', 'next', 'encrypted', 'since', 'last'].includes(name)) continue
    if (value.signature && ['meta', 'private'].includes(name)) continue
    out[name] = bare(member)
  }
  return out
}

test('the owner is answered as if nobody had encrypted anything for him', async (t) => {
  for (const seed of [21, 22]) {
    const log = made(seed, 260)
    const server = await follow(t, await logFile(t, PrivateLog.lines(log.records, 'boxed')), { keys: log.keys })
    const oracle = await follow(t, await logFile(t, PrivateLog.lines(log.records, 'opened')))
    let compared = 0
    for (const target of targets(log)) {
      /* feed readers are given what is public, whoever asks */
      if (/format=|private=|\/log\?gt|\/log\/1|\/raw$|^\/(views|limits|openapi|asyncapi|readyz|healthz|whoami|nowhere|web\/main.js)?$/.test(target)) continue
      const at = target.includes('limit=') || target.startsWith('/messages') ? target : target + (target.includes('?') ? '&' : '?') + 'limit=1000'
      const ask = async (path) => [await server.request(path, { headers: owner }), await oracle.request(path, { headers: owner })]
      let [a, b] = await ask(at)
      if (b.status === 400) [a, b] = await ask(target) /* it takes no limit */
      assert.strictEqual(a.status, b.status, `${target}: ${a.text} ${b.text}`)
      if (a.status !== 200) continue
      assert.deepStrictEqual(bare(a.json), bare(b.json), `${seed}: ${target}`)
      compared++
    }
    assert.ok(compared > 80, `${compared} compared`)
  }
})

test('the owner lists private threads and others apart', async (t) => {
  const log = made(28, 260)
  const server = await follow(t, await logFile(t, PrivateLog.lines(log.records, 'boxed')), { keys: log.keys })
  const oracle = await follow(t, await logFile(t, PrivateLog.lines(log.records, 'opened')))
  const secret = new Set(log.records.filter((r) => r.secret).map((r) => r.key))
  const page = async (one, target) => (await one.request(target, { headers: owner })).json.threads
  const people = log.people.slice(0, 3).flatMap(({ id }) => ['author', 'participating', 'followed'].map((name) => `${name}=${enc(id)}`))
  for (const query of ['type=post', 'type=whisper', 'type=vote', 'channel=gardens', ...people]) {
    const rows = (await page(oracle, `/threads?limit=1000&${query}`)).filter(({ root }) => root !== null)
    for (const keep of [true, false]) {
      const wanted = rows.filter(({ id }) => secret.has(id) === keep)
      assert.deepStrictEqual(bare(await page(server, `/threads?limit=1000&${query}&private=${keep}`)), bare(wanted), `${query} ${keep}`)
    }
  }
  const pages = []
  for (let next = '/threads?private=true&limit=3'; next;) {
    const { json } = await server.request(next, { headers: owner })
    pages.push(...json.threads)
    next = json.next
  }
  assert.ok(pages.length > 5)
  assert.deepStrictEqual(pages, await page(server, '/threads?private=true&limit=1000'))
})

test('each opened message says what was signed, and is found by id, author, sequence, and in order', async (t) => {
  const log = made(23, 120)
  const server = await follow(t, await logFile(t, PrivateLog.lines(log.records, 'boxed')), { keys: log.keys })
  const get = (target) => server.request(target, { headers: owner }).then((res) => res.json)
  const page = (await get('/log?limit=1000')).messages
  assert.deepStrictEqual(page.map((m) => m.key), log.records.map((r) => r.key))
  for (const [i, record] of log.records.entries()) {
    const shown = page[i]
    const { meta, private: secret, ...value } = shown.value
    if (!record.secret) {
      const format = record.closed ? { encrypted: /\.box$/.test(record.boxed.value.content) ? 'box1' : record.boxed.value.content.split('.').at(-1) } : {}
      assert.deepStrictEqual(shown, { seq: shown.seq, ...format, ...record.boxed })
      continue
    }
    assert.strictEqual(shown.encrypted, undefined)
    assert.deepStrictEqual([secret, meta.private], [true, true])
    assert.deepStrictEqual(value.content, ssbKeys.unbox(meta.original.content, log.keys))
    const signed = { ...value, content: meta.original.content }
    assert.deepStrictEqual(signed, record.boxed.value)
    assert.ok(ssbKeys.verifyObj({ public: record.author.slice(1) }, null, signed))
    assert.deepStrictEqual(await get(`/messages/${enc(record.key)}`), shown)
    assert.deepStrictEqual(await get(`/feeds/${record.author}/${value.sequence}`), shown)
    assert.deepStrictEqual(await get(`/log/${shown.seq}`), shown)
    const raw = await server.request(`/messages/${enc(record.key)}/raw`, { headers: owner })
    assert.strictEqual('%' + crypto.createHash('sha256').update(Buffer.from(raw.text, 'latin1')).digest('base64') + '.sha256', record.key)
  }
  const secret = log.records.filter((r) => r.secret || r.closed).map((r) => r.key)
  assert.deepStrictEqual((await get('/log?private=true&limit=1000')).messages.map((m) => m.key), secret)
  assert.deepStrictEqual((await get('/log?private=false&limit=1000')).messages.map((m) => m.key), log.records.map((r) => r.key).filter((key) => !secret.includes(key)))
})

// ---- where it is kept ----------------------------------------------------------------------------------------------------

const everything = (dir) => fs.readdirSync(dir, { withFileTypes: true, recursive: true }).filter((one) => one.isFile()).map((one) => fs.readFileSync(path.join(one.parentPath || one.path, one.name), 'latin1')).join('')

test('what was opened is kept for its owner alone, and not at all without his secret', async (t) => {
  const log = made(24, 150)
  const where = await logFile(t, PrivateLog.lines(log.records, 'boxed'))
  const views = folder(t), dir = path.join(views, 'private')
  const count = async (server) => (await server.request('/log?type=whisper&limit=1000', { headers: owner })).json.messages.length
  const wanted = log.records.filter((r) => r.opened.value.content.type === 'whisper').length
  assert.ok(wanted > 2)

  let server = await follow(t, where, { keys: log.keys, views })
  assert.strictEqual(await count(server), wanted)
  assert.strictEqual(fs.statSync(dir).mode & 0o777, 0o700)
  for (const name of fs.readdirSync(dir)) assert.strictEqual(fs.statSync(path.join(dir, name)).mode & 0o077 & ~0o044, 0, name)
  for (const name of ['data.mdb']) assert.strictEqual(fs.statSync(path.join(dir, name)).mode & 0o077, 0, name)
  assert.strictEqual(await count(server), wanted)
  await server.stop()
  noSecret(log, server.stderr + server.stdout, 'what the program says')
  for (const name of fs.readdirSync(views).filter((one) => one !== 'private')) noSecret(log, fs.readFileSync(path.join(views, name), 'latin1'), name)
  assert.ok(everything(dir).includes('whisper'))

  /* built already: it is there at once, and is not built again */
  server = await follow(t, where, { keys: log.keys, views })
  assert.strictEqual(await count(server), wanted)
  const state = (await server.request('/views', { headers: owner })).json.views
  assert.ok(state.every((view) => view.ready && view.why === null), JSON.stringify(state))
  await server.stop()

  /* another owner: nothing of the first is left */
  server = await follow(t, where, { keys: keysOf('somebody else'), views })
  assert.strictEqual(await count(server), 0)
  await server.stop()
  assert.ok(!everything(dir).includes('whisper'))

  server = await follow(t, where, { keys: log.keys, views })
  assert.strictEqual(await count(server), wanted)
  await server.stop()
  server = await follow(t, where, { views })
  assert.strictEqual(await count(server), 0)
  assert.ok(!fs.existsSync(dir))
  await server.stop()
})

test('a log that its owner replaces is read anew by the private views, too', async (t) => {
  const log = made(25, 60), other = new PrivateLog(26)
  other.owner = other.people[0] = log.owner
  other.keys = log.keys
  log.owner.previous = null
  log.owner.sequence = 0
  for (let i = 0; i < 90; i++) other.write()
  const where = await logFile(t, PrivateLog.lines(log.records, 'boxed'))
  const server = await follow(t, where, { keys: log.keys })
  const keys = async () => (await server.request('/log?private=true&limit=1000', { headers: owner })).json.messages?.map((m) => [m.key, m.value.content])
  const wanted = (one) => one.records.filter((r) => r.secret || r.closed).map((r) => [r.key, r.opened.value.content])
  assert.deepStrictEqual(await keys(), wanted(log))
  fs.renameSync(await logFile(t, PrivateLog.lines(other.records, 'boxed')), where)
  await until(async () => JSON.stringify(await keys()) === JSON.stringify(wanted(other)), 'the other log')
})

test('a server with a log of its own opens what is appended', async (t) => {
  const log = made(27, 40)
  const server = await Server.start(t, ['--data', folder(t), '--token-file', file(t, 'tokens', TOKENS + 'the-token-of-the-owner-who-writes private append\n'),
    '--secret', file(t, 'secret', secretFile(log.keys), 0o400)])
  const both = bearer('the-token-of-the-owner-who-writes')
  for (const record of log.records.slice(0, 40)) {
    const res = await server.post('/log', record.boxed.value, both)
    assert.strictEqual(res.status, 201, res.text)
    const shown = (await server.request(`/messages/${enc(record.key)}`, { headers: both })).json
    assert.deepStrictEqual(shown.value.content, record.opened.value.content)
    const found = (await server.request(`/log?type=${record.opened.value.content.type}&reverse=true&limit=1`, { headers: both })).json
    if (record.opened.value.content.type) assert.strictEqual(found.messages[0].key, record.key)
    const theirs = (await server.request(`/messages/${enc(record.key)}`, { headers: bearer(READER) })).json
    assert.deepStrictEqual(theirs.value, record.boxed.value)
  }
  assert.strictEqual((await server.post('/views/all/rebuild', '', both)).status, 202)
  const secret = log.records.slice(0, 40).filter((r) => r.secret).map((r) => r.key)
  const opened = (await server.request('/log?private=true&limit=1000', { headers: both })).json.messages.filter((m) => m.value.private).map((m) => m.key)
  assert.deepStrictEqual(opened, secret)
})
