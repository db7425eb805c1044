'use strict'
// Appending signed messages: nothing bad gets in, what is acknowledged stays.
const test = require('node:test')
const assert = require('node:assert')
const http = require('node:http')
const { Author } = require('../support/author')
const { Server, folder, generate, importLines, run, until } = require('../support/sluice')

const lines = generate(300, '--seed', '11', '--authors', '8')
const records = lines.map((line) => JSON.parse(line))
const values = records.map((r) => JSON.stringify(r.value))

async function owned(t, ...args) {
  const dir = folder(t)
  return { dir, server: await Server.start(t, ['--data', dir, ...args]) }
}

// How many records the log holds, by reading it: /views tells how far the views are, and does not wait for them.
const count = async (server) => (await server.pages('/log?limit=1000', 'messages')).length

test('one by one: 201 with seq and key, readable at once in every view', async (t) => {
  const { server } = await owned(t)
  for (let i = 0; i < 40; i++) {
    const res = await server.post('/log', values[i])
    assert.strictEqual(res.status, 201, res.text)
    assert.strictEqual(res.json.key, records[i].key)
    const { key, value } = records[i]
    const message = await server.get('/messages/' + key)
    assert.strictEqual(message.seq, res.json.seq)
    assert.deepStrictEqual(message.value, value)
    const feed = await server.get(`/feeds/${value.author}?reverse=true&limit=1`)
    assert.strictEqual(feed.messages[0].key, key)
  }
  assert.strictEqual(await count(server), 40)
})

test('a batch as NDJSON is all or none', async (t) => {
  const { server } = await owned(t)
  const ndjson = { 'Content-Type': 'application/x-ndjson' }
  const good = await server.post('/log', values.slice(0, 100).join('\n') + '\n', ndjson)
  assert.strictEqual(good.status, 201, good.text)
  assert.strictEqual(good.json.count, 100)
  const spoiled = values.slice(100, 150)
  spoiled[20] = spoiled[20].replace(/"timestamp":\d/, '"timestamp":9')
  const bad = await server.post('/log', spoiled.join('\n'), ndjson)
  assert.strictEqual(bad.status, 422, bad.text)
  assert.strictEqual(bad.json.index, 20)
  assert.match(bad.json.reason, /signature/)
  assert.strictEqual(await count(server), 100)
  const rest = await server.post('/log', values.slice(100).join('\n'), ndjson)
  assert.strictEqual(rest.status, 201, rest.text)
  assert.strictEqual((await server.pages('/log?limit=1000', 'messages')).length, records.length)
})

// Its lines are checked while it is coming.
function postSlowly(server, body, step) {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/x-ndjson', 'Content-Length': body.length }
    const req = http.request(server.url + '/log', { method: 'POST', headers }, (res) => {
      let text = ''
      res.on('data', (part) => { text += part })
      res.on('end', () => resolve({ status: res.statusCode, json: JSON.parse(text) }))
    })
    req.on('error', reject)
    const more = (at) => at < body.length ? req.write(body.subarray(at, at + step), () => more(at + step)) : req.end()
    more(0)
  })
}

test('a batch that comes in pieces is all or none, and the line to blame is named', async (t) => {
  const { server } = await owned(t)
  const body = (lines) => Buffer.from(lines.join('\n\n') + '\n')
  for (const at of [3, 170, 299]) {
    const spoiled = values.slice()
    spoiled[at] = spoiled[at].replace(/"timestamp":\d/, '"timestamp":9')
    const bad = await postSlowly(server, body(spoiled), 5000)
    assert.strictEqual(bad.status, 422)
    assert.strictEqual(bad.json.index, 2 * at)
    assert.match(bad.json.reason, /signature/)
  }
  assert.strictEqual(await count(server), 0)
  const good = await postSlowly(server, body(values), 5000)
  assert.strictEqual(good.status, 201)
  assert.strictEqual(good.json.count, values.length)
  const again = await postSlowly(server, body(values), 50000)
  assert.strictEqual(again.status, 200)
  assert.strictEqual(again.json.duplicates, values.length)
  const all = await server.pages('/log?limit=1000', 'messages')
  assert.deepStrictEqual(all.map((m) => m.key), records.map((r) => r.key))
})

test('the same message twice is answered with its first seq and stored once', async (t) => {
  const { server } = await owned(t)
  const first = await server.post('/log', values[0])
  const second = await server.post('/log', values[0])
  assert.strictEqual(second.status, 200, second.text)
  assert.deepStrictEqual(second.json, first.json)
  assert.strictEqual(await count(server), 1)
})

