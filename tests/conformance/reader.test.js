'use strict'
// Feeds for readers, read by npm rss-parser (strict XML by sax), over logs with texts that nobody should write.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const Parser = require('rss-parser')
const ssbRef = require('ssb-ref')
const ssbUri = require('ssb-uri2')
const { Server, folder, generate } = require('../support/sluice')
const { frames } = require('../support/offset_log')
const { drawnSeed, makeRandom } = require('../support/random')

const seed = drawnSeed()
const hash = (text) => crypto.createHash('sha256').update(text).digest('base64')
const feedOf = (n) => '@' + hash('reader ' + n) + '.ed25519'
const keyOf = (n) => '%' + hash('post ' + n) + '.sha256'
const escape = encodeURIComponent
const START = 1500000000000

const GARBAGE = [
  '<script>alert(1)</script>', ']]>', '<![CDATA[ x ]]>', '&amp; & &#0; &lt;', '"\'', '\u0000', '\u0001\u0008\u000b\u000c\u001f', '\u007f', '\ufffe\uffff', '\ud800', '\udc00x', 'a\ud83d', '\ud83d\ude00',
  '\u202eright to left\u202c', 'مرحبا بالعالم', '日本語のテキスト', '\r\n\r', '\t tabs\t', '\u0085\u2028\u2029', '# A *heading*', '   ', '---', '<!ENTITY x "y">', '<?xml version="1.1"?>', 'x'.repeat(300), '\u0300\u0301', '&#xFFFF;', '<br/>'
]

function record(n, author, content, more = {}) {
  return { key: keyOf(n), value: { previous: null, author, sequence: n, timestamp: START + n * 1000, hash: 'sha256', content, signature: '' }, timestamp: START + n * 1000 + 0.5, ...more }
}

function textOf(random) {
  const parts = Array.from({ length: 1 + random.below(6) }, () => random.pick(GARBAGE))
  return parts.join(random.pick(['', ' ', '\n']))
}

// What XML has a place for, else U+FFFD.
function clean(text) {
  return [...text].map((c) => {
    const code = c.codePointAt(0)
    const fine = code === 9 || code === 10 || code === 13 || (code >= 0x20 && code !== 0x7f && !(code >= 0xd800 && code <= 0xdfff) && code !== 0xfffe && code !== 0xffff)
    return fine ? c : '\ufffd'
  }).join('')
}

const plain = (html) => html.replace(/<br\/>\n/g, '\n').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&#39;/g, "'").replace(/&amp;/g, '&')

function makeLog(random) {
  const lines = generate(200, '--seed', String(seed), '--authors', '5')
  const records = []
  let n = 0
  for (let author = 0; author < 4; author++) {
    records.push(record(++n, feedOf(author), { type: 'about', about: feedOf(author), name: author === 3 ? 7 : `${author} ${textOf(random).slice(0, 40)}` }))
  }
  const roots = []
  for (let i = 0; i < 160; i++) {
    const content = { type: 'post', text: textOf(random) }
    if (random.chance(40)) content.channel = random.pick(['Garden', '#garden', 'garden', 'other & <b>'])
    if (roots.length > 0 && random.chance(50)) content.root = random.pick(roots)
    if (random.chance(5)) content.text = random.pick([7, null, { text: 'x' }, ''])
    if (random.chance(5)) content.title = random.pick(['A title <b>', 7])
    if (random.chance(10)) content.type = 'vote'
    const more = random.chance(5) ? random.pick([{ timestamp: -5 }, { timestamp: 1e300 }, { timestamp: undefined }]) : {}
    const made = record(++n, feedOf(random.below(4)), random.chance(5) ? 'AAAA.box' : content, more)
    if (random.chance(3)) made.value.timestamp = random.pick([1e18, -1, 'now'])
    if (typeof made.value.content === 'object' && !content.root && content.type === 'post') roots.push(made.key)
    records.push(made)
  }
  return { lines: [...lines, ...records.map((r) => JSON.stringify(r))], records, root: roots[0] }
}

async function world(t) {
  const random = makeRandom(seed)
  const log = makeLog(random)
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, frames(log.lines, '32').bytes)
  return { ...log, server: await Server.start(t, ['--follow', file, '--views', folder(t)]) }
}

