import { localError } from './errors.js'

const KINDS = { '%.sha256': 'message', '%.cloaked': 'cloaked', '@.ed25519': 'feed', '@.sha256': 'feed', '&.sha256': 'blob' }
const SUFFIXES = { message: ['%', '.sha256'], cloaked: ['%', '.cloaked'], feed: ['@', '.ed25519'], blob: ['&', '.sha256'] }
const URI_KINDS = {
  'message/classic': 'message', 'message/sha256': 'message', 'message/cloaked': 'cloaked', 'feed/classic': 'feed',
  'feed/ed25519': 'feed', 'blob/classic': 'blob', 'blob/sha256': 'blob'
}
const SIGIL_FORM = /^([%@&])([A-Za-z0-9+/_ -]{42}[AEIMQUYcgkosw048])=?(\.[a-z0-9]+)?$/
const URI_FORM = /^ssb:(?:\/\/)?(message|feed|blob)[/:]([a-z0-9]+)[/:]([A-Za-z0-9+/_ -]{42}[AEIMQUYcgkosw048])=?(?:[?#].*)?$/i

// 43 characters of either alphabet: { kind, base64 }.
function idOf(kind, body, suffix) {
  return { kind, base64: body.replace(/[- ]/g, '+').replace(/_/g, '/') + '=', suffix: suffix || SUFFIXES[kind][1] }
}

function idForm(text) {
  const sigil = SIGIL_FORM.exec(text)
  if (sigil) {
    const suffix = sigil[3] || (sigil[1] === '@' ? '.ed25519' : '.sha256')
    const kind = KINDS[sigil[1] + suffix]
    return kind ? idOf(kind, sigil[2], suffix) : null
  }
  const uri = URI_FORM.exec(text)
  const kind = uri && URI_KINDS[uri[1].toLowerCase() + '/' + uri[2].toLowerCase()]
  return kind ? idOf(kind, uri[3]) : null
}

function unescaped(text) {
  try { return decodeURIComponent(text) } catch { return text }
}

// Every function takes an id in any form that people paste: with its sigil, percent-encoded, URL-safe, or as an ssb: URI.
export const ids = {
  // { kind: 'message' | 'cloaked' | 'feed' | 'blob', base64, suffix }, or null if it is no id
  parse(text) {
    if (typeof text !== 'string') return null
    const plain = text.trim()
    return idForm(plain) || idForm(unescaped(plain)) || (plain[0] === '%' ? idForm('%' + unescaped(plain.slice(1))) : null)
  },
  kind(text) { return ids.parse(text)?.kind ?? null },
  isMessage(text) { return ids.kind(text) === 'message' },
  isFeed(text) { return ids.kind(text) === 'feed' },
  isBlob(text) { return ids.kind(text) === 'blob' },
  // "%…=.sha256"
  text(id) {
    const { kind, base64, suffix } = idWanted(id)
    return SUFFIXES[kind][0] + base64 + suffix
  },
  // "ssb:message/classic/…="
  uri(id) {
    const { kind, base64 } = idWanted(id)
    const type = kind === 'cloaked' ? 'message/cloaked' : kind + '/classic'
    return `ssb:${type}/${base64.replace(/\+/g, '-').replace(/\//g, '_')}`
  },
  // For one segment of a path, or a value in a query.
  escape(id) { return encodeURIComponent(ids.text(id)) },
  equal(a, b) { return ids.text(a) === ids.text(b) }
}

function idWanted(text) {
  const id = ids.parse(text)
  if (!id) throw localError('bad-id', `"${String(text).slice(0, 80)}" is no id such as %….sha256, @….ed25519 or &….sha256`)
  return id
}
