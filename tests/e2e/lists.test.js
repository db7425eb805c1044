'use strict'
// Every list: in pages of any size, as lines and as events it has the same rows, and those that can be followed go on with what new messages change.
const test = require('node:test')
const assert = require('node:assert')
const { Author } = require('../support/author')
const { Server, importLines } = require('../support/sluice')

const escape = encodeURIComponent
const NDJSON = { Accept: 'application/x-ndjson' }
const SSE = { Accept: 'text/event-stream' }

const people = Array.from({ length: 5 }, (_, i) => new Author('lists ' + i))
const [ada, bo, cy, dee, eve] = people

// A log in which every list has some rows.
function lines() {
  const made = []
  const add = (author, content) => {
    const { key, value } = author.write(content)
    made.push(JSON.stringify({ key, value, timestamp: 1500000000000 + made.length }))
    return key
  }
  const roots = people.map((author, i) => add(author, { type: 'post', text: 'boat ' + i, channel: i % 2 ? 'boats' : 'bread' }))
  const root = roots[0]
  for (const author of people) {
    add(author, { type: 'about', about: author.id, name: 'ali ' + author.id.slice(1, 4) })
    add(author, { type: 'post', text: 'a reply', root, branch: root })
    add(author, { type: 'vote', vote: { link: root, value: 1, expression: 'Like' } })
    add(author, { type: 'channel', channel: 'boats', subscribed: true })
    for (const other of [ada, bo, cy]) if (author !== other) add(author, { type: 'contact', contact: other.id, following: true })
  }
  return { made, root }
}

const { made, root } = lines()
const id = escape(ada.id)
const lists = [
  ['/log', 'messages'], ['/log?type=post&reverse=true', 'messages'], [`/log?from=${id}&hops=1`, 'messages'], ['/links', 'links'], [`/links?from=${id}&hops=1`, 'links'], [`/links?dest=${escape(root)}`, 'links'],
  [`/messages/${escape(root)}/links`, 'links'], [`/messages/${escape(root)}/thread`, 'messages'], ['/feeds', 'feeds'], ['/feeds?name=ali', 'feeds'], [`/feeds/${id}`, 'messages'],
  ['/threads', 'threads'], [`/threads?author=${id}`, 'threads'], [`/threads?participating=${escape(dee.id)}`, 'threads'], ['/threads?channel=boats', 'threads'], [`/threads?followed=${id}`, 'threads'],
  ['/threads?private=false', 'threads'], [`/threads?from=${id}&hops=1`, 'threads'],
  ...['follows', 'followedBy', 'friends'].map((list) => [`/contacts/${id}/${list}`, 'contacts']),
  [`/graph?from=${id}`, 'feeds'], [`/votes/${escape(root)}`, 'votes'], ['/channels', 'channels'], ['/channels/boats/subscribers', 'subscribers'], ['/types', 'types'],
  ['/search?q=boat', 'messages'], ['/search?q=boat&order=newest', 'messages'], ['/search?q=boat&order=oldest', 'messages']
]

const started = (t, ...args) => Server.start(t, ['--data', importLines(t, made), '--accept', 'any', ...args])
const rowsOf = (text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line))
const eventsOf = (text) => text.split('\n').filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)))

test('every list has the same rows in pages of any size, as lines and as events', async (t) => {
  const server = await started(t)
  for (const [target, member] of lists) {
    const more = target + (target.includes('?') ? '&' : '?')
    const { [member]: rows, since, next } = await server.get(more + 'limit=1000')
    assert.ok(rows.length > 0, `${target}: ${rows.length} rows`)
    assert.ok(since >= 0 && next === null, target)
    for (const size of [1, 2, rows.length]) assert.deepStrictEqual(await server.pages(`${more}limit=${size}`, member), rows, `${target} in pages of ${size}`)
    const stream = async (headers) => {
      const res = await server.request(target, { headers })
      assert.strictEqual(res.status, 200, target)
      assert.ok(res.headers['content-type'].startsWith(headers.Accept), `${target}: ${res.headers['content-type']}`)
      return res.text
    }
    assert.deepStrictEqual(rowsOf(await stream(NDJSON)), rows, target)
    assert.deepStrictEqual(eventsOf(await stream(SSE)), rows, target)
    assert.deepStrictEqual(rowsOf((await server.request(more + 'limit=2', { headers: NDJSON })).text), rows.slice(0, 2), target)
    // where a page ends a stream can go on
    const second = (await server.get(more + 'limit=1')).next
    if (rows.length > 1) assert.deepStrictEqual(rowsOf((await server.request(second.replace(/limit=1&?/, ''), { headers: NDJSON })).text), rows.slice(1), second)
    const refused = await server.request(target, { headers: { Accept: 'image/png' } })
    assert.deepStrictEqual([refused.status, refused.json.type], [406, '/problems/not-acceptable'], target)
  }
})

