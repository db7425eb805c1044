'use strict'
// Publishing through a real node (secret-stack, ssb-db) whose log is followed: the node signs, and its feed has one writer.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const ssbKeys = require('ssb-keys')
const { Server, folder, until } = require('../support/sluice')
const { home, startNode } = require('../support/ssb_node')

const TOKEN = { Authorization: 'Bearer the-token-of-everything' }
const post = (text) => ({ content: { type: 'post', text } })

function tokens(t) {
  const file = path.join(folder(t), 'tokens')
  fs.writeFileSync(file, 'the-token-of-everything read append private publish\n', { mode: 0o600 })
  return file
}

async function follow(t, dir, ...args) {
  const log = path.join(dir, 'flume', 'log.offset')
  if (!fs.existsSync(log)) {
    fs.mkdirSync(path.dirname(log), { recursive: true })
    fs.writeFileSync(log, '')
  }
  const server = await Server.start(t, ['--follow', log, '--views', folder(t), '--token-file', tokens(t), '--publish', ...args])
  return { server, publish: (body, headers = {}) => server.post('/publish', body, { ...TOKEN, ...headers }) }
}

const all = async (server) => (await server.get('/log?limit=1000', TOKEN)).messages

test('a real node', async (t) => {
  const dir = home(t)
  const node = await startNode(dir)
  const { server, publish } = await follow(t, dir)

  await t.test('publishes what it is handed, and the answer is what its log then holds', async () => {
    for (const text of ['one', 'zwei 😀', '\u0000\u2028"\\', 'x'.repeat(7000)]) {
      const res = await publish(post(text))
      assert.strictEqual(res.status, 201, res.text)
      assert.deepStrictEqual(res.json.value.content, { type: 'post', text })
      assert.strictEqual(res.json.value.author, node.id)
      assert.strictEqual(res.headers.location, '/log/' + res.json.seq)
      assert.deepStrictEqual(await server.get('/messages/' + res.json.key, TOKEN), res.json)
      assert.deepStrictEqual(await node.call('get', res.json.key), res.json.value)
    }
    const texts = Array.from({ length: 40 }, (_, i) => `at once ${i}`)
    const made = await Promise.all(texts.map((text) => publish(post(text))))
    for (const [i, res] of made.entries()) assert.ok(res.status === 201 && res.json.value.content.text === texts[i], res.text)
    const mine = await node.call('publish', { type: 'post', text: 'by the node itself' })
    const seen = async () => (await all(server)).some((m) => m.key === mine.key)
    await until(seen, 'the message of the node itself')
    const records = await all(server)
    assert.deepStrictEqual(records.map((m) => m.value.sequence), records.map((_, i) => i + 1), 'one feed, no fork')
  })

  await t.test('gets a message for some encrypted, and opens it', async () => {
    const friend = ssbKeys.generate()
    const recps = [node.id, friend.id]
    for (const body of [{ content: { type: 'post', text: 'for you' }, recps }, { content: { type: 'post', text: 'for you', recps } }]) {
      const res = await publish(body)
      assert.strictEqual(res.status, 201, res.text)
      const whole = { type: 'post', text: 'for you', recps }
      assert.match(res.json.value.content, /\.box$/)
      assert.deepStrictEqual(ssbKeys.unbox(res.json.value.content, friend), whole)
      const read = await node.call('get', { id: res.json.key, private: true, meta: true })
      assert.deepStrictEqual(read.value.content, whole)
    }
  })

  await t.test('refuses in its own words', async () => {
    const before = (await all(server)).length
    const long = await publish(post('x'.repeat(8100)))
    assert.strictEqual(long.status, 502, long.text)
    assert.match(long.json.type, /node-refused/)
    assert.match(long.json.detail, /refused it: .*8192/)
    const short = await publish({ content: { type: 'ab' } })
    assert.strictEqual(short.status, 422, 'what no node takes is not even handed to it')
    const dependent = await publish(post('x'), { 'If-Match': '*' })
    assert.strictEqual(dependent.status, 400, dependent.text)
    assert.strictEqual((await all(server)).length, before)
  })
})

