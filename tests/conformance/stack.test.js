'use strict'
// A log that the real stack writes, followed while it runs, and what its plugins say of it: secret-stack with ssb-db, ssb-private1, ssb-backlinks, ssb-about and ssb-friends;
// then the same messages in ssb-db2 with ssb-threads. The owner's secret is the node's, so what these plugins see is what a token with the scope private sees.
// Where Sluice differs on purpose ARCHITECTURE.md says so. SLUICE_TEST_SEED=N makes the same choices again (times and boxes are never the same).
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const ssbKeys = require('ssb-keys')
const ssbRef = require('ssb-ref')
const ssbSort = require('ssb-sort')
const { Server, folder, until } = require('../support/sluice')
const { drawnSeed, makeRandom } = require('../support/random')
const { stack } = require('../support/ssb_stack')

const seed = drawnSeed()
const PEOPLE = 8
const MESSAGES = 320
const TOKEN = 'the-token-of-the-owner-himself'
const owner = { Authorization: 'Bearer ' + TOKEN }
const escape = encodeURIComponent
const isObject = (value) => value !== null && typeof value === 'object'

// ---- what people say

const people = [ssbKeys.generate('ed25519', Buffer.alloc(32, 200 + seed % 50)), ...Array.from({ length: PEOPLE - 1 }, (_, i) => ssbKeys.generate(null, Buffer.alloc(32, i + 1)))]
const channels = ['boats', 'Solar Punk', 'caf\u00e9', 'x'.repeat(40), '#trains']
const tags = ['#boats', '#SolarPunk', '#trains', '# no tag', '#' + 'y'.repeat(28)]
const blob = '&' + Buffer.alloc(32, 7).toString('base64') + '.sha256'

// `said`: what those can read whom this is for, in the order in which it was said. Contacts are public: ssb-friends has rules of its own for others.
function contentOf(random, said, secret) {
  const somebody = random.pick(people).id
  const target = random.chance(30) || said.length === 0 ? somebody : random.pick(said.slice(-40)).key
  switch (secret ? 2 + random.below(7) : random.below(9)) {
    case 0: return { type: 'contact', contact: somebody, following: random.chance(80) }
    case 1: return { type: 'contact', contact: somebody, following: false, blocking: random.chance(70) }
    case 2: return { type: 'vote', vote: { link: target, value: random.pick([1, 1, 0]), expression: 'Like' } }
    case 3: return { type: 'about', about: random.chance(70) ? somebody : target, name: random.pick(['ada', 'bo', 'cy', '']), description: random.pick(['here', undefined]) }
    case 4: return { type: 'about', about: somebody, image: random.pick([{ link: blob, name: 'me.png', size: 5 }, blob, { link: blob, remove: true }, null]) }
    default:
  }
  const post = { type: 'post', text: 'hello ' + random.below(1000) }
  if (random.chance(30)) post.channel = random.pick(channels)
  if (random.chance(40)) post.mentions = [{ link: random.pick([somebody, target, blob, random.pick(tags)]), name: 'x' }, { link: random.pick(tags) }].slice(0, 1 + random.below(2))
  const roots = said.filter(({ content }) => content.type === 'post' && !content.root)
  if (roots.length === 0 || random.chance(35)) return post
  const root = random.pick(roots.slice(-12)).key
  const replies = said.filter(({ content }) => content.root === root)
  const branch = replies.length === 0 ? root : random.chance(70) ? replies.at(-1).key : [replies[0].key, replies.at(-1).key]
  return { ...post, root, branch }
}

// Threads are public, or private to the owner and some others, or none of his business.
async function write(node, random) {
  const audiences = [null, people.slice(0, 1), people.slice(0, 2), people.slice(2, 4)].map((those) => ({ recps: those && those.map(({ id }) => id), said: [] }))
  const messages = []
  for (let i = 0; i < MESSAGES; i++) {
    const { recps, said } = random.chance(80) ? audiences[0] : random.pick(audiences)
    const content = contentOf(random, said, recps !== null)
    const message = await node.call('publish', random.below(PEOPLE), content, recps)
    said.push({ key: message.key, content })
    messages.push(message)
  }
  return messages
}

// ---- the tests

