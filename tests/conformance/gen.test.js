'use strict'
// What tests/support/gen.c makes is judged by npm ssb-validate and ssb-keys: its feeds, ids, signatures and stored form.

const { test } = require('node:test')
const assert = require('node:assert')
const { spawnSync } = require('node:child_process')
const ssbValidate = require('ssb-validate')

function generate (...options) {
  const program = process.env.SLUICE_TEST_GEN
  assert.ok(program, 'SLUICE_TEST_GEN must name the gen program')
  const run = spawnSync(program, options, { maxBuffer: 1 << 28, encoding: 'utf8' })
  assert.strictEqual(run.status, 0, run.stderr)
  return run.stdout.split('\n').slice(0, -1)
}

function judge (lines, hmac) {
  const feeds = new Map()
  for (const line of lines) {
    const record = JSON.parse(line)
    assert.strictEqual(JSON.stringify(record), line, 'the line must be what JSON.stringify writes')
    const { key, value } = record
    const error = ssbValidate.checkInvalid(feeds.get(value.author) || null, hmac, value)
    assert.ok(!error, `${line}: ${error && error.message}`)
    assert.strictEqual(key, ssbValidate.id(value))
    feeds.set(value.author, { id: key, sequence: value.sequence, timestamp: value.timestamp })
  }
  return feeds
}

test('plain records are valid feeds', () => {
  const lines = generate('2000', '--authors', '60', '--seed', '7')
  assert.strictEqual(lines.length, 2000)
  assert.strictEqual(judge(lines, null).size, 60)
})

test('records with quirks are valid feeds', () => {
  const lines = generate('4000', '--authors', '60', '--seed', '8', '--quirks')
  judge(lines, null)
  const times = lines.map((line) => JSON.parse(line).timestamp)
  assert.ok(times.some((time, i) => i > 0 && time === times[i - 1]), 'some must be received at the same time')
})

test('records of a network with an HMAC key are valid there only', () => {
  const hmac = Buffer.alloc(32, 5).toString('base64')
  const lines = generate('100', '--authors', '5', '--hmac', hmac)
  judge(lines, hmac)
  assert.throws(() => judge(lines, null))
})

test('the mix of types is that of the real network', () => {
  const counts = {}
  const lines = generate('6000', '--authors', '100')
  for (const line of lines) {
    const { content } = JSON.parse(line).value
    const type = typeof content === 'string' ? 'encrypted' : content.type
    counts[type] = (counts[type] || 0) + 1
  }
  const expected = { encrypted: 7, vote: 40, post: 30, contact: 12, about: 8 }
  for (const [type, percent] of Object.entries(expected)) {
    const got = 100 * counts[type] / lines.length
    assert.ok(Math.abs(got - percent) < 3, `${type}: ${got} %`)
  }
  for (const type of ['channel', 'pub', 'git-repo', 'git-update']) assert.ok(counts[type] > 0, type)
})
