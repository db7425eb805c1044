'use strict'
// RFC 6455 from the wire: frames made byte by byte, in the order of the topics of the Autobahn suite, and answers read just as strictly.
const test = require('node:test')
const assert = require('node:assert')
const { Server, generate, importLines, until } = require('../support/sluice')
const { Raw, answers, frame } = require('../support/raw')

const FRAME_MAX = 65536
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
const [CONT, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10]
const NORMAL = 1000, PROTOCOL = 1002, UNACCEPTABLE = 1003, INVALID = 1007, TOO_LARGE = 1009

// ---- frames of a client ----

const text = (payload, options) => frame(TEXT, payload, options)
const ping = (payload, options) => frame(PING, payload, options)
const pong = (payload, options) => frame(PONG, payload, options)
const close = (code, reason = '', options) => frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]), options)

// Every message gets one answer. This one's has the id in it; `size` pads it to so many bytes.
const message = (id, size = 0) => JSON.stringify({ op: 'nothing', id }).padEnd(size)
const ask = (id, options) => text(message(id), options)

// A message in pieces, cut after these many bytes.
function fragments(payload, cuts, options = {}) {
  const data = Buffer.isBuffer(payload) ? payload : Buffer.from(payload)
  const ends = [...cuts, data.length]
  return ends.map((end, i) => frame(i === 0 ? options.opcode ?? TEXT : CONT, data.subarray(i === 0 ? 0 : ends[i - 1], end), { fin: i === ends.length - 1 }))
}

const pieces = (buffer, size) => Array.from({ length: Math.ceil(buffer.length / size) }, (_, i) => buffer.subarray(i * size, (i + 1) * size))

// ---- frames of the server ----

// Reads what a server may send, and nothing else: { frames, rest }.
function read(bytes) {
  const frames = []
  let at = 0
  while (at + 2 <= bytes.length) {
    const [first, second] = [bytes[at], bytes[at + 1]]
    const opcode = first & 15, fin = first >> 7
    assert.strictEqual(first & 0x70, 0, 'a reserved bit')
    assert.strictEqual(second & 0x80, 0, 'a masked frame')
    let length = second, body = at + 2
    if (second === 126) {
      if (at + 4 > bytes.length) break
      length = bytes.readUInt16BE(at + 2)
      body = at + 4
      assert.ok(length > 125, 'a length in too many bytes')
    } else if (second === 127) {
      if (at + 10 > bytes.length) break
      length = Number(bytes.readBigUInt64BE(at + 2))
      body = at + 10
      assert.ok(length > 65535, 'a length in too many bytes')
    }
    if (body + length > bytes.length) break
    const payload = bytes.subarray(body, body + length)
    if (opcode >= 8) assert.ok(fin && length <= 125 && [CLOSE, PING, PONG].includes(opcode), 'a bad control frame')
    else assert.ok(opcode === TEXT && fin, `opcode ${opcode}, fin ${fin}`)
    if (opcode === CLOSE && length > 0) {
      assert.ok(length >= 2)
      new TextDecoder('utf-8', { fatal: true }).decode(payload.subarray(2))
    }
    frames.push({ opcode, payload })
    at = body + length
  }
  return { frames, rest: bytes.length - at }
}

// ---- connections ----

