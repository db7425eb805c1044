'use strict'
// How each group of rows is measured. Every function takes the Figures to fill.
const fs = require('node:fs')
const path = require('node:path')
const { spawn } = require('node:child_process')
const stage = require('./stage')

const { ROUNDS, LONG_ROUNDS, SERVER_CPU, LOAD_CPU, program, data, scratch, run, node, rounds } = stage

// ---- log, scan ----

async function log(figures) {
  const dir = scratch('log')
  const on = (round) => ({ cpu: SERVER_CPU, round, figures })
  await rounds(ROUNDS, [
    (round) => run([program('log'), data('log.offset'), dir], on(round)),
    (round) => run(node('flumelog.js', 'append', data('data.ndjson'), path.join(dir, 'peer.offset')), on(round)),
    (round) => run(node('flumelog.js', 'backward', data('log.offset')), on(round))
  ])
}

async function scan(figures) {
  await rounds(ROUNDS, [(round) => run([program('scan'), data('log.offset')], { cpu: SERVER_CPU, round, figures })])
}

// ---- rebuild ----

const flumedbDir = () => path.join(stage.dataDir(), 'flumedb')

// The log without its last `count` records: cut where a record starts.
function logBefore(count) {
  const to = path.join(scratch('prefix'), 'log.offset')
  fs.copyFileSync(data('log.offset'), to)
  const fd = fs.openSync(to, 'r+')
  let end = fs.fstatSync(fd).size
  const len = Buffer.alloc(4)
  for (let i = 0; i < count; i++) {
    fs.readSync(fd, len, 0, 4, end - 12)
    end -= len.readUInt32BE(0) + 16
  }
  fs.ftruncateSync(fd, end)
  fs.closeSync(fd)
  return to
}

async function start(figures, round) {
  const views = await stage.currentViews()
  stage.readInto(data('log.offset'))
  const question = '/log?type=post&limit=1&reverse=true'
  const first = async (who, args) => {
    const port = await stage.freePort()
    await run([program('http'), 'first', port, question, 'start', who, stage.SLUICE, 'serve', '--listen', '127.0.0.1:' + port, ...args], { round, figures })
  }
  const both = [
    () => first('sluice', ['--follow', data('log.offset'), '--views', views]),
    () => first('empty', ['--data', scratch('empty')])
  ]
  for (const one of round % 2 ? both.reverse() : both) await one()
}

// Each beside its own time at a tenth of the messages, in the same minutes: with both logs in memory, and with both on the disk only.
async function rebuildBig(figures) {
  const n = stage.N * 10
  await stage.makeData(n)
  const [small, big] = [data('log.offset'), data('log.offset', n)]
  const build = (prepare, log, row, ...rest) => (round) => {
    prepare(log)
    return run([program('rebuild'), log, scratch('views-big'), row, ...rest], { round, figures })
  }
  const beside = (row, from) => {
    for (const value of figures.samples[from].sluice) figures.put(row, 'small', value)
  }
  const { readInto, dropCached } = stage
  await rounds(LONG_ROUNDS, [build(readInto, small, 'unused-big-small'), build(readInto, big, 'rebuild-big')])
  beside('rebuild-big', 'unused-big-small')
  await build(readInto, big, 'rebuild-big-memory', 'memory')(0)
  for (const log of [small, big]) stage.settle(log)
  await rounds(1, [build(dropCached, small, 'unused-disk-small'), build(dropCached, big, 'rebuild-big-disk')])
  beside('rebuild-big-disk', 'unused-disk-small')
}

async function rebuild(figures) {
  const build = (row, round, log, dir, ...rest) => {
    stage.readInto(log)
    return run([program('rebuild'), log, dir, row, ...rest], { round, figures })
  }
  await rounds(LONG_ROUNDS, [
    (round) => build('rebuild', round, data('log.offset'), scratch('views-cold')),
    (round) => {
      stage.readInto(data('log.offset'))
      return run(node('flumedb.js', 'build', flumedbDir(), data('log.offset')), { round, figures })
    }
  ])
  for (let round = 0; round < LONG_ROUNDS; round++) await build('rebuild-memory', round, data('log.offset'), scratch('views-cold'), 'memory')

  for (const value of figures.samples.rebuild.flumedb) figures.put('rebuild-all', 'flumedb', value)

  const before = logBefore(1000)
  const old = scratch('views-before')
  await build('unused', 0, before, old)
  fs.rmSync(before)
  for (let round = 0; round < ROUNDS; round++) {
    const dir = scratch('views-behind')
    fs.cpSync(old, dir, { recursive: true })
    for (const name of fs.readdirSync(dir)) stage.settle(path.join(dir, name))
    await build('catch-up', round, data('log.offset'), dir)
  }
  for (const value of figures.samples.rebuild.sluice) figures.put('catch-up', 'rebuild', value)
  for (let round = 0; round < 2 * ROUNDS; round++) await start(figures, round)
  if (process.env.BENCH_BIG === '1') await rebuildBig(figures)
}

