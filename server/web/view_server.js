// The server: the log, and how far the views derived from it are.
import { connection, news, progress, sluice, watchViews } from '/web/app.js'
import { announce, h, put } from '/web/dom.js'
import { personLink } from '/web/people.js'
import { bar, failed, fill } from '/web/states.js'
import { bytes, counted, number, seconds } from '/web/text.js'

const LOOK_MS = 2000

const fact = (name, ...value) => [h('dt', null, name), h('dd', null, value)]

// In words.
function rights({ scopes, encrypted, append, publish }) {
  const may = [scopes.includes('read') && (scopes.includes('private') ? 'read everything, also what is private' : encrypted ? 'read' : 'read what is public'), append && 'append', publish && 'publish']
  return may.filter(Boolean).join(', ') || 'nothing'
}

function serverFacts({ log, version, uptime, counters }, who) {
  return h('dl', { class: 'facts' },
    fact('log', `${counted(log.count, 'record')}, ${bytes(log.bytes)}`),
    fact('of', log.followed ? 'another process: it is read, never written' : 'Sluice’s own'),
    log.failure && fact('failure', log.failure),
    fact('views', bytes(counters.view_bytes)),
    fact('clients', `${counted(counters.connections, 'connection')}, ${number(counters.ws_clients)} of them live`),
    fact('answered', `${counted(counters.http_requests, 'request')}, ${bytes(counters.http_bytes)}`),
    fact('you may', rights(who)),
    who.id && fact('in the name of', personLink(who.id)),
    fact('Sluice', `${version}, up for ${seconds(uptime).replace('about ', '')}`))
}

// One row for each view, kept while it moves, so that what has the focus keeps it.
class ViewRow {
  constructor(name, asked) {
    this.meter = h('td', { class: 'meter' })
    this.state = h('td')
    this.version = h('td', { class: 'n' })
    this.button = h('button', { type: 'button', class: 'small', on: { click: () => asked(name) } }, 'Build anew', h('span', { class: 'heard' }, `: ${name}`))
    this.element = h('tr', { 'data-view': name }, h('th', { scope: 'row' }, name), this.version, this.meter, this.state, h('td', null, this.button))
    this.name = name
  }

  show(view) {
    const share = view.ready || view.total === 0 ? 1 : view.done / view.total
    put(this.version, `v${view.version}`)
    put(this.meter, bar(share, `${this.name}: how far it is`))
    put(this.state, view.ready ? 'up to date' : [`${Math.floor(share * 100)} %`, view.eta > 0 && `, ${seconds(view.eta)}`, view.why && ` (${view.why})`])
    this.element.classList.toggle('behind', !view.ready)
    this.element.dataset.ready = view.ready
  }
}

export function view({ signal }) {
  const facts = h('div', { class: 'fill' })
  const problem = h('div')
  const body = h('tbody')
  const rows = new Map()
  const said = h('p', { class: 'fine', role: 'status' })

  const rebuild = async (name) => {
    put(problem)
    try {
      await sluice.rebuild(name)
      announce(`${name} is being built anew`)
    } catch (err) {
      put(problem, failed(err, () => rebuild(name)))
    }
    watchViews()
  }
  const show = () => {
    for (const view of progress.views) {
      if (!rows.has(view.name)) {
        rows.set(view.name, new ViewRow(view.name, rebuild))
        body.append(rows.get(view.name).element)
      }
      rows.get(view.name).show(view)
    }
    if (progress.views.length === 0) return
    put(said, progress.ready ? 'Every view has read the whole log.' : `${Math.floor(progress.share * 100)} % of the log is read${progress.eta > 0 ? `; ${seconds(progress.eta)} to go` : ''}. The log itself can be read meanwhile.`)
  }
  news.addEventListener('views', show)
  const table = h('table', { class: 'views' },
    h('thead', null, h('tr', null, ['View', 'Version', 'Read', 'State'].map((name) => h('th', { scope: 'col' }, name)), h('td'))), body)
  const ask = async () => {
    const [status, who] = [await sluice.status({ signal }), await sluice.whoami({ signal })]
    // who may not build a view anew is not offered it
    table.classList.toggle('fixed', !(who.scopes.includes('read') && who.scopes.includes('append')))
    return [status, who]
  }
  const look = async () => {
    if (document.hidden || !facts.isConnected || connection.state !== 'live') return
    watchViews()
    try {
      const answers = await ask()
      if (!facts.contains(document.activeElement)) put(facts, serverFacts(...answers))
    } catch { /* the next look */ }
  }
  const looking = setInterval(look, LOOK_MS)
  signal.addEventListener('abort', () => { news.removeEventListener('views', show); clearInterval(looking) }, { once: true })

  return {
    title: 'Server',
    node: h('div', null, h('h1', { tabindex: -1 }, 'Server'), facts, h('h2', null, 'Views'), said, problem,
      h('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Views' }, table)),
    async begin() {
      show()
      watchViews()
      await fill(facts, signal, ask, (answers) => serverFacts(...answers))
    }
  }
}
