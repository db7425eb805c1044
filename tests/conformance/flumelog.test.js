'use strict'
// api-spec/client/flumelog.js: the suites of flume's own authors, flumedb with its views, and the same answers as flumelog-offset to the same calls.
// SLUICE_TEST_SEED=N repeats the random part.
const test = require('node:test')
const assert = require('node:assert')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const Obv = require('obv')
const pull = require('pull-stream')
const Flume = require('flumedb')
const Level = require('flumeview-level')
const Query = require('flumeview-query')
const Reduce = require('flumeview-reduce')
const Offset = require('flumelog-offset')
const { drawnSeed, makeRandom } = require('../support/random')
const { ROOT, Server, folder, generate, importLines, until } = require('../support/sluice')

const CLIENT = pathToFileURL(path.join(ROOT, 'api-spec', 'client', 'flumelog.js')).href
const seed = drawnSeed()

// ---- helpers

const promised = (call) => new Promise((resolve, reject) => call((err, value) => err ? reject(err) : resolve(value)))
const collect = (source) => promised((cb) => pull(source, pull.collect(cb)))
const append = (log, value) => promised((cb) => log.append(value, cb))
const get = (log, seq) => promised((cb) => log.get(seq, cb))
const known = (log) => new Promise((resolve) => log.since.once(resolve))
const close = (log) => promised((cb) => log.close(cb))

// A server that takes any value.
async function serve(t, ...args) {
  const data = folder(t)
  return Server.start(t, ['--data', data, '--accept', 'any', ...args])
}

async function open(t, server, options = {}) {
  const { flumelog } = await import(CLIENT)
  const log = flumelog(server.url, { filename: path.join(folder(t), 'log'), ...options })
  t.after(() => close(log))
  return log
}

// flumelog-offset with the offsets that Sluice's own logs have.
function openOffset(t) {
  const codec = { encode: JSON.stringify, decode: JSON.parse, buffer: false }
  return Offset(path.join(folder(t), 'log.offset'), { codec, offsetCodec: 53 })
}

// What a live stream gives: { items, ended, stop(), until() }.
function follow(t, source) {
  const state = { items: [], ended: null }
  const drain = pull.drain((item) => { state.items.push(item) }, (err) => { state.ended = err || true })
  pull(source, drain)
  state.stop = () => drain.abort()
  state.until = (count) => until(() => state.items.length >= count, () => `${count} items, there are ${state.items.length}`)
  t.after(() => state.stop())
  return state
}

// ---- other people's suites: they use tape, which wants a process of its own

// create: the text of a function (file, url) that gives what the suite is to test; each file name gets a server. Ends with the process, or when
// `enough` says so.
async function suite(t, name, servers, create, enough = () => false) {
  const script = `
    const fs = require('node:fs'), path = require('node:path')
    const urls = ${JSON.stringify(servers.map((server) => server.url))}, files = new Map()
    import(${JSON.stringify(CLIENT)}).then(({ flumelog }) => {
      const create = ${create}
      require(${JSON.stringify(name)})((file) => {
        if (!files.has(file)) files.set(file, urls[files.size])
        return create(file, files.get(file))
      }, () => process.exit())
    })`
  const child = spawn(process.execPath, ['-e', script], { env: { ...process.env, TMPDIR: folder(t) } })
  let text = ''
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (data) => { text += data })
  const over = new Promise((resolve) => child.on('close', resolve))
  let ended = false
  over.then(() => { ended = true })
  t.after(() => child.kill('SIGKILL'))
  await until(() => ended || enough(text), () => `${name}: ${text}`, 60000)
  child.kill('SIGKILL')
  const code = await over
  return { text, code, ok: text.match(/^ok /gm)?.length || 0, bad: text.match(/^not ok /gm)?.length || 0 }
}

const CREATE_INDEX = `(file, url) => {
  fs.mkdirSync(file, { recursive: true })
  const log = url ? flumelog(url, { filename: path.join(file, 'log') }) : require('flumelog-offset')(path.join(file, 'log'), 1024, require('flumecodec').json)
  return require('flumedb')(log).use('index', require('flumeview-level')(1, (e) => [e.key]))
}`

