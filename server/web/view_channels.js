// All channels, the busiest first; and one of them.
import { besides, connection, sluice } from '/web/app.js'
import { h, put } from '/web/dom.js'
import { atomLink, contentOf } from '/web/messages.js'
import { to } from '/web/routes.js'
import { fill, state } from '/web/states.js'
import { channelName, counted, number } from '/web/text.js'
import { threads } from '/web/view_home.js'

const MOST = 5000
const SHOWN = 200

// As many as there are, the busiest first.
export async function channels(query, signal) {
  const rows = await sluice.channels({ ...query, limit: MOST }, { signal, page: 1000 }).array()
  return rows.sort((a, b) => b.count - a.count)
}

const countOf = (count) => [number(count), h('span', { class: 'heard' }, ' messages')]

function chips(rows) {
  return h('ul', { class: 'chips' }, rows.slice(0, SHOWN).map(({ channel, count }) =>
    h('li', { 'data-channel': channel }, h('a', { href: to.channel(channel) }, h('bdi', null, '#' + channel), h('span', { class: 'n' }, countOf(count))))))
}

// What is shown stays where it is and counts on; what is new is there when the list is narrowed next.
async function countsFollow(place, rows, since, signal) {
  const known = new Map(rows.map((row) => [row.channel, row]))
  for await (const row of sluice.channels().live({ since }, { signal })) {
    if (known.has(row.channel)) Object.assign(known.get(row.channel), row)
    else rows.push(row)
    known.set(row.channel, known.get(row.channel) || row)
    const shown = place.querySelector(`[data-channel="${CSS.escape(row.channel)}"] .n`)
    if (shown) put(shown, countOf(row.count))
  }
}

export function channelsView({ signal }) {
  const input = h('input', { id: 'channel-filter', type: 'search', placeholder: 'All channels', autocomplete: 'off' })
  const place = h('div', { class: 'fill' })
  const found = h('div')
  const line = h('p', { class: 'fine', role: 'status' })
  const show = (rows) => {
    if (rows.length === 0) return state('No channels yet', 'As soon as a message names a channel, or a hashtag, it is listed here.')
    const narrow = () => {
      const word = channelName(input.value)
      const kept = word ? rows.filter(({ channel }) => channel.includes(word)) : rows
      put(line, kept.length === 0 ? 'No channel has that in its name.' : kept.length > SHOWN ? `The busiest ${SHOWN} of ${counted(kept.length, 'channel')}` : counted(kept.length, 'channel'))
      put(found, chips(kept))
    }
    input.addEventListener('input', narrow)
    narrow()
    return [line, found]
  }
  return {
    title: 'Channels',
    node: h('div', null, h('h1', { tabindex: -1 }, 'Channels'), h('p', { class: 'line' }, h('label', { class: 'heard', for: 'channel-filter' }, 'Narrow the list'), input), place),
    begin() {
      const since = connection.since ?? undefined // not known yet: the list comes again
      return fill(place, signal, (query) => channels(query, signal), (rows) => {
        countsFollow(found, rows, since, signal).catch(() => { /* the connection says so */ })
        return show(rows)
      })
    }
  }
}

export function channelView({ signal, name }) {
  const channel = channelName(name)
  const about = h('p', { class: 'fine' })
  const place = h('div')
  const counts = async () => {
    try {
      const { count, subscribers } = await sluice.channel(channel, await besides(), { signal })
      const reader = atomLink('channel', channel)
      put(about, `${counted(count, 'message')}, ${counted(subscribers, 'subscriber')}`, reader && [' · ', reader])
    } catch { /* its threads say what is wrong */ }
  }
  const inIt = (record) => typeof contentOf(record)?.channel === 'string' && channelName(contentOf(record).channel) === channel
  return {
    title: '#' + channel,
    node: h('div', null, h('h1', { tabindex: -1 }, h('bdi', null, '#' + channel)), about, place),
    begin() {
      counts()
      return threads(place, signal, {
        query: { channel }, matters: inIt, label: 'Threads of the channel',
        none: state('Nobody began a thread here', 'The channel may still be mentioned in threads elsewhere.')
      })
    }
  }
}
