// The page: which view is shown, and what stands around it.
import { connection, follow, listening, news, progress, watchViews } from '/web/app.js'
import { announce, h, put } from '/web/dom.js'
import { peopleRefresh } from '/web/people.js'
import { requestsBelow } from '/web/requests.js'
import { parse, to } from '/web/routes.js'
import { state } from '/web/states.js'
import { channelsView, channelView } from '/web/view_channels.js'
import { view as console_ } from '/web/view_console.js'
import { view as home } from '/web/view_home.js'
import { view as message } from '/web/view_message.js'
import { view as profile } from '/web/view_profile.js'
import { view as search } from '/web/view_search.js'
import { view as server } from '/web/view_server.js'
import { view as thread } from '/web/view_thread.js'

const VIEWS = { home, thread, profile, message, search, server, console: console_, channels: channelsView, channel: channelView }
const KEPT = 8 // views that going back finds as they were left

const main = document.getElementById('main')
const made = requestsBelow(document.querySelector('.made'))
const kept = new Map() // key of a place in the history -> { view, end, scroll }
let here = null // the key of what is shown
let keys = 0

history.scrollRestoration = 'manual'

const nowhere = ({ view }) => ({ title: 'Not here', node: h('div', null, h('h1', { tabindex: -1 }, 'There is no such page'), state(`Nothing is called “${view.slice(0, 40)}”`, null, h('a', { href: to.home() }, 'Go home'))), begin() {} })

function leave() {
  const shown = kept.get(here)
  if (shown) shown.scroll = window.scrollY
  for (const [key, old] of kept) {
    if (kept.size <= KEPT) break
    if (key === here) continue
    old.end.abort()
    kept.delete(key)
  }
}

function navigationMark(view) {
  const nav = { thread: 'home', message: 'home', profile: 'home', channel: 'channels' }[view] || view
  for (const link of document.querySelectorAll('[data-nav]')) {
    if (link.dataset.nav === nav) link.setAttribute('aria-current', view === nav ? 'page' : 'true')
    else link.removeAttribute('aria-current')
  }
}

function place(shown, first) {
  put(main, shown.view.node)
  document.title = shown.view.title + ' · Sluice'
  window.scrollTo(0, shown.scroll)
  if (!first && shown.view.focus) shown.view.focus()
  else if (!first && shown.scroll === 0) main.querySelector('h1')?.focus({ preventScroll: true })
  if (!first) announce(shown.view.title)
}

function show(first = false) {
  leave()
  const route = parse(location.hash)
  const key = history.state?.key
  here = key ?? 'k' + Date.now() + '-' + ++keys
  navigationMark(route.view)
  made.begin()
  if (kept.has(here)) {
    peopleRefresh(kept.get(here).view.node)
    return place(kept.get(here), first)
  }
  history.replaceState({ key: here }, '')
  const end = new AbortController()
  const make = Object.hasOwn(VIEWS, route.view) ? VIEWS[route.view] : nowhere
  const shown = { view: make({ ...route, signal: end.signal }), end, scroll: 0 }
  kept.set(here, shown)
  place(shown, first)
  main.setAttribute('aria-busy', 'true')
  listening.then(() => {
    if (!end.signal.aborted) shown.view.begin()
    main.removeAttribute('aria-busy')
  })
}

// The skip link is no place of the page.
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault()
  main.focus()
})

// A link to where one is already starts it anew.
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="#/"]')
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return
  if (link.getAttribute('href') !== (location.hash || '#/')) return
  event.preventDefault()
  kept.get(here)?.end.abort()
  kept.delete(here)
  history.replaceState(null, '')
  show()
})

window.addEventListener('hashchange', () => show())

// ---- what stands around

const pulse = document.querySelector('.pulse')
const banner = document.querySelector('.banner')
const WORDS = { opening: 'connecting', live: 'live', lost: 'offline', refused: 'not allowed' }

function pulseShow() {
  const behind = connection.state === 'live' && !progress.ready
  const text = behind ? `reading ${Math.floor(progress.share * 100)} %` : WORDS[connection.state]
  const element = pulse.querySelector('.pulse-text')
  pulse.dataset.state = behind ? 'behind' : connection.state
  if (element.textContent !== text) element.textContent = text
  const lost = connection.state === 'lost'
  if (banner.hidden === lost) put(banner, lost ? 'Sluice does not answer. What you see stays; what is new comes as soon as it is back.' : '')
  banner.hidden = !lost
}

news.addEventListener('connection', () => {
  pulseShow()
  if (connection.state === 'live') watchViews()
})
news.addEventListener('views', pulseShow)
window.addEventListener('offline', pulseShow)

const THEMES = ['', 'dark', 'light']
const THEME_WORDS = { '': 'as the system has them', dark: 'dark', light: 'light' }
const theme = document.querySelector('.theme')

function themeSet(name) {
  if (name) document.documentElement.dataset.theme = name
  else delete document.documentElement.dataset.theme
  theme.setAttribute('aria-label', 'Colours: ' + THEME_WORDS[name])
  theme.title = 'Colours: ' + THEME_WORDS[name]
}

let chosen = localStorage.getItem('sluice-theme') || ''
themeSet(THEMES.includes(chosen) ? chosen : '')
theme.addEventListener('click', () => {
  chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length]
  localStorage.setItem('sluice-theme', chosen)
  themeSet(chosen)
})

follow()
watchViews()
show(true)
