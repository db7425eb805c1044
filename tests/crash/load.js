'use strict'
// Clients of one program, all at once: writers, live readers, queries. They stop by themselves when the program is gone.
const assert = require('node:assert')
const WebSocket = require('ws')

// Messages of each author in their order: who takes from one feed only after the answer never forks it.
class Feeds {
  constructor(lines, ledger) {
    this.feeds = new Map()
    for (const line of lines) {
      const { key, value } = JSON.parse(line)
      if (!this.feeds.has(value.author)) this.feeds.set(value.author, [])
      this.feeds.get(value.author).push({ key, text: JSON.stringify(value) })
      ledger.sent.set(key, true)
    }
  }

  // Each writer has feeds of its own.
  shares(count) {
    const shares = Array.from({ length: count }, () => [])
    ;[...this.feeds.values()].forEach((feed, i) => shares[i % count].push(feed))
    return shares
  }
}

const GONE = new Set(['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ECONNABORTED'])

// What was sent and not answered is not forgotten: the feed keeps it, and it is sent again.
async function write(server, ledger, feeds, roll, stats, over) {
  while (!over() && feeds.length > 0) {
    const feed = feeds[roll(feeds.length)]
    if (feed.length === 0) {
      feeds.splice(feeds.indexOf(feed), 1)
      continue
    }
    const relaxed = roll(3) === 0
    const batch = feed.slice(0, roll(4) === 0 ? 1 + roll(8) : 1)
    const headers = relaxed ? { Prefer: 'durability=relaxed' } : {}
    let res
    try {
      res = batch.length > 1
        ? await server.post('/log', batch.map((m) => m.text).join('\n'), { 'Content-Type': 'application/x-ndjson', ...headers })
        : await server.post('/log', batch[0].text, headers)
    } catch (err) {
      if (!GONE.has(err.code)) throw err
      stats.unknown++
      return
    }
    if (res.status === 507 || res.status === 503) return res
    assert.ok([200, 201, 202].includes(res.status), `${res.status} ${res.text}`)
    feed.splice(0, batch.length)
    if (res.status === 200) stats.again++
    if (res.status === 202) stats.relaxed += batch.length
    else stats.strong += batch.length
    const acked = res.status === 202 ? ledger.relaxed : ledger.strong
    for (const { key } of batch) acked.set(key, batch.length > 1 ? undefined : res.json.seq)
  }
}

function readSocket(server, ledger, target, stats) {
  const socket = new WebSocket(server.ws + target)
  const client = { error: null, ended: new Promise((resolve) => socket.on('close', resolve)), close: () => socket.terminate() }
  socket.on('error', () => {})
  socket.on('message', (data) => {
    try {
      const frame = JSON.parse(data)
      if (frame.key) {
        ledger.show(frame)
        stats.shown++
      }
    } catch (err) { client.error = client.error || err }
  })
  return client
}

// NDJSON, or server-sent events. The last line may be cut off by the crash.
async function readStream(server, ledger, target, stats, accept = 'application/x-ndjson') {
  const stream = await server.lines(target, { Accept: accept })
  stream.check = () => {
    for (const line of stream.lines.splice(0)) {
      const text = line.startsWith('data: ') ? line.slice(6) : line
      if (!text.startsWith('{')) continue
      ledger.show(JSON.parse(text))
      stats.shown++
      stream.count = (stream.count || 0) + 1
    }
  }
  return stream
}

// What was shown before the question was durable before it.
async function askDurable(server, ledger, over, check) {
  while (!over()) {
    check()
    let shown = -1
    for (const seq of ledger.shown.keys()) if (seq > shown) shown = seq
    try {
      const res = await server.request('/log', { method: 'HEAD' })
      const durable = Number(res.headers['sluice-log-durable'])
      assert.ok(durable >= shown, `seq ${shown} was shown while durable was ${durable}`)
      if (durable > ledger.durable) ledger.durable = durable
    } catch (err) {
      if (!GONE.has(err.code)) throw err
      return
    }
  }
}

async function query(server, ledger, roll, stats, over) {
  while (!over()) {
    const keys = [...ledger.strong.keys()]
    const targets = ['/log?type=post&limit=20&reverse=true', '/feeds?limit=50', '/links?limit=20', '/status']
    if (keys.length > 0) targets.push('/messages/' + keys[roll(keys.length)])
    const target = targets[roll(targets.length)]
    try {
      const { status, text } = await server.request(target)
      assert.ok(status === 200 || status === 503, `${target}: ${status} ${text}`)
      stats.queries++
    } catch (err) {
      if (!GONE.has(err.code)) throw err
      return
    }
  }
}

module.exports = { Feeds, write, readSocket, readStream, askDurable, query }
