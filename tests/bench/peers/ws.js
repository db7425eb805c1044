'use strict'
// A server of npm ws that does what /live does, without a log: `ws.js PORT NDJSON`. A client of /live gets every line of the file, then a
// frame that says so; with ?old=false it gets what is posted.
const http = require('node:http')
const { WebSocketServer } = require('ws')
const { lines } = require('./common')

const [port, source] = process.argv.slice(2)
const SYNC = '{"sync":true,"since":0}'
const AHEAD = 4 << 20 // bytes that may wait for the client

const server = http.createServer((req, res) => {
  const chunks = []
  req.on('data', (chunk) => chunks.push(chunk))
  req.on('end', () => {
    res.writeHead(202, { 'Content-Length': 0 })
    res.end()
    const body = Buffer.concat(chunks)
    for (let from = 0, to; (to = body.indexOf(10, from)) >= 0; from = to + 1) {
      if (to === from) continue
      for (const client of sockets.clients) client.send(body.subarray(from, to), { binary: false })
    }
  })
})

const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on('connection', async (client, req) => {
  if (req.url.includes('old=false')) return client.send(SYNC)
  for (const line of lines(source)) {
    client.send(Buffer.from(line), { binary: false })
    if (client.bufferedAmount < AHEAD) continue
    while (client.bufferedAmount > AHEAD / 2) await new Promise(setImmediate)
  }
  client.send(SYNC)
})

server.listen(Number(port), '127.0.0.1')
