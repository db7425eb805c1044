'use strict'
// A log that another process writes: read as it is, never touched, followed as it grows, half-written, replaced or cut.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { isDeepStrictEqual } = require('node:util')
const { BIN, Server, folder, generate, importLines, run, until } = require('../support/sluice')
const { frame, frames, state, written, Writer } = require('../support/offset_log')
const { connect } = require('../support/socket')

const lines = generate(300, '--seed', '23', '--authors', '12')
const records = lines.map((line) => JSON.parse(line))
const keys = records.map((r) => r.key)
const other = generate(120, '--seed', '24', '--authors', '5')
const NOBODY = 65534

const NDJSON = { Accept: 'application/x-ndjson' }

async function rows(server, target = '/log') {
  const res = await server.request(target, { headers: NDJSON })
  assert.strictEqual(res.status, 200, res.text)
  return res.text.split('\n').filter(Boolean)
}

// As rows, but undefined while the server opens the log anew: then it may say so.
async function rowsIfOpen(server) {
  const res = await server.request('/log', { headers: NDJSON })
  assert.ok(res.status === 200 || res.status === 503, res.text)
  return res.status === 200 ? res.text.split('\n').filter(Boolean) : undefined
}

// Exactly these records, byte for byte behind their seq.
async function shows(server, expected) {
  const got = await rows(server)
  assert.strictEqual(got.length, expected.length)
  got.forEach((row, i) => assert.strictEqual(row.replace(/^\{"seq":\d+,(?:"encrypted":"box1",)?/, '{'), expected[i]))
}

function typesOf(list) {
  const counts = {}
  for (const line of list) {
    const { type } = JSON.parse(line).value.content
    if (type !== undefined) counts[type] = (counts[type] || 0) + 1
  }
  return counts
}

async function viewsShow(server, expected) {
  const { types } = await server.get('/types?limit=1000')
  assert.deepStrictEqual(Object.fromEntries(types.map(({ type, count }) => [type, count])), typesOf(expected))
}

// As viewsShow, but undefined while the server opens the log anew.
async function typesIfOpen(server) {
  const res = await server.request('/types?limit=1000')
  assert.ok(res.status === 200 || res.status === 503, res.text)
  return res.status === 200 ? Object.fromEntries(res.json.types.map(({ type, count }) => [type, count])) : undefined
}

const follow = (t, file, options = {}) => Server.start(t, ['--follow', file, '--views', options.views || folder(t), ...(options.args || [])], options)

const sources = {
  'flumelog-offset, 32 bit': (t, file) => written(t, file, 32, lines),
  'flumelog-offset, 48 bit': (t, file) => written(t, file, 48, lines),
  'flumelog-offset, 53 bit': (t, file) => written(t, file, 53, lines),
  'flumelog-offset of old, v2': (t, file) => fs.writeFileSync(file, frames(lines, 'v2').bytes),
  'sluice import': (t, file) => fs.copyFileSync(path.join(importLines(t, lines), 'log.offset'), file)
}

for (const [name, make] of Object.entries(sources)) {
  test(`a log of ${name} is served and not touched`, async (t) => {
    const file = path.join(folder(t), 'log.offset')
    await make(t, file)
    fs.chmodSync(file, 0o640)
    const views = folder(t)
    const before = state(file)
    const server = await follow(t, file, { views })
    await shows(server, lines)
    await viewsShow(server, lines)
    assert.strictEqual((await server.get('/messages/' + keys[7])).key, keys[7])
    await opensToReadOnly(server.child.pid, file)
    assert.deepStrictEqual(state(file), before)
    const { code } = await server.stop()
    assert.strictEqual(code, 0, server.stderr)
    assert.deepStrictEqual(state(file), before)
    assert.ok(fs.readdirSync(views).length > 0)
  })
}

// Every descriptor on the file is read-only, and nobody holds a lock on it.
async function opensToReadOnly(pid, file) {
  const { ino } = fs.statSync(file)
  let open = 0
  for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
    let target
    try { target = fs.readlinkSync(`/proc/${pid}/fd/${fd}`) } catch { continue }
    if (target !== fs.realpathSync(file)) continue
    open++
    const flags = parseInt(/flags:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))[1], 8)
    assert.strictEqual(flags & 3, fs.constants.O_RDONLY)
  }
  assert.ok(open > 0, 'the server must have the file open')
  assert.ok(!fs.readFileSync('/proc/locks', 'utf8').split('\n').some((line) => line.includes(`:${ino} `)), 'nobody may lock it')
}

