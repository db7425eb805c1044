'use strict'
// The owner's secret file: who may read it, what it must be, and that nothing of it is ever told.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const ssbKeys = require('ssb-keys')
const { Server, folder, run } = require('../support/sluice')

function secretFile(t) {
  const file = path.join(folder(t), 'secret')
  return { file, keys: ssbKeys.loadOrCreateSync(file) }
}

const serve = (t, file, options) => run(['serve', '--data', folder(t), '--listen', '127.0.0.1:0', '--secret', file], options)
const parts = (keys) => [keys.private, keys.private.slice(4, 40)]

test('a secret that ssb-keys made is taken, and nothing of it is told', async (t) => {
  const { file, keys } = secretFile(t)
  assert.strictEqual(fs.statSync(file).mode & 0o777, 0o400)
  const server = await Server.start(t, ['--data', folder(t), '--secret', file])
  const status = await server.request('/status')
  assert.strictEqual(status.status, 200)
  assert.deepStrictEqual(await server.stop(), { code: 0, signal: null })
  for (const part of parts(keys)) assert.ok(!(server.stdout + server.stderr + status.text).includes(part))
})

test('a secret that others could read or change is refused', (t) => {
  const { file, keys } = secretFile(t)
  for (const mode of [0o440, 0o404, 0o420, 0o601]) {
    fs.chmodSync(file, mode)
    const refused = serve(t, file)
    assert.strictEqual(refused.status, 77, refused.stderr)
    assert.match(refused.stderr, /secret.*chmod 400/)
    for (const part of parts(keys)) assert.ok(!refused.stderr.includes(part))
  }
})

test('what is no secret is refused with its path and a reason', (t) => {
  const { file, keys } = secretFile(t)
  const other = ssbKeys.generate()
  const whole = JSON.parse(JSON.stringify(keys))
  for (const [text, why] of [
    ['', /JSON object/], [keys.private, /JSON object/], ['{}', /"private"/],
    [JSON.stringify({ ...whole, public: other.public }), /"public"/], [JSON.stringify({ ...whole, id: other.id }), /id/],
    [JSON.stringify({ ...whole, curve: 'k256' }), /curve/]
  ]) {
    fs.rmSync(file, { force: true })
    fs.writeFileSync(file, text, { mode: 0o600 })
    const refused = serve(t, file)
    assert.strictEqual(refused.status, 65, refused.stderr)
    assert.ok(refused.stderr.includes(file), refused.stderr)
    assert.match(refused.stderr, why)
    for (const part of parts(keys)) assert.ok(!refused.stderr.includes(part))
  }
  fs.rmSync(file)
  const missing = serve(t, file)
  assert.strictEqual(missing.status, 66, missing.stderr)
  assert.ok(missing.stderr.includes(file))
})

test('only serve takes a secret, from the environment as well', (t) => {
  const { file } = secretFile(t)
  const cat = run(['cat', '--data', folder(t), '--secret', file])
  assert.strictEqual(cat.status, 64, cat.stderr)
  assert.match(cat.stderr, /--secret/)
  const named = run(['serve', '--data', folder(t), '--listen', '127.0.0.1:0'], { env: { SLUICE_SECRET: file + '.not-there' } })
  assert.strictEqual(named.status, 66, named.stderr)
})
