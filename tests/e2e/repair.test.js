'use strict'
// A damaged log: not opened for writing, looked at by verify, and what is readable of it saved into a new file.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { spawn } = require('node:child_process')
const { BIN, Server, environment, folder, generate, importLines, run, until } = require('../support/sluice')
const { frame, frames } = require('../support/offset_log')

const lines = generate(40, '--seed', '71', '--authors', '5')
const CODECS = ['32', '48', '53']

const verify = (file, ...args) => run(['verify', ...args, file])
const repair = (file, ...args) => verify(file, '--repair', '--yes', ...args)

// A folder of its own with the lines as a log of that codec: { dir, file, bytes, seqs }, the last of seqs being the end.
function log(t, codec, list = lines) {
  const dir = folder(t)
  const file = path.join(dir, 'log.offset')
  const { bytes, seqs } = frames(list, codec)
  fs.writeFileSync(file, bytes)
  return { dir, file, bytes, seqs: [...seqs, bytes.length], codec }
}

// Writes it damaged and says so.
function spoil({ file, bytes }, change) {
  const damaged = Buffer.from(bytes)
  const cut = change(damaged)
  fs.writeFileSync(file, cut || damaged)
  return fs.readFileSync(file)
}

const listed = (text) => [...text.matchAll(/^damaged +offset (\d+), (\d+) bytes/gm)].map(([, at, bytes]) => [Number(at), Number(bytes)])
const named = (text) => /^written +(.*)$/m.exec(text)[1]

// What must stand in the new file when records from … to are gone: each other one at its place, byte for byte.
function filled({ bytes, seqs, codec }, damaged, ranges) {
  const out = Buffer.from(damaged)
  for (const [from, to] of ranges) {
    const width = { 32: 4, 48: 6, 53: 8 }[codec]
    frame('\0'.repeat(seqs[to] - seqs[from] - 8 - width), codec, seqs[from]).copy(out, seqs[from])
  }
  return out.subarray(0, bytes.length)
}

for (const codec of CODECS) {
  test(`${codec} bit: damage in many places at once is listed, refused and repaired`, async (t) => {
    const made = log(t, codec)
    const { seqs } = made
    const damaged = spoil(made, (bytes) => {
      bytes[seqs[0]] ^= 0x40 // the first length
      bytes.fill(0, seqs[3] + 20, seqs[6] + 20) // four records
      bytes[seqs[10] - 1] ^= 1 // where one says that it ends
      bytes.writeUInt32BE(0xffffffff, seqs[20]) // far behind the end
      bytes.fill(0x20, seqs[30] - 2, seqs[30] + 2) // the end of one and the start of the next
    })
    const ranges = [[0, 1], [3, 7], [9, 10], [20, 21], [29, 31]]
    const want = ranges.map(([from, to]) => [seqs[from], seqs[to] - seqs[from]])
    const looked = verify(made.file)
    assert.strictEqual(looked.status, 65, looked.stderr)
    assert.deepStrictEqual(listed(looked.stdout), want)

    // nothing is written to it, and the place is named
    for (const args of [['serve', '--data', made.dir, '--listen', '127.0.0.1:0'], ['import', '--data', made.dir, '--trust', '-']]) {
      const refused = run(args, { input: '' })
      assert.strictEqual(refused.status, 65, refused.stderr)
      assert.match(refused.stderr, /damaged at offset \d+|first bytes are no record/)
      assert.match(refused.stderr, /sluice verify/)
    }
    assert.ok(fs.readFileSync(made.file).equals(damaged))

    const before = fs.readdirSync(made.dir).sort()
    const trial = verify(made.file, '--repair', '--dry-run')
    assert.strictEqual(trial.status, 65, trial.stderr)
    assert.deepStrictEqual(listed(trial.stdout), want)
    assert.match(trial.stdout, /nothing was written/)
    assert.deepStrictEqual(fs.readdirSync(made.dir).sort(), before)

    const done = repair(made.file)
    assert.strictEqual(done.status, 0, done.stderr)
    const saved = named(done.stdout)
    assert.ok(trial.stdout.includes(saved), 'the trial named another file')
    assert.ok(fs.readFileSync(made.file).equals(damaged), 'the old file was touched')
    assert.ok(fs.readFileSync(saved).equals(filled(made, damaged, ranges)))
    const clean = verify(saved)
    assert.strictEqual(clean.status, 0, clean.stdout)
    assert.match(clean.stdout, /all is well/)

    // it is a log like any other: every record that was left is served under its old seq, and appends go on
    fs.renameSync(saved, made.file)
    const gone = new Set(ranges.flatMap(([from, to]) => seqs.slice(from, to)))
    const server = await Server.start(t, ['--data', made.dir, '--accept', 'any'])
    const messages = await server.pages('/log?limit=7', 'messages')
    assert.deepStrictEqual(messages.map((m) => m.seq), seqs.slice(0, -1).filter((seq) => !gone.has(seq)))
    for (const { seq, key } of messages) assert.strictEqual(key, JSON.parse(lines[seqs.indexOf(seq)]).key)
    assert.strictEqual((await server.request('/log/' + seqs[3])).status, 410)
    const added = await server.post('/log', '{"more":true}')
    assert.strictEqual(added.status, 201)
    assert.strictEqual(added.json.seq, made.bytes.length)
  })

  test(`${codec} bit: each record in turn`, (t) => {
    const few = lines.slice(0, 8)
    for (let i = 0; i < few.length; i++) {
      const made = log(t, codec, few)
      const { seqs } = made
      const damaged = spoil(made, (bytes) => { bytes[(i % 2 ? seqs[i + 1] - 1 : seqs[i] + 3)] ^= 0xff })
      const done = repair(made.file, '--codec', codec)
      assert.strictEqual(done.status, 0, done.stderr)
      const got = fs.readFileSync(named(done.stdout))
      const last = i === few.length - 1
      assert.ok(got.equals(last ? made.bytes.subarray(0, seqs[i]) : filled(made, damaged, [[i, i + 1]])), `record ${i}`)
      assert.strictEqual(verify(named(done.stdout)).status, 0)
    }
  })
}

