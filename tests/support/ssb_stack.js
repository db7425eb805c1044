'use strict'
// The JavaScript stack as an oracle, in a process of its own: secret-stack with ssb-db (its log in DIR/flume) and the plugins that people build frontends on, or with ssb-db2 and
// ssb-threads. As a module: stack(t, kind, keys) starts one for the owner of these keys, in a folder that goes with it: { id, dir, call(name, ...args), source(name, ...args) }, where source
// collects a pull-stream.
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const readline = require('node:readline')

const CAPS = { shs: '1KHLiKZvAvjbY1ziZEHMXawbCEIM6qwjCDm3VYRan/s=' }

const plugins = {
  db: () => [require('ssb-db'), require('ssb-private1'), require('ssb-backlinks'), require('ssb-about'), require('ssb-friends')],
  db2: () => [require('ssb-db2/core'), require('ssb-classic'), require('ssb-box'), require('ssb-db2/compat/publish'), require('ssb-db2/compat/post'), require('ssb-threads')]
}

function main(kind, dir) {
  const ssbKeys = require('ssb-keys')
  const pull = require('pull-stream')
  const stack = require('secret-stack')({ caps: CAPS })
  for (const plugin of plugins[kind]()) stack.use(plugin)
  const keys = ssbKeys.loadOrCreateSync(path.join(dir, 'secret'))
  const ssb = stack({ path: dir, keys, connections: { incoming: {}, outgoing: {} }, friends: { hops: 3, hookAuth: false }, db2: { addBatchThrottle: 1 } })
  const feeds = new Map()
  const own = {
    // Publishes in the name of somebody: the owner (0) or a feed that is made for it.
    publish(who, content, recps, cb) {
      if (who > 0 && !feeds.has(who)) feeds.set(who, ssb.createFeed(ssbKeys.generate(null, Buffer.alloc(32, who))))
      const feed = who === 0 ? ssb : feeds.get(who)
      feed.publish(recps ? ssbKeys.box(content, recps) : content, (err, message) => cb(err, message))
    },
    add(values, cb) {
      let left = values.length
      for (const value of values) ssb.db.add(value, (err) => { if (err) return cb(err); if (--left === 0) ssb.db.onDrain('base', () => cb()) })
    },
    source(name, args, cb) {
      const [space, method] = name.split('.')
      const source = method ? ssb[space][method](...args) : ssb[space](...args)
      pull(source, pull.collect(cb))
    }
  }
  const call = (name, args, cb) => {
    if (own[name]) return own[name](...args, cb)
    const [space, method] = name.split('.')
    return method ? ssb[space][method](...args, cb) : ssb[space](...args, cb)
  }
  console.log(JSON.stringify({ id: ssb.id }))
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    const [number, name, ...args] = JSON.parse(line)
    call(name, args, (err, value) => console.log(JSON.stringify({ number, err: err && (err.stack || String(err)), value })))
  }).on('close', () => process.exit())
}

async function stack(t, kind, keys) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-stack-'))
  fs.writeFileSync(path.join(dir, 'secret'), JSON.stringify(keys), { mode: 0o400 })
  const child = spawn(process.execPath, [__filename, kind, dir], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, HOME: dir } })
  const waiting = new Map()
  let stderr = '', number = 0, ready
  const id = new Promise((resolve, reject) => { ready = { resolve, reject } })
  child.stderr.on('data', (data) => { stderr += data })
  child.stdin.on('error', () => {})
  readline.createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('{')) return
    const said = JSON.parse(line)
    if (said.id) return ready.resolve(said.id)
    const { resolve, reject } = waiting.get(said.number)
    waiting.delete(said.number)
    if (said.err) reject(new Error(said.err))
    else resolve(said.value)
  })
  const exited = new Promise((resolve) => child.on('close', (code) => {
    const over = new Error(`the stack ended with ${code}: ${stderr}`)
    ready.reject(over)
    for (const { reject } of waiting.values()) reject(over)
    resolve()
  }))
  t.after(async () => {
    child.kill('SIGKILL')
    await exited
    fs.rmSync(dir, { recursive: true, force: true })
  })
  const call = (name, ...args) => new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject })
    child.stdin.write(JSON.stringify([number, name, ...args]) + '\n')
  })
  return { id: await id, dir, call, source: (name, ...args) => call('source', name, args) }
}

if (require.main === module) main(process.argv[2], process.argv[3])
else module.exports = { stack }