test('a message that would fork its feed is refused, and both sides are named', async (t) => {
  const { server } = await owned(t)
  const author = new Author('forked')
  const stored = []
  for (let i = 0; i < 5; i++) {
    stored.push(author.write({ type: 'post', text: 'message ' + i }))
    assert.strictEqual((await server.post('/log', stored[i].value)).status, 201)
  }
  const fork = async (message, other) => {
    const res = await server.post('/log', message.value)
    assert.strictEqual(res.status, 409, res.text)
    assert.match(res.json.type, /fork/)
    assert.strictEqual(res.json.stored, other.key)
    assert.strictEqual(res.json.refused, message.key)
    assert.ok(res.json.detail.includes(other.key) && res.json.detail.includes(message.key), res.json.detail)
  }
  // another message of a sequence that is there: the first, one in the middle, the newest
  for (const i of [0, 2, 4]) await fork(author.sign({ type: 'post', text: 'other' }, { previous: i > 0 ? stored[i - 1].key : null, sequence: i + 1 }), stored[i])
  // the next one, on another message than the newest
  await fork(author.sign({ type: 'post', text: 'other' }, { previous: stored[2].key }), stored[4])
  // what is there already is no fork
  for (const message of stored) assert.strictEqual((await server.post('/log', message.value)).status, 200)
  // within one batch it is the first of the two that would be stored
  const next = author.write({ type: 'post', text: 'next' })
  const beside = author.sign({ type: 'post', text: 'beside' }, { previous: stored[4].key, sequence: 6 })
  const batch = await server.post('/log', [next, beside].map((m) => JSON.stringify(m.value)).join('\n'), { 'Content-Type': 'application/x-ndjson' })
  assert.strictEqual(batch.status, 409)
  assert.deepStrictEqual([batch.json.index, batch.json.stored, batch.json.refused], [1, next.key, beside.key])
  assert.strictEqual(await count(server), 5)
})

test('If-Match: an append is made only where its writer believes the feed to be', async (t) => {
  const { server } = await owned(t)
  const author = new Author('believer')
  const other = new Author('somebody else')
  const post = (message, headers) => server.post('/log', message.value, headers)
  const match = (...keys) => ({ 'If-Match': keys.map((key) => `"${key}"`).join(', ') })
  const stale = async (sent, head) => {
    const res = await sent
    assert.strictEqual(res.status, 412, res.text)
    assert.match(res.json.type, /stale-head/)
    assert.strictEqual(res.json.head, head)
  }
  const first = author.write({ type: 'post', text: 'first' })
  // nobody has written yet
  await stale(post(first, match(first.key)), null)
  await stale(post(first, { 'If-Match': '*' }), null)
  assert.strictEqual((await post(first, { 'If-None-Match': '*' })).status, 201)
  const second = author.write({ type: 'post', text: 'second' })
  await stale(post(second, { 'If-None-Match': '*' }), first.key)
  await stale(post(second, match(second.key)), first.key)
  assert.strictEqual((await post(second, match(first.key))).status, 201)
  // the answer was lost and the same is sent again: it was done, and is not done twice
  const again = await post(second, match(first.key))
  assert.strictEqual(again.status, 200, again.text)
  assert.strictEqual(again.json.key, second.key)
  // a message that is out of date in another way is told so first
  await stale(post(author.sign({ type: 'post', text: 'beside' }, { previous: first.key, sequence: 2 }), match(first.key)), second.key)
  // a head in any spelling, one of several
  const third = author.write({ type: 'post', text: 'third' })
  assert.strictEqual((await post(third, match(first.key, encodeURIComponent(second.key)))).status, 201)
  const fourth = author.write({ type: 'post', text: 'fourth' })
  assert.strictEqual((await post(fourth, { 'If-Match': '*' })).status, 201)
  // a batch: each feed as it was before it, all or none
  const mine = [author.write({ type: 'post', text: 'a' }), author.write({ type: 'post', text: 'b' })]
  const theirs = other.write({ type: 'post', text: 'c' })
  const batch = (messages, headers) => server.post('/log', messages.map((m) => JSON.stringify(m.value)).join('\n'), { 'Content-Type': 'application/x-ndjson', ...headers })
  const refused = await batch([mine[0], theirs, mine[1]], match(fourth.key))
  assert.deepStrictEqual([refused.status, refused.json.index, refused.json.head], [412, 1, null])
  assert.strictEqual(await count(server), 4)
  assert.strictEqual((await batch(mine, match(fourth.key))).status, 201)
  assert.strictEqual(await count(server), 6)
  for (const headers of [{ 'If-Match': mine[1].key }, { 'If-Match': '' }, { 'If-Match': '"x"' }, { 'If-Match': `W/"${mine[1].key}"` }, { 'If-Match': `"${author.id}"` }, { 'If-None-Match': '"x"' },
    { ...match(mine[1].key), 'If-None-Match': '*' }, { 'If-Match': Array(65).fill(`"${mine[1].key}"`).join(',') }]) {
    assert.strictEqual((await post(theirs, headers)).status, 400, JSON.stringify(headers))
  }
  assert.strictEqual(await count(server), 6)
})

