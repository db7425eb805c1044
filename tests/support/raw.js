'use strict'
// Raw bytes to a server and what comes back, read strictly: nothing here mends what a server gets wrong.
const crypto = require('node:crypto')
const net = require('node:net')
const { until } = require('./sluice')

class Raw {
  // where: { port } or { path }. options: allowHalfOpen and the like, for net.connect.
  static connect(where, options = {}) {
    const raw = new Raw()
    raw.bytes = Buffer.alloc(0)
    raw.chunks = []
    raw.ended = raw.closed = false
    raw.socket = net.connect({ host: '127.0.0.1', noDelay: true, allowHalfOpen: true, ...where, ...options })
    raw.socket.on('data', (data) => raw.chunks.push(data))
    raw.socket.on('end', () => { raw.ended = true })
    raw.socket.on('error', (err) => { raw.error = err.code })
    raw.socket.on('close', () => { raw.ended = raw.closed = true })
    return new Promise((resolve, reject) => {
      raw.socket.once('connect', () => resolve(raw))
      raw.socket.once('error', reject)
    })
  }

  // Everything that has come so far.
  received() {
    if (this.chunks.length > 0) this.bytes = Buffer.concat([this.bytes, ...this.chunks.splice(0)])
    return this.bytes
  }

  // true = the kernel has it all. An error is a closed connection, which the test looks at itself.
  send(data) {
    return new Promise((resolve) => this.socket.write(Buffer.isBuffer(data) ? data : Buffer.from(data, 'latin1'), (err) => resolve(!err)))
  }

  until(check, what, timeout = 20000) {
    return until(() => check(this), () => `${what}; got ${JSON.stringify(this.received().toString('latin1').slice(0, 600))}` +
      `, ended ${this.ended}, ${this.error || 'no error'}`, timeout)
  }

  close() {
    this.socket.destroy()
  }
}

// One answer at `at` of latin1 text: null while it is not whole, an Error if it is none.
function answerAt(text, at, method, ended) {
  const end = text.indexOf('\r\n\r\n', at)
  if (end < 0) return null
  const [line, ...fields] = text.slice(at, end).split('\r\n')
  const status = /^HTTP\/1\.1 ([1-5]\d\d) [^\r\n]*$/.exec(line)
  if (!status) throw new Error('not a status line: ' + JSON.stringify(line))
  const answer = { status: Number(status[1]), headers: {} }
  for (const field of fields) {
    const parts = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(field)
    if (!parts || /[\r\n\0]/.test(field)) throw new Error('not a field: ' + JSON.stringify(field))
    const name = parts[1].toLowerCase()
    if (name in answer.headers && /^(content-length|transfer-encoding|content-type)$/.test(name)) throw new Error('twice: ' + field)
    answer.headers[name] = parts[2]
  }
  const body = end + 4
  const { 'content-length': length, 'transfer-encoding': coding } = answer.headers
  if (length !== undefined && coding !== undefined) throw new Error('Content-Length and Transfer-Encoding in an answer')
  if (method === 'HEAD' || answer.status < 200 || answer.status === 204 || answer.status === 304) answer.end = body
  else if (length !== undefined) answer.end = body + Number(length)
  else if (coding !== undefined) {
    const last = /(^|\r\n)0\r\n\r\n/.exec(text.slice(body))
    if (!last) return null
    answer.end = body + last.index + last[0].length
  } else {
    if (!ended) return null
    answer.end = text.length
  }
  if (answer.end > text.length) return null
  answer.body = Buffer.from(text.slice(body, answer.end), 'latin1').toString('utf8')
  return answer
}

// All whole answers, in the order of the methods of the requests: { answers, rest }.
function answers(bytes, methods = [], ended = false) {
  const text = bytes.toString('latin1')
  const list = []
  let at = 0
  while (at < text.length) {
    const answer = answerAt(text, at, methods[list.filter((a) => a.status >= 200).length], ended)
    if (!answer) break
    list.push(answer)
    at = answer.end
  }
  return { answers: list, rest: text.slice(at) }
}

// A WebSocket frame of a client.
// size: bytes of the length field, 1, 3 or 9; by itself the smallest that fits.
function frame(opcode, payload = '', { fin = true, rsv = 0, mask = crypto.randomBytes(4), size, length } = {}) {
  const data = Buffer.isBuffer(payload) ? payload : Buffer.from(payload)
  const said = BigInt(length ?? data.length)
  const width = size || (said < 126n ? 1 : said < 65536n ? 3 : 9)
  const head = Buffer.alloc(1 + width)
  head[0] = (fin ? 0x80 : 0) | rsv << 4 | opcode
  if (width === 1) head[1] = Number(said)
  else if (width === 3) { head[1] = 126; head.writeUInt16BE(Number(said), 2) } else { head[1] = 127; head.writeBigUInt64BE(said, 2) }
  if (!mask) return Buffer.concat([head, data])
  head[1] |= 0x80
  return Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i % 4])])
}

module.exports = { Raw, answers, frame }
