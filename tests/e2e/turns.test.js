'use strict'
// Many clients take as much as they are given: they take turns, and each gets what it would get alone.
const test = require('node:test')
const assert = require('node:assert')
const http = require('node:http')
const { Server, generate, importLines, until } = require('../support/sluice')

const CLIENTS = 9
const ASKED = [
  ['/log', { Accept: 'application/x-ndjson' }],
  ['/log', { Accept: 'text/event-stream' }],
  ['/log?limit=1000', {}]
]

// The answer, of which nothing is read until read() is called.
function ask(server, target, headers) {
  return new Promise((resolve, reject) => {
    const req = http.get(server.url + target, { headers, agent: false }, (res) => {
      const read = () => new Promise((resolve, reject) => {
        const parts = []
        res.on('data', (part) => parts.push(part)).on('end', () => resolve(Buffer.concat(parts).toString())).on('error', reject)
      })
      resolve({ read, destroy: () => req.destroy() })
    })
    req.on('error', reject)
  })
}

const turns = async (server) => (await server.get('/status')).counters.http_turns

test('clients that take turns get what each gets alone', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, generate(3000, '--seed', '21', '--authors', '30'))])
  const alone = []
  for (const [target, headers] of ASKED) alone.push(await (await ask(server, target, headers)).read())
  assert.strictEqual(await turns(server), 0)
  const all = []
  for (let i = 0; i < CLIENTS; i++) all.push(await ask(server, ...ASKED[i % ASKED.length]))
  const texts = await Promise.all(all.map((answer) => answer.read()))
  texts.forEach((text, i) => assert.ok(text === alone[i % alone.length], `answer ${i} is another one`))
  assert.ok(await turns(server) > 0)
})

test('clients that vanish in the middle of their turns hold up nobody', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, generate(3000, '--seed', '22', '--authors', '30'))])
  const [target, headers] = ASKED[0]
  const alone = await (await ask(server, target, headers)).read()
  for (let round = 0; round < 3; round++) {
    const all = []
    for (let i = 0; i < CLIENTS; i++) all.push(await ask(server, ...ASKED[i % ASKED.length]))
    const kept = await ask(server, target, headers)
    for (const answer of all) answer.destroy()
    assert.ok(await kept.read() === alone)
  }
  await until(async () => (await server.get('/status')).counters.connections <= 1, 'the others to be gone')
})
