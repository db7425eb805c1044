'use strict'
// Publishing in the owner's name into a log of Sluice's own: signed as ssb-validate and ssb-keys want it, and never a fork.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const ssbKeys = require('ssb-keys')
const validate = require('ssb-validate')
const { Server, folder, generate, run, until } = require('../support/sluice')
const { drawnSeed, makeRandom } = require('../support/random')

const READER = 'the-token-of-a-reader'
const PUBLISHER = 'the-token-of-a-publisher'
const ALL = 'the-token-that-may-do-all'
const bearer = (token) => ({ Authorization: 'Bearer ' + token })
const BEGIN = { 'If-None-Match': '*' }

function owner(t) {
  const dir = folder(t)
  const file = path.join(dir, 'secret')
  const tokens = path.join(dir, 'tokens')
  fs.writeFileSync(tokens, `${READER} read\n${PUBLISHER} publish\n${ALL} read append publish\n`, { mode: 0o600 })
  return { keys: ssbKeys.loadOrCreateSync(file), file, args: ['--secret', file, '--token-file', tokens, '--publish'] }
}

async function start(t, ...args) {
  const me = owner(t)
  const server = await Server.start(t, ['--data', folder(t), ...me.args, '--sole-signer', ...args])
  return { ...me, server, publish: (body, headers = {}) => server.post('/publish', body, { ...bearer(PUBLISHER), ...headers }) }
}

const post = (text) => ({ content: { type: 'post', text } })
const padded = (bytes) => JSON.stringify(post('short')).slice(0, -1).padEnd(bytes - 1) + '}'

// The whole feed as ssb-validate sees it: each message valid, in its place, and later than the one before it.
function chain(records, id) {
  let state = validate.initial()
  let newest = 0
  for (const { key, value } of records) {
    assert.strictEqual(value.author, id)
    state = validate.append(state, null, value)
    assert.ifError(state.error)
    assert.strictEqual(validate.id(value), key)
    assert.ok(value.timestamp > newest, `${value.timestamp} after ${newest}`)
    newest = value.timestamp
  }
  assert.deepStrictEqual(records.map(({ value }) => value.sequence), records.map((_, i) => i + 1))
  return state
}

async function feed(server, id) {
  const found = []
  for (let next = `/feeds/${encodeURIComponent(id)}?limit=1000`; next;) {
    const page = await server.get(next, bearer(READER))
    found.push(...page.messages)
    next = page.next
  }
  return found
}

test('what is published is what ssb-validate would have made', async (t) => {
  const { server, keys, publish } = await start(t)
  const contents = [
    { type: 'post', text: 'hello' }, { type: 'vote', vote: { link: '%' + 'A'.repeat(43) + '=.sha256', value: 1, expression: 'Like' } },
    { type: 'odd', 10: 'ten', b: 1, 2: 'two', a: [1e21, -0, 0.1, 1e-7, null, true, {}, []], '': '"\\/\u0000\u007f\u2028', '__proto__x': 1 },
    { type: 'žluťoučký', text: '😀 \ud800 שלום' }, { type: 'abc', text: 'x'.repeat(7000) }
  ]
  for (const [i, content] of contents.entries()) {
    const before = Date.now()
    const res = await publish({ content }, i === 0 ? BEGIN : {})
    assert.strictEqual(res.status, 201, res.text)
    const { seq, key, value, timestamp } = res.json
    assert.strictEqual(res.headers.location, '/log/' + seq)
    assert.ok(value.timestamp >= before && value.timestamp <= Date.now() + 1 && timestamp >= before)
    assert.deepStrictEqual(value.content, JSON.parse(JSON.stringify(content)))
    assert.ok(ssbKeys.verifyObj(keys, value))
    const state = { feeds: { [keys.id]: i === 0 ? null : { id: value.previous, sequence: i, timestamp: 0, queue: [] } }, queue: [], validated: 0 }
    const theirs = validate.create(state.feeds[keys.id], keys, null, content, value.timestamp)
    assert.strictEqual(JSON.stringify(value), JSON.stringify(theirs), 'to the byte, the order of its keys as well')
    assert.strictEqual(validate.id(theirs), key)
    assert.deepStrictEqual(await server.get('/log/' + seq, bearer(READER)), res.json)
  }
  chain(await feed(server, keys.id), keys.id)
})