// What a row is about: a later page may say more of the same.
const about = { feeds: 'id', threads: 'id', contacts: 'id', channels: 'channel', types: 'type', votes: 'author', subscribers: 'id', messages: 'key' }
const identity = (member) => (row) => member === 'links' ? JSON.stringify([row.seq, row.path, row.dest]) : row[about[member]]

test('a walk over pages gives each row once while messages are appended', async (t) => {
  const server = await started(t)
  let more = 0
  const append = async () => {
    const author = people[more % people.length]
    const content = [{ type: 'post', text: 'boat again', root, branch: root, channel: 'boats' }, { type: 'vote', vote: { link: root, value: 1 } }, { type: 'contact', contact: dee.id, following: true }, { type: 'channel', channel: 'boats', subscribed: true }, { type: 'new-' + more, text: '#wood' }][more % 5]
    const { key, value } = author.sign(content, { sequence: 2000 + more++ })
    assert.strictEqual((await server.post('/log', JSON.stringify({ key, value, timestamp: 1700000000000 + more }))).status, 201)
  }
  for (const [target, member] of lists) {
    const first = `${target}${target.includes('?') ? '&' : '?'}limit=2`
    const old = await server.pages(first, member), of = identity(member), walked = []
    let since
    for (let next = first, pages = 0; next;) {
      const page = await server.get(next)
      since ??= page.since
      walked.push(...page[member].map(of))
      next = page.next
      if (pages++ < 7) await append()
    }
    assert.strictEqual(new Set(walked).size, walked.length, `${target}: a row twice`)
    // a thread that is written in meanwhile is the newest: those who began are told so behind the `since` of their first page
    const moved = member === 'threads' ? (await server.pages(target, member)).filter((row) => row.seq > since).map(of) : []
    assert.deepStrictEqual(old.map(of).filter((id) => !walked.includes(id) && !moved.includes(id)), [], `${target}: rows that were passed over`)
  }
})

// ---- followed

// What is appended one after the other: who says what, and the rows of each list that come of it. Of everybody it is told whether he is in the list now.
const row = (author, more = {}) => ({ id: author.id, ...more })
const steps = [
  [dee, { type: 'contact', contact: ada.id, following: false }, { followedBy: [row(dee, { removed: true })], blockedBy: [row(dee, { removed: true })], friends: [row(dee, { removed: true })] }],
  [ada, { type: 'contact', contact: eve.id, following: true }, { follows: [row(eve)], blocks: [row(eve, { removed: true })], friends: [row(eve)] }],
  [eve, { type: 'contact', contact: ada.id, following: false, blocking: true }, { followedBy: [row(eve, { removed: true })], blockedBy: [row(eve)], friends: [row(eve, { removed: true })] }],
  [ada, { type: 'contact', contact: bo.id, following: false }, { follows: [row(bo, { removed: true })], blocks: [row(bo, { removed: true })], friends: [row(bo, { removed: true })] }],
  [cy, { type: 'vote', vote: { link: root, value: 0, expression: 'Unlike' } }, { votes: [{ author: cy.id, value: 0, expression: 'Unlike' }] }],
  [cy, { type: 'vote', vote: { link: ada.id, value: 1 }, mention: root }, {}],
  [bo, { type: 'channel', channel: '#Boats', subscribed: false }, { subscribers: [row(bo, { removed: true })] }],
  [bo, { type: 'channel', channel: 'bread', subscribed: true }, {}],
  [bo, { type: 'post', text: 'another reply', root, branch: root }, { thread: ['another reply'], threads: [{ id: root }], authors: [{ id: root }] }],
  [bo, { type: 'post', text: 'a thread of his own' }, { threads: ['own'] }],
  [cy, { type: 'post', text: 'boat in a thread of an author' }, { threads: ['own'], search: ['boat in a thread of an author'] }]
]

// Members of a row that stand for the whole: those that were named, and what says whether it is still there.
function brief(name, got, keys) {
  if (name === 'thread' || name === 'search') return got.value.content.text
  if (name === 'threads' || name === 'authors') return got.id === keys.at(-1) ? 'own' : { id: got.id }
  if (name === 'votes') return { author: got.author, value: got.value, expression: got.expression }
  return { id: got.id, ...(got.removed ? { removed: true } : {}) }
}

