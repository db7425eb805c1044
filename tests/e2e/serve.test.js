'use strict'
// The server as its users meet it: start, read, ids as they paste them, pages, errors, the end.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { Server, folder, generate, importLines, run, until, viewNames } = require('../support/sluice')

const lines = generate(600, '--seed', '7', '--authors', '20')
const records = lines.map((line) => JSON.parse(line))

async function served(t, ...args) {
  const dir = importLines(t, lines)
  const server = await Server.start(t, ['--data', dir, ...args])
  return server
}

async function bannerWorks(server) {
  const curls = await until(() => {
    const found = server.stdout.split('\n').filter((line) => line.trim().startsWith('curl '))
    return found.length === 3 && found
  }, () => 'three curl lines in ' + server.stdout)
  for (const line of curls) {
    const done = require('node:child_process').spawnSync('sh', ['-c', line.trim() + ' -s -f'], { encoding: 'utf8' })
    assert.strictEqual(done.status, 0, line + '\n' + done.stderr)
    assert.ok(Object.values(JSON.parse(done.stdout))[0].length > 0, line)
  }
}

test('the banner prints curl lines that work as printed', async (t) => {
  await bannerWorks(await served(t))
})

test('the banner prints curl lines that work as printed with any token file', async (t) => {
  const file = path.join(folder(t), 'tokens'), token = 'a-token-of-the-test-of-banners'
  for (const text of [token, `${token} private\n`, `# of a bot\n\n\t${token}\tread # no more\n`, `  # none\n ${token}-1\n${token}-2\n`]) {
    fs.writeFileSync(file, text, { mode: 0o600 })
    const server = await served(t, '--token-file', file)
    await bannerWorks(server)
    await server.stop()
  }
})

