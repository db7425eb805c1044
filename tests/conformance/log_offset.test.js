'use strict'
// The offset log against npm flumelog-offset: each reads what the other has written, and both write the same bytes.
const test = require('node:test')
const assert = require('node:assert')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const flumelog = require('flumelog-offset')
const legacy = require('flumelog-offset/legacy')
const flumecodec = require('flumecodec')
const pull = require('pull-stream')

const { makeRandom } = require('../support/random')

const root = path.join(__dirname, '..', '..')
const sluice = path.resolve(root, process.env.SLUICE_TEST_BIN || 'build/sluice')
const widths = { 32: 4, 48: 6, 53: 8 }

let folder
test.before(() => { folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-conformance-')) })
test.after(() => fs.rmSync(folder, { recursive: true, force: true }))

let files = 0
function dataFolder () {
  const dir = path.join(folder, String(files++))
  fs.mkdirSync(dir)
  return dir
}

function records (count, seed) {
  const random = makeRandom(seed)
  return Array.from({ length: count }, (_, n) => ({
    key: '%' + n,
    value: { n, text: 'é€😀"\\\n'.repeat(1 + random.below(40)), large: n % 97 === 5 ? 'x'.repeat(40000) : undefined },
    timestamp: 1600000000000 + n
  }))
}

function run (args, input) {
  const done = spawnSync(sluice, args, { input, maxBuffer: 1 << 28, encoding: 'utf8' })
  assert.strictEqual(done.error, undefined)
  assert.strictEqual(done.status, 0, `sluice ${args.join(' ')}: ${done.stderr}`)
  return done.stdout
}

function cat (file, ...more) {
  return run(['cat', '--log', file, ...more]).split('\n').filter(Boolean).map(line => JSON.parse(line))
}

function importAll (dir, values) {
  run(['import', '--data', dir, '--accept', 'any', '-'], values.map(v => JSON.stringify(v) + '\n').join(''))
}

function jsAppend (log, values) {
  return new Promise((resolve, reject) => log.append(values, (err, seq) => err ? reject(err) : resolve(seq)))
}

function jsDelete (log, seqs) {
  return new Promise((resolve, reject) => log.del(seqs, err => err ? reject(err) : resolve()))
}

function jsRead (log, options) {
  return new Promise((resolve, reject) => pull(log.stream({ seqs: true, values: true, ...options }),
    pull.collect((err, rows) => err ? reject(err) : resolve(rows))))
}

function jsOpen (file, bits) {
  return flumelog(file, { codec: flumecodec.json, offsetCodec: Number(bits), blockSize: 16 * 1024 })
}

function same (rows, jsRows) {
  assert.deepStrictEqual(rows.map(({ seq, ...value }) => ({ seq, value })), jsRows.map(({ seq, value }) => ({ seq, value })))
}

// An empty file of the wanted codec cannot be told from one of another: its first record comes from JavaScript.
async function seeded (bits, first) {
  const dir = dataFolder()
  await jsAppend(jsOpen(path.join(dir, 'log.offset'), bits), [first])
  return dir
}

for (const bits of Object.keys(widths)) {
  test(`${bits} bit: Sluice reads what flumelog-offset has written`, async () => {
    const file = path.join(dataFolder(), 'log.offset')
    const log = jsOpen(file, bits)
    const values = records(500, 1)
    await jsAppend(log, values.slice(0, 1))
    await jsAppend(log, values.slice(1))
    const rows = await jsRead(log, {})
    same(cat(file), rows)
    same(cat(file, '--reverse', '--limit', '20'), await jsRead(log, { reverse: true, limit: 20 }))
    const gte = rows[100].seq
    const lt = rows[200].seq
    same(cat(file, '--gte', String(gte), '--lt', String(lt)), await jsRead(log, { gte, lt }))
    same(cat(file, '--gt', String(gte), '--lte', String(lt)), await jsRead(log, { gt: gte, lte: lt }))
  })

  test(`${bits} bit: flumelog-offset reads what Sluice has written, and the bytes are the same`, async () => {
    const values = records(400, 2)
    const dir = bits === '53' ? dataFolder() : await seeded(bits, values[0])
    importAll(dir, bits === '53' ? values : values.slice(1))
    const file = path.join(dir, 'log.offset')
    same(cat(file), await jsRead(jsOpen(file, bits), {}))
    const other = path.join(dataFolder(), 'log.offset')
    await jsAppend(jsOpen(other, bits), values)
    assert.ok(fs.readFileSync(file).equals(fs.readFileSync(other)), 'byte-identical')
  })

  test(`${bits} bit: each goes on where the other has stopped`, async () => {
    const values = records(90, 3)
    const dir = await seeded(bits, values[0])
    const file = path.join(dir, 'log.offset')
    importAll(dir, values.slice(1, 30))
    await jsAppend(jsOpen(file, bits), values.slice(30, 60))
    importAll(dir, values.slice(60))
    const rows = cat(file)
    assert.deepStrictEqual(rows.map(({ seq, ...value }) => value), JSON.parse(JSON.stringify(values)))
    same(rows, await jsRead(jsOpen(file, bits), {}))
  })

  test(`${bits} bit: what flumelog-offset has deleted is skipped, and a limit counts what is shown`, async () => {
    const file = path.join(dataFolder(), 'log.offset')
    const log = jsOpen(file, bits)
    await jsAppend(log, records(200, 4))
    const all = await jsRead(log, {})
    const gone = all.filter((_, i) => i % 3 === 0 || i === 199).map(row => row.seq)
    await jsDelete(log, gone)
    const left = all.filter(row => !gone.includes(row.seq))
    same(cat(file), left)
    same(cat(file, '--limit', '10'), left.slice(0, 10))
  })

  test(`${bits} bit: a torn tail ends where flumelog-offset ends it`, async () => {
    const source = path.join(dataFolder(), 'log.offset')
    await jsAppend(jsOpen(source, bits), records(5, 5).map(({ key }) => ({ key })))
    const bytes = fs.readFileSync(source)
    const first = 8 + widths[bits] + JSON.stringify({ key: '%0' }).length
    for (let size = first; size <= bytes.length; size++) {
      const file = path.join(dataFolder(), 'log.offset')
      fs.writeFileSync(file, bytes.subarray(0, size))
      // One program start per size is slow: all sizes of the last record, then every seventh.
      if (size < bytes.length - first && size % 7 !== 0) continue
      const rows = cat(file)
      assert.strictEqual(fs.statSync(file).size, size, 'reading repairs nothing')
      same(rows, await jsRead(jsOpen(file, bits), {}))
    }
  })
}

test('the older format: Sluice reads what flumelog-offset/legacy has written', async () => {
  const file = path.join(dataFolder(), 'log.offset')
  const log = legacy(file, 16 * 1024, flumecodec.json)
  await jsAppend(log, records(50, 6))
  same(cat(file), await jsRead(log, {}))
})
