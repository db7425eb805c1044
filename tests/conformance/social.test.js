'use strict'
// Contacts, distances and votes, against npm ssb-friends on flumedb over the same log file, and against plain loops.
// SLUICE_TEST_SEED=N runs one seed alone.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const Flume = require('flumedb')
const Offset = require('flumelog-offset')
const codec = require('flumecodec')
const friends = require('ssb-friends')
const { normalizeChannel } = require('ssb-ref')
const { Server, folder, generate } = require('../support/sluice')
const { frames } = require('../support/offset_log')
const { connect } = require('../support/socket')
const { makeRandom, seedsWith } = require('../support/random')

const seeds = seedsWith(1, 2)
const AUTHORS = 30

const hash = (text) => crypto.createHash('sha256').update(text).digest('base64')
const feedOf = (n) => '@' + hash('feed ' + n) + '.ed25519'
const escape = encodeURIComponent
const byId = (a, b) => Buffer.compare(Buffer.from(a.slice(1, 45), 'base64'), Buffer.from(b.slice(1, 45), 'base64'))

// ---- the log: contacts of every kind among generated messages

function contactOf(random) {
  const content = { type: 'contact', contact: feedOf(random.below(AUTHORS + 3)) }
  if (random.chance(80)) content.following = random.pick([true, true, true, true, false, 'true', 1, null])
  if (random.chance(15)) content.blocking = random.pick([true, true, false, 1, 0, '', 'x', null])
  if (random.chance(3)) content.flagged = random.pick([true, false, { reason: 'spam' }])
  if (random.chance(2)) content.contact = random.pick(['nobody', content.contact + ' ', null, 7, { link: content.contact }])
  return content
}

function voteOf(random, targets) {
  const vote = { link: random.pick(targets), value: random.pick([1, 1, 1, 1, 0, -1, 0.5, '1', null]), expression: random.pick(['Like', 'Like', '❤', 'dig "it"\n', '', 5]) }
  if (random.chance(5)) delete vote.value
  if (random.chance(10)) delete vote.expression
  if (random.chance(2)) vote.link = 'nothing'
  return { type: 'vote', vote }
}

const spellings = ['solarpunk', '#Solarpunk', 'Solar Punk', 'ÅÄÖ', 'åäö', 'ssb', '', 7, null]

function subscriptionOf(random) {
  return { type: 'channel', channel: random.pick(spellings), subscribed: random.pick([true, true, true, false, 1, 0, 'yes', null]) }
}

function tagged(random) {
  const link = random.pick(['#solarpunk', '#SolarPunk', '#new tag', '##', '#', '#ssb', '#caf\u00e9', '#' + 'x'.repeat(28), '#' + 'x'.repeat(29), '#a\u00a0b', 'say "#ssb" \\'])
  return { type: 'post', text: 'a "#quoted" tag', mentions: [{ link }, { '#key': 1, link: '#ssb' }].slice(0, 1 + random.below(2)), channel: random.pick(spellings) }
}

const kinds = [contactOf, contactOf, contactOf, voteOf, voteOf, subscriptionOf, tagged]

function logLines(seed, random) {
  const lines = generate(300, '--quirks', '--seed', String(seed), '--authors', '12')
  const keys = lines.map((line) => { try { return JSON.parse(line).key } catch { return null } }).filter((key) => typeof key === 'string' && /^%.{43}=\.sha256$/.test(key))
  const targets = [...keys.slice(0, 12), feedOf(1), '&' + hash('blob') + '.sha256']
  for (let i = 0; i < 2000; i++) {
    const content = random.pick(kinds)(random, targets)
    const record = { key: '%' + hash(`${seed} ${i}`) + '.sha256', value: { previous: null, author: feedOf(random.below(AUTHORS)), sequence: 1, timestamp: 1e12 + i, hash: 'sha256', content, signature: '' }, timestamp: 1e12 + i + 0.5 }
    lines.splice(random.below(lines.length), 0, JSON.stringify(record))
  }
  return { lines, targets }
}

// ---- the oracles