test('a node that is not there, comes, is killed and comes again', async (t) => {
  const dir = home(t)
  const { server, publish } = await follow(t, dir)
  const absent = await publish(post('too early'))
  assert.strictEqual(absent.status, 503, absent.text)
  assert.match(absent.json.type, /no-node/)
  assert.strictEqual(absent.headers['retry-after'], '1')
  assert.ok(absent.json.detail.includes(path.join(dir, 'socket')))
  const published = []
  for (let round = 0; round < 2; round++) {
    const node = await startNode(dir)
    const text = `round ${round}`
    const res = await publish(post(text))
    assert.strictEqual(res.status, 201, res.text)
    published.push(res.json.key)
    await node.stop(round === 1 ? 'SIGTERM' : 'SIGKILL')
    const gone = await publish(post('nobody there'))
    assert.strictEqual(gone.status, 503, gone.text)
  }
  assert.deepStrictEqual((await all(server)).map((m) => m.key), published)
})

test('a node killed while many publish: every answer is true', async (t) => {
  const dir = home(t)
  const { server, publish } = await follow(t, dir, '--wait-timeout', '1')
  const node = await startNode(dir)
  const answers = []
  const publishers = Array.from({ length: 6 }, async (_, who) => {
    for (let i = 0; ; i++) {
      const text = `${who} ${i}`
      const res = await publish(post(text))
      answers.push({ text, status: res.status, key: res.json.key, type: res.json.type })
      if (res.status >= 500) return
    }
  })
  await until(() => answers.length > 30, 'messages to be published')
  await node.stop()
  await Promise.all(publishers)
  const again = await startNode(dir)
  const last = await publish(post('and on'))
  assert.strictEqual(last.status, 201, last.text)
  assert.strictEqual(last.json.value.author, again.id)
  const records = await all(server)
  assert.deepStrictEqual(records.map((m) => m.value.sequence), records.map((_, i) => i + 1), 'one feed, no fork')
  const texts = new Set(records.map((m) => m.value.content.text))
  for (const { text, status, type } of answers) {
    if (status === 201) assert.ok(texts.has(text), text)
    else if (status !== 202) assert.match(type, /no-node|node-lost/)
    if (/no-node/.test(type)) assert.ok(!texts.has(text), `${text} was not handed to anybody`)
  }
})

// ---- peers that are no nodes

// Listens where the node would; `said` is called with each connection.
async function impostor(t, dir, said) {
  const sockets = new Set()
  const door = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    said(socket)
  })
  await new Promise((resolve) => door.listen(path.join(dir, 'socket'), resolve))
  t.after(() => { for (const socket of sockets) socket.destroy(); door.close() })
  return sockets
}

const frame = (flags, number, text) => {
  const head = Buffer.alloc(9)
  const body = Buffer.from(text)
  head[0] = flags
  head.writeUInt32BE(body.length, 1)
  head.writeInt32BE(number, 5)
  return Buffer.concat([head, body])
}
const KEY = '%' + 'A'.repeat(43) + '=.sha256'

