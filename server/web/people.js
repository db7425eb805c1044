// Names and pictures of feeds. A picture is a blob; where there is none, one is drawn from the id, so that two people of the same name do
// not look the same.
import { authorized, besides, fetchNoted, news, progress, sluice, token, watchViews } from '/web/app.js'
import { h, icon, svg } from '/web/dom.js'
import { blobPath, to } from '/web/routes.js'
import { shortId } from '/web/text.js'
import { ids } from '/web/sluice.js'

const known = new Map() // id -> { said: { name, image, description }, since: how far the views were that said it, asked: a promise, shown: that was kept }
const absent = new Set() // blobs that are not here

const text = (value) => typeof value === 'string' && value.trim() ? value.trim() : null
const imageLink = (image) => {
  const link = typeof image === 'string' ? image : image?.link
  return ids.isBlob(link) ? ids.text(link) : null
}

const UNKNOWN = { name: null, image: null, description: null }
const said = (about) => ({ name: text(about.name), image: imageLink(about.image), description: text(about.description) })

const refresh = (element, wanted) => {
  for (const shown of element.querySelectorAll('[data-feed]')) if (wanted(shown.dataset.feed)) shown.refresh?.()
}

// Of what comes back as it was left: names may have changed meanwhile.
export const peopleRefresh = (element) => refresh(element, () => true)

// Answers may overtake each other: what counts was said by the views that were farthest.
function take(id, { about, since }) {
  const person = known.get(id)
  if (!person || since < person.since) return
  Object.assign(person, { said: said(about), since })
  if (person.shown) refresh(document, (one) => one === id)
}

const later = new Set() // asked for while views were behind: once more when they are not

function askLater() {
  if (!progress.ready) return
  for (const id of later) ask(id)
  later.clear()
}
news.addEventListener('views', askLater)

// What was known still holds. Whoever could not be asked now is asked when the server is there again, or its views are.
function notAnswered(all, err) {
  const passes = err.status === 503 || err.code === 'unreachable'
  for (const id of all) {
    if (passes) later.add(id)
    else if (!known.get(id)?.shown) known.delete(id)
  }
  if (err.status === 503) watchViews()
}

async function askAll(all) {
  const query = await besides()
  if (query.stale) for (const id of all) later.add(id)
  try {
    const answers = await sluice.abouts(all, query)
    all.forEach((id, i) => take(id, answers[i]))
  } catch (err) {
    notAnswered(all, err)
  }
  if (query.stale) askLater()
}

// Everybody whom a view shows is asked for at once.
let gathering = null // { all, asked }
function ask(id) {
  gathering ??= {
    all: new Set(),
    asked: new Promise((resolve) => setTimeout(resolve)).then(() => {
      const { all } = gathering
      gathering = null
      return askAll([...all])
    })
  }
  gathering.all.add(id)
  return gathering.asked
}

export async function person(id) {
  if (!known.has(id)) known.set(id, { said: UNKNOWN, since: -1, asked: ask(id), shown: false })
  const one = known.get(id)
  await one.asked
  one.shown = true
  return one.said
}

// Somebody was called something else: everything that shows the name or picture is told.
news.addEventListener('records', ({ detail: records }) => {
  for (const record of records) {
    const about = record.value?.content?.type === 'about' && record.value.content.about
    if (ids.isFeed(about) && known.has(ids.text(about))) ask(ids.text(about))
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
    if (!image || image === frame.dataset.image || absent.has(image)) return
    frame.dataset.image = image
    const picture = h('img', { alt: '', decoding: 'async' })
    picture.addEventListener('load', () => frame.replaceChildren(picture), { once: true })
    picture.addEventListener('error', () => absent.add(image), { once: true })
    sourceSet(picture, blobPath(image))
  }
  frame.refresh()
  return frame
}

// ---- names

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
  element.refresh()
  return element
}

export const personLink = (id) => h('a', { class: 'person', href: to.profile(id), title: id }, name(id))
