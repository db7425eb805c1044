'use strict'
// Who may ask: hosts, origins, tokens, public reading.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const ssbKeys = require('ssb-keys')
const WebSocket = require('ws')
const { ROOT, Server, folder, generate, importLines, run, until } = require('../support/sluice')
const { Author } = require('../support/author')
const { Raw, answers } = require('../support/raw')

const lines = generate(200, '--seed', '19', '--authors', '8')
const records = lines.map((line) => JSON.parse(line))

const hash = crypto.createHash('sha256').update('a blob').digest()
const BLOB = `&${hash.toString('base64')}.sha256`

// An owned log with a blob beside it.
function started(t, ...args) {
  const dir = importLines(t, lines.slice(0, 150)), hex = hash.toString('hex'), shelf = path.join(dir, 'blobs', 'sha256', hex.slice(0, 2))
  fs.mkdirSync(shelf, { recursive: true })
  fs.writeFileSync(path.join(shelf, hex.slice(2)), 'a blob')
  return Server.start(t, ['--data', dir, ...args])
}

// Every route of the program, with a target that leads there: a new route is in these tests by itself.
const first = records[0]
const channel = records.slice(0, 150).map((r) => r.value.content && r.value.content.channel).find((name) => typeof name === 'string' && /^[a-z-]+$/.test(name))
const place = (pattern) => ({
  '{id}': /^\/(messages|votes)/.test(pattern) ? first.key : pattern.startsWith('/blobs') ? BLOB : first.value.author, '{seq}': '0', '{sequence}': '1', '{list}': 'follows',
  '{name}': pattern.startsWith('/channels') ? channel : 'types', '{file}': 'main.js'
})
// a route that cannot do without a parameter
const needed = { '/graph': '?from=' + encodeURIComponent(first.value.author), '/search': '?q=the', '/about': '?id=' + encodeURIComponent(first.value.author) }
const more = (target, query) => target + (target.includes('?') ? '&' : '?') + query
const routes = fs.readFileSync(path.join(ROOT, 'server', 'routes.def'), 'utf8').split('\n')
  .map((line) => /^(?:ROUTE|LIST)\((\w+), "([^"]+)", \w+, "(\w+)", (\w+)\)$/.exec(line)).filter(Boolean)
  .map(([, method, pattern, operation, needs]) => ({ method, operation, needs, target: pattern.replace(/\{\w+\}/g, (name) => place(pattern)[name]) + (needed[pattern] || '') }))
assert.ok(routes.length > 20 && routes.every(({ target }) => !/undefined/.test(target)))
const bodyOf = ({ operation }) => operation === 'appendLog' ? JSON.stringify(records[150].value) : operation === 'publish' ? '{"content":{"type":"post"}}' : operation === 'addBlob' ? 'another blob' : ''
// What needs a scope that has to be named is for nobody without tokens.
const named = ({ needs }) => needs === 'PUBLISH' || needs === 'PRIVATE'
const good = (route, status) => named(route) ? status === 403 : status < 300
const ask = (server, route, headers = {}, method = route.method) => server.request(route.target, {
  method, headers: method === 'POST' ? { 'Content-Type': 'application/json', ...headers } : headers, body: method === 'POST' ? bodyOf(route) : undefined
})

function handshake(server, target, headers, protocols = []) {
  return new Promise((resolve) => {
    const socket = new WebSocket(server.ws + target, protocols, { headers })
    socket.on('open', () => { socket.terminate(); resolve(101) })
    socket.on('unexpected-response', (req, res) => { res.resume(); resolve(res.statusCode) })
    socket.on('error', () => resolve('error'))
  })
}

test('only our own host names are answered', async (t) => {
  const server = await started(t, '--allow-host', 'ssb.example')
  for (const host of ['localhost', 'localhost:1234', '127.0.0.1:' + server.port, '[::1]:80', 'ssb.example', 'SSB.example:8990']) {
    assert.strictEqual((await server.request('/status', { headers: { Host: host } })).status, 200, host)
  }
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'evil.example:8990', '10.0.0.1']) {
    const res = await server.request('/status', { headers: { Host: host } })
    assert.strictEqual(res.status, 403, JSON.stringify(host) + res.text)
    assert.match(res.json.type, /foreign-host/)
  }
  assert.strictEqual(await handshake(server, '/live', { Host: 'evil.example' }), 403)
})