const head = (fields = {}, target = '/live?subscribe=false', line = `GET ${target} HTTP/1.1`) => {
  const all = { Host: 'localhost', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': '13', ...fields }
  const lines = Object.entries(all).filter(([, value]) => value !== undefined).flatMap(([name, value]) => [].concat(value).map((one) => `${name}: ${one}`))
  return [line, ...lines, '', ''].join('\r\n')
}

async function handshake(raw, bytes = head()) {
  await raw.send(bytes)
  await raw.until(() => raw.received().includes('\r\n\r\n') || raw.ended, 'the answer to the handshake')
  const end = raw.received().indexOf('\r\n\r\n') + 4
  const { answers: [answer] } = answers(raw.received().subarray(0, end))
  assert.strictEqual(answer?.status, 101, raw.received().toString('latin1'))
  raw.bytes = raw.received().subarray(end)
  return answer
}

const lines = generate(5, '--seed', '2', '--authors', '2')
let server

// want: what the frames of the server have to be: an id (the answer to that message), 'any' (an answer), { pong }, and at the end { close: code or codes }.
// A row without a close at its end has to leave a connection that is alive.
async function check(row) {
  const raw = await Raw.connect({ port: server.port })
  try {
    await handshake(raw)
    const want = [...row.want]
    const ends = typeof want.at(-1) === 'object' && 'close' in want.at(-1) ? [].concat(want.pop().close) : null
    if (!ends) want.push({ pong: 'alive' })
    const send = [].concat(row.send, ends ? [] : ping('alive'))
    for (const part of row.slowly ? send : [Buffer.concat(send)]) {
      await raw.send(part)
      if (row.slowly) await new Promise((resolve) => setImmediate(resolve))
    }
    const texts = want.filter((one) => typeof one === 'string'), pongs = want.filter((one) => typeof one === 'object').map((one) => Buffer.from(one.pong).toString('utf8'))
    const got = () => read(raw.received()).frames
    if (ends) {
      await raw.until(() => raw.ended || got().some((f) => f.opcode === CLOSE), 'a close frame')
      // the handshake of closing is over now: a server closes first
      await raw.until(() => { raw.socket.end(); return raw.ended }, 'the end of the connection')
    } else {
      const count = (opcode) => got().filter((f) => f.opcode === opcode).length
      await raw.until(() => raw.ended || (count(TEXT) >= texts.length && count(PONG) > 0 && (row.busy || count(PONG) >= pongs.length)), 'all answers')
    }
    const { frames, rest } = read(raw.received())
    const shown = frames.map((f) => f.opcode === CLOSE && f.payload.length ? `close ${f.payload.readUInt16BE(0)} ${f.payload.subarray(2)}` : `${f.opcode} ${f.payload.toString('utf8').slice(0, 120)}`).join(' | ')
    assert.strictEqual(rest, 0, shown)
    let list = frames
    if (ends) {
      const last = frames.at(-1)
      if (last?.opcode === CLOSE) {
        const code = last.payload.length === 0 ? null : last.payload.readUInt16BE(0)
        assert.ok(ends.includes(code), `closed with ${code}, wanted ${ends.join(' or ')}: ${shown}`)
        list = frames.slice(0, -1)
      } else assert.ok(row.drops, 'no close frame at the end: ' + shown)
    }
    assert.ok(list.every((f) => f.opcode !== CLOSE), 'a close frame before the end: ' + shown)
    const seen = list.filter((f) => f.opcode === TEXT).map((f) => JSON.parse(f.payload.toString('utf8')))
    assert.ok(seen.every((answer) => answer.error), shown)
    // a server that fails a connection need not finish what it was saying
    if (!(ends && row.atMost && seen.length < texts.length)) assert.strictEqual(seen.length, texts.length, shown)
    seen.forEach((answer, i) => { if (texts[i] !== 'any') assert.strictEqual(answer.id, texts[i]) })
    // of pings that come faster than pongs go only some need an answer (RFC 6455 5.5.3), in their order
    const ponged = list.filter((f) => f.opcode === PONG).map((f) => f.payload.toString('utf8'))
    if (row.busy || ends) assert.deepStrictEqual(pongs.filter((p) => ponged.includes(p)), ponged, shown)
    else assert.deepStrictEqual(ponged, pongs, shown)
  } finally {
    raw.close()
  }
}

// ---- the cases ----

const cases = []
const add = (topic, name, send, want, more) => cases.push({ name: `${topic}: ${name}`, send, want, ...more })
const fails = (codes) => [{ close: codes }]

// lengths
for (const size of [0, 1, 2, 25, 124, 125, 126, 127, 128, 254, 255, 256, 1023, 1024, 4095, 4096, 4097, 8192, 16384, 32767, 32768, 65534, 65535, 65536]) {
  const body = size >= 25 ? message('a', size) : ' '.repeat(size)
  add('length', `${size}`, text(body), [size >= 25 ? 'a' : 'any'])
}
for (const size of [25, 125, 126, 65535]) {
  for (const width of [3, 9]) {
    if (size > 125 && width === 3) continue
    // a length in more bytes than needed "MUST NOT" be sent; libwebsockets 4.1 takes it as it is
    add('length', `${size} in ${width - 1} bytes`, text(message('a', size), { size: width }), ['a'])
  }
}
add('length', 'a ping of 5 in 2 bytes', ping('hello', { size: 3 }), fails(PROTOCOL), { drops: true })
add('length', 'a ping of 5 in 8 bytes', ping('hello', { size: 9 }), fails(PROTOCOL), { drops: true })
for (const [size, width] of [[65537, 9], [100000, 9], [1 << 20, 9]]) add('length', `${size}, over the limit`, text(message('a', size), { size: width }), fails(TOO_LARGE))
add('length', 'of 2^31 announced', text(' '.repeat(5000), { size: 9, length: 1n << 31n }), fails([TOO_LARGE, PROTOCOL]))
add('length', 'of 2^62 announced', text(' '.repeat(5000), { size: 9, length: 1n << 62n }), fails([TOO_LARGE, PROTOCOL]))
add('length', 'of 2^63 announced', text('{}', { size: 9, length: 1n << 63n }), fails([TOO_LARGE, PROTOCOL]), { drops: true })
add('length', 'of 2^64-1 announced', text('{}', { size: 9, length: (1n << 64n) - 1n }), fails([TOO_LARGE, PROTOCOL]), { drops: true })

// how the bytes come
for (const size of [25, 125, 126, 300]) add('pieces', `${size} byte by byte`, pieces(text(message('a', size)), 1), ['a'], { slowly: true })
for (const size of [2, 3, 7, 1000, 4096, 65535]) add('pieces', `65536 by ${size === 2 || size === 3 || size === 7 ? size * 100 : size}`, pieces(text(message('a', 65536)), size < 10 ? size * 100 : size), ['a'], { slowly: true })
add('pieces', 'ten messages at once', Array.from({ length: 10 }, (_, i) => ask('m' + i)), Array.from({ length: 10 }, (_, i) => 'm' + i))
add('pieces', 'sixty messages in uneven pieces', pieces(Buffer.concat(Array.from({ length: 60 }, (_, i) => ask('m' + i))), 37), Array.from({ length: 60 }, (_, i) => 'm' + i), { slowly: true })
add('pieces', 'a mask of zeros', ask('a', { mask: Buffer.alloc(4) }), ['a'])
add('pieces', 'a mask of ones', ask('a', { mask: Buffer.alloc(4, 255) }), ['a'])

// pings
for (const [name, payload] of [['nothing', ''], ['hello', 'Hello, world!'], ['one byte', 'x'], ['bytes that are no UTF-8', Buffer.from([0, 255, 254, 253, 0xc0, 0x80, 0xed, 0xa0])], ['124 bytes', 'y'.repeat(124)], ['125 bytes', 'x'.repeat(125)]]) {
  add('ping', name, ping(payload), [{ pong: payload }], { busy: true })
  add('ping', name + ', byte by byte', pieces(ping(payload), 1), [{ pong: payload }], { slowly: true, busy: true })
}
add('ping', '126 bytes', ping('x'.repeat(126)), fails(PROTOCOL), { drops: true })
add('ping', '126 bytes, byte by byte', pieces(ping('x'.repeat(126)), 1), fails(PROTOCOL), { slowly: true, drops: true })
add('ping', '65536 bytes', ping('x'.repeat(65536)), fails(PROTOCOL), { drops: true })
add('ping', 'ten, slowly', Array.from({ length: 10 }, (_, i) => ping('p' + i)), Array.from({ length: 10 }, (_, i) => ({ pong: 'p' + i })), { slowly: true, busy: true })
add('ping', 'between two messages', [ask('a'), ping('p'), ask('b')], ['a', { pong: 'p' }, 'b'], { busy: true })
add('pong', 'unasked for', pong('hello'), [])
add('pong', 'empty', pong(''), [])
add('pong', '125 bytes', pong('x'.repeat(125)), [])
add('pong', '126 bytes', pong('x'.repeat(126)), fails(PROTOCOL), { drops: true })
add('pong', 'ten, then a ping', [...Array(10).fill(pong('x')), ping('p')], [{ pong: 'p' }], { busy: true })
add('pong', 'then a message', [pong('x'), ask('a')], ['a'])

// reserved bits
for (let rsv = 1; rsv < 8; rsv++) {
  add('reserved bits', `${rsv} on a text`, ask('a', { rsv }), fails(PROTOCOL))
  add('reserved bits', `${rsv} on a ping`, ping('x', { rsv }), fails(PROTOCOL))
}
add('reserved bits', 'on an empty text', text('', { rsv: 4 }), fails(PROTOCOL))
add('reserved bits', 'on a pong', pong('', { rsv: 2 }), fails(PROTOCOL))
add('reserved bits', 'on a close', close(NORMAL, '', { rsv: 1 }), fails(PROTOCOL))
add('reserved bits', 'on a binary message', frame(BINARY, 'x', { rsv: 4 }), fails([PROTOCOL, UNACCEPTABLE]))
add('reserved bits', 'on a later fragment', [text('{"op":', { fin: false }), frame(CONT, '1}', { rsv: 4 })], fails(PROTOCOL))
add('reserved bits', 'after a good message', [ask('a'), ask('b', { rsv: 3 })], ['a', { close: PROTOCOL }], { atMost: true })

// reserved opcodes
for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
  add('reserved opcodes', `${opcode}`, frame(opcode, ''), fails(PROTOCOL))
  add('reserved opcodes', `${opcode} with a payload`, frame(opcode, 'reserved'), fails(PROTOCOL))
}
add('reserved opcodes', '3 after a good message', [ask('a'), frame(3, 'x'), ask('b')], ['a', { close: PROTOCOL }], { atMost: true })
add('reserved opcodes', '5 amid fragments', [text('{"op":', { fin: false }), frame(5, 'x'), frame(CONT, '1}')], fails(PROTOCOL))
add('reserved opcodes', '11 amid fragments', [text('{"op":', { fin: false }), frame(11, ''), frame(CONT, '1}')], fails(PROTOCOL))