test('test-flumelog passes whole', async (t) => {
  const result = await suite(t, 'test-flumelog', [await serve(t)], '(filename, url) => flumelog(url, { filename })')
  assert.deepStrictEqual([result.ok, result.bad, result.code], [33, 0, 0], result.text)
  assert.match(result.text, /^DONE$/m)
})

test('test-flumeview-index passes for flumeview-level', async (t) => {
  const result = await suite(t, 'test-flumeview-index', [await serve(t)], CREATE_INDEX, (text) => /^ok 6 /m.test(text))
  assert.deepStrictEqual([result.ok, result.bad], [6, 0], result.text)
})

test('test-flumeview-index/live passes for flumeview-level', async (t) => {
  const result = await suite(t, 'test-flumeview-index/live', [await serve(t)], CREATE_INDEX, (text) => /^ok 6 /m.test(text))
  assert.deepStrictEqual([result.ok, result.bad], [1, 0], result.text)
})

// test-flumeview-index/read is left out: over flumelog-offset itself it ends in a LOCK error, and further on it reads a leveldb that it has closed.

// ---- flumedb and its views

const people = ['amara', 'bo', 'chi', 'dov']
const record = (i, below) => ({ key: '%' + i, value: { author: people[below(people.length)], n: below(100), type: below(3) ? 'post' : 'vote', text: '…'.repeat(below(20)) } })

const useViews = (db) => db
  .use('sum', Reduce(1, (sum, n) => ({ count: (sum?.count || 0) + 1, sum: (sum?.sum || 0) + n }), (data) => data.value.n))
  .use('keys', Level(1, (data) => [data.key]))
  .use('people', Level(2, (data, seq) => [[data.value.author, data.value.n, seq]]))
  .use('query', Query(1, {
    indexes: [{ key: 'aut', value: [['value', 'author'], ['value', 'n']] }, { key: 'typ', value: [['value', 'type'], ['key']] }]
  }))

const queries = [
  [{ $filter: { value: { author: 'bo', n: { $gte: 20, $lt: 60 } } } }],
  [{ $filter: { value: { type: 'vote' } } }, { $map: { k: 'key', n: ['value', 'n'] } }],
  [{ $filter: { value: { type: 'post' } } }, { $reduce: { author: ['value', 'author'], n: { $count: true }, sum: { $sum: ['value', 'n'] } } }],
  [{ $filter: { value: { text: '……' } } }]
]

async function answers(db) {
  const sources = {
    log: db.stream({}),
    reversed: db.stream({ reverse: true, limit: 7, values: false }),
    people: db.people.read({ gte: ['bo'], lt: ['chi', 50] }),
    backwards: db.people.read({ reverse: true, limit: 5, values: false })
  }
  queries.forEach((query, i) => { sources['query ' + i] = db.query.read({ query }) })
  const result = { since: await known(db), sum: await promised((cb) => db.sum.get({ meta: true, values: true }, cb)) }
  for (const [name, source] of Object.entries(sources)) result[name] = await collect(source)
  for (const key of ['%0', '%17', '%none']) result['get ' + key] = await promised((cb) => db.keys.get(key, (err, value) => cb(null, err ? err.name : value)))
  // it has functions in it, which are never the same
  result.explained = JSON.parse(JSON.stringify(db.query.explain({ query: queries[0] })))
  return result
}

// One by one: the difference of two long answers is long in the making.
function isSame(actual, expected) {
  for (const name of Object.keys(expected)) assert.deepStrictEqual(actual[name], expected[name], name)
}