test(`a log of the real stack, seed ${seed}`, async (t) => {
  t.diagnostic('seed ' + seed)
  const random = makeRandom(seed)
  const tokens = path.join(folder(t), 'tokens')
  fs.writeFileSync(tokens, TOKEN + ' private\n', { mode: 0o600 })
  const node = await stack(t, 'db', people[0])
  assert.strictEqual(node.id, people[0].id)
  const first = await node.call('publish', 0, { type: 'post', text: 'first' }, null)
  const server = await Server.start(t, ['--follow', path.join(node.dir, 'flume', 'log.offset'), '--views', folder(t), '--secret', path.join(node.dir, 'secret'), '--token-file', tokens])
  const get = (target) => server.get(target, owner)
  const pages = async (target, member) => {
    const rows = []
    for (let next = target; next;) {
      const page = await get(next)
      rows.push(...page[member])
      next = page.next
    }
    return rows
  }
  const said = [first, ...await write(node, random)]
  let log
  await until(async () => { log = await pages('/log?limit=100', 'messages'); return log.length === said.length }, 'all that was published')
  const world = { t, node, get, pages, said, log, open: log.filter(({ value }) => isObject(value.content)) }
  for (const [name, check] of Object.entries(checks)) await t.test(`${name}, seed ${seed}`, () => check(world))
})

const targetsOf = (log) => [...new Set([...people.map(({ id }) => id), blob, ...log.map(({ key }) => key)])]
const keysOf = (rows) => [...new Set(rows.map(({ key }) => key))].sort()

