// A client of Sluice for browsers and for Node from 18 on, made of what these bring along: fetch, streams and WebSocket.
import { SluiceError, answerError, localError, networkError } from './errors.js'
import { ids } from './ids.js'
import { Live, Subscription } from './live.js'
import { backoff, isPassing, sleep } from './retry.js'
import { NDJSON, Rows, parseRow, withQuery } from './rows.js'
import { NODE, webSocketOf } from './websocket.js'

export { Rows, SluiceError, Subscription, ids, parseRow }

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

  // One request: the Response of fetch if it is a good one, or a SluiceError. Reading is tried again if there was no answer, or one that says
  // that there is too much to do: not before the time that it names.
  async request(method, target, { headers, body, signal, retries = this.#options.retries } = {}) {
    const again = method === 'POST' ? 0 : retries
    for (let tries = 0; ; tries++) {
      let failed
      try {
        return await this.#once(method, target, { headers: this.#headers(headers), body, signal })
      } catch (err) {
        if (tries >= again || !(err instanceof SluiceError) || !isPassing(err)) throw err
        failed = err
      }
      await sleep(backoff(tries, failed), signal)
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
  // Of several in one request, in the order of the ids: [{ id, about, since }]. However many they are: 50 at a time.
  async abouts(all, query, options) {
    const found = []
    for (let i = 0; i < all.length; i += 50) {
      const few = all.slice(i, i + 50).map((id) => 'id=' + ids.escape(id)).join('&')
      const { abouts, since } = await this.json('GET', withQuery('/about', query, few), options)
      found.push(...abouts.map((one) => ({ ...one, since })))
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
