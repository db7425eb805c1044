'use strict'
// Threads, against npm ssb-sort (heads, and the order where its rules decide) and a plain topological sort by the same rules.
// SLUICE_TEST_SEED=N runs one seed alone.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const ssbRef = require('ssb-ref')
const ssbSort = require('ssb-sort')
const { Server, folder, generate, shown } = require('../support/sluice')
const { frames } = require('../support/offset_log')
const { makeRandom, seedsWith } = require('../support/random')

const seeds = seedsWith(1, 2)
const escape = encodeURIComponent

// ---- the log: generated threads, some messages lost, some received in another order, replies to replies

function logLines(seed, random) {
  const records = generate(2500, '--seed', String(seed), '--authors', '40').map((line) => JSON.parse(line))
  const kept = records.filter(() => random.chance(93))
  for (const record of kept) {
    if (random.chance(30)) record.timestamp += random.pick([-50000, 3, 70000.25])
    if (random.chance(3)) delete record.timestamp
    if (random.chance(5)) record.timestamp = 1.6e12
    const { content } = record.value
    if (content.type === 'post' && content.root && random.chance(10)) { content.fork = content.root; content.root = random.pick(kept.filter((other) => other !== record)).key }
  }
  const lines = kept.map((record) => JSON.stringify(record))
  for (let i = 0; i < 20; i++) lines.splice(random.below(lines.length), 0, random.pick(lines))
  return lines
}

// ---- the model

const isObject = (value) => value !== null && typeof value === 'object'
const isMessage = (text) => typeof text === 'string' && ssbRef.isMsg(text)

function linksOf(value, found = new Set()) {
  if (isMessage(value)) found.add(value)
  else if (isObject(value)) for (const key of Object.keys(value)) linksOf(value[key], found)
  return found
}

function before(a, b) {
  const received = (a.timestamp || 0) - (b.timestamp || 0)
  if (received !== 0) return received < 0
  if (a.value.timestamp !== b.value.timestamp) return a.value.timestamp < b.value.timestamp
  return a.key > b.key
}

function sorted(messages) {
  const left = new Map(messages.map((message) => [message.key, message]))
  const out = []
  while (left.size > 0) {
    const ready = [...left.values()].filter((message) => ![...linksOf(message.value)].some((link) => link !== message.key && left.has(link)))
    // A root that was changed may close a circle: the first of what is left breaks it.
    const next = (ready.length > 0 ? ready : [...left.values()]).reduce((best, message) => before(message, best) ? message : best)
    out.push(next)
    left.delete(next.key)
  }
  return out
}

function likes(all, key) {
  const last = new Map()
  for (const { value } of all) if (value.content.type === 'vote' && isObject(value.content.vote) && value.content.vote.link === key) last.set(value.author, value.content.vote.value)
  return [...last.values()].filter((value) => value > 0).length
}

// `copies` are all records: replies are counted from lists, which know nothing of copies.
function threadOf(all, byKey, copies, root) {
  const replies = (key) => all.filter(({ value }) => value.content.root === key)
  const messages = [...(byKey.has(root) ? [byKey.get(root)] : []), ...replies(root).filter(({ key }) => key !== root)]
  const keys = new Set(messages.map((message) => message.key))
  const missing = new Set(byKey.has(root) ? [] : [root])
  for (const { value: { content } } of messages) {
    for (const link of [...linksOf({ root: content.root }), ...linksOf(content.branch)]) if (!keys.has(link) && !byKey.has(link)) missing.add(link)
  }
  const counts = (count) => Object.fromEntries(messages.map(({ key }) => [key, count(key)]).filter(([, n]) => n > 0))
  const own = byKey.get(root)
  return {
    messages: sorted(messages),
    head: {
      root,
      parent: own && isMessage(own.value.content.root) ? own.value.content.root : null,
      heads: ssbSort.heads(messages),
      votes: counts((key) => likes(all, key)),
      forks: counts((key) => key === root ? 0 : copies.filter(({ value }) => value.content.root === key).length)
    },
    missing
  }
}

// ---- the tests of one seed

