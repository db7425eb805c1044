'use strict'
// Descriptors: the program takes as many as it may have, never accepts more than it can hold, and says so instead of falling silent.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { spawnSync } = require('node:child_process')
const { BIN, Server, folder, generate, importLines, until } = require('../support/sluice')
const { Raw } = require('../support/raw')

const lines = generate(20, '--seed', '51', '--authors', '3')

// The program behind a shell's `ulimit`.
function limited(t, limit) {
  const bin = path.join(folder(t), 'limited')
  fs.writeFileSync(bin, `#!/bin/sh\nulimit ${limit} && exec '${BIN}' "$@"\n`, { mode: 0o755 })
  return bin
}

const open = (server) => fs.readdirSync(`/proc/${server.child.pid}/fd`).length
const status = (raw) => Number(/^HTTP\/1\.1 (\d+)/.exec(raw.received().toString('latin1'))?.[1] || 0)

async function asked(server) {
  const raw = await Raw.connect({ port: server.port })
  await raw.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await raw.until(() => status(raw) !== 0 || raw.ended, 'an answer')
  return raw
}

test('a soft limit is raised: it is no limit of the server', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, lines), '--connections-max', '500'], { bin: limited(t, '-Sn 64') })
  const raws = []
  t.after(() => raws.forEach((raw) => raw.close()))
  while (raws.length < 200) raws.push(await asked(server))
  assert.ok(raws.every((raw) => status(raw) === 200))
  assert.ok(open(server) > 200)
  assert.strictEqual(server.stderr.includes('few_descriptors'), false)
})

test('a hard limit below connections-max is told, and the connection that would be too many is answered with 503', async (t) => {
  const HARD = 200
  const server = await Server.start(t, ['--data', importLines(t, lines), '--connections-max', '5000'], { bin: limited(t, `-n ${HARD}`) })
  assert.match(server.stderr, new RegExp(`few_descriptors.*limit=${HARD}\\b`))
  const raws = []
  t.after(() => raws.forEach((raw) => raw.close()))
  while (raws.length < HARD && (raws.length === 0 || status(raws.at(-1)) === 200)) raws.push(await asked(server))
  assert.strictEqual(status(raws.at(-1)), 503, `${raws.length} connections`)
  assert.match(raws.at(-1).received().toString(), /too many connections/)
  assert.ok(raws.length > 50, `${raws.length} connections are few`)
  // there are descriptors left for everything else, and room again when somebody goes
  assert.strictEqual(server.stderr.includes('accept_paused'), false)
  raws[0].close()
  await until(async () => {
    const raw = await asked(server)
    raws.push(raw)
    return status(raw) === 200
  }, 'room for another one')
  assert.strictEqual((await server.stop()).code, 0, server.stderr)
})

// The server's soft limit, from outside; the hard one stays.
function limit(server, soft) {
  const done = spawnSync('prlimit', ['--pid', String(server.child.pid), `--nofile=${soft}:`], { encoding: 'utf8' })
  assert.strictEqual(done.status, 0, done.stderr)
}

test('without descriptors the doors rest, those who are in are answered, and the others when there are some again', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, lines), '--connections-max', '100'])
  const soft = /^Max open files +(\d+)/m.exec(fs.readFileSync(`/proc/${server.child.pid}/limits`, 'utf8'))[1]
  const inside = await asked(server)
  const answers = () => inside.received().toString('latin1').split('HTTP/1.1 200').length - 1
  limit(server, 3)
  const outside = await Raw.connect({ port: server.port })
  t.after(() => [inside, outside].forEach((raw) => raw.close()))
  await outside.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await until(() => (server.stderr.match(/accept_paused detail="EMFILE"/g) || []).length > 1, () => `the doors to rest, and to look again: ${server.stderr}`)
  await inside.send('GET /log?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await inside.until(() => answers() === 2, 'an answer meanwhile')
  assert.strictEqual(status(outside), 0)
  limit(server, soft)
  await outside.until(() => status(outside) === 200, 'the answer')
  assert.strictEqual((await server.stop()).code, 0, server.stderr)
})