test('a message for some is opened by them and by nobody else', async (t) => {
  const { server, keys, publish } = await start(t)
  const friend = ssbKeys.generate()
  const stranger = ssbKeys.generate()
  const recps = [keys.id, friend.id]
  const content = { type: 'post', text: 'for you ☂' }
  const whole = { ...content, recps }
  for (const [i, body] of [{ content, recps }, { content: whole }, { content: whole, recps }, { content, recps: recps.map((link) => ({ link, name: 'x' })) }].entries()) {
    const res = await publish(body, i === 0 ? BEGIN : {})
    assert.strictEqual(res.status, 201, res.text)
    const box = res.json.value.content
    assert.match(box, /^[A-Za-z0-9/+]+=*\.box$/)
    for (const reader of [keys, friend]) assert.deepStrictEqual(ssbKeys.unbox(box, reader), whole)
    assert.ok(!ssbKeys.unbox(box, stranger))
  }
  const alone = await publish({ content, recps: friend.id })
  assert.strictEqual(alone.status, 201, alone.text)
  assert.deepStrictEqual(ssbKeys.unbox(alone.json.value.content, friend), { ...content, recps: [friend.id] })
  assert.ok(!ssbKeys.unbox(alone.json.value.content, keys), 'who is not among them cannot read what he wrote')
  const seven = Array.from({ length: 7 }, () => ssbKeys.generate())
  const many = await publish({ content, recps: seven.map((k) => k.id) })
  for (const reader of seven) assert.strictEqual(ssbKeys.unbox(many.json.value.content, reader).text, content.text)
  const everybody = await publish({ content: { ...content, recps: null }, recps: null })
  assert.strictEqual(everybody.json.value.content.text, content.text)
  chain(await feed(server, keys.id), keys.id)
})

test('what no message can be is refused with the reason, and nothing is stored', async (t) => {
  const { server, keys, publish } = await start(t)
  const me = keys.id
  const text = (n) => ({ content: { type: 'post', text: 'x'.repeat(n) } })
  for (const [body, status, type, why] of [
    ['', 400, 'bad-request', /empty/], ['{', 400, 'bad-request', /JSON/], ['[]', 400, 'bad-request', /object/], ['{}', 400, 'bad-request', /content/],
    [{ content: 'text' }, 400, 'bad-request', /content/], [{ content: [] }, 400, 'bad-request', /content/], [{ content: 'AAAA.box' }, 400, 'bad-request', /content/],
    [{ type: 'post', text: 'as it is' }, 400, 'bad-request', /no "type"/], [{ content: { type: 'post' }, author: me }, 400, 'bad-request', /no "author"/],
    [{ content: {} }, 422, 'invalid-message', /type/], [{ content: { type: 'ab' } }, 422, 'invalid-message', /3 to 52/], [{ content: { type: 7 } }, 422, 'invalid-message', /type/],
    [{ content: { type: 'x'.repeat(53) } }, 422, 'invalid-message', /3 to 52/], [text(8192), 422, 'invalid-message', /8192/], [text(7900), 422, 'invalid-message', /8192/],
    [text(70000), 413, 'too-large', /65536/], [padded(65537), 413, 'too-large', /65536/], ['{"content":{"type":"post","a":' + '['.repeat(600) + ']'.repeat(600) + '}}', 422, 'invalid-message', /deeper/],
    [{ content: { type: 'post' }, recps: [] }, 422, 'invalid-message', /nobody/], [{ content: { type: 'post', recps: [] } }, 422, 'invalid-message', /nobody/],
    [{ content: { type: 'post' }, recps: ['alice'] }, 422, 'invalid-message', /feed id/], [{ content: { type: 'post' }, recps: '' }, 422, 'invalid-message', /feed id/],
    [{ content: { type: 'post' }, recps: false }, 422, 'invalid-message', /feed id/], [{ content: { type: 'post', recps: 0 } }, 422, 'invalid-message', /feed id/],
    [{ content: { type: 'post' }, recps: ['%' + me.slice(1, 45) + '.cloaked'] }, 422, 'invalid-message', /feed id/],
    [{ content: { type: 'post' }, recps: Array.from({ length: 8 }, () => ssbKeys.generate().id) }, 422, 'invalid-message', /at most 7/],
    [{ content: { type: 'post', recps: [me] }, recps: [ssbKeys.generate().id] }, 422, 'invalid-message', /not the same/],
    [{ content: { type: 'post', recps: null }, recps: [me] }, 422, 'invalid-message', /everybody/],
    [{ content: { type: 'ab' }, recps: [me] }, 422, 'invalid-message', /3 to 52/], [{ content: { type: 'post', text: 'x'.repeat(6500) }, recps: [me] }, 422, 'invalid-message', /8192/]
  ]) {
    const res = await publish(body, BEGIN)
    const what = `${JSON.stringify(body).slice(0, 100)}: ${res.status} ${res.text}`
    assert.strictEqual(res.status, status, what)
    assert.ok(res.json.type.endsWith('/' + type), what)
    assert.match(res.json.detail, why, what)
  }
  assert.strictEqual((await publish({ content: { type: 'post' } }, { ...BEGIN, 'Content-Type': 'text/plain' })).status, 415)
  assert.strictEqual((await server.request('/publish?x=1', { method: 'POST', headers: { ...bearer(PUBLISHER), 'Content-Type': 'application/json' }, body: '{}' })).status, 400)
  assert.deepStrictEqual((await server.get('/log', bearer(READER))).messages, [])
})