// ---- query ----

async function query(figures) {
  const views = await stage.currentViews()
  const samples = data('samples')
  const db2 = path.join(stage.dataDir(), 'db2')
  if (!fs.existsSync(path.join(flumedbDir(), 'query')) || fs.statSync(path.join(flumedbDir(), 'log.offset')).size !== fs.statSync(data('log.offset')).size) {
    stage.say('  building the views of flumedb')
    await run(node('flumedb.js', 'build', flumedbDir(), data('log.offset')))
  }
  if (!fs.existsSync(path.join(db2, 'made'))) {
    stage.say('  building the log and the indexes of ssb-db2')
    await run(node('db2.js', 'prepare', db2, data('data.ndjson')))
    await run(node('db2.js', 'query', db2, samples))
    fs.writeFileSync(path.join(db2, 'made'), '')
  }
  const on = (round) => ({ cpu: SERVER_CPU, round, figures })
  await rounds(LONG_ROUNDS, [
    (round) => run([program('query'), data('log.offset'), views, samples], on(round)),
    (round) => run(node('flumedb.js', 'query', flumedbDir(), samples), on(round)),
    (round) => run(node('db2.js', 'query', db2, samples), on(round))
  ])
}

// ---- http ----

const CONNECTIONS = 64
const SECONDS = Number(process.env.BENCH_SECONDS || 4)

function targetFiles() {
  const words = fs.readFileSync(data('samples'), 'utf8').split('\n').map((line) => line.split(' '))
  const write = (name, kind, target) => {
    const file = path.join(scratch(name), 'targets')
    fs.writeFileSync(file, words.filter(([word]) => word === kind).map(([, id]) => target(encodeURIComponent(id))).join('\n'))
    return file
  }
  return {
    message: write('targets-message', 'id', (id) => `/messages/${id}`),
    feed: write('targets-feed', 'author', (id) => `/feeds/${id}?limit=50`)
  }
}

const load = (args, round, figures) => run([program('http'), ...args], { cpu: LOAD_CPU, round, figures })

// Each with a server of its own that is stopped afterwards, so that only one of them has the CPU.
async function against(server, use) {
  const { port, pid, stop } = await server
  try { await use(port, pid) } finally { await stop() }
}

async function http(figures) {
  const views = await stage.currentViews()
  for (const name of ['log.offset', 'data.ndjson']) stage.readAnew(data(name))
  const targets = targetFiles()
  const own = () => stage.sluice('--follow', data('log.offset'), '--views', views)
  const get = (row, file, who, server, round, into = figures) => against(server, (port) =>
    load(['get', port, CONNECTIONS, into === figures ? SECONDS : 1, file, row, who], round, into))
  const stream = (server, target, least, who, round, row) => against(server, async (port, pid) => {
    if (row === 'http-log') await stage.idle(pid)
    await load(['stream', port, target, least, row, who], round, figures)
  })

  const probe = new stage.Figures()
  await get('http-feed', targets.feed, 'sluice', own(), 0, probe)
  const page = Math.round(probe.samples['http-feed-bytes'].sluice[0])
  const bytes = fs.statSync(data('data.ndjson')).size

  await rounds(ROUNDS, [
    (round) => get('http-message', targets.message, 'sluice', own(), round),
    (round) => get('http-message', targets.message, 'libmicrohttpd', stage.limits('http', 700), round),
    (round) => get('http-message', targets.message, 'records', stage.limits('record', data('log.offset')), round),
    (round) => get('http-message', targets.message, 'node', stage.nodeServer('http.js', 700), round)
  ])
  await rounds(ROUNDS, [
    (round) => get('http-feed', targets.feed, 'sluice', own(), round),
    (round) => get('http-feed', targets.feed, 'libmicrohttpd', stage.limits('http', page), round),
    (round) => get('http-feed', targets.feed, 'records', stage.limits('feed', data('log.offset'), 50), round)
  ])
  await rounds(ROUNDS, [
    (round) => stream(own(), '/log', bytes, 'sluice', round, 'http-log'),
    (round) => stream(stage.limits('stream', data('data.ndjson')), '/log', bytes, 'libmicrohttpd', round, 'http-log'),
    (round) => stream(own(), '/log', bytes, 'sluice', round, 'http-log-first'),
    (round) => stream(stage.limits('stream', data('data.ndjson')), '/log', bytes, 'libmicrohttpd', round, 'http-log-first')
  ])
}

