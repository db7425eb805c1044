// Markdown as ssb-markdown renders it: markdown-it reads it, and what it read becomes elements of a short list. No text of a message ever
// becomes markup, so there is nothing to clean.
import markdownit from '/web/markdown-it.js'
import { ids } from '/web/sluice.js'
import { addressFor, h, icon } from '/web/dom.js'
import { picture } from '/web/people.js'
import { blobPath, to } from '/web/routes.js'
import { channelName, shortId } from '/web/text.js'

const LONGEST = 1 << 16 // characters: a message of a feed has 8192 at most, a log of anything has what it likes
const ID = /^[A-Za-z0-9+/]{43}=\.[a-z0-9]+/
const NICKNAME = /^[A-Za-z0-9._\-+=/]*[A-Za-z0-9_\-+=/]/
const HASHTAG = /(^|\s)#([\p{L}\p{M}\p{N}\p{Pc}\p{Extended_Pictographic}\u200d\ufe0f*+-]+)/gu
const BLOB_QUERY = /^(&[^?]+)\?(unbox=[A-Za-z0-9%+/=_.-]+)$/

const md = markdownit({ breaks: true, linkify: true, typographer: true, html: false, maxNesting: 30 })
md.validateLink = () => true // what may be an address is decided where it becomes one
md.normalizeLink = (url) => url
const readable = md.normalizeLinkText
md.normalizeLinkText = (url) => ids.parse(url) ? url : readable(url) // "%19…" in front of an id escapes nothing

for (const sigil of '%&') {
  md.linkify.add(sigil, { validate: (text, at) => ID.exec(text.slice(at, at + 64))?.[0].length || 0, normalize: (match) => { match.url = match.raw } })
}
// ---- emoji by name

const SHORTCODE = /:([a-z0-9_+-]+)(?=:)/g
let emoji = null // name -> characters, when it was fetched: few texts need it
const waiting = [] // text nodes that do

export function emojified(text) {
  if (!emoji || !text.includes(':')) return text
  let out = '', from = 0
  for (let match; (match = SHORTCODE.exec(text));) {
    if (!Object.hasOwn(emoji, match[1])) continue
    out += text.slice(from, match.index) + emoji[match[1]]
    SHORTCODE.lastIndex = from = match.index + match[0].length + 1
  }
  return out + text.slice(from)
}

async function emojiFetch() {
  try {
    const { default: names } = await import('/web/emoji.js')
    emoji = names
    for (const node of waiting.splice(0)) node.data = emojified(node.data)
  } catch { /* their names can be read, too */ } finally {
    waiting.length = 0
  }
}

function textNode(text) {
  const node = document.createTextNode(emojified(text))
  if (!emoji && text.search(SHORTCODE) >= 0 && waiting.push(node) === 1) emojiFetch()
  return node
}

// ---- ids and nicknames

let nicknames = new Map() // of the message that is being read
md.linkify.add('@', {
  validate(text, at) {
    const tail = text.slice(at, at + 200)
    const id = ID.exec(tail)
    if (id) return id[0].length
    const name = NICKNAME.exec(tail)
    return name && nicknames.has('@' + name[0].toLowerCase()) ? name[0].length : 0
  },
  normalize: (match) => { match.url = match.raw }
})

// Names that the message says it mentions somebody by.
function nicknamesOf(mentions) {
  const names = new Map()
  if (!Array.isArray(mentions)) return names
  for (const mention of mentions) {
    if (typeof mention?.name === 'string' && ids.isFeed(mention.link)) names.set('@' + mention.name.replace(/^@/, '').toLowerCase(), ids.text(mention.link))
  }
  return names
}

