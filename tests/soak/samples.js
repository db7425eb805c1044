'use strict'
// Looks at the server once a second, and judges at the end whether what it saw was flat.
const fs = require('node:fs')
const { sleep } = require('./soak')

const KIB = 1024, MIB = 1048576

const field = (text, name) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)[1])
const gauge = (text, name) => Number(new RegExp(`^sluice_${name} (-?\\d+)$`, 'm').exec(text)[1])

function percentile(values, p) {
  if (values.length === 0) return NaN
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))]
}

const median = (values) => percentile(values, 0.5)

async function sample(soak, agent) {
  const generation = soak.generation
  const metrics = await soak.ask(agent, '/metrics')
  if (!metrics || metrics.status !== 200) return undefined
  const pid = soak.server.child.pid
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  const head = gauge(metrics.text, 'log_head')
  const since = [...metrics.text.matchAll(/^sluice_view_since\{.*\} (-?\d+)$/gm)].map(([, seq]) => Number(seq))
  const { live, views } = soak.lag
  soak.lag = { live: [], views: [] }
  return {
    at: performance.now() / 1000,
    generation,
    anonymous: field(status, 'RssAnon') * KIB,
    resident: field(status, 'VmRSS') * KIB,
    log: gauge(metrics.text, 'log_bytes'),
    mapped: gauge(metrics.text, 'log_bytes') + gauge(metrics.text, 'view_bytes'),
    descriptors: fs.readdirSync(`/proc/${pid}/fd`).length - gauge(metrics.text, 'connections'),
    behind: Math.max(0, head - Math.min(...since)),
    live: median(live),
    views: median(views)
  }
}

async function start(soak, list) {
  const agent = soak.agent()
  while (!soak.over) {
    await soak.up()
    try {
      const one = await sample(soak, agent)
      if (one && one.generation === soak.generation && !soak.down) list.push(one)
    } catch (err) {
      if (!soak.down) soak.fail('samples', err.message)
    }
    await sleep(1000)
  }
}

// ---- judging ----

// Least squares: { slope a second, growth from the first to the last }.
function line(points) {
  const n = points.length
  const x = points.reduce((sum, p) => sum + p.x, 0) / n, y = points.reduce((sum, p) => sum + p.y, 0) / n
  const above = points.reduce((sum, p) => sum + (p.x - x) * (p.y - y), 0), below = points.reduce((sum, p) => sum + (p.x - x) ** 2, 0)
  const slope = below > 0 ? above / below : 0
  return { slope, growth: slope * (points.at(-1).x - points[0].x) }
}

// The middle of every few samples: one of them may have met a connection between its accept and its count.
function smooth(list, name) {
  const points = [], few = Math.min(10, Math.max(3, Math.floor(list.length / 8)))
  for (let i = 0; i + few <= list.length; i += few) {
    const part = list.slice(i, i + few).filter((one) => Number.isFinite(one[name]))
    if (part.length > 0) points.push({ x: part[part.length >> 1].at, y: median(part.map((one) => one[name])) })
  }
  return points
}

// What LMDB keeps of its largest commit, made while two runs are joined (README.md): nothing before a process has begun to.
const RUN = 16 * MIB
const kept = (log, start) => Math.floor(log / RUN) > Math.floor(start / RUN) ? Math.min(10 * MIB, 0.03 * log) : 0

// What may grow by how much while nothing is restarted, by the line through it. `level`: the middle of all; `pages`: by how much more LMDB may keep.
const BOUNDS = [
  { name: 'anonymous', title: 'anonymous memory', unit: 'MiB', scale: MIB, bound: (level, pages) => 3 * MIB + pages },
  { name: 'descriptors', title: 'descriptors beside connections', unit: '', scale: 1, bound: () => 2 },
  { name: 'live', title: 'lag of live delivery', unit: 'ms', scale: 1, bound: (level) => 5 + level / 2 },
  { name: 'views', title: 'lag of fresh views', unit: 'ms', scale: 1, bound: (level) => 5 + level / 2 },
  { name: 'behind', title: 'views behind the head', unit: 'KiB', scale: KIB, bound: (level) => 64 * KIB + level / 2 }
]

function judge(soak, list) {
  const last = list.filter((one) => one.generation === soak.generation)
  const steady = last.slice(Math.floor(last.length / 4)) // the first quarter warms up
  const pages = steady.length > 0 ? kept(steady.at(-1).log, last[0].log) - kept(steady[0].log, last[0].log) : 0
  const rows = []
  for (const { name, title, unit, scale, bound } of BOUNDS) {
    const points = smooth(steady, name)
    if (points.length < 3) {
      soak.fail(title, `${points.length} samples are too few to say anything`)
      continue
    }
    const level = median(points.map((p) => p.y)), most = bound(level, pages)
    const { slope, growth } = line(points)
    if (growth > most) soak.fail(title, `grew by ${(growth / scale).toFixed(1)} ${unit} while nothing was restarted, ${(most / scale).toFixed(1)} are allowed`)
    rows.push({ title, unit, level: level / scale, hour: slope * 3600 / scale, growth: growth / scale, bound: most / scale })
  }
  return rows
}

// The middle of the last samples of every process: what a restart leaves behind, it does not.
function plateaus(list, name) {
  const byProcess = new Map()
  for (const one of list) byProcess.set(one.generation, [...(byProcess.get(one.generation) || []), one[name]])
  return [...byProcess.values()].map((values) => median(values.slice(-5)))
}

// Pages of mapped files count as resident, and can be as many as there are bytes in the files.
function judgeResident(soak, list) {
  const over = list.filter((one) => one.resident > one.anonymous + one.mapped + 64 * MIB)
  if (over.length > 0) soak.fail('resident memory', `${over.length} samples are above anonymous memory and the files together`)
  return Math.max(...list.map((one) => one.resident))
}

module.exports = { start, judge, judgeResident, plateaus, percentile, median, MIB }
