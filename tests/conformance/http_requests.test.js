'use strict'
// Requests that two readers could take differently, and such as nobody should send: each gets the one answer that RFC 9112 and RFC 9110 want, and
// no second one. Most rows are sent twice: as the first request of a connection, and behind a good one on the same connection.
const test = require('node:test')
const assert = require('node:assert')
const { Server, generate, importLines } = require('../support/sluice')
const { Raw, answers } = require('../support/raw')

const lines = generate(20, '--seed', '4', '--authors', '3')
const records = lines.map((line) => JSON.parse(line))
const slashed = records.find((r) => r.key.includes('/') && r.key.includes('+')) || records.find((r) => r.key.includes('/'))
const id = slashed.key
const BODY_MAX = 65536

const HOST = 'Host: localhost\r\n'
const get = (target, fields = '', version = '1.1') => `GET ${target} HTTP/${version}\r\n${HOST}${fields}\r\n`
const ok = (fields) => get('/healthz', fields)
const TYPE = 'Content-Type: application/json\r\n'
// {} is no message: 422 says that the handler got the whole body
const post = (fields, body) => `POST /log HTTP/1.1\r\n${HOST}${TYPE}${fields}\r\n${body}`
const CHUNKED = 'Transfer-Encoding: chunked\r\n'
const chunked = (body) => post(CHUNKED, body)
// what a second reader would take for a request of its own
const HIDDEN = 'GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n'
const x = (count, text = 'x') => text.repeat(count)

const groups = {}
// want: the status of the only answer, a list of statuses, or 'closed' (no answer, the connection ends).
// second: what is wanted behind another request where that differs; false = the row says nothing there.
// html: the HTTP library answers in words of its own, which it may also do wherever another request came before.
// cut: libmicrohttpd 1.0.1 may end the connection while all that is still on its way, and then no answer arrives.
// keeps: the connection must be usable afterwards; without it either is right, but never a second answer.
const rows = (group, list) => { groups[group] = list.map(([name, raw, want, more]) => ({ group, name, raw, want, ...more })) }

rows('Content-Length', [
  ['one', post('Content-Length: 2\r\n', '{}'), 422, { keeps: true }],
  ['with spaces and a tab before', post('Content-Length: \t 2\r\n', '{}'), 422, { keeps: true }],
  ['with a space and a tab behind', post('Content-Length: 2 \t\r\n', '{}'), [[400, 422]]],
  ['with leading zeros', post('Content-Length: 0002\r\n', '{}'), [[400, 422]]],
  ['on a GET: the body is no request', ok(`Content-Length: ${HIDDEN.length}\r\n`) + HIDDEN, 200, { keeps: true }],
  ['on a HEAD: the body is no request', `HEAD /healthz HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`, 200, { keeps: true, method: 'HEAD' }],
  ['on a 404: the body is no request', get('/nothing', `Content-Length: ${HIDDEN.length}\r\n`) + HIDDEN, 404],
  ['on a 405: the body is no request', `PUT /log HTTP/1.1\r\n${HOST}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`, 405],
  ['on a 415: the body is no request', `POST /log HTTP/1.1\r\n${HOST}Content-Type: text/plain\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`, 415],
  ['of a body that is packed', post('Content-Encoding: gzip\r\nContent-Length: 2\r\n', '{}'), 415, { body: 'Content-Encoding' }],
  ['of a packed body for a blob', `POST /blobs HTTP/1.1\r\n${HOST}Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}`, 415],
  ['of a body that is as it is, and says so', post('Content-Encoding: Identity\r\nContent-Length: 2\r\n', '{}'), 422, { keeps: true }],
  ['two, equal', post('Content-Length: 2\r\nContent-Length: 2\r\n', '{}' + HIDDEN), 400],
  ['two, the larger last', post(`Content-Length: 2\r\nContent-Length: ${2 + HIDDEN.length}\r\n`, '{}' + HIDDEN), 400],
  ['two, the smaller last', post(`Content-Length: ${2 + HIDDEN.length}\r\nContent-Length: 2\r\n`, '{}' + HIDDEN), 400],
  ['two, one in capitals', post('CONTENT-LENGTH: 2\r\ncontent-length: 0\r\n', '{}' + HIDDEN), 400],
  ['two on a GET', ok(`Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n`) + HIDDEN, 400],
  ['a list of equal numbers', post('Content-Length: 2, 2\r\n', '{}' + HIDDEN), 400],
  ['a list of two numbers', post('Content-Length: 2,0\r\n', '{}' + HIDDEN), 400],
  ['empty', post('Content-Length:\r\n', '{}' + HIDDEN), 400],
  ['with a plus', post('Content-Length: +2\r\n', '{}' + HIDDEN), 400],
  ['negative', post('Content-Length: -2\r\n', '{}' + HIDDEN), 400],
  ['minus zero', post('Content-Length: -0\r\n', HIDDEN), 400],
  ['hexadecimal', post('Content-Length: 0x2\r\n', '{}' + HIDDEN), 400],
  ['with a fraction', post('Content-Length: 2.0\r\n', '{}' + HIDDEN), 400],
  ['with an exponent', post('Content-Length: 2e0\r\n', '{}' + HIDDEN), 400],
  ['with letters behind', post('Content-Length: 2a\r\n', '{}' + HIDDEN), 400],
  ['two numbers apart', post('Content-Length: 2 2\r\n', '{}' + HIDDEN), 400],
  ['with a parameter', post('Content-Length: 2;a=b\r\n', '{}' + HIDDEN), 400],
  ['in quotes', post('Content-Length: "2"\r\n', '{}' + HIDDEN), 400],
  ['with a vertical tab', post('Content-Length: \x0b2\r\n', '{}' + HIDDEN), 400],
  ['with a no-break space', post('Content-Length: \xa02\r\n', '{}' + HIDDEN), 400],
  ['beyond 64 bits', post('Content-Length: 18446744073709551618\r\n', '{}' + HIDDEN), 413],
  ['beyond 63 bits', post('Content-Length: 9223372036854775808\r\n', '{}' + HIDDEN), 413, { second: [[400, 413]] }],
  ['the largest number', post('Content-Length: 9223372036854775807\r\n', '{}' + HIDDEN), 413, { second: [[400, 413]] }],
  ['a gigabyte', post('Content-Length: 1073741824\r\n', '{}'), 413],
  ['one byte over the limit', post(`Content-Length: ${BODY_MAX + 1}\r\n`, x(BODY_MAX + 1)), 413],
  ['exactly the limit', post(`Content-Length: ${BODY_MAX}\r\n`, '{}' + x(BODY_MAX - 2, ' ')), 422, { keeps: true }],
  ['a space before the colon', post('Content-Length : 2\r\n', '{}' + HIDDEN), 400],
  ['a tab before the colon', post('Content-Length\t: 2\r\n', '{}' + HIDDEN), 400],
  ['a NUL in the name', post('Content-Length\0: 2\r\n', '{}' + HIDDEN), 400],
  ['on a line of its own (folded)', post('Content-Length:\r\n 2\r\n', '{}'), 400, { second: [[400, 422]] }],
  ['folded into another number', post('Content-Length: 2\r\n 0\r\n', '{}' + HIDDEN), 400],
  ['behind a bare LF', post('X: y\nContent-Length: 2\r\n', '{}'), 400, { second: [[400, 422]] }],
  ['behind a bare CR', post('X: y\rContent-Length: 2\r\n', '{}' + HIDDEN), 400, { second: [[400, 422]] }],
  ['more than is sent, then the end', post('Content-Length: 10\r\n', '{}'), 'closed', { half: true }],
])

