// Where things are on this page: everything behind the # of its address.
import { ids } from '/web/sluice.js'

const path = (view, id) => `#/${view}/${encodeURIComponent(id)}`

export const to = {
  home: () => '#/',
  thread: (id, at) => path('thread', id) + (at && at !== id ? '?at=' + encodeURIComponent(at) : ''),
  profile: (id) => path('profile', id),
  channel: (name) => path('channel', name),
  channels: () => '#/channels',
  message: (id) => path('message', id),
  search: (q) => '#/search' + (q ? '?q=' + encodeURIComponent(q) : ''),
  server: () => '#/server',
  console: (target) => '#/console' + (target ? '?target=' + encodeURIComponent(target) : '')
}

const readerPath = { feed: (id) => '/feeds/' + id, channel: (name) => '/channels/' + name, thread: (id) => `/messages/${id}/thread` }

// What feed readers subscribe to.
export const atomPath = (kind, id) => readerPath[kind](encodeURIComponent(id)) + '?format=atom'

export const blobPath = (id, query = '') => '/blobs/' + encodeURIComponent(id) + query

const WITH_ID = { thread: 'message', message: 'message', profile: 'feed' }

function unescaped(text) {
  try { return decodeURIComponent(text) } catch { return text }
}

// { view, id or name, query }. Ids may stand there as people paste them.
export function parse(hash) {
  const text = hash.replace(/^#\/?/, '')
  const mark = text.indexOf('?')
  const where = mark < 0 ? text : text.slice(0, mark)
  const query = Object.fromEntries(new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1)))
  const slash = where.indexOf('/')
  const view = (slash < 0 ? where : where.slice(0, slash)) || 'home'
  const rest = slash < 0 ? '' : where.slice(slash + 1)
  if (!(view in WITH_ID)) return { view, name: unescaped(rest), query }
  const id = ids.parse(rest)
  return { view, id: id && id.kind === WITH_ID[view] ? ids.text(rest) : null, asked: unescaped(rest), query }
}