// masks: a server has to fail a connection on a frame without one. libwebsockets 4.1 reads such frames as if nothing were amiss; what has to hold then is
// that they are read right, and that nothing else comes of it.
for (const [name, bytes, want] of [['a text', ask('a', { mask: null }), ['a']], ['an empty text', text('', { mask: null }), ['any']], ['a ping', ping('p', { mask: null }), [{ pong: 'p' }]], ['a pong', pong('p', { mask: null }), []],
  ['a close', close(NORMAL, '', { mask: null }), [{ close: NORMAL }]], ['a binary message', frame(BINARY, 'x', { mask: null }), [{ close: UNACCEPTABLE }]], ['a continuation', [text('{"op":', { fin: false }), frame(CONT, '1}', { mask: null })], ['any']]]) {
  add('no mask', name, bytes, want, { busy: true })
}

// fragments
const whole = message('frag', 60)
add('fragments', 'two', fragments(whole, [30]), ['frag'])
add('fragments', 'two, byte by byte', pieces(Buffer.concat(fragments(whole, [30])), 1), ['frag'], { slowly: true })
add('fragments', 'two, each in a packet', fragments(whole, [30]), ['frag'], { slowly: true })
add('fragments', 'three', fragments(whole, [10, 20]), ['frag'])
add('fragments', 'the first empty', fragments(whole, [0]), ['frag'])
add('fragments', 'the last empty', fragments(whole, [60]), ['frag'])
add('fragments', 'the middle empty', fragments(whole, [30, 30]), ['frag'])
add('fragments', 'all empty', fragments('', [0, 0]), ['any'])
add('fragments', 'one byte each', fragments(whole, Array.from({ length: 59 }, (_, i) => i + 1)), ['frag'])
add('fragments', 'one byte each, each in a packet', fragments(whole, Array.from({ length: 59 }, (_, i) => i + 1)), ['frag'], { slowly: true })
add('fragments', 'a thousand', fragments(message('frag', 1001), Array.from({ length: 1000 }, (_, i) => i + 1)), ['frag'])
add('fragments', 'two messages', [...fragments(message('a', 40), [20]), ...fragments(message('b', 40), [7, 9])], ['a', 'b'])
add('fragments', 'a ping between', [fragments(whole, [30])[0], ping('p'), fragments(whole, [30])[1]], [{ pong: 'p' }, 'frag'], { busy: true })
add('fragments', 'a ping between, each in a packet', [fragments(whole, [30])[0], ping('p'), fragments(whole, [30])[1]], [{ pong: 'p' }, 'frag'], { slowly: true, busy: true })
add('fragments', 'a pong between', [fragments(whole, [30])[0], pong('p'), fragments(whole, [30])[1]], ['frag'])
add('fragments', 'pings between, all byte by byte', pieces(Buffer.concat([fragments(whole, [20, 40])[0], ping('p'), fragments(whole, [20, 40])[1], ping('q'), fragments(whole, [20, 40])[2]]), 1), [{ pong: 'p' }, { pong: 'q' }, 'frag'], { slowly: true, busy: true })
add('fragments', 'a ping in the middle of a character', [text(Buffer.from('"\xc3', 'latin1'), { fin: false }), ping('p'), frame(CONT, Buffer.from('\xa9"', 'latin1'))], [{ pong: 'p' }, 'any'], { busy: true })
add('fragments', 'a close between', [fragments(whole, [30])[0], close(NORMAL)], fails([NORMAL, null]))
add('fragments', 'a fragmented ping', [ping('p', { fin: false }), frame(CONT, 'q')], fails(PROTOCOL))
add('fragments', 'a fragmented pong', [pong('p', { fin: false }), frame(CONT, 'q')], fails(PROTOCOL))
add('fragments', 'a fragmented close', [frame(CLOSE, Buffer.from([3, 232]), { fin: false }), frame(CONT, 'q')], fails(PROTOCOL))
add('fragments', 'a continuation first', frame(CONT, whole), fails(PROTOCOL))
add('fragments', 'an empty continuation first', frame(CONT, ''), fails(PROTOCOL))
add('fragments', 'an open continuation first', frame(CONT, whole, { fin: false }), fails(PROTOCOL))
add('fragments', 'a continuation after a whole message', [ask('a'), frame(CONT, '1')], ['a', { close: PROTOCOL }], { atMost: true })
add('fragments', 'a continuation after fragments', [...fragments(message('a', 40), [20]), frame(CONT, '1')], ['a', { close: PROTOCOL }], { atMost: true })
add('fragments', 'a new text amid fragments', [text('{"op":', { fin: false }), ask('a')], fails(PROTOCOL))
add('fragments', 'a new open text amid fragments', [text('{"op":', { fin: false }), text('1}', { fin: false })], fails(PROTOCOL))
add('fragments', 'a binary amid fragments', [text('{"op":', { fin: false }), frame(BINARY, 'x')], fails([PROTOCOL, UNACCEPTABLE]))
add('fragments', 'the limit in all', fragments(message('a', FRAME_MAX), [1, 1000, 40000]), ['a'])
add('fragments', 'the limit in all, in equal parts', fragments(message('a', FRAME_MAX), Array.from({ length: 15 }, (_, i) => (i + 1) * 4096)), ['a'])
add('fragments', 'one byte over the limit in all', fragments(message('a', FRAME_MAX + 1), [1, 1000, 40000]), fails(TOO_LARGE))
add('fragments', 'over the limit and no end', fragments(message('a', FRAME_MAX * 2), [40000, 80000]).slice(0, 2), fails(TOO_LARGE))

