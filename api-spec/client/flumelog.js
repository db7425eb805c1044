// A flumelog over Sluice: what flumedb and every flumeview need of a log, over HTTP and one WebSocket. For any values but signed messages the
// server is to be started with --accept any.
import { Sluice, SluiceError, lineOf } from './sluice.js'

// What is kept of the newest records for streams that wait for them; streams that are further behind read on over HTTP.
const RECENT_COUNT = 4096
const RECENT_CHARACTERS = 8 << 20
// Of one POST, as the server takes them by default (--batch-max, --body-max); it says so if it takes less.
const BATCH_COUNT = 1000
const BATCH_CHARACTERS = 2 << 20

const closedError = () => Object.assign(new Error('the flumelog is closed'), { code: 'flumelog:closed' })

// Out of promises: what a callback throws is nobody's rejection.
const later = (call) => queueMicrotask(call)

// ---- an observable value, as npm obv has it

function observable() {
  let listeners = []
  const many = (listener, immediately) => {
    listeners = [...listeners, listener]
    if (immediately !== false && many.value !== undefined) listener(many.value)
    return () => { listeners = listeners.filter((other) => other !== listener) }
  }
  many.value = undefined
  many.set = (value) => {
    many.value = value
    for (const listener of listeners) if (many.value === value) listener(value)
    return many
  }
  many.once = (listener, immediately) => {
    if (immediately !== false && many.value !== undefined) {
      listener(many.value)
      return () => {}
    }
    const remove = many((value) => { remove(); listener(value) }, false)
    return remove
  }
  return many
}

// ---- records

const ROW = /^\{"seq":(\d+),(?:"encrypted":"\w+",)?\s*/

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
}

// The value as it was appended: the server puts the seq in front, and of an encrypted message how it is. A record that begins with "key" has the seq put in front of its own members; one that has that name among them is shown as any other value.
export function parseEntry(text) {
  const head = ROW.exec(text)
  if (!head) throw new Error('no record: ' + text.slice(0, 80))
  const object = '{' + text.slice(head[0].length)
  const parsed = JSON.parse(object)
  const seq = Number(head[1])
  if (object.startsWith('{"key"')) return { seq, value: parsed }
  return { seq, value: object.startsWith('{"base64"') ? bytesOf(parsed.base64) : parsed.value }
}

// ---- appending

// One POST at a time, so that the log has the order of the calls; what comes meanwhile goes with the next one.
class Appender {
  #client; #ready; #stored
  #queue = []; #writing = false; #most; #idle = []
  posting = false // the server may have stored a part of a batch

  constructor(client, ready, stored) {
    this.#client = client
    this.#ready = ready // nothing is stored before it is known how far the log was
    this.#stored = stored // called behind every POST, with the seq of what was stored, or null
    this.#most = BATCH_COUNT
  }

  append(lines, cb) {
    this.#queue.push({ lines, at: 0, alone: false, cb })
    if (!this.#writing) this.#run()
  }

  // Nothing is under way.
  drained() {
    return this.#writing ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve()
  }

  async #run() {
    this.#writing = true
    await this.#ready().catch((err) => this.#refuseAll(err))
    while (this.#queue.length > 0) await this.#write(this.#next())
    this.#writing = false
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  // As much from the front of the queue as goes into one batch: [{ entry, end }], and its lines.
  #next() {
    const parts = [], lines = []
    let size = 0
    for (const entry of this.#queue) {
      if (parts.length > 0 && (entry.alone || parts[0].entry.alone)) break
      let end = entry.at
      for (; end < entry.lines.length && this.#fits(lines.length, size + entry.lines[end].length); end++) {
        size += entry.lines[end].length
        lines.push(entry.lines[end])
      }
      if (end === entry.at) break
      parts.push({ entry, end })
      if (end < entry.lines.length) break
    }
    return { parts, lines }
  }

  #fits(count, size) {
    return count === 0 || (count < this.#most && size <= BATCH_CHARACTERS)
  }

  async #write({ parts, lines }) {
    try {
      const since = await this.#post(lines)
      this.#most = Math.min(BATCH_COUNT, this.#most + 1) // back up slowly: one large value may have been to blame
      for (const part of parts) this.#advance(part, since)
    } catch (err) {
      this.#refused(parts, lines, err)
    }
  }

