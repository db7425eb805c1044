'use strict'
// Fills the disk of a program under load, makes room again, and fills it once more and kills it. FOLDER is a file system of a few MiB; without a
// right to mount one, `limit` stands for it: a limit on the size of files, which the kernel also keeps in the middle of a write.
// Usage: node full.js tmpfs FOLDER | node full.js limit
const assert = require('node:assert')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { spawnSync } = require('node:child_process')
const { BIN, Server, generate, until } = require('../support/sluice')
const { drawnSeed, makeRandom } = require('../support/random')
const { Ledger, checkFolder } = require('./ledger')
const { Feeds, write, readSocket } = require('./load')

const [mode, mounted] = process.argv.slice(2)
const seed = drawnSeed()
const roll = makeRandom(seed).below
const WRITERS = 4
const LIMIT = 400000 // bytes of a file, for mode `limit`

// What takes space and gives it back.
class Room {
  constructor(dir, free) {
    this.free = free
    this.ballast = path.join(dir, 'ballast')
    this.filler = path.join(dir, 'filler')
  }

  begin(left) {
    if (mode === 'limit') return
    fs.writeFileSync(this.ballast, Buffer.alloc(this.free))
    const { bavail, bsize } = fs.statfsSync(path.dirname(this.ballast))
    fs.writeFileSync(this.filler, Buffer.alloc(Math.max(0, bavail * bsize - left)))
  }

  give(server) {
    if (mode !== 'limit') return fs.rmSync(this.ballast)
    const done = spawnSync('prlimit', ['--pid', String(server.child.pid), `--fsize=${LIMIT * 2}:`], { encoding: 'utf8' })
    assert.strictEqual(done.status, 0, done.stderr)
  }
}

async function fill(server, ledger, shares, stats) {
  const refused = await Promise.all(shares.map((feeds) => write(server, ledger, feeds, roll, stats, () => false)))
  for (const res of refused) {
    assert.strictEqual(res?.status, 507, res ? res.text : 'all messages found room')
    assert.strictEqual(res.json.type, '/problems/no-space')
    assert.ok(res.json.detail.length > 20, res.text)
    stats.refused++
  }
}

const all = async (server) => server.pages('/log?limit=1000', 'messages')

// Full: every append is refused, whatever its kind; everything that was taken is there to read.
async function checkFull(server, ledger, shares, stats) {
  for (const prefer of ['durability=strong', 'durability=relaxed']) {
    const message = shares.flat().find((feed) => feed.length > 0)[0]
    const res = await server.post('/log', message.text, { Prefer: prefer })
    if (res.status === 507) continue
    assert.ok(res.status < 300, `${prefer}: ${res.status} ${res.text}`) // a small one may find room yet
    ;(res.status === 202 ? ledger.relaxed : ledger.strong).set(message.key, res.json.seq)
    shares.flat().find((feed) => feed[0] === message).shift()
  }
  // readers see what is durable: what was acknowledged before that (202) is shown a moment later, full disk or not
  await until(async () => {
    const { log } = await server.get('/status')
    return log.durable === log.head
  }, 'everything that was taken to be durable')
  const records = await all(server)
  ledger.check(records)
  assert.strictEqual((await server.request('/healthz')).status, 200)
  const status = await server.get('/status')
  assert.ok(status.log.head === status.log.durable && status.log.durable === records.at(-1).seq, JSON.stringify(status.log))
  // a view that was behind when the last room was taken comes as far as it can
  let ready
  await until(async () => {
    ready = await server.request('/readyz')
    return ready.status === 200 || /space/i.test(ready.json.detail)
  }, () => 'views that are ready, or have no room: ' + ready.text)
  if (ready.status !== 200) stats.views++
  const key = [...ledger.strong.keys()][0]
  assert.strictEqual((await server.request('/messages/' + key + '?stale=ok')).status, 200)
  const fresh = await server.request('/messages/' + key)
  assert.ok(fresh.status === 200 || fresh.status === 503, `${fresh.status} ${fresh.text}`)
  stats.records = records.length
}

