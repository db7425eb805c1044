'use strict'
// People who ask: reads of every kind on kept connections, and connections that come and go, some of them in the middle of a request.
const net = require('node:net')
const { sleep } = require('./soak')

// A target, and what its answer has to hold.
function question(soak) {
  const key = soak.pick(soak.recent)
  return soak.pick([
    () => ['/messages/' + key, key], () => ['/messages/' + key, key], () => [`/messages/${key}/links?limit=10`, '"links"'], () => ['/log?limit=20&reverse=true', '"messages"'],
    () => ['/log?type=post&limit=10&reverse=true', '"messages"'], () => ['/log?type=vote&private=false&limit=10', '"messages"'], () => ['/feeds?limit=20', '"feeds"'],
    () => [`/links?dest=${key}&count=true`, '"count"'], () => ['/types?limit=50', '"types"'], () => ['/log?limit=1000', '"messages"']
  ])()
}

async function asker(soak, pause) {
  const agent = soak.agent()
  while (!soak.over) {
    await soak.up()
    if (soak.recent.length > 0) {
      const [target, wanted] = question(soak)
      const answer = await soak.ask(agent, target)
      if (answer && (answer.status !== 200 || !answer.text.includes(wanted))) soak.fail('queries', `${target}: ${answer.status} ${answer.text.slice(0, 200)}`)
      soak.counts.queries++
    }
    await sleep(soak.between(0, 2 * pause))
  }
}

const WHOLE = 'GET /log?limit=3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
const SOCKET = 'GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

function passerBy(soak) {
  return new Promise((resolve) => {
    const socket = net.connect(soak.server.port, '127.0.0.1')
    const text = soak.pick([WHOLE, WHOLE, WHOLE.slice(0, 20), SOCKET, ''])
    socket.on('error', () => {})
    socket.on('close', resolve)
    socket.on('connect', () => {
      soak.counts.connections++
      socket.write(text)
      if (text === WHOLE) socket.resume()
      else setTimeout(() => soak.chance(0.5) ? socket.destroy() : socket.resetAndDestroy(), 20)
    })
  })
}

async function street(soak, pause) {
  while (!soak.over) {
    await soak.up()
    await passerBy(soak)
    await sleep(soak.between(0, 2 * pause))
  }
}

function start(soak) {
  return [...[20, 30, 40].map((pause) => asker(soak, pause)), street(soak, 20), street(soak, 40)]
}

module.exports = { start }