  async #post(lines) {
    let stored = null
    this.posting = true
    try {
      stored = (await this.#client.appendLines(lines)).since
    } finally {
      this.posting = false
      this.#stored(stored)
    }
    return stored
  }

  #advance({ entry, end }, since) {
    entry.at = end
    if (end === entry.lines.length) this.#answer(entry, null, since)
  }

  // Nothing of a refused batch is stored: a smaller one may do, and who is not to blame must not suffer.
  #refused(parts, lines, err) {
    const refused = err.status >= 400 && err.status < 500
    if (err.status === 413 && lines.length > 1) this.#most = Math.ceil(lines.length / 2)
    else if (refused && parts.length > 1) for (const { entry } of parts) entry.alone = true
    else for (const { entry } of parts) this.#answer(entry, err)
  }

  #refuseAll(err) {
    for (const entry of [...this.#queue]) this.#answer(entry, err)
  }

  #answer(entry, err, since) {
    this.#queue.splice(this.#queue.indexOf(entry), 1)
    later(() => err ? entry.cb(err) : entry.cb(null, since))
  }
}

// ---- the newest records

// One subscription, which all live streams of the log share and which tells how far the log is. `from`: everything behind it is in `entries`.
// Nobody is given a record that `since` has not reached.
class Tail {
  entries = []; from = null
  #characters = 0; #waiting = new Set(); #since; #moved; #sub; #over = false; #error = null