test('whatever stands where the node should be, the answer is a clear one', async (t) => {
  const dir = home(t)
  const flood = Buffer.concat(Array.from({ length: 9 }, (_, i) => frame(10, i + 1, 'x'.repeat(200000))))
  const drops = (answer) => (socket) => { socket.write(frame(2, 7, '{"name":["manifest"],"args":[]}')); for (const byte of answer) socket.write(Buffer.from([byte])) }
  const peers = [
    ['hangs up', (socket) => socket.destroy(), 502, 'node-lost'], ['says goodbye', (socket) => socket.write(Buffer.alloc(9)), 502, 'node-lost'],
    ['speaks HTTP', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), 502, 'node-lost'],
    ['sends a frame without end', (socket) => socket.write(Buffer.from('02ffffffffffffffff', 'hex')), 502, 'node-lost'],
    ['answers nonsense', (socket) => socket.write(frame(2, -1, '{"key":7}')), 502, 'node-lost'], ['answers no JSON', (socket) => socket.write(frame(2, -1, '{')), 502, 'node-lost'],
    ['streams', (socket) => socket.write(frame(10, -1, '{}')), 502, 'node-lost'], ['talks without end', (socket) => socket.write(flood), 502, 'node-lost'],
    ['refuses in text', (socket) => socket.write(frame(5, -1, 'not today')), 502, 'node-refused'], ['refuses with true', (socket) => socket.write(frame(6, -1, 'true')), 502, 'node-refused'],
    ['is silent', () => {}, 504, 'node-timeout'], ['answers half', (socket) => socket.write(frame(2, -1, `{"key":"${KEY}"}`).subarray(0, 30)), 504, 'node-timeout'],
    // what it says to have published and nobody ever sees in the log
    ['is ssb-db', drops(frame(2, -1, JSON.stringify({ key: KEY, value: {}, timestamp: 1 }))), 202], ['is go-ssb', drops(frame(1, -1, KEY)), 202],
    ['quotes', drops(frame(2, -1, JSON.stringify(KEY))), 202],
    // a node numbers its calls as we do ours
    ['calls us first', (socket) => socket.write(Buffer.concat([frame(2, 1, '{"name":["manifest"],"args":[]}'), frame(1, -1, KEY)])), 202]
  ]
  await impostor(t, dir, (socket) => socket.once('data', (data) => peers.find(([what]) => data.includes(what))[1](socket)))
  // for who never answers no test has to wait longer than it must, and nobody else is late because the machine is
  const soon = await follow(t, dir, '--node-timeout', '1', '--wait-timeout', '0'), patient = await follow(t, dir, '--wait-timeout', '0')
  await Promise.all(peers.map(async ([what, , status, type]) => {
    const res = await (status === 504 ? soon : patient).publish(post(what))
    assert.strictEqual(res.status, status, `${what}: ${res.text}`)
    if (status === 202) return assert.deepStrictEqual(res.json, { key: KEY }, what)
    assert.ok(res.json.type.endsWith(type), `${what}: ${res.text}`)
    if (type !== 'node-refused') assert.match(res.json.detail, /not known/, what)
  }))
})

test('what the node is asked is what muxrpc asks', async (t) => {
  const dir = home(t)
  const heard = []
  await impostor(t, dir, (socket) => {
    socket.on('data', (data) => { heard.push(data); socket.write(frame(1, -1, KEY)) })
  })
  const { publish } = await follow(t, dir, '--wait-timeout', '0')
  assert.strictEqual((await publish(post('ü'))).status, 202)
  await until(() => Buffer.concat(heard).subarray(-9).equals(Buffer.alloc(9)), 'a goodbye')
  const bytes = Buffer.concat(heard)
  assert.deepStrictEqual(bytes.subarray(0, -9), frame(2, 1, JSON.stringify({ name: ['publish'], args: [{ type: 'post', text: 'ü' }] })))
})

test('node-calls-max: as many calls as that wait for a silent node, one more is refused; all end when the server does', async (t) => {
  const dir = home(t)
  await impostor(t, dir, () => {})
  const { server, publish } = await follow(t, dir, '--node-timeout', '600')
  const most = (await server.get('/limits', TOKEN)).limits.find(({ name }) => name === 'node-calls-max').value
  const answers = []
  const calls = Array.from({ length: most + 4 }, (_, i) => publish(post(`waits ${i}`)).then((res) => answers.push(res), () => {}))
  await until(() => answers.length === 4, () => `those past the most to be refused; ${answers.length} were`)
  for (const res of answers) assert.ok(res.status === 503 && res.json.type.endsWith('/overloaded'), res.text)
  assert.deepStrictEqual(await server.stop(), { code: 0, signal: null })
  await Promise.all(calls)
  for (const res of answers.slice(4)) assert.ok(res.status === 503 && !res.json.type.endsWith('/overloaded'), res.text)
})