test('flumedb and its views say the same over Sluice and over flumelog-offset', async (t) => {
  const server = await serve(t)
  const below = makeRandom(7).below
  const filename = path.join(folder(t), 'log')
  const ours = useViews(Flume(await open(t, server, { filename })))
  const theirs = useViews(Flume(openOffset(t)))
  const first = Array.from({ length: 400 }, (_, i) => record(i, below))
  for (const db of [ours, theirs]) await promised((cb) => db.append(first, cb))
  isSame(await answers(ours), await answers(theirs))
  // one by one, and with what is asked at the same time
  for (let i = 400; i < 460; i++) {
    const more = record(i, below)
    for (const db of [ours, theirs]) await promised((cb) => db.append(more, cb))
    for (const db of [ours, theirs]) assert.deepStrictEqual(await promised((cb) => db.keys.get('%' + i, cb)), more)
  }
  const expected = await answers(theirs)
  isSame(await answers(ours), expected)
  assert.strictEqual(expected.sum.value.count, 460)
  assert.ok(expected['query 3'].length > 0)
  // views go on where they were
  await promised((cb) => ours.close(cb))
  const again = useViews(Flume(await open(t, server, { filename })))
  isSame(await answers(again), expected)
  await promised((cb) => again.rebuild(cb))
  isSame(await answers(again), expected)
  await promised((cb) => again.close(cb))
  await promised((cb) => theirs.close(cb))
})

test('two flumedbs on one Sluice log see what the other one appends', async (t) => {
  const server = await serve(t)
  const left = useViews(Flume(await open(t, server))), right = useViews(Flume(await open(t, server)))
  const below = makeRandom(3).below
  for (let i = 0; i < 40; i++) {
    const [from, to] = i % 2 ? [left, right] : [right, left]
    const seq = await promised((cb) => from.append(record(i, below), cb))
    await until(() => to.since.value >= seq, 'the other one to know')
    assert.strictEqual((await promised((cb) => to.keys.get('%' + i, cb))).key, '%' + i)
  }
  isSame(await answers(left), await answers(right))
  for (const db of [left, right]) await promised((cb) => db.close(cb))
})

test('flumeviews work on the log of another program', async (t) => {
  const lines = generate(300, '--seed', '5')
  const file = path.join(folder(t), 'log.offset')
  const codec = { encode: String, decode: String, buffer: false }
  const theirs = Offset(file, { codec })
  const seq = await append(theirs, lines)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  const db = Flume(await open(t, server))
    .use('keys', Level(1, (data) => [data.key]))
    .use('types', Reduce(1, (types, type) => ({ ...types, [type]: (types?.[type] || 0) + 1 }), (data) => String(data.value.content.type)))
  await until(() => db.since.value === seq, 'since')
  const records = lines.map((line) => JSON.parse(line))
  for (const record of records.slice(0, 20)) assert.deepStrictEqual(await promised((cb) => db.keys.get(record.key, cb)), record)
  const types = await promised((cb) => db.types.get({}, cb))
  assert.strictEqual(Object.values(types).reduce((a, b) => a + b), 300)
  await assert.rejects(promised((cb) => db.append({ a: 1 }, cb)), { code: 'read-only', status: 503 })
  await promised((cb) => db.close(cb))
})

// ---- the log

test(`every stream is what flumelog-offset gives (seed ${seed})`, async (t) => {
  const below = makeRandom(seed).below
  const ours = await open(t, await serve(t)), theirs = openOffset(t)
  const seqs = []
  assert.deepStrictEqual(await collect(ours.stream({})), [])
  for (let i = 0; i < 60; i++) {
    const value = below(3) ? { i, text: 'ü'.repeat(below(40)) } : Array.from({ length: 1 + below(4) }, (_, k) => [i, k])
    const seq = await append(theirs, value)
    assert.strictEqual(await append(ours, value), seq)
    assert.strictEqual(ours.since.value, seq)
    seqs.push(seq)
  }
  const bound = () => seqs[below(seqs.length)]
  for (let i = 0; i < 250; i++) {
    const opts = {}
    if (below(2)) opts[below(2) ? 'gt' : 'gte'] = below(8) ? bound() : below(2) - 1
    if (below(2)) opts[below(2) ? 'lt' : 'lte'] = bound()
    for (const name of ['seqs', 'values', 'reverse', 'sync', 'cache']) if (!below(3)) opts[name] = Boolean(below(2))
    if (!below(3)) opts.limit = below(6)
    // from a start that is not before its end it streams on over the end
    const { gt, gte, lt, lte } = opts
    if ((gt ?? gte ?? -1) >= (lt ?? lte ?? (opts.reverse ? seqs.at(-1) : Infinity))) continue
    assert.deepStrictEqual(await collect(ours.stream({ ...opts })), await collect(theirs.stream({ ...opts })), JSON.stringify(opts))
  }
})

