// What stands in a place while there is nothing to show in it: loading, catching up, failed, nothing there, not allowed.
import { connection, needsToken, news, progress, useToken, watchViews } from '/web/app.js'
import { h, put } from '/web/dom.js'
import { seconds } from '/web/text.js'

const SLOW_MS = 500

export function skeleton(rows = 3) {
  return h('div', { class: 'skeleton', 'aria-hidden': 'true' }, Array.from({ length: rows }, () =>
    h('div', { class: 'card' }, h('div', { class: 'bone short' }), h('div', { class: 'bone' }), h('div', { class: 'bone long' }))))
}

export function state(title, text, ...more) {
  return h('div', { class: 'state' }, h('h2', null, title), text && h('p', null, text), more)
}

function tokenForm(err) {
  const input = h('input', { id: 'token', type: 'password', autocomplete: 'off', required: true, minlength: 16 })
  return state(err.status === 403 ? 'That token is not good for this' : 'This server asks for a token', err.detail,
    h('form', { class: 'line', on: { submit: (event) => { event.preventDefault(); useToken(input.value); location.reload() } } },
      h('label', { for: 'token' }, 'Token'), input, h('button', { class: 'main' }, 'Use it')),
    h('p', { class: 'fine' }, 'It stays in this tab, and goes to this server only.'))
}

// What went wrong, in the words of the server, and what can be done.
export function failed(err, again) {
  if (needsToken(err)) return tokenForm(err)
  const gone = err.code === 'unreachable'
  return h('div', { class: 'state bad', role: 'alert' },
    h('h2', null, gone ? 'Sluice does not answer' : err.title || 'That did not work'),
    h('p', null, gone ? 'What was shown before is still there. As soon as the server is back, this goes on by itself.' : err.detail || err.message),
    h('button', { type: 'button', on: { click: again } }, 'Try again'))
}

export function bar(share, label) {
  return h('progress', { max: 1, value: Math.min(1, share).toFixed(4), 'aria-label': label })
}

function catchingUp(now) {
  const text = h('p', null)
  const meter = h('div', { class: 'meter' })
  const show = () => {
    put(meter, bar(progress.share, 'How far Sluice has read the log'))
    put(text, `${Math.floor(progress.share * 100)} % of it is read`, progress.eta > 0 ? `, ${seconds(progress.eta)} to go.` : '.')
  }
  show()
  return { show, element: h('div', { class: 'state' }, h('h2', null, 'Sluice is reading the log'), text, meter,
    h('button', { type: 'button', on: { click: now } }, 'Show what there is so far')) }
}

// While an answer takes long, says whether that is because the views are not there yet.
function patience(place, signal, now) {
  let shown = null
  const show = () => {
    if (progress.ready) return
    if (!shown) put(place, (shown = catchingUp(now)).element)
    else shown.show()
  }
  const timer = setTimeout(() => { news.addEventListener('views', show); watchViews() }, SLOW_MS)
  const end = () => { clearTimeout(timer); news.removeEventListener('views', show) }
  signal.addEventListener('abort', end, { once: true })
  return end
}

const until = (type, signal, wanted) => new Promise((resolve) => {
  const heard = (event) => {
    if (!wanted(event.detail)) return
    news.removeEventListener(type, heard)
    resolve()
  }
  news.addEventListener(type, heard)
  signal.addEventListener('abort', () => { news.removeEventListener(type, heard); resolve() }, { once: true })
})

// Once: the answer of ask(query), where the query says whether to wait for the views.
async function attempt(place, signal, ask) {
  const hurry = new AbortController()
  const end = patience(place, signal, () => hurry.abort())
  try {
    const impatient = new Promise((resolve) => hurry.signal.addEventListener('abort', () => resolve(ask({ stale: 'ok' })), { once: true }))
    return await Promise.race([ask({}), impatient])
  } finally {
    end()
  }
}

const soon = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// Fills a place: ask(query) gives what show(answer) makes children of. Until then, and when it fails, the place says so. true = it is filled.
export async function fill(place, signal, ask, show) {
  place.setAttribute('aria-busy', 'true')
  put(place, skeleton())
  try {
    const answer = await attempt(place, signal, ask)
    if (signal.aborted) return false
    put(place, await show(answer))
    return true
  } catch (err) {
    if (signal.aborted) return false
    if (err.status === 503) {
      await soon(300)
      return signal.aborted ? false : await fill(place, signal, ask, show)
    }
    return await failAndWait(place, signal, err, () => fill(place, signal, ask, show))
  } finally {
    place.removeAttribute('aria-busy')
  }
}

async function failAndWait(place, signal, err, again) {
  const pressed = new Promise((resolve) => put(place, failed(err, resolve)))
  const back = err.code === 'unreachable' ? until('connection', signal, () => connection.state === 'live') : new Promise(() => {})
  await Promise.race([pressed, back, new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))])
  return signal.aborted ? false : await again()
}
