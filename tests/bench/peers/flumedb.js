'use strict'
// flumedb with its four views: `flumedb.js build DIR LOG` makes them from nothing in DIR, `flumedb.js query DIR SAMPLES` asks them.
// Seconds; and the peak memory of the process in bytes.
const fs = require('node:fs')
const path = require('node:path')
const pull = require('pull-stream')
const flumedb = require('flumedb')
const createLog = require('flumelog-offset')
const level = require('flumeview-level')
const reduce = require('flumeview-reduce')
const query = require('flumeview-query')
const { json } = require('flumecodec')
const { put, fact, now, samples, queries } = require('./common')

const WHO = 'flumedb'
const NAMES = ['keys', 'clock', 'count', 'query']
const [mode, dir, source] = process.argv.slice(2)

function count(sums, { type, author }) {
  if (!sums) sums = { all: 0, types: {}, authors: {} }
  sums.all++
  sums.types[type] = (sums.types[type] || 0) + 1
  sums.authors[author] = (sums.authors[author] || 0) + 1
  return sums
}

const TYPE = ['value', 'content', 'type']
const AUTHOR = ['value', 'author']
const TIME = ['timestamp']
const INDEXES = [
  { key: 'log', value: [TIME] },
  { key: 'clk', value: [AUTHOR, ['value', 'sequence']] },
  { key: 'typ', value: [TYPE, TIME] },
  { key: 'cha', value: [['value', 'content', 'channel'], TIME] },
  { key: 'aty', value: [AUTHOR, TYPE, TIME] },
  { key: 'roo', value: [['value', 'content', 'root'], TIME] }
]

function open() {
  return flumedb(createLog(path.join(dir, 'log.offset'), { blockSize: 16 * 1024, offsetCodec: 53, codec: json }))
    .use('keys', level(1, (message) => [message.key]))
    .use('clock', level(1, (message) => [[message.value.author, message.value.sequence]]))
    .use('count', reduce(1, count, (message) => ({ type: message.value.content.type || 'private', author: message.value.author })))
    .use('query', query(1, { indexes: INDEXES }))
}

function ready(db, done) {
  const timer = setInterval(() => {
    const head = db.since.value
    if (head == null || !NAMES.every((name) => db[name].since.value >= head)) return
    clearInterval(timer)
    done()
  }, 5)
}

function peak() {
  return Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
}

function build() {
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(dir, { recursive: true })
  fs.linkSync(source, path.join(dir, 'log.offset'))
  const began = now()
  const db = open()
  ready(db, () => {
    put('rebuild', WHO, now() - began)
    put('rebuild-memory', WHO, peak())
    db.count.get((err, sums) => {
      if (err) throw err
      fact('rebuild', WHO, sums.all)
      setTimeout(() => process.exit(0), 2000) // for what the views still write
    })
  })
}

async function ask(db) {
  const wanted = samples(source)
  const find = (content, value, limit, done) => pull(
    db.query.read({ query: [{ $filter: { value: { ...value, content }, timestamp: { $gt: 0 } } }], limit, reverse: true }),
    pull.collect((err, all) => done(err, all && all.length)))
  const types = [...wanted.type, ...wanted.type, ...wanted.type]
  await queries('query-id', WHO, wanted.id, ([id], done) => db.keys.get(id, (err, message) => done(err, message ? 1 : 0)))
  await queries('query-type', WHO, types, ([type], done) => find({ type }, {}, 10, done))
  await queries('query-author-type', WHO, wanted.author, ([author, type], done) => find({ type }, { author }, 10, done))
  await queries('query-root', WHO, wanted.root, ([root], done) => find({ root }, {}, undefined, done))
  process.exit(0)
}

if (mode === 'build') build()
else {
  const db = open()
  ready(db, () => ask(db))
}