test('since is observed as npm obv is', async (t) => {
  const log = await open(t, await serve(t))
  await known(log)
  const calls = [log.since, Obv().set(-1)].map((obv) => {
    const seen = []
    const remove = obv((value) => seen.push(['all', value]))
    obv((value) => seen.push(['later', value]), false)
    obv.once((value) => seen.push(['once', value]))
    obv.once((value) => seen.push(['next', value]), false)
    obv.set(5)
    remove()
    assert.strictEqual(obv.set(7), obv)
    return [...seen, obv.value]
  })
  assert.deepStrictEqual(calls[0], calls[1])
})

test('live streams: old, new, both, and so many', async (t) => {
  const log = await open(t, await serve(t))
  await append(log, ['a', 'b', 'c'])
  const both = follow(t, log.stream({ live: true, seqs: false }))
  const fresh = follow(t, log.stream({ old: false, seqs: false }))
  const three = follow(t, log.stream({ gt: 0, live: true, seqs: false, limit: 3 }))
  const seqs = follow(t, log.stream({ live: true, values: false }))
  await both.until(3)
  await until(() => three.items.length === 2, 'what is old')
  const d = await append(log, 'd'), f = await append(log, ['e', 'f'])
  await both.until(6)
  await fresh.until(3)
  await until(() => three.ended, 'the end')
  await seqs.until(6)
  assert.deepStrictEqual(both.items, ['a', 'b', 'c', 'd', 'e', 'f'])
  assert.deepStrictEqual(fresh.items, ['d', 'e', 'f'])
  assert.deepStrictEqual(three.items, ['b', 'c', 'd'])
  assert.deepStrictEqual([seqs.items[3], seqs.items[5]], [d, f])
  assert.deepStrictEqual(await collect(log.stream({ live: true, lte: d, seqs: false })), ['a', 'b', 'c', 'd'])
  both.stop()
  await append(log, 'g')
  await fresh.until(4)
  assert.strictEqual(both.items.length, 6)
  await close(log)
  await until(() => fresh.ended === true && seqs.ended === true, 'the streams to end')
})

test('a stream that is aborted while it waits answers both calls', async (t) => {
  const log = await open(t, await serve(t))
  const read = log.stream({ live: true })
  const calls = []
  read(null, (end) => calls.push(['read', end]))
  await known(log)
  read(true, (end) => calls.push(['abort', end]))
  await until(() => calls.length === 2, 'both')
  assert.deepStrictEqual(calls, [['read', true], ['abort', true]])
})

test('any value comes back as it went in', async (t) => {
  const server = await serve(t)
  const log = await open(t, server)
  const values = [0, -1.5, true, false, null, '', 'ü\u2028\n', '\ud800', [], {}, { a: { b: [1] } }, [[1], [2]], { key: 1, seq: 99, id: 's1' }, { key: {}, value: 2, timestamp: 3 },
    { seq: 7 }, { value: 3 }, { base64: 'AAAA' }, { error: { status: 500 } }, { sync: true, since: 3 }, { closed: true }, { id: 's1', closed: true }, { key: '__proto__', 'x"y': '\\' }]
  const fresh = follow(t, log.stream({ old: false, seqs: false }))
  await known(log)
  for (const value of values) await append(log, [value])
  assert.deepStrictEqual(await collect(log.stream({ seqs: false })), values)
  await fresh.until(values.length)
  assert.deepStrictEqual(fresh.items, values)
  // from what is in memory, and from the server
  const other = await open(t, server)
  const seqs = await collect(log.stream({ values: false }))
  for (const from of [log, other]) for (const [i, seq] of seqs.entries()) assert.deepStrictEqual(await get(from, seq), values[i])
  await assert.rejects(append(log, undefined), TypeError)
  await assert.rejects(append(log, [1, () => {}]), TypeError)
  assert.strictEqual(await append(log, []), log.since.value)
})

