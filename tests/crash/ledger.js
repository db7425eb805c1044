'use strict'
// What clients of the program were told, kept outside of it: what was acknowledged, and what was shown to anybody.
const assert = require('node:assert')
const { spawnSync } = require('node:child_process')
const path = require('node:path')

const ROOT = process.env.SLUICE_TEST_ROOT || path.resolve(__dirname, '..', '..')
const CHECK = process.env.SLUICE_TEST_CRASH_CHECK || path.join(ROOT, 'build', 'asan', 'tests', 'crash_check')

class Ledger {
  constructor() {
    this.sent = new Map() // key -> the value's text
    this.strong = new Map() // key -> seq, acknowledged after fsync
    this.relaxed = new Map() // key -> seq, acknowledged before
    this.shown = new Map() // seq -> key
    this.contents = new Map() // author + sequence -> key
    this.durable = -1 // the highest that was told
  }

  // A record that a reader was given. No seq, and no (author, sequence), ever has two contents.
  show({ seq, key, value }) {
    assert.ok(this.sent.has(key), `${key} at ${seq} was shown and never sent`)
    assert.strictEqual(this.shown.get(seq) ?? key, key, `seq ${seq} was shown with two contents`)
    const place = `${value.author} ${value.sequence}`
    assert.strictEqual(this.contents.get(place) ?? key, key, `${place} was shown with two contents`)
    this.shown.set(seq, key)
    this.contents.set(place, key)
  }

  // The whole log as it is after a crash: all that was acknowledged or shown is there, at its seq.
  check(records) {
    const there = new Map(records.map((record) => [record.key, record.seq]))
    assert.strictEqual(there.size, records.length, 'a message stands in the log twice')
    for (const record of records) this.show(record)
    // nobody pulled the plug: what the program has written the kernel has, and relaxed ones are there as well
    for (const acked of [this.strong, this.relaxed])
      for (const [key, seq] of acked) assert.strictEqual(there.get(key), seq ?? there.get(key) ?? 'a seq', `${key} was acknowledged, seq ${seq}`)
    for (const [seq, key] of this.shown) assert.strictEqual(there.get(key), seq, `${key} was shown at seq ${seq}`)
    const head = records.length === 0 ? -1 : records.at(-1).seq
    assert.ok(head >= this.durable, `durable was ${this.durable}, the log ends at ${head}`)
  }
}

// The folder of a program that has ended: whole records, views equal to a fresh build. Answers the count of records.
function checkFolder(dir) {
  const done = spawnSync(CHECK, [dir], { encoding: 'utf8', timeout: 300000 })
  assert.strictEqual(done.status, 0, done.stderr + done.stdout)
  return parseInt(done.stdout, 10)
}

module.exports = { Ledger, checkFolder }
