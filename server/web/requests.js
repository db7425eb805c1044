// The requests that the page makes, as lines of curl to copy: below every view those that it was made with.
import { curl, news, requests } from '/web/app.js'
import { announce, h, icon, put } from '/web/dom.js'
import { counted } from '/web/text.js'

function copyButton(text) {
  const button = h('button', { type: 'button', class: 'small', 'aria-label': 'Copy the curl line' }, icon('copy'))
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text())
      announce('Copied')
      button.classList.add('done')
    } catch {
      announce('The browser does not let this page copy: mark the line instead')
    }
  })
  return button
}

export const curlLine = (request) => h('div', { class: 'curl' }, h('code', { tabindex: 0 }, curl(request)), copyButton(() => curl(request)))

const row = (one) => h('li', null, h('span', { class: 'status-code ' + (one.status >= 400 ? 'bad' : '') }, one.status ?? '…'), curlLine(one))

// Fills the <details> at the end of the page. begin() is called by each view that comes: what is asked from then on is its.
export function requestsBelow(details) {
  const title = h('summary')
  const rows = h('ol', { class: 'requests' })
  let first = 0
  const mine = () => requests.filter((one) => one.number >= first)
  const show = () => {
    const all = mine()
    put(title, all.length === 0 ? 'No request since you came here' : `Made with ${counted(all.length, 'request')}`)
    if (details.open) put(rows, all.map(row))
  }
  put(details, title, rows)
  details.addEventListener('toggle', show)
  news.addEventListener('request', show)
  return { begin() { first = (requests[0]?.number ?? 0) + 1; show() } }
}