// disk: where all room but `left` bytes is taken and then `free` are given; full: which of the two it is that finds none, if that is certain.
async function run(t, { name, disk, data, views, left, free, full }) {
  const ledger = new Ledger()
  const stats = { strong: 0, relaxed: 0, again: 0, unknown: 0, shown: 0, refused: 0, views: 0, records: 0 }
  const feeds = new Feeds(generate(3000, '--seed', String(seed), '--authors', '16'), ledger)
  const shares = feeds.shares(WRITERS)
  const options = mode === 'limit' ? { bin: limited(t) } : {}
  const server = await Server.start(t, ['--data', data, '--views', views], options)
  const room = new Room(disk, free)
  const socket = readSocket(server, ledger, '/live', stats)
  // the views have their file before the disk is made small
  await write(server, ledger, [shares[0][0].splice(0, 20)], roll, stats, () => false)
  await until(async () => (await server.get('/views')).views.every((view) => view.ready), 'the views')
  room.begin(left)
  await fill(server, ledger, shares, stats)
  await checkFull(server, ledger, shares, stats)
  const first = stats.records
  const pid = server.child.pid

  room.give(server)
  await until(async () => {
    const feed = shares.flat().find((f) => f.length > 0)
    const res = await server.post('/log', feed[0].text)
    if (res.status === 507) return false
    assert.ok(res.status === 201 || res.status === 200, `${res.status} ${res.text}`)
    ledger.strong.set(feed.shift().key, res.json.seq)
    return true
  }, 'an append after space has returned')
  await until(async () => (await server.request('/readyz')).status === 200, 'readiness after space has returned')
  assert.strictEqual(server.child.pid, pid)
  assert.strictEqual(server.child.exitCode, null, 'without a restart')
  const messages = await server.get('/messages/' + [...ledger.strong.keys()].at(-1))
  assert.ok(messages.seq >= 0)

  await fill(server, ledger, shares, stats)
  await checkFull(server, ledger, shares, stats)
  assert.ok(stats.records > first, 'nothing was appended in the space that had returned')
  server.child.kill('SIGKILL')
  await server.exited
  await socket.ended
  if (socket.error) throw socket.error
  if (mode !== 'limit') fs.rmSync(room.filler)
  server.bin = BIN
  await server.launch()
  await until(async () => (await server.request('/readyz')).status === 200, 'readiness after the restart')
  ledger.check(await all(server))
  assert.strictEqual((await server.stop()).code, 0, server.stderr)
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-full-'))
  t.after(() => fs.rmSync(copy, { recursive: true, force: true }))
  fs.cpSync(data, copy, { recursive: true })
  if (!views.startsWith(data)) fs.cpSync(views, path.join(copy, 'views'), { recursive: true })
  const count = checkFolder(copy)
  assert.ok(stats.shown > 0 && stats.refused > 0)
  if (full) assert.strictEqual(stats.views > 0, full === 'views', 'it was not the disk of the ' + full + ' that was full')
  console.log(`  full ${name}: ${count} records; ${JSON.stringify(stats)}`)
}

// The program with a limit on the size of its files, which may be raised from outside.
function limited(t) {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-full-')), 'limited')
  t.after(() => fs.rmSync(path.dirname(file), { recursive: true, force: true }))
  fs.writeFileSync(file, `#!/bin/sh\nexec prlimit --fsize=${LIMIT}: '${BIN}' "$@"\n`, { mode: 0o755 })
  return file
}

async function main() {
  console.log(`full: ${mode === 'limit' ? 'NO RIGHT TO MOUNT a small tmpfs here: a limit on the size of files stands for it' : 'a small tmpfs'}, seed ${seed}`)
  const undo = []
  const t = { after: (fn) => undo.unshift(fn) }
  let failed = null
  const other = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-full-'))
  t.after(() => fs.rmSync(other, { recursive: true, force: true }))
  const dir = mode === 'limit' ? path.join(other, 'disk') : mounted
  try {
    const make = (name) => {
      const made = path.join(dir, name)
      fs.mkdirSync(made, { recursive: true })
      return made
    }
    const one = make('one')
    await run(t, { name: 'log', disk: one, data: path.join(one, 'data'), views: path.join(other, 'one'), left: 150000, free: 300000, full: mode === 'limit' ? null : 'log' })
    if (mode !== 'limit') {
      fs.rmSync(one, { recursive: true })
      const two = make('two')
      await run(t, { name: 'log and views', disk: two, data: path.join(two, 'data'), views: path.join(two, 'data', 'views'), left: 300000, free: 300000 })
      fs.rmSync(two, { recursive: true })
      const three = make('three')
      // search may be behind when the disk is full, and catches up in one commit
      await run(t, { name: 'views', disk: three, data: path.join(other, 'three'), views: path.join(three, 'views'), left: 20000, free: 400000, full: 'views' })
    }
  } catch (err) {
    failed = err
  }
  for (const fn of undo) await fn()
  if (failed) {
    console.error(`FAILED full, seed ${seed}: ${failed.stack}`)
    process.exit(1)
  }
}

main()
