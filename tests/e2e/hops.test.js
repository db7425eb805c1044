'use strict'
// Filters by distance: whom they let through when people begin to follow each other, what is asked wrongly, and the time they may take.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { Author } = require('../support/author')
const { Server, folder, importLines } = require('../support/sluice')
const { frames } = require('../support/offset_log')
const { connect } = require('../support/socket')

const escape = encodeURIComponent
const NDJSON = { Accept: 'application/x-ndjson' }
const follow = (contact) => ({ type: 'contact', contact: contact.id, following: true })

async function people(t) {
  const server = await Server.start(t, ['--data', folder(t)])
  const [ann, ben, cem, dot] = ['ann', 'ben', 'cem', 'dot'].map((name) => new Author('hops ' + name))
  const add = async (author, content) => {
    const res = await server.post('/log', author.write(content).value)
    assert.strictEqual(res.status, 201, res.text)
    return res.json.key
  }
  await add(ann, follow(ben))
  await add(ben, follow(cem))
  await add(ann, { type: 'contact', contact: dot.id, blocking: true })
  await add(cem, follow(dot))
  return { server, ann, ben, cem, dot, add }
}

test('a subscription keeps those who were near when it began; the next one knows better', async (t) => {
  const { server, ann, ben, cem, dot, add } = await people(t)
  const query = `from=${escape(ann.id)}&hops=1&type=post`
  const socket = connect(t, `${server.ws}/live?${query}`)
  const stream = await server.lines(`/log?${query}&live=true`, NDJSON)
  await socket.until((c) => c.synced(), 'sync')
  const first = await add(ben, { type: 'post', text: 'near' })
  await add(cem, { type: 'post', text: 'too far' })
  await add(dot, { type: 'post', text: 'blocked' })
  await add(ann, follow(cem))
  await add(cem, { type: 'post', text: 'near by now, but not then' })
  const last = await add(ann, { type: 'post', text: 'my own' })
  await socket.until((c) => c.records().some(({ key }) => key === last), 'the last one')
  await stream.until((s) => s.lines.some((line) => line.includes(last)), 'the last one')
  assert.deepStrictEqual(socket.records().map(({ key }) => key), [first, last])
  assert.deepStrictEqual(stream.lines.map((line) => JSON.parse(line).key), [first, last])
  stream.close()
  const again = connect(t, `${server.ws}/live?subscribe=false`)
  assert.strictEqual(await again.status, 101)
  again.send({ op: 'sub', id: 'a', from: ann.id, hops: 1, type: 'post' })
  await again.until((c) => c.frames.some((frame) => frame.sync), 'sync')
  assert.deepStrictEqual(again.records('a').map(({ value }) => value.content.text), ['near', 'too far', 'near by now, but not then', 'my own'])
  assert.deepStrictEqual((await server.get('/log?' + query)).messages.map(({ value }) => value.content.text), ['near', 'too far', 'near by now, but not then', 'my own'])
  assert.deepStrictEqual((await server.get(`/threads?from=${escape(ann.id)}&hops=1`)).threads.map(({ root }) => root.value.content.text), ['my own', 'near by now, but not then', 'too far', 'near'])
  assert.deepStrictEqual((await server.get(`/threads?from=${escape(ann.id)}&hops=0`)).threads.map(({ root }) => root.value.content.text), ['my own'])
})