const isPost = ({ value: { content } }) => content !== null && typeof content === 'object' && content.type === 'post'
const textIn = ({ value: { content } }) => clean(typeof content.text === 'string' ? content.text : '')
const channelOf = ({ value: { content } }) => typeof content.channel === 'string' ? ssbRef.normalizeChannel(content.channel) : null

function rts({ timestamp, value }) {
  const times = [timestamp, value.timestamp].filter((time) => typeof time === 'number')
  const time = times.length === 0 ? 0 : Math.min(...times)
  return time >= 0 && time <= 253402300799999 ? new Date(Math.floor(time)).toISOString() : new Date(0).toISOString()
}

function checkXml(text) {
  assert.doesNotMatch(text, /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/)
  assert.doesNotMatch(text.replace(/<\?xml version="1.0" encoding="utf-8"\?>/, ''), /<(?:script|!|\?)/)
}

async function check(server, target, expected, format) {
  const res = await server.request(`${target}?format=${format}&limit=1000`)
  assert.strictEqual(res.status, 200, res.text.slice(0, 200))
  assert.doesNotThrow(() => new TextDecoder('utf-8', { fatal: true }).decode(res.bytes))
  let items
  if (format === 'json-feed') {
    items = res.json.items.map((item) => ({ id: item.id, text: item.content_text, iso: item.date_published, title: item.title, author: item.authors[0].name, url: item.url }))
    assert.strictEqual(res.json.version, 'https://jsonfeed.org/version/1.1')
    assert.ok(res.json.title.length > 0)
  } else {
    checkXml(res.text)
    const feed = await new Parser({ customFields: { item: ['id', 'dc:creator', 'updated'] } }).parseString(res.text)
    assert.ok(feed.title.length > 0)
    items = feed.items.map((item) => {
      const html = (item.content || '').replace(/^<div type="html"\/>$/, '') // what rss-parser makes of an empty one
      assert.doesNotMatch(html.replace(/<br\/>\n/g, ''), /[<>]/)
      return { id: item.guid || item.id, text: plain(html), iso: item.isoDate, title: item.title, author: item.author || item.creator || item['dc:creator'], url: item.link }
    })
  }
  assert.deepStrictEqual(items.map(({ id }) => id), expected.map(({ key }) => ssbUri.fromMessageSigil(key)), `${target} ${format}`)
  items.forEach((item, i) => {
    const text = textIn(expected[i])
    // xml2js forgets text that is nothing but space
    const blank = format !== 'json-feed' && text.trim() === ''
    assert.strictEqual(blank ? item.text.trim() : item.text, blank ? '' : format === 'json-feed' ? text : text.replace(/\r/g, ''), `${format} ${JSON.stringify(text)}`)
    assert.ok(item.title.length > 0 && [...item.title].length <= 101, item.title)
    assert.strictEqual(item.url, item.id)
    assert.ok(item.author.length > 0)
    const time = rts(expected[i])
    assert.strictEqual(format === 'rss' ? item.iso.slice(0, 19) : item.iso, format === 'rss' ? time.slice(0, 19) : time)
  })
  return { res, items }
}

for (const format of ['atom', 'rss', 'json-feed']) {
  test(`${format} of feeds, channels and a thread, seed ${seed}`, async (t) => {
    const { server, records, root } = await world(t)
    const newest = [...records].reverse().filter(isPost)
    for (let author = 0; author < 4; author++) {
      const { items } = await check(server, '/feeds/' + escape(feedOf(author)), newest.filter(({ value }) => value.author === feedOf(author)), format)
      const name = records[author].value.content.name
      for (const item of items) {
        const shown = typeof name === 'string' ? clean(name) : feedOf(author).slice(0, 10)
        assert.strictEqual(item.author.replace(/\s+/g, ' ').trim(), shown.replace(/\s+/g, ' ').trim())
      }
    }
    for (const [name, other] of [['garden', 'Gar%20den'], ['other&b', 'other%20%26%20%3Cb%3E']]) {
      const one = await check(server, '/channels/' + escape(name), newest.filter((r) => channelOf(r) === name).filter((r) => r.key), format)
      assert.ok(one.items.length > 0, name)
      assert.strictEqual((await server.request(`/channels/${other}?format=${format}&limit=1000`)).text, one.res.text)
    }
    await check(server, `/messages/${escape(root)}/thread`, newest.filter((r) => r.key === root || r.value.content.root === root), format)
  })
}

