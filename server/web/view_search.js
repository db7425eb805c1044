// Search as you type: people, channels, messages.
import { besides, sluice } from '/web/app.js'
import { h, put } from '/web/dom.js'
import { list } from '/web/lists.js'
import { bodyOf, card, folded, rootOf } from '/web/messages.js'
import { avatar, personLink } from '/web/people.js'
import { to } from '/web/routes.js'
import { state } from '/web/states.js'
import { channelName, number, shortId } from '/web/text.js'
import { channels } from '/web/view_channels.js'
import { ids } from '/web/sluice.js'

const TYPING_MS = 180

const hint = () => state('Find words, people and channels', null, h('ul', { class: 'plain-list hints' },
  h('li', null, h('code', null, 'pottery kiln'), ' both words; ', h('code', null, 'pott*'), ' a beginning; ', h('code', null, '"a few words"'), ' as they stand'),
  h('li', null, h('code', null, 'channel:gardening'), ' ', h('code', null, 'type:post'), ' ', h('code', null, 'author:@…'), ' ', h('code', null, 'after:2020-01-01')),
  h('li', null, 'or paste an id: ', h('code', null, '%…'), ' ', h('code', null, '@…'), ' ', h('code', null, 'ssb:…'))))

const [MARK, UNMARK] = ['\ue000', '\ue001'] // of private use
const MARKS = new RegExp(`[${MARK}${UNMARK}]`, 'g')

// Without what nobody reads: where links lead, the long ends of ids, marks of markdown.
const readable = (text) => text.replace(/^#{1,6} /, '').replace(/!?\[([^\][]*)\]\([^\s()]*\)?/g, '$1').replace(/[%@&][A-Za-z0-9+/]{43}=\.[a-z0-9]+/g, shortId).replace(/!\[|\*\*|~~|`/g, '')

// Pieces of the text that was found, some of them marked: { pieces: [{ text, mark }] }. A link may begin in one and end in another.
function marked({ pieces }) {
  const text = pieces.map(({ text, mark }) => mark ? MARK + String(text).replace(MARKS, '') + UNMARK : String(text).replace(MARKS, '')).join('')
  const parts = readable(text).split(MARK)
  return h('p', { class: 'snippet', dir: 'auto' }, parts.shift(), parts.map((part) => {
    const [found, rest = ''] = part.split(UNMARK)
    return [h('mark', null, found), rest]
  }))
}

function row(record) {
  const body = Array.isArray(record.snippet?.pieces) ? marked(record.snippet) : folded(bodyOf(record))
  return card(record, { href: to.thread(rootOf(record) || record.key, record.key), body })
}

async function peopleShow(place, q, signal) {
  try {
    const { feeds } = await sluice.json('GET', '/feeds?' + new URLSearchParams({ name: q, limit: 8 }), { signal, retries: 0 })
    if (feeds.length > 0 && !signal.aborted) put(place, h('h2', null, 'People'), h('ul', { class: 'people' }, feeds.map(({ id }) => h('li', null, avatar(id), personLink(id)))))
  } catch { /* a server without it */ }
}

async function channelsShow(place, q, known, signal) {
  const word = channelName(q.replace(/^#/, ''))
  if (!word) return
  const rows = (await known()).filter(({ channel }) => channel.includes(word)).slice(0, 12)
  if (rows.length > 0 && !signal.aborted) {
    put(place, h('h2', null, 'Channels'), h('ul', { class: 'chips' }, rows.map(({ channel, count }) => h('li', null, h('a', { href: to.channel(channel) }, h('bdi', null, '#' + channel), h('span', { class: 'n' }, number(count)))))))
  }
}

function straightTo(q) {
  const kind = ids.kind(q)
  if (kind === 'feed') return to.profile(ids.text(q))
  if (kind === 'message') return to.thread(ids.text(q))
  return null
}

// What is typed is not at its end yet: the last word is a beginning, an open phrase is closed.
function asTyped(q) {
  if ((q.match(/"/g) || []).length % 2 === 1) return q + '"'
  return /(?:^|\s)[\p{L}\p{N}]{2,}$/u.test(q) ? q + '*' : q
}

const without = () => state('This Sluice cannot search messages yet', 'It has no route /search. People and channels are found all the same.')

async function messagesShow(place, q, signal) {
  await list({
    place, signal, label: 'Messages that were found', member: 'messages', row, more: 'More',
    none: (answer) => answer.absent ? without() : state('Nothing found', 'No message has all of that in it.'),
    ask: async (query) => {
      try {
        return await sluice.json('GET', '/search?' + new URLSearchParams({ q: asTyped(q), limit: 20, ...query }), { signal })
      } catch (err) {
        if (err.status === 404) return { messages: [], next: null, since: 0, absent: true }
        throw err
      }
    }
  })
}

export function view({ signal, query }) {
  const input = h('input', { id: 'q', type: 'search', name: 'q', value: query.q || '', placeholder: 'Words, a name, a #channel, an id', autocomplete: 'off', spellcheck: 'false', enterkeyhint: 'search' })
  const people = h('section', { 'aria-label': 'People' })
  const found = h('section', { 'aria-label': 'Channels' })
  const messages = h('section', { class: 'fill', 'aria-label': 'Messages' })
  let allChannels = null
  const known = () => (allChannels ??= besides().then((query) => channels(query, signal)).catch(() => []))
  let running = new AbortController()
  let timer = null

  const search = () => {
    const q = input.value.trim()
    running.abort()
    running = new AbortController()
    signal.addEventListener('abort', () => running.abort(), { once: true })
    history.replaceState(history.state, '', to.search(q))
    put(people)
    put(found)
    if (!q) return put(messages, hint())
    const straight = straightTo(q)
    if (straight) return void (location.hash = straight)
    peopleShow(people, q, running.signal)
    channelsShow(found, q, known, running.signal)
    return messagesShow(messages, q, running.signal)
  }
  input.addEventListener('input', () => {
    clearTimeout(timer)
    timer = setTimeout(search, TYPING_MS)
  })
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  const form = h('form', { class: 'search line', role: 'search', on: { submit: (event) => { event.preventDefault(); clearTimeout(timer); search() } } },
    h('label', { class: 'heard', for: 'q' }, 'Search for'), input)
  return { title: 'Search', node: h('div', null, h('h1', { tabindex: -1 }, 'Search'), form, people, found, messages), begin() { input.focus(); return search() }, focus: () => input.focus() }
}
