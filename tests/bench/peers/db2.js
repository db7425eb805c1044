'use strict'
// ssb-db2 with jitdb: `db2.js prepare DIR NDJSON` makes its log, `db2.js query DIR SAMPLES` asks it, after a first round that builds
// the indexes. Seconds.
const fs = require('node:fs')
const path = require('node:path')
const bipf = require('bipf')
const createLog = require('async-append-only-log')
const { samples, lines, queries } = require('./common')

const WHO = 'ssb-db2'
const [mode, dir, source] = process.argv.slice(2)

async function prepare() {
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(path.join(dir, 'db2'), { recursive: true })
  const log = createLog(path.join(dir, 'db2', 'log.bipf'), { blockSize: 64 * 1024 })
  const call = (fn) => new Promise((resolve, reject) => fn((err) => err ? reject(err) : resolve()))
  let batch = []
  const write = async () => {
    await call((done) => log.append(batch, done))
    await call((done) => log.onDrain(done))
    batch = []
  }
  for (const line of lines(source)) {
    if (batch.push(bipf.allocAndEncode(JSON.parse(line))) === 10000) await write()
  }
  if (batch.length > 0) await write()
  await call((done) => log.close(done))
}

async function ask() {
  const { where, and, type, author, hasRoot, descending, paginate, toCallback } = require('ssb-db2/operators')
  const keys = require('ssb-keys').loadOrCreateSync(path.join(dir, 'secret'))
  const sbot = require('secret-stack')({ appKey: require('ssb-caps').shs }).use(require('ssb-db2'))
    .call(null, { keys, path: dir, db2: { automigrate: false } })
  const drained = (name) => new Promise((resolve, reject) => sbot.db.onDrain(name, (err) => err ? reject(err) : resolve()))
  const newest = (wanted, done) => sbot.db.query(where(wanted), descending(), paginate(10),
    toCallback((err, page) => done(err, page && page.results.length)))
  const rows = {
    'query-id': ['id', ([id], done) => sbot.db.get(id, (err, value) => done(err, value ? 1 : 0))],
    'query-type': ['type', ([name], done) => newest(type(name), done)],
    'query-author-type': ['author', ([id, name], done) => newest(and(type(name), author(id)), done)],
    'query-root': ['root', ([id], done) => sbot.db.query(where(hasRoot(id)), toCallback((err, all) => done(err, all && all.length)))]
  }
  await drained('base')
  await drained('keys')
  const wanted = samples(source)
  wanted.type = [...wanted.type, ...wanted.type, ...wanted.type]
  for (const [kind, query] of Object.values(rows)) {
    for (const words of wanted[kind].slice(0, 7)) await new Promise((resolve, reject) => query(words, (err) => err ? reject(err) : resolve()))
  }
  for (const [row, [kind, query]] of Object.entries(rows)) await queries(row, WHO, wanted[kind], query)
  process.exit(0)
}

if (mode === 'prepare') prepare()
else ask()
