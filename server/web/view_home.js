// Threads, the one with the newest activity first: of everybody, or of a channel.
import { besides, sluice } from '/web/app.js'
import { h, icon, put } from '/web/dom.js'
import { list, Newcomers } from '/web/lists.js'
import { bodyOf, card, folded, isPost, likes, time } from '/web/messages.js'
import { to } from '/web/routes.js'
import { state } from '/web/states.js'
import { counted, shortId } from '/web/text.js'

const PAGE = 15

// Filled in when it is known; the line is there already, so nothing moves.
async function likesShow(place, id, signal) {
  try {
    const { count } = await sluice.votes(id, { limit: 1, ...await besides() }, { signal })
    const shown = likes(count)
    if (shown) place.append(shown)
  } catch { /* a thread without its likes is one all the same */ }
}

function foot(thread, signal) {
  const liked = h('span', { class: 'likes-place' })
  likesShow(liked, thread.id, signal)
  const fresh = h('span', { class: 'fresh' })
  return [
    h('a', { class: 'count', href: to.thread(thread.id, thread.latest) }, icon('reply'), ' ', thread.replies === 0 ? 'no reply yet' : counted(thread.replies, 'reply', 'replies')),
    fresh, liked, thread.replies > 0 && h('span', { class: 'last' }, 'last ', time(thread.timestamp))
  ]
}

function rootless(thread, signal) {
  return h('article', { class: 'card rootless', tabindex: -1, 'aria-label': 'A thread whose beginning is not here' },
    h('p', { class: 'sealed' }, 'The beginning of this thread is not in the log: ', h('a', { href: to.thread(thread.id) }, shortId(thread.id))), h('footer', null, foot(thread, signal)))
}

export function threadCard(thread, signal) {
  if (!thread.root) return rootless(thread, signal)
  const element = card(thread.root, { href: to.thread(thread.id), body: folded(bodyOf(thread.root)), foot: foot(thread, signal) })
  element.dataset.thread = thread.id
  element.dataset.replies = thread.replies
  return element
}

// Threads that are shown say so when they get a reply, where there is room for it already.
async function repliesFollow(place, query, since, signal) {
  for await (const thread of sluice.threads(query).live({ since }, { signal })) {
    const element = place.querySelector(`[data-thread="${CSS.escape(thread.id)}"]`)
    const more = element ? thread.replies - Number(element.dataset.replies) : 0
    if (more > 0) put(element.querySelector('.fresh'), `${more} new`)
  }
}

// query: of /threads. matters(record): whether a new message makes the list another one.
export function threads(place, signal, { query = {}, matters = () => true, label = 'Threads', none }) {
  const body = h('div', { class: 'fill' })
  let following = new AbortController()
  signal.addEventListener('abort', () => following.abort(), { once: true })
  const newcomers = new Newcomers(signal, {
    matters: (record) => isPost(record) && matters(record),
    show: async () => {
      await load()
      window.scrollTo({ top: 0 })
      body.querySelector('article')?.focus({ preventScroll: true })
    }
  })
  const load = async () => {
    // what is there stays until the new one is
    const next = body.firstChild ? h('div', { class: 'fill' }) : body
    const shown = await list({
      place: next, signal, label, member: 'threads', row: (thread) => threadCard(thread, signal), none,
      ask: (more) => sluice.json('GET', '/threads?' + new URLSearchParams({ limit: PAGE, ...query, ...more }), { signal })
    })
    if (next !== body) body.replaceChildren(...next.childNodes)
    if (signal.aborted) return
    if (!shown || signal.aborted) return
    newcomers.from(shown.since)
    following.abort()
    following = new AbortController()
    repliesFollow(body, query, shown.since, following.signal).catch(() => { /* the connection says so */ })
  }
  put(place, newcomers.element, body)
  return load()
}

export function view({ signal }) {
  const place = h('div')
  return {
    title: 'Home',
    node: h('div', null, h('h1', { tabindex: -1 }, 'What is going on'), place),
    begin: () => threads(place, signal, {
      none: state('Nothing has been written yet', 'As soon as a message is in the log, it is shown here. You need not reload the page.')
    })
  }
}
