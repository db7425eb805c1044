// A client of Sluice for browsers and for Node from 18 on, made of what these bring along: fetch, streams and WebSocket.

const NODE = typeof process === 'object' && Boolean(process.versions?.node)
const NDJSON = 'application/x-ndjson'

const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms)
  signal?.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason) }, { once: true })
})

// Somewhat different for everybody, so that a server that comes back does not meet all of its clients at once.
const backoff = (tries) => Math.min(5000, 50 * 2 ** tries) * (0.5 + Math.random() / 2)

// ---- errors

// What went wrong, in the words of the server (RFC 9457), or of this client where there was no answer (status 0). `code` is for programs:
// 'not-found', 'fork', 'unreachable', …
export class SluiceError extends Error {
  constructor(problem, options) {
    super(problem.detail || problem.title || 'an unknown problem', options)
    this.name = 'SluiceError'
    this.type = problem.type || 'about:blank'
    this.title = problem.title || ''
    this.status = problem.status || 0
    this.detail = problem.detail || ''
    this.code = this.type === 'about:blank' ? 'http-' + this.status : this.type.split('/').pop()
    if (problem.index !== undefined) this.index = problem.index
    if (problem.reason !== undefined) this.reason = problem.reason
  }
}

function localError(code, detail, cause) {
  return new SluiceError({ type: '/problems/' + code, title: 'The client could not go on', detail }, { cause })
}

async function answerError(response) {
  const text = await response.text().catch(() => '')
  try {
    return new SluiceError({ status: response.status, ...JSON.parse(text) })
  } catch {
    return new SluiceError({ status: response.status, title: response.statusText, detail: `${response.status} ${text.slice(0, 200)}` })
  }
}

// ---- ids

