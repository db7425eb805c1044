'use strict'
// What all parts of a soak share: the server and its restarts, what was acknowledged, and what went wrong.
const fs = require('node:fs')
const http = require('node:http')
const { makeRandom } = require('../support/random')
const { Server } = require('../support/sluice')

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

class Soak {
  constructor({ dir, seed, inject }) {
    this.dir = dir
    this.seed = seed
    this.inject = inject
    this.random = makeRandom(seed).fraction
    this.problems = new Map() // check -> sentences
    this.acknowledged = new Map() // key -> seq, or -1 where the answer names none
    this.recent = [] // keys of some acknowledged messages, to ask for
    this.counts = { appended: 0, queries: 0, frames: 0, readers: 0, connections: 0, restarts: 0, relaxedLost: 0 }
    this.probes = new Map() // key -> when its message was sent, until it has come back live
    this.lag = { live: [], views: [] } // ms, since the last sample
    this.generation = 0 // of the server's process
    this.down = false
    this.over = false // no more load
    this.endings = []
    this.agents = []
  }

  after(ending) { this.endings.push(ending) }

  // One kept connection, until hangUp.
  agent() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    this.agents.push(agent)
    return agent
  }

  hangUp() { this.agents.splice(0).forEach((agent) => agent.destroy()) }

  fail(check, text) {
    if (!this.problems.has(check)) this.problems.set(check, [])
    const list = this.problems.get(check)
    list.push(text)
    if (list.length <= 3) process.stderr.write(`  ${check}: ${text}\n`)
  }

  chance(p) { return this.random() < p }
  pick(list) { return list[Math.floor(this.random() * list.length)] }
  between(low, high) { return low + this.random() * (high - low) }

  async start(options) {
    this.server = await Server.start(this, ['--data', this.dir, '--heartbeat', '5'], options)
  }

  // SIGTERM has to end it cleanly; after either signal it has to come back. between() is called while it is down.
  async restart(signal, between) {
    this.down = true
    this.probes.clear()
    this.killedAt = signal === 'SIGKILL' ? Date.now() : Infinity
    const { code } = await this.server.stop(signal)
    if (signal === 'SIGTERM' && code !== 0) this.fail('exit', `SIGTERM ended it with ${code}: ${this.server.stderr.slice(-500)}`)
    await between?.()
    await this.server.launch()
    this.generation++
    this.counts.restarts++
    this.down = false
  }

  async up() {
    while (this.down) await sleep(5)
  }

  // A relaxed message may not be shown yet, so nobody asks for it.
  acknowledge(key, seq, relaxed) {
    this.acknowledged.set(key, seq)
    this.counts.appended++
    if (relaxed) return
    if (this.recent.length < 20000) this.recent.push(key)
    else this.recent[Math.floor(this.random() * this.recent.length)] = key
  }

  // One request on the agent's connections; undefined if the server was ended meanwhile, an error if it was not.
  async ask(agent, target, { method = 'GET', headers = {}, body } = {}) {
    const { generation, port } = { generation: this.generation, port: this.server.port }
    try {
      return await request({ agent, port, method, path: target, headers }, body)
    } catch (err) {
      if (this.down || generation !== this.generation) return undefined
      // the process may be gone before anybody here has heard of it
      await sleep(50)
      if (this.down || generation !== this.generation) return undefined
      throw new Error(`${method} ${target}: ${err.message}`)
    }
  }

  async end() {
    this.hangUp()
    for (const ending of this.endings.reverse()) await ending()
  }
}

function request(options, body) {
  return new Promise((resolve, reject) => {
    const req = http.request({ host: '127.0.0.1', timeout: 60000, ...options }, (res) => {
      const chunks = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('error', reject)
      res.on('aborted', () => reject(new Error('the answer was cut')))
      res.on('end', () => resolve({ status: res.statusCode, text: Buffer.concat(chunks).toString('utf8') }))
    })
    req.on('timeout', () => req.destroy(new Error('no answer in 60 s')))
    req.on('error', reject)
    req.end(body)
  })
}

// Cuts the last records off the log that nobody has open: what a disk that lies about its sync would do.
function forget(file, count) {
  const bytes = fs.readFileSync(file)
  let end = bytes.length
  for (let i = 0; i < count; i++) end -= bytes.readUInt32BE(end - 12) + 16
  fs.truncateSync(file, end)
}

module.exports = { Soak, sleep, forget }
