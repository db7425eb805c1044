// One message: as people read it, its likes, what links to it, what it links to, and its raw form.
import { besides, sluice } from '/web/app.js'
import { h, icon, put } from '/web/dom.js'
import { list } from '/web/lists.js'
import { leadsTo } from '/web/markdown.js'
import { card, contentOf, rootOf, time } from '/web/messages.js'
import { avatar, personLink } from '/web/people.js'
import { to } from '/web/routes.js'
import { fill, state } from '/web/states.js'
import { counted, fullDate, shortId } from '/web/text.js'
import { ids } from '/web/sluice.js'

const MOST_LINKS = 50

// Every id in a content, with the place where it stands.
function linksFrom(value, path = '', found = []) {
  if (found.length >= MOST_LINKS) return found
  if (typeof value === 'string' && ids.parse(value) && leadsTo(value)) found.push([path || '/', value])
  else if (value && typeof value === 'object') for (const [key, one] of Object.entries(value)) linksFrom(one, `${path}/${key}`, found)
  return found
}

function linkOf(value) {
  const where = leadsTo(value)
  return where.kind === 'feed' ? personLink(where.id) : h('a', { href: where.href }, `${where.kind} ${shortId(value)}`)
}

const outgoing = (record) => {
  const found = linksFrom(contentOf(record))
  return found.length > 0 && h('section', null, h('h2', null, 'It links to'),
    h('ul', { class: 'plain-list' }, found.map(([path, value]) => h('li', null, h('code', null, path), ' ', linkOf(value)))))
}

function copying(text) {
  const button = h('button', { type: 'button', class: 'small' }, icon('copy'), ' Copy')
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(text())
    button.lastChild.textContent = ' Copied'
  })
  return button
}

function raw(record, signal) {
  const pre = h('pre', { tabindex: 0, dir: 'ltr', class: 'raw' }, JSON.stringify(record, null, 2))
  const signed = h('button', { type: 'button', class: 'small' }, 'The bytes that were signed')
  signed.addEventListener('click', async () => {
    signed.disabled = true
    try {
      pre.textContent = await sluice.messageText(record.key, {}, { signal })
    } catch (err) {
      pre.textContent = err.detail || err.message
    }
  })
  return h('section', null, h('h2', null, 'Raw'), h('p', { class: 'line' }, copying(() => pre.textContent), signed), pre)
}

const facts = (record) => h('dl', { class: 'facts' },
  h('dt', null, 'id'), h('dd', null, h('code', null, record.key)),
  record.value?.sequence !== undefined && [h('dt', null, 'sequence'), h('dd', null, String(record.value.sequence))],
  h('dt', null, 'written'), h('dd', null, fullDate(record.value?.timestamp)),
  h('dt', null, 'received'), h('dd', null, fullDate(record.timestamp)),
  h('dt', null, 'seq'), h('dd', null, h('code', null, String(record.seq))))

const voteRow = (vote) => vote.value > 0 && h('li', null, avatar(vote.author), personLink(vote.author), vote.expression && vote.expression !== 'Like' && h('bdi', { class: 'fine' }, ` ${[...vote.expression].slice(0, 20).join('')}`))

async function votesShow(place, id, signal) {
  const { votes, count } = await sluice.votes(id, { limit: 100, ...await besides() }, { signal })
  if (count > 0 && !signal.aborted) put(place, h('h2', null, icon('heart'), ' ', counted(count, 'like')), h('ul', { class: 'people' }, votes.map(voteRow)))
}

const linkRow = (link) => h('article', { class: 'row', tabindex: -1, 'aria-label': link.rel }, h('code', null, link.rel), ' ', ids.isFeed(link.source) ? personLink(link.source) : null, ' ',
  h('a', { href: to.message(link.key) }, shortId(link.key)), ' ', h('span', { class: 'fine' }, time(link.timestamp)))

export function view({ signal, id, asked }) {
  const place = h('div', { class: 'fill' })
  const votes = h('section')
  const links = h('div', { class: 'fill' })
  const show = (record) => {
    if (!record) return state('That message is not in the log', 'Below is what the log knows of it all the same: messages that name it.')
    return [
      card(record, { href: to.thread(rootOf(record) || id, id) }),
      h('p', null, h('a', { href: to.thread(rootOf(record) || id, id) }, 'See it in its thread')), facts(record), votes, outgoing(record), raw(record, signal)
    ]
  }
  return {
    title: 'Message',
    node: h('div', null, h('h1', { tabindex: -1 }, 'Message'), place, id && [h('h2', null, 'What links to it'), links]),
    async begin() {
      if (!id) return put(place, state('That is no message', `“${asked.slice(0, 80)}” is not the id of a message.`))
      votesShow(votes, id, signal).catch(() => {})
      list({
        place: links, signal, label: 'What links to it', member: 'links', row: linkRow, more: 'More links',
        none: h('p', { class: 'fine' }, 'Nothing yet.'),
        ask: (query) => sluice.json('GET', `/messages/${encodeURIComponent(id)}/links?` + new URLSearchParams({ limit: 50, ...query }), { signal })
      })
      await fill(place, signal, (query) => sluice.message(id, query, { signal }).catch((err) => { if (err.status === 404 || err.status === 410) return null; throw err }), show)
    }
  }
}
