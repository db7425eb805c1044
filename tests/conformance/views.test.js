'use strict'
// What the views answer, against independent oracles: npm ssb-ref, ssb-msgs and ssb-social-index, and plain loops over the same log.
// The log: several thousand generated messages with everything odd that the format allows, copies of messages, and records that are none.
// SLUICE_TEST_SEED=N runs one seed alone.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const pull = require('pull-stream')
const ssbMsgs = require('ssb-msgs')
const ssbRef = require('ssb-ref')
const ssbSocialIndex = require('ssb-social-index')
const { Server, folder, generate, shown } = require('../support/sluice')
const { frames } = require('../support/offset_log')
const { makeRandom, seedsWith } = require('../support/random')

const MESSAGES = 3000
const seeds = seedsWith(1, 2)

// ---- the log and what a reader of it may know

const noMessages = ['{"a":1}', 'null', '[1,2]', '"text"', '12', 'no JSON at all', '{"key":"%x","value":{"content":{"type":"post","channel":"ssb"}},"timestamp":1}',
  '{"key":"%x","value":null}', '{"value":{"author":"@x","sequence":1,"content":[]}}', '{"key":5,"value":{"content":{"type":7}},"timestamp":"x"}']

function logLines(seed, random) {
  const lines = generate(MESSAGES, '--quirks', '--seed', String(seed), '--authors', '60')
  for (let i = 0; i < 40; i++) lines.splice(random.below(lines.length), 0, random.pick(lines))
  for (const text of noMessages) lines.splice(random.below(lines.length), 0, text)
  return lines
}

function parse(text) {
  try { return JSON.parse(text) } catch { return undefined }
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)

// As ssb-ref has it, but for the dot of the suffix, which any character matches there.
function isRef(text) {
  if (!ssbRef.isMsg(text) && !ssbRef.isFeed(text) && !ssbRef.isBlob(text) && !ssbRef.isCloakedMsg(text)) return false
  return text[text.indexOf('=') + 1] === '.'
}
const isFeed = (text) => isRef(text) && ssbRef.isFeed(text)
const isMessage = (text) => isRef(text) && ssbRef.isMsg(text)

function read(lines, seqs) {
  return lines.map((line, i) => {
    const record = parse(line)
    const value = isObject(record) && isObject(record.value) ? record.value : {}
    const content = isObject(value.content) ? value.content : {}
    return {
      line, record, value, content,
      seq: seqs[i],
      key: isObject(record) && typeof record.key === 'string' ? record.key : null,
      author: isFeed(value.author) ? value.author : null,
      private: typeof value.content === 'string',
      received: isObject(record) && typeof record.timestamp === 'number' ? record.timestamp : null,
      links: linksOf(content),
      channels: channelsOf(content)
    }
  })
}