// binary
for (const [name, bytes] of [['empty', frame(BINARY, '')], ['a byte', frame(BINARY, 'x')], ['JSON', frame(BINARY, message('a'))], ['in fragments', fragments(whole, [30], { opcode: BINARY })], ['the first fragment', [frame(BINARY, 'x', { fin: false })]],
  ['an empty first fragment, then more', fragments(whole, [0, 30], { opcode: BINARY })], ['65536 bytes', frame(BINARY, 'x'.repeat(65536))], ['bytes that are no UTF-8', frame(BINARY, Buffer.from([255, 254]))]]) {
  add('binary', name, bytes, fails(UNACCEPTABLE))
}
add('binary', 'after a good message', [ask('a'), frame(BINARY, 'x')], ['a', { close: UNACCEPTABLE }], { atMost: true })

// UTF-8
const id = (string) => JSON.stringify({ op: 'nothing', id: string })
for (const string of ['κόσμε', 'Hello-µ@ßöäüàá-UTF-8!!', '\u0001', '\u007f', '\u0080', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\ufffd', '\uffff', '\u{10000}', '\u{10ffff}', '\u{1f600}', '\ufeffx', '\ufdd0', '\u{1fffe}']) {
  const points = [...string].map((c) => c.codePointAt(0).toString(16)).join(' ').slice(0, 30)
  add('UTF-8', `good ${points}`, text(id(string)), [string])
  const bytes = Buffer.from(id(string))
  add('UTF-8', `good ${points}, a fragment for each byte`, fragments(bytes, Array.from({ length: bytes.length - 1 }, (_, i) => i + 1)), [string])
}
const bad = {
  'a byte of a tail': [0x80], 'two bytes of a tail': [0x80, 0xbf], 'fe': [0xfe], 'ff': [0xff], 'an overlong slash': [0xc0, 0xaf], 'an overlong slash in three': [0xe0, 0x80, 0xaf], 'an overlong slash in four': [0xf0, 0x80, 0x80, 0xaf],
  'an overlong NUL': [0xc0, 0x80], 'c1': [0xc1, 0xbf], 'the largest overlong of three': [0xe0, 0x9f, 0xbf], 'the largest overlong of four': [0xf0, 0x8f, 0xbf, 0xbf], 'a high surrogate': [0xed, 0xa0, 0x80], 'a low surrogate': [0xed, 0xbf, 0xbf],
  'a pair of surrogates': [0xed, 0xa1, 0x8c, 0xed, 0xbe, 0xb4], 'above 10ffff': [0xf4, 0x90, 0x80, 0x80], 'f5': [0xf5, 0x80, 0x80, 0x80], 'five bytes': [0xf8, 0x88, 0x80, 0x80, 0x80], 'six bytes': [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80],
  'a cut sequence of two': [0xc3, 0x22], 'a cut sequence of three': [0xe2, 0x82, 0x22], 'a cut sequence of four': [0xf0, 0x9f, 0x98, 0x22], 'a sequence of two begun twice': [0xc3, 0xc3, 0xa9], 'a tail too long': [0xc3, 0xa9, 0xa9]
}
for (const [name, bytes] of Object.entries(bad)) {
  const payload = Buffer.concat([Buffer.from('{"op":"'), Buffer.from(bytes), Buffer.from('"}')])
  add('UTF-8', `bad: ${name}`, text(payload), fails(INVALID))
  add('UTF-8', `bad: ${name}, a fragment for each byte`, fragments(payload, Array.from({ length: payload.length - 1 }, (_, i) => i + 1)), fails(INVALID))
}
for (const [name, bytes] of [['two', [0xc3]], ['three', [0xe2, 0x82]], ['four', [0xf0, 0x9f, 0x98]]]) {
  add('UTF-8', `bad: ends within a sequence of ${name}`, text(Buffer.concat([Buffer.from('{}'), Buffer.from(bytes)])), fails(INVALID))
  add('UTF-8', `bad: ends within a sequence of ${name}, an empty fragment behind`, fragments(Buffer.concat([Buffer.from('{}'), Buffer.from(bytes)]), [2 + bytes.length]), fails(INVALID))
}
add('UTF-8', 'bad: seen in the first fragment already', text(Buffer.from('"\xff"', 'latin1'), { fin: false }), fails(INVALID))
add('UTF-8', 'bad: seen in the second fragment already', [text('"a', { fin: false }), frame(CONT, Buffer.from('\xff', 'latin1'), { fin: false })], fails(INVALID))
add('UTF-8', 'bad: across two fragments', [text(Buffer.from('"\xed', 'latin1'), { fin: false }), frame(CONT, Buffer.from('\xa0\x80"', 'latin1'), { fin: false })], fails(INVALID))
add('UTF-8', 'bad: seen before the frame is whole', text(Buffer.from('"\xff' + ' '.repeat(5000), 'latin1'), { length: 20000 }), fails(INVALID))
add('UTF-8', 'bad: at the end of 60000 bytes', text(Buffer.concat([Buffer.alloc(60000, 32), Buffer.from([0xff])])), fails(INVALID))
add('UTF-8', 'good: a character across the borders of reading', text(Buffer.concat([Buffer.from('"'), Buffer.from('€'.repeat(20000)), Buffer.from('"')])), ['any'])

// closing
add('close', 'without a code', frame(CLOSE, ''), fails([null, NORMAL]))
add('close', 'a code of one byte', frame(CLOSE, 'x'), fails(PROTOCOL))
for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) add('close', `${code}`, close(code), fails([code, NORMAL]))
for (const code of [1012, 1013, 1014]) add('close', `${code}, registered later`, close(code), fails([code, NORMAL, PROTOCOL]))
for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 5001, 65535]) add('close', `${code}, which is none`, close(code), fails(PROTOCOL))
add('close', 'with a reason', close(NORMAL, 'good bye'), fails(NORMAL))
add('close', 'with a reason of two-byte characters', close(NORMAL, 'é'.repeat(61)), fails(NORMAL))
add('close', 'with the longest reason', close(NORMAL, 'x'.repeat(123)), fails(NORMAL))
add('close', 'with a reason too long', close(NORMAL, 'x'.repeat(124)), fails(PROTOCOL), { drops: true })
add('close', 'with a reason that is no UTF-8', close(NORMAL, Buffer.from([0xff])), fails([INVALID, PROTOCOL]), { drops: true })
add('close', 'with a reason cut within a character', close(NORMAL, Buffer.from([0xc3])), fails([INVALID, PROTOCOL]))
add('close', 'with a surrogate in the reason', close(NORMAL, Buffer.from([0xed, 0xa0, 0x80])), fails([INVALID, PROTOCOL]), { drops: true })
add('close', 'byte by byte', pieces(close(NORMAL, 'good bye'), 1), fails(NORMAL), { slowly: true })
add('close', 'twice', [close(NORMAL), close(NORMAL)], fails(NORMAL))
add('close', 'then a message', [close(NORMAL), ask('a')], fails(NORMAL))
add('close', 'then a ping', [close(NORMAL), ping('p')], fails(NORMAL))
add('close', 'then something reserved', [close(NORMAL), frame(3, 'x')], fails(NORMAL), { drops: true })
add('close', 'then bytes without sense', [close(NORMAL), Buffer.alloc(1000, 0xaa)], fails(NORMAL), { drops: true })
add('close', 'after a message', [ask('a'), close(NORMAL)], ['a', { close: NORMAL }], { atMost: true })
add('close', 'after a ping', [ping('p'), close(NORMAL)], [{ pong: 'p' }, { close: NORMAL }], { atMost: true })