rows('Transfer-Encoding', [
  ['chunked', chunked('2\r\n{}\r\n0\r\n\r\n'), 422, { keeps: true }],
  ['Chunked', post('transfer-encoding: ChUnKeD\r\n', '2\r\n{}\r\n0\r\n\r\n'), 422, { keeps: true }],
  ['a tab before the value', post('Transfer-Encoding:\tchunked\r\n', '2\r\n{}\r\n0\r\n\r\n'), 422, { keeps: true }],
  ['on a GET: the body is no request', ok(CHUNKED) + `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`, 200, { keeps: true }],
  ['before Content-Length', post(`${CHUNKED}Content-Length: 2\r\n`, '0\r\n\r\n' + HIDDEN), 400],
  ['behind Content-Length', post(`Content-Length: ${5 + HIDDEN.length}\r\n${CHUNKED}`, '0\r\n\r\n' + HIDDEN), 400],
  ['with an equal Content-Length', post(`Content-Length: 12\r\n${CHUNKED}`, '2\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400],
  ['with Content-Length on a GET', ok(`Content-Length: 5\r\n${CHUNKED}`) + '0\r\n\r\n' + HIDDEN, 400],
  ['two, both chunked', post(CHUNKED + CHUNKED, '0\r\n\r\n' + HIDDEN), 400],
  ['two, one identity', post(CHUNKED + 'Transfer-Encoding: identity\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['two, one unknown', post('Transfer-Encoding: x\r\n' + CHUNKED, '0\r\n\r\n' + HIDDEN), 400],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['gzip, chunked', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['chunked, gzip', post('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['identity', post('Transfer-Encoding: identity\r\n', '{}' + HIDDEN), 400],
  ['identity with Content-Length', post('Transfer-Encoding: identity\r\nContent-Length: 2\r\n', '{}' + HIDDEN), 400],
  ['empty', post('Transfer-Encoding:\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['empty with Content-Length', post('Transfer-Encoding:\r\nContent-Length: 2\r\n', '{}' + HIDDEN), 400],
  ['xchunked', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['chunkedx', post('Transfer-Encoding: chunkedx\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['chunked with a parameter', post('Transfer-Encoding: chunked;q=1\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['in quotes', post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['with a comma behind', post('Transfer-Encoding: chunked,\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['with a vertical tab', post('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['with a form feed', post('Transfer-Encoding: chunked\x0c\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['with a NUL', post('Transfer-Encoding: chunked\0\r\n', '0\r\n\r\n' + HIDDEN), 400, { second: false }],
  ['with a high byte', post('Transfer-Encoding: \xa0chunked\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['a space before the colon', post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n' + HIDDEN), 400],
  ['folded', post('Transfer-Encoding:\r\n chunked\r\n', '2\r\n{}\r\n0\r\n\r\n'), 400, { second: [[400, 422]] }],
  ['hidden in a folded line', post('X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n', '{}'), 400, { second: [[400, 422]] }],
  ['behind a bare LF, with Content-Length', post(`X: y\nTransfer-Encoding: chunked\r\nContent-Length: ${5 + HIDDEN.length}\r\n`, '0\r\n\r\n' + HIDDEN), 400],
  ['in HTTP/1.0', `POST /log HTTP/1.0\r\n${HOST}${TYPE}${CHUNKED}\r\n2\r\n{}\r\n0\r\n\r\n${HIDDEN}`, 400],
])

rows('chunks', [
  ['one byte each', chunked('1\r\n{\r\n1\r\n}\r\n0\r\n\r\n'), 422, { keeps: true }],
  ['a size with leading zeros', chunked('0000000002\r\n{}\r\n0\r\n\r\n'), 422, { keeps: true }],
  ['an end of many zeros', chunked('2\r\n{}\r\n0000\r\n\r\n'), 422, { keeps: true }],
  ['sizes in upper and lower case', chunked(`A\r\n{}${x(8, ' ')}\r\na\r\n${x(10, ' ')}\r\n0\r\n\r\n`), 422, { keeps: true }],
  // libmicrohttpd 1.0.1 (Debian 13) takes none
  ['an extension', chunked('2;a=b\r\n{}\r\n0;c\r\n\r\n'), [[400, 422]], { html: true }],
  ['a trailer', chunked('2\r\n{}\r\n0\r\nX-Y: z\r\n\r\n'), 422, { keeps: true }],
  ['a trailer Content-Length changes nothing', chunked(`2\r\n{}\r\n0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n`), 422, { keeps: true }],
  ['a trailer Host changes nothing', chunked('2\r\n{}\r\n0\r\nHost: evil.example\r\n\r\n'), 422, { keeps: true }],
  ['a trailer Authorization changes nothing', chunked('2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n'), 422, { keeps: true }],
  ['a size of 0x2', chunked('0x2\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a size of +2', chunked('+2\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a size of -2', chunked('-2\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a size of -0', chunked('2\r\n{}\r\n-0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a space before the size', chunked(' 2\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a space behind the size', chunked('2 \r\n{}\r\n0\r\n\r\n'), [[400, 422]], { html: true }],
  ['a tab behind the size', chunked('2\t\r\n{}\r\n0\r\n\r\n'), [[400, 422]], { html: true }],
  ['a NUL behind the size', chunked('2\0\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['no size', chunked('\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['no size but an extension', chunked(';a\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a size of letters', chunked('xyz\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a decimal point', chunked('2.0\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a list of sizes', chunked('2,2\r\n{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['a size beyond 64 bits', chunked('10000000000000002\r\n{}\r\n0\r\n\r\n' + HIDDEN), [[400, 413]], { html: true }],
  ['a size of all bits', chunked('FFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n' + HIDDEN), 'closed', { half: true }],
  ['a size beyond 32 bits', chunked('100000002\r\n{}\r\n0\r\n\r\n' + HIDDEN), 'closed', { half: true }],
  ['a bare LF behind the size', chunked('2\n{}\r\n0\r\n\r\n'), [[400, 422]], { html: true }],
  ['a bare LF behind the data', chunked('2\r\n{}\n0\r\n\r\n'), [[400, 422]], { html: true }],
  ['a bare CR behind the size', chunked('2\r{}\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['nothing behind the data', chunked('2\r\n{}0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['more data than the size', chunked('2\r\n{}xx\r\n0\r\n\r\n' + HIDDEN), 400, { html: true }],
  ['less data than the size', chunked('4\r\n{}\r\n0\r\n\r\n' + HIDDEN), [[400, 422]], { html: true }],
  ['an endless size line', chunked('2;' + x(100000)), [[400, 408, 413, 431, 500]], { html: true, cut: true }],
  ['endless zeros', chunked(x(100000, '0')), [[400, 413, 431, 500]], { html: true }],
  ['an endless trailer', chunked('2\r\n{}\r\n0\r\nX: ' + x(100000)), [[400, 413, 431]], { html: true }],
  ['a trailer without a colon', chunked('2\r\n{}\r\n0\r\nno colon\r\n\r\n'), [[400, 422]], { html: true }],
  ['no end', chunked('2\r\n{}\r\n'), 'closed', { half: true }],
  ['an end in the middle of a chunk', chunked('10\r\n{}'), 'closed', { half: true }],
])

rows('lines and fields', [
  ['an empty line before the request', '\r\n' + ok(''), 200, { keeps: true }],
  ['bare LF everywhere', ok('').replaceAll('\r\n', '\n'), 400, { second: false }],
  ['a bare LF behind the request line', ok('').replace('\r\n', '\n'), 400, { second: [[200, 400]] }],
  ['a bare LF between fields', ok('X: y\nZ: a\r\n'), 400, { second: [[200, 400]] }],
  ['a bare LF at the end of the head', `GET /healthz HTTP/1.1\r\n${HOST}\n`, 400, { second: false }],
  ['a bare CR in a value', ok('X: y\rz\r\n'), 400, { second: [[200, 400]] }],
  ['a bare CR behind the request line', `GET /healthz HTTP/1.1\rHost: localhost\r\n\r\n`, 400],
  ['CR CR LF', ok('X: y\r\r\n'), 400, { second: [[200, 400]] }],
  ['a folded field', ok('X: y\r\n z\r\n'), 400, { second: [[200, 400]] }],
  ['a field folded with a tab', ok('X: y\r\n\tz\r\n'), 400, { second: [[200, 400]] }],
  ['a folded Host', `GET /healthz HTTP/1.1\r\nHost:\r\n evil.example\r\n\r\n`, 400, { second: [[400, 403]] }],
  ['a field that begins with a space', `GET /healthz HTTP/1.1\r\n X: y\r\n${HOST}\r\n`, 400],
  ['a field that begins with a tab', `GET /healthz HTTP/1.1\r\n\tX: y\r\n${HOST}\r\n`, 400],
  ['a space before a colon', ok('X : y\r\n'), 400, { second: [[200, 400]] }],
  ['a field without a name', ok(': y\r\n'), 400, { second: [[200, 400]] }],
  ['a field without a colon', ok('no colon\r\n'), 400],
  ['a field name with a space in it', ok('X Y: z\r\n'), 400, { second: [[200, 400]] }],
  ['a field name with a slash', ok('X/Y: z\r\n'), 400, { second: [[200, 400]] }],
  ['a field name in brackets', ok('[X]: z\r\n'), 400, { second: [[200, 400]] }],
  ['a field name of high bytes', ok('\xe9: z\r\n'), 400, { second: [[200, 400]] }],
  ['a field name of odd but lawful characters', ok("!#$%&'*+-.^_`|~09: z\r\n"), 200, { keeps: true }],
  ['an empty value', ok('X:\r\n'), 200, { keeps: true }],
  ['a value of high bytes', ok('X: \xff\xfe\xe9\r\n'), 200, { keeps: true }],
  ['a value with tabs', ok('X: a\tb\r\n'), 200, { keeps: true }],
  ['a NUL in a value', ok('X: a\0b\r\n'), 400, { second: [[200, 400]] }],
  ['a NUL in a name', ok('X\0Y: b\r\n'), 400],
  ['a NUL in the method', 'G\0ET /healthz HTTP/1.1\r\n' + HOST + '\r\n', 400, { second: [[400, 405]] }],
  ['a NUL in the target', get('/healthz\0x'), 400, { second: [[400, 404, 200]] }],
  ['a NUL in the Host', 'GET /healthz HTTP/1.1\r\nHost: localhost\0evil.example\r\n\r\n', 400, { second: [[200, 400, 403]] }],
  ['BEL in a value', ok('X: \x07\r\n'), 400, { second: [[200, 400]] }],
  ['ESC in a value', ok('X: \x1b[2J\r\n'), 400, { second: [[200, 400]] }],
  ['DEL in a value', ok('X: \x7f\r\n'), 400, { second: [[200, 400]] }],
  ['ESC in the target', get('/\x1b[2J'), 400, { second: [[400, 404]] }],
  ['two Authorization fields', ok('Authorization: Bearer a\r\nAuthorization: Bearer b\r\n'), 400],
  ['two Origin fields', ok('Origin: http://localhost\r\nOrigin: http://evil.example\r\n'), 400],
  ['two Content-Type fields', `POST /log HTTP/1.1\r\n${HOST}${TYPE}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}`, 400],
])

rows('request line', [
  ['two spaces before the target', 'GET  /healthz HTTP/1.1\r\n' + HOST + '\r\n', 400, { second: [[200, 400]] }],
  ['two spaces behind the target', 'GET /healthz  HTTP/1.1\r\n' + HOST + '\r\n', 400, { second: [[200, 400, 404]] }],
  ['tabs for spaces', 'GET\t/healthz\tHTTP/1.1\r\n' + HOST + '\r\n', 400, { second: [[200, 400]] }],
  ['a space in front', ' GET /healthz HTTP/1.1\r\n' + HOST + '\r\n', 400],
  ['a space behind', 'GET /healthz HTTP/1.1 \r\n' + HOST + '\r\n', 400, { second: [[200, 400, 505]] }],
  ['a space in the target', get('/heal thz'), 400, { second: [[400, 404]] }],
  ['no target', 'GET HTTP/1.1\r\n' + HOST + '\r\n', 400],
  ['no method', '/healthz HTTP/1.1\r\n' + HOST + '\r\n', 400],
  ['an empty target', 'GET  HTTP/1.1\r\n' + HOST + '\r\n', 400],
  ['one word', 'GET\r\n' + HOST + '\r\n', 400],
  ['HTTP/0.9: no version', 'GET /healthz\r\n\r\n', 400],
  ['HTTP/0.9: no version, one line', 'GET /healthz\r\n', 400, { second: false }],
  ['HTTP/0.9 by name', get('/healthz', '', '0.9'), 505],
  ['HTTP/1.0', get('/healthz', '', '1.0'), 200],
  ['HTTP/1.0 without Host', 'GET /healthz HTTP/1.0\r\n\r\n', 200],
  ['HTTP/1.2', get('/healthz', '', '1.2'), 200],
  ['HTTP/2.0', get('/healthz', '', '2.0'), 505],
  ['HTTP/3.0', get('/healthz', '', '3.0'), 505],
  ['HTTP/9.9', get('/healthz', '', '9.9'), 505],
  ['HTTP/1.10', get('/healthz', '', '1.10'), 400, { second: [[400, 505]] }],
  ['HTTP/01.1', get('/healthz', '', '01.1'), 400, { second: [[400, 505]] }],
  ['HTTP/1', get('/healthz', '', '1'), 400, { second: [[400, 505]] }],
  ['HTTP/1.', get('/healthz', '', '1.'), 400, { second: [[400, 505]] }],
  ['HTTP/1,1', get('/healthz', '', '1,1'), 400, { second: [[400, 505]] }],
  ['HTTP/+1.1', get('/healthz', '', '+1.1'), 400, { second: [[400, 505]] }],
  ['http/1.1', 'GET /healthz http/1.1\r\n' + HOST + '\r\n', 400, { second: [[400, 505]] }],
  ['HTTPS/1.1', 'GET /healthz HTTPS/1.1\r\n' + HOST + '\r\n', 400, { second: [[400, 505]] }],
  ['ICY/1.1', 'GET /healthz ICY/1.1\r\n' + HOST + '\r\n', 400, { second: [[400, 505]] }],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 505],
  ['a method in lower case', 'get /healthz HTTP/1.1\r\n' + HOST + '\r\n', 405],
  ['an unknown method', 'BREW /healthz HTTP/1.1\r\n' + HOST + '\r\n', 405],
  ['a method of one letter', 'G /healthz HTTP/1.1\r\n' + HOST + '\r\n', 405],
  ['a method of odd but lawful characters', "!#$%&'*+-.^_`|~9 /healthz HTTP/1.1\r\n" + HOST + '\r\n', 405],
  ['a method with a bracket', 'GET( /healthz HTTP/1.1\r\n' + HOST + '\r\n', 400, { second: [[400, 405]] }],
  ['a method with a colon', 'GET: /healthz HTTP/1.1\r\n' + HOST + '\r\n', 400, { second: [[400, 405]] }],
  ['a method of high bytes', 'G\xcbT /healthz HTTP/1.1\r\n' + HOST + '\r\n', 400, { second: [[400, 405]] }],
  ['TRACE', 'TRACE /healthz HTTP/1.1\r\n' + HOST + 'X: mirrored\r\n\r\n', 405],
  ['CONNECT', 'CONNECT localhost:80 HTTP/1.1\r\n' + HOST + '\r\n' + HIDDEN, [[400, 405, 501]], { second: false, tunnel: true }],
  ['DELETE', 'DELETE /log HTTP/1.1\r\n' + HOST + '\r\n', 405],
  ['PUT without a length', 'PUT /log HTTP/1.1\r\n' + HOST + '\r\n', 405],
])

rows('target', [
  ['//', get('//'), 404, { keeps: true }],
  ['//healthz', get('//healthz'), 404, { keeps: true }],
  ['/./healthz', get('/./healthz'), 404, { keeps: true }],
  ['/../healthz', get('/../healthz'), 404, { keeps: true }],
  ['/log/../healthz', get('/log/../healthz'), 404, { keeps: true }],
  ['/%2e%2e/etc/passwd', get('/%2e%2e/etc/passwd'), 404, { keeps: true }],
  ['/../../../../etc/passwd', get('/../../../../etc/passwd'), 404, { keeps: true }],
  ['/healthz/', get('/healthz/'), 404, { keeps: true }],
  ['/HEALTHZ', get('/HEALTHZ'), 404, { keeps: true }],
  ['/health%7a', get('/health%7a'), 404, { keeps: true }],
  ['/healthz;a=b', get('/healthz;a=b'), 404, { keeps: true }],
  ['/healthz#part', get('/healthz#part'), [[400, 404]]],
  ['/healthz\\', get('/healthz\\'), 404],
  ['/\\localhost/healthz', get('/\\localhost/healthz'), 404],
  ['/healthz%00', get('/healthz%00'), 404, { keeps: true }],
  ['/log/%00', get('/log/%00'), 400, { keeps: true }],
  ['/messages/%00', get('/messages/%00'), 400, { keeps: true }],
  ['an id with %00 behind', get(`/messages/${encodeURIComponent(id)}%00`), 400, { keeps: true }],
  ['/messages/%zz', get('/messages/%zz'), 400, { keeps: true }],
  ['/messages/%', get('/messages/%'), 400, { keeps: true }],
  ['/messages/%2', get('/messages/%2'), 400, { keeps: true }],
  ['/messages/%2F', get('/messages/%2F'), 400, { keeps: true }],
  ['/messages/%252F', get('/messages/%252F'), 400, { keeps: true }],
  ['/messages/', get('/messages/'), 404, { keeps: true }],
  ['an id as it is', get(`/messages/${id}`), 200, { keeps: true, body: id }],
  ['an id, encoded', get(`/messages/${encodeURIComponent(id)}`), 200, { keeps: true, body: id }],
  ['an id, encoded in lower case', get(`/messages/${encodeURIComponent(id).replace(/%../g, (c) => c.toLowerCase())}`), 200, { keeps: true, body: id }],
  ['an id with %2F only', get(`/messages/${id.replaceAll('/', '%2F').replace('%', '%25')}`), 200, { keeps: true, body: id }],
  ['an id as it is, with a path behind', get(`/messages/${id}/raw`), 200, { keeps: true }],
  ['an encoded id with an encoded path behind', get(`/messages/${encodeURIComponent(id)}%2Fraw`), 400, { keeps: true }],
  ['an id encoded twice', get(`/messages/${encodeURIComponent(encodeURIComponent(id))}`), [[200, 400]], { keeps: true }],
  ['an id with an overlong slash', get(`/messages/${encodeURIComponent(id).replace('%2F', '%c0%af')}`), 400, { keeps: true }],
  ['raw UTF-8', get('/about/\xc3\xa9'), [[400, 404]]],
  ['bytes that are no UTF-8', get('/about/\xff\xfe'), [[400, 404]]],
  ['%ff in a query', get('/log?type=%ff'), [[200, 400]], { keeps: true }],
  ['%00 in a query', get('/log?type=a%00b'), 400, { keeps: true }],
  ['%zz in a query', get('/log?type=%zz'), 400, { keeps: true }],
  ['% at the end of a query', get('/log?type=a%'), 400, { keeps: true }],
  ['%0d%0a in a query', get('/log?type=a%0d%0aX-Y:%20z'), 200, { keeps: true, header: 'x-y' }],
  ['an unknown parameter', get('/log?nothing=1'), 400, { keeps: true }],
  ['a parameter without a name', get('/log?=1'), 400, { keeps: true }],
  ['a parameter twice', get('/log?limit=1&limit=2'), 400, { keeps: true }],
  ['a parameter twice, once encoded', get('/log?limit=1&l%69mit=2'), 400, { keeps: true }],
  ['empty parameters', get('/log?&&&'), 200, { keeps: true }],
  ['two question marks', get('/log??limit=1'), 400, { keeps: true }],
  ['a semicolon for an ampersand', get('/log?limit=1;gt=0'), 400, { keeps: true }],
  ['a hundred parameters', get('/log?' + x(100, 'a=b&')), 400],
  ['four thousand parameters', get('/log?' + x(4000, 'a&')), [[400, 414, 431]], { html: true }],
  ['a limit beyond 64 bits', get('/log?limit=18446744073709551617'), 400, { keeps: true }],
  ['a negative limit', get('/log?limit=-1'), 400, { keeps: true }],
  ['a seq beyond 53 bits', get('/log/9007199254740993'), [[400, 404]], { keeps: true }],
  ['no slash', get('healthz'), 400],
  ['a query only', get('?a=b'), 400],
  ['* with GET', get('*'), 400],
  ['* with OPTIONS', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, 204, { keeps: true }],
  ['** with OPTIONS', `OPTIONS ** HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a host and a port', get('localhost:8990'), 400],
  ['absolute', get('http://localhost/healthz'), 200, { keeps: true }],
  ['absolute in capitals', get('HTTP://LOCALHOST/healthz'), 200, { keeps: true }],
  ['absolute with a port', get('http://127.0.0.1:80/healthz'), 200, { keeps: true }],
  ['absolute without a path', get('http://localhost'), 200, { keeps: true }],
  ['absolute without a path, with a query', get('http://localhost?a=b'), 400],
  ['absolute, foreign, with our Host', get('http://evil.example/healthz'), 403],
  ['absolute, ours, with a foreign Host', 'GET http://localhost/healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n', 200],
  ['absolute without Host', 'GET http://localhost/healthz HTTP/1.1\r\n\r\n', 400, { html: true }],
  ['absolute with a user', get('http://localhost@evil.example/healthz'), [[400, 403]]],
  ['absolute with a user of ours', get('http://evil.example@localhost/healthz'), [[400, 403]]],
  ['absolute without a host', get('http:///healthz'), [[400, 403]]],
  ['absolute with a wide port', get('http://localhost:4294967376/healthz'), [[400, 403]]],
  ['absolute with a backslash', get('http://localhost\\.evil.example/healthz'), [[400, 403]]],
  ['absolute, https', get('https://localhost/healthz'), [[400, 421]]],
  ['absolute, file', get('file:///etc/passwd'), 400],
  ['absolute, one slash', get('http:/localhost/healthz'), 400],
  ['of 8192 bytes', get('/' + x(8191)), 404, { keeps: true }],
  ['of 8193 bytes', get('/' + x(8192)), 414],
  ['of 16 KiB', get('/' + x(16384)), 414, { html: true }],
  ['of 100 KiB', get('/' + x(100000)), 414, { html: true }],
  ['that never ends', 'GET /' + x(200000), 414, { html: true }],
])

rows('Host', [
  ['none', 'GET /healthz HTTP/1.1\r\n\r\n', 400, { html: true }],
  ['two, equal', get('/healthz', HOST), 400],
  ['two, the second foreign', get('/healthz', 'Host: evil.example\r\n'), 400],
  ['two, in other cases', get('/healthz', 'hOST: evil.example\r\n'), 400],
  ['foreign', 'GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n', 403],
  ['foreign in HTTP/1.0', 'GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n', 403],
  ['empty', 'GET /healthz HTTP/1.1\r\nHost:\r\n\r\n', [[400, 403]]],
  ['a list', 'GET /healthz HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n', 400, { second: [[400, 403]] }],
  ['two names', 'GET /healthz HTTP/1.1\r\nHost: localhost evil.example\r\n\r\n', 400, { second: [[400, 403]] }],
  ['with a user', 'GET /healthz HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n', 400, { second: [[400, 403]] }],
  ['with a path', 'GET /healthz HTTP/1.1\r\nHost: localhost/evil.example\r\n\r\n', 400, { second: [[400, 403]] }],
  ['with a query', 'GET /healthz HTTP/1.1\r\nHost: localhost?evil.example\r\n\r\n', 400, { second: [[400, 403]] }],
  ['with a scheme', 'GET /healthz HTTP/1.1\r\nHost: http://localhost\r\n\r\n', 400, { second: [[400, 403]] }],
  ['with two ports', 'GET /healthz HTTP/1.1\r\nHost: localhost:80:80\r\n\r\n', [[400, 403]]],
  ['with a port of letters', 'GET /healthz HTTP/1.1\r\nHost: localhost:evil\r\n\r\n', [[400, 403]]],
  ['with a port of a fraction', 'GET /healthz HTTP/1.1\r\nHost: localhost:8.8\r\n\r\n', [[400, 403]]],
  ['with a bracket left open', 'GET /healthz HTTP/1.1\r\nHost: [::1\r\n\r\n', [[400, 403]]],
  ['of 300 letters', `GET /healthz HTTP/1.1\r\nHost: ${x(300, 'a')}\r\n\r\n`, 403],
  ['with a dot behind', 'GET /healthz HTTP/1.1\r\nHost: localhost.\r\n\r\n', 200, { keeps: true }],
  ['as IPv6', 'GET /healthz HTTP/1.1\r\nHost: [::1]:8990\r\n\r\n', 200, { keeps: true }],
  ['as a number', 'GET /healthz HTTP/1.1\r\nHost: 2130706433\r\n\r\n', 403],
  ['as an octal address', 'GET /healthz HTTP/1.1\r\nHost: 0177.0.0.1\r\n\r\n', 403],
  ['0.0.0.0', 'GET /healthz HTTP/1.1\r\nHost: 0.0.0.0\r\n\r\n', 403],
  ['with X-Forwarded-Host of ours', 'GET /healthz HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n\r\n', 403],
])

rows('size', [
  ['a field of 4 KiB', ok(`X: ${x(4096)}\r\n`), 200, { keeps: true }],
  ['a field of 40 KiB', ok(`X: ${x(40000)}\r\n`), 431, { html: true }],
  ['a field of a megabyte', ok(`X: ${x(1000000)}\r\n`), 431, { html: true }],
  ['a field name of 40 KiB', ok(`${x(40000)}: y\r\n`), 431, { html: true }],
  ['fifty fields', ok(x(50, 'X: y\r\n')), 200, { keeps: true }],
  ['a thousand fields', ok(x(1000, 'X: y\r\n')), 431, { html: true }],
  ['ten thousand fields', ok(x(10000, 'X: y\r\n')), 431, { html: true }],
  ['a cookie of a thousand parts', ok(`Cookie: ${x(1000, 'a=b; ')}\r\n`), [[200, 431]], { html: true }],
  ['a method of 10 KiB', `${x(10000, 'G')} /healthz HTTP/1.1\r\n${HOST}\r\n`, [[400, 405, 414, 431, 501]], { html: true }],
  ['a version of 10 KiB', get('/healthz', '', '1.1' + x(10000)), [[400, 414, 431, 505]], { html: true }],
  ['ten thousand empty lines', x(10000, '\r\n'), 400, { second: false }],
])

rows('one connection', [
  ['two requests at once', ok('') + ok(''), [200, 200], { keeps: true }],
  ['fifty requests at once', x(50, ok('')), Array(50).fill(200), { keeps: true }],
  ['a body, then a request', post('Content-Length: 2\r\n', '{}') + ok(''), [422, 200], { keeps: true }],
  ['chunks, then a request', chunked('2\r\n{}\r\n0\r\n\r\n') + ok(''), [422, 200], { keeps: true }],
  ['an unread body, then a request', get('/healthz', 'Content-Length: 5\r\n') + 'hello' + ok(''), [200, 200], { keeps: true }],
  ['nothing behind Connection: close', ok('Connection: close\r\n') + HIDDEN, 200],
  ['nothing behind close in a list', ok('Connection: x, Close\r\n') + HIDDEN, 200],
  ['nothing behind close in a second field', ok('Connection: keep-alive\r\nConnection: close\r\n') + HIDDEN, 200],
  ['nothing behind HTTP/1.0', get('/healthz', '', '1.0') + HIDDEN, 200],
  ['a good one, then a foreign host', ok('') + 'GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n', [200, 403]],
  ['a bad one, then a good one', 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n' + HIDDEN, 400],
  ['Expect: 100-continue, the body there', post('Expect: 100-continue\r\nContent-Length: 2\r\n', '{}'), [[100, 422], 422], { expect: true, keeps: true }],
  ['Expect: 100-continue without a body', ok('Expect: 100-continue\r\n'), [[100, 200], 200], { expect: true }],
  ['Expect: 100-continue in HTTP/1.0', `POST /log HTTP/1.0\r\n${HOST}${TYPE}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}`, 422],
  ['Expect: 100-continue with a body too large', post('Expect: 100-continue\r\nContent-Length: 99999999\r\n', ''), 413],
  ['Expect: something else', ok('Expect: a-miracle\r\n'), [[200, 417]]],
  ['Upgrade: h2c', ok('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'), 200],
  ['a WebSocket where there is none', ok('Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'), 200],
  ['a proxy header', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n' + ok(''), 400, { second: false }],
  ['a TLS hello', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03' + x(160, '\x5a'), 'closed', { second: false }],
  ['a TLS hello of SSLv2', '\x80\x2e\x01\x00\x02' + x(40, '\x5a'), [[400, 408]], { second: false }],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', 400, { second: false }],
  ['mail', 'EHLO example.com\r\nMAIL FROM:<a@example.com>\r\n', 400, { second: false }],
  ['an HTTP answer', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 400, { second: [[400, 505]] }],
  ['bytes at random', Buffer.from(Array.from({ length: 400 }, (_, i) => (i * 7919 + 131) % 251 + 1)).toString('latin1'), 400, { second: false }],
  ['NULs', x(400, '\0'), 400, { second: false }],
  ['half a head, then the end', 'GET /healthz HTTP/1.1\r\nHos', 'closed', { half: true }],
  ['half a head, then silence', 'GET /healthz HTTP/1.1\r\nHos', 408, { second: 'closed' }],
  ['silence', '', 'closed', { second: false }],
])

const FIRST = 'GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n'
const PROBE = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

const wanted = (want) => (Array.isArray(want) ? want : want === 'closed' ? [] : [want]).map((status) => [].concat(status))

function judge(answer, row, html) {
  const type = answer.headers['content-type']
  if (answer.status >= 400 && !(html && type === undefined)) {
    assert.strictEqual(type, 'application/problem+json', `${answer.status} as ${type}: ${answer.body}`)
    if (row.method !== 'HEAD') assert.strictEqual(JSON.parse(answer.body).status, answer.status)
  }
  if (row.body) assert.ok(answer.body.includes(row.body), answer.body)
  if (row.header) assert.strictEqual(answer.headers[row.header], undefined)
}

async function check(server, row, behind) {
  const raw = await Raw.connect({ port: server.port })
  try {
    const want = wanted(behind && row.second !== undefined ? row.second : row.want)
    const methods = [...(behind ? ['GET'] : []), ...want.map(() => row.method)]
    const first = behind ? 1 : 0
    const read = () => answers(raw.received(), methods, raw.ended)
    const shown = () => JSON.stringify(raw.received().toString('latin1').slice(0, 1500))
    if (behind) {
      await raw.send(FIRST)
      await raw.until(() => read().answers.length === 1, 'the first answer')
    }
    await raw.send(row.raw)
    if (row.half) raw.socket.end()
    // behind another request libmicrohttpd 0.9.75 says nothing to some lines that it cannot read, and writes the head of some refusals twice
    const refused = behind && want.every((statuses) => statuses.some((status) => status >= 400)) && !row.keeps
    // 100 need not be said where the body is there (libmicrohttpd 1.0 does not)
    const least = row.expect ? 1 : want.length
    await raw.until(() => raw.ended || (least > 0 && read().answers.length >= first + least), `${least} answers`)
    let list = read().answers.slice(first)
    if (row.expect && list[0]?.status !== 100) want.shift()
    else if (row.expect) await raw.until(() => read().answers.length >= first + 2, 'the answer behind 100')
    list = read().answers.slice(first)
    if ((refused || row.cut) && list.length === 0 && raw.ended && read().rest === '') return
    // who ends his side within a body is cut off when that is noticed, and told 408 where it is not
    if (row.half && want.length === 0 && list[0]?.status === 408) want.push([408])
    assert.strictEqual(list.length, want.length, shown())
    list.forEach((answer, i) => {
      assert.ok(want[i].includes(answer.status), `${answer.status}, wanted ${want[i].join(' or ')}: ${shown()}`)
      judge(answer, row, row.html || behind)
    })
    const last = list.at(-1)
    const closes = !last || last.headers.connection?.toLowerCase() === 'close'
    if (row.keeps) assert.ok(!closes, 'the connection was given up: ' + shown())
    if (!closes && !row.half) {
      // in step: what is asked now is answered next, and nothing else is
      await raw.send(PROBE)
      await raw.until(() => raw.ended, 'the end')
      const all = answers(raw.received(), [...methods, 'GET'], true)
      assert.strictEqual(all.rest, '', shown())
      const tail = all.answers.slice(first + want.length)
      assert.deepStrictEqual(tail.map((a) => [a.status, a.body.includes('/problems/')]), [[200, false]], shown())
    } else if (refused && last.body.startsWith('HTTP/1.1 ' + last.status)) {
      await raw.until(() => raw.ended, 'the end')
      const text = raw.received().toString('latin1')
      assert.strictEqual(text.match(/HTTP\/1\.1 /g).length, first + 2, shown())
      assert.ok(text.endsWith('</html>'), shown())
    } else {
      await raw.until(() => raw.ended, 'the end')
      assert.strictEqual(answers(raw.received(), methods, true).answers.length, first + list.length, shown())
      assert.strictEqual(read().rest, '', shown())
    }
  } finally {
    raw.close()
  }
}

const all = Object.values(groups).flat()

test('there are enough rows, each with a name of its own', () => {
  assert.ok(all.length >= 150, `${all.length}`)
  assert.strictEqual(new Set(all.map((row) => row.group + row.name)).size, all.length)
})

test('requests', { concurrency: 24 }, async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, lines), '--body-max', String(BODY_MAX), '--header-timeout', '4', '--idle-timeout', '5'])
  const before = await server.get('/status')
  const tests = []
  for (const row of all) {
    tests.push(t.test(`${row.group}: ${row.name}`, () => check(server, row, false)))
    if (row.second !== false) tests.push(t.test(`${row.group}: ${row.name}, behind another request`, () => check(server, row, true)))
  }
  await Promise.all(tests)
  const after = await server.get('/status')
  assert.deepStrictEqual(after.log, before.log, 'nothing was stored')
})
