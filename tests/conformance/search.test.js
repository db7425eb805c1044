'use strict'
// /search, /log?q= and /feeds?name= against plain scans over all messages, with another idea of what a word is: JavaScript's own Unicode tables.
// SLUICE_TEST_SEED=N runs one seed alone.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const WebSocket = require('ws')
const { Server, generate, importLines, until } = require('../support/sluice')
const { makeRandom, seedsWith } = require('../support/random')

const seeds = seedsWith(1)
const hash = (text) => crypto.createHash('sha256').update(text).digest('base64')
const feedOf = (n) => '@' + hash('feed ' + n) + '.ed25519'
const AUTHORS = 12
const DAY = 86400000
const START = Date.UTC(2020, 0, 28)

// ---- the log

const vocabulary = [
  'boat', 'Boat', 'boats', 'boathouse', 'garden', 'GÄRTEN', 'ga\u0308rten', 'rain', 'barrel', 'café', 'cafe\u0301', 'CAFÉ', 'Straße', 'STRASSE', 'идея', 'ИДЕЯ', 'ёлка', 'ΣΊΣΥΦΟΣ', 'Σίσυφος',
  '猫', '猫犬', '小猫犬鳥', '犬', 'ねこ', 'เรือ', 'เรือใหญ่', '한국', '한국어', 'हिन्दी', 'שָׁלוֹם', 'שלום', '🦀', '🐚', 'ssb猫', '2024', 'don\'t', '<b>bold</b>', '"quoted"', 'back\\slash', '%' + hash('x') + '.sha256'
]
const between = [' ', ' ', ' ', ' ', ', ', '\n', '-', '_', '. ']

function textOf(random) {
  let text = ''
  for (let n = 1 + random.below(12); n > 0; n--) text += random.pick(vocabulary) + random.pick(between)
  return random.chance(10) ? text.repeat(8) : text
}

const contents = [
  (random) => ({ type: 'post', text: textOf(random) }),
  (random) => ({ type: 'post', text: textOf(random), channel: random.pick(['boats', 'Garden', '猫']) }),
  (random) => ({ type: 'about', about: feedOf(random.below(AUTHORS)), name: random.pick(vocabulary), description: textOf(random) }),
  (random) => ({ type: 'blog', title: textOf(random), summary: 'unseen', text: random.pick([7, null, ['boat'], { text: 'boat' }]) }),
  (random) => ({ type: 'vote', vote: { link: '%' + hash('x') + '.sha256', value: 1, expression: 'boat' } }),
  () => 'Ym9hdA==.box'
]

function logLines(seed, random) {
  const lines = generate(200, '--quirks', '--seed', String(seed), '--authors', '8')
  for (let i = 0; i < 900; i++) {
    const timestamp = START + random.below(6) * DAY + random.below(DAY)
    const value = { previous: null, author: feedOf(random.below(AUTHORS)), sequence: i, timestamp, hash: 'sha256', content: random.pick(contents)(random), signature: '' }
    lines.splice(random.below(lines.length), 0, JSON.stringify({ key: '%' + hash(`${seed} ${i}`) + '.sha256', value, timestamp: START + 9 * DAY + i }))
  }
  return lines
}

// ---- the oracle: what a text says

const fold = (text) => text.normalize('NFKD').toUpperCase().toLowerCase().replace(/ς/g, 'σ').normalize('NFKD')
  .replace(/[\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\ufe0f]/g, '')