test('without --views they live under XDG_DATA_HOME, each log its own', async (t) => {
  const home = folder(t)
  const found = new Set()
  for (const name of ['one', 'two']) {
    const dir = path.join(folder(t), name)
    fs.mkdirSync(dir)
    const file = path.join(dir, 'log.offset')
    fs.writeFileSync(file, frames(name === 'one' ? lines : other, 32).bytes)
    const before = state(file)
    for (let time = 0; time < 2; time++) {
      const server = await Server.start(t, ['--follow', file], { env: { XDG_DATA_HOME: home } })
      await viewsShow(server, name === 'one' ? lines : other)
      await server.stop()
    }
    assert.deepStrictEqual(state(file), before)
    const dirs = fs.readdirSync(path.join(home, 'sluice'))
    assert.strictEqual(dirs.length, found.size + 1, dirs.join(' '))
    dirs.forEach((dir) => found.add(dir))
  }
  assert.deepStrictEqual(fs.readdirSync(home), ['sluice'])
})

test('without XDG_DATA_HOME they live under ~/.local/share', async (t) => {
  const home = folder(t)
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, frames(other, 32).bytes)
  const server = await Server.start(t, ['--follow', file], { env: { XDG_DATA_HOME: '', HOME: home } })
  await viewsShow(server, other)
  assert.strictEqual(fs.readdirSync(path.join(home, '.local/share/sluice')).length, 1)
})

test('read permission is enough: a file of 0444 in a folder of 0555, for somebody who owns neither', async (t) => {
  const dir = folder(t)
  const file = path.join(dir, 'log.offset')
  fs.writeFileSync(file, frames(lines, 32).bytes)
  fs.chmodSync(file, 0o444)
  fs.chmodSync(dir, 0o555)
  const views = folder(t)
  const before = state(file)
  const options = { views }
  if (process.getuid() === 0) {
    // the program itself may stand where only root can go
    options.bin = path.join(folder(t), 'sluice')
    fs.copyFileSync(BIN, options.bin)
    fs.chmodSync(path.dirname(options.bin), 0o755)
    fs.chmodSync(options.bin, 0o755)
    fs.chownSync(views, NOBODY, NOBODY)
    options.uid = NOBODY
  }
  const server = await follow(t, file, options)
  if (process.getuid() === 0) assert.strictEqual(fs.statSync(`/proc/${server.child.pid}`).uid, NOBODY)
  await shows(server, lines)
  await viewsShow(server, lines)
  const { code } = await server.stop()
  assert.strictEqual(code, 0, server.stderr)
  const after = state(file)
  fs.chmodSync(dir, 0o755) // so that it can be removed
  assert.deepStrictEqual(after, before)
})

// Places at which the frame of a record can be caught half-written.
function cuts(text, codec) {
  const data = Buffer.byteLength(text), whole = frame(text, codec, 0).length
  return [1, 3, 4, 5, 4 + (data >> 1), 3 + data, 4 + data, 6 + data, 8 + data, whole - 1].filter((at, i, all) => at < whole && all.indexOf(at) === i)
}