for (const seed of seeds) {
  test(`threads of a log with seed ${seed}`, async (t) => {
    const random = makeRandom(seed)
    const lines = logLines(seed, random)
    const file = path.join(folder(t), 'log.offset')
    fs.writeFileSync(file, frames(lines, '48').bytes)
    const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
    const byKey = new Map()
    const copies = lines.map((line) => JSON.parse(line)).filter(({ value }) => isObject(value.content))
    for (const line of lines) {
      const record = JSON.parse(line)
      if (!byKey.has(record.key)) byKey.set(record.key, record)
    }
    const all = [...byKey.values()].filter(({ value }) => isObject(value.content))
    const roots = new Set(all.filter(({ value }) => isMessage(value.content.root)).map(({ value }) => value.content.root))
    const seen = { lost: 0, forks: 0, votes: 0, long: 0, same: 0 }
    for (const root of roots) {
      const expected = threadOf(all, byKey, copies, root)
      const { messages, missing, since, next, ...head } = await server.get(`/messages/${escape(root)}/thread?limit=1000`)
      assert.deepStrictEqual(messages.map(({ seq, ...record }) => record), expected.messages.map(shown), `thread of ${root}`)
      assert.deepStrictEqual(head, expected.head)
      assert.deepStrictEqual(missing.slice().sort(), [...expected.missing].sort())
      if (!byKey.has(root)) assert.strictEqual(missing[0], root)
      assert.strictEqual(next, null)
      const bySort = ssbSort(expected.messages.slice()).map((message) => message.key)
      seen.same += bySort.join() === messages.map((message) => message.key).join()
      seen.lost += missing.length > 0
      seen.forks += Object.keys(head.forks).length
      seen.votes += Object.keys(head.votes).length
      if (messages.length < 6) continue
      seen.long++
      assert.deepStrictEqual(await server.pages(`/messages/${escape(root)}/thread?limit=4`, 'messages'), messages)
      const stream = await server.request(`/messages/${escape(root)}/thread`, { headers: { Accept: 'application/x-ndjson' } })
      assert.deepStrictEqual(stream.text.split('\n').filter(Boolean).map((line) => JSON.parse(line)), messages)
    }
    for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, `no ${what}`)
  })
}

// ---- the list of threads

const channelOf = (name) => typeof name === 'string' ? ssbRef.normalizeChannel(name) : null

// Of every root: its newest activity of the type, who took part, and how many replied.
function threadsOf(records, seqs, type) {
  const threads = new Map()
  const first = new Map()
  records.forEach((record, i) => { if (!first.has(record.key)) first.set(record.key, i) })
  records.forEach((record, i) => {
    const { content, author } = record.value
    if (!isObject(content)) return
    const reply = isMessage(content.root)
    const id = reply ? content.root : record.key
    if (!reply && first.get(id) !== i) return
    if (content.type !== type && !reply) return
    const thread = threads.get(id) || { id, replies: 0, newest: -1, people: new Set() }
    threads.set(id, thread)
    if (reply) thread.replies++
    if (content.type !== type) return
    thread.newest = Math.max(thread.newest, i)
    thread.people.add(author)
  })
  for (const thread of threads.values()) {
    thread.root = first.has(thread.id) ? { seq: seqs[first.get(thread.id)], ...shown(records[first.get(thread.id)]) } : null
    if (thread.root) thread.people.add(thread.root.value.author)
  }
  return [...threads.values()].filter((thread) => thread.newest >= 0).sort((a, b) => b.newest - a.newest)
}

const rowOf = (records, seqs) => ({ id, replies, newest, root }) =>
  ({ id, replies, latest: records[newest].key, seq: seqs[newest], timestamp: records[newest].timestamp ?? null, root })

