'use strict'
// What the peers share: figures as lines of JSON (the same that bench.c prints), samples, lines of files.
const fs = require('node:fs')

const say = (object) => process.stdout.write(JSON.stringify(object) + '\n')
const put = (row, who, value) => say({ row, who, value })
const fact = (row, who, value) => say({ fact: row, who, value })
const now = () => Number(process.hrtime.bigint()) / 1e9

function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

// Lines of a file as buffers, a block of it in memory at a time.
function * lines(path) {
  const fd = fs.openSync(path)
  const block = Buffer.allocUnsafe(4 << 20)
  let rest = Buffer.alloc(0)
  for (let n; (n = fs.readSync(fd, block)) > 0;) {
    const text = Buffer.concat([rest, block.subarray(0, n)])
    let from = 0
    for (let to; (to = text.indexOf(10, from)) >= 0; from = to + 1) yield text.subarray(from, to)
    rest = text.subarray(from)
  }
  if (rest.length > 0) yield rest
  fs.closeSync(fd)
}

// { id: [[ID]…], type: [[TYPE]…], author: [[ID, TYPE]…], root: [[ID]…] }
function samples(path) {
  const all = { id: [], type: [], author: [], root: [] }
  for (const line of fs.readFileSync(path, 'utf8').trimEnd().split('\n')) {
    const [kind, ...words] = line.split(' ')
    all[kind].push(words)
  }
  return all
}

// Asks one query after the other; `ask(words, done)` tells how many results there were.
async function queries(row, who, wanted, ask) {
  const took = []
  let results = 0
  for (const words of wanted) {
    const began = now()
    results += await new Promise((resolve, reject) => ask(words, (err, n) => err ? reject(err) : resolve(n)))
    took.push(now() - began)
    if (took.length % 100 === 0) await new Promise(setImmediate)
  }
  put(row, who, median(took))
  fact(row, who, results / wanted.length)
}

module.exports = { put, fact, now, median, lines, samples, queries }