for (const codec of ['v2', '32', '48', '53']) {
  test(`a half-written record is not there until it is whole (${codec})`, async (t) => {
    const file = path.join(folder(t), 'log.offset')
    const start = 20
    const first = frames(lines.slice(0, start), codec)
    fs.writeFileSync(file, first.bytes)
    const server = await follow(t, file, { args: ['--codec', codec] })
    const stream = await server.lines('/log?live=true')
    const socket = connect(t, server.ws + '/live')
    const places = cuts(lines[start], codec).length
    let count = start, at = first.bytes.length
    for (let i = 0; i < places; i++, count++) {
      const text = lines[count]
      const whole = frame(text, codec, at)
      const cut = cuts(text, codec)[i]
      fs.appendFileSync(file, whole.subarray(0, cut))
      assert.strictEqual((await rows(server)).length, count, `cut at ${cut} of ${whole.length}`)
      assert.deepStrictEqual(await rows(server, '/log?gt=' + JSON.parse((await rows(server)).at(-1)).seq), [])
      assert.strictEqual((await server.request('/log/' + at)).status, 404, `cut at ${cut}: the seq of the half record`)
      assert.strictEqual((await server.request('/messages/' + keys[count])).status, 404, `cut at ${cut}`)
      fs.appendFileSync(file, whole.subarray(cut))
      assert.strictEqual((await rows(server)).length, count + 1, `whole after the cut at ${cut}`)
      assert.strictEqual((await server.get('/messages/' + keys[count])).seq, at)
      at += whole.length
    }
    await stream.until((s) => s.lines.length >= count, 'all records on the stream')
    await socket.until((c) => c.records().length >= count, 'all records on the socket')
    assert.deepStrictEqual(stream.lines.map((line) => JSON.parse(line).key), keys.slice(0, count))
    assert.deepStrictEqual(socket.records().map((r) => r.key), keys.slice(0, count))
    await viewsShow(server, lines.slice(0, count))
    stream.close()
  })

  test(`a file that ends in half a record when the server starts is read up to it, and on from there (${codec})`, async (t) => {
    const { bytes, seqs } = frames(lines.slice(0, 10), codec)
    for (const half of [bytes.length - 1, seqs[9] + 1, seqs[9] + 6]) {
      const file = path.join(folder(t), 'log.offset')
      fs.writeFileSync(file, bytes.subarray(0, half))
      const server = await follow(t, file)
      await shows(server, lines.slice(0, 9))
      assert.strictEqual(fs.statSync(file).size, half)
      fs.appendFileSync(file, bytes.subarray(half))
      await shows(server, lines.slice(0, 10))
      await viewsShow(server, lines.slice(0, 10))
      await server.stop()
    }
  })
}

test('room that was made before the bytes came shows nothing', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const { bytes } = frames(lines.slice(0, 30), '32')
  fs.writeFileSync(file, bytes)
  const server = await follow(t, file)
  const next = frame(lines[30], '32', bytes.length)
  fs.truncateSync(file, bytes.length + next.length)
  await shows(server, lines.slice(0, 30))
  const fd = fs.openSync(file, 'r+')
  t.after(() => fs.closeSync(fd))
  // the beginning, all but the last field, then all of it
  fs.writeSync(fd, next, 0, 40, bytes.length)
  await shows(server, lines.slice(0, 30))
  fs.writeSync(fd, next, 0, next.length - 4, bytes.length)
  await shows(server, lines.slice(0, 30))
  fs.writeSync(fd, next, 0, next.length, bytes.length)
  await until(async () => (await rows(server)).length === 31, 'the record that is whole now')
  await shows(server, lines.slice(0, 31))
})

test('what is appended is seen by log, views and sockets within a second, as a rule', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  await written(t, file, 32, lines.slice(0, 100))
  const server = await follow(t, file)
  const writer = new Writer(t, file, 32)
  const socket = connect(t, server.ws + '/live?old=false')
  await socket.until((c) => c.synced(), 'sync')
  const took = { log: [], views: [], live: [] }
  for (let i = 100; i < 120; i++) {
    await writer.append([lines[i]])
    const begin = Date.now()
    const since = (what) => took[what].push(Date.now() - begin)
    await Promise.all([
      until(async () => (await rows(server, '/log?reverse=true&limit=1'))[0].includes(keys[i]), 'the log').then(() => since('log')),
      until(async () => (await server.request('/messages/' + keys[i])).status === 200, 'the view').then(() => since('views')),
      socket.until((c) => c.records().length > i - 100, 'the frame').then(() => since('live'))
    ])
  }
  for (const [what, times] of Object.entries(took)) {
    // the slower half is left to a machine that is busy with something else
    times.sort((a, b) => a - b)
    assert.ok(times[9] < 1000, `${what}: ${times} ms`)
  }
  assert.deepStrictEqual(socket.records().map((r) => r.key), keys.slice(100, 120))
})

test('an empty file is an empty log that may grow', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, '')
  const server = await follow(t, file)
  const empty = await server.request('/log')
  assert.deepStrictEqual(empty.json, { messages: [], since: -1, next: null })
  await viewsShow(server, [])
  await written(t, file, 48, lines.slice(0, 50))
  await shows(server, lines.slice(0, 50))
  await viewsShow(server, lines.slice(0, 50))
})

