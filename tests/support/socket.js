'use strict'
// A WebSocket client of npm ws that keeps every frame.
const WebSocket = require('ws')
const { until } = require('./sluice')

function connect(t, url, options = {}) {
  const socket = new WebSocket(url, options)
  const client = { socket, frames: [], closed: null, failed: null }
  client.opened = new Promise((resolve) => socket.on('open', () => resolve(101)))
  // 101, or the status of the answer that refuses the handshake
  client.status = Promise.race([client.opened, new Promise((resolve) => {
    socket.on('unexpected-response', (req, res) => { res.resume(); resolve(res.statusCode) })
    socket.on('error', (err) => { client.failed = err; resolve(err.code || 'error') })
  })])
  socket.on('message', (data) => client.frames.push(JSON.parse(data)))
  socket.on('close', (code) => { client.closed = code })
  client.records = (id) => client.frames.filter((frame) => frame.key && frame.id === id)
  client.synced = () => client.frames.some((frame) => frame.sync)
  client.send = (object) => socket.send(JSON.stringify(object))
  client.until = (check, what) => until(() => check(client), () =>
    `${what}; ${client.frames.length} frames, the last ${String(JSON.stringify(client.frames.at(-1))).slice(0, 300)}, closed ${client.closed}`)
  t.after(() => socket.terminate())
  return client
}

module.exports = { connect }
