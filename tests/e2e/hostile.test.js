'use strict'
// Clients that want to bring the server down. During each attack a healthy client in a thread of its own keeps asking; after it memory is bounded and every
// descriptor is back. The figures stand in the diagnostics; what is asserted of time is only that nobody waits for seconds.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const { Worker } = require('node:worker_threads')
const { Server, generate, importLines, until } = require('../support/sluice')
const { Raw, frame } = require('../support/raw')

const MIB = 1 << 20
const GROWTH_MAX = 192 * MIB // with a sanitizer's memory around everything
const HEALTHY_MS_MAX = 2000
const HEADER_TIMEOUT = 2, IDLE_TIMEOUT = 3
const lines = generate(6000, '--seed', '77', '--authors', '30')

// Asks again and again on one connection, and now and then on a new one, until it is told to stop: then posts its times in milliseconds.
const HEALTHY = `
const { parentPort, workerData: { port } } = require('node:worker_threads')
const http = require('node:http')
const kept = new http.Agent({ keepAlive: true, maxSockets: 1 })
const times = []
let failed = null, over = false
const ask = (n) => new Promise((resolve) => {
  const start = process.hrtime.bigint()
  const done = (problem) => { failed = failed || problem; times.push(Number(process.hrtime.bigint() - start) / 1e6); resolve() }
  const req = http.get({ host: '127.0.0.1', port, path: n % 2 ? '/log?limit=5&reverse=true' : '/status', agent: n % 10 ? kept : false }, (res) => {
    res.resume().on('end', () => done(res.statusCode === 200 ? null : 'status ' + res.statusCode))
  })
  req.on('error', (err) => done(err.code))
})
parentPort.on('message', () => { over = true })
;(async () => {
  for (let n = 1; !over; n++) {
    await ask(n)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  kept.destroy()
  parentPort.postMessage({ times, failed })
  parentPort.close()
})()
`