test('If-Match: of many writers that believe the same, one is right', async (t) => {
  const { server } = await owned(t, '--accept', 'any')
  const post = (value, seq) => server.post('/log', JSON.stringify(value), { 'If-Match': `"${seq}"` })
  let head = -1
  for (let round = 0; round < 8; round++) {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => post({ round, i }, head)))
    const taken = answers.filter((res) => res.status === 201)
    assert.strictEqual(taken.length, 1, answers.map((res) => res.status).join(' '))
    for (const res of answers) if (res !== taken[0]) assert.strictEqual(res.status, 412, res.text)
    head = taken[0].json.seq
  }
  assert.strictEqual(await count(server), 8)
  assert.strictEqual((await server.post('/log', '1', { 'If-None-Match': '*' })).status, 412)
  assert.strictEqual((await server.post('/log', '1', { 'If-Match': '*' })).status, 201)
  assert.strictEqual((await server.post('/log', '1', { 'If-Match': '"x"' })).status, 400)
  const fresh = await owned(t, '--accept', 'any')
  assert.strictEqual((await fresh.server.post('/log', '1', { 'If-Match': '*' })).status, 412)
  assert.strictEqual((await fresh.server.post('/log', '1', { 'If-None-Match': '*' })).status, 201)
})

test('what breaks a rule is refused with the reason and nothing is stored', async (t) => {
  const { server } = await owned(t)
  const author = records[0].value.author
  const feed = records.filter((r) => r.value.author === author)
  const post = (value) => server.post('/log', value)
  assert.strictEqual((await post(feed[0].value)).status, 201)
  assert.strictEqual((await post(feed[1].value)).status, 201)
  const broken = [
    [{ ...feed[2].value, content: { type: 'post', text: 'other' } }, 422],
    [{ ...feed[2].value, sequence: 7 }, 422],
    [{ ...feed[2].value, hash: 'md5' }, 422],
    [feed[4].value, 422], // a gap
    [{ hello: 'world' }, 422],
    [{ key: records[9].key, value: feed[2].value, timestamp: 1 }, 422],
    ['{"previous": nul', 400],
    ['[]', 422]
  ]
  for (const [value, status] of broken) {
    const res = await post(value)
    assert.strictEqual(res.status, status, JSON.stringify(value).slice(0, 100) + res.text)
    assert.match(res.headers['content-type'], /problem\+json/)
  }
  const wrongType = await server.post('/log', values[0], { 'Content-Type': 'image/png' })
  assert.strictEqual(wrongType.status, 415)
  assert.strictEqual(await count(server), 2)
})

test('a body over the limit is 413, one at the limit is not', async (t) => {
  const { server } = await owned(t, '--body-max', '20000', '--accept', 'any')
  const text = (n) => JSON.stringify('x'.repeat(n - 2))
  assert.strictEqual((await server.post('/log', text(20000))).status, 201)
  assert.strictEqual((await server.post('/log', text(20001))).status, 413)
})

test('many writers at once share the disk, and each reads what it wrote', async (t) => {
  const { server } = await owned(t)
  const byAuthor = new Map()
  for (const r of records) byAuthor.set(r.value.author, [...(byAuthor.get(r.value.author) || []), r])
  await Promise.all([...byAuthor.values()].map(async (feed) => {
    for (const { key, value } of feed) {
      const res = await server.post('/log', value)
      assert.strictEqual(res.status, 201, res.text)
      assert.strictEqual((await server.get('/messages/' + key)).seq, res.json.seq)
    }
  }))
  for (const [author, feed] of byAuthor) {
    const page = await server.get(`/feeds/${author}?limit=1000`)
    assert.deepStrictEqual(page.messages.map((m) => m.key), feed.map((m) => m.key))
  }
})