const pointer = (key) => '/' + key.replace(/~/g, '~0').replace(/\//g, '~1')

// Every exact reference in content, at any depth, in the order of the text.
function linksOf(content) {
  const links = []
  const walk = (value, place, rel) => {
    if (typeof value === 'string' && isRef(value)) links.push({ rel, dest: value, path: place })
    if (value === null || typeof value !== 'object') return
    for (const key of Object.keys(value)) walk(value[key], place + pointer(key), rel === undefined ? key : rel)
  }
  walk(content, '', undefined)
  return links
}

// content.channel, and every string that is a hashtag, as npm ssb-backlinks has it.
function channelsOf(content) {
  const channels = new Set(typeof content.channel === 'string' ? [ssbRef.normalizeChannel(content.channel)] : [])
  const walk = (value) => {
    if (typeof value === 'string' && value.length < 30 && /^#[^\s#]+$/.test(value)) channels.add(ssbRef.normalizeChannel(value.slice(1)))
    if (value !== null && typeof value === 'object') Object.values(value).forEach(walk)
  }
  walk(content)
  channels.delete(null)
  return channels
}

const linkRows = (messages) => messages.flatMap(({ links, value, key, seq, received }) =>
  links.map(({ rel, dest, path }) => ({ source: value.author, rel, dest, path, key, seq, timestamp: received })))

function rts({ received, value }) {
  const claimed = typeof value.timestamp === 'number' ? value.timestamp : null
  if (received === null || claimed === null) return received ?? claimed ?? 0
  return Math.min(received, claimed)
}

const canSend = (text) => !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text)
const escape = encodeURIComponent

// ---- the tests of one seed

for (const seed of seeds) {
  test(`views of a log with seed ${seed}`, async (t) => {
    const random = makeRandom(seed)
    const lines = logLines(seed, random)
    const { bytes, seqs } = frames(lines, '32')
    const file = path.join(folder(t), 'log.offset')
    fs.writeFileSync(file, bytes)
    const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
    const all = read(lines, seqs)
    const world = { server, random, all, messages: all.filter((m) => m.author), seed }
    await server.get('/types')
    for (const [name, check] of Object.entries(checks)) await t.test(name + `, seed ${seed}`, () => check(world))
  })
}

async function samePages(server, target, member, expected, sizes) {
  for (const size of sizes) {
    const rows = await server.pages(`${target}${target.includes('?') ? '&' : '?'}limit=${size}`, member)
    assert.deepStrictEqual(rows, expected, `${target} in pages of ${size}`)
  }
}

const checks = {
  async 'links against a walk over all content'({ server, all, random }) {
    const rows = linkRows(all)
    assert.ok(rows.length > 3000)
    await samePages(server, '/links', 'links', rows, [1000, 997])
    await samePages(server, '/links?reverse=true', 'links', reversed(rows), [1000])
    assert.strictEqual((await server.get('/links?count=true')).count, rows.length)
    const rels = [...new Set(rows.map((row) => row.rel))].filter(canSend)
    assert.ok(rels.length > 20)
    for (const rel of rels) {
      const wanted = rows.filter((row) => row.rel === rel)
      assert.strictEqual((await server.get('/links?count=true&rel=' + escape(rel))).count, wanted.length, `count of rel ${rel}`)
      await samePages(server, '/links?rel=' + escape(rel), 'links', wanted, [1000])
    }
    let hits = 0
    for (let i = 0; i < 150; i++) {
      const row = random.pick(rows), other = random.pick(rows)
      const ask = {}
      if (random.chance(50)) ask.source = row.source
      if (random.chance(60)) ask.dest = random.chance(90) ? row.dest : other.dest
      if (random.chance(50) && canSend(row.rel)) ask.rel = row.rel
      if (!ssbRef.isFeed(ask.source ?? row.source) || (ask.dest && ssbRef.isCloakedMsg(ask.dest))) continue
      const query = Object.entries(ask).map(([name, value]) => `${name}=${escape(value)}`).join('&')
      const wanted = rows.filter((r) => Object.entries(ask).every(([name, value]) => r[name] === value))
      hits += wanted.length
      assert.strictEqual((await server.get('/links?count=true&' + query)).count, wanted.length, query)
      const reverse = random.chance(30)
      if (wanted.length > 2000) continue
      await samePages(server, `/links?${query}${reverse ? '&reverse=true' : ''}`, 'links', reverse ? reversed(wanted) : wanted,
        [1 + random.below(wanted.length > 100 ? 50 : 5) + Math.floor(wanted.length / 10)])
    }
    assert.ok(hits > 300)
  },

  async 'links of one message in pages of every size'({ server, all }) {
    const rows = linkRows(all)
    const counts = new Map()
    for (const row of rows) counts.set(row.dest, (counts.get(row.dest) || 0) + 1)
    const dest = [...counts].filter(([id]) => isMessage(id)).sort((a, b) => Math.abs(a[1] - 30) - Math.abs(b[1] - 30))[0][0]
    const wanted = rows.filter((row) => row.dest === dest)
    assert.ok(wanted.length > 9)
    const sizes = Array.from({ length: wanted.length + 1 }, (_, i) => i + 1)
    await samePages(server, `/messages/${dest}/links`, 'links', wanted, sizes)
    await samePages(server, `/links?dest=${dest}&reverse=true`, 'links', reversed(wanted), sizes)
    // a message with several links: pages that end amid its rows
    const many = all.findLast((m) => m.links.length > 5)
    const from = `/links?gte=${many.seq}&lte=${many.seq}`
    await samePages(server, from, 'links', linkRows([many]), [1, 2, 3, 4, 5, 6, 7])
    await samePages(server, from + '&reverse=true', 'links', reversed(linkRows([many])), [1, 2, 3, 4, 5, 6, 7])
    const { links } = await server.get(`/links?gte=${many.seq}&lte=${many.seq}&values=true`)
    assert.deepStrictEqual(links.map((row) => row.value), many.links.map(() => many.value))
  },

  // npm ssb-msgs indexes the top level of content only: "rel": REF, {link: REF}, or an array (or what looks like one) of these. There it must
  // find what we find. It finds less where an array-like object has something falsy in between and nothing cloaked, and more where a link is no exact reference:
  // blob links with a query (&id?unbox=…) and suffixes that only ssb-ref's unescaped dot takes. A null in an array makes it throw.
  async 'links of the top level against ssb-msgs'({ server, all }) {
    const rows = await server.pages('/links?limit=1000', 'links')
    const bySeq = new Map()
    for (const row of rows) if (/^\/[^/]*(\/\d+)?(\/link)?$/.test(row.path) && !ssbRef.isCloakedMsg(row.dest)) bySeq.set(row.seq, [...(bySeq.get(row.seq) || []), row.rel + ' ' + row.dest])
    let compared = 0
    for (const { record, seq, author, private: encrypted } of all) {
      if (!author || encrypted || Object.values(record.value.content).some((value) => Array.isArray(value) && value.includes(null))) continue
      const theirs = []
      ssbMsgs.indexLinks(record, (link, rel) => { if (isRef(link.link)) theirs.push(rel + ' ' + link.link) })
      assert.deepStrictEqual((bySeq.get(seq) || []).sort(), theirs.sort(), JSON.stringify(record))
      compared += theirs.length
    }
    assert.ok(compared > 2000)
  },

  async 'about against npm ssb-social-index'({ server, all, random }) {
    const abouts = all.filter((m) => m.author && m.content.type === 'about' && isRef(m.content.about))
    const targets = [...new Set(abouts.map((m) => m.content.about))]
    assert.ok(targets.length > 50)
    let compared = 0
    for (const target of targets.filter((id) => !ssbRef.isCloakedMsg(id))) {
      const said = sayings(abouts, target)
      const fields = [...new Set(said.flatMap((m) => Object.keys(m.content)))].filter((field) => field !== 'type' && field !== 'about')
      const readers = [undefined, random.pick(all.filter((m) => m.author)).author]
      if (said.length > 0) readers.push(random.pick(said).author)
      for (const reader of readers) {
        const npm = social(all, said, reader)
        const answer = (await server.get(`/about/${escape(target)}${reader ? '?as=' + escape(reader) : ''}`)).about
        for (const field of fields) {
          // an absent "__proto__" or the like is Object.prototype's to that package
          if (field in Object.prototype) continue
          const theirs = await npm('socialValue', { key: field, dest: target })
          assert.deepStrictEqual(answer[field] ?? null, theirs ?? null, `${target} ${field} for ${reader}`)
          compared++
        }
      }
      const latest = await social(all, said)('latestValues', { keys: fields, dest: target })
      const ours = (await server.get(`/about/${escape(target)}?by=latest`)).about
      assert.deepStrictEqual(own(ours), own(latest), target)
    }
    assert.ok(compared > 300)
  },

  async 'about against the rules in a plain loop'({ server, all, messages, random }) {
    const abouts = messages.filter((m) => m.content.type === 'about' && isRef(m.content.about))
    const targets = new Set(abouts.map((m) => m.content.about).filter((id) => !ssbRef.isCloakedMsg(id)))
    for (let i = 0; i < 20; i++) targets.add(random.pick(messages).key)
    const filled = { social: 0, latest: 0, self: 0, all: 0 }
    for (const target of targets) {
      const said = sayings(abouts, target)
      const own = isFeed(target) ? target : isMessage(target) ? all.find((m) => m.key === target)?.author : undefined
      const reader = random.chance(50) && said.length > 0 ? random.pick(said).author : undefined
      for (const by of ['social', 'latest', 'self', 'all']) {
        const query = by === 'social' && reader ? `by=social&as=${escape(reader)}` : 'by=' + by
        const answer = await server.get(`/about/${escape(target)}?${query}`)
        assert.strictEqual(answer.id, target)
        assert.strictEqual(answer.by, by)
        const expected = rules[by](said, own, reader)
        assert.deepStrictEqual(entries(answer.about), entries(expected), `${target} ${query}`)
        assert.deepStrictEqual(Object.keys(answer.about).filter((key) => !/^\d+$/.test(key)), Object.keys(answer.about).filter((key) => !/^\d+$/.test(key)).sort(byBytes))
        filled[by] += Object.keys(expected).length
      }
    }
    for (const [by, count] of Object.entries(filled)) assert.ok(count > 50, `${by}: ${count}`)
  },

  async 'feeds: who there is'({ server, messages, random }) {
    const latest = new Map()
    for (const m of messages) {
      if (!isSequence(m.value.sequence)) continue
      const { id, sequence, key, seq, timestamp } = { id: m.author, sequence: m.value.sequence, key: m.key, seq: m.seq, timestamp: m.received }
      if (!latest.has(id) || sequence > latest.get(id).sequence) latest.set(id, { id, sequence, key, seq, timestamp })
    }
    const feeds = [...latest.values()].sort((a, b) => Buffer.compare(keyBytes(a.id), keyBytes(b.id)))
    assert.ok(feeds.length > 50)
    await samePages(server, '/feeds', 'feeds', feeds, [1, 7, feeds.length - 1, feeds.length, feeds.length + 1])
    await samePages(server, '/feeds?reverse=true', 'feeds', reversed(feeds), [1, 13, feeds.length])
    const [a, b] = [random.below(25), 25 + random.below(25)]
    await samePages(server, `/feeds?gt=${escape(feeds[a].id)}&lt=${escape(feeds[b].id)}`, 'feeds', feeds.slice(a + 1, b), [10])
  },

  async 'feeds by sequence, both directions'({ server, messages, random }) {
    const byAuthor = new Map(messages.map((m) => [m.author, []]))
    for (const m of messages) if (isSequence(m.value.sequence)) byAuthor.get(m.author).push(m)
    for (const [author, feed] of byAuthor) {
      // a copy of a message stands behind the one that came first
      const wanted = [...feed].sort((a, b) => a.value.sequence - b.value.sequence || a.seq - b.seq)
      const shown = wanted.map(shownAs)
      await samePages(server, '/feeds/' + author, 'messages', shown, [1000, 1 + random.below(40)])
      await samePages(server, `/feeds/${author}?reverse=true`, 'messages', reversed(shown), [1 + random.below(60)])
      const at = random.pick(wanted).value.sequence, to = at + random.below(10)
      const between = (low, high) => wanted.filter((m) => m.value.sequence >= low && m.value.sequence <= high).map(shownAs)
      await samePages(server, `/feeds/${author}?gt=${at}&lte=${to}`, 'messages', between(at + 1, to), [3])
      await samePages(server, `/feeds/${author}?gte=${at}&lt=${to}&reverse=true`, 'messages', reversed(between(at, to - 1)), [3])
      const one = await server.get(`/feeds/${author}/${at}`)
      assert.deepStrictEqual(one, shownAs(wanted.find((m) => m.value.sequence === at)))
      assert.strictEqual((await server.request(`/feeds/${author}/${wanted.at(-1).value.sequence + 1}`)).status, 404)
    }
  },

  async 'types and how many there are'({ server, all }) {
    const types = new Map()
    for (const { content, seq } of all) {
      if (typeof content.type !== 'string') continue
      const known = types.get(content.type) || { type: content.type, count: 0, seq }
      types.set(content.type, { ...known, count: known.count + 1, seq })
    }
    const expected = [...types.values()].sort((a, b) => byBytes(a.type, b.type))
    assert.ok(expected.length > 8)
    await samePages(server, '/types', 'types', expected, [1, 2, 5, expected.length, 1000])
  },

  async 'channels against ssb-ref'({ server, all, random }) {
    const spellings = [...new Set(all.flatMap(({ content, channels }) => [content.channel, ...channels]).filter((c) => typeof c === 'string' && canSend(c)))]
    assert.ok(spellings.length > 20)
    let unlike = 0, tagged = 0
    for (const spelling of spellings) {
      const name = ssbRef.normalizeChannel(spelling)
      if (name === null) {
        assert.strictEqual((await server.request('/log?channel=' + escape(spelling))).status, 400, spelling)
        continue
      }
      if (name !== spelling) unlike++
      const wanted = all.filter((m) => m.channels.has(name)).map(shownAs)
      tagged += all.filter((m) => m.channels.has(name) && ssbRef.normalizeChannel(m.content.channel) !== name).length
      const asked = random.chance(50) ? spelling : random.chance(50) ? '#' + name : name.toUpperCase().toLowerCase() === name ? name.toUpperCase() : name
      await samePages(server, '/log?channel=' + escape(asked), 'messages', wanted, [1000])
    }
    assert.ok(unlike > 3)
    assert.ok(tagged > 0)
  },

  async 'messages by id'({ server, messages, random }) {
    const first = new Map()
    for (const m of messages) if (isMessage(m.key) && !first.has(m.key)) first.set(m.key, m)
    for (let i = 0; i < 400; i++) {
      const { key } = random.pick(messages)
      assert.deepStrictEqual(await server.get('/messages/' + key), shownAs(first.get(key)))
    }
    for (let i = 0; i < 20; i++) {
      const id = '%' + Buffer.from(Array.from({ length: 32 }, () => random.below(256))).toString('base64') + '.sha256'
      assert.strictEqual((await server.request('/messages/' + id)).status, 404)
      // 8 bytes of an id that is there, and then another one
      const near = Buffer.concat([Buffer.from(random.pick(messages).key.slice(1, 45), 'base64').subarray(0, 8), Buffer.alloc(24, i)])
      assert.strictEqual((await server.request(`/messages/%${near.toString('base64')}.sha256`)).status, 404)
    }
  },

  async 'the log through random filters'({ server, all, messages, random }) {
    const dests = messages.flatMap((m) => m.links.map((link) => link.dest))
    const fields = {
      author: { pick: (m) => m.author, keep: (m, v) => m.author === v },
      type: { pick: (m) => m.content.type, keep: (m, v) => m.content.type === v },
      root: { pick: (m) => isMessage(m.content.root) ? m.content.root : undefined, keep: (m, v) => m.content.root === v },
      channel: { pick: (m) => m.content.channel, keep: (m, v) => m.channels.has(ssbRef.normalizeChannel(v)) },
      dest: { pick: (m) => m.links.length > 0 ? random.pick(m.links).dest : random.pick(dests), keep: (m, v) => m.links.some((link) => link.dest === v) },
      private: { pick: () => random.pick(['true', 'false']), keep: (m, v) => m.private === (v === 'true') }
    }
    let hits = 0
    for (let i = 0; i < 250; i++) {
      const like = random.pick(messages)
      const asked = {}
      for (const [name, field] of Object.entries(fields)) {
        if (!random.chance(35)) continue
        const value = field.pick(random.chance(90) ? like : random.pick(messages))
        if (typeof value !== 'string' || value === '' || !canSend(value) || (name === 'channel' && !ssbRef.normalizeChannel(value))) continue
        asked[name] = value
      }
      const [low, high] = [random.pick(all).seq, random.pick(all).seq].sort((a, b) => a - b)
      const range = {}
      if (random.chance(30)) range[random.pick(['gt', 'gte'])] = low
      if (random.chance(30)) range[random.pick(['lt', 'lte'])] = high
      const reverse = random.chance(40)
      const wanted = all.filter((m) => Object.entries(asked).every(([name, value]) => fields[name].keep(m, value)) &&
        !(m.seq <= range.gt) && !(m.seq < range.gte) && !(m.seq >= range.lt) && !(m.seq > range.lte))
      hits += wanted.length > 0
      const query = Object.entries({ ...asked, ...range, ...(reverse && { reverse }) }).map(([name, value]) => `${name}=${escape(value)}`).join('&')
      const size = Math.min(1000, 1 + random.below(wanted.length + 2) + Math.ceil(wanted.length / 4))
      const shown = wanted.map(shownAs)
      await samePages(server, '/log?' + query, 'messages', reverse ? reversed(shown) : shown, [size])
    }
    assert.ok(hits > 125, `only ${hits} queries matched anything`)
  },

  async 'the whole log in pages of any size'({ server, all, random }) {
    const shown = all.map(shownAs)
    await samePages(server, '/log', 'messages', shown, [1000, 100 + random.below(300)])
    await samePages(server, '/log?reverse=true', 'messages', reversed(shown), [1000, 100 + random.below(300)])
    const from = random.below(all.length - 40)
    const few = shown.slice(from, from + 12)
    const sizes = Array.from({ length: 13 }, (_, i) => i + 1)
    await samePages(server, `/log?gte=${few[0].seq}&lte=${few.at(-1).seq}`, 'messages', few, sizes)
    await samePages(server, `/log?gte=${few[0].seq}&lte=${few.at(-1).seq}&reverse=true`, 'messages', reversed(few), sizes)
    assert.strictEqual((await server.get('/views')).log.count, all.length)
  }
}

const reversed = (list) => [...list].reverse()
const isSequence = (n) => Number.isInteger(n) && n >= 0
const byBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))
const keyBytes = (id) => Buffer.from(id.slice(1, 45), 'base64')

