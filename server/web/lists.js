// Lists that can be read on at their end, and that say what is new without moving.
import { fill } from '/web/states.js'
import { announce, h, put } from '/web/dom.js'
import { counted } from '/web/text.js'
import { news, sluice } from '/web/app.js'

// Page Down and Page Up go from one article to the next, as in other feeds.
function keys(event) {
  const step = { PageDown: 1, PageUp: -1 }[event.key]
  const here = event.target.closest?.('article')
  if (!step || !here || event.target.closest('input, textarea, pre, select')) return
  const all = [...event.currentTarget.querySelectorAll('article')]
  const next = all[all.indexOf(here) + step]
  if (!next) return
  event.preventDefault()
  next.focus()
  next.scrollIntoView({ block: 'nearest' })
}

export function feed(label) {
  return h('div', { class: 'feed', role: 'feed', 'aria-label': label, on: { keydown: keys } })
}

// The button behind the rows: as long as there is more.
function older(rows, answer, member, row, signal, label) {
  if (!answer.next) return null
  const button = h('button', { type: 'button', class: 'older' }, label)
  button.addEventListener('click', async () => {
    button.disabled = true
    button.textContent = 'One moment…'
    try {
      const next = await sluice.json('GET', answer.next, { signal })
      const made = next[member].map(row).filter(Boolean)
      rows.append(...made)
      const again = older(rows, next, member, row, signal, label)
      const hadFocus = document.activeElement === button || document.activeElement === document.body
      button.replaceWith(...(again ? [again] : []))
      if (hadFocus) made[0]?.focus({ preventScroll: true })
      announce(`${made.length} more`)
    } catch (err) {
      if (signal.aborted) return
      button.disabled = false
      button.textContent = `${err.detail || 'That did not work'} Try again`
    }
  })
  return button
}

// options: place, signal, label, ask(query) -> page, member, row(item) -> element or null, none (element, or what makes it of the page), more (label)
export async function list({ place, signal, label, ask, member, row, none, more = 'Show older' }) {
  const rows = feed(label)
  let since = null
  const filled = await fill(place, signal, ask, (answer) => {
    since = answer.since
    const made = answer[member].map(row).filter(Boolean)
    if (made.length === 0 && !answer.next) return typeof none === 'function' ? none(answer) : none
    rows.append(...made)
    return [rows, older(rows, answer, member, row, signal, more)]
  })
  return filled ? { rows, since } : null
}

// "3 new": counts the records that matter(record), from the place on that the shown answer knows, and waits to be pressed. It lies over the
// page, so nothing moves.
export class Newcomers {
  #seqs = []; #since = -1; #button; #words; #show

  constructor(signal, { matters, show, words = ['new message', 'new messages'], place = 'top' }) {
    this.#words = words
    this.#show = show
    this.#button = h('button', { type: 'button', class: 'pill', on: { click: () => this.#press() } })
    this.element = h('div', { class: 'pill-place ' + place, hidden: true }, this.#button)
    const heard = ({ detail }) => {
      const found = detail.filter((record) => record.seq > this.#since && matters(record)).map((record) => record.seq)
      if (found.length > 0) this.#set([...this.#seqs, ...found])
    }
    news.addEventListener('records', heard)
    signal.addEventListener('abort', () => news.removeEventListener('records', heard), { once: true })
  }

  // What is shown now is everything up to here. What was heard while it was on its way and is not in it still counts.
  from(since) {
    this.#since = since
    this.shown = true
    this.#set(this.#seqs.filter((seq) => seq > since))
  }

  #set(seqs) {
    this.#seqs = seqs
    const text = counted(seqs.length, ...this.#words)
    this.element.hidden = seqs.length === 0 || !this.shown
    put(this.#button, text)
    this.#button.setAttribute('aria-label', text + ': show')
    if (!this.element.hidden) announce(text)
  }

  async #press() {
    this.#button.disabled = true
    try { await this.#show() } finally { this.#button.disabled = false }
  }
}
