'use strict'
// Requests of many connections that can all be read in the same moment.
const test = require('node:test')
const assert = require('node:assert')
const net = require('node:net')
const { Server, folder, until } = require('../support/sluice')

// Each of `count` kept connections sends a request when ask() is called; `answers` is what they were answered.
function connections(t, port, count) {
  const answers = []
  const sockets = Array.from({ length: count }, () => {
    const socket = net.connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    let text = ''
    socket.on('data', (data) => {
      text += data
      if (!text.endsWith('\r\n\r\n')) return
      answers.push(text.slice(0, text.indexOf('\r\n')))
      text = ''
    })
    return socket
  })
  const ask = () => Promise.all(sockets.map((socket) => new Promise((resolve) => {
    socket.write('HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n', resolve)
  })))
  return { answers, ask }
}

// libmicrohttpd looks for up to 128 events, and where it got as many it waited for others before it looked at these
test('as many requests at once as are looked for at once', async (t) => {
  const server = await Server.start(t, ['--data', folder(t), '--http-threads', '1'])
  const { answers, ask } = connections(t, server.port, 128)
  const all = (times) => until(() => answers.length === 128 * times, () => `${128 * times} answers, ${answers.length} came`)
  await ask()
  await all(1)
  for (let times = 2; times <= 4; times++) {
    process.kill(server.child.pid, 'SIGSTOP')
    await ask()
    process.kill(server.child.pid, 'SIGCONT')
    await all(times)
  }
  assert.deepStrictEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']))
})