test('a torn tail is left out, an old log without offsets keeps its format', (t) => {
  const made = log(t, '53')
  spoil(made, (bytes) => bytes.subarray(0, bytes.length - 5))
  const done = repair(made.file)
  assert.strictEqual(done.status, 0, done.stderr)
  assert.match(done.stdout, /without the last \d+ bytes/)
  assert.ok(fs.readFileSync(named(done.stdout)).equals(made.bytes.subarray(0, made.seqs.at(-2))))

  const old = log(t, 'v2')
  const damaged = spoil(old, (bytes) => { bytes[old.seqs[5]] = 7 })
  const mended = repair(old.file)
  assert.strictEqual(mended.status, 0, mended.stderr)
  const out = Buffer.from(damaged)
  frame('\0'.repeat(old.seqs[6] - old.seqs[5] - 8), 'v2', 0).copy(out, old.seqs[5])
  assert.ok(fs.readFileSync(named(mended.stdout)).equals(out))
})

test('a sound log needs no repair, and what cannot be one gets none', (t) => {
  const made = log(t, '53')
  for (const how of ['--dry-run', '--yes']) {
    const done = verify(made.file, '--repair', how)
    assert.strictEqual(done.status, 0, done.stderr)
    assert.match(done.stdout, /records +40\n/)
    assert.match(done.stdout, /nothing to repair/)
  }
  assert.deepStrictEqual(fs.readdirSync(made.dir), ['log.offset'])
  fs.writeFileSync(made.file, 'x'.repeat(5000))
  assert.strictEqual(repair(made.file).status, 65)
  assert.strictEqual(repair(path.join(made.dir, 'absent')).status, 66)
  for (const args of [['--repair'], ['--repair', '--yes', '--dry-run'], ['--yes'], ['--dry-run']]) {
    const refused = verify(made.file, ...args)
    assert.strictEqual(refused.status, 64, args.join(' '))
    assert.match(refused.stderr, /--repair/)
  }
  assert.deepStrictEqual(fs.readdirSync(made.dir), ['log.offset'])
})

test('while its owner has it open a log is not repaired; a second repair takes another name', async (t) => {
  const dir = importLines(t, lines)
  const file = path.join(dir, 'log.offset')
  const server = await Server.start(t, ['--data', dir])
  for (const how of ['--dry-run', '--yes']) {
    const busy = verify(file, '--repair', how)
    assert.strictEqual(busy.status, 75, busy.stdout)
    assert.match(busy.stderr, /another process/)
  }
  await server.stop()
  const bytes = fs.readFileSync(file)
  bytes[400] ^= 1
  bytes[3] ^= 1
  fs.writeFileSync(file, bytes)
  const names = [repair(file), repair(file)].map((done) => named(done.stdout))
  assert.notStrictEqual(names[0], names[1])
  assert.ok(fs.readFileSync(names[0]).equals(fs.readFileSync(names[1])))
})

test('a log that was not closed is looked through before it is written to', async (t) => {
  const dir = importLines(t, lines)
  const file = path.join(dir, 'log.offset')
  const child = spawn(BIN, ['serve', '--data', dir, '--listen', '127.0.0.1:0', '--port-file', path.join(dir, 'port')], { env: environment(), stdio: 'ignore' })
  const exited = new Promise((resolve) => child.on('close', resolve))
  await until(() => fs.existsSync(path.join(dir, 'port')), 'the port file')
  child.kill('SIGKILL')
  await exited
  const bytes = fs.readFileSync(file)
  const second = bytes.readUInt32BE(0) + 16
  bytes[second + 3] ^= 1
  fs.writeFileSync(file, bytes)
  const refused = run(['serve', '--data', dir, '--listen', '127.0.0.1:0'])
  assert.strictEqual(refused.status, 65, refused.stderr)
  assert.match(refused.stderr, new RegExp(`offset ${second}:`))
  assert.ok(fs.readFileSync(file).equals(bytes))
})
