'use strict'
// What lists say while they are followed: over lines, events and WebSockets the rows that come, folded by what they are about, are in the end those
// that a fresh GET gives. Messages are drawn at random; the seed is printed, and SLUICE_TEST_SEED repeats it.
const test = require('node:test')
const assert = require('node:assert')
const { Author } = require('../support/author')
const { drawnSeed, makeRandom } = require('../support/random')
const { Server, folder, importLines, until } = require('../support/sluice')
const { connect } = require('../support/socket')

const escape = encodeURIComponent
const NDJSON = { Accept: 'application/x-ndjson' }
const SSE = { Accept: 'text/event-stream' }
const with_ = (target, more) => target + (target.includes('?') ? '&' : '?') + more

// ---- a world of a few people

const PEOPLE = 9
const CHANNELS = ['boats', 'bread', 'solar-punk']
const NAMES = ['ali', 'alma', 'alba far', 'boris', 'the alder', 'zoe']

class World {
  constructor(seed) {
    this.random = makeRandom(seed)
    this.people = Array.from({ length: PEOPLE }, (_, i) => new Author(`followed ${seed} ${i}`))
    this.roots = []
    this.made = 0
  }

  content(author) {
    const { random } = this
    const other = random.pick(this.people)
    const kind = random.below(10)
    if (kind < 4) return { type: 'contact', contact: other.id, ...random.pick([{ following: true }, { following: true }, { following: false }, { blocking: true, following: false }]) }
    if (kind < 5) return { type: 'about', about: random.chance(60) ? author.id : other.id, name: random.pick(NAMES) }
    if (kind < 6) return { type: 'channel', channel: random.pick(CHANNELS), subscribed: random.chance(60) }
    if (kind < 7 && this.roots.length > 0) return { type: 'vote', vote: { link: random.pick(this.roots), value: random.below(2), expression: 'Like' } }
    if (kind < 8 && this.roots.length > 0) return { type: 'post', text: `a reply in #${random.pick(CHANNELS)}`, root: random.pick(this.roots), mentions: [{ link: '#' + random.pick(CHANNELS) }] }
    if (kind < 9 && this.roots.length > 0 && random.chance(50)) return { type: random.pick(['gathering', 'blog']), text: 'a reply of another kind', root: random.pick(this.roots) }
    if (kind < 9) return { type: random.pick(['gathering', 'blog', 'issue']), text: 'something else' }
    return { type: 'post', text: 'a thread', channel: random.pick(CHANNELS), mentions: [{ link: '#' + random.pick(CHANNELS) }, { link: random.pick(this.people).id }] }
  }

  // A signed message as a record.
  next() {
    const author = this.random.pick(this.people)
    const content = this.content(author)
    const { key, value } = author.write(content)
    if (content.type === 'post' && !content.root) this.roots.push(key)
    return { key, value, timestamp: 1600000000000 + this.made++ }
  }

  many(count) { return Array.from({ length: count }, () => this.next()) }
}

// ---- folding

const removedOf = (row) => row.removed === true
const foldBy = (key) => (state, row) => { if (removedOf(row)) state.delete(key(row)); else state.set(key(row), row) }
const byId = foldBy((row) => row.id)
const byAuthor = foldBy((row) => row.author)
const byKey = foldBy((row) => row.key)
const byName = foldBy((row) => row.type ?? row.channel)
const byPlace = foldBy((row) => `${row.seq} ${row.path}`)

// target, member of a page, how rows are folded, and what is not compared: where a message that says once more what it said before is not told again.
function listsOf(world) {
  const [ada, bo] = world.people
  const root = escape(world.roots[0])
  return [
    ['/feeds', 'feeds', byId], [`/feeds?gt=${escape(bo.id)}`, 'feeds', byId], ['/feeds?reverse=true', 'feeds', byId], ['/feeds?name=al', 'feeds', byId],
    ['/types', 'types', byName], ['/types?gt=contact', 'types', byName], ['/channels', 'channels', byName], ['/channels?gt=boats', 'channels', byName],
    [`/graph?from=${escape(ada.id)}`, 'feeds', byId], [`/graph?from=${escape(bo.id)}&hops=1`, 'feeds', byId], [`/graph?from=${escape(bo.id)}&hops=2`, 'feeds', byId],
    ...['follows', 'blocks', 'followedBy', 'blockedBy', 'friends'].map((list) => [`/contacts/${escape(ada.id)}/${list}`, 'contacts', byId]),
    ['/threads', 'threads', byId], [`/votes/${root}`, 'votes', byAuthor], ['/channels/boats/subscribers', 'subscribers', byId],
    [`/messages/${root}/thread`, 'messages', byKey], [`/messages/${root}/links`, 'links', byPlace], ['/links?rel=mentions', 'links', byPlace],
    ['/log?type=post', 'messages', byKey], [`/feeds/${escape(ada.id)}`, 'messages', byKey], ['/search?q=thread&order=oldest', 'messages', byKey]
  ]
}