test('records that their owner deletes are gone', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  await written(t, file, 32, lines.slice(0, 60))
  const server = await follow(t, file)
  const { seqs } = frames(lines.slice(0, 60), '32')
  assert.strictEqual((await server.get('/messages/' + keys[33])).seq, seqs[33])
  const writer = new Writer(t, file, 32)
  await writer.delete(seqs[33])
  await shows(server, lines.slice(0, 60).filter((line, i) => i !== 33))
  assert.strictEqual((await server.request('/log/' + seqs[33])).status, 410)
  const message = await server.request('/messages/' + keys[33])
  assert.ok(message.status === 404 || message.status === 410, message.text)
  const { author, sequence } = records[33].value
  assert.notStrictEqual((await server.request(`/feeds/${author}/${sequence}`)).status, 200)
  assert.ok((await server.get(`/feeds/${author}?limit=1000`)).messages.every((m) => m.key !== keys[33]))
  assert.ok((await server.get(`/log?limit=1000&author=${author}`)).messages.every((m) => m.key !== keys[33]))
})

test('a log that is not there is a clear error, and none is made', async (t) => {
  const dir = folder(t)
  for (const file of [path.join(dir, 'log.offset'), path.join(dir, 'no/such/folder/log.offset')]) {
    const done = run(['serve', '--follow', file, '--views', path.join(dir, 'views'), '--listen', '127.0.0.1:0'], { timeout: 20000 })
    assert.strictEqual(done.status, 66, done.stderr)
    assert.ok(done.stderr.includes(file), done.stderr)
    assert.strictEqual(done.stderr.trimEnd().split('\n').length, 1, done.stderr)
    assert.strictEqual(done.stdout, '')
    assert.ok(!fs.existsSync(file))
  }
})

test('a folder and a file of something else are clear errors', (t) => {
  const dir = folder(t)
  const file = path.join(dir, 'notes.txt')
  fs.writeFileSync(file, 'Dear diary,\n'.repeat(100))
  for (const [what, statuses] of [[dir, [65, 66, 74]], [file, [65]]]) {
    const done = run(['serve', '--follow', what, '--views', path.join(dir, 'views'), '--listen', '127.0.0.1:0'], { timeout: 20000 })
    assert.ok(statuses.includes(done.status), `${done.status} ${done.stderr}`)
    assert.ok(done.stderr.includes(what), done.stderr)
  }
  assert.strictEqual(fs.readFileSync(file, 'utf8'), 'Dear diary,\n'.repeat(100))
})

test('a server that comes back catches up without building its views anew', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  await written(t, file, 32, lines.slice(0, 150))
  const server = await follow(t, file)
  await viewsShow(server, lines.slice(0, 150))
  await server.stop()
  await written(t, file, 32, lines.slice(150, 250))
  await server.launch()
  await shows(server, lines.slice(0, 250))
  await viewsShow(server, lines.slice(0, 250))
  await written(t, file, 32, lines.slice(250))
  await shows(server, lines)
  await viewsShow(server, lines)
  const metrics = (await server.request('/metrics')).text
  const rebuilds = /^sluice_\w*rebuilds\w*(?:\{[^}]*\})? (\d+)$/m.exec(metrics)
  assert.ok(rebuilds, 'there must be a count of rebuilds:\n' + metrics)
  assert.strictEqual(rebuilds[1], '0')
})

test('a file that is put in place of the followed one by rename is followed from then on', async (t) => {
  const dir = folder(t)
  const file = path.join(dir, 'log.offset')
  fs.writeFileSync(file, frames(lines, '32').bytes)
  const server = await follow(t, file)
  await viewsShow(server, lines)
  const stream = await server.lines('/log?live=true')
  const socket = connect(t, server.ws + '/live')
  await stream.until((s) => s.lines.length >= lines.length, 'the old records')
  await socket.until((c) => c.synced(), 'sync')
  const next = path.join(dir, 'next')
  fs.writeFileSync(next, frames(other, '53').bytes)
  fs.renameSync(next, file)
  await until(async () => (await rowsIfOpen(server))?.[0]?.includes(JSON.parse(other[0]).key), 'the records of the new log')
  await shows(server, other)
  await viewsShow(server, other)
  assert.strictEqual((await server.request('/messages/' + keys[3])).status, 404)
  // who read the old log is told, and gets nothing of the new one as if it were the old one's
  await stream.until((s) => s.ended, 'the end of the stream over the old log')
  await socket.until((c) => c.closed !== null || c.frames.some((f) => f.error || f.closed), 'the end of the subscription')
  assert.deepStrictEqual(socket.records().map((r) => r.key), keys)
  // and what grows now is the new one
  const more = generate(140, '--seed', '24', '--authors', '5').slice(120)
  await written(t, file, 53, more)
  await shows(server, [...other, ...more])
  await viewsShow(server, [...other, ...more])
})