test('appends keep the order of the calls, and since and the callback say the same', async (t) => {
  const log = await open(t, await serve(t))
  const answered = []
  await Promise.all(Array.from({ length: 300 }, async (_, i) => {
    const seq = await append(log, i % 3 ? { i } : [{ i, first: true }, { i }])
    assert.ok(log.since.value >= seq)
    answered.push([i, seq])
  }))
  assert.deepStrictEqual(answered.map(([i]) => i), answered.map((_, i) => i))
  for (const [i, [, seq]] of answered.entries()) assert.ok(i === 0 || seq >= answered[i - 1][1])
  const stored = await collect(log.stream({ seqs: false }))
  assert.deepStrictEqual(stored, Array.from({ length: 300 }, (_, i) => i % 3 ? [{ i }] : [{ i, first: true }, { i }]).flat())
})

test('a batch is seen as a whole', async (t) => {
  const log = await open(t, await serve(t))
  await known(log)
  const sinces = []
  log.since((seq) => sinces.push(seq))
  const ends = [-1]
  for (let i = 0; i < 20; i++) ends.push(await append(log, Array.from({ length: 200 }, (_, k) => [i, k])))
  assert.deepStrictEqual(sinces, ends)
})

test('a batch that is too large for the server goes in parts', async (t) => {
  const log = await open(t, await serve(t, '--batch-max', '10', '--body-max', '2000'))
  const values = Array.from({ length: 135 }, (_, i) => ({ i, text: 'x'.repeat(i * 3) }))
  const seq = await append(log, values)
  assert.strictEqual(log.since.value, seq)
  assert.deepStrictEqual(await collect(log.stream({ seqs: false })), values)
  await assert.rejects(append(log, 'x'.repeat(3000)), { status: 413 })
})

test('a value that is refused takes no other one with it', async (t) => {
  const log = await open(t, await serve(t, '--body-max', '4096'))
  const results = await Promise.allSettled([append(log, 1), append(log, 'x'.repeat(5000)), append(log, 2), append(log, ['x'.repeat(5000), 3]), append(log, 4)])
  assert.deepStrictEqual(results.map((result) => result.status), ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'])
  assert.deepStrictEqual(await collect(log.stream({ seqs: false })), [1, 2, 4])
})

test('what the log cannot do it refuses in words', async (t) => {
  const log = await open(t, await serve(t))
  const seq = await append(log, ['a', 'b'])
  await assert.rejects(promised((cb) => log.del(seq, cb)), { code: 'flumelog:del-refused', message: /cannot be deleted/ })
  await assert.rejects(promised((cb) => Flume(log).del([seq], cb)), { code: 'flumelog:del-refused' })
  await assert.rejects(get(log, 5), { code: 'not-a-record', status: 400 })
  await assert.rejects(get(log, seq + 1000), { code: 'not-found', status: 404 })
  for (const bad of [-1, 1.5, '0', undefined, NaN]) await assert.rejects(get(log, bad), RangeError)
  await assert.rejects(collect(log.stream({ gt: 5 })), { code: 'not-a-record' })
  await close(log)
  await assert.rejects(append(log, 'c'), { code: 'flumelog:closed' })
  await assert.rejects(get(log, seq), { code: 'flumelog:closed' })
  await assert.rejects(collect(log.stream({})), { code: 'flumelog:closed' })
  await close(log)
})

test('a record that its owner deletes is gone, also from what was read before', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const theirs = Offset(file, { codec: { encode: JSON.stringify, decode: JSON.parse, buffer: false } })
  const first = await append(theirs, 'aaaa')
  const log = await open(t, await Server.start(t, ['--follow', file, '--views', folder(t)]))
  await until(() => log.since.value === first, 'since')
  const seq = await append(theirs, 'bbbb')
  await append(theirs, 'cccc')
  await until(() => log.since.value > seq, 'since')
  assert.strictEqual(await get(log, seq), 'bbbb')
  await promised((cb) => theirs.del(seq, cb))
  await assert.rejects(get(log, seq), { code: 'flumelog:deleted', message: 'item has been deleted' })
  assert.deepStrictEqual(await collect(log.stream({ seqs: false })), ['aaaa', 'cccc'])
})