// As a set of texts: threads and people are in another order when they are asked for anew.
const sorted = (rows) => rows.map((row) => JSON.stringify(row)).sort()
const rowsIn = (lines) => lines.map((line) => JSON.parse(line))
const eventsIn = (lines) => lines.filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)))

async function append(server, records) {
  const res = await server.post('/log', records.map(({ value }) => JSON.stringify(value)).join('\n'), { 'Content-Type': 'application/x-ndjson' })
  assert.strictEqual(res.status, 201, res.text)
}

const fresh = async (server, target) => rowsIn((await server.request(target, { headers: NDJSON })).text.split('\n').filter(Boolean))

function folded(fold, rows) {
  const state = new Map()
  for (const row of rows) fold(state, row)
  return sorted([...state.values()])
}

const equal = (a, b) => a.length === b.length && a.every((text, i) => text === b[i])

// Waits until the rows of every follower, folded, are those of a fresh GET.
async function settles(server, followers) {
  for (const { name, target, fold, rows } of followers) {
    const wanted = sorted(await fresh(server, target))
    await until(() => equal(folded(fold, rows()), wanted), () => {
      const got = folded(fold, rows())
      return `${name} ${target}: ${JSON.stringify({ missing: wanted.filter((row) => !got.includes(row)).slice(0, 2), stale: got.filter((row) => !wanted.includes(row)).slice(0, 2) })}`
    })
  }
}

async function followAll(t, server, lists, socket) {
  const followers = []
  for (const [i, [target, , fold]] of lists.entries()) {
    const lines = await server.lines(with_(target, 'live=true'), NDJSON)
    const events = await server.lines(with_(target, 'live=true'), SSE)
    for (const stream of [lines, events]) {
      assert.strictEqual(stream.status, 200, target)
      t.after(() => stream.close())
    }
    socket.send({ op: 'sub', id: 'l' + i, list: target })
    followers.push({ name: 'lines', target, fold, rows: () => rowsIn(lines.lines) })
    followers.push({ name: 'events', target, fold, rows: () => eventsIn(events.lines) })
    followers.push({ name: 'socket', target, fold, rows: () => socket.frames.filter((frame) => frame.id === 'l' + i && frame.row).map(({ row }) => row) })
  }
  return followers
}

const seed = drawnSeed()

test(`rows of lists that are followed add up to the lists (seed ${seed})`, async (t) => {
  t.diagnostic(`SLUICE_TEST_SEED=${seed}`)
  const world = new World(seed)
  let old = world.many(60)
  while (world.roots.length === 0) old = [...old, world.next()]
  const server = await Server.start(t, ['--data', importLines(t, old.map((record) => JSON.stringify(record)))])
  const lists = listsOf(world)
  const socket = connect(t, server.ws + '/live?subscribe=false')
  await socket.opened
  const followers = await followAll(t, server, lists, socket)
  await settles(server, followers)
  await socket.until((c) => c.frames.filter((frame) => frame.sync).length === lists.length, 'a sync frame of each')
  for (let round = 0; round < 12; round++) {
    await append(server, world.many(1 + world.random.below(12)))
    if (round % 4 === 3) await settles(server, followers)
  }
  await settles(server, followers)
  assert.deepStrictEqual(socket.frames.filter((frame) => frame.error || frame.closed), [])
  assert.strictEqual(socket.frames.filter((frame) => frame.sync).length, lists.length)
  // nothing is told twice that did not change meanwhile
  for (const { name, target, rows } of followers) {
    if (!target.startsWith('/graph')) continue
    const last = new Map()
    for (const row of rows()) {
      assert.notDeepStrictEqual(last.get(row.id), row, `${name} ${target}`)
      last.set(row.id, row)
    }
  }
})

