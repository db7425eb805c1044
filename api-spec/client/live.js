// The WebSocket /live: subscriptions, and the one socket that all of a client share.
import { SluiceError, localError } from './errors.js'
import { backoff, isPassing } from './retry.js'
import { ROW_SEQ, parseRow } from './rows.js'

const FRAME_ID = /^\{"id":"(s\d+)",/
const FRAME_ROW = /^\{(?:"seq":(\d+),)?"row":/
const LIMIT = /([?&]limit=)(\d+)/
const WHOLE = /^\/graph\b/ // what cannot be gone on with: it always comes from its beginning

// A filter and a place in the log, or a list. `for await` gives records, old ones first; when the socket breaks it goes on behind the last one.
// What is not fetched yet is bounded: a subscription whose reader is slow is given up at the server, and asked for again from its place.
export class Subscription {
  #live; #query; #options
  #queue = []; #size = 0; #waiting = []
  #left; #synced = false; #over = false; #error = null; #given = false
  paused = false
  since = null // up to where it has come

  constructor(live, query, options) {
    this.#live = live
    this.#query = query
    this.#options = { buffer: 1 << 20, parse: parseRow, sync: false, ...options }
    this.#left = Number(query.list ? LIMIT.exec(query.list)?.[2] : query.limit) || Infinity
    if (query.list) this.since = query.since ?? null
    options.signal?.addEventListener('abort', () => this.close(), { once: true })
  }

  get ended() { return this.#over }
  get list() { return this.#query.list }
  get #again() { return this.since === null || WHOLE.test(this.list) }

  // What to ask the server for, given what has come already.
  wanted() {
    if (this.list) return this.#wantedList()
    const { gt, gte, lt, lte, old, limit, ...rest } = this.#query
    if (this.since === null) return this.#query
    const left = this.#left === Infinity ? {} : { limit: this.#left }
    return rest.reverse ? { ...rest, gt, gte, lt: this.since, ...left } : { ...rest, gt: this.since, lt, lte, ...left }
  }

  // A list that was broken off before its first place comes whole once more: { sync: false } says that what came so far does not count.
  #wantedList() {
    if (this.#again && this.#given) {
      this.#given = this.#synced = false
      if (this.#options.sync) this.#put({ sync: false }, 0)
    }
    const list = this.#left === Infinity ? this.list : this.list.replace(LIMIT, `$1${this.#left}`)
    return this.#again ? { list } : { list, since: this.since }
  }

  // Of a list; `seq` is the place behind it, if it is one.
  row(text, seq) {
    const since = this.since
    this.record(text, seq ?? since)
    this.#given = true
  }

  record(text, seq) {
    if (this.#over) return
    let item
    try { item = this.#options.parse(text) } catch (err) { return this.end(err) }
    this.since = seq
    this.#left--
    this.#put(item, text.length)
  }

  sync(frame) {
    if (!this.#query.reverse) this.since = Math.max(this.since ?? -1, frame.since)
    if (this.#synced) return
    this.#synced = true
    if (this.#options.sync) this.#put({ sync: true, since: frame.since }, 0)
  }

  #put(item, size) {
    const waiting = this.#waiting.shift()
    if (waiting) return waiting.resolve({ done: false, value: item })
    this.#queue.push({ item, size })
    this.#size += size
    // of a list that has no place yet everything would come again
    if (this.#size > this.#options.buffer && !(this.list && (this.#again || !this.#synced))) this.#live.pause(this)
  }

  next() {
    const first = this.#queue.shift()
    if (first) {
      this.#size -= first.size
      if (this.paused && this.#size <= this.#options.buffer / 2) this.#live.resume(this)
      return Promise.resolve({ done: false, value: first.item })
    }
    if (this.#error) return Promise.reject(this.#takeError())
    if (this.#over) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  #takeError() {
    const err = this.#error
    this.#error = null
    return err
  }

  end(err = null) {
    if (this.#over) return
    this.#over = true
    this.#error = err
    this.#live.leave(this)
    for (const waiting of this.#waiting.splice(0)) {
      if (this.#error) waiting.reject(this.#takeError())
      else waiting.resolve({ done: true, value: undefined })
    }
  }

  close() {
    this.#queue = []
    this.paused = false
    this.end()
  }

  return() {
    this.close()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator]() { return this }
}

// One socket for all subscriptions of a client: opened for the first one, closed behind the last.
export class Live {
  #client; #retries; #told
  #subs = new Set(); #wires = new Map(); #names = new Map()
  #socket = null; #state = 'closed' // closed, opening, open, waiting
  #count = 0; #tries = 0; #proven = false; #timer = null

  constructor(client, { retries, connection }) {
    this.#client = client
    this.#retries = retries
    this.#told = connection || (() => {})
  }

  // closed, opening, open, waiting: told to who asked for it.
  #turn(state) {
    if (this.#state === state) return
    this.#state = state
    this.#told(state)
  }

  join(sub) {
    this.#subs.add(sub)
    if (this.#state === 'open') this.#ask(sub)
    else if (this.#state === 'closed') this.#open()
  }

  leave(sub) {
    if (!this.#subs.delete(sub)) return
    this.#unask(sub)
    if (this.#subs.size === 0) this.#shut()
  }

  pause(sub) {
    if (sub.paused || sub.ended) return
    sub.paused = true
    this.#unask(sub)
  }

  resume(sub) {
    sub.paused = false
    if (this.#state === 'open' && this.#subs.has(sub)) this.#ask(sub)
  }

  // Each time under a new name: frames that are still on their way under an old one find nobody.
  #ask(sub) {
    const id = 's' + ++this.#count
    this.#wires.set(id, sub)
    this.#names.set(sub, id)
    this.#socket.send(JSON.stringify({ op: 'sub', id, ...sub.wanted() }))
  }

  #unask(sub) {
    const id = this.#names.get(sub)
    if (id === undefined) return
    this.#names.delete(sub)
    this.#wires.delete(id)
    if (this.#state === 'open') this.#socket.send(JSON.stringify({ op: 'unsub', id }))
  }

  #shut() {
    clearTimeout(this.#timer)
    const socket = this.#socket
    this.#forget('closed')
    socket?.close()
  }

  #forget(state) {
    this.#socket = null
    this.#turn(state)
    this.#wires.clear()
    this.#names.clear()
  }

  async #open() {
    this.#turn('opening')
    let socket
    try {
      socket = await this.#client.socket('/live?subscribe=false')
    } catch (err) {
      return this.#fail(err)
    }
    socket.addEventListener('error', () => {}) // npm ws throws what nobody hears
    if (this.#state !== 'opening' || this.#socket) return socket.close()
    this.#socket = socket
    const mine = (handle) => (event) => { if (this.#socket === socket) handle(event) }
    socket.addEventListener('open', mine(() => this.#opened()))
    socket.addEventListener('message', mine((event) => this.#frame(event.data)))
    socket.addEventListener('close', mine(() => this.#closed()))
  }

  #opened() {
    this.#turn('open')
    for (const sub of this.#subs) if (!sub.paused) this.#ask(sub)
  }

  #frame(text) {
    const head = FRAME_ID.exec(text)
    if (!head) return this.#stray(text)
    this.#proven = true
    this.#tries = 0
    const sub = this.#wires.get(head[1])
    if (!sub) return
    const rest = '{' + text.slice(head[0].length)
    const row = sub.list && FRAME_ROW.exec(rest)
    if (row) return sub.row(rest.slice(row[0].length, -1), row[1] && Number(row[1]))
    const seq = ROW_SEQ.exec(rest)
    if (seq) sub.record(rest, Number(seq[1]))
    else this.#news(sub, JSON.parse(rest))
  }

  #news(sub, frame) {
    if (frame.sync) return sub.sync(frame)
    // it is over at the server already
    this.#wires.delete(this.#names.get(sub))
    this.#names.delete(sub)
    sub.end(frame.error ? new SluiceError(frame.error) : null)
  }

  // A frame of no subscription of ours: the server refuses the socket, or did not understand us.
  #stray(text) {
    const frame = JSON.parse(text)
    if (frame.error) this.#fail(new SluiceError(frame.error))
  }

  async #closed() {
    this.#forget('waiting')
    const err = this.#proven ? null : await this.#refusal()
    if (this.#state !== 'waiting') return
    const hopeless = err?.status >= 400 && err.status < 500 && !isPassing(err)
    if (hopeless || (err && this.#tries >= this.#retries)) return this.#fail(err)
    this.#timer = setTimeout(() => this.#open(), backoff(this.#tries++, err))
  }

  // Why there was never a socket. A WebSocket does not say with which status it was refused; fetch does.
  async #refusal() {
    try {
      await this.#client.json('GET', '/log?limit=1', { retries: 0 })
    } catch (err) {
      return err
    }
    return localError('unreachable', 'the server answers, but refuses the WebSocket: is this page of an allowed origin?')
  }

  #fail(err) {
    this.#proven = false
    this.#tries = 0
    for (const sub of [...this.#subs]) sub.end(err)
    this.#shut()
  }

  close() {
    for (const sub of [...this.#subs]) sub.close()
  }
}