for (const seed of seeds) {
  test(`the list of threads of a log with seed ${seed}`, async (t) => {
    const random = makeRandom(seed)
    const lines = logLines(seed, random)
    const { bytes, seqs } = frames(lines, '53')
    const file = path.join(folder(t), 'log.offset')
    fs.writeFileSync(file, bytes)
    const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
    const records = lines.map((line) => JSON.parse(line))
    const authors = [...new Set(records.map(({ value }) => value.author))]
    const channels = [...new Set(records.map(({ value }) => channelOf(value.content.channel)).filter(Boolean))]
    const follows = async (who) => new Set([who, ...(await server.get('/contacts/' + escape(who))).follows.map(({ id }) => id)])
    for (const type of ['post', 'vote']) {
      const all = threadsOf(records, seqs, type)
      const check = async (query, passes, size) => {
        const expected = all.filter(passes).map(rowOf(records, seqs))
        const rows = await server.pages(`/threads?type=${type}${query}&limit=${size}`, 'threads')
        assert.deepStrictEqual(rows, expected, `threads of ${type}${query}`)
        return rows.length
      }
      assert.ok(await check('', () => true, 1000) > 50)
      await check('', () => true, 13)
      let found = 0
      for (let i = 0; i < 6; i++) {
        const who = random.pick(authors), channel = random.pick(channels), near = await follows(who)
        const author = ({ root }) => root !== null && root.value.author === who
        const inChannel = ({ root }) => root !== null && isObject(root.value.content) && channelOf(root.value.content.channel) === channel
        const takesPart = ({ people }) => people.has(who)
        found += await check('&author=' + escape(who), author, 7)
        found += await check('&channel=' + escape(channel), inChannel, 7)
        found += await check('&participating=' + escape(who), takesPart, 7)
        found += await check('&followed=' + escape(who), ({ root }) => root !== null && near.has(root.value.author), 50)
        await check(`&channel=${escape(channel)}&participating=${escape(who)}`, (thread) => inChannel(thread) && takesPart(thread), 7)
      }
      assert.ok(found > 100, `${found} rows`)
    }
    // A stream wants all there are, so its roots are collected at once; small pages are walked as far as that is likely to be shorter.
    for (let i = 0; i < 12; i++) {
      const target = `/threads?${random.pick(['author', 'participating'])}=${escape(random.pick(authors))}`
      const all = await server.request(target, { headers: { Accept: 'application/x-ndjson' } })
      assert.deepStrictEqual(all.text.split('\n').filter(Boolean).map((line) => JSON.parse(line)), await server.pages(`${target}&limit=${1 + random.below(4)}`, 'threads'), target)
    }
    const stream = await server.request('/threads?limit=5', { headers: { Accept: 'application/x-ndjson' } })
    assert.deepStrictEqual(stream.text.split('\n').filter(Boolean).map((line) => JSON.parse(line)), (await server.get('/threads?limit=5')).threads)
  })
}

test('the tag of a thread changes with the thread, not with the log', async (t) => {
  const lines = generate(1200, '--seed', '7', '--authors', '20')
  const records = lines.map((line) => JSON.parse(line))
  const dir = folder(t)
  const file = path.join(dir, 'log.offset')
  const last = records.findLastIndex(({ value }) => isMessage(value.content.root))
  const { root } = records[last].value.content
  fs.writeFileSync(file, frames(lines.slice(0, last), '32').bytes)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  const target = `/messages/${escape(root)}/thread`
  const ask = (tag) => server.request(target, { headers: tag ? { 'If-None-Match': tag } : {} })
  const first = await ask()
  assert.strictEqual(first.status, 200)
  assert.strictEqual((await ask(first.headers.etag)).status, 304)
  const size = fs.statSync(file).size
  const other = JSON.stringify({ key: '%' + 'A'.repeat(43) + '=.sha256', value: { author: '@' + 'A'.repeat(43) + '=.ed25519', sequence: 1, content: { type: 'test' } }, timestamp: 1 })
  const part = frames([other, lines[last]], '32', size)
  fs.appendFileSync(file, part.bytes.subarray(0, part.seqs[1] - size))
  const same = await ask(first.headers.etag)
  assert.strictEqual(same.status, 304)
  assert.strictEqual(same.headers['sluice-since'], String(part.seqs[0]))
  fs.appendFileSync(file, part.bytes.subarray(part.seqs[1] - size))
  const grown = await ask(first.headers.etag)
  assert.strictEqual(grown.status, 200)
  assert.strictEqual(grown.json.messages.length, first.json.messages.length + 1)
})

test('records that were never checked may refer to each other in a circle', async (t) => {
  const key = (letter) => '%' + letter.repeat(43).slice(0, 42) + 'A=.sha256'
  const reply = (own, link, timestamp) => JSON.stringify({ key: key(own), value: { author: '@' + 'A'.repeat(43) + '=.ed25519', sequence: 1, timestamp, content: { type: 'post', root: key('r'), branch: key(link) } }, timestamp })
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, frames([reply('a', 'b', 2), reply('b', 'a', 1), reply('c', 'a', 0), reply('s', 's', 3)], '32').bytes)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  const thread = await server.get(`/messages/${escape(key('r'))}/thread`)
  assert.deepStrictEqual(thread.messages.map((message) => message.key), [key('s'), key('c'), key('b'), key('a')])
  assert.deepStrictEqual(thread.missing, [key('r')])
})

test('a message that nobody has is not found, a bad id is refused', async (t) => {
  const server = await Server.start(t, ['--data', folder(t)])
  assert.strictEqual((await server.request(`/messages/${escape('%' + 'A'.repeat(43) + '=.sha256')}/thread`)).status, 404)
  assert.strictEqual((await server.request(`/messages/${escape('@' + 'A'.repeat(43) + '=.ed25519')}/thread`)).status, 400)
})
