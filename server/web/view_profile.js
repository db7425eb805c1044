// Somebody: name, picture, what they say of themselves, whom they follow and who follows them, what they wrote.
import { besides, sluice } from '/web/app.js'
import { activity } from '/web/chart.js'
import { h, put } from '/web/dom.js'
import { list, Newcomers } from '/web/lists.js'
import { markdown } from '/web/markdown.js'
import { atomLink, bodyOf, card, folded, isPost, rootOf } from '/web/messages.js'
import { avatar, name, person, personLink } from '/web/people.js'
import { to } from '/web/routes.js'
import { fill, state } from '/web/states.js'
import { number } from '/web/text.js'

const PAGE = 15
const WHOLE = 300 // messages of a feed that are all looked at for its chart; of a longer one a sample
const SAMPLE = 60
const SHOWN = 60 // people of a list at once

const feedPath = (id) => '/feeds/' + encodeURIComponent(id)

async function newest(id, query, signal) {
  try {
    const page = await sluice.json('GET', `${feedPath(id)}?${new URLSearchParams({ reverse: true, limit: 1, ...query })}`, { signal })
    return page.messages[0]?.value.sequence || 0
  } catch (err) {
    if (err.status === 404) return 0
    throw err
  }
}

const timeAt = (record) => Number(record.value?.timestamp)
const usable = (points) => points.filter(([time]) => Number.isFinite(time) && time > 0 && time < Date.now() + 86400000 * 366)

// [time, messages] of a feed of n messages.
async function pointsOf(id, n, query, signal) {
  if (n <= WHOLE) {
    const page = await sluice.json('GET', `${feedPath(id)}?${new URLSearchParams({ limit: WHOLE, ...query })}`, { signal })
    return usable(page.messages.map((record) => [timeAt(record), 1]))
  }
  const wanted = Array.from({ length: SAMPLE + 1 }, (_, i) => 1 + Math.round(i * (n - 1) / SAMPLE))
  const records = await Promise.all(wanted.map((sequence) => sluice.feedMessage(id, sequence, query, { signal }).catch(() => null)))
  return usable(records.map((record, i) => [record ? timeAt(record) : NaN, i === 0 ? 1 : wanted[i] - wanted[i - 1]]))
}

async function chartShow(place, id, signal) {
  try {
    const query = await besides()
    const n = await newest(id, query, signal)
    if (n === 0) return
    const chart = activity(await pointsOf(id, n, query, signal), n, n > WHOLE)
    if (!signal.aborted) put(place, chart)
  } catch { /* a profile without a chart is one all the same */ }
}

const LISTS = [['follows', 'follows'], ['followedBy', 'followed by'], ['friends', 'friends'], ['blocks', 'blocks'], ['blockedBy', 'blocked by']]

const personRow = ({ id }) => h('li', null, avatar(id), personLink(id))

// Read on in pages, so that somebody with thousands of followers is no heavier than others.
async function people(details, id, field, signal) {
  const box = h('ul', { class: 'people' })
  const place = h('div')
  details.append(place)
  await fill(place, signal, (query) => sluice.json('GET', `/contacts/${encodeURIComponent(id)}/${field}?` + new URLSearchParams({ limit: SHOWN, ...query }), { signal }), (page) => {
    let next = page.next
    box.append(...page.contacts.map(personRow))
    const more = h('button', { type: 'button', class: 'small', hidden: !next }, 'More')
    more.addEventListener('click', async () => {
      more.disabled = true
      try {
        const answer = await sluice.json('GET', next, { signal })
        next = answer.next
        box.append(...answer.contacts.map(personRow))
        more.hidden = !next
      } finally {
        more.disabled = false
      }
    })
    return [box, more]
  })
}

// People and their faces are only asked for when somebody opens the list.
function contactsOf(id, counts, signal) {
  return h('div', { class: 'contacts' }, LISTS.filter(([field]) => counts[field] > 0).map(([field, word]) => {
    const details = h('details', null, h('summary', null, word, ' ', h('b', null, number(counts[field]))))
    details.addEventListener('toggle', () => { if (details.open && details.children.length === 1) people(details, id, field, signal) })
    return details
  }), LISTS.every(([field]) => counts[field] === 0) && h('p', { class: 'fine' }, 'Follows nobody yet, and nobody follows.'))
}

export function postCard(record) {
  const root = rootOf(record)
  return card(record, {
    href: to.thread(root || record.key, record.key), body: folded(bodyOf(record)),
    note: root && h('p', { class: 'fine in-reply' }, 'in ', h('a', { href: to.thread(root) }, 'a thread'))
  })
}

function top(id) {
  const about = h('div', { class: 'about', 'data-feed': id })
  about.refresh = async () => {
    const { description } = await person(id)
    put(about, description && markdown(description))
  }
  about.refresh()
  return h('header', { class: 'profile' }, avatar(id, 'large'),
    h('div', null, h('h1', { tabindex: -1 }, name(id)), h('p', { class: 'id' }, h('code', null, id)), atomLink('feed', id)), about)
}

export function view({ signal, id, asked }) {
  if (!id) return { title: 'Profile', node: h('div', null, h('h1', { tabindex: -1 }, 'Profile'), state('That is no feed', `“${asked.slice(0, 80)}” is not the id of a feed.`)), begin() {} }
  const chart = h('div', { class: 'chart-place' })
  const contacts = h('div', { class: 'contacts-place' })
  const posts = h('div', { class: 'fill' })
  const load = async () => {
    const shown = await list({
      place: posts, signal, label: 'Newest posts', member: 'messages', row: postCard,
      none: state('No posts yet', 'Nothing that this feed wrote as a post is in the log.'),
      ask: (query) => sluice.json('GET', '/log?' + new URLSearchParams({ author: id, type: 'post', reverse: true, limit: PAGE, ...query }), { signal })
    })
    if (shown) newcomers.from(shown.since)
  }
  const newcomers = new Newcomers(signal, {
    matters: (record) => isPost(record) && record.value.author === id, words: ['new post', 'new posts'],
    show: async () => { await load(); posts.querySelector('article')?.focus() }
  })
  person(id).then((about) => { if (!signal.aborted && about.name) document.title = `${about.name.slice(0, 60)} · Sluice` })
  return {
    title: 'Profile',
    node: h('div', null, top(id), contacts, chart, h('h2', null, 'Newest posts'), newcomers.element, posts),
    begin() {
      chartShow(chart, id, signal)
      fill(contacts, signal, (query) => sluice.contacts(id, { count: true, ...query }, { signal }), ({ count }) => contactsOf(id, count, signal))
      return load()
    }
  }
}
