'use strict'
// The specifications against the program: routes.def and openapi.yaml list the same operations, both files are lint-free, the examples
// are answered as they say, and real answers and frames fit the schemas.

const { test, before, after } = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const Ajv = require('ajv/dist/2020')
const redocly = require('@redocly/openapi-core')
const ssbKeys = require('ssb-keys')
const WebSocket = require('ws')
const YAML = require('yaml')
const { ROOT, Server, folder, importLines, sample, until } = require('../support/sluice')

const SPEC = path.join(ROOT, 'api-spec')
const openapi = YAML.parse(fs.readFileSync(path.join(SPEC, 'openapi.yaml'), 'utf8'))
const asyncapi = YAML.parse(fs.readFileSync(path.join(SPEC, 'asyncapi.yaml'), 'utf8'))
const METHODS = ['get', 'post', 'put', 'delete', 'patch', 'head', 'options']

const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })
ajv.addSchema(openapi, 'openapi')
ajv.addSchema(asyncapi, 'asyncapi')

const EMPTY_BOX = '4ef675ce7c1f207f932bebbf0d64e2e7c63ebbfffe85ce2cebdef7dc42f494576d05'
const escape = (part) => encodeURIComponent(part.replace(/~/g, '~0').replace(/\//g, '~1'))
const pointer = (...parts) => '#/' + parts.map(escape).join('/')

// Follows one $ref of openapi.yaml, answering where it ends as well.
function follow (node, at) {
  if (!node || !node.$ref) return [node, at]
  const parts = node.$ref.slice(2).split('/')
  return [parts.reduce((value, part) => value[part], openapi), node.$ref]
}

// Operations of the specification by operationId: { method, path, item, at }.
const operations = new Map()
for (const [route, item] of Object.entries(openapi.paths)) {
  for (const method of METHODS) {
    if (!item[method]) continue
    operations.set(item[method].operationId, { method: method.toUpperCase(), path: route, operation: item[method], at: pointer('paths', route, method) })
  }
}

function routes () {
  const text = fs.readFileSync(path.join(ROOT, 'server', 'routes.def'), 'utf8')
  return [...text.matchAll(/^(?:ROUTE|LIST)\((\w+), "([^"]+)", \w+, "(\w+)", (OPEN|READ|APPEND|PRIVATE|PUBLISH|BOTH)\)/gm)]
    .map(([, method, route, id, needs]) => ({ method, route, id, needs }))
}

// The schema of an answer, compiled; undefined if there is none to fit.
function answerSchema (id, status, type) {
  const { operation, at } = operations.get(id)
  const name = operation.responses[status] ? String(status) : 'default'
  const [response, where] = follow(operation.responses[name], `${at}/responses/${name}`)
  const content = response.content || {}
  assert.ok(status === 304 || content[type], `${id} ${status}: ${type} is not in openapi.yaml`)
  return content[type] && content[type].schema && ajv.compile({ $ref: `openapi${where}/content/${escape(type)}/schema` })
}

function fits (validate, value, what) {
  if (!validate) return
  assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(value).slice(0, 600)}`)
}

// Everything in `part` stands in `whole` as well; arrays have equal lengths.
function holds (whole, part, where = 'body') {
  if (part === null || typeof part !== 'object') return assert.deepStrictEqual(whole, part, where)
  assert.ok(whole !== null && typeof whole === 'object', `${where}: ${JSON.stringify(whole)}`)
  if (Array.isArray(part)) assert.strictEqual(whole.length, part.length, `${where}: its length`)
  for (const key of Object.keys(part)) holds(whole[key], part[key], `${where}.${key}`)
}

function checkBody (id, answer) {
  const type = (answer.headers['content-type'] || '').split(';')[0]
  const what = `${id} ${answer.status}`
  if (answer.text === '' && answer.status === 304) return
  const validate = answerSchema(id, answer.status, type)
  if (type.endsWith('json') && type !== 'application/x-ndjson') return fits(validate, answer.json, what)
  if (type !== 'application/x-ndjson') return fits(validate, answer.text, what)
  for (const line of answer.text.split('\n').filter(Boolean)) fits(validate, JSON.parse(line), what)
}

function checkHeaders (id, answer) {
  const { operation, at } = operations.get(id)
  const name = operation.responses[answer.status] ? String(answer.status) : 'default'
  const [response] = follow(operation.responses[name], at)
  const known = Object.keys(response.headers || {}).map((header) => header.toLowerCase())
  for (const header of ['sluice-since', 'sluice-log-since', 'sluice-log-durable', 'etag', 'link', 'location', 'preference-applied', 'retry-after']) {
    if (header in answer.headers && answer.status !== 304) assert.ok(known.includes(header), `${id} ${answer.status}: the header ${header} is not in openapi.yaml`)
  }
}

// ---- the files by themselves ----

test('routes.def and openapi.yaml list the same operations', () => {
  const defined = routes()
  assert.ok(defined.length > 15)
  const lines = fs.readFileSync(path.join(ROOT, 'server', 'routes.def'), 'utf8').split('\n').filter((line) => /^(ROUTE|LIST)\(/.test(line))
  assert.strictEqual(defined.length, lines.length, 'every line of routes.def is understood')
  const show = (list) => list.sort().join('\n')
  assert.strictEqual(show([...operations].map(([id, { method, path }]) => `${method} ${path} ${id}`)),
    show(defined.map(({ method, route, id }) => `${method} ${route} ${id}`)))
})

test('operations need the scopes that routes.def says', () => {
  const scopes = { OPEN: [], READ: [{}, { token: ['read'] }], APPEND: [{}, { token: ['append'] }], PRIVATE: [{ token: ['private'] }], PUBLISH: [{ token: ['publish'] }], BOTH: [{}, { token: ['read', 'append'] }] }
  for (const { id, needs } of routes()) {
    const { security = openapi.security } = operations.get(id).operation
    assert.deepStrictEqual(security, scopes[needs], id)
  }
})

for (const name of ['openapi', 'asyncapi']) {
  test(`${name}.yaml is free of lint`, async () => {
    const config = await redocly.createConfig({ extends: ['recommended'] })
    const found = await redocly.lint({ ref: path.join(SPEC, `${name}.yaml`), config })
    assert.deepStrictEqual(found.map((problem) => `${problem.ruleId}: ${problem.message} ${problem.location[0] && problem.location[0].pointer}`), [])
  })
}

test('both files and the program have one version', () => {
  const version = /SLUICE_VERSION "([^"]+)"/.exec(fs.readFileSync(path.join(ROOT, 'server', 'version.h'), 'utf8'))[1]
  assert.strictEqual(openapi.info.version, version)
  assert.strictEqual(asyncapi.info.version, version)
})

test('examples of asyncapi.yaml fit their schemas', () => {
  for (const [name, message] of Object.entries(asyncapi.components.messages)) {
    assert.ok(message.examples.length > 0, name)
    const validate = ajv.compile({ $ref: 'asyncapi' + message.payload.$ref })
    for (const example of message.examples) fits(validate, example.payload, name)
  }
})

test('every problem of problems.def has a status that an operation may answer', () => {
  const text = fs.readFileSync(path.join(ROOT, 'server', 'problems.def'), 'utf8')
  const found = [...text.matchAll(/^PROBLEM\(([a-z-]+), (\d+), "([^"]+)"\)/gm)]
  assert.ok(found.length > 15)
  for (const [, name, status] of found) {
    fits(ajv.compile({ $ref: 'openapi#/components/schemas/Problem' }), { type: `/problems/${name}`, title: 'x', status: Number(status), detail: 'x' }, name)
  }
})

// ---- against the program ----

let log // a folder with the sample in it; copied for every server
const cleanup = []
before(() => { log = importLines({ after: (fn) => cleanup.push(fn) }, sample()) })
after(() => { for (const fn of cleanup) fn() })

// What single files of examples need: theirs is a server of somebody.
function owner (t) {
  const dir = folder(t)
  fs.writeFileSync(path.join(dir, 'secret'), JSON.stringify(ssbKeys.generate('ed25519', Buffer.alloc(32, 7))), { mode: 0o600 })
  fs.writeFileSync(path.join(dir, 'tokens'), 'the-token-of-the-examples read publish\n', { mode: 0o600 })
  return ['--publish', '--sole-signer', '--secret', path.join(dir, 'secret'), '--token-file', path.join(dir, 'tokens')]
}
const ARGS = { 'publish.json': owner }

async function serve (t, args = []) {
  const dir = path.join(folder(t), 'data')
  fs.cpSync(log, dir, { recursive: true, filter: (from) => !from.endsWith('lock') })
  const server = await Server.start(t, ['--data', dir, ...args])
  await until(async () => (await server.request('/readyz')).status === 200, 'the views')
  return server
}

async function replay (server, example) {
  const { method, target, headers, body } = example.request
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const answer = await server.request(target, { method, headers, body: text })
  const wanted = example.response
  assert.strictEqual(answer.status, wanted.status, `${example.name}: ${answer.text.slice(0, 600)}`)
  for (const [name, value] of Object.entries(wanted.headers || {})) assert.strictEqual(answer.headers[name], value, `${example.name}: ${name}`)
  if (wanted.body !== undefined) holds(answer.json, wanted.body)
  if (!wanted.schema) return
  checkBody(wanted.schema, answer)
  checkHeaders(wanted.schema, answer)
}

const replayed = new Set()
for (const file of fs.readdirSync(path.join(SPEC, 'examples')).sort()) {
  const examples = JSON.parse(fs.readFileSync(path.join(SPEC, 'examples', file), 'utf8'))
  for (const { response } of examples) replayed.add(response.schema)
  test(`examples/${file} are answered as they say`, async (t) => {
    const server = await serve(t, ARGS[file] ? ARGS[file](t) : [])
    for (const example of examples) await t.test(example.name, () => replay(server, example))
  })
}

test('every operation has an example', () => {
  assert.deepStrictEqual([...operations.keys()].filter((id) => !replayed.has(id)), [])
})

// Parameters of the specification that the program refuses as unknown, or the other way round, are found by trying them all.
test('every query parameter of openapi.yaml is known to the program', async (t) => {
  const server = await serve(t)
  const first = (await server.get('/log?limit=1')).messages[0]
  const values = { author: first.value.author, source: first.value.author, dest: first.key, root: first.key, from: first.value.author, participating: first.value.author, followed: first.value.author, as: first.value.author, live: 'false', reverse: 'false', values: 'false', count: 'false', old: 'true', private: 'false', stale: 'ok', by: 'latest', type: 'post', channel: 'garden', rel: 'vote', after: '0', q: 'garden', order: 'rank', unbox: 'A'.repeat(43) + '=', id: first.value.author, ids: 'uri', format: 'atom' }
  // a private blob without anything in it, boxed with a key of zeros: any of its parameters can be given
  const blob = (await server.request('/blobs', { method: 'POST', body: Buffer.from(EMPTY_BOX, 'hex') })).json.id
  const paths = { '{seq}': '0', '{sequence}': '1', '{name}': 'types', '{list}': 'friends' }
  const beside = { 'listFeeds skip': '&name=a' } // what makes no sense alone
  for (const [id, { method, path: route, operation }] of operations) {
    if (method !== 'GET') continue
    const where = route.replace(/\{\w+\}/g, (name) => paths[name] || (route.startsWith('/messages') ? first.key : route.startsWith('/blobs') ? blob : first.value.author))
    for (const parameter of operation.parameters || []) {
      const [{ name, in: place, schema }] = follow(parameter)
      if (place !== 'query') continue
      const feed = schema && schema.$ref === '#/components/schemas/FeedId'
      const value = values[name] || (feed ? first.value.author : '1')
      const needed = (operation.parameters || []).map((other) => follow(other)[0]).filter((other) => other.in === 'query' && other.required && other.name !== name)
        .concat((operation.parameters || []).map((other) => follow(other)[0]).filter((other) => !other.required && other.name === { hops: 'from', from: 'hops' }[name]))
        .map((other) => `&${other.name}=${encodeURIComponent(values[other.name] || '1')}`).join('')
      const answer = await server.request(`${where}?${name}=${encodeURIComponent(value)}${needed}${beside[`${id} ${name}`] || ''}`)
      assert.ok(!/unknown parameter/.test(answer.text), `${id} ${name}: ${answer.text.slice(0, 300)}`)
      // 1 is no record of the log: a cursor there is refused, but not unread.
      if (answer.status !== 200) assert.ok(['gt', 'gte', 'lt', 'lte'].includes(name) && answer.status === 400, `${id} ${name}: ${answer.text.slice(0, 300)}`)
    }
    const unknown = await server.request(`${where}?nonsense=1`)
    assert.strictEqual(unknown.status, 400, `${id}: ${unknown.text}`)
    checkBody(id, unknown)
    const named = /known here: (.*)"/.exec(unknown.text)
    const known = named ? named[1].split(', ').sort() : []
    const said = (operation.parameters || []).map((parameter) => follow(parameter)[0]).filter((parameter) => parameter.in === 'query').map((parameter) => parameter.name)
    assert.deepStrictEqual(said.sort(), known, id)
  }
})

// What is at a bound is taken, what is past it is not; what has no upper one may be any number that JavaScript knows.
test('numbers of openapi.yaml have the bounds that they have in the program', async (t) => {
  const server = await serve(t)
  const { key, value: { author } } = (await server.get('/log?limit=1')).messages[0]
  const blob = (await server.request('/blobs', { method: 'POST', body: Buffer.from(EMPTY_BOX, 'hex') })).json.id
  const beside = { from: author, hops: '1', name: 'a', q: 'garden' }
  let tried = 0
  for (const [id, { method, path: route, operation }] of operations) {
    if (method !== 'GET') continue
    const where = route.replace(/\{\w+\}/g, (name) => ({ '{seq}': '0', '{sequence}': '1', '{name}': 'garden', '{list}': 'friends' })[name] || (route.startsWith('/messages') ? key : route.startsWith('/blobs') ? blob : author))
    const parameters = (operation.parameters || []).map((parameter) => follow(parameter)[0]).filter((one) => one.in === 'query')
    for (const { name, schema } of parameters) {
      const { type, minimum, maximum } = follow(schema)[0]
      if (type !== 'integer' || name === 'after') continue
      const more = parameters.filter((one) => one.name !== name && beside[one.name] && (one.required || { hops: 'from', skip: 'name', lte: 'name' }[name] === one.name))
        .map((one) => `&${one.name}=${encodeURIComponent(beside[one.name])}`).join('')
      const most = maximum ?? { limit: 1000, wait: 60 }[name] ?? Number.MAX_SAFE_INTEGER // those two are options
      for (const [number, taken] of [[minimum, true], [minimum - 1, false], [most, true], [BigInt(most) + 1n, false]]) {
        const answer = await server.request(`${where}?${name}=${number}${more}`)
        assert.strictEqual(answer.status === 400, !taken, `${id} ${name}=${number}: ${answer.text.slice(0, 300)}`)
        tried++
      }
    }
  }
  assert.ok(tried > 100, `${tried} numbers`)
})

test('an answer that the client has already is 304', async (t) => {
  const server = await serve(t)
  for (const target of ['/log?limit=1', '/log/0', '/feeds?limit=1', '/links?limit=1', '/types', '/', '/openapi.yaml']) {
    const answer = await server.request(target)
    assert.ok(answer.headers.etag, target)
    for (const match of [answer.headers.etag, '*', `"other", ${answer.headers.etag}`]) {
      const again = await server.request(target, { headers: { 'If-None-Match': match } })
      assert.strictEqual(again.status, 304, target)
      assert.strictEqual(again.text, '', target)
      // RFC 9110 15.4.5: a cache goes on with these
      for (const name of ['etag', 'vary', 'cache-control']) assert.strictEqual(again.headers[name], answer.headers[name], `${target}: ${name}`)
    }
    assert.strictEqual((await server.request(target, { headers: { 'If-None-Match': '"other"' } })).status, 200, target)
  }
})

// Those that every page of another origin may read are in the Fetch standard.
test('pages of allowed origins can read every header field of openapi.yaml', async (t) => {
  const named = new Set()
  const collect = (node) => {
    if (node === null || typeof node !== 'object') return
    if (node.headers && node.description) Object.keys(node.headers).forEach((name) => named.add(name.toLowerCase()))
    Object.values(node).forEach(collect)
  }
  collect(openapi)
  assert.ok(named.size >= 8, [...named].join())
  const server = await Server.start(t, ['--data', folder(t), '--allow-origin', 'https://app.example'])
  const { headers } = await server.request('/status', { headers: { Origin: 'https://app.example' } })
  const exposed = headers['access-control-expose-headers'].toLowerCase().split(', ')
  const safe = ['cache-control', 'content-language', 'content-length', 'content-type', 'expires', 'last-modified', 'pragma']
  assert.deepStrictEqual([...named].filter((name) => !exposed.includes(name) && !safe.includes(name)), [])
})

test('the specifications are served as they are here', async (t) => {
  const server = await serve(t)
  for (const name of ['openapi.yaml', 'asyncapi.yaml']) {
    const served = (await server.request('/' + name)).text
    assert.ok(served === fs.readFileSync(path.join(SPEC, name), 'utf8'), name)
  }
})

// ---- WS /live ----

const sent = asyncapi.operations.tell.messages.map(({ $ref }) => $ref.split('/').pop())
  .map((kind) => [kind, ajv.compile({ $ref: 'asyncapi' + asyncapi.components.messages[kind].payload.$ref })])

// Frames by the message of asyncapi.yaml that they fit; a frame must fit exactly one of those the server sends.
function kindOf (frame) {
  const kinds = sent.filter(([, validate]) => validate(frame)).map(([kind]) => kind)
  assert.strictEqual(kinds.length, 1, `${JSON.stringify(frame).slice(0, 300)} fits ${kinds.join(', ') || 'nothing'}`)
  return kinds[0]
}

test('frames of /live fit asyncapi.yaml', async (t) => {
  const server = await serve(t)
  const socket = new WebSocket(server.ws + '/live?subscribe=false')
  t.after(() => socket.terminate())
  const kinds = []
  const frames = []
  socket.on('message', (data) => {
    const frame = JSON.parse(data)
    frames.push(frame)
    kinds.push(`${frame.id || ''} ${kindOf(frame)}`)
  })
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  const count = (kind) => kinds.filter((seen) => seen === kind).length
  const say = (frame) => {
    fits(ajv.compile({ $ref: 'asyncapi#/components/schemas/' + (frame.op === 'sub' ? 'Sub' : 'Unsub') }), frame, 'what is said')
    socket.send(JSON.stringify(frame))
  }
  say({ op: 'sub', id: 'a', type: 'pub' })
  await until(() => count('a sync') === 1, () => `a sync frame; got ${kinds}`)
  assert.strictEqual(count('a record'), 17)
  say({ op: 'unsub', id: 'a' })
  await until(() => count('a closed') === 1, () => `a closed frame; got ${kinds.slice(-3)}`)
  say({ op: 'sub', id: 'b', author: '@alice' })
  await until(() => count('b error') === 1, () => `an error frame; got ${JSON.stringify(frames.at(-1))}`)
})

// Every operation whose answers can be followed is a list at /live, and its rows are those of its streams.
test('rows of lists at /live fit asyncapi.yaml and the rows of openapi.yaml', async (t) => {
  const server = await serve(t)
  const { key, value: { author } } = (await server.get('/log?type=post&limit=1')).messages[0]
  const socket = new WebSocket(server.ws + '/live?subscribe=false')
  t.after(() => socket.terminate())
  const frames = []
  socket.on('message', (data) => frames.push(JSON.parse(data)))
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  const needed = { searchMessages: '?q=garden&order=oldest', listGraph: '?from=' + encodeURIComponent(author) }
  const lists = [...operations].filter(([, { operation }]) => (operation.parameters || []).some((parameter) => follow(parameter)[0].name === 'live'))
  const text = fs.readFileSync(path.join(ROOT, 'server', 'routes.def'), 'utf8')
  assert.deepStrictEqual(lists.map(([id]) => id).sort(), [...text.matchAll(/^LIST\(\w+, "[^"]+", \w+, "(\w+)"/gm)].map(([, id]) => id).sort(), 'what can be followed is a LIST')
  for (const [id, { path: route }] of lists) {
    const where = route.replace('{list}', 'follows').replace('{name}', 'garden').replace('{id}', encodeURIComponent(/^\/(messages|votes)/.test(route) ? key : author))
    const op = { op: 'sub', id, list: where + (needed[id] || '') }
    fits(ajv.compile({ $ref: 'asyncapi#/components/schemas/Sub' }), op, 'what is said')
    socket.send(JSON.stringify(op))
    await until(() => frames.some((frame) => frame.id === id && (frame.sync || frame.error)), () => `${id}: a sync frame`)
    const mine = frames.filter((frame) => frame.id === id)
    for (const frame of mine) assert.strictEqual(kindOf(frame), frame.row ? 'row' : 'sync', `${id}: ${JSON.stringify(frame).slice(0, 300)}`)
    const schema = answerSchema(id, 200, 'application/x-ndjson')
    const streamed = (await server.request(op.list, { headers: { Accept: 'application/x-ndjson' } })).text.split('\n').filter(Boolean).map((line) => JSON.parse(line))
    const rows = mine.filter((frame) => frame.row).map((frame) => frame.row)
    for (const row of rows) fits(schema, row, id)
    assert.deepStrictEqual(rows, streamed, id)
    socket.send(JSON.stringify({ op: 'unsub', id }))
  }
})

test('the handshake takes the parameters of asyncapi.yaml', async (t) => {
  const server = await serve(t)
  const known = Object.keys(asyncapi.channels.live.bindings.ws.query.properties).sort()
  const socket = new WebSocket(server.ws + '/live?type=pub&reverse=false&live=true&old=true&private=false&gt=-1')
  t.after(() => socket.terminate())
  const kinds = []
  socket.on('message', (data) => kinds.push(kindOf(JSON.parse(data))))
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
  await until(() => kinds.at(-1) === 'sync', () => `a sync frame; got ${kinds.slice(-3)}`)
  assert.strictEqual(kinds.length, 18)
  const log = operations.get('listLog').operation.parameters.map((parameter) => follow(parameter)[0]).filter((parameter) => parameter.in === 'query').map((parameter) => parameter.name)
  assert.deepStrictEqual(known, [...log.filter((name) => name !== 'after' && name !== 'stale'), 'subscribe', 'list', 'since'].sort(), 'the filters and cursor are those of /log')
})