test('of many that are answered in the same moment each gets its own answer', async (t) => {
  const { server } = await owned(t, '--accept', 'any')
  const agent = new http.Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  for (let round = 0; round < 4; round++) {
    await Promise.all(Array.from({ length: 80 }, async (_, i) => {
      const value = { round, i, text: 'x'.repeat(i) }
      const res = await server.request('/log', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value), agent })
      assert.strictEqual(res.status, 201, res.text)
      assert.strictEqual(res.headers.location, '/log/' + res.json.seq)
      assert.deepStrictEqual((await server.get(res.headers.location)).value, value)
    }))
  }
})

test('relaxed appends are answered with 202 and appear by themselves', async (t) => {
  const { server } = await owned(t)
  const res = await server.post('/log', values[0], { Prefer: 'durability=relaxed' })
  assert.strictEqual(res.status, 202, res.text)
  const got = await server.get(`/messages/${records[0].key}?after=${res.json.seq}`)
  assert.strictEqual(got.key, records[0].key)
})

test('what was acknowledged is there after kill -9', async (t) => {
  const { server } = await owned(t)
  const acknowledged = []
  let stopped = false
  const writer = (async () => {
    for (const { key, value } of records) {
      try {
        const res = await server.post('/log', value)
        if (res.status === 201) acknowledged.push(key)
      } catch { break }
      if (stopped) break
    }
  })()
  while (acknowledged.length < 50) await new Promise((resolve) => setTimeout(resolve, 2))
  await server.stop('SIGKILL')
  stopped = true
  await writer
  await server.launch()
  for (const key of acknowledged) assert.strictEqual((await server.get('/messages/' + key)).key, key)
  const all = await server.pages('/log?limit=1000', 'messages')
  assert.deepStrictEqual(all.map((m) => m.key), records.slice(0, all.length).map((m) => m.key))
  await until(async () => {
    const { views, log } = await server.get('/views')
    return views.every((view) => view.since === log.head)
  }, 'all views at the head')
  const next = await server.post('/log', records[all.length].value)
  assert.strictEqual(next.status, 201, next.text)
})

test('a followed log takes no appends', async (t) => {
  const dir = importLines(t, lines.slice(0, 5))
  const server = await Server.start(t, ['--follow', dir + '/log.offset', '--views', folder(t)])
  const res = await server.post('/log', values[5])
  assert.strictEqual(res.status, 503, res.text)
  assert.match(res.json.type, /read-only/)
})

test('accept any: JSON of any kind, byte for byte, and filters still work', async (t) => {
  const { server } = await owned(t, '--accept', 'any')
  const any = ['{"key":"%msg0","value":{"content":{"type":"post"}},"timestamp":1}', '{"a":1}', '[1,2,3]', '"text"', '12.50', 'null', '{ "spaced" : true }']
  for (const text of any) {
    const res = await server.post('/log', text)
    assert.strictEqual(res.status, 201, text + res.text)
  }
  assert.strictEqual((await server.post('/log', '{bad}')).status, 400)
  const { text } = await server.request('/log', { headers: { Accept: 'application/x-ndjson' } })
  const rows = text.trimEnd().split('\n')
  assert.strictEqual(rows.length, any.length)
  assert.strictEqual(rows[0], '{"seq":0,' + any[0].slice(1))
  rows.slice(1).forEach((row, i) => assert.ok(row.endsWith(`,"value":${any[i + 1]}}`), row))
  const posts = await server.get('/log?type=post')
  assert.deepStrictEqual(posts.messages.map((m) => m.seq), [0])
})

test('import stops at a bad line, names it, and keeps what came before', async (t) => {
  const dir = folder(t)
  const input = [...lines.slice(0, 30), lines[30].replace('"sequence":', '"sequence":1'), ...lines.slice(31)].join('\n')
  const done = run(['import', '--data', dir, '-'], { input })
  assert.strictEqual(done.status, 65, done.stderr)
  assert.match(done.stderr, /31/)
  const cat = run(['cat', '--data', dir])
  assert.strictEqual(cat.stdout.trimEnd().split('\n').length, 30)
  const again = run(['import', '--data', dir, '-'], { input: lines.join('\n') })
  assert.strictEqual(again.status, 0, again.stderr)
  assert.match(again.stdout + again.stderr, /30 already/)
  assert.strictEqual(run(['cat', '--data', dir]).stdout.trimEnd().split('\n').length, lines.length)
})
