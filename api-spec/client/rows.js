import { SluiceError, localError, networkError } from './errors.js'

export const NDJSON = 'application/x-ndjson'
export const ROW_SEQ = /^\{"seq":(\d+)/

// A row of a stream.
export const parseRow = (text) => JSON.parse(text)

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

export function withQuery(path, query = {}, more = null) {
  const parts = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== null && value !== Infinity)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
  if (more) parts.push(more)
  return parts.length > 0 ? `${path}?${parts.join('&')}` : path
}