  constructor(client, since, moved, failed) {
    this.#since = since
    this.#moved = moved
    since(() => this.#wake())
    const parse = (text) => ({ ...parseEntry(text), size: text.length })
    this.#sub = client.live({ old: false }, { sync: true, parse, buffer: Infinity })
    this.#run().catch((err) => {
      this.#error = err
      this.#wake()
      failed(err)
    })
  }

  async #run() {
    for await (const item of this.#sub) {
      if (item.sync) this.from = item.since
      else this.#add(item)
      this.#moved(item.sync ? item.since : item.seq)
      this.#wake()
    }
  }

  #add(entry) {
    this.entries.push(entry)
    this.#characters += entry.size
    if (this.entries.length > 2 * RECENT_COUNT || this.#characters > RECENT_CHARACTERS) this.#cut()
  }

  #cut() {
    const gone = this.entries.splice(0, Math.ceil(this.entries.length / 2))
    this.from = gone.at(-1).seq
    for (const entry of gone) this.#characters -= entry.size
  }

  #wake() {
    for (const wake of [...this.#waiting]) wake()
  }

  #changed(signal) {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }

  over(signal) {
    if (this.#error) throw this.#error
    return this.#over || signal.aborted
  }

  async known(signal) {
    while ((this.from === null || this.#since.value === undefined) && !this.over(signal)) await this.#changed(signal)
  }

  // The entries behind `cursor`, as soon as there are any; null if not all of them are here; an empty array when it is over.
  async after(cursor, signal) {
    for (;;) {
      if (this.over(signal)) return []
      const behind = cursor < this.from, at = this.#find(cursor), end = this.#find(this.#since.value)
      if (behind && cursor < this.#since.value) return null
      if (!behind && at < end) return this.entries.slice(at, end)
      await this.#changed(signal)
    }
  }

  // The first entry behind `cursor`.
  #find(cursor) {
    let low = 0, high = this.entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.entries[middle].seq <= cursor) low = middle + 1
      else high = middle
    }
    return low
  }

  // One of the newest entries, or undefined.
  entry(seq) {
    const entry = this.entries[this.#find(seq - 1)]
    return entry?.seq === seq ? entry : undefined
  }

  close() {
    this.#over = true
    this.#sub.close()
    this.#wake()
  }
}

// ---- streams

// gt, gte, lt, lte as one pair of numbers, both inclusive. seqs are whole numbers.
function boundsOf({ gt, gte, lt, lte }) {
  const least = Math.max(gt == null ? 0 : gt + 1, gte ?? 0, 0)
  const most = Math.min(lt == null ? Infinity : lt - 1, lte ?? Infinity)
  return { least, most }
}

// Only the bounds that the server needs to be told, and as they were given: a bound is the seq of a record, and the one beside it is none.
function boundsQuery({ gt, gte, lt, lte }, since) {
  const query = {}
  if (gt != null && gt >= 0) query.gt = gt
  else if (gte != null && gte > 0) query.gte = gte
  if (lt != null && lt <= since) query.lt = lt
  else query.lte = lte != null && lte < since ? lte : since
  return query
}

const isUnreachable = (err) => err instanceof SluiceError && err.status === 0

class Stream {
  #client; #tail; #since; #opts; #bounds; #left; #signal

  constructor(client, tail, since, opts, signal) {
    this.#client = client
    this.#tail = tail
    this.#since = since
    this.#opts = opts
    this.#bounds = boundsOf(opts)
    this.#left = opts.limit > 0 ? opts.limit : Infinity
    this.#signal = signal
  }

  // Arrays of entries.
  async * entries() {
    const { old, live, reverse } = this.#opts
    await this.#tail.known(this.#signal)
    if (this.#tail.over(this.#signal)) return
    const since = this.#since.value
    if (old !== false) yield * this.#old(this.#opts, since)
    if ((live || old === false) && !reverse) yield * this.#new(Math.max(since, this.#bounds.least - 1))
  }

  // What is in the log up to `since`. When the connection breaks it goes on behind the last record.
  async * #old(bounds, since) {
    for (let seen = null, tries = 0; this.#left > 0 && this.#mayHold(since);) {
      try {
        for await (const lines of this.#lines(bounds, since)) {
          const entries = this.#take(lines.map(parseEntry))
          if (entries.length === 0) continue
          seen = entries.at(-1).seq
          tries = 0
          yield entries
        }
        return
      } catch (err) {
        if (!isUnreachable(err) || ++tries > 3) throw err
      }
      if (seen !== null) bounds = this.#opts.reverse ? { ...bounds, lt: seen, lte: null } : { ...bounds, gt: seen, gte: null }
    }
  }

  #mayHold(since) {
    return since >= 0 && this.#bounds.least <= since && this.#bounds.most >= this.#bounds.least
  }

  #lines(bounds, since) {
    const query = boundsQuery(bounds, since)
    if (this.#opts.reverse) query.reverse = true
    if (this.#left !== Infinity) query.limit = this.#left
    return this.#client.log(query, { signal: this.#signal }).lines()
  }

  async * #new(cursor) {
    while (this.#left > 0 && cursor < this.#bounds.most) {
      const entries = await this.#tail.after(cursor, this.#signal)
      if (entries === null) {
        const since = this.#since.value
        yield * this.#old({ gt: cursor, lt: this.#opts.lt, lte: this.#opts.lte }, since)
        cursor = since
      } else {
        if (entries.length === 0) return
        cursor = entries.at(-1).seq
        yield this.#take(entries)
      }
    }
  }

  // Those of them that are wanted.
  #take(entries) {
    const { least, most } = this.#bounds
    const wanted = entries.filter(({ seq }) => seq >= least && seq <= most).slice(0, this.#left)
    this.#left -= wanted.length
    return wanted
  }
}

function formatOf({ seqs, values }) {
  if (seqs === false) return ({ value }) => value
  return values === false ? ({ seq }) => seq : ({ seq, value }) => ({ value, seq })
}

// An async iterator of arrays as a pull-stream source of their items.
function sourceOf(open) {
  const controller = new AbortController()
  let iterator = null, items = [], at = 0, ended = null, waiting = null

  function answer(end, item) {
    const cb = waiting
    waiting = null
    if (cb) later(() => end ? cb(end) : cb(null, item))
  }

  function fetch() {
    iterator = iterator || open(controller.signal)
    iterator.next().then(({ done, value }) => {
      if (ended) return
      if (done) return answer(ended = true)
      if (value.length === 0) return fetch()
      items = value
      at = 1
      answer(null, value[0])
    }, (err) => { if (!ended) answer(ended = err) })
  }

  function stop(abort, cb) {
    ended = ended || abort
    items = []
    controller.abort()
    if (iterator) iterator.return().catch(() => {})
    answer(abort)
    if (cb) later(() => cb(abort))
  }

  return function read(abort, cb) {
    if (abort) return stop(abort, cb)
    if (ended) return cb(ended)
    if (at < items.length) return cb(null, items[at++])
    waiting = cb
    fetch()
  }
}

// ---- the log

function rethrow(err) {
  if (err) later(() => { throw err })
}

// Nothing comes from a closed log. flumedb asks again at once when the live stream of a view ends, so that one is not answered until it is aborted.
function closedSource({ live, old }) {
  let waiting = null
  return function read(abort, cb) {
    if (!abort && !live && old !== false) return later(() => cb(closedError()))
    const earlier = waiting
    waiting = abort ? null : cb
    if (!abort) return
    if (earlier) earlier(abort)
    if (cb) cb(abort)
  }
}

function logError(err) {
  if (err.status === 410) return Object.assign(new Error('item has been deleted', { cause: err }), { code: 'flumelog:deleted' })
  return err
}

// where: the URL of a server, or a Sluice of sluice.js. options: those of Sluice, and
// filename  a path that views put their own folders beside (flumeview-level and -query need one); nothing is written to it
// onError   called if the log can no longer be followed; without it that is thrown
export function flumelog(where, options = {}) {
  const own = !(where instanceof Sluice)
  const client = own ? new Sluice(where, options) : where
  const since = observable()
  const tail = new Tail(client, since, moved, (err) => closed || (options.onError || rethrow)(err))
  const appender = new Appender(client, () => tail.known(forever), stored)
  const forever = new AbortController().signal
  let closed = false, newest = null, owned = false

  // A batch is seen as a whole: while one is being stored, since stays where it is.
  function moved(seq) {
    if (seq !== null && (newest === null || seq > newest)) newest = seq
    if (newest === null || appender.posting) return
    if (since.value === undefined || newest > since.value) since.set(newest)
  }

  function stored(seq) {
    if (seq !== null) owned = true
    moved(seq)
  }

  function append(value, cb = rethrow) {
    if (closed) return later(() => cb(closedError()))
    let lines
    try {
      lines = (Array.isArray(value) ? value : [value]).map(lineOf)
    } catch (err) {
      return later(() => cb(err))
    }
    if (lines.length === 0) since.once((seq) => cb(null, seq))
    else appender.append(lines, cb)
  }

  function get(seq, cb) {
    if (closed) return later(() => cb(closedError()))
    if (!Number.isSafeInteger(seq) || seq < 0) return later(() => cb(new RangeError(`get: ${String(seq)} is no seq`)))
    // A log that takes appends is the server's own, and no record of it ever goes away; one that is only followed has to be asked.
    const entry = owned ? tail.entry(seq) : undefined
    if (entry) return later(() => cb(null, structuredClone(entry.value)))
    client.text('GET', '/log/' + seq).then(
      (text) => later(() => cb(null, parseEntry(text).value)),
      (err) => later(() => cb(logError(err), -1))
    )
  }

  function stream(opts = {}) {
    if (closed) return closedSource(opts)
    const format = formatOf(opts)
    return sourceOf(async function * (signal) {
      const entries = new Stream(client, tail, since, opts, signal).entries()
      for await (const some of entries) yield some.map(format)
    })
  }

  function del(seqs, cb = rethrow) {
    const err = new Error('del: Sluice only ever appends to a log, records of it cannot be deleted')
    later(() => cb(Object.assign(err, { code: 'flumelog:del-refused' })))
  }

  // Behind the last append, and not before it is known how far the log is: whoever waits for `since` is not left waiting. Streams end.
  function close(cb = () => {}) {
    closed = true
    Promise.all([appender.drained(), tail.known(forever).catch(() => {})]).then(() => {
      tail.close()
      if (own) client.close()
      later(() => cb(null))
    })
  }

  return { filename: options.filename, since, append, get, stream, del, close, methods: { del: 'async' } }
}

export default flumelog
