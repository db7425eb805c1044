'use strict'
// The attacks. Each gets { port, begun(), say(text) } and goes on until it is killed; begun() is called when it is in full swing.
const net = require('node:net')
const { spawn } = require('node:child_process')
const { frame } = require('../support/raw')

const MIB = 1 << 20
const GET = (target, fields = '') => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`
const UPGRADE = (target) => GET(target, 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n')
const POST = (fields) => `POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${fields}\r\n`

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// A connection, from one of several addresses of this machine; null if it was turned away at once.
function connect(port, from = 1) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.' + from, noDelay: true })
    socket.on('error', () => resolve(null))
    socket.on('close', () => { socket.gone = true })
    socket.on('connect', () => resolve(socket))
  })
}

// `count` places, each taken by one connection after the other: `live` is one connection's life.
async function crowd({ port, begun }, count, live, addresses = 1) {
  let there = 0
  const place = async (i) => {
    for (;;) {
      const socket = await connect(port, 1 + i % addresses)
      if (++there === count) begun()
      if (socket) await live(socket, i)
      if (socket && !socket.gone) socket.destroy()
      await sleep(socket ? 5 : 100)
    }
  }
  for (let i = 0; i < count; i++) {
    place(i)
    if (i % 200 === 199) await sleep(20)
  }
  await new Promise(() => {})
}

const closed = (socket) => new Promise((resolve) => socket.gone ? resolve() : socket.once('close', resolve))
const piece = (socket, data) => new Promise((resolve) => socket.gone ? resolve(false) : socket.write(data, (err) => resolve(!err)))

// In pieces: a kernel without preemption lets nobody else onto this CPU before a system call is over, the healthy client neither.
const PIECE = 16 << 10
async function write(socket, data) {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  for (let at = PIECE; at < bytes.length; at += PIECE) if (!await piece(socket, bytes.subarray(at - PIECE, at))) return false
  return piece(socket, bytes.subarray(Math.floor((bytes.length - 1) / PIECE) * PIECE))
}

// A byte every `ms`, until the server has enough.
async function drip(socket, text, ms) {
  socket.resume()
  await write(socket, text)
  while (!socket.gone) {
    await sleep(ms)
    await write(socket, 'x')
  }
}

async function upgraded(socket, target = '/live?subscribe=false') {
  await write(socket, UPGRADE(target))
  return new Promise((resolve) => {
    socket.once('data', (data) => resolve(data.includes('101')))
    socket.once('close', () => resolve(false))
  })
}

// slowhttptest, which Debian has.
function slowhttptest({ port, begun, say }, ...args) {
  const target = args.includes('-X') ? '/log?limit=1000' : args.includes('-B') ? '/log' : '/'
  const child = spawn('slowhttptest', ['-u', `http://127.0.0.1:${port}${target}`, '-l', '3600', '-p', '5', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  process.on('exit', () => child.kill('SIGKILL'))
  child.on('error', (err) => say('slowhttptest: ' + err.message))
  setTimeout(begun, 3000)
  return new Promise(() => {})
}

module.exports = {
  'slow headers (slowhttptest -H)': (to) => slowhttptest(to, '-H', '-c', '1500', '-r', '1000', '-i', '1'),
  'slow bodies (slowhttptest -B)': (to) => slowhttptest(to, '-B', '-c', '1500', '-r', '1000', '-i', '1', '-s', '8192', '-t', 'POST', '-f', 'application/json'),
  'slow reading (slowhttptest -X)': (to) => slowhttptest(to, '-X', '-c', '1500', '-r', '1000', '-w', '10', '-y', '20', '-n', '5', '-z', '32', '-k', '3'),

  '5,000 idle sockets': (to) => crowd(to, 5000, (socket) => { socket.resume(); return closed(socket) }, 4),

  'handshakes that never end': (to) => crowd(to, 1500, (socket) => drip(socket, UPGRADE('/live').slice(0, -2) + 'X: ', 200)),

  // each asks for all there is and reads nothing
  'stopped readers of NDJSON': (to) => crowd(to, 300, (socket) => { write(socket, GET('/log?live=true', 'Accept: application/x-ndjson\r\n')); return closed(socket) }),
  'stopped readers of SSE': (to) => crowd(to, 300, (socket) => { write(socket, GET('/log?live=true', 'Accept: text/event-stream\r\n')); return closed(socket) }),
  'stopped readers of WebSockets': (to) => crowd(to, 300, (socket) => { write(socket, UPGRADE('/live')); return closed(socket) }),

  // a million of them in ten messages, again and again
  'one-byte fragments': (to) => {
    const LENGTH = 60000, text = '{"op":"nothing","id":"x"}'.padEnd(LENGTH)
    const message = Buffer.concat(Array.from(text, (c, i) => frame(i === 0 ? 1 : 0, c, { fin: i === LENGTH - 1 })))
    return crowd(to, 4, async (socket) => {
      if (!await upgraded(socket)) return
      socket.resume()
      while (await write(socket, message));
    })
  },

  // 25,000 on each socket, and its answers are read
  'subscriptions without end': (to) => {
    const asks = Array.from({ length: 250 }, (_, k) => Buffer.concat(Array.from({ length: 100 }, (_, i) => frame(1, `{"op":"sub","id":"s${k * 100 + i}","old":false}`))))
    return crowd(to, 4, async (socket) => {
      if (!await upgraded(socket)) return
      socket.resume()
      for (const part of asks) if (!await write(socket, part)) return
      await sleep(200)
    })
  },

  'JSON nested without end': (to) => {
    const bodies = ['['.repeat(MIB), '{"a":'.repeat(200000), '['.repeat(500000) + ']'.repeat(500000)].map((text) => Buffer.from(POST(`Content-Length: ${text.length}\r\n`) + text))
    const deep = frame(1, '[{"op":'.repeat(8000))
    return crowd(to, 6, async (socket, i) => {
      if (i % 2 && !await upgraded(socket)) return
      socket.resume()
      while (await write(socket, i % 2 ? deep : bodies[Math.floor(Math.random() * bodies.length)])) await sleep(5)
    })
  },

  'bodies of a gigabyte': (to) => {
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB, 32), Buffer.from('\r\n')])
    return crowd(to, 8, async (socket, i) => {
      socket.resume()
      await write(socket, POST(i % 2 ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${1024 * MIB}\r\n`))
      for (let sent = 0; sent < 1024; sent++) if (!await write(socket, i % 2 ? chunk : chunk.subarray(8, 8 + MIB))) return
    })
  },

  'queries that take long': (to) => {
    const asks = [GET('/log?q=%22the%20the%22'), GET('/log?q=%22a%20the%22&limit=1000'), GET('/links?rel=vote&count=true'),
      GET('/log?q=%22the%20the%22', 'Accept: application/x-ndjson\r\n'), GET('/threads?limit=1000')]
    return crowd(to, 40, async (socket, i) => {
      const answered = () => new Promise((resolve) => socket.gone ? resolve(false) : socket.once('data', () => resolve(true)))
      socket.on('data', () => {})
      for (let k = i; await write(socket, asks[k % asks.length]) && await answered(); k++);
    })
  },

  'connections that come and go': (to) => {
    const ways = ['', GET('/log?limit=3', 'Connection: close\r\n'), 'GET /log?lim', UPGRADE('/live'), GET('/log?live=true', 'Accept: text/event-stream\r\n')]
    return crowd(to, 40, async (socket, i) => {
      socket.resume()
      await write(socket, ways[i % ways.length])
      if (i % ways.length === 1) await closed(socket)
      else socket.resetAndDestroy()
    })
  }
}