const checks = {
  async 'messages and what the owner can open, against ssb-db and ssb-private1'({ node, said, log }) {
    assert.deepStrictEqual(log.map(({ key }) => key), said.map(({ key }) => key))
    const theirs = await node.source('createLogStream', { private: true, keys: true, values: true })
    const opened = (message) => isObject(message.value.content) ? message.value.content : null
    assert.deepStrictEqual(log.map(opened), theirs.map(opened))
    const secret = log.filter(({ value }) => value.private)
    assert.ok(secret.length > 5 && log.some(({ encrypted }) => encrypted === 'box1'), `${secret.length} opened`)
  },

  // ssb-backlinks: one row for each message and target, a row of ours for each place; what both know is which messages link to what.
  async 'links and channels against ssb-backlinks'({ node, pages, log }) {
    let found = 0
    for (const dest of targetsOf(log)) {
      const theirs = keysOf(await node.source('backlinks.read', { query: [{ $filter: { dest } }] }))
      assert.deepStrictEqual(keysOf(await pages('/links?limit=1000&dest=' + escape(dest), 'links')), theirs, dest)
      found += theirs.length
    }
    assert.ok(found > 100, `${found} links`)
    for (const name of [...channels, ...tags].map((text) => ssbRef.normalizeChannel(text))) {
      const theirs = keysOf(await node.source('backlinks.read', { query: [{ $filter: { dest: '#' + name } }] }))
      const ours = keysOf(await pages('/log?limit=1000&channel=' + escape(name), 'messages'))
      // content.channel may be as long as a channel is; theirs counts only what would be a tag of less than 30 characters
      if (name.length < 29) assert.deepStrictEqual(ours, theirs, name)
      else assert.deepStrictEqual([theirs, ours.length > 0], [[], true], name)
    }
  },

  async 'names, images and descriptions against ssb-about'({ node, get, open }) {
    const abouts = open.filter(({ value: { content } }) => content.type === 'about')
    let values = 0
    for (const dest of [...new Set(abouts.map(({ value }) => value.content.about))]) {
      const ours = (await get(`/about/${escape(dest)}?as=${escape(people[0].id)}`)).about
      const latest = (await get(`/about/${escape(dest)}?by=latest`)).about
      const theirs = await node.call('about.latestValues', { keys: ['name', 'description', 'image'], dest })
      for (const key of ['name', 'description', 'image']) {
        const social = await node.call('about.socialValue', { key, dest })
        assert.deepStrictEqual(ours[key] ?? null, social ?? null, `${key} of ${dest}`)
        assert.deepStrictEqual(latest[key] ?? null, theirs[key] ?? null, `the latest ${key} of ${dest}`)
        values += social !== null && social !== undefined
      }
    }
    assert.ok(values > 5, `${values} values`)
  },

  async 'who follows whom, and how far they are, against ssb-friends'({ node, get, pages }) {
    const graph = await node.call('friends.graph')
    const edge = (from, to) => (graph[from] || {})[to]
    let rows = 0
    for (const { id } of people) {
      const contacts = await get('/contacts/' + escape(id))
      const lists = {
        follows: (other) => edge(id, other) === 1,
        blocks: (other) => edge(id, other) === -1,
        followedBy: (other) => edge(other, id) === 1,
        blockedBy: (other) => edge(other, id) === -1,
        friends: (other) => edge(id, other) === 1 && edge(other, id) === 1
      }
      for (const [list, wanted] of Object.entries(lists)) {
        const theirs = people.map((one) => one.id).filter(wanted).sort()
        assert.deepStrictEqual(contacts[list].map((row) => row.id).sort(), theirs, `${list} of ${id}`)
        rows += theirs.length
      }
      if (id === people[0].id) continue // of itself a node only walks as far as it looks
      for (const max of [1, 2, 3]) {
        const theirs = Object.entries(await node.call('friends.hops', { start: id, max })).filter(([, hops]) => hops !== null)
        const ours = await pages(`/graph?from=${escape(id)}&hops=${max}`, 'feeds')
        assert.deepStrictEqual(Object.fromEntries(ours.map((row) => [row.id, row.hops])), Object.fromEntries(theirs), `${max} hops from ${id}`)
      }
    }
    assert.ok(rows > 10, `${rows} contacts`)
  },

  async 'threads against ssb-sort and, on ssb-db2, ssb-threads'({ t, node, get, pages, said, open }) {
    const db2 = await stack(t, 'db2', people[0])
    assert.strictEqual(db2.id, node.id)
    await db2.call('add', said.map(({ value }) => value))

    const roots = open.filter(({ value: { content } }) => content.type === 'post' && !content.root)
    const listed = async (query) => (await pages(`/threads?limit=7&${query}`, 'threads')).filter(({ root }) => root.value.content.type === 'post')
    const theirs = await db2.source('threads.publicSummary', { allowlist: ['post'] })
    const ours = await listed('private=false')
    assert.deepStrictEqual(ours.map(({ id, replies }) => [id, replies]), theirs.map(({ root, replyCount }) => [root.key, replyCount]))
    const theirPrivate = await db2.source('threads.private', { allowlist: ['post'] })
    assert.deepStrictEqual((await listed('private=true')).map(({ id }) => id), theirPrivate.map(({ messages }) => messages[0].key))
    assert.ok(theirs.length > 10 && theirPrivate.length > 0, `${theirs.length} public threads, ${theirPrivate.length} private ones`)

    // of the threads in which somebody takes part theirs go by his last message, ours by anybody's
    for (const { id } of people) {
      const his = await db2.source('threads.profileSummary', { id, allowlist: ['post'] })
      assert.deepStrictEqual((await listed('private=false&participating=' + escape(id))).map((row) => row.id).sort(), his.map(({ root }) => root.key).sort(), id)
    }
    for (const { key, value } of roots) {
      const [thread] = await db2.source('threads.thread', { root: key, private: value.private === true })
      const { messages, heads } = await get(`/messages/${escape(key)}/thread?limit=1000`)
      assert.deepStrictEqual(messages.map((message) => message.key).sort(), thread.messages.map((message) => message.key).sort(), `the thread of ${key}`)
      assert.deepStrictEqual([...heads].sort(), ssbSort.heads(messages).sort())
      for (const [i, message] of messages.entries()) {
        const before = messages.slice(0, i).map((earlier) => earlier.key)
        for (const link of [message.value.content.branch ?? []].flat()) assert.ok(before.includes(link), `${message.key} stands before ${link}`)
      }
    }

    // A fork: theirs moves the thread that it came out of, ours is a thread of its own, which that one names.
    const { root, reply } = open.filter(({ value }) => value.content.root && !value.private).map(({ key, value }) => ({ reply: key, root: value.content.root })).at(-1)
    const fork = await node.call('publish', 1, { type: 'post', text: 'fork', root: reply, branch: reply, fork: root }, null)
    await db2.call('add', [fork.value])
    assert.strictEqual((await db2.source('threads.publicSummary', { allowlist: ['post'] }))[0].root.key, root)
    let row
    await until(async () => { [row] = (await get('/threads?limit=1')).threads; return row.latest === fork.key }, 'the fork')
    assert.deepStrictEqual([row.id, row.replies], [reply, 1])
    assert.deepStrictEqual((await get(`/messages/${escape(root)}/thread`)).forks, { [reply]: 1 })
  }
}
