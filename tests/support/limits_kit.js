'use strict'
// What the tests of limits share: a small log, a raw connection, what a problem looks like.
const assert = require('node:assert')
const net = require('node:net')
const { Server, generate, importLines, until } = require('./sluice')

const lines = generate(120, '--seed', '41', '--authors', '6')
const records = lines.map((line) => JSON.parse(line))
const NDJSON = { Accept: 'application/x-ndjson' }
const OLD = 100

const started = (t, ...args) => Server.start(t, ['--data', importLines(t, lines.slice(0, OLD)), ...args])

function isProblem(res, status, type) {
  assert.strictEqual(res.status, status, res.text)
  assert.match(res.headers['content-type'], /^application\/problem\+json/)
  assert.strictEqual(res.json.status, status)
  assert.match(res.json.type, type)
}

// A connection of its own that says what it is told to: { text, ended, ms() }.
function raw(t, server, text = '', options = {}) {
  const began = Date.now()
  const client = { began, text: '', ended: false, error: null, socket: net.connect({ port: server.port, host: '127.0.0.1', ...options }) }
  client.socket.setEncoding('utf8')
  client.socket.on('data', (data) => { client.text += data })
  client.socket.on('error', (err) => { client.error = err })
  client.socket.on('close', () => { client.ended = true; client.ms = Date.now() - began })
  client.socket.write(text)
  client.until = (check, what, timeout) => until(() => check(client), () => `${what}; it said ${JSON.stringify(client.text.slice(0, 300))}, ended ${client.ended}`, timeout)
  t.after(() => client.socket.destroy())
  return client
}

const HEAD = (target) => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const answered = (client) => client.text.startsWith('HTTP/1.1 200')

module.exports = { lines, records, NDJSON, OLD, started, isProblem, raw, HEAD, answered }
