'use strict'
// Kills the program with -9 at random moments under load, again and again on one log, and holds what is left against the ledger.
// Usage: node kill.js ROUNDS [SEED]
const assert = require('node:assert')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { Server, generate, until } = require('../support/sluice')
const { drawnSeed, makeRandom } = require('../support/random')
const { Ledger, checkFolder } = require('./ledger')
const { Feeds, write, readSocket, readStream, askDurable, query } = require('./load')

const rounds = Number(process.argv[2] || 6)
const seed = Number(process.argv[3]) || drawnSeed()
const roll = makeRandom(seed).below
const WRITERS = 6

async function round(server, ledger, shares, stats, wait) {
  let dead = false
  const over = () => dead
  const streams = [await readStream(server, ledger, '/log?live=true', stats), await readStream(server, ledger, '/log?live=true', stats, 'text/event-stream'),
    await readStream(server, ledger, '/log?live=true&old=false&type=post', stats)]
  const socket = readSocket(server, ledger, '/live', stats)
  const check = () => streams.forEach((stream) => stream.check())
  const work = [askDurable(server, ledger, over, check), query(server, ledger, roll, stats, over), query(server, ledger, roll, stats, over),
    ...shares.map((feeds) => write(server, ledger, feeds, roll, stats, over))]
  const before = stats.strong + stats.relaxed
  await until(() => stats.strong + stats.relaxed >= before + wait, 'appends')
  const moment = process.hrtime.bigint() + BigInt(roll(20000)) * 1000n // within 20 ms: any moment
  while (process.hrtime.bigint() < moment) await new Promise(setImmediate)
  server.child.kill('SIGKILL')
  dead = true
  await server.exited
  await Promise.all(work)
  await Promise.all([socket.ended, ...streams.map((stream) => until(() => stream.ended, 'the end of a stream'))])
  for (const stream of streams) stream.check()
  stats.events += streams[1].count || 0
  if (socket.error) throw socket.error
}

async function main() {
  console.log(`kill: ${rounds} rounds, seed ${seed}`)
  const undo = []
  const t = { after: (fn) => undo.unshift(fn) }
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-kill-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  const ledger = new Ledger()
  const stats = { strong: 0, relaxed: 0, again: 0, unknown: 0, shown: 0, events: 0, queries: 0, kills: 0 }
  let failed = null
  try {
    const data = path.join(dir, 'data'), copy = path.join(dir, 'copy')
    const feeds = new Feeds(generate(Math.max(4000, rounds * 600), '--seed', String(seed), '--authors', '24'), ledger)
    const shares = feeds.shares(WRITERS)
    const server = await Server.start(t, ['--data', data])
    for (let i = 0; i < rounds; i++) {
      await round(server, ledger, shares, stats, roll(150))
      stats.kills++
      // a copy, so that the program itself finds what the crash has left
      fs.rmSync(copy, { recursive: true, force: true })
      fs.cpSync(data, copy, { recursive: true })
      checkFolder(copy)
      if (i % 4 === 3) fs.rmSync(path.join(data, 'views'), { recursive: true }) // killed while building, next time
      await server.launch()
      ledger.check(await server.pages('/log?limit=1000', 'messages'))
    }
    const { code } = await server.stop()
    assert.strictEqual(code, 0, server.stderr)
    const count = checkFolder(data)
    for (const what of ['strong', 'relaxed', 'unknown', 'shown', 'events', 'queries']) assert.ok(stats[what] > 0, `nothing was ${what}`)
    console.log(`kill: ${count} records; ${JSON.stringify(stats)}`)
  } catch (err) {
    failed = err
  }
  for (const fn of undo) await fn()
  if (failed) {
    console.error(`FAILED kill, seed ${seed}, round ${stats.kills + 1}: ${failed.stack}`)
    process.exit(1)
  }
}

main()