test(`a list is gone on with from where it was (seed ${seed})`, async (t) => {
  const world = new World(seed + 1)
  let old = world.many(60)
  while (world.roots.length === 0) old = [...old, world.next()]
  const server = await Server.start(t, ['--data', importLines(t, old.map((record) => JSON.stringify(record)))])
  const lists = listsOf(world)
  const states = lists.map(() => ({ rows: [], since: null }))
  // each connection ends somewhere, with what it was sent taken as it came
  for (let round = 0; round < 5; round++) {
    const socket = connect(t, server.ws + '/live?subscribe=false')
    await socket.opened
    socket.socket.removeAllListeners('message')
    let syncs = 0
    socket.socket.on('message', (data) => {
      const { id, seq, row, sync, since, error } = JSON.parse(data)
      assert.strictEqual(error, undefined)
      const state = states[Number(id.slice(1))]
      if (sync) syncs++
      if (row) state.rows.push(row)
      if (seq !== undefined) state.since = seq
      if (sync) state.since = Math.max(state.since ?? -1, since)
    })
    for (const [i, [target]] of lists.entries()) {
      const { since } = states[i]
      // a list that was broken off before its first place, and a graph, come whole
      if (since === null || target.startsWith('/graph')) states[i].rows = []
      socket.send({ op: 'sub', id: 'l' + i, list: target, ...(since === null ? {} : { since }) })
    }
    if (round > 0) await append(server, world.many(10))
    if (round < 4) await until(() => syncs > world.random.below(lists.length), 'some of them')
    else await settles(server, lists.map(([target, , fold], i) => ({ name: 'socket', target, fold, rows: () => states[i].rows })))
    socket.socket.terminate()
    await socket.until((c) => c.closed !== null, 'what has come already to be taken')
    await append(server, world.many(10))
  }
})

// ---- one by one

async function people(t) {
  const server = await Server.start(t, ['--data', folder(t)])
  const authors = ['ann', 'ben', 'cem', 'dot'].map((name) => new Author('followed ' + name))
  const add = async (author, content) => {
    const res = await server.post('/log', author.write(content).value)
    assert.strictEqual(res.status, 201, res.text)
    return res.json.seq
  }
  return { server, authors, add }
}
const follow = (contact) => ({ type: 'contact', contact: contact.id, following: true })

test('a graph tells who comes nearer, who goes farther and who is gone, and nothing else', async (t) => {
  const { server, authors: [ann, ben, cem, dot], add } = await people(t)
  await add(ann, follow(ben))
  const socket = connect(t, server.ws + '/live?subscribe=false')
  await socket.opened
  socket.send({ op: 'sub', id: 'g', list: `/graph?from=${escape(ann.id)}&hops=2` })
  await socket.until((c) => c.synced(), 'the graph')
  const rows = () => socket.frames.filter((frame) => frame.row).map(({ row }) => row)
  const told = async (author, content, changes) => {
    const before = rows().length
    await add(author, content)
    await socket.until(() => rows().length >= before + changes.length, 'the changes')
    assert.deepStrictEqual(sorted(rows().slice(before)), sorted(changes))
  }
  assert.deepStrictEqual(rows(), [{ id: ann.id, hops: 0 }, { id: ben.id, hops: 1 }])
  await told(ben, follow(cem), [{ id: cem.id, hops: 2 }])
  await told(cem, follow(dot), []) // too far
  await told(ann, follow(cem), [{ id: cem.id, hops: 1 }, { id: dot.id, hops: 2 }])
  await told(ben, follow(dot), []) // as far
  await told(cem, { type: 'contact', contact: dot.id, following: false }, []) // ben follows him
  await told(ben, { type: 'contact', contact: dot.id, following: false }, [{ id: dot.id, hops: -3 }])
  await told(cem, { type: 'contact', contact: dot.id, blocking: true }, [{ id: dot.id, hops: -2 }])
  await told(ann, { type: 'contact', contact: cem.id, blocking: true }, [{ id: cem.id, hops: -1 }, { id: dot.id, hops: -3 }])
  await told(ann, { type: 'contact', contact: ben.id, blocking: true }, [{ id: ben.id, hops: -1 }, { id: dot.id, removed: true }])
  assert.ok(socket.frames.every((frame) => frame.seq === undefined), 'a graph cannot be gone on with')
})