test('publish-max: a body of as many bytes is published', async (t) => {
  const { server, publish } = await start(t)
  const most = (await server.get('/limits', bearer(READER))).limits.find(({ name }) => name === 'publish-max').value
  const res = await publish(padded(most), BEGIN)
  assert.strictEqual(res.status, 201, res.text)
  assert.deepStrictEqual(res.json.value.content, post('short').content)
  assert.strictEqual((await publish(padded(most + 1))).status, 413)
})

test('publishing has to be asked for, and by who may', async (t) => {
  const { server } = await start(t)
  const ask = (token, target = '/publish') => server.post(target, post('x'), { ...BEGIN, ...(token ? bearer(token) : {}) })
  assert.strictEqual((await ask()).status, 401)
  assert.strictEqual((await ask('no-such-token-at-all')).status, 401)
  const short = await ask(READER)
  assert.strictEqual(short.status, 403)
  assert.match(short.json.detail, /scope publish/)
  assert.strictEqual((await ask(PUBLISHER)).status, 201)
  assert.strictEqual((await server.request('/log', { headers: bearer(PUBLISHER) })).status, 403, 'it publishes and does nothing else')
  const off = owner(t)
  const silent = await Server.start(t, ['--data', folder(t), ...off.args.slice(0, 4)])
  const refused = await silent.post('/publish', post('x'), bearer(ALL))
  assert.strictEqual(refused.status, 403, refused.text)
  assert.match(refused.json.detail, /without --publish/)
  const open = await Server.start(t, ['--data', folder(t), '--secret', off.file])
  const nobody = await open.post('/publish', post('x'))
  assert.strictEqual(nobody.status, 403, nobody.text)
  assert.match(nobody.json.detail, /--token-file/)
})

test('what is missing to publish safely is said at the start', (t) => {
  const { file, args } = owner(t)
  const tokens = args[3]
  const log = path.join(folder(t), 'log.offset')
  fs.writeFileSync(log, '')
  const dir = folder(t)
  for (const [options, why] of [
    [['--data', dir, '--publish', '--secret', file, '--sole-signer'], /--token-file/],
    [['--data', dir, '--publish', '--token-file', tokens, '--sole-signer'], /--secret/],
    [['--data', dir, ...args], /forks.*--sole-signer/],
    [['--data', dir, ...args, '--sole-signer', '--accept', 'any'], /--accept any/],
    [['--data', dir, ...args, '--sole-signer', '--node-socket', '/x'], /followed/],
    [['--data', dir, '--sole-signer'], /--publish/], [['--data', dir, '--node-socket', '/x'], /--publish/],
    [['--follow', log, ...args, '--sole-signer'], /node signs/], [['--follow', log, ...args], /--node-socket PATH/],
    [['--follow', log, ...args, '--node-socket', '/' + 'x'.repeat(200)], /path of a socket/]
  ]) {
    const refused = run(['serve', ...options, '--listen', '127.0.0.1:0'])
    assert.strictEqual(refused.status, 64, options + refused.stderr)
    assert.match(refused.stderr, why)
  }
})

test('a feed that is not in the log is begun only by who says so', async (t) => {
  const { server, keys, publish } = await start(t)
  const first = await publish(post('one'))
  assert.strictEqual(first.status, 428, first.text)
  assert.match(first.json.type, /first-message/)
  assert.match(first.json.detail, /fork.*If-None-Match/)
  const some = await publish(post('one'), { 'If-Match': '*' })
  assert.strictEqual(some.status, 412)
  assert.strictEqual(some.json.head, null)
  const one = await publish(post('one'), BEGIN)
  assert.strictEqual(one.status, 201, one.text)
  const again = await publish(post('one'), BEGIN)
  assert.strictEqual(again.status, 412)
  assert.strictEqual(again.json.head, one.json.key)
  const match = { 'If-Match': `"${one.json.key}"` }
  const two = await publish(post('two'), match)
  assert.strictEqual(two.status, 201, two.text)
  assert.strictEqual((await publish(post('two'), match)).status, 412, 'sent again it is not published twice')
  assert.strictEqual((await publish(post('two'), { 'If-Match': 'two' })).status, 400)
  assert.strictEqual((await feed(server, keys.id)).length, 2)
})