test('the stored bytes reach the client unchanged behind the spliced seq', async (t) => {
  const server = await served(t)
  const { text } = await server.request('/log?limit=1000', { headers: { Accept: 'application/x-ndjson' } })
  const rows = text.trimEnd().split('\n')
  assert.strictEqual(rows.length, lines.length)
  rows.forEach((row, i) => {
    const encrypted = typeof records[i].value.content === 'string'
    const seq = (encrypted ? /^\{"seq":(\d+),"encrypted":"box1",/ : /^\{"seq":(\d+),/).exec(row)
    assert.ok(seq, row.slice(0, 80))
    assert.strictEqual('{' + row.slice(seq[0].length), lines[i])
  })
})

test('pages follow one another and give every record once, in both directions', async (t) => {
  const server = await served(t)
  const all = await server.pages('/log?limit=77', 'messages')
  assert.deepStrictEqual(all.map((r) => r.key), records.map((r) => r.key))
  const back = await server.pages('/log?limit=100&reverse=true', 'messages')
  assert.deepStrictEqual(back.map((r) => r.key), records.map((r) => r.key).reverse())
  const first = await server.request('/log?limit=5')
  assert.strictEqual(first.json.messages.length, 5)
  assert.match(first.headers.link, /rel="next"/)
  assert.ok(first.headers.link.includes(first.json.next))
  assert.strictEqual((await server.get('/log')).messages.length, 50)
})

test('cursors are exclusive and inclusive as they say', async (t) => {
  const server = await served(t)
  const seqs = (await server.pages('/log?limit=1000', 'messages')).map((r) => r.seq)
  const get = async (query) => (await server.get('/log?' + query)).messages.map((r) => r.seq)
  assert.deepStrictEqual(await get(`gt=${seqs[3]}&lt=${seqs[6]}`), seqs.slice(4, 6))
  assert.deepStrictEqual(await get(`gte=${seqs[3]}&lte=${seqs[6]}`), seqs.slice(3, 7))
  assert.deepStrictEqual(await get(`gt=${seqs[3]}&lte=${seqs[6]}&reverse=true`), seqs.slice(4, 7).reverse())
  assert.deepStrictEqual(await get('gt=-1&limit=1'), [0])
  assert.deepStrictEqual(await get(`gt=${seqs.at(-1)}`), [])
})

test('ids are understood as people paste them', async (t) => {
  const server = await served(t)
  // ids with every character that a URL could spoil
  const tricky = records.filter((r) => /\/.*\+|\+.*\//.test(r.key)).slice(0, 5)
  assert.ok(tricky.length > 0)
  for (const { key } of tricky) {
    const b64 = key.slice(1, -7)
    const urlSafe = b64.replace(/\+/g, '-').replace(/\//g, '_')
    for (const form of [key, encodeURIComponent(key), key.replace(/%/, '%25'), '%25' + urlSafe + '.sha256',
      'ssb:message/classic/' + urlSafe, encodeURIComponent('ssb:message/sha256/' + urlSafe)]) {
      const res = await server.request('/messages/' + form)
      assert.strictEqual(res.status, 200, form + ' ' + res.text)
      assert.strictEqual(res.json.key, key)
      const links = await server.request('/links?count=true&dest=' + form)
      assert.strictEqual(links.status, 200, form + ' ' + links.text)
    }
    const raw = await server.request(`/messages/${key}/raw`)
    assert.strictEqual(raw.status, 200)
    const id = '%' + require('node:crypto').createHash('sha256').update(raw.text, 'latin1').digest('base64') + '.sha256'
    assert.strictEqual(id, key)
  }
  const author = records.find((r) => /[/+]/.test(r.value.author)).value.author
  const own = records.filter((r) => r.value.author === author)
  for (const form of [author, encodeURIComponent(author), author.replace(/\+/g, ' ').replace(/ /g, '%20')]) {
    const page = await server.get(`/feeds/${form}?limit=1000`)
    assert.deepStrictEqual(page.messages.map((m) => m.key), own.map((m) => m.key), form)
    const filtered = await server.get(`/log?limit=1000&author=${form}`)
    assert.deepStrictEqual(filtered.messages.map((m) => m.key), own.map((m) => m.key), form)
  }
  const one = await server.get(`/feeds/${author}/${own.at(-1).value.sequence}`)
  assert.strictEqual(one.key, own.at(-1).key)
})

test('filters give what a plain loop gives, alone and together', async (t) => {
  const server = await served(t)
  const check = async (query, keep) => {
    const got = (await server.pages('/log?limit=100&' + query, 'messages')).map((r) => r.key)
    assert.deepStrictEqual(got, records.filter(keep).map((r) => r.key), query)
    assert.ok(got.length > 0, query + ' matches nothing: the test shows nothing')
  }
  const author = records[0].value.author
  const root = records.find((r) => r.value.content.root).value.content.root
  const isPrivate = (r) => typeof r.value.content === 'string'
  await check('type=vote', (r) => r.value.content.type === 'vote')
  await check('private=true', isPrivate)
  await check('private=false', (r) => !isPrivate(r))
  await check('author=' + author, (r) => r.value.author === author)
  await check('root=' + root, (r) => r.value.content.root === root)
  await check(`author=${author}&type=post`, (r) => r.value.author === author && r.value.content.type === 'post')
  await check(`author=${author}&private=false`, (r) => r.value.author === author && !isPrivate(r))
  const dest = records.find((r) => r.value.content.type === 'vote').value.content.vote.link
  await check('dest=' + dest, (r) => !isPrivate(r) && JSON.stringify(r.value.content).includes(`"${dest}"`) &&
    exact(r.value.content, dest))
})

function exact(value, id) {
  if (typeof value === 'string') return value === id
  return value !== null && typeof value === 'object' && Object.values(value).some((v) => exact(v, id))
}

test('answers say how fresh they are, and are not sent twice', async (t) => {
  const server = await served(t)
  for (const target of ['/feeds', '/types', '/links?limit=3', '/log?type=post', '/about/' + records[0].value.author]) {
    const res = await server.request(target)
    assert.strictEqual(res.status, 200, target + res.text)
    assert.ok(Number(res.headers['sluice-since']) >= 0, target)
    assert.strictEqual(res.headers['sluice-since'], res.headers['sluice-log-since'])
    assert.ok(res.headers.etag, target)
    const again = await server.request(target, { headers: { 'If-None-Match': res.headers.etag } })
    assert.strictEqual(again.status, 304, target)
    assert.strictEqual(again.text, '')
  }
  const head = await server.request('/log', { method: 'HEAD' })
  assert.strictEqual(head.status, 200)
  assert.strictEqual(head.headers['sluice-log-durable'], head.headers['sluice-log-since'])
})

test('mistakes are problems that say what and where', async (t) => {
  const server = await served(t)
  const cases = [
    ['/log?limi=3', 400, /limi/], ['/log?limit=0', 400, /limit/], ['/log?limit=x', 400, /limit/], ['/log?limit=1000000', 400, /1000/],
    ['/log?gt=5', 400, /5/], ['/log?gt=1&gte=2', 400, /gt/], ['/log?author=nobody', 400, /author/], ['/log?private=maybe', 400, /private/],
    ['/log?live=true', 400, /live/], ['/log?type=a&type=b', 400, /type/], ['/log/5', 400, /5/], ['/log/99999999999', 404, /./],
    ['/log/abc', 400, /seq/], ['/messages/xyz', 400, /./], ['/messages/%25AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D.sha256', 404, /./],
    ['/nothing/here', 404, /./], ['/feeds/%zz', 400, /./], ['/about/x?by=me', 400, /./], ['/log/', 404, /./], ['/log?after=x', 400, /after/]
  ]
  for (const [target, status, text] of cases) {
    const res = await server.request(target)
    assert.strictEqual(res.status, status, target + ' ' + res.text)
    assert.match(res.headers['content-type'], /^application\/problem\+json/, target)
    assert.strictEqual(res.json.status, status)
    assert.ok(res.json.type && res.json.title, target)
    assert.match(res.json.detail, text, target)
  }
  const method = await server.request('/feeds', { method: 'DELETE' })
  assert.strictEqual(method.status, 405)
  assert.match(method.headers.allow, /GET/)
  const accept = await server.request('/log', { headers: { Accept: 'image/png' } })
  assert.strictEqual(accept.status, 406)
})

test('every view is listed, ready, and can be rebuilt while the log is read', async (t) => {
  const server = await served(t)
  await server.get('/types')
  await until(async () => (await server.request('/readyz')).status === 200, 'readiness')
  const { views, log } = await server.get('/views')
  assert.deepStrictEqual(views.map((v) => v.name).sort(), viewNames())
  assert.strictEqual(log.count, records.length)
  for (const view of views) assert.strictEqual(view.since, log.head)
  const types = await server.request('/types')
  for (const { name } of views) {
    const res = await server.post(`/views/${name}/rebuild`, '')
    assert.strictEqual(res.status, 202, res.text)
  }
  assert.strictEqual((await server.get('/log?limit=3')).messages.length, 3)
  assert.deepStrictEqual((await server.get('/types')).types, types.json.types)
  assert.strictEqual((await server.post('/views/nonsense/rebuild', '')).status, 404)
})

test('many requests on one connection, and HEAD like GET without a body', async (t) => {
  const server = await served(t)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  for (let i = 0; i < 100; i++) {
    const res = await server.request(`/messages/${records[i].key}`, { agent })
    assert.strictEqual(res.json.key, records[i].key)
  }
  const get = await server.request('/types')
  const head = await server.request('/types', { method: 'HEAD' })
  assert.strictEqual(head.text, '')
  assert.strictEqual(head.headers['content-length'], get.headers['content-length'])
})

test('SIGTERM ends it cleanly within five seconds, also with streams and sockets open', async (t) => {
  const server = await served(t)
  const stream = await server.lines('/log?live=true')
  await stream.until((s) => s.lines.length >= records.length, 'all records')
  const WebSocket = require('ws')
  const socket = new WebSocket(server.ws + '/live?old=false')
  const closed = new Promise((resolve) => socket.on('close', (code) => resolve(code)))
  await new Promise((resolve) => socket.on('message', resolve))
  const before = Date.now()
  const { code } = await server.stop()
  assert.strictEqual(code, 0, server.stderr)
  assert.ok(Date.now() - before < 5000)
  assert.strictEqual(await closed, 1001)
  await stream.until((s) => s.ended, 'the end of the stream')
})

test('a second owner of the folder gets a clear error', async (t) => {
  const dir = importLines(t, lines.slice(0, 10))
  const server = await Server.start(t, ['--data', dir])
  const second = run(['serve', '--data', dir, '--listen', '127.0.0.1:0'])
  assert.strictEqual(second.status, 75, second.stderr)
  assert.match(second.stderr, new RegExp(String(server.child.pid)))
  assert.strictEqual(second.stderr.trimEnd().split('\n').length, 1, second.stderr)
})

test('Unix sockets serve the same, for their owner alone', async (t) => {
  const dir = importLines(t, lines.slice(0, 10))
  const door = path.join(folder(t), 'door')
  const server = await Server.start(t, ['--data', dir, '--listen', '127.0.0.1:0', '--listen', 'unix:' + door])
  assert.strictEqual(fs.statSync(door).mode & 0o777, 0o600)
  const res = await server.request('/log?limit=1', { socketPath: door, headers: { Host: 'localhost' } })
  assert.strictEqual(res.status, 200, res.text)
  await server.stop()
  assert.ok(!fs.existsSync(door))
})