test('live streams, views and appends go on when the server comes back', async (t) => {
  const data = folder(t)
  const server = await Server.start(t, ['--data', data, '--accept', 'any'])
  const listen = `127.0.0.1:${server.port}`
  server.args.splice(server.args.indexOf('--listen') + 1, 1, listen)
  const log = await open(t, server)
  const live = follow(t, log.stream({ live: true, seqs: false }))
  const db = Flume(log).use('sum', Reduce(1, (sum, n) => (sum || 0) + n))
  const expected = []
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 10; i++) {
      expected.push(expected.length)
      await append(log, expected.length - 1)
    }
    await server.stop(round % 2 ? 'SIGKILL' : 'SIGTERM')
    await assert.rejects(append(log, 'lost'), { code: 'unreachable' })
    await server.launch()
  }
  const seq = await append(log, 1000)
  await live.until(expected.length + 1)
  assert.deepStrictEqual(live.items, [...expected, 1000])
  await until(() => db.sum.since.value === seq, 'the view')
  assert.strictEqual(await promised((cb) => db.sum.get({}, cb)), expected.reduce((a, b) => a + b) + 1000)
})

test('a stream that is read slowly gets everything, and little is kept for it', async (t) => {
  const log = await open(t, await serve(t))
  await known(log)
  const read = log.stream({ live: true, seqs: false })
  const next = () => promised((cb) => read(null, cb))
  await append(log, 0)
  assert.strictEqual(await next(), 0)
  const COUNT = 20000
  for (let i = 1; i < COUNT; i += 500) await append(log, Array.from({ length: Math.min(500, COUNT - i) }, (_, k) => i + k))
  for (let i = 1; i < COUNT; i++) assert.strictEqual(await next(), i)
  await append(log, 'last')
  assert.strictEqual(await next(), 'last')
  await new Promise((resolve) => read(true, resolve))
})

test('a log whose server is not there says so', async (t) => {
  const errors = []
  const log = await open(t, { url: 'http://127.0.0.1:1' }, { retries: 1, onError: (err) => errors.push(err) })
  await assert.rejects(collect(log.stream({})), { code: 'unreachable', status: 0 })
  await assert.rejects(append(log, 1), { code: 'unreachable' })
  await assert.rejects(get(log, 0), { code: 'unreachable' })
  await until(() => errors.length === 1, 'onError')
})

test('a log with a signed message that is wrong refuses it with a reason', async (t) => {
  const lines = generate(6, '--seed', '2')
  const data = importLines(t, lines.slice(0, 4))
  const log = await open(t, await Server.start(t, ['--data', data]))
  const bad = JSON.parse(lines[4]).value
  await assert.rejects(append(log, { ...bad, timestamp: bad.timestamp + 1 }), { code: 'invalid-message', status: 422, index: 0 })
  // at once, so that they go in one batch
  const results = await Promise.allSettled([JSON.parse(lines[4]).value, { ...bad, sequence: 77 }, 'no message'].map((value) => append(log, value)))
  assert.deepStrictEqual(results.map((result) => result.reason?.status), [undefined, 422, 422])
  assert.deepStrictEqual((await collect(log.stream({ seqs: false }))).map((record) => record.key), lines.slice(0, 5).map((line) => JSON.parse(line).key))
})
