// What all parts of the page share: the client, the requests that were made, and one live subscription for everybody.
import { Sluice, SluiceError } from '/web/sluice.js'

const REQUESTS_KEPT = 60
const TOKEN = 'sluice-token'

// ---- requests

export const requests = [] // newest first: { number, method, target, headers, body, status, ms }
export const news = new EventTarget() // 'request', 'connection', 'records', 'views'

const tell = (type, detail) => news.dispatchEvent(new CustomEvent(type, { detail }))

let count = 0
function noted(url, init) {
  const target = url.startsWith(location.origin) ? url.slice(location.origin.length) : url
  const { Authorization, ...headers } = init.headers || {}
  const request = { number: ++count, method: init.method || 'GET', target, headers, body: init.body, token: Boolean(Authorization), status: null, ms: null }
  requests.unshift(request)
  requests.length = Math.min(requests.length, REQUESTS_KEPT)
  tell('request', request)
  return request
}

export async function fetchNoted(url, init = {}) {
  const request = noted(url, init)
  const begun = performance.now()
  try {
    const response = await fetch(url, init)
    request.status = response.status
    return response
  } finally {
    request.ms = performance.now() - begun
    tell('request', request)
  }
}

const quoted = (text) => `'${text.replace(/'/g, `'\\''`)}'`

// The request as a line for a shell. A token is not shown: it stays in the environment there, too.
export function curl({ method, target, headers = {}, body, token }) {
  const parts = ['curl', '-sS', ...(/live=true/.test(target) ? ['-N'] : [])]
  if (method === 'HEAD') parts.push('-I')
  else if (method !== 'GET') parts.push('-X', method)
  if (token) parts.push('-H', '"Authorization: Bearer $SLUICE_TOKEN"')
  for (const [name, value] of Object.entries(headers)) parts.push('-H', quoted(`${name}: ${value}`))
  if (body) parts.push('--data-binary', quoted(body))
  parts.push(quoted(location.origin + target))
  return parts.join(' ')
}

// ---- the client

export const token = () => sessionStorage.getItem(TOKEN) || ''
const made = () => new Sluice(location.origin, { token: token() || undefined, fetch: fetchNoted, retries: 2, connection: connected })
export let sluice = made()

export function authorized() { return token() ? { Authorization: 'Bearer ' + token() } : {} }

export function useToken(text) {
  sessionStorage.setItem(TOKEN, text.trim())
  sluice.close()
  sluice = made()
}

export const needsToken = (err) => err instanceof SluiceError && (err.status === 401 || err.status === 403)

// ---- connection: opening, live, lost, refused

export const connection = { state: 'opening', since: null }

function connectionSet(state, err) {
  if (connection.state === state) return
  connection.state = state
  tell('connection', { state, err })
}

function connected(state) {
  if (state === 'open') connectionSet('live')
  else if (state === 'waiting') connectionSet('lost')
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// Records are handed on a few at a time: while a node fetches a lot, thousands come in a second.
const waiting = []
let handing = null
function handOn(record) {
  waiting.push(record)
  handing ??= setTimeout(() => {
    handing = null
    tell('records', waiting.splice(0))
  }, 40)
}

let begun
// Settled as soon as it is known from where on everything is heard, or that the server does not say. What is asked before it may end in front of
// that place, and what lies between would never be heard of.
export const listening = new Promise((resolve) => { begun = resolve })

async function beginning() {
  try {
    connection.since ??= (await sluice.head()).since
  } finally {
    begun()
  }
}

// Everything that is new, from when the page was opened on, for as long as it is open. A record that a view has got with its first answer
// has a seq that is not above that answer's `since`.
export async function follow() {
  for (;;) {
    try {
      await beginning()
      for await (const item of sluice.live({ gt: connection.since }, { sync: true })) {
        if (item.sync) {
          connection.since = Math.max(connection.since, item.since)
          connectionSet('live')
        } else {
          connection.since = item.seq
          handOn(item)
        }
      }
    } catch (err) {
      connectionSet(needsToken(err) ? 'refused' : 'lost', err)
    }
    await pause(400)
  }
}

// ---- how far the views are

export const progress = { views: [], ready: true, share: 1, eta: 0 }
let watching = null
let looked
const firstLook = new Promise((resolve) => { looked = resolve })

function progressTake(answer) {
  const { views } = answer
  const behind = views.filter((view) => !view.ready && !view.resting)
  const sum = (field) => views.reduce((all, view) => all + view[field], 0)
  Object.assign(progress, {
    views, log: answer.log, ready: behind.length === 0, share: sum('total') > 0 ? Math.min(1, sum('done') / sum('total')) : 1,
    eta: Math.max(0, ...behind.map((view) => view.eta || 0))
  })
  looked()
  tell('views', progress)
}

// The query of what stands beside an answer (names, likes, a chart): fresh as all answers are, but while views are being built what there is so far.
export async function besides() {
  await Promise.all([listening, firstLook])
  return progress.ready ? {} : { stale: 'ok' }
}

// Looks again while something is behind; everybody who wants to know shares one look.
export function watchViews() {
  watching ??= (async () => {
    try {
      for (;;) {
        progressTake(await sluice.views({ retries: 0 }))
        if (progress.ready) return
        await pause(300)
      }
    } catch { /* the connection says so */ } finally {
      watching = null
      looked()
    }
  })()
  return watching
}
