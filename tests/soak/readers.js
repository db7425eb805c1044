'use strict'
// Live readers over WebSocket, NDJSON and SSE: some stay and come back after every restart, some come and go, some stop reading. Each keeps the seqs
// that it saw; check.js holds them against the log.
const http = require('node:http')
const WebSocket = require('ws')
const { sleep } = require('./soak')

const ROW = /^\{"seq":(\d+),(?:"encrypted":"\w+",)?"key":"([^"]+)"/
const SYNC = /^\{"sync":true,"since":(-?\d+)\}/

class Reader {
  // filter: { name, query, keep(row) }. after: the seq that it starts behind; undefined = only what comes from now on.
  constructor(soak, kind, filter, after) {
    Object.assign(this, { soak, kind, filter, after, seqs: [], open: false, left: false, ended: null, connections: 0 })
    soak.counts.readers++
  }

  last() { return this.seqs.length > 0 ? this.seqs.at(-1) : this.after }

  target(path) {
    const from = this.last()
    return path + [this.filter.query, from === undefined ? 'old=false' : 'gt=' + from, path === '/log?' ? 'live=true' : ''].filter(Boolean).join('&')
  }

  took(text) {
    const row = ROW.exec(text)
    if (!row) return this.other(text)
    const { soak } = this
    soak.counts.frames++
    if (soak.inject === 'gap' && soak.counts.frames === 5000) return undefined
    this.seqs.push(Number(row[1]))
    if (soak.inject === 'duplicate' && soak.counts.frames === 5000) this.seqs.push(Number(row[1]))
    const sent = this.probing && soak.probes.get(row[2])
    if (sent) {
      soak.probes.delete(row[2])
      soak.lag.live.push(performance.now() - sent)
    }
    return undefined
  }

  other(text) {
    const sync = SYNC.exec(text)
    if (sync) {
      if (this.after === undefined) this.after = Number(sync[1])
    } else if (text !== '') this.soak.fail('live', `${this.kind} ${this.target('')}: ${text.slice(0, 300)}`)
  }

  connect() {
    this.connections++
    this.open = true
    this.ended = new Promise((resolve) => { this.closed = () => { this.open = false; resolve() } })
    if (this.kind === 'ws') this.socket()
    else this.stream()
    return this.ended
  }

  socket() {
    const socket = new WebSocket(`ws://127.0.0.1:${this.soak.server.port}${this.target('/live?')}`, { perMessageDeflate: false })
    socket.on('message', (data) => { if (!this.left) this.took(data.toString()) })
    socket.on('error', () => {})
    socket.on('close', this.closed)
    this.pause = () => socket.readyState === WebSocket.OPEN && socket.pause()
    this.resume = () => socket.readyState === WebSocket.OPEN && socket.resume()
    this.drop = () => socket.terminate()
  }

  stream() {
    const sse = this.kind === 'sse'
    const options = { host: '127.0.0.1', port: this.soak.server.port, path: this.target('/log?'), agent: false, headers: { Accept: sse ? 'text/event-stream' : 'application/x-ndjson' } }
    const req = http.get(options, (res) => {
      let rest = ''
      if (res.statusCode !== 200) this.soak.fail('live', `${this.kind} ${options.path}: ${res.statusCode}`)
      res.setEncoding('utf8')
      res.on('data', (text) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop()
        for (const line of this.left ? [] : lines) {
          if (!sse) this.took(line)
          else if (line.startsWith('data: ')) this.took(line.slice(6))
        }
      })
      res.on('error', () => {})
      res.on('close', this.closed)
      this.pause = () => res.pause()
      this.resume = () => res.resume()
    })
    req.on('error', this.closed)
    this.pause = this.resume = () => {}
    this.drop = () => req.destroy()
  }

  leave() {
    this.left = true
    this.drop?.()
  }

  // Comes back from its place whenever the connection ends.
  async stay() {
    while (!this.left) {
      await this.soak.up()
      await this.connect()
      if (!this.left) await sleep(20)
    }
  }

  // For so many ms; stalls: stops reading in the middle of it.
  async visit(ms, stalls) {
    await this.soak.up()
    const ended = this.connect()
    const wait = (part) => Promise.race([ended, sleep(ms * part)])
    await wait(stalls ? 0.05 : 1)
    if (stalls && this.open) {
      this.pause()
      await wait(0.8)
      this.resume()
      await wait(0.15)
    }
    this.leave()
    await ended
  }
}

const ALL = { name: 'all', query: '', keep: () => true }
const FILTERS = [ALL, ALL, { name: 'posts', query: 'type=post', keep: (row) => row.type === 'post' }, { name: 'votes', query: 'type=vote', keep: (row) => row.type === 'vote' },
  { name: 'private', query: 'private=true', keep: (row) => row.private }]
const KINDS = ['ws', 'ws', 'ndjson', 'sse']

// Those that stay for good. The first one measures how late frames are.
function residents(soak) {
  const list = [['ws', ALL], ['ws', FILTERS[2]], ['ndjson', ALL], ['sse', FILTERS[3]]].map(([kind, filter]) => new Reader(soak, kind, filter, -1))
  list[0].probing = true
  list.forEach((reader) => { reader.over = reader.stay() })
  return list
}

// Where a guest begins: from now on, at the start, or behind a record that somebody has seen.
function somewhere(soak, kind, resident) {
  if (kind === 'ws' && soak.chance(0.3)) return undefined
  if (resident.seqs.length === 0 || soak.chance(0.1)) return -1
  const back = soak.chance(0.5) ? 2000 : resident.seqs.length
  return resident.seqs[Math.max(0, resident.seqs.length - 1 - Math.floor(soak.random() * back))]
}

// One place that is taken by one guest after the other; every guest is left to check.js.
async function guests(soak, resident, list, stalls) {
  while (!soak.over) {
    const kind = soak.pick(KINDS)
    const reader = new Reader(soak, kind, soak.pick(FILTERS), stalls ? -1 : somewhere(soak, kind, resident))
    list.push(reader)
    await reader.visit(stalls ? soak.between(5000, 20000) : soak.between(200, 4000), stalls)
    await sleep(soak.between(0, 300))
  }
}

module.exports = { residents, guests }