test('a name that is given up is removed, and of others nothing is said', async (t) => {
  const { server, authors: [ann, ben, cem], add } = await people(t)
  const name = (about, text) => ({ type: 'about', about: about.id, name: text })
  await add(ann, name(ann, 'alma'))
  await add(cem, name(cem, 'zoe'))
  const stream = await server.lines('/feeds?name=al&live=true', NDJSON)
  await stream.until((s) => s.lines.length === 1, 'the list')
  await add(cem, name(cem, 'carla'))
  await add(ben, name(ben, 'the alder'))
  await stream.until((s) => s.lines.length === 2, 'who has such a name now')
  const last = await add(ann, name(ann, 'ann'))
  await add(cem, name(cem, 'alfred'))
  await stream.until((s) => s.lines.length === 4, 'who has it no more')
  assert.ok(last > 0)
  assert.deepStrictEqual(rowsIn(stream.lines).map(({ id, name, match, removed }) => ({ id, name, match, removed })), [
    { id: ann.id, name: 'alma', match: 'begins', removed: undefined }, { id: ben.id, name: 'the alder', match: 'word', removed: undefined },
    { id: ann.id, name: undefined, match: undefined, removed: true }, { id: cem.id, name: 'alfred', match: 'begins', removed: undefined }])
  stream.close()
})

test('what is no list, or asked for wrongly, is told as the GET tells it', async (t) => {
  const { server, authors: [ann], add } = await people(t)
  await add(ann, { type: 'post', text: 'hello' })
  const socket = connect(t, server.ws + '/live?subscribe=false')
  await socket.opened
  const ask = async (op) => {
    const before = socket.frames.length
    socket.send({ op: 'sub', id: 'a', ...op })
    await socket.until((c) => c.frames.length > before, JSON.stringify(op))
    return socket.frames[before]
  }
  for (const target of ['/threads?nonsense=1', '/graph', '/graph?from=x', `/contacts/${escape(ann.id)}/enemies`, '/nowhere', '/search?order=oldest', '/search?q=hello&order=rank', `/messages/%25${'A'.repeat(43)}=.sha256/thread`, '/log?live=true&reverse=true', '/types?limit=0']) {
    const frame = await ask({ list: target })
    const answer = await server.request(target.includes('live=') ? target : with_(target, 'live=true'), { headers: NDJSON })
    assert.ok(answer.status >= 400, `${target}: ${answer.status}`)
    assert.deepStrictEqual(frame, { id: 'a', error: answer.json }, target)
  }
  for (const target of ['/status', '/', `/about/${escape(ann.id)}`, '/views', '/log/0', '/blobs/x', '/live']) assert.ok((await ask({ list: target })).error.status >= 400, target)
  assert.match((await ask({ list: '/status' })).error.detail, /list: getStatus is none/)
  for (const target of ['/links?count=true&live=false', '/feeds/' + escape(ann.id) + '?format=atom']) {
    const { error } = await ask({ list: target })
    assert.strictEqual(error.type, '/problems/bad-parameter', JSON.stringify(error))
  }
  for (const op of [{ list: '/types', type: 'post' }, { list: 5 }, { since: 1 }, { list: '/types', since: -2 }, { list: '/types', since: 'x' }]) {
    assert.strictEqual((await ask(op)).error.type, '/problems/bad-parameter', JSON.stringify(op))
  }
})

test('lists of a socket: in the handshake, ended by a limit, without live, and as many as subscriptions', async (t) => {
  const { server, authors: [ann], add } = await people(t)
  const seq = await add(ann, { type: 'post', text: 'hello' })
  const first = connect(t, `${server.ws}/live?list=${escape('/types?limit=2')}`)
  await first.until((c) => c.synced(), 'sync')
  assert.deepStrictEqual(first.frames, [{ row: { type: 'post', count: 1, seq } }, { sync: true, since: seq }])
  const next = await add(ann, { type: 'vote', vote: { link: ann.id, value: 1 } })
  await first.until((c) => c.frames.length === 4, 'the end')
  assert.deepStrictEqual(first.frames.slice(2), [{ seq: next, row: { type: 'vote', count: 1, seq: next } }, { closed: true }])
  const ended = connect(t, `${server.ws}/live?list=${escape('/types?live=false')}`)
  await ended.until((c) => c.frames.length === 4, 'the end')
  assert.deepStrictEqual(ended.frames.slice(2), [{ sync: true, since: next }, { closed: true }])
  const behind = connect(t, `${server.ws}/live?list=${escape('/types')}&since=${seq}`)
  await behind.until((c) => c.synced(), 'sync')
  assert.deepStrictEqual(behind.frames, [{ seq: next, row: { type: 'vote', count: 1, seq: next } }, { sync: true, since: next }])
  const uris = connect(t, `${server.ws}/live?list=${escape('/feeds?ids=uri')}`)
  await uris.until((c) => c.synced(), 'sync')
  assert.ok(uris.frames[0].row.id.startsWith('ssb:feed/'), JSON.stringify(uris.frames[0]))
  for (const query of ['list=/types&type=post', 'since=1', 'list=/types&list=/feeds', 'list=/types&since=x']) {
    const refused = connect(t, `${server.ws}/live?${query}`)
    await refused.until((c) => c.closed !== null, query)
    assert.deepStrictEqual([refused.frames[0].error.type, refused.closed], ['/problems/bad-parameter', 1008], query)
  }
  const many = connect(t, server.ws + '/live?subscribe=false')
  await many.opened
  for (let i = 0; i <= 64; i++) many.send({ op: 'sub', id: 'n' + i, list: '/types' })
  await many.until((c) => c.frames.some((frame) => frame.error) && c.frames.filter((frame) => frame.sync).length === 64, 'all of them')
  const errors = many.frames.filter((frame) => frame.error)
  assert.deepStrictEqual(errors.map(({ id, error }) => [id, error.status]), [['n64', 429]])
  many.send({ op: 'unsub', id: 'n3' })
  await many.until((c) => c.frames.some((frame) => frame.closed), 'closed')
  many.send({ op: 'sub', id: 'n3', list: '/types' })
  await many.until((c) => c.frames.filter((frame) => frame.sync).length === 65, 'one more')
})