function healthy(port) {
  const worker = new Worker(HEALTHY, { eval: true, workerData: { port } })
  const result = new Promise((resolve, reject) => { worker.on('message', resolve); worker.on('error', reject) })
  return async () => {
    worker.postMessage('stop')
    const { times, failed } = await result
    times.sort((a, b) => a - b)
    return { failed, count: times.length, p50: times[times.length >> 1], p99: times[Math.floor(times.length * 0.99)], worst: times.at(-1) }
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const descriptors = (server) => fs.readdirSync(`/proc/${server.child.pid}/fd`).length
const resident = (server) => Number(/^VmRSS:\s*(\d+) kB/m.exec(fs.readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]) * 1024
const mib = (bytes) => (bytes / MIB).toFixed(1) + ' MiB'
const ms = (value) => value.toFixed(1) + ' ms'

// Each says what it has to say as soon as it is connected: a silent one is not waited for.
async function crowd(server, count, each) {
  const raws = []
  const join = async () => {
    const raw = await Raw.connect({ port: server.port })
    if (each) await each(raw)
    return raw
  }
  for (let i = 0; i < count; i += 100) raws.push(...await Promise.all(Array.from({ length: Math.min(100, count - i) }, join)))
  return raws
}

const closeAll = (raws) => raws.forEach((raw) => raw.close())
const status = (raw) => Number(/^HTTP\/1\.1 (\d+)/.exec(raw.received().toString('latin1'))?.[1] || 0)

const UPGRADE = (target) => `GET ${target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'

async function socket(server, target = '/live?subscribe=false') {
  const raw = await Raw.connect({ port: server.port })
  await raw.send(UPGRADE(target))
  await raw.until(() => raw.received().includes('\r\n\r\n'), 'the handshake')
  assert.strictEqual(status(raw), 101)
  return raw
}

// The code of a close frame that ends what came, 0 if there is none.
function closeCode(raw) {
  const bytes = raw.received()
  let at = bytes.indexOf('\r\n\r\n') + 4
  while (at + 2 <= bytes.length) {
    const short = bytes[at + 1] & 127
    const body = at + (short === 126 ? 4 : short === 127 ? 10 : 2)
    const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short
    if ((bytes[at] & 15) === 8) return bytes.readUInt16BE(body)
    at = body + length
  }
  return 0
}

const attacks = {
  // Each gives a sentence for the diagnostics; connections that are left open are closed by the server or by the attack itself.
  'heads and handshakes that come drop by drop': async (server) => {
    const endless = { GET: 'GET /log HTTP/1.1\r\nHost: localhost\r\nX: ', WS: UPGRADE('/live').slice(0, -2) + 'X: ' }
    const raws = await crowd(server, 600, (raw) => raw.send(endless.GET.slice(0, 1)))
    raws.forEach((raw, i) => { raw.text = i % 2 ? endless.GET : endless.WS; raw.at = 1 })
    const drip = setInterval(() => raws.forEach((raw) => { if (!raw.ended) raw.send(raw.text[raw.at++] || 'x') }), 50)
    try {
      await until(() => raws.every((raw) => raw.ended), () => `the end of ${raws.filter((raw) => !raw.ended).length}`, (HEADER_TIMEOUT + 10) * 1000)
    } finally {
      clearInterval(drip)
    }
    const told = raws.filter((raw) => status(raw) === 408).length
    assert.ok(told >= raws.length * 0.9, `${told} of ${raws.length} were told 408`)
    closeAll(raws)
    return `${raws.length} connections, ${told} answered 408`
  },

  'a second head that comes drop by drop': async (server) => {
    const raws = await crowd(server, 200, (raw) => raw.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /log HTTP/1.1\r\nX: '))
    await until(() => raws.every((raw) => status(raw) === 200), 'the first answers')
    const drip = setInterval(() => raws.forEach((raw) => { if (!raw.ended) raw.send('x') }), 50)
    try {
      await until(() => raws.every((raw) => raw.ended), () => `the end of ${raws.filter((raw) => !raw.ended).length}`, (IDLE_TIMEOUT + HEADER_TIMEOUT + 10) * 1000)
    } finally {
      clearInterval(drip)
    }
    closeAll(raws)
    return `${raws.length} connections`
  },

  'bodies that come drop by drop': async (server) => {
    const raws = await crowd(server, 300, (raw) => raw.send('POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{'))
    const drip = setInterval(() => raws.forEach((raw) => { if (!raw.ended) raw.send(' ') }), 50)
    try {
      await until(() => raws.every((raw) => raw.ended), () => `the end of ${raws.filter((raw) => !raw.ended).length}`, (IDLE_TIMEOUT + 10) * 1000)
    } finally {
      clearInterval(drip)
    }
    const told = raws.filter((raw) => status(raw) === 408).length
    assert.ok(told >= raws.length * 0.9, `${told} of ${raws.length} were told 408`)
    closeAll(raws)
    return `${raws.length} connections, ${told} answered 408`
  },

  'sockets that say nothing': async (server) => {
    const silent = await crowd(server, 1500)
    const asked = await crowd(server, 300, (raw) => raw.send('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    await until(() => asked.every((raw) => status(raw) === 200), 'the answers')
    await until(() => [...silent, ...asked].every((raw) => raw.ended), () => `the end of ${[...silent, ...asked].filter((raw) => !raw.ended).length}`, (IDLE_TIMEOUT + HEADER_TIMEOUT + 10) * 1000)
    closeAll([...silent, ...asked])
    return `${silent.length} without a word and ${asked.length} after one answer, all ended by the server`
  },

  'a thousand WebSockets that wait': async (server) => {
    // who is not heard of for two heartbeats is taken for gone, and until all are there may take as long
    const raws = []
    const beat = setInterval(() => raws.forEach((raw) => raw.send(frame(10))), 1000)
    try {
      await crowd(server, 1000, async (raw) => {
        await raw.send(UPGRADE('/live?old=false'))
        await raw.until(() => raw.received().includes('"sync":true'), 'sync')
        raws.push(raw)
      })
      await sleep(500)
    } finally {
      clearInterval(beat)
    }
    assert.ok(raws.every((raw) => !raw.ended))
    const used = resident(server)
    closeAll(raws)
    return `${raws.length} WebSockets at ${mib(used)}`
  },

  'readers that stop reading': async (server) => {
    const ask = ['GET /log?live=true HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n', 'GET /log?live=true HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n',
      UPGRADE('/live'), 'GET /log?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(50)]
    const raws = await crowd(server, 120, (raw) => raw.socket.pause())
    await Promise.all(raws.map((raw, i) => raw.send(ask[i % ask.length])))
    await sleep(2500)
    const used = resident(server)
    closeAll(raws)
    return `${raws.length} readers at ${mib(used)}`
  },

  'a hundred thousand fragments of one byte': async (server) => {
    const SOCKETS = 4, EACH = 25000
    const text = '{"op":"nothing","id":"fragments"}'.padEnd(EACH)
    const bytes = Buffer.concat(Array.from(text, (c, i) => frame(i === 0 ? 1 : 0, c, { fin: i === EACH - 1 })))
    await Promise.all(Array.from({ length: SOCKETS }, async () => {
      const raw = await socket(server)
      await raw.send(bytes)
      await raw.until(() => raw.received().includes('"id":"fragments"'), 'the answer')
      raw.close()
    }))
    return `${SOCKETS * EACH} fragments`
  },

  'a hundred thousand subscriptions': async (server) => {
    const SOCKETS = 4, EACH = 25000
    const asks = Buffer.concat(Array.from({ length: EACH }, (_, i) => frame(1, `{"op":"sub","id":"s${i}","old":false}`)))
    const raws = await Promise.all(Array.from({ length: SOCKETS }, () => socket(server)))
    await Promise.all(raws.map((raw) => raw.send(asks)))
    const over = (raw) => raw.ended || closeCode(raw) !== 0 || raw.received().includes(`"s${EACH - 1}"`)
    await until(() => raws.every(over), 'an end of it', 60000)
    const open = Number(/^sluice_ws_subscriptions(?:\{.*\})? (\d+)$/m.exec((await server.request('/metrics')).text)[1])
    assert.ok(open <= SOCKETS * 64, `${open} subscriptions are open`)
    for (const raw of raws) assert.ok([0, 1008].includes(closeCode(raw)), `closed with ${closeCode(raw)}`)
    closeAll(raws)
    return `${open} were open, ${raws.filter((raw) => closeCode(raw) === 1008).length} of ${SOCKETS} sockets closed with 1008`
  },

  'JSON nested without end': async (server) => {
    const bodies = ['['.repeat(MIB), '{"a":'.repeat(200000), '['.repeat(500000) + ']'.repeat(500000), '[{"a":'.repeat(150000)]
    const results = await Promise.all(Array.from({ length: 16 }, (_, i) => server.post('/log', bodies[i % bodies.length])))
    assert.ok(results.every((res) => res.status === 400 || res.status === 422), results.map((res) => res.status).join(' '))
    const raw = await socket(server)
    for (let i = 0; i < 50; i++) await raw.send(frame(1, '[{"op":'.repeat(8000)))
    await raw.until(() => raw.received().toString('latin1').split('"error"').length > 50 || raw.ended || closeCode(raw), 'the answers')
    raw.close()
    return `${results.length} bodies and 50 messages`
  },

  'bodies of a gigabyte': async (server) => {
    const GIB = 1 << 30
    const told = await crowd(server, 20, async (raw) => {
      await raw.send(`POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${GIB}\r\n\r\n{`)
      await raw.until(() => raw.ended, 'an answer')
      assert.strictEqual(status(raw), 413)
    })
    // without a length: chunk after chunk, until the server has enough
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB, 32), Buffer.from('\r\n')])
    const EACH = 200 // MiB: far more than two kernels hold
    let sent = 0
    const endless = await crowd(server, 8, async (raw) => {
      await raw.send('POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n')
      for (let i = 0; i < EACH && !raw.closed && !raw.error; i++) {
        if (!await raw.send(chunk)) break
        sent += MIB
      }
      await until(() => raw.closed || raw.error, 'the end')
    })
    assert.ok(sent <= endless.length * EACH / 2 * MIB, `${mib(sent)} were taken`)
    closeAll([...told, ...endless])
    return `${mib(sent)} of endless bodies were taken from ${endless.length} connections`
  },

  'connections that come and go': async (server) => {
    const COUNT = 3000
    const ways = [
      async (raw) => raw.close(),
      async (raw) => { await raw.send('GET /log?limit=3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'); await raw.until(() => raw.ended, 'the end'); raw.close() },
      async (raw) => { await raw.send('GET /log?lim'); raw.socket.resetAndDestroy() },
      async (raw) => { await raw.send(UPGRADE('/live')); raw.socket.resetAndDestroy() },
      async (raw) => { await raw.send('GET /log?live=true HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n'); await raw.until(() => raw.received().length > 0, 'a byte'); raw.close() },
      async (raw) => { await raw.send('POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{'); raw.close() }
    ]
    for (let i = 0; i < COUNT; i += 60) {
      await Promise.all(Array.from({ length: 60 }, async (_, k) => ways[k % ways.length](await Raw.connect({ port: server.port }))))
    }
    return `${COUNT} connections`
  }
}

test('hostile clients', async (t) => {
  // a sanitizer keeps freed memory for a while; not as much as it likes
  const env = { ASAN_OPTIONS: [process.env.ASAN_OPTIONS, 'quarantine_size_mb=8', 'thread_local_quarantine_size_kb=64'].filter(Boolean).join(':') }
  const server = await Server.start(t, ['--data', importLines(t, lines), '--header-timeout', String(HEADER_TIMEOUT), '--idle-timeout', String(IDLE_TIMEOUT),
    '--heartbeat', '3', '--connections-max', '6000', '--connections-per-address', '5000', '--body-max', String(2 * MIB)], { env })
  await server.get('/log?limit=1000')
  let stop = healthy(server.port)
  await sleep(1500)
  const calm = await stop()
  assert.strictEqual(calm.failed, null)
  const before = descriptors(server)
  const memory = resident(server)
  t.diagnostic(`in peace: p50 ${ms(calm.p50)}, p99 ${ms(calm.p99)}, ${mib(memory)}, ${before} descriptors`)
  for (const [name, attack] of Object.entries(attacks)) {
    await t.test(name, async (t) => {
      stop = healthy(server.port)
      let said
      try {
        said = await attack(server)
      } finally {
        const { failed, count, p50, p99, worst } = await stop()
        t.diagnostic(`${said}; a healthy client: p50 ${ms(p50)}, p99 ${ms(p99)} (in peace ${ms(calm.p99)}), worst ${ms(worst)} of ${count}`)
        assert.strictEqual(failed, null)
        assert.ok(p99 < HEALTHY_MS_MAX, `p99 ${p99}`)
      }
      await until(() => descriptors(server) <= before, () => `descriptors: ${descriptors(server)} are open, there were ${before}`, 15000)
      const grown = resident(server) - memory
      t.diagnostic(`memory ${grown >= 0 ? '+' : ''}${mib(grown)}`)
      assert.ok(grown < GROWTH_MAX, `memory grew by ${mib(grown)}`)
      assert.strictEqual((await server.request('/healthz')).status, 200)
    })
  }
  const done = await server.stop()
  assert.strictEqual(done.code, 0, server.stderr.slice(-2000))
})
