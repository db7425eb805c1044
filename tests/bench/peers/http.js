'use strict'
// Node's own HTTP server with a constant body: `http.js PORT BYTES`.
const http = require('node:http')

const [port, bytes] = process.argv.slice(2).map(Number)
const body = Buffer.alloc(bytes, 'x')
const head = { 'Content-Type': 'application/json', 'Content-Length': bytes }

http.createServer((req, res) => {
  res.writeHead(200, head)
  res.end(body)
}).listen(port, '127.0.0.1')