// ssb-friends over a flumedb on the same file. It takes a message for a contact by its content.contact alone; ours has to be of that type.
async function friendsOf(t, file, messages) {
  const dir = folder(t)
  const copy = path.join(dir, 'log.offset')
  fs.copyFileSync(file, copy)
  const contacts = messages.filter((m) => m.value.content.type === 'contact' && m.value.content.contact)
  const lines = contacts.map((m) => JSON.stringify({ key: m.key, value: m.value, timestamp: m.timestamp }))
  fs.writeFileSync(copy, frames(lines, '32').bytes)
  const flume = Flume(Offset(copy, { codec: codec.json }))
  t.after(() => new Promise((resolve) => flume.close(resolve)))
  // For its own id ssb-friends cuts a longer walk short, which leaves out whom a longer way leads to; for others it walks.
  const sbot = { id: feedOf(999), _flumeUse: (name, view) => flume.use(name, view)[name], auth: { hook() {} } }
  const api = friends.init(sbot, { friends: { hops: 3, hookAuth: false } })
  const graph = await new Promise((resolve, reject) => api.graph((err, g) => err ? reject(err) : resolve(g)))
  const hops = (start, max) => new Promise((resolve, reject) => api.hops({ start, max }, (err, h) => err ? reject(err) : resolve(h)))
  return { graph, hops }
}

function messagesOf(lines) {
  return lines.flatMap((line) => {
    try {
      const record = JSON.parse(line)
      const content = record.value.content
      return content !== null && typeof content === 'object' && typeof record.key === 'string' && /^@.{43}=\.ed25519$/.test(record.value.author) ? [record] : []
    } catch { return [] }
  })
}

// Of each author the last word on each target, in the order of the log.
function lastWords(messages, wordOf) {
  const words = new Map()
  for (const message of messages) {
    const target = wordOf(message)
    if (target === null) continue
    if (!words.has(target)) words.set(target, new Map())
    words.get(target).set(message.value.author, message)
  }
  return words
}