test('a file that is cut is noticed: log and views hold what is left, and follow what comes next', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const { bytes, seqs } = frames(lines, '32')
  fs.writeFileSync(file, bytes)
  const server = await follow(t, file)
  await viewsShow(server, lines)
  for (const [size, left] of [[seqs[200], 200], [seqs[120] + 17, 120], [0, 0]]) {
    fs.truncateSync(file, size)
    await until(async () => (await rowsIfOpen(server))?.length === left, () => `the ${left} records that are left`)
    await shows(server, lines.slice(0, left))
    await until(async () => (await server.get('/views')).views.every((view) => view.ready), 'views that fit')
    await viewsShow(server, lines.slice(0, left))
    if (left > 0) assert.strictEqual((await server.request('/messages/' + keys[left])).status, 404)
  }
  fs.writeFileSync(file, frames(other, '48').bytes)
  await until(async () => (await rowsIfOpen(server))?.length === other.length, 'another log in the same file')
  await shows(server, other)
  await viewsShow(server, other)
  assert.strictEqual((await server.stop()).code, 0, server.stderr)
})

test('a cut and regrown file is noticed after a restart too', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, frames(lines, '32').bytes)
  const server = await follow(t, file)
  await viewsShow(server, lines)
  await server.stop()
  // the same beginning, another end, and no shorter than before
  const fork = [...lines.slice(0, 100), ...lines.slice(101), ...other]
  fs.writeFileSync(file, frames(fork, '32').bytes)
  await server.launch()
  await shows(server, fork)
  await viewsShow(server, fork)
  assert.strictEqual((await server.request('/messages/' + keys[100])).status, 404)
})

test('readers do not fall over a file that is cut and grown under them', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const { bytes, seqs } = frames(lines, '32')
  fs.writeFileSync(file, bytes)
  const server = await follow(t, file)
  await viewsShow(server, lines)
  let over = false, answers = 0, broken = null
  const readers = ['/log?limit=1000', '/log?limit=1000&reverse=true', '/log?limit=1000&type=post', '/links?limit=1000', '/messages/' + keys[250],
    `/feeds/${records[250].value.author}?limit=1000`, `/about/${records[250].value.author}`, '/log/' + seqs[250]].map(async (target) => {
    while (!over) {
      const { status } = await server.request(target).catch((err) => { throw new Error(`${target}: ${err.message}; the server said: ${server.stderr}`) })
      assert.ok(status < 500 || status === 503, `${target}: ${status}`)
      answers++
    }
  }).map((reader) => reader.catch((err) => { broken = broken || err }))
  const answered = (count) => until(() => { if (broken) throw broken; return answers >= count }, 'answers')
  const fd = fs.openSync(file, 'r+')
  t.after(() => fs.closeSync(fd))
  for (let round = 0; round < 30; round++) {
    const from = answers
    fs.ftruncateSync(fd, round % 3 === 0 ? 0 : seqs[250 - round * 5] + round)
    await answered(from + 4)
    fs.writeSync(fd, bytes, 0, bytes.length, 0)
    await answered(from + 8)
  }
  over = true
  await Promise.all(readers)
  if (broken) throw broken
  // a cut that was grown over at once may be noticed only now: log and views may still be opened anew after a whole answer
  await until(async () => (await rowsIfOpen(server))?.length === lines.length, 'all records again')
  await until(async () => isDeepStrictEqual(await typesIfOpen(server), typesOf(lines)), 'views that fit')
  assert.strictEqual((await server.stop()).code, 0, server.stderr)
})

test('a log whose file goes away is no end of the server, and is followed again when it is back', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, frames(lines.slice(0, 100), '32').bytes)
  const server = await follow(t, file)
  await viewsShow(server, lines.slice(0, 100))
  fs.unlinkSync(file)
  const left = await rowsIfOpen(server)
  if (left !== undefined) assert.strictEqual(left.length, 100)
  assert.strictEqual((await server.request('/healthz')).status, 200)
  fs.writeFileSync(file, frames(other, '32').bytes)
  await until(async () => (await rowsIfOpen(server))?.length === other.length, 'the new file')
  await shows(server, other)
  await viewsShow(server, other)
})
