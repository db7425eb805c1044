'use strict'
// Appends of valid messages from the generator: single ones, batches, relaxed ones. What is not acknowledged when the server ends is sent again.
const { spawn } = require('node:child_process')
const readline = require('node:readline')
const { GEN } = require('../support/sluice')
const { sleep } = require('./soak')

const FLUSHED_MS = 1000 // a relaxed message that was acknowledged so long before kill -9 has to be there; promised are 200

// Messages without end, each feed in its order. Every writer has feeds of its own.
function messages(soak, seed, authors) {
  const child = spawn(GEN, ['100000000', '--seed', String(seed), '--authors', String(authors)], { stdio: ['ignore', 'pipe', 'inherit'] })
  soak.after(() => child.kill('SIGKILL'))
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return async (count) => {
    const list = []
    while (list.length < count) {
      const { value, done } = await lines.next()
      if (done) throw new Error('the generator ended')
      const at = value.indexOf(',"value":')
      list.push({ key: JSON.parse(value.slice(7, at)), value: value.slice(at + 9, value.lastIndexOf(',"timestamp":')) })
    }
    return list
  }
}

class Writer {
  constructor(soak, name, seed, authors) {
    this.soak = soak
    this.name = name
    this.take = messages(soak, seed, authors)
    this.agent = soak.agent()
    this.relaxed = [] // acknowledged, perhaps not on the disk yet: { message, at }
  }

  post(list, relaxed) {
    const single = list.length === 1
    const headers = { 'Content-Type': single ? 'application/json' : 'application/x-ndjson' }
    if (relaxed) headers.Prefer = 'durability=relaxed'
    return this.soak.ask(this.agent, '/log', { method: 'POST', headers, body: list.map((m) => m.value).join('\n') })
  }

  // Sends until it is acknowledged, over as many restarts as there are; false = it was refused.
  async append(list, relaxed = false) {
    for (;;) {
      await this.soak.up()
      const generation = this.soak.generation
      const answer = await this.post(list, relaxed)
      if (!answer) {
        await this.soak.up()
        if (!await this.restore()) return false
        continue
      }
      if (![200, 201, 202].includes(answer.status)) {
        this.soak.fail('refused', `${this.name}: ${answer.status} ${answer.text.slice(0, 300)}`)
        return false
      }
      const { seq = -1 } = JSON.parse(answer.text)
      for (const { key } of list) this.soak.acknowledge(key, relaxed ? -1 : seq, relaxed)
      if (!relaxed) this.relaxed = []
      else if (generation === this.soak.generation) list.forEach((message) => this.relaxed.push({ message, at: Date.now() }))
      return true
    }
  }

  // After a restart: relaxed messages that are gone must be so young that nobody promised them, and are stored again.
  async restore() {
    while (this.relaxed.length > 0) {
      const list = this.relaxed.slice(0, 1000)
      const answer = await this.post(list.map(({ message }) => message), false)
      if (!answer) {
        await this.soak.up()
        continue
      }
      const { count = 1, duplicates = answer.status === 200 ? 1 : 0 } = JSON.parse(answer.text)
      if (answer.status > 201) {
        this.soak.fail('refused', `${this.name}, again: ${answer.status} ${answer.text.slice(0, 300)}`)
        return false
      }
      const lost = count - duplicates
      const young = list.filter(({ at }) => at > this.soak.killedAt - FLUSHED_MS).length
      this.soak.counts.relaxedLost += lost
      if (lost > young) this.soak.fail('relaxed', `${lost} of ${count} relaxed messages are gone, ${young} of them were younger than ${FLUSHED_MS} ms`)
      this.relaxed.splice(0, list.length)
    }
    return true
  }

  async single() {
    const list = await this.take(1)
    this.soak.probes.set(list[0].key, performance.now())
    return await this.append(list) && this.readBack(list[0].key)
  }

  // Read your writes, and how long that takes.
  async readBack(key) {
    const began = performance.now()
    const answer = await this.soak.ask(this.agent, '/messages/' + key)
    if (!answer) return true
    if (answer.status === 200 && answer.text.includes(key)) this.soak.lag.views.push(performance.now() - began)
    else this.soak.fail('read your writes', `${key}: ${answer.status} ${answer.text.slice(0, 200)}`)
    return true
  }

  async batch() {
    return this.append(await this.take(1 + Math.floor(this.soak.random() * 50)))
  }

  async burst() {
    for (let i = 0; i < 10; i++) {
      if (!await this.append(await this.take(1), true)) return false
    }
    return this.soak.chance(0.8) || this.append(await this.take(1))
  }

  // One step after another, each `pause` ms apart.
  async run(step, pause) {
    while (!this.soak.over && await this[step]()) await sleep(pause)
  }
}

function start(soak) {
  const kinds = [['single', 30], ['single', 60], ['batch', 150], ['burst', 200]]
  return kinds.map(([step, pause], i) => new Writer(soak, step, soak.seed * 100 + i, 50).run(step, pause))
}

module.exports = { start }