const DENSE = '\\u0e00-\\u0eff\\u3041-\\u312f\\u3400-\\u9fff\\u2600-\\u27bf\\u{1f000}-\\u{1f3fa}\\u{1f400}-\\u{1faff}'
const TOKEN = new RegExp(`([${DENSE}][${DENSE}\\p{M}]*)|((?![${DENSE}])[\\p{L}\\p{N}](?:(?![${DENSE}])[\\p{L}\\p{N}\\p{M}])*)`, 'gu')
const REFERENCE = /[%@&][A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\.(?:sha256|ed25519|cloaked)/g
const tokens = (text) => [...fold(text.replace(REFERENCE, ' ')).matchAll(TOKEN)].map(([word, dense]) => ({ word, dense: dense !== undefined }))

const places = ['text', 'title', 'name', 'description', 'channel']
const searched = (record) => {
  const content = record.value && record.value.content
  if (!content || typeof content !== 'object') return []
  return places.filter((place) => typeof content[place] === 'string').map((place) => tokens(content[place]))
}

// A run of a script without spaces is found by any stretch of it; at the edges of a phrase it may go on.
function fits(token, wanted, first, last) {
  if (token.dense !== wanted.dense) return false
  if (!token.dense) return token.word === wanted.word
  if (first && last) return token.word.includes(wanted.word)
  return first ? token.word.endsWith(wanted.word) : last ? token.word.startsWith(wanted.word) : token.word === wanted.word
}
const phraseIn = (words, phrase) => words.some((_, at) => phrase.every((wanted, i) => words[at + i] && fits(words[at + i], wanted, i === 0, i === phrase.length - 1)))
const said = (phrase) => (record, all) => all.some((words) => phraseIn(words, phrase))
// what is absent, or no number, does not count
const rts = (record) => [record.timestamp, record.value.timestamp].filter(Number.isFinite).reduce((a, b) => Math.min(a, b), Infinity)
const timeOf = (record) => rts(record) === Infinity ? 0 : rts(record)
const channelOf = (name) => String(name).toLowerCase()
const strings = (value) => typeof value === 'string' ? [value] : value && typeof value === 'object' ? Object.values(value).flatMap(strings) : []
// what names the channel, and what has its hashtag (views.test.js holds the rule against ssb-ref)
const inBoats = ({ value: { content } }) => channelOf(content.channel) === 'boats' || strings(content).some((text) => channelOf(text) === '#boats')

function part(random) {
  const word = random.pick(vocabulary.filter((text) => !/["\\%]/.test(text) && tokens(text).length > 0))
  const day = new Date(START + random.below(6) * DAY).toISOString().slice(0, 10)
  const author = feedOf(random.below(AUTHORS))
  switch (random.below(10)) {
    case 0: {
      const begin = random.pick(['boa', 'gart', 'иде', 'caf', '20', 'b', 'stra'])
      return { q: begin + '*', test: (record, all) => all.some((words) => words.some((token) => !token.dense && token.word.startsWith(fold(begin)))) }
    }
    case 1: {
      const phrase = word + random.pick([' ', '-']) + random.pick(['boat', '猫', '🦀', 'café', '小猫'])
      return { q: `"${phrase}"`, test: said(tokens(phrase)) }
    }
    case 2: return { q: 'type:post', test: (record) => record.value.content.type === 'post' }
    case 3: return { q: 'author:' + author, test: (record) => record.value.author === author }
    case 4: return { q: 'channel:' + random.pick(['BOATS', 'boats']), test: inBoats }
    case 5: return { q: 'after:' + day, test: (record) => timeOf(record) >= Date.parse(day) }
    case 6: return { q: 'before:' + day, test: (record) => timeOf(record) < Date.parse(day) }
    default: return { q: word, test: said(tokens(word)) }
  }
}

function queryOf(random) {
  const made = new Map()
  for (let n = 1 + random.below(3); n > 0; n--) {
    const one = part(random)
    made.set(/^\w+:/.test(one.q) ? one.q.split(':')[0] : one.q, one)
  }
  const parts = [...made.values()]
  return { q: parts.map((one) => one.q).join(' '), test: (record, all) => all.length > 0 && parts.every((one) => one.test(record, all)) }
}

// ---- checks

function checkSnippet(record, snippet, place) {
  assert.ok(places.includes(snippet.in))
  const text = record.value.content[snippet.in]
  const shown = snippet.pieces.map((piece) => piece.text).join('')
  assert.ok(text.includes(shown.replace(/^…/, '').replace(/…$/, '')) || text.includes(shown), `${place}: ${shown} is not in ${text}`)
  assert.ok(Buffer.byteLength(shown) < 700)
}

for (const seed of seeds) {
  test(`search finds what a scan finds, seed ${seed}`, async (t) => {
    const random = makeRandom(seed)
    const server = await Server.start(t, ['--data', importLines(t, logLines(seed, random), '--accept', 'any'), '--accept', 'any'])
    const records = (await server.pages('/log?limit=1000', 'messages')).filter((record) => record.key)
    const all = records.map((record) => ({ record, words: searched(record) }))
    let some = 0
    for (let round = 0; round < 60; round++) {
      const { q, test: wanted } = queryOf(random)
      const expected = all.filter(({ record, words }) => wanted(record, words)).map(({ record }) => record.seq)
      const place = `seed ${seed}, q=${q}`
      const target = '/search?q=' + encodeURIComponent(q)
      some += expected.length > 0
      const seqs = (await server.pages(target + '&order=oldest&limit=' + (1 + random.below(300)), 'messages')).map((row) => row.seq)
      assert.deepStrictEqual(seqs, expected, place)
      const newest = await server.pages(target + '&order=newest&limit=1000', 'messages')
      assert.deepStrictEqual(newest.map((row) => row.seq), [...expected].reverse(), place)
      assert.deepStrictEqual((await server.pages('/log?limit=1000&q=' + encodeURIComponent(q), 'messages')).map((row) => row.seq), expected, place)
      const ranked = await server.pages(target + '&limit=' + (20 + random.below(300)), 'messages')
      assert.deepStrictEqual(ranked.map((row) => row.seq).sort((a, b) => a - b), expected, place)
      // between what is found and anything else, so that ends are records that are found, too
      const [low, high] = [0, 1].map(() => random.pick(expected.length > 0 && random.chance(70) ? expected : records.map((record) => record.seq))).sort((a, b) => a - b)
      const [above, below] = [random.pick(['gt', 'gte']), random.pick(['lt', 'lte'])], order = ['rank', 'newest', 'rank', 'oldest'][round % 4]
      const between = expected.filter((seq) => (above === 'gt' ? seq > low : seq >= low) && (below === 'lt' ? seq < high : seq <= high))
      const bounded = await server.pages(`${target}&order=${order}&${above}=${low}&${below}=${high}&limit=${1 + random.below(60)}`, 'messages')
      assert.deepStrictEqual(bounded.map((row) => row.seq).sort((a, b) => a - b), between, `${place} ${order} ${above}=${low} ${below}=${high}`)
      ranked.forEach((row, i) => {
        const last = ranked[i - 1]
        assert.ok(!last || last.rank >= row.rank, place)
        if (row.snippet) checkSnippet(row, row.snippet, place)
      })
    }
    assert.ok(some > 25, `only ${some} queries found something`)
  })

  test(`feeds are found by what they are called now, seed ${seed}`, async (t) => {
    const random = makeRandom(seed)
    const server = await Server.start(t, ['--data', importLines(t, logLines(seed, random), '--accept', 'any'), '--accept', 'any'])
    const records = (await server.pages('/log?limit=1000', 'messages')).filter((record) => record.value && record.value.content && record.value.content.about)
    const feeds = [...new Set(records.map((record) => record.value.content.about))].filter((id) => /^@.{43}=\.ed25519$/.test(id))
    const now = new Map()
    for (const id of feeds) {
      const { about } = await server.get('/about/' + encodeURIComponent(id))
      if (typeof about.name === 'string') now.set(id, about.name)
    }
    assert.ok(now.size > 5)
    for (const name of [...new Set(now.values())]) {
      const typed = tokens(name).map((token) => token.word).join(' ')
      if (!typed || tokens(name).some((token) => token.dense)) continue
      const begin = typed.slice(0, 1 + random.below(typed.length)).trim()
      const rows = await server.pages('/feeds?limit=3&name=' + encodeURIComponent(begin), 'feeds')
      const folded = (text) => tokens(text).map((token) => token.word)
      const expected = [...now].filter(([, text]) => folded(text).some((_, i) => folded(text).slice(i).join(' ').startsWith(fold(begin)))).map(([id]) => id)
      assert.deepStrictEqual(rows.filter((row) => row.match !== 'near').map((row) => row.id).sort(), expected.sort(), `seed ${seed}, name=${begin}`)
      for (const row of rows) assert.strictEqual(row.name, now.get(row.id))
      const order = ['exact', 'begins', 'word', 'near']
      rows.forEach((row, i) => assert.ok(i === 0 || order.indexOf(rows[i - 1].match) <= order.indexOf(row.match)))
    }
  })
}

const post = (n, text) => JSON.stringify({ key: '%' + hash('live ' + n) + '.sha256', value: { author: feedOf(1), sequence: n, timestamp: START + n, content: { type: 'post', text } }, timestamp: START + n })

test('a search is followed: over a WebSocket, and as lines with snippets', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, [post(1, 'an old boat'), post(2, 'a garden')], '--accept', 'any'), '--accept', 'any'])
  const seen = []
  const socket = new WebSocket(server.ws + '/live?q=' + encodeURIComponent('boa* "rain barrel"'))
  t.after(() => socket.terminate())
  socket.on('message', (data) => seen.push(JSON.parse(data)))
  await until(() => seen.some((frame) => frame.sync), 'the sync frame')
  const lines = await server.lines('/search?live=true&q=boat')
  t.after(() => lines.close())
  await lines.until(() => lines.lines.length === 1, 'the old one')
  for (const [n, text] of [[3, 'rain barrel'], [4, 'a BOAT and a rain\nbarrel'], [5, 'boat of rain, barrel of boats']]) {
    const res = await server.post('/log', post(n, text))
    assert.strictEqual(res.status, 201, res.text)
  }
  await lines.until(() => lines.lines.length === 3, 'the new ones')
  const rows = lines.lines.map((line) => JSON.parse(line))
  assert.deepStrictEqual(rows.map((row) => row.value.sequence), [1, 4, 5])
  assert.deepStrictEqual(rows[1].snippet, { in: 'text', pieces: [{ text: 'a ' }, { text: 'BOAT', mark: true }, { text: ' and a rain\nbarrel' }] })
  await until(() => seen.filter((frame) => frame.seq !== undefined).length === 2, () => `two records; got ${JSON.stringify(seen)}`)
  assert.deepStrictEqual(seen.filter((frame) => frame.seq !== undefined).map((frame) => frame.value.sequence), [4, 5])
})

test('what is wrong is told', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, [post(1, 'boat')], '--accept', 'any'), '--accept', 'any'])
  for (const target of ['/search', '/search?q=', '/search?q=boat&order=best', '/search?q=boat&reverse=true&order=oldest', '/search?q=boat&live=true', '/search?q=' + 'a'.repeat(513), '/search?q=boat&limit=1001',
    '/search?q=' + encodeURIComponent([...'abcdefghijklmnopq'].join(' ')), '/feeds?name=', '/feeds?name=a&gt=' + encodeURIComponent(feedOf(1))]) {
    const res = await server.request(target)
    assert.strictEqual(res.status, 400, target + ' ' + res.text)
    assert.match(res.json.type, /^\/problems\/bad-(parameter|id)$/)
  }
  const page = await server.get('/search?q=' + 'a'.repeat(512))
  assert.deepStrictEqual(page.messages, [])
})
