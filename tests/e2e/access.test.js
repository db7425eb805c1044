'use strict'
// Who may ask: hosts, origins, tokens, public reading.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const WebSocket = require('ws')
const { Server, folder, generate, importLines, run } = require('../support/sluice')

const lines = generate(200, '--seed', '19', '--authors', '8')
const records = lines.map((line) => JSON.parse(line))

const started = (t, ...args) => Server.start(t, ['--data', importLines(t, lines.slice(0, 150)), ...args])

function handshake(server, target, headers) {
  return new Promise((resolve) => {
    const socket = new WebSocket(server.ws + target, { headers })
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
  assert.strictEqual((await server.request('/log?token=a-secret-token-of-the-test-1')).status, 401)
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

test('every answer carries the headers that keep browsers honest', async (t) => {
  const server = await started(t)
  for (const target of ['/', '/log', '/log/0', '/status', '/metrics', '/nothing', '/openapi.yaml', '/messages/' + records[0].key + '/raw']) {
    const res = await server.request(target)
    assert.strictEqual(res.headers['x-content-type-options'], 'nosniff', target)
    assert.match(res.headers['content-security-policy'] || '', /default-src 'none'/, target)
  }
})