// { href, id, kind, out }, or null if it leads nowhere that this page would send anybody.
export function leadsTo(url) {
  const nickname = nicknames.get(String(url).toLowerCase())
  if (nickname) return { href: to.profile(nickname), id: nickname, kind: 'feed' }
  const [, blob, query] = BLOB_QUERY.exec(url) || []
  const id = ids.parse(blob || url)
  if (id) {
    const text = ids.text(blob || url)
    if (id.kind === 'feed') return { href: to.profile(text), id: text, kind: 'feed' }
    if (id.kind === 'message') return { href: to.thread(text), id: text, kind: 'message' }
    return id.kind === 'blob' ? { href: blobPath(text, query ? '?' + query : ''), id: text, kind: 'blob' } : null
  }
  if (/^#[^/]/.test(url) && channelName(url)) return { href: to.channel(channelName(url)), kind: 'channel' }
  return /^(?:https?:|mailto:)/i.test(url) && addressFor('href', url) ? { href: url, out: true } : null
}

function linkElement(url, title) {
  const where = leadsTo(url)
  if (!where) return h('span', { class: 'nowhere', title: 'This link leads nowhere that can be shown' })
  const out = where.out ? { rel: 'noopener noreferrer nofollow ugc', target: '_blank', class: 'out' } : {}
  return h('a', { href: where.href, title, 'data-kind': where.kind, ...out })
}

function imageElement(token) {
  const src = token.attrGet('src') || ''
  const alt = token.content
  const where = leadsTo(src)
  if (where?.kind !== 'blob') {
    const link = linkElement(src)
    link.append(icon('picture'), ' ', alt || (where ? 'a picture on another site' : 'a picture that is nowhere'))
    return link
  }
  const media = /^(audio|video):/.exec(alt)
  if (media) return h(media[1], { controls: true, preload: 'none', src: where.href, 'aria-label': alt.slice(6) || alt })
  return picture(where.href, alt, token.attrGet('title'))
}

const BLOCKS = {
  paragraph: 'p', blockquote: 'blockquote', bullet_list: 'ul', ordered_list: 'ol', list_item: 'li', table: 'table', thead: 'thead',
  tbody: 'tbody', tr: 'tr', th: 'th', td: 'td', strong: 'strong', em: 'em', s: 's'
}
// The outermost of these has a direction of its own, by its first letter; what is in it (items, quoted paragraphs) goes along with it.
const DIRECTED = new Set(['p', 'ul', 'ol', 'blockquote', 'th', 'td', 'h3', 'h4', 'h5', 'h6'])

// The element that a token opens; null if it is none of those there are.
function opened(token, directed) {
  const name = token.type.replace(/_open$/, '')
  if (name === 'link') return linkElement(token.attrGet('href') || '', token.attrGet('title'))
  const tag = name === 'heading' ? 'h' + Math.min(6, Number(token.tag[1]) + 2) : BLOCKS[name]
  if (!tag) return null
  const align = /text-align:(left|center|right)/.exec(token.attrGet('style') || '')
  const start = tag === 'ol' ? Number(token.attrGet('start')) || undefined : undefined
  return h(tag, { dir: !directed && DIRECTED.has(tag) ? 'auto' : undefined, class: align ? 'to-' + align[1] : undefined, start })
}

function textAdd(parent, text) {
  let from = 0
  for (const match of text.matchAll(HASHTAG)) {
    const at = match.index + match[1].length
    const name = channelName(match[2])
    if (!name) continue
    parent.append(textNode(text.slice(from, at)), h('a', { href: to.channel(name), 'data-kind': 'channel' }, '#' + match[2]))
    from = at + 1 + match[2].length
  }
  parent.append(textNode(text.slice(from)))
}

// What stands in a link that is nothing but an id, so that nobody has to read 52 characters.
const linkText = (text) => ID.test(text.slice(1)) && ids.kind(text) ? shortId(text) : text

// linked: false, true, or 'auto' for an address that became a link by itself.
function leafAdd(parent, token, linked) {
  switch (token.type) {
    case 'text': return linked === 'auto' ? parent.append(linkText(token.content)) : linked ? parent.append(textNode(linkText(token.content))) : textAdd(parent, token.content)
    case 'softbreak': case 'hardbreak': return parent.append(h('br'))
    case 'code_inline': return parent.append(h('code', null, token.content))
    case 'code_block': case 'fence': return parent.append(h('pre', { tabindex: 0 }, h('code', { dir: 'ltr' }, token.content)))
    case 'hr': return parent.append(h('hr'))
    case 'image': return parent.append(imageElement(token))
    default: return parent.append(token.content)
  }
}

function tokensAdd(root, tokens) {
  const stack = [{ element: root, linked: false, directed: false }]
  for (const token of tokens) {
    const { element, linked, directed } = stack.at(-1)
    if (token.type === 'inline') tokensAdd(element, token.children || [])
    else if (token.nesting === 1) {
      const made = token.hidden ? null : opened(token, directed)
      if (made) element.append(made)
      stack.push({ element: made || element, linked: linked || (token.type === 'link_open' && (token.info || true)), directed: directed || Boolean(made?.dir) })
    } else if (token.nesting === -1) stack.pop()
    else leafAdd(element, token, linked)
  }
}

// A div with the text in it.
export function markdown(text, mentions) {
  const root = h('div', { class: 'prose', dir: 'auto' })
  if (text.length > LONGEST) return root.append(h('p', { class: 'plain', dir: 'auto' }, text)), root
  nicknames = nicknamesOf(mentions)
  try {
    tokensAdd(root, md.parse(text, {}))
  } finally {
    nicknames = new Map()
  }
  for (const table of root.querySelectorAll('table')) {
    const wide = h('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Table' })
    table.replaceWith(wide)
    wide.append(table)
  }
  return root
}

// The first words, without any marks.
export function excerpt(text, most = 140) {
  if (text.length > LONGEST) return text.slice(0, most) + '…'
  const words = []
  for (const token of md.parse(text, {})) {
    for (const child of token.children || []) words.push(child.type === 'softbreak' || child.type === 'hardbreak' ? ' ' : child.type === 'image' ? child.content : child.content || '')
    if (token.type === 'inline') words.push(' ')
  }
  const plain = words.join('').replace(/\s+/g, ' ').trim()
  const chars = [...plain]
  return chars.length <= most ? plain : chars.slice(0, most).join('').trimEnd() + '…'
}