const isRef = (text) => typeof text === 'string' && (/^[%&][A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\.sha256$/.test(text) || /^@[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\.ed25519$/.test(text))

// ---- the tests of one seed

for (const seed of seeds) {
  test(`people in a log with seed ${seed}`, async (t) => {
    const random = makeRandom(seed)
    const { lines, targets } = logLines(seed, random)
    const file = path.join(folder(t), 'log.offset')
    fs.writeFileSync(file, frames(lines, '32').bytes)
    const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
    const messages = messagesOf(lines)
    const oracle = await friendsOf(t, file, messages)
    const world = { t, server, messages, oracle, targets }
    for (const [name, check] of Object.entries(checks)) await t.test(name + `, seed ${seed}`, () => check(world))
  })
}

const ids = (rows) => rows.map((row) => row.id)
const feeds = Array.from({ length: AUTHORS + 3 }, (_, n) => feedOf(n))

const checks = {
  async 'contacts against the graph of ssb-friends'({ server, oracle }) {
    const edge = (from, to) => (oracle.graph[from] || {})[to]
    let rows = 0
    for (const feed of feeds) {
      const others = Object.keys(oracle.graph).concat(Object.values(oracle.graph).flatMap(Object.keys))
      const all = [...new Set(others)].sort(byId)
      const wanted = {
        follows: all.filter((other) => edge(feed, other) === 1),
        blocks: all.filter((other) => edge(feed, other) === -1),
        followedBy: all.filter((other) => edge(other, feed) === 1),
        blockedBy: all.filter((other) => edge(other, feed) === -1),
        friends: all.filter((other) => edge(other, feed) === 1 && edge(feed, other) === 1)
      }
      const answer = await server.get('/contacts/' + escape(feed))
      assert.strictEqual(answer.id, feed)
      const { count } = await server.get(`/contacts/${escape(feed)}?count=true`)
      assert.deepStrictEqual(count, Object.fromEntries(Object.entries(wanted).map(([list, expected]) => [list, expected.length])))
      for (const [list, expected] of Object.entries(wanted)) {
        assert.deepStrictEqual(ids(answer[list]), expected, `${list} of ${feed}`)
        const pages = await server.pages(`/contacts/${escape(feed)}/${list}?limit=7`, 'contacts')
        assert.deepStrictEqual(pages, answer[list])
        rows += expected.length
      }
    }
    assert.ok(rows > 300, `${rows} rows`)
  },

  async 'the message that a contact stands on is the last of its author'({ server, messages }) {
    const words = lastWords(messages, ({ value: { content } }) => content.type === 'contact' && isRef(content.contact) && content.contact[0] === '@' ? content.contact : null)
    for (const feed of feeds) {
      const answer = await server.get('/contacts/' + escape(feed))
      for (const row of [...answer.followedBy, ...answer.blockedBy]) {
        const message = words.get(feed).get(row.id)
        assert.deepStrictEqual([row.key, row.timestamp], [message.key, message.timestamp])
      }
      const about = messages.filter(({ value: { content } }) => content.type === 'contact' && content.contact === feed).map((m) => m.key)
      assert.deepStrictEqual((await server.pages(`/log?contact=${escape(feed)}&limit=50`, 'messages')).map((m) => m.key), about)
    }
  },

  async 'distances against the hops of ssb-friends'({ server, oracle }) {
    const seen = new Set()
    for (const from of feeds) {
      for (let hops = 1; hops <= 5; hops++) {
        const expected = await oracle.hops(from, hops)
        const rows = await server.pages(`/graph?from=${escape(from)}&hops=${hops}&limit=11`, 'feeds')
        const within = Object.entries(expected).filter(([, distance]) => distance !== null)
        assert.deepStrictEqual(Object.fromEntries(rows.map((row) => [row.id, row.hops])), Object.fromEntries(within), `${hops} hops from ${from}`)
        assert.strictEqual(new Set(ids(rows)).size, rows.length)
        for (const row of rows) seen.add(row.hops)
        const order = rows.map((row) => Math.abs(row.hops))
        assert.deepStrictEqual(order, [...order].sort((a, b) => a - b))
      }
    }
    for (const distance of [0, 1, 2, -1, -2, -3]) assert.ok(seen.has(distance), `nobody is at ${distance}`)
  },

  async 'the filter by hops against ssb-friends: /log, /links, /threads, /live'({ t, server, oracle }) {
    const log = await server.pages('/log?limit=1000', 'messages')
    const threads = await server.pages('/threads?limit=1000', 'threads')
    const links = await server.pages('/links?limit=1000', 'links')
    const sizes = new Set()
    for (const from of [feeds[0], feeds[7], feeds[19], feeds[AUTHORS + 1]]) {
      for (const hops of [0, 1, 2, 4]) {
        const distances = hops === 0 ? {} : await oracle.hops(from, hops)
        const near = new Set([from, ...Object.keys(distances).filter((id) => distances[id] !== null && distances[id] >= 0 && distances[id] <= hops)])
        const query = `from=${escape(from)}&hops=${hops}`
        const expected = log.filter(({ value }) => value && near.has(value.author))
        assert.deepStrictEqual(await server.pages(`/log?${query}&limit=97`, 'messages'), expected, query)
        assert.deepStrictEqual(await server.pages(`/log?${query}&limit=300&reverse=true&type=vote`, 'messages'), [...expected].reverse().filter(({ value }) => value.content.type === 'vote'), query)
        assert.deepStrictEqual(await server.pages(`/threads?${query}&limit=7`, 'threads'), threads.filter(({ root }) => root && near.has(root.value.author)), query)
        const linked = links.filter(({ source }) => near.has(source))
        assert.deepStrictEqual(await server.pages(`/links?${query}&limit=211`, 'links'), linked, query)
        assert.deepStrictEqual(await server.pages(`/links?${query}&limit=300&rel=vote&reverse=true`, 'links'), [...linked].reverse().filter(({ rel }) => rel === 'vote'), query)
        const socket = connect(t, `${server.ws}/live?${query}&private=false&live=false`)
        await socket.until((c) => c.closed !== null || c.frames.some((frame) => frame.closed), 'the end')
        assert.deepStrictEqual(socket.records().map(({ seq }) => seq), expected.filter(({ value }) => typeof value.content === 'object').map(({ seq }) => seq), query)
        sizes.add(expected.length)
      }
    }
    assert.ok(sizes.size > 5, `${sizes.size} different answers`)
  },

  async 'nobody is farther than 0 hops but the feed itself'({ server }) {
    assert.deepStrictEqual((await server.get(`/graph?from=${escape(feeds[0])}&hops=0`)).feeds, [{ id: feeds[0], hops: 0 }])
  },

  async 'channels and their subscribers against a loop'({ server, messages }) {
    const names = ({ value: { content } }) => {
      const found = new Set(typeof content.channel === 'string' ? [normalizeChannel(content.channel)] : [])
      const walk = (value) => {
        if (typeof value === 'string' && value.length < 30 && /^#[^\s#]+$/.test(value)) found.add(normalizeChannel(value.slice(1)))
        if (value !== null && typeof value === 'object') Object.values(value).forEach(walk)
      }
      walk(content)
      found.delete(null)
      return found
    }
    const counts = new Map()
    for (const message of messages) for (const name of names(message)) counts.set(name, (counts.get(name) || 0) + 1)
    const expected = [...counts].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const rows = await server.pages('/channels?limit=3', 'channels')
    assert.deepStrictEqual(rows.map(({ channel, count }) => [channel, count]), expected)
    assert.ok(expected.length > 8)
    let people = 0
    for (const [channel, count] of expected) {
      // What was cut out of an id may, with the rest of the path, look like one again.
      if (/^[%@&]/.test(channel)) continue
      const said = lastWords(messages, ({ value: { content } }) => content.type === 'channel' && typeof content.channel === 'string' && normalizeChannel(content.channel) === channel ? channel : null)
      const subscribed = [...(said.get(channel) || new Map())].filter(([, message]) => message.value.content.subscribed).sort(([a], [b]) => byId(a, b))
      const answer = await server.get('/channels/' + escape(channel.toUpperCase().toLowerCase() === channel ? '#' + channel.toUpperCase() : channel))
      const row = rows.find((one) => one.channel === channel)
      assert.deepStrictEqual(answer, { channel, count, seq: row.seq, subscribers: subscribed.length, since: answer.since })
      const subscribers = await server.pages(`/channels/${escape(channel)}/subscribers?limit=4`, 'subscribers')
      assert.deepStrictEqual(subscribers.map(({ id, key, timestamp }) => [id, key, timestamp]), subscribed.map(([id, { key, timestamp }]) => [id, key, timestamp]))
      people += subscribed.length
    }
    assert.ok(people > 20, `${people} subscribers`)
  },

  async 'votes against a loop'({ server, messages, targets }) {
    const words = lastWords(messages, ({ value: { content } }) =>
      content.type === 'vote' && content.vote !== null && typeof content.vote === 'object' && isRef(content.vote.link) ? content.vote.link : null)
    let voters = 0
    for (const target of targets) {
      const said = [...(words.get(target) || new Map())].sort(([a], [b]) => byId(a, b))
      const value = ({ value: { content: { vote } } }) => typeof vote.value === 'number' ? vote.value : 0
      const liked = said.filter(([, message]) => value(message) > 0)
      const expressions = {}
      for (const [, { value: { content: { vote } } }] of liked) {
        if (typeof vote.expression === 'string' && vote.expression !== '') expressions[vote.expression] = (expressions[vote.expression] || 0) + 1
      }
      const expected = said.map(([author, message]) => {
        const { expression } = message.value.content.vote
        return { author, value: value(message), expression: typeof expression === 'string' ? expression : null, key: message.key, timestamp: message.timestamp }
      })
      const page = await server.get(`/votes/${escape(target)}?limit=4`)
      assert.strictEqual(page.id, target)
      assert.strictEqual(page.count, liked.length, `count of ${target}`)
      assert.deepStrictEqual(page.expressions, expressions)
      const rows = await server.pages(`/votes/${escape(target)}?limit=4`, 'votes')
      assert.deepStrictEqual(rows.map(({ seq, ...row }) => row), expected)
      const stream = await server.request(`/votes/${escape(target)}`, { headers: { Accept: 'application/x-ndjson' } })
      assert.deepStrictEqual(stream.text.split('\n').filter(Boolean).map((line) => JSON.parse(line)), rows)
      voters += rows.length
    }
    assert.ok(voters > 100, `${voters} voters`)
  }
}

test('what is asked wrongly is told so', async (t) => {
  const server = await Server.start(t, ['--data', folder(t)])
  const feed = escape(feeds[0])
  const status = async (target) => (await server.request(target)).status
  assert.strictEqual(await status('/graph'), 400)
  assert.strictEqual(await status('/graph?from=nobody'), 400)
  assert.strictEqual(await status(`/graph?from=${feed}&hops=-1`), 400)
  assert.strictEqual(await status(`/graph?from=${feed}&hops=100`), 200)
  assert.strictEqual(await status(`/graph?from=${feed}&hops=101`), 400)
  assert.strictEqual(await status(`/contacts/${feed}/enemies`), 404)
  assert.strictEqual(await status(`/contacts/${escape('%' + hash('x') + '.sha256')}`), 400)
  assert.strictEqual(await status('/votes/nothing'), 400)
  assert.strictEqual(await status('/channels/%23'), 400)
  assert.strictEqual(await status('/channels/%23/subscribers'), 400)
  assert.deepStrictEqual(await server.get('/channels/Nowhere'), { channel: 'nowhere', count: 0, seq: -1, subscribers: 0, since: -1 })
  assert.strictEqual(await status(`/votes/${feed}?gt=${escape('&' + hash('x') + '.sha256')}`), 400)
  assert.deepStrictEqual(await server.get(`/votes/${feed}`), { id: feeds[0], count: 0, expressions: {}, votes: [], since: -1, next: null })
  assert.deepStrictEqual(await server.get(`/graph?from=${feed}`), { feeds: [{ id: feeds[0], hops: 0 }], since: -1, next: null })
})