// what the protocol of /live says to lawful frames
add('messages', 'no JSON', text('nonsense'), ['any'])
add('messages', 'a NUL', text('\0'), ['any'])
add('messages', 'an array', text('[]'), ['any'])
add('messages', 'members twice', text('{"op":"sub","op":"sub","id":"a"}'), ['any'])
add('messages', 'something behind', text('{"op":"nothing","id":"a"} x'), ['any'])
add('messages', 'two in one', text(message('a') + message('b')), ['any'])
add('messages', 'a lone surrogate, escaped', text('{"op":"nothing","id":"\\ud800"}'), ['any'])
add('messages', 'an id with a NUL, escaped', text('{"op":"nothing","id":"\\u0000"}'), ['any'])
add('messages', 'brackets nested 30000 deep', text('['.repeat(30000)), ['any'])
add('messages', 'brackets nested 30000 deep and closed', text('['.repeat(30000) + ']'.repeat(30000)), ['any'])
add('messages', 'objects nested 10000 deep', text('{"a":'.repeat(10000)), ['any'])
add('messages', 'a number of 60000 digits', text('{"op":"sub","id":"a","gt":' + '9'.repeat(60000) + '}'), ['any'])
add('messages', 'ten thousand members', text('{' + Array.from({ length: 6000 }, (_, i) => `"${i}":1`).join(',') + '}'), ['any'])