test('a published message is durable, whatever is preferred', async (t) => {
  const { server, publish } = await start(t)
  const res = await publish(post('x'), { ...BEGIN, Prefer: 'durability=relaxed' })
  assert.strictEqual(res.status, 201)
  assert.strictEqual(res.headers['preference-applied'], undefined)
  const head = await server.request('/log', { method: 'HEAD', headers: bearer(READER) })
  assert.ok(Number(head.headers['sluice-log-durable']) >= res.json.seq)
})

test('it goes on where the feed stands, also behind messages that were signed elsewhere', async (t) => {
  const { server, keys, publish } = await start(t)
  let state = validate.initial()
  for (let i = 0; i < 10; i++) {
    // as from the future: a clock that is behind must not make the next one older
    state = validate.appendNew(state, null, keys, { type: 'post', text: 'signed elsewhere' }, Date.now() + 1e9 + 10 * i)
    const sent = await server.post('/log', state.queue.pop().value, { ...bearer(ALL), Prefer: 'durability=relaxed' })
    assert.strictEqual(sent.status, 202, sent.text)
    const res = await publish(post(`and here ${i}`))
    assert.strictEqual(res.status, 201, res.text)
    state = validate.append(state, null, res.json.value)
    assert.ifError(state.error)
  }
  const all = await feed(server, keys.id)
  assert.strictEqual(all.length, 20)
  chain(all, keys.id)
})

test('many who publish at once do not fork the feed', async (t) => {
  const { server, keys, publish } = await start(t)
  const others = generate(60, '--seed', '5', '--authors', '3')
  assert.strictEqual((await publish(post('begin'), BEGIN)).status, 201)
  const keysOf = await Promise.all([...Array.from({ length: 8 }, async (_, who) => {
    const mine = []
    for (let i = 0; i < 12; i++) {
      const res = await publish(post(`${who} ${i}`))
      assert.strictEqual(res.status, 201, res.text)
      mine.push(res.json)
    }
    return mine
  }), (async () => {
    for (const line of others) assert.strictEqual((await server.post('/log', JSON.parse(line).value, bearer(ALL))).status, 201)
    return []
  })()])
  const all = await feed(server, keys.id)
  chain(all, keys.id)
  assert.strictEqual(all.length, 1 + 8 * 12)
  for (const mine of keysOf) {
    const seen = mine.map(({ key }) => all.findIndex((m) => m.key === key))
    assert.ok(seen.every((place, i) => place > (i ? seen[i - 1] : 0)), 'each publisher sees his own in his order')
  }
})

test('killed at any moment, the feed goes on without a fork and nothing acknowledged is lost', async (t) => {
  const { server, keys, publish } = await start(t)
  const seed = drawnSeed()
  const dice = makeRandom(seed)
  assert.strictEqual((await publish(post('begin'), BEGIN)).status, 201)
  const acknowledged = []
  for (let round = 0; round < 6; round++) {
    const before = acknowledged.length
    const most = 1 + dice.below(25)
    const publishers = Array.from({ length: 4 }, async (_, who) => {
      for (let i = 0; ; i++) {
        const res = await publish(post(`${round} ${who} ${i}`)).catch(() => null)
        if (res === null) return
        assert.strictEqual(res.status, 201, res.text)
        acknowledged.push(res.json)
      }
    })
    await until(() => acknowledged.length >= before + most, 'messages to be published')
    server.child.kill('SIGKILL')
    await Promise.all([...publishers, server.exited])
    await server.launch()
    const all = await feed(server, keys.id)
    chain(all, keys.id)
    const keysNow = new Set(all.map(({ key }) => key))
    for (const { key } of acknowledged) assert.ok(keysNow.has(key), `${key} was acknowledged (seed ${seed})`)
  }
})

test('the secret is told to nobody, whatever comes', async (t) => {
  const { server, keys, publish } = await start(t)
  const texts = []
  for (const body of [post('x'), { content: { type: 'x' } }, '{', post('y')]) texts.push((await publish(body, BEGIN)).text)
  for (const target of ['/status', '/metrics', '/limits', '/log']) texts.push((await server.request(target, { headers: bearer(READER) })).text)
  await server.stop()
  const said = server.stdout + server.stderr + texts.join()
  for (const part of [keys.private, keys.private.slice(0, 43), keys.private.slice(4, 40)]) assert.ok(!said.includes(part))
})