test('pages of foreign origins can neither append nor open a WebSocket', async (t) => {
  const server = await started(t, '--allow-origin', 'https://app.example')
  const own = 'http://127.0.0.1:' + server.port
  const value = JSON.stringify(records[150].value)
  assert.strictEqual((await server.post('/log', value, { Origin: 'https://evil.example' })).status, 403)
  assert.strictEqual((await server.post('/log', value, { Origin: 'null' })).status, 403)
  assert.strictEqual((await server.post('/views/types/rebuild', '', { Origin: 'https://evil.example' })).status, 403)
  assert.strictEqual(await handshake(server, '/live', { Origin: 'https://evil.example' }), 403)
  assert.strictEqual(await handshake(server, '/live', { Origin: own }), 101)
  assert.strictEqual(await handshake(server, '/live', { Origin: 'https://app.example' }), 101)
  assert.strictEqual(await handshake(server, '/live', {}), 101)
  const post = await server.post('/log', value, { Origin: 'https://app.example' })
  assert.strictEqual(post.status, 201, post.text)
  assert.strictEqual(post.headers['access-control-allow-origin'], 'https://app.example')
  const preflight = (origin) => server.request('/log', { method: 'OPTIONS', headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' } })
  assert.strictEqual((await preflight('https://app.example')).headers['access-control-allow-origin'], 'https://app.example')
  assert.strictEqual((await preflight('https://evil.example')).headers['access-control-allow-origin'], undefined)
})

test('a door to the network needs --public or a token', async (t) => {
  const dir = importLines(t, lines.slice(0, 5))
  const refused = run(['serve', '--data', dir, '--listen', '0.0.0.0:0'])
  assert.strictEqual(refused.status, 77, refused.stderr)
  assert.match(refused.stderr, /--public/)
  assert.match(refused.stderr, /token/)
})

test('--public shows public messages only and takes no appends', async (t) => {
  const server = await started(t, '--public', '--listen', '0.0.0.0:0')
  const hidden = records.slice(0, 150).filter((r) => typeof r.value.content === 'string')
  assert.ok(hidden.length > 3)
  const shown = records.slice(0, 150).filter((r) => typeof r.value.content !== 'string').map((r) => r.key)
  assert.deepStrictEqual((await server.pages('/log?limit=40', 'messages')).map((m) => m.key), shown)
  for (const { key, value } of hidden) {
    assert.strictEqual((await server.request('/messages/' + key)).status, 404)
    assert.strictEqual((await server.request(`/messages/${key}/raw`)).status, 404)
    assert.strictEqual((await server.request(`/feeds/${value.author}/${value.sequence}`)).status, 404)
    const feed = await server.get(`/feeds/${value.author}?limit=1000`)
    assert.ok(feed.messages.every((m) => typeof m.value.content !== 'string'))
  }
  assert.strictEqual((await server.request('/log?private=true')).status, 403)
  assert.strictEqual((await server.post('/log', JSON.stringify(records[150].value))).status, 403)
  assert.strictEqual((await server.post('/views/all/rebuild', '')).status, 403)
  const socket = new WebSocket(server.ws + '/live')
  t.after(() => socket.terminate())
  const frames = []
  await new Promise((resolve) => socket.on('message', (data) => { frames.push(JSON.parse(data)); if (frames.at(-1).sync) resolve() }))
  assert.deepStrictEqual(frames.filter((f) => f.key).map((f) => f.key), shown)
})

// Its key is known to everybody: the next message of its feed names it, and so may any other.
test('--public shows what is said of an encrypted message, and never its text', async (t) => {
  const ann = new Author('ann'), bob = new Author('bob')
  const text = Buffer.alloc(120, 7).toString('base64') + '.box'
  const hidden = ann.write(text)
  const said = [{ type: 'post', text: 'a reply', root: hidden.key, branch: hidden.key }, { type: 'vote', vote: { link: hidden.key, value: 1 } }, { type: 'about', about: hidden.key, name: 'a name' }, { type: 'post', text: 'a mention', mentions: [{ link: hidden.key }] }].map((content) => bob.write(content))
  const dir = importLines(t, [hidden, ann.write({ type: 'post', text: 'and on' }), ...said].map(({ key, value }, i) => JSON.stringify({ key, value, timestamp: 1600000000000 + i })))
  const server = await Server.start(t, ['--data', dir, '--public'])
  const id = encodeURIComponent(hidden.key), feed = encodeURIComponent(ann.id)
  const targets = ['/log', '/feeds', `/feeds/${feed}`, `/feeds/${feed}/1`, '/threads', `/threads?participating=${encodeURIComponent(bob.id)}`, `/messages/${id}`, `/messages/${id}/raw`, `/messages/${id}/links`, `/messages/${id}/thread`,
    '/links', `/links?dest=${id}`, `/votes/${id}`, `/about/${id}`, `/about/${id}?by=all`, `/about?id=${id}`, '/types', '/channels', '/search?q=box', '/search?q=mention', `/graph?from=${feed}`, `/contacts/${feed}`]
  for (const target of targets) {
    for (const headers of [{}, { Accept: 'application/x-ndjson' }, { Accept: 'text/event-stream' }, { Accept: 'application/atom+xml, application/json;q=0.5' }]) {
      const res = await server.request(target, { headers })
      assert.ok([200, 400, 404, 406].includes(res.status) && !res.text.includes(text), `${target} ${JSON.stringify(headers)}: ${res.text}`)
    }
  }
  const { threads } = await server.get('/threads')
  assert.deepStrictEqual(threads.map((thread) => thread.id).includes(hidden.key), true)
  assert.strictEqual(threads.find((thread) => thread.id === hidden.key).root, null)
  assert.deepStrictEqual((await server.get(`/messages/${id}/thread`)).missing, [hidden.key])
})

test('with a token file every request needs the token, but for the health checks', async (t) => {
  const file = path.join(folder(t), 'tokens')
  fs.writeFileSync(file, '# for the bot\na-secret-token-of-the-test-1\na-secret-token-of-the-test-2\n', { mode: 0o600 })
  const server = await started(t, '--token-file', file, '--listen', '0.0.0.0:0')
  const bearer = (token) => ({ Authorization: 'Bearer ' + token })
  assert.strictEqual((await server.request('/healthz')).status, 200)
  for (const headers of [{}, bearer('wrong'), bearer(''), { Authorization: 'Basic a-secret-token-of-the-test-1' }, bearer('a-secret-token-of-the-test-1x')]) {
    const res = await server.request('/log', { headers })
    assert.strictEqual(res.status, 401, JSON.stringify(headers))
    assert.match(res.headers['www-authenticate'], /Bearer/)
  }
  assert.strictEqual((await server.request('/log?token=a-secret-token-of-the-test-1')).status, 400)
  assert.strictEqual((await server.request('/log', { headers: bearer('a-secret-token-of-the-test-2') })).status, 200)
  assert.strictEqual(await handshake(server, '/live', {}), 401)
  assert.strictEqual(await handshake(server, '/live', bearer('a-secret-token-of-the-test-1')), 101)
  const post = await server.post('/log', JSON.stringify(records[150].value), bearer('a-secret-token-of-the-test-1'))
  assert.strictEqual(post.status, 201, post.text)
  assert.ok(!(server.stdout + server.stderr).includes('a-secret-token'))
})

test('a token file that others can read is refused', async (t) => {
  const file = path.join(folder(t), 'tokens')
  fs.writeFileSync(file, 'secret\n', { mode: 0o644 })
  const refused = run(['serve', '--data', importLines(t, lines.slice(0, 5)), '--token-file', file, '--listen', '127.0.0.1:0'])
  assert.notStrictEqual(refused.status, 0)
  assert.match(refused.stderr, /600|others/)
})

test('on every route a foreign Host is refused, and so is a foreign Origin', async (t) => {
  const server = await started(t, '--allow-origin', 'https://app.example')
  const own = 'http://127.0.0.1:' + server.port
  for (const route of routes) {
    for (const method of route.method === 'GET' ? ['GET', 'HEAD', 'OPTIONS'] : ['POST', 'OPTIONS']) {
      const what = `${method} ${route.target}`
      for (const host of ['evil.example', `127.0.0.1.evil.example:${server.port}`]) {
        const res = await ask(server, route, { Host: host }, method)
        assert.strictEqual(res.status, 403, what + res.text)
        if (method !== 'HEAD') assert.match(res.json.type, /foreign-host/, what)
      }
      for (const origin of ['https://evil.example', 'null', own + '1', 'http://localhost:1']) {
        const res = await ask(server, route, { Origin: origin }, method)
        assert.strictEqual(res.status, 403, `${what} from ${origin}: ${res.text}`)
        if (method !== 'HEAD') assert.match(res.json.type, /foreign-origin/, what)
        assert.strictEqual(res.headers['access-control-allow-origin'], undefined, what)
      }
      const theirs = await ask(server, route, { Origin: 'https://app.example' }, method)
      assert.ok(method === 'OPTIONS' ? theirs.status < 300 : good(route, theirs.status), `${what}: ${theirs.status} ${theirs.text}`)
      assert.strictEqual(theirs.headers['access-control-allow-origin'], 'https://app.example', what)
      assert.match(theirs.headers.vary, /Origin/, what)
      const ours = await ask(server, route, { Origin: own }, method)
      assert.ok(method === 'OPTIONS' ? ours.status < 300 : good(route, ours.status), `${what}: ${ours.status} ${ours.text}`)
      assert.strictEqual(ours.headers['access-control-allow-origin'], undefined, what)
    }
  }
  for (const headers of [{ Host: 'evil.example' }, { Origin: 'https://evil.example' }, { Origin: 'null' }]) {
    assert.strictEqual(await handshake(server, '/live', headers), 403, JSON.stringify(headers))
  }
})

test('a preflight is answered for allowed origins alone', async (t) => {
  const server = await started(t, '--allow-origin', 'https://app.example')
  for (const route of routes) {
    const preflight = (origin) => server.request(route.target, { method: 'OPTIONS', headers: { Origin: origin, 'Access-Control-Request-Method': route.method, 'Access-Control-Request-Headers': 'authorization' } })
    const yes = await preflight('https://app.example')
    assert.strictEqual(yes.status, 204, route.target)
    assert.ok(yes.headers['access-control-allow-methods'].split(', ').includes(route.method), route.target)
    assert.match(yes.headers['access-control-allow-headers'], /Authorization/, route.target)
    for (const origin of ['https://evil.example', 'http://app.example', 'https://app.example:8443', 'null']) {
      const no = await preflight(origin)
      assert.strictEqual(no.status, 403, `${route.target} for ${origin}`)
      assert.ok(!Object.keys(no.headers).some((name) => name.startsWith('access-control-')), route.target)
    }
  }
})

// ---- scopes

const ALL = 'the-token-that-may-do-all'
const READER = 'the-token-of-a-reader'
const WRITER = 'the-token-of-a-writer'
const PUBLISHER = 'the-token-of-a-publisher'
const tokens = [ALL, READER, WRITER, PUBLISHER]
const bearer = (token) => token ? { Authorization: 'Bearer ' + token } : {}

function tokenFile(t, text = `${ALL}\n${READER} read # a page\n${WRITER} append\n${PUBLISHER} private publish\n`) {
  const file = path.join(folder(t), 'tokens')
  fs.writeFileSync(file, text, { mode: 0o600 })
  return file
}

const said = (server) => server.stdout + server.stderr
const noToken = (text, what) => { for (const token of tokens) assert.ok(!text.includes(token), `${what} tells a token: ${text.slice(0, 500)}`) }

test('on every route a token is good for its scopes, and for nothing else', async (t) => {
  const secret = path.join(folder(t), 'secret')
  fs.writeFileSync(secret, JSON.stringify(ssbKeys.generate()), { mode: 0o600 })
  const server = await started(t, '--token-file', tokenFile(t), '--secret', secret, '--publish', '--sole-signer')
  const may = { OPEN: [undefined, ALL, READER, WRITER, PUBLISHER], READ: [ALL, READER, PUBLISHER], APPEND: [ALL, WRITER], PRIVATE: [PUBLISHER], PUBLISH: [PUBLISHER], BOTH: [ALL] }
  for (const route of routes) {
    for (const token of [undefined, 'no-such-token-at-all', ALL, READER, WRITER, PUBLISHER]) {
      const res = await ask(server, route, { ...bearer(token), ...(route.operation === 'publish' ? { 'If-None-Match': '*' } : {}) })
      const what = `${route.method} ${route.target} with ${token}: ${res.status} ${res.text.slice(0, 300)}`
      if (may[route.needs].includes(token) || route.needs === 'OPEN') {
        assert.ok(res.status < 300, what)
      } else if (tokens.includes(token)) {
        assert.strictEqual(res.status, 403, what)
        assert.match(res.json.type, /forbidden/, what)
        assert.match(res.json.detail, /scope (read|append|private|publish)/, what)
        assert.match(res.headers['www-authenticate'], /insufficient_scope/, what)
      } else {
        assert.strictEqual(res.status, 401, what)
        assert.match(res.headers['www-authenticate'], /^Bearer/, what)
      }
      noToken(res.text + JSON.stringify(res.headers), what)
    }
  }
  for (const [token, status] of [[ALL, 101], [READER, 101], [WRITER, 403], ['no-such-token-at-all', 401], [undefined, 401]]) {
    assert.strictEqual(await handshake(server, '/live', bearer(token)), status, token)
  }
  const { messages } = await server.get('/log?limit=1000', bearer(READER))
  assert.strictEqual(messages.length, 152, 'what was refused was not stored, what was taken once')
  await server.stop()
  noToken(said(server), 'the server')
})

test('under --public a token adds to what everybody may', async (t) => {
  const server = await started(t, '--public', '--token-file', tokenFile(t))
  const hidden = records.slice(0, 150).filter((r) => typeof r.value.content === 'string').map((r) => r.key)
  assert.ok(hidden.length > 3)
  for (const [token, shown] of [[undefined, 0], [WRITER, 0], [READER, hidden.length], [ALL, hidden.length]]) {
    const { messages } = await server.get('/log?limit=1000', bearer(token))
    assert.strictEqual(messages.filter((m) => hidden.includes(m.key)).length, shown, token)
  }
  const append = (token) => server.post('/log', JSON.stringify(records[150].value), bearer(token))
  assert.strictEqual((await append(undefined)).status, 401)
  assert.strictEqual((await append(READER)).status, 403)
  assert.strictEqual((await append(WRITER)).status, 201)
})

test('a token in a URL is refused with the reason, and is told to nobody', async (t) => {
  const server = await started(t, '--token-file', tokenFile(t))
  for (const route of routes) {
    for (const query of [`token=${ALL}`, `limit=1&access_token=${ALL}`]) {
      const res = await ask(server, { ...route, target: more(route.target, query) }, bearer(ALL))
      assert.strictEqual(res.status, 400, `${route.target}: ${res.status} ${res.text}`)
      assert.match(res.json.type, /token-in-url/)
      noToken(res.text, route.target)
    }
  }
  assert.strictEqual(await handshake(server, `/live?token=${ALL}`, {}), 400)
  assert.strictEqual(await handshake(server, `/live?token=${ALL}`, bearer(ALL)), 400)
  assert.strictEqual((await server.request(`http://${ALL}@localhost:${server.port}/log`)).status, 403)
  // what the libraries below have to say about requests that are no good is said without them, too
  for (const text of [`GET /log HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ALL}\r\nBad Field: x\r\n\r\n`,
    `GET /log HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ALL}\r\nAuthorization: Bearer ${READER}\r\n\r\n`,
    `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /log HTTP/1.1\r\nAuthorization: Bearer ${ALL}\r\nContent-Length: x\r\n\r\n`,
    `GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\nAuthorization: Bearer ${ALL}\r\n\r\n`]) {
    const raw = await Raw.connect({ port: server.port })
    await raw.send(text)
    await raw.until((r) => r.ended, 'the end')
    const bytes = raw.received().toString('latin1')
    assert.match(bytes, /HTTP\/1\.1 400 /)
    noToken(bytes, text)
    raw.close()
  }
  await server.stop()
  noToken(said(server), 'the server')
})

test('a token file with a mistake is refused without telling what stands in it', (t) => {
  for (const text of [`${READER} reed\n`, `${READER} ${WRITER}\n`, `${ALL}\n${ALL} read\n`]) {
    const refused = run(['serve', '--data', folder(t), '--token-file', tokenFile(t, text), '--listen', '127.0.0.1:0'])
    assert.strictEqual(refused.status, 64, refused.stderr)
    assert.match(refused.stderr, /tokens:[12]:/)
    noToken(refused.stdout + refused.stderr, text)
  }
})

test('a browser sends its token with a WebSocket as a protocol', async (t) => {
  const server = await started(t, '--token-file', tokenFile(t))
  const open = (protocols) => new Promise((resolve) => {
    const socket = new WebSocket(server.ws + '/live', protocols, { headers: { Origin: server.url } })
    const frames = []
    socket.on('message', (data) => { frames.push(JSON.parse(data)); if (frames.at(-1).sync) { socket.terminate(); resolve({ protocol: socket.protocol, frames: frames.length }) } })
    socket.on('unexpected-response', (req, res) => { res.resume(); resolve(res.statusCode) })
    socket.on('error', (err) => resolve(err.message))
  })
  for (const token of [ALL, READER]) {
    // a browser fails a connection of which the server chose no protocol of those offered, and this client does the same
    assert.deepStrictEqual(await open(['sluice', 'bearer.' + token]), { protocol: 'sluice', frames: 151 })
    assert.deepStrictEqual(await open(['bearer.' + token, 'sluice']), { protocol: 'sluice', frames: 151 })
  }
  assert.strictEqual(await open(['sluice', 'bearer.' + WRITER]), 403)
  assert.strictEqual(await open(['sluice', 'bearer.no-such-token-at-all']), 401)
  assert.strictEqual(await open(['sluice']), 401)
  assert.strictEqual(await handshake(server, '/live', { Origin: 'https://evil.example' }, ['sluice', 'bearer.' + ALL]), 403)
  // it is for handshakes alone
  assert.strictEqual((await server.request('/log', { headers: { 'Sec-WebSocket-Protocol': 'bearer.' + ALL } })).status, 401)
  await server.stop()
  noToken(said(server), 'the server')
})

// ---- who is it

test('whoami: what the client may do, and nothing of the log or its owner to somebody without a scope', async (t) => {
  const secret = path.join(folder(t), 'secret')
  const keys = ssbKeys.generate()
  fs.writeFileSync(secret, JSON.stringify(keys), { mode: 0o600 })
  const log = { followed: false, accept: 'ssb' }
  const nobody = { id: null, scopes: [], encrypted: false, append: false, publish: false, log: null }
  const local = { id: null, scopes: ['read', 'append'], encrypted: true, append: true, publish: false, log }

  const server = await started(t, '--token-file', tokenFile(t), '--secret', secret, '--publish', '--sole-signer')
  const whoami = async (token) => {
    const res = await server.request('/whoami', { headers: bearer(token) })
    assert.strictEqual(res.headers['cache-control'], 'no-store')
    return res.json
  }
  assert.deepStrictEqual(await whoami(undefined), nobody)
  assert.deepStrictEqual(await whoami('no-such-token-at-all'), nobody)
  assert.deepStrictEqual(await whoami(ALL), local)
  assert.deepStrictEqual(await whoami(READER), { ...local, scopes: ['read'], append: false })
  assert.deepStrictEqual(await whoami(WRITER), { ...local, scopes: ['append'], encrypted: false })
  assert.deepStrictEqual(await whoami(PUBLISHER), { ...local, id: keys.id, scopes: ['read', 'private', 'publish'], append: false, publish: true })
  const uri = (await server.get('/whoami?ids=uri', bearer(PUBLISHER))).id
  assert.strictEqual(uri, 'ssb:feed/classic/' + keys.id.slice(1, 45).replace(/\+/g, '-').replace(/\//g, '_'))

  assert.deepStrictEqual(await (await started(t, '--accept', 'any')).get('/whoami'), { ...local, log: { followed: false, accept: 'any' } })
  assert.deepStrictEqual(await (await started(t, '--public', '--secret', secret, '--token-file', tokenFile(t))).get('/whoami'), { ...nobody, scopes: ['read'], log })
  const dir = importLines(t, lines.slice(0, 5))
  const following = await Server.start(t, ['--follow', path.join(dir, 'log.offset'), '--views', folder(t), '--token-file', tokenFile(t)])
  assert.deepStrictEqual(await following.get('/whoami', bearer(ALL)), { ...local, append: false, log: { followed: true, accept: 'ssb' } })
  assert.deepStrictEqual(await following.get('/whoami', bearer(PUBLISHER)), { ...local, scopes: ['read', 'private', 'publish'], append: false, log: { followed: true, accept: 'ssb' } })
})

// ---- what answers carry

// our own page: its own scripts and styles, no other host, no text that becomes markup
const PAGES = {
  getPage: ["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "media-src 'self'", "connect-src 'self'", "base-uri 'none'",
    "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"]
}

function carries(headers, what, operation) {
  assert.strictEqual(headers['x-content-type-options'], 'nosniff', what)
  assert.strictEqual(headers['cross-origin-resource-policy'], 'same-origin', what)
  const policy = (headers['content-security-policy'] || '').split(/; */)
  assert.ok(policy.includes("default-src 'none'") && policy.includes("frame-ancestors 'none'"), `${what}: ${policy}`)
  if (PAGES[operation]) return assert.deepStrictEqual(policy, PAGES[operation], what)
  assert.ok(!policy.some((rule) => /script-src|unsafe-eval|\*/.test(rule)), `${what}: ${policy}`)
  // whatever came from the log, and every answer but our own page, may do nothing at all
  assert.ok(policy.includes('sandbox'), `${what}: ${policy}`)
}

test('every answer carries the headers that keep browsers honest', async (t) => {
  const server = await started(t)
  for (const route of routes) {
    const ndjson = { Accept: 'application/x-ndjson' }
    const sse = { Accept: 'text/event-stream' }
    for (const headers of route.method === 'GET' ? [{}, ndjson, sse] : [{}]) {
      const res = await ask(server, route, headers)
      assert.ok(good(route, res.status), `${route.target}: ${res.text.slice(0, 200)}`)
      carries(res.headers, `${route.target} ${JSON.stringify(headers)}`, route.operation)
      if (res.headers.etag) {
        const same = await ask(server, route, { ...headers, 'If-None-Match': res.headers.etag })
        assert.strictEqual(same.status, 304, route.target)
        carries(same.headers, `${route.target} 304`, route.operation)
      }
    }
    carries((await ask(server, route, { Host: 'evil.example' })).headers, `${route.target} 403`)
    carries((await ask(server, { ...route, target: more(route.target, 'nonsense=1') })).headers, `${route.target} 400`, route.operation)
    carries((await ask(server, route, {}, 'OPTIONS')).headers, `OPTIONS ${route.target}`)
    carries((await ask(server, route, {}, 'DELETE')).headers, `DELETE ${route.target}`)
  }
  for (const target of ['/nothing', '/log/1', '/messages/%25nothing', '/live']) carries((await server.request(target)).headers, target)
})

test('so do those that are given before a library has the connection', async (t) => {
  const server = await started(t, '--connections-max', '3', '--sockets-max', '1', '--header-timeout', '2', '--target-max', '256')
  const told = async (text) => {
    const raw = await Raw.connect({ port: server.port })
    await raw.send(text)
    await raw.until((r) => r.ended, 'the end')
    const { answers: [answer] } = answers(raw.received(), ['GET'], true)
    raw.close()
    return answer
  }
  const upgrade = 'GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  const socket = new WebSocket(server.ws + '/live')
  t.after(() => socket.terminate())
  await new Promise((resolve) => socket.on('open', resolve))
  for (const [status, text] of [[400, 'nonsense\r\n\r\n'], [414, `GET /${'x'.repeat(300)} HTTP/1.1\r\nHost: localhost\r\n\r\n`], [503, upgrade], [408, 'GET / HTTP/1.1\r\n'],
    [431, `GET / HTTP/1.1\r\nHost: localhost\r\n${'X: y\r\n'.repeat(200)}\r\n`], [505, 'GET / HTTP/2.0\r\nHost: localhost\r\n\r\n']]) {
    const answer = await told(text)
    assert.strictEqual(answer.status, status, text.slice(0, 60))
    carries(answer.headers, String(status))
    assert.match(answer.headers['content-type'], /problem\+json/)
  }
  const open = []
  t.after(() => open.forEach((raw) => raw.close()))
  await until(async () => {
    open.push(await Raw.connect({ port: server.port }), await Raw.connect({ port: server.port }))
    const answer = await told('')
    if (answer.status === 408) return false // somebody from before still had a place that was not given to these two, and theirs have ended by now
    assert.strictEqual(answer.status, 503)
    carries(answer.headers, 'one connection too many')
    return true
  }, 'a full house')
})