test('by Accept, as readers ask; browsers get rows', async (t) => {
  const { server } = await world(t)
  const ask = async (accept) => (await server.request('/feeds/' + escape(feedOf(0)), { headers: { Accept: accept } })).headers['content-type']
  assert.match(await ask('application/atom+xml'), /^application\/atom\+xml/)
  assert.match(await ask('application/rss+xml, application/atom+xml;q=0.9, */*;q=0.1'), /^application\/rss\+xml/)
  assert.match(await ask('application/feed+json, application/json;q=0.5'), /^application\/feed\+json/)
  assert.match(await ask('text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'), /^application\/json/)
  assert.match(await ask('application/json, application/atom+xml'), /^application\/json/)
  assert.match(await ask('text/plain'), /^application\/problem/)
  // where there is nothing for readers, they are told so
  assert.strictEqual((await server.request('/log', { headers: { Accept: 'application/atom+xml' } })).status, 406)
})

test('the tag changes with the document, and with nothing else', async (t) => {
  const { Author } = require('../support/author')
  const server = await Server.start(t, ['--data', folder(t)])
  const [one, two] = [new Author('reader one'), new Author('reader two')]
  const add = async (author, content) => assert.strictEqual((await server.post('/log', author.write(content).value)).status, 201)
  await add(one, { type: 'post', text: 'first' })
  await add(two, { type: 'post', text: 'of another' })
  const target = `/feeds/${escape(one.id)}?format=atom`
  const { etag } = (await server.request(target)).headers
  const again = async () => (await server.request(target, { headers: { 'If-None-Match': etag } })).status
  assert.strictEqual(await again(), 304)
  await add(two, { type: 'post', text: 'of another again' })
  await add(one, { type: 'vote', vote: { link: one.id, value: 1 } })
  assert.strictEqual(await again(), 304)
  await add(one, { type: 'about', about: one.id, name: 'One' })
  assert.strictEqual(await again(), 200)
  const { headers, text } = await server.request(target)
  assert.match(text, /<name>One<\/name>/)
  assert.notStrictEqual(headers.etag, etag)
  await add(one, { type: 'post', text: 'second' })
  const feed = await new Parser().parseString((await server.request(target + '&limit=1')).text)
  assert.deepStrictEqual(feed.items.map(({ title }) => title), ['second'])
})

test('markup is text, in every format', async (t) => {
  const { Author } = require('../support/author')
  const server = await Server.start(t, ['--data', folder(t)])
  const author = new Author('reader markup')
  const text = '<b>bold</b> & <script>alert("1")</script>'
  assert.strictEqual((await server.post('/log', author.write({ type: 'post', text }).value)).status, 201)
  for (const format of ['atom', 'rss']) {
    const [item] = (await new Parser().parseString((await server.request(`/feeds/${escape(author.id)}?format=${format}`)).text)).items
    assert.strictEqual(item.content, '&lt;b&gt;bold&lt;/b&gt; &amp; &lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;')
  }
  assert.strictEqual((await server.get(`/feeds/${escape(author.id)}?format=json-feed`)).items[0].content_text, text)
})

test('limit: at the most, and one past it', async (t) => {
  const { server } = await world(t)
  assert.strictEqual((await server.request('/channels/garden?format=rss&limit=1000')).status, 200)
  assert.strictEqual((await server.request('/channels/garden?format=rss&limit=1001')).status, 400)
  const many = (await server.request('/feeds/' + escape(feedOf(0)) + '?format=json-feed&limit=3')).json
  assert.strictEqual(many.items.length, 3)
})

test('encrypted messages are never in it, nor anything for who may not read', async (t) => {
  const { server, records } = await world(t)
  const hidden = records.filter(({ value }) => typeof value.content === 'string').map(({ key }) => ssbUri.fromMessageSigil(key))
  assert.ok(hidden.length > 0)
  for (let author = 0; author < 4; author++) {
    const { text } = await server.request('/feeds/' + escape(feedOf(author)) + '?format=atom&limit=1000')
    for (const uri of hidden) assert.ok(!text.includes(uri))
  }
})
