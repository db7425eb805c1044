'use strict'
// flumelog-offset without a codec for values: `flumelog.js append NDJSON FILE`, `flumelog.js backward LOG`. Bytes a second.
const fs = require('node:fs')
const pull = require('pull-stream')
const createLog = require('flumelog-offset')
const { put, fact, now, lines } = require('./common')

const WHO = 'flumelog-offset'
const BATCH = 1000
const [mode, source, target] = process.argv.slice(2)

const open = (path) => createLog(path, { blockSize: 16 * 1024, offsetCodec: 53 })

async function append() {
  fs.rmSync(target, { force: true })
  const log = open(target)
  let batch = []
  let took = 0
  const write = async () => {
    const began = now()
    await new Promise((resolve, reject) => log.append(batch, (err) => err ? reject(err) : resolve()))
    took += now() - began
    batch = []
  }
  for (const line of lines(source)) {
    if (batch.push(Buffer.from(line)) === BATCH) await write()
  }
  if (batch.length > 0) await write()
  put('log-append', WHO, fs.statSync(target).size / took)
  fs.rmSync(target)
}

function backward() {
  const log = open(source)
  log.since.once(() => {
    let count = 0
    const began = now()
    pull(log.stream({ reverse: true, seqs: false, values: true }), pull.drain(() => { count++ }, (err) => {
      if (err) throw err
      put('log-scan-backward', WHO, fs.statSync(source).size / (now() - began))
      fact('log-scan-backward', WHO, count)
      process.exit(0)
    }))
  })
}

if (mode === 'append') append()
else backward()
