// A console for the API: any request, its answer, and the curl line that makes it.
import { authorized, fetchNoted, token } from '/web/app.js'
import { h, put } from '/web/dom.js'
import { curlLine } from '/web/requests.js'
import { bytes } from '/web/text.js'

const SHOWN = 200000 // characters of an answer
const PRESETS = [
  ['Newest records', '/log?limit=3&reverse=true'], ['Threads', '/threads?limit=5'], ['Feeds', '/feeds?limit=5'], ['Types', '/types'], ['Channels', '/channels?limit=10'],
  ['Search', '/search?q=the*&limit=3'], ['Views', '/views'], ['Status', '/status'], ['Limits', '/limits'], ['Who am I', '/whoami'], ['Follow live', '/log?live=true&old=false', 'application/x-ndjson']
]
const FORMS = [['application/json', 'JSON'], ['application/x-ndjson', 'NDJSON, a row a line'], ['text/event-stream', 'server-sent events']]

function pretty(text, type) {
  if (/json/.test(type) && !/ndjson/.test(type)) {
    try { return JSON.stringify(JSON.parse(text), null, 2) } catch { return text }
  }
  return text
}

// Reads until the end, enough, or the user stops it.
async function read(response, show, signal) {
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  signal.addEventListener('abort', () => reader.cancel().catch(() => {}), { once: true })
  let text = '', size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    if (text.length < SHOWN) text += decoder.decode(value, { stream: true })
    show(text.slice(0, SHOWN), size)
  }
  return { text: text.slice(0, SHOWN), size, cut: text.length > SHOWN }
}

export function view({ signal, query }) {
  const method = h('select', { id: 'method' }, ['GET', 'HEAD', 'POST'].map((name) => h('option', null, name)))
  const target = h('input', { id: 'target', type: 'text', value: query.target || '/log?limit=3&reverse=true', autocomplete: 'off', spellcheck: 'false', required: true })
  const form = h('select', { id: 'accept' }, FORMS.map(([type, name]) => h('option', { value: type }, name)))
  const body = h('textarea', { id: 'body', rows: 4, spellcheck: 'false', placeholder: '{ … }' })
  const bodyLine = h('p', { class: 'field', hidden: true }, h('label', { for: 'body' }, 'Body'), body)
  const send = h('button', { class: 'main' }, 'Send')
  const stop = h('button', { type: 'button', hidden: true }, 'Stop')
  const line = h('div')
  const status = h('p', { class: 'status', role: 'status' })
  const headers = h('pre', { tabindex: 0, class: 'headers', dir: 'ltr', 'aria-label': 'Header fields of the answer' })
  const answer = h('pre', { tabindex: 0, class: 'answer', dir: 'ltr', 'aria-label': 'The answer' })
  const result = h('section', { class: 'result', 'aria-label': 'Answer', hidden: true }, status, h('details', null, h('summary', null, 'Header fields'), headers), answer)
  let running = new AbortController()

  const request = () => ({
    method: method.value, target: target.value.startsWith('/') ? target.value : '/' + target.value, token: Boolean(token()),
    headers: { ...(form.value === 'application/json' ? {} : { Accept: form.value }), ...(method.value === 'POST' ? { 'Content-Type': body.value.trim().includes('\n{') ? 'application/x-ndjson' : 'application/json' } : {}) },
    body: method.value === 'POST' ? body.value : undefined
  })
  const lineShow = () => {
    bodyLine.hidden = method.value !== 'POST'
    put(line, curlLine(request()))
  }
  const run = async () => {
    running.abort()
    running = new AbortController()
    signal.addEventListener('abort', () => running.abort(), { once: true })
    const mine = running
    const wanted = request()
    const begun = performance.now()
    result.hidden = false
    stop.hidden = false
    put(status, 'Waiting for the answer…')
    put(answer)
    put(headers)
    try {
      const response = await fetchNoted(location.origin + wanted.target, { method: wanted.method, headers: { ...wanted.headers, ...authorized() }, body: wanted.body, signal: mine.signal })
      const type = response.headers.get('content-type') || ''
      put(headers, [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n'))
      const say = (size, over) => put(status, h('b', { class: response.ok ? 'good' : 'bad' }, `${response.status} ${response.statusText}`), ` · ${bytes(size)} · ${over ? '' : 'so far, '}${Math.round(performance.now() - begun)} ms`)
      say(0, false)
      const got = await read(response, (text, size) => { put(answer, text); say(size, false) }, mine.signal)
      put(answer, pretty(got.text, type), got.cut ? '\n… the rest is not shown' : '')
      say(got.size, true)
    } catch (err) {
      if (mine.signal.aborted) put(status, 'Stopped.')
      else put(status, h('b', { class: 'bad' }, 'No answer'), ` · ${err.message}`)
    } finally {
      if (mine === running) stop.hidden = true
    }
  }
  stop.addEventListener('click', () => running.abort())
  for (const input of [method, target, form, body]) input.addEventListener('input', lineShow)

  const preset = ([name, where, type]) => h('li', null, h('button', { type: 'button', on: { click: () => {
    method.value = 'GET'
    target.value = where
    form.value = type || 'application/json'
    lineShow()
    run()
  } } }, name))

  return {
    title: 'API',
    node: h('div', { class: 'console' }, h('h1', { tabindex: -1 }, 'API console'),
      h('p', { class: 'fine' }, 'Every list and every view of this page comes from here. The whole of it is in ', h('a', { href: '/openapi.yaml' }, 'openapi.yaml'), '.'),
      h('ul', { class: 'chips presets', 'aria-label': 'Examples' }, PRESETS.map(preset)),
      h('form', { class: 'request', on: { submit: (event) => { event.preventDefault(); run() } } },
        h('div', { class: 'line' }, h('label', { class: 'heard', for: 'method' }, 'Method'), method, h('label', { class: 'heard', for: 'target' }, 'Path and query'), target, send, stop),
        h('div', { class: 'line' }, h('label', { for: 'accept' }, 'As'), form), bodyLine),
      line, result),
    begin: lineShow
  }
}
