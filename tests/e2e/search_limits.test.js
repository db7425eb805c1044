'use strict'
// The limits of searches and of names: what stands at one is answered whole, and what is one past it as GET /limits says.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { Server, folder } = require('../support/sluice')
const { frames } = require('../support/offset_log')

const escape = encodeURIComponent
const hash = (text) => crypto.createHash('sha256').update(text).digest('base64')
const feedOf = (n) => '@' + hash('feed ' + n) + '.ed25519'

const FOUND = 1000, LOOKED = 20000, PARTS = 8

class Log {
  lines = []

  add(content, author = 0) {
    const n = this.lines.length
    const value = { previous: null, author: feedOf(author), sequence: n + 1, timestamp: 1500000000000 + n, hash: 'sha256', content, signature: '' }
    this.lines.push(JSON.stringify({ key: '%' + hash('message ' + n) + '.sha256', value, timestamp: 1500000000000 + n }))
    return this.lines.length - 1
  }

  post(text) { return this.add({ type: 'post', text }) }
  name(n, name) { return this.add({ type: 'about', about: feedOf(n), name }, n) }
}

async function serve(t, log) {
  const file = path.join(folder(t), 'log.offset')
  const { bytes, seqs } = frames(log.lines, '48')
  fs.writeFileSync(file, bytes)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  const limits = Object.fromEntries((await server.get('/limits')).limits.map(({ name, value }) => [name, value]))
  const search = (q, more = '') => server.request(`/search?q=${escape(q)}${more}`)
  return { server, seqs, limits, search }
}

test('search-bytes, search-terms, search-phrase: a search at each is answered, one past it is a mistake', async (t) => {
  const log = new Log()
  const letters = [...'abcdefghijklmnopqrstuvwxyz0123456789']
  log.post(letters.join(' '))
  const { limits, search } = await serve(t, log)
  const found = async (q, more) => {
    const res = await search(q, more)
    assert.strictEqual(res.status, 200, res.text)
    return res.json.messages.length
  }
  const refused = async (q, more) => {
    const res = await search(q, more)
    assert.strictEqual(res.status, 400, res.text)
    assert.strictEqual(res.json.type, '/problems/bad-parameter')
  }
  assert.strictEqual(await found('a' + ' '.repeat(limits['search-bytes'] - 1)), 1)
  await refused('a' + ' '.repeat(limits['search-bytes']))
  const terms = limits['search-terms']
  assert.strictEqual(await found(letters.slice(0, terms).join(' ')), 1)
  await refused(letters.slice(0, terms + 1).join(' '))
  assert.strictEqual(await found(letters.slice(0, terms - 1).join(' '), '&type=post'), 1)
  await refused(letters.slice(0, terms).join(' '), '&type=post')
  const phrase = limits['search-phrase']
  assert.strictEqual(await found(`"${letters.slice(0, phrase).join(' ')}"`), 1)
  await refused(`"${letters.slice(0, phrase + 1).join(' ')}"`)
})

test('search-word: words that are alike as far as that are the same', async (t) => {
  const log = new Log()
  const long = 'x'.repeat(63)
  for (const word of [long, long + 'y', long + 'yz', long + 'yzz', long + 'z']) log.post(word)
  const { limits, search } = await serve(t, log)
  assert.strictEqual(limits['search-word'], 64)
  const sequences = async (q) => (await search(q, '&order=oldest')).json.messages.map(({ value }) => value.sequence)
  assert.deepStrictEqual(await sequences(long), [1])
  assert.deepStrictEqual(await sequences(long + 'y'), [2, 3, 4])
  assert.deepStrictEqual(await sequences(long + 'yab'), [2, 3, 4])
})

test('search-ranked, search-checked, search-prefix: the newest matches are ranked, and the answer says whether these are all', async (t) => {
  const log = new Log()
  for (let i = 0; i < 5001; i++) log.post(`common word p64${String(i % 64).padStart(2, '0')} p65${String(i % 65).padStart(2, '0')}`)
  const { limits, search, seqs, server } = await serve(t, log)
  const ranked = limits['search-ranked'], checked = limits['search-checked']
  assert.deepStrictEqual([ranked, checked, limits['search-prefix']], [5000, 1000, 64])
  const newest = (n) => '&gte=' + seqs[log.lines.length - n]
  const check = async (q, more, expected, complete) => {
    const { json } = await search(q, more + '&limit=1')
    assert.deepStrictEqual([json.ranked, json.complete], [expected, complete], q + more)
  }
  await check('common', newest(ranked), ranked, true)
  await check('common', newest(ranked + 1), ranked, false)
  await check('"common word"', newest(checked), checked, true)
  await check('"common word"', newest(checked + 1), checked, false)
  await check('common after:2010', newest(checked), checked, true)
  await check('common after:2010', '', checked, false)
  // as many words as that are looked for by their lists, one more in the records
  await check('p64*', newest(ranked), ranked, true)
  await check('p65*', newest(checked), checked, true)
  await check('p65*', newest(checked + 1), checked, false)
  // what is not ranked is still found
  assert.strictEqual((await server.pages('/search?order=oldest&limit=1000&q=common', 'messages')).length, 5001)
})

test('names-found: as many feeds as that, and not one more', async (t) => {
  const log = new Log()
  for (let i = 0; i < FOUND; i++) log.name(i, 'ada')
  for (let i = 0; i <= FOUND; i++) log.name(FOUND + i, 'bob')
  const { limits, server } = await serve(t, log)
  assert.strictEqual(limits['names-found'], FOUND)
  for (const name of ['ada', 'bob']) {
    const rows = await server.pages(`/feeds?limit=400&name=${name}`, 'feeds')
    assert.strictEqual(new Set(rows.map(({ id }) => id)).size, FOUND)
    assert.ok(rows.every((row) => row.name === name))
  }
})

test('names-looked: a name with a mistake is looked for among as many, and not in one more', async (t) => {
  const log = new Log()
  // every name is there from each of its words on
  const crowd = (letter, count) => {
    for (let i = 0, left = count; left > 0; i++, left -= PARTS) log.name(1, Array.from({ length: Math.min(left, PARTS) }, (_, n) => `${letter}a${i}${'abcdefgh'[n]}`).join(' '))
  }
  crowd('y', LOOKED - 1)
  crowd('z', LOOKED)
  log.name(2, 'yyzzy')
  log.name(3, 'zyzzy')
  const { limits, server } = await serve(t, log)
  assert.strictEqual(limits['names-looked'], LOOKED)
  const found = async (name) => (await server.get('/feeds?name=' + name)).feeds.map(({ id }) => id)
  assert.deepStrictEqual(await found('yyzzo'), [feedOf(2)])
  assert.deepStrictEqual(await found('zyzzo'), [])
  assert.deepStrictEqual(await found('zyzz'), [feedOf(3)])
})