const KINDS = { '%.sha256': 'message', '%.cloaked': 'cloaked', '@.ed25519': 'feed', '@.sha256': 'feed', '&.sha256': 'blob' }
const SUFFIXES = { message: ['%', '.sha256'], cloaked: ['%', '.cloaked'], feed: ['@', '.ed25519'], blob: ['&', '.sha256'] }
const URI_KINDS = {
  'message/classic': 'message', 'message/sha256': 'message', 'message/cloaked': 'cloaked', 'feed/classic': 'feed',
  'feed/ed25519': 'feed', 'blob/classic': 'blob', 'blob/sha256': 'blob'
}
const SIGIL_FORM = /^([%@&])([A-Za-z0-9+/_ -]{42}[AEIMQUYcgkosw048])=?(\.[a-z0-9]+)?$/
const URI_FORM = /^ssb:(?:\/\/)?(message|feed|blob)[/:]([a-z0-9]+)[/:]([A-Za-z0-9+/_ -]{42}[AEIMQUYcgkosw048])=?(?:[?#].*)?$/i

// 43 characters of either alphabet: { kind, base64 }.
function idOf(kind, body, suffix) {
  return { kind, base64: body.replace(/[- ]/g, '+').replace(/_/g, '/') + '=', suffix: suffix || SUFFIXES[kind][1] }
}

function idForm(text) {
  const sigil = SIGIL_FORM.exec(text)
  if (sigil) {
    const suffix = sigil[3] || (sigil[1] === '@' ? '.ed25519' : '.sha256')
    const kind = KINDS[sigil[1] + suffix]
    return kind ? idOf(kind, sigil[2], suffix) : null
  }
  const uri = URI_FORM.exec(text)
  const kind = uri && URI_KINDS[uri[1].toLowerCase() + '/' + uri[2].toLowerCase()]
  return kind ? idOf(kind, uri[3]) : null
}

function unescaped(text) {
  try { return decodeURIComponent(text) } catch { return text }
}

// Every function takes an id in any form that people paste: with its sigil, percent-encoded, URL-safe, or as an ssb: URI.
export const ids = {
  // { kind: 'message' | 'cloaked' | 'feed' | 'blob', base64, suffix }, or null if it is no id
  parse(text) {
    if (typeof text !== 'string') return null
    const plain = text.trim()
    return idForm(plain) || idForm(unescaped(plain)) || (plain[0] === '%' ? idForm('%' + unescaped(plain.slice(1))) : null)
  },
  kind(text) { return ids.parse(text)?.kind ?? null },
  isMessage(text) { return ids.kind(text) === 'message' },
  isFeed(text) { return ids.kind(text) === 'feed' },
  isBlob(text) { return ids.kind(text) === 'blob' },
  // "%…=.sha256"
  text(id) {
    const { kind, base64, suffix } = idWanted(id)
    return SUFFIXES[kind][0] + base64 + suffix
  },
  // "ssb:message/classic/…="
  uri(id) {
    const { kind, base64 } = idWanted(id)
    const type = kind === 'cloaked' ? 'message/cloaked' : kind + '/classic'
    return `ssb:${type}/${base64.replace(/\+/g, '-').replace(/\//g, '_')}`
  },
  // For one segment of a path, or a value in a query.
  escape(id) { return encodeURIComponent(ids.text(id)) },
  equal(a, b) { return ids.text(a) === ids.text(b) }
}

function idWanted(text) {
  const id = ids.parse(text)
  if (!id) throw localError('bad-id', `"${String(text).slice(0, 80)}" is no id such as %….sha256, @….ed25519 or &….sha256`)
  return id
}

// ---- rows

const ROW_SEQ = /^\{"seq":(\d+)/

// A row of a stream. With --accept any a record may have a "seq" of its own: the one in front is the log's, and it is the one that counts.
export function parseRow(text) {
  const row = JSON.parse(text)
  const seq = ROW_SEQ.exec(text)
  if (seq) row.seq = Number(seq[1])
  return row
}

// A stream's last line may be a problem instead of a row; no row begins like this.
const isProblem = (text) => text.startsWith('{"error":')

// Arrays of whole lines, as they come in.
async function * linesOf(response) {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const reader = response.body.getReader()
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n')
      rest = lines.pop()
      const whole = lines.filter((line) => line !== '')
      if (whole.length > 0) yield whole
    }
    if (rest !== '') throw localError('unreachable', 'the stream broke off within a line')
  } finally {
    reader.cancel().catch(() => {})
  }
}

// A list of the API. `for await` goes through its rows over all pages; `limit` is the number of rows in all.
export class Rows {
  #client; #path; #member; #query; #options

  constructor(client, path, member, query = {}, options = {}) {
    this.#client = client
    this.#path = path
    this.#member = member
    this.#query = query
    this.#options = options
  }

  // Followed on the WebSocket: its rows, and each that a new message changes, as it is then. since: that of an answer, for what changed behind it alone,
  // options as those of Sluice's live.
  live({ since } = {}, options = {}) {
    const { live, ...query } = this.#query
    return this.#client.live({ list: withQuery(this.#path, query), since }, { ...this.#options, ...options })
  }

  // Whole answers of the server: { messages: […], since, next }.
  async * pages() {
    const { page = 100, signal } = this.#options
    const limit = Math.min(this.#query.limit || Infinity, page)
    for (let target = withQuery(this.#path, { ...this.#query, limit }); target;) {
      const answer = await this.#client.json('GET', target, { signal })
      yield answer
      target = answer.next
    }
  }

  async * #paged() {
    let left = this.#query.limit || Infinity
    for await (const page of this.pages()) {
      for (const row of page[this.#member]) {
        yield row
        if (--left === 0) return
      }
    }
  }

  // One request for everything, read as fast as it is asked for; with { live: true } in the query it does not end.
  async * stream() {
    for await (const lines of this.lines()) for (const line of lines) yield parseRow(line)
  }

  // As stream, but arrays of the lines as they came.
  async * lines() {
    const { signal } = this.#options
    const response = await this.#client.request('GET', withQuery(this.#path, this.#query), { signal, headers: { Accept: NDJSON } })
    try {
      for await (const lines of linesOf(response)) {
        const bad = lines.findIndex(isProblem)
        if (bad !== 0) yield bad > 0 ? lines.slice(0, bad) : lines
        if (bad >= 0) throw new SluiceError(JSON.parse(lines[bad]).error)
      }
    } catch (err) {
      throw networkError(err, signal)
    }
  }

  async array() {
    const rows = []
    for await (const row of this) rows.push(row)
    return rows
  }

  [Symbol.asyncIterator]() {
    return this.#query.live ? this.stream() : this.#paged()
  }
}

function withQuery(path, query = {}, more = null) {
  const parts = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== null && value !== Infinity)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
  if (more) parts.push(more)
  return parts.length > 0 ? `${path}?${parts.join('&')}` : path
}

function networkError(err, signal) {
  if (err instanceof SluiceError || signal?.aborted) return err
  return localError('unreachable', `the server does not answer: ${err.cause?.message || err.message}`, err)
}

// ---- live

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
class Live {
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
    if (err) return this.#fail(err)
    this.#timer = setTimeout(() => this.#open(), backoff(this.#tries++))
  }

  // Why there was never a socket, if it is of no use to go on trying. A WebSocket does not say with which status it was refused; fetch does.
  async #refusal() {
    try {
      await this.#client.json('GET', '/log?limit=1', { retries: 0 })
    } catch (err) {
      return (err.status >= 400 && err.status < 500) || this.#tries >= this.#retries ? err : null
    }
    return this.#tries >= this.#retries ? localError('unreachable', 'the server answers, but refuses the WebSocket: is this page of an allowed origin?') : null
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

// ---- WebSocket of this platform

// npm ws, from beside this file or from where the program was started.
async function nodeWebSocket() {
  const name = 'node:module' // not for bundlers to look into
  const { createRequire } = await import(/* @vite-ignore */ /* webpackIgnore: true */ name)
  for (const from of [import.meta.url, process.cwd() + '/']) {
    try { return createRequire(from)('ws') } catch { /* the next place */ }
  }
  return null
}

async function webSocketOf(given) {
  const found = given || globalThis.WebSocket || (NODE ? await nodeWebSocket() : null)
  if (!found) throw localError('no-websocket', 'there is no WebSocket: use Node 22, npm install ws, or give a class as the option WebSocket')
  return found
}

// ---- the client

// At most so many requests at once; streams do not count.
class Turns {
  #free; #waiting = []

  constructor(most) { this.#free = most }

  async run(job) {
    if (this.#free > 0) this.#free--
    else await new Promise((resolve) => this.#waiting.push(resolve))
    try {
      return await job()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}

export class Sluice {
  #options; #live; #turns

  // options: token, headers, fetch, WebSocket (a class), requests (at once, 8), retries (of reading, 5), connection (is told how the socket of
  // live is: 'opening', 'open', 'waiting' to be opened again, 'closed')
  constructor(url = globalThis.location?.origin || 'http://127.0.0.1:8990', options = {}) {
    this.url = String(url).replace(/\/+$/, '')
    this.#options = { requests: 8, retries: 5, ...options }
    this.#live = new Live(this, this.#options)
    this.#turns = new Turns(this.#options.requests)
  }

  #headers(more) {
    const { token, headers } = this.#options
    return { ...headers, ...(token ? { Authorization: 'Bearer ' + token } : {}), ...more }
  }

  // One request: the Response of fetch if it is a good one, or a SluiceError. Reading is tried again if there was no answer.
  async request(method, target, { headers, body, signal, retries = this.#options.retries } = {}) {
    const again = method === 'POST' ? 0 : retries
    for (let tries = 0; ; tries++) {
      try {
        return await this.#once(method, target, { headers: this.#headers(headers), body, signal })
      } catch (err) {
        if (tries >= again || !(err instanceof SluiceError) || (err.status !== 0 && err.status !== 503)) throw err
      }
      await sleep(backoff(tries), signal)
    }
  }

  async #once(method, target, init) {
    const { fetch = globalThis.fetch } = this.#options
    let response
    try {
      response = await fetch(this.url + target, { method, ...init })
    } catch (err) {
      throw networkError(err, init.signal)
    }
    if (!response.ok) throw await answerError(response)
    return response
  }

  text(method, target, options) {
    return this.#turns.run(async () => (await this.request(method, target, options)).text())
  }

  async json(method, target, options) {
    return JSON.parse(await this.text(method, target, options))
  }

  async socket(target) {
    const Socket = await webSocketOf(this.#options.WebSocket)
    const url = this.url.replace(/^http/, 'ws') + target
    const headers = this.#headers()
    if (Object.keys(headers).length === 0) return new Socket(url)
    if (NODE) return new Socket(url, { headers })
    const { token, headers: more } = this.#options
    if (token && Object.keys(more || {}).length === 0) return new Socket(url, ['sluice', 'bearer.' + token])
    throw localError('no-headers', 'browsers send no header fields of your own with a WebSocket: follow the log with log({ live: true })')
  }

  close() { this.#live.close() }

  // ---- the log

  // Where the log is: { since, durable }.
  async head(options) {
    const { headers } = await this.request('HEAD', '/log', options)
    return { since: Number(headers.get('Sluice-Log-Since')), durable: Number(headers.get('Sluice-Log-Durable')) }
  }

  record(seq, query, options) { return this.json('GET', withQuery(`/log/${seq}`, query), options) }
  log(query, options) { return new Rows(this, '/log', 'messages', query, options) }

  // query: as log's, and old: false for what is new alone. options: signal, sync (gives { sync: true, since } between old and new),
  // buffer (characters to be fetched ahead), parse (of a row's text). Instead of a filter, list: a target as '/threads?limit=20', and since: what is
  // known of it, an answer's since.
  live(query = {}, options = {}) {
    const sub = new Subscription(this.#live, query, options)
    if (options.signal?.aborted) sub.close()
    else this.#live.join(sub)
    return sub
  }

  // { seq, key }. options: durability: 'relaxed' (answered before it is on the disk), head (the id of the feed's newest message, or null
  // for none: only if it is that, else stale-head), signal
  append(value, options = {}) {
    return this.#post('application/json', lineOf(value), options)
  }

  // All or none: { count, since, duplicates }.
  appendBatch(values, options = {}) {
    return this.appendLines(values.map(lineOf), options)
  }

  // As appendBatch, of values that are JSON already.
  appendLines(lines, options = {}) {
    return this.#post(NDJSON, lines.join('\n') + '\n', options)
  }

  // Publishes in the owner's name: its record; { key } alone if a node has published it and its log has not shown it yet. options: recps (who
  // alone can read it), head (as append's), signal
  publish(content, { recps, head, signal } = {}) {
    return this.json('POST', '/publish', { headers: { 'Content-Type': 'application/json', ...matchOf(head) }, body: lineOf({ content, recps }), signal })
  }

  #post(type, body, { durability, head, signal }) {
    const prefer = durability ? { Prefer: 'durability=' + durability } : {}
    return this.json('POST', '/log', { headers: { 'Content-Type': type, ...prefer, ...matchOf(head) }, body, signal })
  }

  // ---- views

  message(id, query, options) { return this.json('GET', withQuery(`/messages/${ids.escape(id)}`, query), options) }
  // The text whose hash is the id.
  messageText(id, query, options) { return this.text('GET', withQuery(`/messages/${ids.escape(id)}/raw`, query), options) }
  messageLinks(id, query, options) { return new Rows(this, `/messages/${ids.escape(id)}/links`, 'links', query, options) }
  feeds(query, options) { return new Rows(this, '/feeds', 'feeds', query, options) }
  feed(id, query, options) { return new Rows(this, `/feeds/${ids.escape(id)}`, 'messages', query, options) }
  feedMessage(id, sequence, query, options) { return this.json('GET', withQuery(`/feeds/${ids.escape(id)}/${sequence}`, query), options) }
  links(query, options) { return new Rows(this, '/links', 'links', query, options) }
  about(id, query, options) { return this.json('GET', withQuery(`/about/${ids.escape(id)}`, query), options) }
  // Of several in one request, in the order of the ids: [{ id, about }]. However many they are: 50 at a time.
  async abouts(all, query, options) {
    const found = []
    for (let i = 0; i < all.length; i += 50) {
      const few = all.slice(i, i + 50).map((id) => 'id=' + ids.escape(id)).join('&')
      found.push(...(await this.json('GET', withQuery('/about', query, few), options)).abouts)
    }
    return found
  }

  thread(id, query, options) { return this.json('GET', withQuery(`/messages/${ids.escape(id)}/thread`, query), options) }
  threads(query, options) { return new Rows(this, '/threads', 'threads', query, options) }
  contacts(id, query, options) { return this.json('GET', withQuery(`/contacts/${ids.escape(id)}`, query), options) }
  contactList(id, list, query, options) { return new Rows(this, `/contacts/${ids.escape(id)}/${list}`, 'contacts', query, options) }
  graph(from, query, options) { return new Rows(this, '/graph', 'feeds', { from, ...query }, options) }
  votes(id, query, options) { return this.json('GET', withQuery(`/votes/${ids.escape(id)}`, query), options) }
  voters(id, query, options) { return new Rows(this, `/votes/${ids.escape(id)}`, 'votes', query, options) }
  search(q, query, options) { return new Rows(this, '/search', 'messages', { q, ...query }, options) }
  feedsNamed(name, query, options) { return new Rows(this, '/feeds', 'feeds', { name, ...query }, options) }
  channels(query, options) { return new Rows(this, '/channels', 'channels', query, options) }
  channel(name, query, options) { return this.json('GET', withQuery(`/channels/${encodeURIComponent(name)}`, query), options) }
  subscribers(name, query, options) { return new Rows(this, `/channels/${encodeURIComponent(name)}/subscribers`, 'subscribers', query, options) }
  types(query, options) { return new Rows(this, '/types', 'types', query, options) }

  // URLs for feed readers. format: 'atom', 'rss', 'json-feed'
  feedURL(id, format = 'atom') { return this.url + withQuery(`/feeds/${ids.escape(id)}`, { format }) }
  channelURL(name, format = 'atom') { return this.url + withQuery(`/channels/${encodeURIComponent(name)}`, { format }) }
  threadURL(id, format = 'atom') { return this.url + withQuery(`/messages/${ids.escape(id)}/thread`, { format }) }
  // The URL of a blob, for an <img> or a link. query: unbox, wait
  blobURL(id, query) { return this.url + withQuery(`/blobs/${ids.escape(id)}`, query) }
  // The Response of fetch. query: unbox, wait (seconds)
  blob(id, query, options) { return this.request('GET', withQuery(`/blobs/${ids.escape(id)}`, query), options) }
  // { id, size, type }. body: whatever fetch takes
  addBlob(body, options = {}) { return this.json('POST', '/blobs', { ...options, body, headers: { 'Content-Type': 'application/octet-stream', ...options.headers } }) }

  async countLinks(query, options) {
    return (await this.json('GET', withQuery('/links', { ...query, count: true }), options)).count
  }

  views(options) { return this.json('GET', '/views', options) }
  rebuild(name, options) { return this.json('POST', `/views/${encodeURIComponent(name)}/rebuild`, options) }
  // { id, scopes, encrypted, append, publish, log }: what this client may do, and in whose name
  whoami(options) { return this.json('GET', '/whoami', options) }
  status(options) { return this.json('GET', '/status', options) }
}

function matchOf(head) {
  return head === null ? { 'If-None-Match': '*' } : head === undefined ? {} : { 'If-Match': `"${head}"` }
}

export function lineOf(value) {
  const text = JSON.stringify(value)
  if (text === undefined) throw new TypeError('that value has no JSON: ' + String(value))
  return text
}

export default Sluice
