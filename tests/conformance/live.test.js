'use strict'
// /live with the npm ws client while a process with the real flumelog-offset appends to the followed log: every message arrives once, in order,
// also across a restart of Sluice, and also through a filter.
const test = require('node:test')
const assert = require('node:assert')
const path = require('node:path')
const { Server, folder, generate, shown, until } = require('../support/sluice')
const { frames, Writer } = require('../support/offset_log')
const { connect } = require('../support/socket')

const MESSAGES = 4000
const lines = generate(MESSAGES, '--seed', '31', '--authors', '40', '--quirks')
const records = lines.map((line) => JSON.parse(line))
const codec = 32
const seqs = frames(lines, String(codec)).seqs

const filters = {
  'no filter': ['', () => true],
  'a type': ['type=vote', (r) => r.value.content.type === 'vote'],
  'private messages': ['private=true', (r) => typeof r.value.content === 'string'],
  'an author, public': [`author=${encodeURIComponent(records[0].value.author)}&private=false`,
    (r) => r.value.author === records[0].value.author && typeof r.value.content !== 'string']
}

// A client that comes back with its last seq whenever its socket closes, until it is told to end.
function reader(t, url, query) {
  const state = { frames: [], connections: 0, ended: false, syncs: 0 }
  const open = async () => {
    if (state.ended) return
    const cursor = 'gt=' + (state.frames.length > 0 ? state.frames.at(-1).seq : -1)
    const client = connect(t, `${url()}/live?${[query, cursor].filter(Boolean).join('&')}`)
    client.socket.removeAllListeners('message')
    client.socket.on('message', (data) => {
      const frame = JSON.parse(data)
      if (frame.sync) state.syncs++
      else if (frame.key) state.frames.push(frame)
      else state.problem = frame
    })
    client.socket.on('open', () => state.connections++)
    client.socket.on('close', () => setTimeout(open, 10))
    state.socket = client.socket
  }
  open()
  t.after(() => { state.ended = true })
  return state
}

// Appends everything in batches of uneven size; between two of them `between` may do something.
async function append(writer, from, to, between) {
  for (let at = from, n = 1; at < to; at += n, n = n * 7 % 97 + 1) {
    await writer.append(lines.slice(at, Math.min(at + n, to)))
    await between?.(at)
  }
}

function isWhole(state, keep, name) {
  const expected = records.map((r, i) => ({ seq: seqs[i], ...shown(r) })).filter(keep)
  assert.strictEqual(state.problem, undefined)
  assert.deepStrictEqual(state.frames.map((f) => f.seq), expected.map((r) => r.seq), name)
  assert.deepStrictEqual(state.frames, expected, name)
}

const wanted = (keep) => records.filter(keep).length

test('every message arrives once and in order while flumelog-offset appends', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const writer = new Writer(t, file, codec)
  await append(writer, 0, 500)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  const early = Object.entries(filters).map(([name, [query, keep]]) => [name, keep, reader(t, () => server.ws, query)])
  const late = []
  await append(writer, 500, MESSAGES, async (at) => {
    // somebody new comes now and then, amid the writing
    if (late.length < 6 && at > 500 * (late.length + 1)) {
      const [name, [query, keep]] = Object.entries(filters)[late.length % 4]
      late.push([`${name}, late`, keep, reader(t, () => server.ws, query)])
    }
  })
  assert.strictEqual(late.length, 6)
  for (const [name, keep, state] of [...early, ...late]) {
    await until(() => state.frames.length >= wanted(keep), () => `${name}: ${state.frames.length} of ${wanted(keep)}`)
    await until(() => state.syncs > 0, 'sync')
    assert.strictEqual(state.syncs, 1, name)
    assert.strictEqual(state.connections, 1, name)
    isWhole(state, keep, name)
  }
})

test('every message arrives once and in order across restarts of Sluice', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const writer = new Writer(t, file, codec)
  await append(writer, 0, 300)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  const readers = Object.entries(filters).map(([name, [query, keep]]) => [name, keep, reader(t, () => server.ws, query)])
  let restarts = 0
  const restart = async (signal) => {
    await server.stop(signal)
    await server.launch()
    await until(() => readers.every(([, , state]) => state.connections > restarts), 'every reader to be back')
  }
  let running = until(() => readers.every(([, , state]) => state.connections === 1), 'every reader')
  await append(writer, 300, MESSAGES, async (at) => {
    // writing goes on while the server ends and starts
    if (at > 1000 * (restarts + 1) - 300 && restarts < 3) {
      await running
      running = restart(['SIGTERM', 'SIGKILL', 'SIGTERM'][restarts++])
    }
  })
  await running
  assert.strictEqual(restarts, 3)
  for (const [name, keep, state] of readers) {
    await until(() => state.frames.length >= wanted(keep), () => `${name}: ${state.frames.length} of ${wanted(keep)}`)
    assert.strictEqual(state.connections, 4, name)
    isWhole(state, keep, name)
  }
})

test('a client whose connection breaks at any moment goes on from its last seq', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const writer = new Writer(t, file, codec)
  await append(writer, 0, 1000)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  const state = reader(t, () => server.ws, '')
  let breaks = 0
  await append(writer, 1000, MESSAGES, async (at) => {
    if (at < 1000 + breaks * 100) return
    // what was there before this batch has come, and perhaps a part of it
    await until(() => state.frames.length >= at, () => `${at} frames, there are ${state.frames.length}`)
    state.socket.terminate()
    breaks++
  })
  await until(() => state.frames.length >= MESSAGES, () => `${state.frames.length} of ${MESSAGES}`)
  assert.ok(state.connections > 15, `${state.connections} connections`)
  isWhole(state, () => true, 'all')
})
