'use strict'
// A node as people run it, for tests: secret-stack with ssb-db, its log in DIR/flume, its door DIR/socket (no handshake), private messages.
// As a module: home(t) is the folder of one, which goes with the test after every node that ran there; startNode runs one in a process of its own:
// { child, id, call(name, ...args), stop(signal) }.
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')

function main(dir) {
  const ssbKeys = require('ssb-keys')
  const stack = require('secret-stack')({ caps: { shs: '1KHLiKZvAvjbY1ziZEHMXawbCEIM6qwjCDm3VYRan/s=' } })
  const node = stack.use(require('ssb-db')).use(require('ssb-master')).use(require('ssb-unix-socket')).use(require('ssb-no-auth')).use(require('ssb-private1'))({
    path: dir,
    keys: ssbKeys.loadOrCreateSync(path.join(dir, 'secret')),
    connections: { incoming: { unix: [{ scope: 'device', transform: 'noauth' }] }, outgoing: {} },
    timers: { inactivity: -1 }
  })
  // What a test asks of the node itself, one JSON array a line: [number, name, ...args].
  let rest = ''
  process.stdin.setEncoding('utf8').on('data', (data) => {
    const lines = (rest + data).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      const [number, name, ...args] = JSON.parse(line)
      node[name](...args, (err, value) => console.log(JSON.stringify({ number, err: err && err.message, value })))
    }
  })
  process.stdin.on('end', () => process.exit())
  // a socket that a killed node left behind is a file, but no door
  const knock = () => {
    const socket = net.connect(path.join(dir, 'socket'))
    socket.on('connect', () => { socket.destroy(); console.log(JSON.stringify({ id: node.id })) })
    socket.on('error', () => setTimeout(knock, 5))
  }
  knock()
}

const running = new Map()

function home(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-node-'))
  running.set(dir, [])
  t.after(async () => {
    await Promise.all(running.get(dir).map((stop) => stop()))
    fs.rmSync(dir, { recursive: true, force: true })
  })
  return dir
}

async function startNode(dir) {
  const child = spawn(process.execPath, [__filename, dir], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, HOME: dir } })
  const waiting = new Map()
  let stderr = ''
  let rest = ''
  let ready
  const id = new Promise((resolve, reject) => { ready = { resolve, reject } })
  child.stderr.on('data', (data) => { stderr += data })
  child.stdin.on('error', () => {})
  child.stdout.setEncoding('utf8').on('data', (data) => {
    const lines = (rest + data).split('\n')
    rest = lines.pop()
    for (const line of lines.filter((text) => text.startsWith('{'))) {
      const said = JSON.parse(line)
      if (said.id) { ready.resolve(said.id); continue }
      const call = waiting.get(said.number)
      waiting.delete(said.number)
      if (said.err) call.reject(new Error(said.err))
      else call.resolve(said.value)
    }
  })
  const exited = new Promise((resolve) => child.on('close', (code, signal) => {
    ready.reject(new Error(`the node ended with ${code || signal}: ${stderr}`))
    for (const call of waiting.values()) call.reject(new Error('the node ended: ' + stderr))
    resolve({ code, signal })
  }))
  const stop = (signal = 'SIGKILL') => { child.kill(signal); return exited }
  running.get(dir).push(stop)
  let number = 0
  const call = (name, ...args) => new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject })
    child.stdin.write(JSON.stringify([number, name, ...args]) + '\n')
  })
  return { child, id: await id, call, stop, exited }
}

if (require.main === module) main(process.argv[2])
else module.exports = { home, startNode }