test('a target is as long as that of a request may be', async (t) => {
  const { server, authors: [ann], add } = await people(t)
  await add(ann, { type: 'post', text: 'hello' })
  const max = (await server.get('/limits')).limits.find(({ name }) => name === 'target-max').value
  const socket = connect(t, server.ws + '/live?subscribe=false')
  await socket.opened
  const target = (length) => '/types?gt='.padEnd(length, 'a')
  socket.send({ op: 'sub', id: 'at', list: target(max) })
  socket.send({ op: 'sub', id: 'past', list: target(max + 1) })
  await socket.until((c) => c.frames.length >= 3, 'answers')
  assert.deepStrictEqual(socket.frames.filter((frame) => frame.id === 'past').map(({ error }) => error.status), [414])
  assert.ok(socket.frames.some((frame) => frame.id === 'at' && frame.sync), JSON.stringify(socket.frames))
})

test('who leaves while his list is opened, or waits to be, leaves nothing behind', async (t) => {
  const { server, authors: [ann, ben], add } = await people(t)
  const seq = await add(ann, { type: 'post', text: 'hello' })
  const later = `after=${seq * 2 + 100000}`
  const lists = ['/types', `/types?${later}`, `/graph?from=${escape(ann.id)}`, `/threads?${later}`, '/feeds', `/feeds?name=a&${later}`, '/nowhere']
  const subscriptions = async () => Number(/^sluice_ws_subscriptions(?:\{[^}]*\})? (\d+)$/m.exec((await server.request('/metrics')).text)[1])
  for (let round = 0; round < 20; round++) {
    const socket = connect(t, server.ws + '/live?subscribe=false')
    await socket.opened
    lists.forEach((list, i) => socket.send({ op: 'sub', id: 'l' + i, list }))
    if (round % 3 === 0) await socket.until((c) => c.frames.some((frame) => frame.id === 'l0' && frame.sync), 'the first')
    if (round % 3 === 1) lists.forEach((list, i) => socket.send({ op: 'unsub', id: 'l' + i }))
    if (round % 2 === 0) socket.socket.terminate()
    else socket.socket.close()
  }
  await until(async () => await subscriptions() === 0, 'no subscription')
  // those that wait are woken by what they wait for, or by the end of the server
  const socket = connect(t, server.ws + '/live?subscribe=false')
  await socket.opened
  socket.send({ op: 'sub', id: 'soon', list: `/types?after=${seq + 1}` })
  socket.send({ op: 'sub', id: 'late', list: `/types?${later}` })
  await add(ben, { type: 'vote', vote: { link: ann.id, value: 1 } })
  await socket.until((c) => c.frames.some((frame) => frame.id === 'soon' && frame.sync), 'what it waited for')
  assert.deepStrictEqual(socket.frames.filter((frame) => frame.id === 'soon' && frame.row).map(({ row }) => row.type), ['post', 'vote'])
  assert.ok(!socket.frames.some((frame) => frame.id === 'late'))
  const { code } = await server.stop()
  assert.strictEqual(code, 0, server.stderr)
})