// A record as /log shows it.
function shownAs({ record, line, seq }) {
  if (record === undefined) return { seq, base64: Buffer.from(line).toString('base64') }
  return isObject(record) && Object.keys(record)[0] === 'key' ? { seq, ...shown(record) } : { seq, value: record }
}

// ---- about

// All that is said of a target, oldest first, as a reader of ssb-backlinks gets it.
function sayings(abouts, target) {
  return abouts.filter((m) => m.content.about === target).sort((a, b) => rts(a) - rts(b) || a.seq - b.seq)
}

// npm ssb-social-index over these sayings; `reader` is whose ssb-db it would run in.
function social(all, said, reader) {
  const ssb = {
    id: reader,
    get: ({ id }, cb) => cb(null, { author: all.find((m) => m.key === id)?.author }),
    backlinks: { read: ({ reverse }) => pull.values((reverse ? reversed(said) : said).map((m) => m.record)) }
  }
  const index = ssbSocialIndex({ namespace: 'about', type: 'about', destField: 'about' }).init(ssb, {})
  return (method, options) => new Promise((resolve, reject) => index[method](options, (err, value) => err ? reject(err) : resolve(value)))
}

// Without what that package takes for Object.prototype's.
const own = (object) => Object.fromEntries(Object.entries(object).filter(([field]) => !(field in Object.prototype)))

