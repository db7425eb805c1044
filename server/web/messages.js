// A message as people see it: who, when, what.
import { token } from '/web/app.js'
import { h, icon } from '/web/dom.js'
import { leadsTo, markdown } from '/web/markdown.js'
import { avatar, personLink } from '/web/people.js'
import { atomPath, to } from '/web/routes.js'
import { ago, channelName, counted, fullDate, isTime, shortId } from '/web/text.js'
import { ids } from '/web/sluice.js'

export const contentOf = (record) => record.value?.content
export const isPost = (record) => contentOf(record)?.type === 'post'
export const rootOf = (record) => {
  const root = contentOf(record)?.root
  return ids.isMessage(root) ? ids.text(root) : null
}

// What is claimed, or when it came here, if that is no time at all.
export const timeOf = (record) => isTime(record.value?.timestamp) ? record.value.timestamp : record.timestamp

export function time(ms) {
  const iso = isTime(ms) ? new Date(ms).toISOString() : undefined
  return h('time', { datetime: iso, title: fullDate(ms) }, ago(ms))
}

const messageLink = (id) => h('a', { href: to.thread(ids.text(id)), title: id }, shortId(id))
const link = (value) => {
  const where = typeof value === 'string' ? leadsTo(value) : null
  if (!where) return h('span', null, shortId(String(value)))
  return where.kind === 'feed' ? personLink(where.id) : where.kind === 'message' ? messageLink(where.id) : h('a', { href: where.href }, shortId(String(value)))
}

// ---- bodies, one for each type that people have words for

const does = (...parts) => h('p', { class: 'does' }, parts)

function postBody(content) {
  const body = markdown(typeof content.text === 'string' ? content.text : '', content.mentions)
  if (body.childNodes.length === 0) body.append(h('p', { class: 'fine' }, 'A post without words'))
  const warning = typeof content.contentWarning === 'string' && content.contentWarning.trim()
  if (!warning) return body
  return h('details', { class: 'warning' }, h('summary', { dir: 'auto' }, warning), body)
}

function voteBody({ vote }) {
  if (!vote || !ids.parse(vote.link)) return null
  if (!(vote.value > 0)) return does(vote.value < 0 ? 'flags ' : 'takes back what was said of ', link(vote.link))
  const word = typeof vote.expression === 'string' && vote.expression && vote.expression !== 'Like' ? h('bdi', null, [...vote.expression].slice(0, 30).join('')) : null
  return does(icon('heart'), word ? [' ', word, ': '] : ' likes ', link(vote.link))
}

function contactBody({ contact, following, blocking }) {
  if (!ids.isFeed(contact)) return null
  const what = blocking ? 'blocks ' : following ? 'follows ' : blocking === false ? 'unblocks ' : 'no longer follows '
  return does(what, personLink(ids.text(contact)))
}

function aboutBody(content) {
  if (!ids.parse(content.about)) return null
  const parts = ['says of ', link(content.about), ': ']
  const fields = Object.keys(content).filter((key) => key !== 'type' && key !== 'about')
  if (fields.length === 0) return null
  return h('div', null, does(parts), h('dl', { class: 'facts' }, fields.slice(0, 12).map((key) => {
    const value = content[key]
    const shown = key === 'description' && typeof value === 'string' ? markdown(value) : h('span', { dir: 'auto' }, typeof value === 'string' ? value : value?.link ? link(value.link) : JSON.stringify(value))
    return [h('dt', null, key), h('dd', null, shown)]
  })))
}

function channelBody({ channel, subscribed }) {
  const name = typeof channel === 'string' && channelName(channel)
  return name ? does(subscribed ? 'subscribes to ' : 'leaves ', h('a', { href: to.channel(name) }, '#' + name)) : null
}

const BODIES = { post: postBody, vote: voteBody, contact: contactBody, about: aboutBody, channel: channelBody }

export const json = (value, open = false) => h('details', { class: 'json', open }, h('summary', null, 'As JSON'), h('pre', { tabindex: 0, dir: 'ltr' }, JSON.stringify(value, null, 2)))

export function bodyOf(record) {
  const content = contentOf(record)
  if (typeof content === 'string') return h('p', { class: 'sealed' }, icon('lock'), ' An encrypted message, for others to read')
  if (!content || typeof content !== 'object') return json(record.value ?? record, true)
  return (Object.hasOwn(BODIES, content.type) && BODIES[content.type](content)) || h('div', null, does('a message of type ', h('code', null, String(content.type).slice(0, 60))), json(content))
}

// ---- cards

function channelOf(record) {
  const channel = contentOf(record)?.channel
  const name = typeof channel === 'string' ? channelName(channel) : ''
  return name && contentOf(record).type !== 'channel' ? h('a', { class: 'tag', href: to.channel(name) }, h('bdi', null, '#' + name)) : null
}

// A feed reader has no token to send.
export const atomLink = (kind, id) => token() ? null : h('a', { href: atomPath(kind, id), type: 'application/atom+xml', class: 'fine' }, 'Atom feed')

export const likes = (count) => count > 0 ? h('span', { class: 'likes', title: counted(count, 'like') }, icon('heart'), ` ${count}`, h('span', { class: 'heard' }, count === 1 ? ' like' : ' likes')) : null

export function head(record, href) {
  const author = record.value?.author
  const when = time(timeOf(record))
  return h('header', null, ids.isFeed(author) ? [h('a', { class: 'face', href: to.profile(author), tabindex: -1, 'aria-hidden': 'true' }, avatar(author)), h('h2', { class: 'who' }, personLink(author))] : h('h2', { class: 'who person' }, 'somebody'),
    h('span', { class: 'meta' }, href ? h('a', { href, class: 'when' }, when) : when, channelOf(record), record.value?.private === true && h('span', { class: 'tag' }, icon('lock'), ' private')))
}

let cards = 0

// options: href (of its time), foot (children), body (instead of the message's own), focus (a way to it), note
export function card(record, { href = to.message(record.key), foot, body, note, className = '' } = {}) {
  const id = 'card-' + ++cards
  const top = head(record, href)
  top.querySelector('.person').id = id
  const element = h('article', { class: 'card ' + className, tabindex: -1, 'aria-labelledby': id, 'data-key': record.key, 'data-seq': record.seq },
    top, note, h('div', { class: 'body' }, body || bodyOf(record)), foot && h('footer', null, foot))
  return element
}

// A body that is high is cut, with a button for the rest.
export function folded(body) {
  const box = h('div', { class: 'fold' }, body)
  const more = h('button', { type: 'button', class: 'more', hidden: true, on: { click: () => { box.classList.add('open'); more.remove() } } }, 'Read on')
  const look = new ResizeObserver(() => {
    const high = box.scrollHeight > box.clientHeight + 8
    more.hidden = !high
    box.classList.toggle('cut', high)
  })
  look.observe(box)
  // whoever comes to a link in there by keyboard sees it
  box.addEventListener('focusin', () => { if (!more.hidden) more.click() })
  return [box, more]
}