// ---- ws ----

function ownMemory(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  return ['RssAnon', 'RssShmem'].reduce((sum, name) => sum + 1024 * Number(new RegExp(name + ':\\s+(\\d+)').exec(status)[1]), 0)
}

async function idleMemory(figures, clients) {
  await against(stage.sluice('--data', scratch('live')), async (port, pid) => {
    const idle = async (count, use) => {
      const child = spawn(program('live'), ['idle', String(port), String(count)], { stdio: ['pipe', 'pipe', 2] })
      const ended = new Promise((resolve) => child.on('close', resolve))
      const ready = new Promise((resolve) => child.stdout.once('data', () => resolve(true)))
      if (await Promise.race([ended.then(() => false), ready]) !== true) throw new Error('idle clients could not connect')
      const answer = use()
      child.stdin.end()
      await ended
      return answer
    }
    await idle(1, () => 0) // what the first client costs the server once and for all
    const before = ownMemory(pid)
    figures.put('ws-memory', 'sluice', await idle(clients, () => ownMemory(pid) - before) / clients)
  })
}

async function ws(figures) {
  const views = await stage.currentViews()
  const live = (server, args, row, who, round) => against(server, (port) =>
    run([program('live'), args[0], port, ...args.slice(1), row, who], { cpu: LOAD_CPU, round, figures }))
  const reading = () => stage.sluice('--follow', data('log.offset'), '--views', views)
  const owning = () => stage.sluice('--data', scratch('live'), '--accept', 'any')
  const peer = () => stage.nodeServer('ws.js', data('data.ndjson'))
  const lines = data('data.ndjson')

  await rounds(LONG_ROUNDS, [
    (round) => live(reading(), ['replay', '/live'], 'ws-replay', 'sluice', round),
    (round) => live(peer(), ['replay', '/live'], 'ws-replay', 'ws', round)
  ])
  for (const [clients, count] of [[100, 10000], [1000, 1000]]) {
    const fan = (who, server) => (round) => live(server(), ['fanout', clients, lines, count, 1000, 0], `ws-fan-${clients}`, who, round)
    await rounds(ROUNDS, [fan('sluice', owning), fan('ws', peer), fan('epoll', () => stage.limits('broadcast'))])
  }
  for (const clients of [100, 1000]) {
    const rate = 10000 / clients
    const fan = (who, server) => (round) => live(server(), ['fanout', clients, lines, 5 * rate, 1, rate], `ws-paced-${clients}`, who, round)
    const durable = () => stage.limits('broadcast', path.join(scratch('broadcast'), 'posts'))
    await rounds(ROUNDS, [fan('sluice', owning), fan('epoll', () => stage.limits('broadcast')), fan('fdatasync', durable)])
  }
  for (let round = 0; round < LONG_ROUNDS; round++) await idleMemory(figures, 1000)
}

// ---- append ----

async function append(figures) {
  const COUNT = 20000
  const IMPORT = Math.min(stage.N, 100000)
  const part = stage.head('import.ndjson', IMPORT)
  // libsodium has all cores, and so has the server
  const own = () => stage.sluiceOn(undefined, '--data', scratch('append'))
  const post = (row, connections, batch, file) => (round) => against(own(), (port) =>
    run([program('http'), 'post', port, connections, batch, file, COUNT, row, 'sluice'], { round, figures }))
  const importAll = async () => {
    const dir = scratch('import')
    const began = process.hrtime.bigint()
    await run([stage.SLUICE, 'import', '--data', dir, part])
    figures.put('append-import', 'sluice', IMPORT / (Number(process.hrtime.bigint() - began) / 1e9))
  }
  // what must be done at least, with the same client and on the same cores
  const least = (who, ...file) => (round) => against(stage.postsOn(undefined, ...file), (port) =>
    run([program('http'), 'post', port, 64, 1, data('writers.ndjson'), COUNT, 'append-writers', who], { round, figures }))
  await rounds(ROUNDS, [
    post('append-writers', 64, 1, data('writers.ndjson')),
    least('libmicrohttpd'),
    least('fdatasync', path.join(scratch('posts'), 'posts')),
    (round) => run([program('limits'), 'verify', data('data.ndjson'), COUNT], { round, figures }),
    post('append-post', 1, 1000, data('data.ndjson')),
    importAll
  ])
}

module.exports = { log, scan, rebuild, query, http, pages: require('./pages'), ws, append }