test('a search among those who are near finds nobody else, in every order', async (t) => {
  const { server, ann, ben, cem, dot, add } = await people(t)
  for (const author of [ann, ben, cem, dot, ben]) await add(author, { type: 'post', text: 'rain over the barrel of ' + author.sequence })
  const found = async (query) => (await server.get('/search?q=rain&' + query)).messages.map(({ value }) => value.author)
  for (const order of ['rank', 'newest', 'oldest']) {
    assert.deepStrictEqual((await found('order=' + order)).sort(), [ann, ben, ben, cem, dot].map(({ id }) => id).sort())
    for (const [hops, near] of [[0, [ann]], [1, [ann, ben, ben]], [2, [ann, ben, ben, cem]]]) {
      assert.deepStrictEqual((await found(`order=${order}&from=${escape(ann.id)}&hops=${hops}`)).sort(), near.map(({ id }) => id).sort(), `${order}, ${hops} hops`)
    }
  }
  const live = await server.lines(`/search?q=rain&order=oldest&live=true&from=${escape(ann.id)}&hops=1`, NDJSON)
  await live.until((s) => s.lines.length === 3, 'what is there')
  await add(cem, { type: 'post', text: 'rain from too far' })
  await add(ben, { type: 'post', text: 'rain again' })
  await live.until((s) => s.lines.length > 3, 'what came')
  assert.strictEqual(JSON.parse(live.lines[3]).value.content.text, 'rain again')
  live.close()
})

// The time was taken for thousandths of what it is: ten milliseconds for what only records can tell.
test('a search that has to look into many records may take its time', async (t) => {
  const author = new Author('much to look at')
  const lines = Array.from({ length: 8000 }, (_, i) => JSON.stringify({ ...author.write({ type: 'post', text: 'rain barrel '.repeat(20) + i }), timestamp: 1500000000000 + i }))
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, frames(lines, '32').bytes)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  for (const order of ['newest', 'oldest', 'rank']) {
    assert.deepStrictEqual((await server.get(`/search?order=${order}&q=${escape('"barrel barrel"')}`)).messages, [], order)
  }
})

test('a subscription that begins while the views are built waits for them', async (t) => {
  const [me, friend, stranger] = ['me', 'friend', 'stranger'].map((name) => new Author('cold ' + name))
  const lines = []
  const add = (author, content) => lines.push(JSON.stringify({ ...author.write(content), timestamp: 1500000000000 + lines.length }))
  for (let i = 0; i < 3000; i++) add(i % 2 ? friend : stranger, { type: 'post', text: String(i) })
  add(me, follow(friend))
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, frames(lines, '32').bytes)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  const socket = connect(t, `${server.ws}/live?from=${escape(me.id)}&hops=1&type=post`)
  await socket.until((c) => c.synced(), 'sync')
  assert.deepStrictEqual(socket.records().map(({ value }) => value.content.text), Array.from({ length: 1500 }, (_, i) => String(2 * i + 1)))
})

test('what is asked wrongly is told so, over HTTP and on a socket', async (t) => {
  const { server, ann } = await people(t)
  const from = 'from=' + escape(ann.id)
  for (const route of ['/log', '/links', '/threads']) {
    for (const query of ['hops=1', from, from + '&hops=-1', from + '&hops=101', from + '&hops=x', 'hops=1&from=nobody', 'hops=1&from=' + escape('%' + 'A'.repeat(43) + '=.sha256')]) {
      const res = await server.request(`${route}?${query}`)
      assert.ok(res.status === 400 && ['/problems/bad-parameter', '/problems/bad-id'].includes(res.json.type), `${route} ${query}: ${res.text}`)
    }
    assert.strictEqual((await server.request(`${route}?${from}&hops=100`)).status, 200)
  }
  const socket = connect(t, server.ws + '/live?subscribe=false')
  assert.strictEqual(await socket.status, 101)
  socket.send({ op: 'sub', id: 'a', hops: 1 })
  await socket.until((c) => c.frames.some((frame) => frame.id === 'a' && frame.error), 'an error')
})

// ---- the time of queries that gather

