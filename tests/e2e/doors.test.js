'use strict'
// Where the server listens: socket files that are left over, in use or none, ports in use, IPv6, and how it says where it is.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { spawnSync } = require('node:child_process')
const { Server, folder, run, until } = require('../support/sluice')

const ANY = '127.0.0.1:0'
const [USAGE, NO_INPUT, IN_USE] = [64, 66, 75]
const WITHOUT_V6 = Object.values(os.networkInterfaces()).flat().some(({ address }) => address === '::1') ? false : 'this machine has no IPv6'

function refused(t, doors, status, text) {
  const done = run(['serve', '--data', folder(t), ...doors.flatMap((door) => ['--listen', door])], { timeout: 20000 })
  assert.strictEqual(done.status, status, `${doors}: ${done.stderr}`)
  assert.match(done.stderr, text)
}

function answers(where) {
  return new Promise((resolve, reject) => {
    http.get({ path: '/healthz', agent: false, ...where }, (res) => { res.resume(); resolve(res.statusCode) }).on('error', reject)
  })
}

test('a socket file that nobody listens at any more is taken over', async (t) => {
  const door = path.join(folder(t), 'door')
  const first = await Server.start(t, ['--data', folder(t), '--listen', ANY, '--listen', 'unix:' + door])
  await first.stop('SIGKILL')
  assert.ok(fs.existsSync(door))
  const second = await Server.start(t, ['--data', folder(t), '--listen', ANY, '--listen', 'unix:' + door])
  assert.strictEqual(await answers({ socketPath: door, headers: { Host: 'localhost' } }), 200)
  refused(t, ['unix:' + door], IN_USE, /door: another process listens there/)
  assert.strictEqual(await answers({ socketPath: door, headers: { Host: 'localhost' } }), 200)
  // what has taken its place meanwhile is not the server's to remove
  fs.rmSync(door)
  fs.writeFileSync(door, 'mine')
  assert.strictEqual((await second.stop()).code, 0)
  assert.strictEqual(fs.readFileSync(door, 'utf8'), 'mine')
})

test('a file that is no socket is left alone', (t) => {
  const door = path.join(folder(t), 'door')
  fs.writeFileSync(door, 'letters')
  refused(t, ['unix:' + door], IN_USE, /door: is there already and is no socket/)
  assert.strictEqual(fs.readFileSync(door, 'utf8'), 'letters')
  refused(t, ['unix:' + path.join(door, 'in', 'it')], NO_INPUT, /door/)
  refused(t, ['unix:' + path.join(folder(t), 'none', 'door')], NO_INPUT, /none/)
})

test('a port that somebody has is named', async (t) => {
  const other = net.createServer().listen(0, '127.0.0.1')
  t.after(() => other.close())
  await until(() => other.listening, 'another program to listen')
  const { port } = other.address()
  refused(t, ['127.0.0.1:' + port], IN_USE, new RegExp(`--listen 127.0.0.1:${port}: another process listens there`))
})

test('IPv6: by its address, and all addresses of both kinds', { skip: WITHOUT_V6 }, async (t) => {
  const loopback = await Server.start(t, ['--data', folder(t), '--listen', '[::1]:0'])
  await until(() => /http:\/\/\[::1\]:\d+\//.test(loopback.stdout), () => `its address in ${loopback.stdout}`)
  assert.strictEqual(await answers({ host: '::1', port: loopback.port }), 200)
  const all = await Server.start(t, ['--data', folder(t), '--public', '--listen', '[::]:0'])
  for (const host of ['::1', '127.0.0.1']) assert.strictEqual(await answers({ host, port: all.port }), 200, host)
  // one kind each, on one port
  const half = net.createServer().listen(0, '127.0.0.1')
  await until(() => half.listening, 'a port')
  const { port } = half.address()
  t.after(() => half.close())
  const beside = await Server.start(t, ['--data', folder(t), '--public', '--listen', '[::]:' + port])
  assert.strictEqual(await answers({ host: '::1', port: beside.port }), 200)
})

test('localhost is both of its addresses, on one port', async (t) => {
  const server = await Server.start(t, ['--data', folder(t), '--listen', 'localhost:0'])
  assert.strictEqual(await answers({ host: '127.0.0.1', port: server.port }), 200)
  if (WITHOUT_V6) return
  assert.strictEqual(await answers({ host: '::1', port: server.port }), 200)
  const healthy = run(['healthcheck', '--url', `http://[::1]:${server.port}`])
  assert.strictEqual(healthy.status, 0, healthy.stderr)
})

test('what is no place to listen at is told, and how one is written', (t) => {
  for (const door of ['8990', ':8990', '127.0.0.1', '127.0.0.1:', '127.0.0.1:70000', '127.0.0.1:8x', '::1:8990', '[]:8990', `${'h'.repeat(300)}:1`]) {
    refused(t, [door], USAGE, /HOST:PORT|--listen/)
  }
  refused(t, ['unix:'], USAGE, /unix:.*1 to 107 bytes/)
  refused(t, ['unix:/' + 'x'.repeat(107)], USAGE, /1 to 107 bytes/)
})

test('what it says to try can be pasted into a shell', async (t) => {
  const door = path.join(folder(t), "it's a door")
  const tokens = path.join(folder(t), 'the tokens')
  fs.writeFileSync(tokens, 'a-secret-token-of-24-chars\n', { mode: 0o600 })
  const server = await Server.start(t, ['--data', folder(t), '--token-file', tokens, '--listen', 'unix:' + door, '--listen', ANY])
  await until(() => server.stdout.includes('/links'), 'the banner')
  const lines = server.stdout.split('\n').filter((line) => line.startsWith('  curl '))
  assert.ok(lines.length >= 3, server.stdout)
  for (const line of lines) {
    const done = spawnSync('sh', ['-c', `${line.replace('curl', 'curl -s -o /dev/null -w "%{http_code}"')}`], { encoding: 'utf8' })
    assert.strictEqual(done.stdout, '200', `${line}: ${done.stderr}`)
  }
})

test('a port file that cannot be written is an error', (t) => {
  const file = path.join(folder(t), 'none', 'port')
  const done = run(['serve', '--data', folder(t), '--listen', ANY, '--port-file', file])
  assert.strictEqual(done.status, NO_INPUT, done.stderr)
  assert.match(done.stderr, /port file/)
})
