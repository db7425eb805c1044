// A thread: its root, and the replies in causal order.
import { news, sluice } from '/web/app.js'
import { announce, h, icon, put } from '/web/dom.js'
import { feed, Newcomers } from '/web/lists.js'
import { excerpt } from '/web/markdown.js'
import { atomLink, card, contentOf, likes, rootOf } from '/web/messages.js'
import { to } from '/web/routes.js'
import { fill, state } from '/web/states.js'
import { counted, shortId } from '/web/text.js'
import { ids } from '/web/sluice.js'

const PAGE = 100
const MOST_PAGES = 20 // to look through for one message

const gone = (id) => state('That message is not in the log', `Nobody that this node listens to has handed on ${shortId(id)} yet. If it comes, it is shown here.`,
  h('p', null, h('a', { href: to.message(id) }, 'What links to it')))

// A reply is shown in its thread.
async function whereItStands(id, query, signal) {
  try {
    const record = await sluice.message(id, query, { signal })
    return { root: rootOf(record) || id, at: rootOf(record) ? id : null }
  } catch (err) {
    if (err.status === 404 || err.status === 410) return { root: id, at: null }
    throw err
  }
}

function foot(record, { votes, forks }) {
  const forked = forks[record.key]
  return [
    likes(votes[record.key] || 0),
    forked && h('a', { href: to.thread(record.key) }, icon('fork'), ' ', counted(forked, 'message') + ' in a thread of its own'),
    h('a', { class: 'quiet', href: to.message(record.key) }, 'Details')
  ]
}

// What the thread names and the log has not.
const missingNote = (missing) => missing.length === 0 ? null : h('details', { class: 'note' },
  h('summary', null, `${counted(missing.length, 'message')} of this thread ${missing.length === 1 ? 'is' : 'are'} not here`),
  h('ul', null, missing.slice(0, 50).map((id) => h('li', null, h('a', { href: to.message(id) }, shortId(id))))))

export function view({ signal, id, asked, query }) {
  const title = h('h1', { tabindex: -1 }, 'Thread')
  const place = h('div', { class: 'fill' })
  const rows = feed('Messages of this thread')
  const shown = new Map() // key -> article
  const notes = h('div')
  const end = h('div', { class: 'end' })
  const feedOf = h('p', { class: 'line' })
  let root = id
  let answered = null // { next, total pages read }

  const row = (record, page) => {
    const isRoot = record.key === root
    return card(record, {
      className: isRoot ? 'root' : 'reply', foot: foot(record, page)
    })
  }

  // Puts a page in its order; what is there keeps its element, its place on the screen and its focus.
  const take = (page, before = null) => {
    let last = before
    for (const record of page.messages) {
      let element = shown.get(record.key)
      if (!element) {
        element = row(record, page)
        shown.set(record.key, element)
        if (last) last.after(element)
        else rows.prepend(element)
      } else {
        put(element.querySelector(':scope > footer'), foot(record, page))
      }
      last = element
    }
    return last
  }

  const ask = (more) => sluice.thread(root, { limit: PAGE, ...more }, { signal })
  const readOn = async () => {
    const page = await sluice.json('GET', answered.next, { signal })
    const first = page.messages.find((record) => !shown.has(record.key))
    take(page, rows.lastElementChild)
    answered = page
    ending()
    return first && shown.get(first.key)
  }
  const ending = () => {
    if (!answered.next) return put(end)
    const button = h('button', { type: 'button', class: 'older' }, 'More replies')
    button.addEventListener('click', async () => {
      button.disabled = true
      try {
        const first = await readOn()
        first?.focus({ preventScroll: true })
      } catch (err) {
        button.disabled = false
        button.textContent = `${err.detail || 'That did not work'} Try again`
      }
    })
    put(end, button)
  }

  // The whole thread once more, page after page as far as it was read: new replies stand where they belong.
  const again = async () => {
    const had = new Set(shown.keys())
    let page = await ask({})
    const since = page.since
    let last = take(page)
    while (page.next) {
      page = await sluice.json('GET', page.next, { signal })
      last = take(page, last)
    }
    answered = page
    ending()
    newcomers.from(since)
    const first = [...shown].find(([key]) => !had.has(key))
    first?.[1].classList.add('arrived')
    first?.[1].focus({ preventScroll: true })
    first?.[1].scrollIntoView({ block: 'nearest' })
    announce(counted(shown.size - had.size, 'message') + ' added')
  }

  const newcomers = new Newcomers(signal, {
    matters: (record) => rootOf(record) === root && !shown.has(record.key), show: again, words: ['new reply', 'new replies'], place: 'bottom'
  })

  const goTo = async (at) => {
    for (let pages = 0; !shown.has(at) && answered?.next && pages < MOST_PAGES; pages++) await readOn()
    const element = shown.get(at)
    if (!element) return
    element.classList.add('here')
    element.scrollIntoView({ block: 'center' })
    element.focus({ preventScroll: true })
  }

  const show = async ({ page, at }) => {
    if (!page) return gone(root)
    answered = page
    newcomers.from(page.since)
    if (page.messages.length === 0) return gone(root)
    const first = page.messages[0].key === root ? null : h('p', { class: 'note' }, 'The message that began this thread is not in the log.')
    const parent = page.parent && h('p', { class: 'note' }, icon('fork'), ' This thread came out of ', h('a', { href: to.thread(page.parent, root) }, 'another one'), '.')
    take(page)
    const text = contentOf(page.messages[0])?.text
    if (!signal.aborted && typeof text === 'string' && text.trim()) document.title = excerpt(text, 60) + ' · Sluice'
    put(notes, parent, first, missingNote(page.missing))
    put(feedOf, atomLink('thread', root))
    ending()
    if (at) setTimeout(() => goTo(at)) // when it stands in the page
    return [notes, rows, end, feedOf]
  }

  const load = () => fill(place, signal, async (more) => {
    const where = await whereItStands(id, more, signal)
    root = where.root
    try {
      return { page: await ask(more), at: query.at && ids.isMessage(query.at) ? ids.text(query.at) : where.at }
    } catch (err) {
      if (err.status === 404) return { page: null }
      throw err
    }
  }, show)

  // A message that was not there comes.
  const heard = ({ detail }) => { if (shown.size === 0 && detail.some((record) => record.key === id || rootOf(record) === id)) load() }
  news.addEventListener('records', heard)
  signal.addEventListener('abort', () => news.removeEventListener('records', heard), { once: true })

  return {
    title: 'Thread', node: h('div', { class: 'thread' }, title, place, newcomers.element),
    begin: () => id ? load() : put(place, state('That is no message', `“${asked.slice(0, 80)}” is not the id of a message.`))
  }
}
