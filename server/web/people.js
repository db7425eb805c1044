// Names and pictures of feeds. A picture is a blob; where there is none, one is drawn from the id, so that two people of the same name do
// not look the same.
import { authorized, fetchNoted, news, sluice, token } from '/web/app.js'
import { h, icon, svg } from '/web/dom.js'
import { blobPath, to } from '/web/routes.js'
import { shortId } from '/web/text.js'
import { ids } from '/web/sluice.js'

const known = new Map() // id -> promise of { name, image, description }
const absent = new Set() // blobs that are not here

const text = (value) => typeof value === 'string' && value.trim() ? value.trim() : null
const imageLink = (image) => {
  const link = typeof image === 'string' ? image : image?.link
  return ids.isBlob(link) ? ids.text(link) : null
}

const UNKNOWN = { name: null, image: null, description: null }
const said = ({ about }) => ({ name: text(about.name), image: imageLink(about.image), description: text(about.description) })

// Everybody whom a view shows is asked for at once.
let asked = []
function ask(id) {
  return new Promise((resolve) => {
    if (asked.push({ id, resolve }) === 1) setTimeout(() => askAll(asked.splice(0)))
  })
}

async function askAll(all) {
  try {
    const abouts = await sluice.abouts(all.map(({ id }) => id), { stale: 'ok' })
    all.forEach(({ resolve }, i) => resolve(said(abouts[i])))
  } catch {
    for (const { id, resolve } of all) {
      known.delete(id)
      resolve(UNKNOWN)
    }
  }
}

export function person(id) {
  if (!known.has(id)) known.set(id, ask(id))
  return known.get(id)
}

// Somebody was called something else: everything that shows the name or picture is told.
news.addEventListener('records', ({ detail: records }) => {
  for (const record of records) {
    const about = record.value?.content?.type === 'about' && record.value.content.about
    if (!ids.isFeed(about)) continue
    known.delete(ids.text(about))
    for (const shown of document.querySelectorAll('[data-feed]')) if (shown.dataset.feed === ids.text(about)) shown.refresh?.()
  }
})

// ---- drawn pictures

function numbersOf(id) {
  const bytes = [...atob((ids.parse(id)?.base64 || 'A'.repeat(43) + '='))].map((c) => c.charCodeAt(0))
  return bytes.length > 16 ? bytes : new Array(32).fill(0)
}

// Five by five, the left like the right, as one path.
export function drawn(id) {
  const bytes = numbersOf(id)
  const hue = Math.round((bytes[0] * 256 + bytes[1]) / 65536 * 360)
  let path = ''
  for (let x = 0; x < 3; x++) {
    for (let y = 0; y < 5; y++) {
      if (bytes[2 + x * 5 + y] % 2 === 0) continue
      path += `M${x + 1} ${y + 1}h1v1h-1z`
      if (x < 2) path += `M${5 - x} ${y + 1}h1v1h-1z`
    }
  }
  return svg('svg', { viewBox: '0 0 7 7', 'aria-hidden': 'true', focusable: 'false' },
    svg('rect', { width: 7, height: 7, fill: `hsl(${hue} 42% 86%)` }), svg('path', { d: path, fill: `hsl(${hue} 48% 36%)` }))
}

// ---- blobs

// With a token a picture cannot be asked for by an address alone.
async function sourceOf(path) {
  if (!token()) return path
  const response = await fetchNoted(location.origin + path, { headers: authorized() })
  if (!response.ok) throw new Error(String(response.status))
  return URL.createObjectURL(await response.blob())
}

async function sourceSet(image, path) {
  try {
    image.setAttribute('src', await sourceOf(path))
  } catch {
    image.dispatchEvent(new Event('error'))
  }
}

// A picture in a text; while it is not here, its words and a way to try again.
export function picture(path, alt, title) {
  const frame = h('span', { class: 'picture' })
  const image = h('img', { alt: alt || 'A picture without words', title, loading: 'lazy', decoding: 'async' })
  image.addEventListener('error', () => {
    frame.classList.add('absent')
    frame.replaceChildren(icon('picture'), h('span', { dir: 'auto' }, alt || 'A picture'), h('small', null, 'not on this machine'))
  })
  frame.append(image)
  sourceSet(image, path)
  return frame
}

export function avatar(id, size = 'small') {
  const frame = h('span', { class: 'avatar ' + size, 'data-feed': id }, drawn(id))
  frame.refresh = async () => {
    const { image } = await person(id)
    if (!image || absent.has(image)) return
    const picture = h('img', { alt: '', decoding: 'async' })
    picture.addEventListener('load', () => frame.replaceChildren(picture), { once: true })
    picture.addEventListener('error', () => absent.add(image), { once: true })
    sourceSet(picture, blobPath(image))
  }
  frame.refresh()
  return frame
}

// ---- names

const named = new WeakSet()

// Cut where it would fill the page; what is left out is in the title.
function nameShow(element, id, name) {
  const chars = [...(name || '')]
  element.textContent = name ? (chars.length > 60 ? chars.slice(0, 60).join('') + '…' : name) : shortId(id)
  element.classList.toggle('nameless', !name)
}

// A name is somebody else's text: isolated, so that it cannot turn what stands around it.
export function name(id) {
  const element = h('bdi', { class: 'name nameless', 'data-feed': id }, shortId(id))
  element.refresh = async () => nameShow(element, id, (await person(id)).name)
  named.add(element)
  element.refresh()
  return element
}

export const personLink = (id) => h('a', { class: 'person', href: to.profile(id), title: id }, name(id))