const statuses = [
  // name, bytes, status, header that has to be there
  ['as it should be', head(), 101],
  ['in other cases', head({ Upgrade: 'WebSocket', Connection: 'UPGRADE' }), 101],
  ['Connection as a list', head({ Connection: 'keep-alive, Upgrade' }), 101],
  ['Connection as a list the other way', head({ Connection: 'Upgrade,keep-alive' }), 101],
  ['Connection twice', head({ Connection: ['keep-alive', 'Upgrade'] }), 101],
  ['Upgrade as a list', head({ Upgrade: 'h2c, websocket' }), 101],
  ['names of fields in lower case', head().replace(/^[A-Za-z-]+:/gm, (name) => name.toLowerCase()), 101],
  ['names of fields in upper case', head().replace(/^[A-Za-z-]+:/gm, (name) => name.toUpperCase()), 101],
  ['no spaces behind the colons', head().replace(/: /g, ':'), 101],
  ['spaces and tabs around the values', head().replace(/: (.*)\r/g, ': \t$1 \t\r'), 101],
  ['fields that nobody knows', head({ 'X-Some': 'thing', Cookie: 'a=b', 'User-Agent': 'x', Pragma: 'no-cache' }), 101],
  ['a field of 4 KiB', head({ 'X-Long': 'x'.repeat(4096) }), 101],
  ['subprotocols', head({ 'Sec-WebSocket-Protocol': 'chat, superchat' }), 101],
  ['a subprotocol of the program itself', head({ 'Sec-WebSocket-Protocol': 'sluice' }), 101, 'sec-websocket-protocol'],
  ['that subprotocol among others', head({ 'Sec-WebSocket-Protocol': 'chat ,\tsluice,bearer.x' }), 101, 'sec-websocket-protocol'],
  ['that subprotocol in capitals', head({ 'Sec-WebSocket-Protocol': 'SLUICE, xsluice, sluicex' }), 101],
  ['compression', head({ 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }), 101],
  ['extensions without sense', head({ 'Sec-WebSocket-Extensions': ',,;;==' }), 101],
  ['our own origin', head({ Origin: 'http://localhost' }), 101],
  ['another key', head({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==' }), 101],
  ['Content-Length: 0', head({ 'Content-Length': '0' }), 101],
  ['a foreign origin', head({ Origin: 'http://evil.example' }), 403],
  ['the origin null', head({ Origin: 'null' }), 403],
  ['a foreign host', head({ Host: 'evil.example' }), 403],
  ['no host', head({ Host: undefined }), 400],
  ['two hosts', head({ Host: ['localhost', 'localhost'] }), 400],
  ['no key', head({ 'Sec-WebSocket-Key': undefined }), 400],
  ['an empty key', head({ 'Sec-WebSocket-Key': '' }), 400],
  ['a key of 15 bytes', head({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAA' }), 400],
  ['a key of 18 bytes', head({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAAA' }), 400],
  ['a key that is no base64', head({ 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }), 400],
  ['a key without padding', head({ 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA' }), 400],
  ['a key of 4 KiB', head({ 'Sec-WebSocket-Key': 'A'.repeat(4096) }), 400],
  ['two keys', head({ 'Sec-WebSocket-Key': [KEY, KEY] }), 400],
  ['no version', head({ 'Sec-WebSocket-Version': undefined }), 426, 'sec-websocket-version'],
  ['version 8', head({ 'Sec-WebSocket-Version': '8' }), 426, 'sec-websocket-version'],
  ['version 0', head({ 'Sec-WebSocket-Version': '0' }), 426, 'sec-websocket-version'],
  ['version 14', head({ 'Sec-WebSocket-Version': '14' }), 426, 'sec-websocket-version'],
  ['version 013', head({ 'Sec-WebSocket-Version': '013' }), 426, 'sec-websocket-version'],
  ['version 13 and others', head({ 'Sec-WebSocket-Version': '13, 8' }), 426, 'sec-websocket-version'],
  ['an empty version', head({ 'Sec-WebSocket-Version': '' }), 426, 'sec-websocket-version'],
  ['two versions', head({ 'Sec-WebSocket-Version': ['13', '8'] }), 400],
  ['no Upgrade', head({ Upgrade: undefined }), 426, 'upgrade'],
  ['another Upgrade', head({ Upgrade: 'h2c' }), 426, 'upgrade'],
  ['no Connection', head({ Connection: undefined }), 426, 'upgrade'],
  ['another Connection', head({ Connection: 'keep-alive' }), 426, 'upgrade'],
  ['HTTP/1.0', head({}, '/live', 'GET /live HTTP/1.0'), 426],
  ['HTTP/2.0', head({}, '/live', 'GET /live HTTP/2.0'), 505],
  ['POST', head({ 'Content-Length': '0' }, '/live', 'POST /live HTTP/1.1'), [405, 426]],
  ['HEAD', head({}, '/live', 'HEAD /live HTTP/1.1'), [405, 426]],
  ['get in lower case', head({}, '/live', 'get /live HTTP/1.1'), [405, 426]],
  ['a GET with a body', head({ 'Content-Length': '6' }) + 'abcdef', 400],
  ['a GET with chunks', head({ 'Transfer-Encoding': 'chunked' }) + '0\r\n\r\n', 400],
  ['at another path', head({}, '/alive'), 404],
  ['below the path', head({}, '/live/x'), 404],
  ['at the path with a slash behind', head({}, '/live/'), 404],
  ['at the path, escaped', head({}, '/l%69ve'), 404],
  ['a target too long', head({}, '/live?type=' + 'x'.repeat(9000)), 414],
  ['a folded field', head().replace('Upgrade: websocket', 'Upgrade:\r\n websocket'), 400],
  ['bare LF', head().replaceAll('\r\n', '\n'), 400],
  ['a space before a colon', head().replace('Upgrade:', 'Upgrade :'), 400],
  ['a control character', head({ 'X-Some': '\x01' }), 400],
  ['ten thousand fields', head({ 'X-Some': Array(10000).fill('x') }), 431]
]

test('there are enough cases, each with a name of its own', () => {
  assert.ok(cases.length + statuses.length >= 200, `${cases.length} and ${statuses.length}`)
  assert.strictEqual(new Set(cases.map((row) => row.name)).size, cases.length)
})

test('frames and handshakes', { concurrency: 24 }, async (t) => {
  server = await Server.start(t, ['--data', importLines(t, lines), '--frame-max', String(FRAME_MAX)])
  const tests = []
  for (const row of cases) tests.push(t.test(row.name, () => check(row)))
  for (const [name, bytes, want, field] of statuses) {
    tests.push(t.test(`handshake: ${name}`, async () => {
      const raw = await Raw.connect({ port: server.port })
      try {
        await raw.send(bytes)
        const method = bytes.startsWith('HEAD') ? ['HEAD'] : []
        await raw.until(() => raw.ended || answers(raw.received(), method).answers.length > 0, 'an answer')
        const list = answers(raw.received(), method, raw.ended).answers
        assert.strictEqual(list.length, 1, raw.received().toString('latin1'))
        assert.ok([].concat(want).includes(list[0].status), `${list[0].status}, wanted ${want}`)
        if (field) assert.ok(list[0].headers[field], `${field} is missing: ${JSON.stringify(list[0].headers)}`)
        if (field === 'sec-websocket-version') assert.strictEqual(list[0].headers[field], '13')
        if (list[0].status === 101) {
          assert.strictEqual(list[0].headers.upgrade?.toLowerCase(), 'websocket')
          assert.match(list[0].headers.connection, /^upgrade$/i)
          if (bytes.includes(KEY)) assert.strictEqual(list[0].headers['sec-websocket-accept'], ACCEPT)
          assert.strictEqual(list[0].headers['sec-websocket-protocol'], field === 'sec-websocket-protocol' ? 'sluice' : undefined)
          assert.strictEqual(list[0].headers['sec-websocket-extensions'], undefined)
        } else if (method.length === 0) {
          assert.strictEqual(list[0].headers['content-type'], 'application/problem+json')
          assert.strictEqual(list[0].headers['sec-websocket-accept'], undefined)
        }
      } finally {
        raw.close()
      }
    }))
  }

  tests.push(t.test('handshake: byte by byte', async () => {
    const raw = await Raw.connect({ port: server.port })
    const bytes = Buffer.from(head())
    for (const byte of pieces(bytes.subarray(0, -1), 1)) {
      await raw.send(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.strictEqual(raw.received().length, 0)
    await handshake(raw, bytes.subarray(-1))
    raw.close()
  }))
  for (const [name, list] of [['a message', [ask('early')]], ['three messages', [ask('one'), ask('two'), ask('early')]], ['fragments', fragments(message('early', 80), [3, 70])], ['60000 bytes', [text(message('early', 60000))]]]) {
    tests.push(t.test(`handshake: ${name} in the same packet`, async () => {
      const raw = await Raw.connect({ port: server.port })
      await handshake(raw, Buffer.concat([Buffer.from(head()), ...list]))
      await raw.until(() => read(raw.received()).frames.some((f) => JSON.parse(f.payload).id === 'early'), 'the answer to the early message')
      raw.close()
    }))
  }
  tests.push(t.test('handshake: half a frame in the same packet', async () => {
    const raw = await Raw.connect({ port: server.port })
    const bytes = ask('early')
    await handshake(raw, Buffer.concat([Buffer.from(head()), bytes.subarray(0, 9)]))
    await raw.send(bytes.subarray(9))
    await raw.until(() => read(raw.received()).frames.length === 1, 'the answer to the early message')
    raw.close()
  }))
  tests.push(t.test('handshake: a WebSocket is no second request', async () => {
    const raw = await Raw.connect({ port: server.port })
    await raw.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n' + head())
    await raw.until(() => answers(raw.received()).answers.length === 2, 'two answers')
    assert.deepStrictEqual(answers(raw.received()).answers.map((a) => a.status), [200, 426])
    raw.close()
  }))
  await Promise.all(tests)
  await until(async () => /^sluice_ws_clients(?:\{.*\})? 0$/m.test((await server.request('/metrics')).text), 'every client to be gone')
  assert.strictEqual((await server.request('/healthz')).status, 200)
})
