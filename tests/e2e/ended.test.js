'use strict'
// Clients whose end is there in the same moment as the last bytes before it.
const test = require('node:test')
const { Server, folder } = require('../support/sluice')
const { Raw } = require('../support/raw')

const GET = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'
const POST = 'POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{'

// Sends the last bytes and the end while the server stands still, so that it finds both at once.
async function ends(server, raw, last) {
  process.kill(server.child.pid, 'SIGSTOP')
  await new Promise((resolve) => raw.socket.end(last, resolve))
  process.kill(server.child.pid, 'SIGCONT')
  await raw.until(() => raw.ended, 'the end')
}

async function connected(t, server) {
  const raw = await Raw.connect({ port: server.port })
  t.after(() => raw.close())
  return raw
}

const started = (t) => Server.start(t, ['--data', folder(t), '--http-threads', '1', '--idle-timeout', '3600'])

// libmicrohttpd stopped reading where there were fewer bytes than it had asked for, and waited for another event until --idle-timeout
for (const [what, last] of Object.entries({ 'a request': GET, 'several requests': GET.repeat(3), 'a part of a body': POST })) {
  test(`an end that comes together with ${what} is noticed`, async (t) => {
    const server = await started(t)
    await ends(server, await connected(t, server), last)
    await server.get('/healthz')
  })
}

// The sweep had looked at the connection before, and did not look again: it was kept for --idle-timeout and --header-timeout.
test('an end that comes together with a part of another request is noticed, whenever it comes', async (t) => {
  const server = await started(t)
  const asked = async () => {
    const raw = await connected(t, server)
    await raw.send(GET)
    await raw.until(() => raw.received().includes('200 OK'), 'the answer')
    return raw
  }
  const waits = await asked()
  await ends(server, await asked(), GET) // a sweep ends this one, and has seen the other one wait
  await ends(server, waits, 'GET /healthz HTTP/1.1\r\nHo')
})