const followed = {
  threads: '/threads', authors: `/threads?author=${id}`, thread: `/messages/${escape(root)}/thread`, votes: `/votes/${escape(root)}`, subscribers: '/channels/boats/subscribers',
  ...Object.fromEntries(['follows', 'blocks', 'followedBy', 'blockedBy', 'friends'].map((list) => [list, `/contacts/${id}/${list}`])), search: '/search?q=boat&order=oldest'
}

// The same person writes on from where the log stands.
async function play(server, streams, eventRows) {
  const keys = []
  for (const [author, content, changes] of steps) {
    const { key, value } = author.sign(content, { sequence: 1000 + keys.length })
    const res = await server.post('/log', JSON.stringify({ key, value, timestamp: 1600000000000 + keys.length }))
    assert.strictEqual(res.status, 201, res.text)
    keys.push(key)
    for (const [name, rows] of Object.entries(changes)) {
      const stream = streams[name]
      stream.wanted.push(...rows)
      await stream.until(() => eventRows(stream.lines).length >= stream.old + stream.wanted.length, `${stream.wanted.length} rows of ${name}`)
      assert.deepStrictEqual(brief(name, eventRows(stream.lines).at(-1), keys), stream.wanted.at(-1), name)
    }
  }
}

for (const [format, headers, rowsIn] of [['lines', NDJSON, (list) => list.map((line) => JSON.parse(line))], ['events', SSE, (list) => eventsOf(list.join('\n'))]]) {
  test(`lists are followed: ${format}`, async (t) => {
    const server = await started(t)
    const streams = {}
    for (const [name, target] of Object.entries(followed)) {
      const plain = rowsIn((await server.request(target, { headers })).text.split('\n').filter(Boolean))
      const stream = streams[name] = await server.lines(`${target}${target.includes('?') ? '&' : '?'}live=true`, headers)
      t.after(() => stream.close())
      assert.strictEqual(stream.status, 200, name)
      await stream.until(() => rowsIn(stream.lines).length >= plain.length, 'the list ' + name)
      assert.deepStrictEqual(rowsIn(stream.lines), plain, name)
      Object.assign(stream, { old: plain.length, wanted: [] })
    }
    await play(server, streams, rowsIn)
    // nothing came that is not told here: what a list says when it is asked anew is what following it has led to
    for (const [name, stream] of Object.entries(streams)) assert.strictEqual(rowsIn(stream.lines).length, stream.old + stream.wanted.length, name)
    for (const list of ['follows', 'blocks', 'followedBy', 'blockedBy', 'friends', 'subscribers']) {
      const now = new Set()
      for (const { id: who, removed } of rowsIn(streams[list].lines)) removed ? now.delete(who) : now.add(who)
      const member = list === 'subscribers' ? list : 'contacts'
      assert.deepStrictEqual([...now].sort(), (await server.get(followed[list]))[member].map((one) => one.id).sort(), list)
    }
    if (format === 'lines') return
    // a browser goes on behind the last event that it saw, without the list
    for (const [name, stream] of Object.entries(streams)) {
      const ids = stream.lines.filter((line) => line.startsWith('id: ')).map((line) => line.slice(4))
      if (stream.wanted.length < 2 || name === 'search') continue
      assert.strictEqual(ids.length, stream.wanted.length, `${name}: an id for what came`)
      const again = await server.lines(`${followed[name]}${followed[name].includes('?') ? '&' : '?'}live=true`, { ...SSE, 'Last-Event-ID': ids[0] })
      await again.until(() => eventsOf(again.lines.join('\n')).length >= stream.wanted.length - 1, `${name}, resumed`)
      assert.deepStrictEqual(eventsOf(again.lines.join('\n')).map((one) => one.id ?? one.author), rowsIn(stream.lines).slice(stream.old + 1).map((one) => one.id ?? one.author), name)
      again.close()
    }
  })
}

test('following is asked for properly', async (t) => {
  const server = await started(t)
  for (const target of Object.values(followed)) {
    const more = target + (target.includes('?') ? '&' : '?')
    assert.strictEqual((await server.request(more + 'live=true')).status, 400, target)
    assert.strictEqual((await server.request(more + 'old=false', { headers: NDJSON })).status, 400, target)
    const stream = await server.lines(more + 'live=true&old=false', NDJSON)
    assert.strictEqual(stream.status, 200, target)
    stream.close()
  }
  const few = await server.request('/threads?live=true&limit=2', { headers: NDJSON })
  assert.strictEqual(rowsOf(few.text).length, 2)
})
