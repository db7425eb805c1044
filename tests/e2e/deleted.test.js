'use strict'
// Records that their owner overwrites with zeros, as flumelog-offset deletes, after the views have read them.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { Server, folder, generate, until } = require('../support/sluice')
const { frames } = require('../support/offset_log')

const lines = generate(700, '--seed', '29', '--authors', '8')
const records = lines.map((line) => JSON.parse(line))
const deleted = (record, i) => i % 5 === 2 || (i % 3 === 0 && ['about', 'contact', 'vote'].includes(record.value.content.type))
const enc = encodeURIComponent

async function follow(t, file, since) {
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  await ready(server, since)
  return server
}

const ready = (server, since) => until(async () => (await server.get('/views')).views.every((view) => view.ready && view.since === since), 'the views')

// Answers that are made of records: they are right at once.
function shown() {
  const authors = [...new Set(records.map((r) => r.value.author))]
  const messages = records.filter((r, i) => i % 64 < 3).map((r) => r.key)
  return [
    '/log?limit=1000', '/log?limit=1000&reverse=true', '/log?type=post&limit=1000', '/log?private=true', '/log?q=the', '/links?limit=1000', '/search?q=the&order=newest',
    ...authors.flatMap((id) => [`/feeds/${enc(id)}?limit=1000`, `/feeds/${enc(id)}/3`, `/log?contact=${enc(id)}`, `/contacts/${enc(id)}/followedBy`, `/contacts/${enc(id)}/blockedBy`]),
    ...messages.flatMap((id) => [`/messages/${enc(id)}`, `/messages/${enc(id)}/links`, `/messages/${enc(id)}/thread`, `/votes/${enc(id)}`]),
  ]
}

// Answers that hold what was counted, or decided by the newest of several records.
function derived() {
  const authors = [...new Set(records.map((r) => r.value.author))].map(enc)
  return [
    '/feeds', '/types', '/channels', '/threads?limit=1000', '/links?count=true', '/search?q=the', '/feeds?name=a',
    ...authors.flatMap((id) => [`/about/${id}`, `/about/${id}?by=all`, `/contacts/${id}`, `/contacts/${id}?count=true`, `/graph?from=${id}&hops=2`, `/links?dest=${id}&count=true`]),
  ]
}

async function differences(one, other, targets) {
  const found = []
  for (const target of targets) {
    const [a, b] = [await one.request(target), await other.request(target)]
    if (a.status !== b.status || a.text !== b.text) found.push(target)
  }
  return found
}

test('what is deleted is shown by nothing from then on, and a rebuild forgets what was counted and decided with it', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const { bytes, seqs } = frames(lines, 48)
  fs.writeFileSync(file, bytes)
  const server = await follow(t, file, seqs.at(-1))
  for (const target of [...shown(), ...derived()]) await server.request(target)

  const gone = records.filter(deleted)
  records.forEach((record, i) => {
    if (deleted(record, i)) bytes.fill(0, seqs[i] + 4, seqs[i] + 4 + Buffer.byteLength(lines[i]))
  })
  const fd = fs.openSync(file, 'r+')
  fs.writeSync(fd, bytes, 0, bytes.length, 0)
  fs.closeSync(fd)

  const anew = await follow(t, file, seqs.at(-1))
  assert.deepStrictEqual(await differences(server, anew, shown()), [])
  for (const target of derived()) {
    const { status, text } = await server.request(target)
    assert.strictEqual(status, 200, `${target}: ${text}`)
    const of = gone.find((record) => text.includes(record.value.signature))
    assert.ok(of === undefined, `${target} shows ${of?.key}`)
  }
  assert.strictEqual((await server.request('/log/' + seqs[records.indexOf(gone[0])])).status, 410)

  assert.strictEqual((await server.post('/views/all/rebuild', '')).status, 202)
  await until(async () => (await server.get('/views')).views.every((view) => view.why === 'asked'), 'the rebuild')
  await ready(server, seqs.at(-1))
  assert.deepStrictEqual(await differences(server, anew, [...shown(), ...derived()]), [])
})