// One feed that many follow, vote for and take part with, and that follows many.
function crowded(t) {
  const star = new Author('star')
  const lines = []
  const add = (author, content) => {
    const { key, value } = author.write(content)
    lines.push(JSON.stringify({ key, value, timestamp: 1500000000000 + lines.length }))
    return key
  }
  const root = add(star, { type: 'post', text: 'root' })
  const fan = new Author('fan')
  for (let i = 0; i < 300; i++) {
    add(fan, { type: 'contact', contact: star.id, following: i % 2 === 0 })
    add(fan, { type: 'vote', vote: { link: root, value: i % 2 } })
    add(fan, { type: 'channel', channel: 'crowd', subscribed: i % 2 === 0 })
    add(fan, { type: 'post', text: 'post ' + i })
  }
  for (let i = 0; i < 100; i++) add(star, { type: 'contact', contact: new Author('follower ' + i).id, following: true })
  const other = new Author('other')
  for (let i = 0; i < 300; i++) add(other, { type: 'post', text: 'newer ' + i })
  return { dir: importLines(t, lines), star, fan, root }
}

test('query-timeout: lists that are gathered from many messages give up in time; small ones are answered', async (t) => {
  const { dir, star, fan, root } = crowded(t)
  const targets = [`/votes/${escape(root)}`, `/contacts/${escape(star.id)}/followedBy`, '/channels/crowd', '/channels/crowd/subscribers', `/graph?from=${escape(star.id)}&hops=2`,
    `/log?from=${escape(star.id)}&hops=2`, `/threads?from=${escape(star.id)}&hops=2`, `/threads?author=${escape(fan.id)}`, `/threads?participating=${escape(star.id)}`,
    `/threads?followed=${escape(star.id)}&type=contact`]
  const patient = await Server.start(t, ['--data', dir])
  for (const target of targets) assert.strictEqual((await patient.request(target)).status, 200, target)
  const all = await patient.pages(`/threads?followed=${escape(star.id)}`, 'threads')
  await patient.stop()
  const server = await Server.start(t, ['--data', dir, '--query-timeout', '0'])
  for (const target of targets.slice(0, -1)) {
    const res = await server.request(target)
    assert.ok(res.status === 503 && res.json.type === '/problems/query-timeout', `${target}: ${res.status} ${res.text.slice(0, 200)}`)
  }
  for (const target of [`/votes/${escape(star.id)}`, `/contacts/${escape(fan.id)}/followedBy`, '/channels/quiet', `/graph?from=${escape(fan.id)}&hops=1`, `/threads?author=${escape(new Author('nobody').id)}`]) {
    assert.strictEqual((await server.request(target)).status, 200, target)
  }
  // a list at /live that is gathered before its first row is given up like any other, and holds up nobody
  const socket = connect(t, server.ws + '/live?subscribe=false')
  assert.strictEqual(await socket.status, 101)
  const lists = targets.slice(0, -1).filter((target) => !/^\/channels\/crowd$|^\/threads\?(author|participating)/.test(target))
  lists.forEach((list, i) => socket.send({ op: 'sub', id: 'l' + i, list }))
  socket.send({ op: 'sub', id: 'small', list: `/graph?from=${escape(fan.id)}&hops=1` })
  await socket.until((c) => lists.every((list, i) => c.frames.some((frame) => frame.id === 'l' + i && frame.error)) && c.synced(), 'answers')
  for (const [i, list] of lists.entries()) assert.deepStrictEqual(socket.frames.filter((frame) => frame.id === 'l' + i).map(({ error }) => [error?.status, error?.type]), [[503, '/problems/query-timeout']], list)
  assert.deepStrictEqual(socket.frames.filter((frame) => frame.id === 'small' && frame.error), [])
  // what is walked says how far it came, and can be gone on with from there to its end
  let query = ''
  const found = []
  let late = 0
  for (let tries = 0; ; tries++) {
    assert.ok(tries < 40, 'no end')
    const res = await server.request(`/threads?followed=${escape(star.id)}${query}`)
    if (res.status === 200) {
      found.push(...res.json.threads)
      if (res.json.next === null) break
      query = '&' + /lt=\d+/.exec(res.json.next)[0]
      continue
    }
    assert.strictEqual(res.json.type, '/problems/query-timeout')
    late++
    query = '&lt=' + /come to seq (\d+)/.exec(res.json.detail)[1]
  }
  assert.ok(late > 0)
  assert.deepStrictEqual(found, all)
})