const truthyRemove = (value) => isObject(value) && Boolean(value.remove)

// Objects with a key "__proto__" of their own are compared as lists.
const entries = (object) => Object.entries(object).sort(([a], [b]) => byBytes(a, b))

function byField(said, pick) {
  const fields = [...new Set(said.flatMap((m) => Object.keys(m.content)))].filter((field) => field !== 'type' && field !== 'about')
  const picked = []
  for (const field of fields) {
    const value = pick(said.filter((m) => Object.hasOwn(m.content, field)), field)
    if (value !== undefined) picked.push([field, value])
  }
  return Object.fromEntries(picked)
}

const rules = {
  self: (said, own) => byField(said, (given, field) => given.findLast((m) => m.author === own)?.content[field]),
  latest: (said) => byField(said, (given, field) => given.findLast((m) => !truthyRemove(m.content[field]))?.content[field]),
  all: (said) => byField(said, (given, field) => {
    const newest = new Map()
    for (const m of given) if (m.content[field]) newest.set(m.author, { value: m.content[field], author: m.author, key: m.key, timestamp: m.received })
    return newest.size > 0 ? [...newest.values()] : undefined
  }),
  social: (said, own, reader) => byField(said, (given, field) => {
    const values = new Map()
    for (const m of given) if (m.content[field]) values.set(m.author, m.content[field])
    if (values.has(reader)) return values.get(reader)
    if (values.has(own)) return values.get(own)
    const counts = new Map()
    let best
    for (const value of values.values()) {
      const text = typeof value === 'string' ? value : isObject(value) && !truthyRemove(value) ? value.link : undefined
      if (typeof text !== 'string' || text === '' || (isObject(value) && !isRef(text.split('?')[0]))) continue
      counts.set(text, (counts.get(text) || 0) + 1)
      if (best === undefined || counts.get(text) > counts.get(best)) best = text
    }
    return best
  })
}
