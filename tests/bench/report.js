'use strict'
// From figures to lines of a table, Markdown and charts.
const { ROWS, GROUPS } = require('./rows')

function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

// The contender whose median is best.
function bestOf(row, samples, who) {
  const there = who.filter((name) => samples[name])
  const order = (a, b) => median(samples[a]) - median(samples[b])
  return there.sort(row.kind === 'rate' ? (a, b) => order(b, a) : order)[0]
}

// Figures of one round belong together: the ratio is taken round by round.
function ratiosOf(row, entry, own, other) {
  const count = Math.min(own.length, other.length)
  return Array.from({ length: count }, (_, i) => row.kind === 'rate' || entry.most ? own[i] / other[i] : other[i] / own[i])
}

function judge(row, entry, ratio) {
  if (entry.most) return ratio <= entry.most
  return entry.want === undefined ? null : ratio >= entry.want
}

// One line of the table for each thing that a row is held against: null if there are no figures for it.
function lineOf(row, entry, samples) {
  const own = samples.sluice
  const value = median(own)
  const line = { row: row.id, group: row.group, title: row.title, kind: row.kind, unit: row.unit, value: value / row.scale, name: entry.name, spread: (Math.max(...own) - Math.min(...own)) / value }
  if (entry.limit) {
    const ratio = row.kind === 'rate' ? value / entry.limit : entry.limit / value
    return { ...line, ratio, want: 1, most: false, ok: ratio >= 1, rounds: own.length }
  }
  const who = bestOf(row, samples, entry.who)
  if (!who) return null
  const ratios = ratiosOf(row, entry, own, samples[who])
  const ratio = median(ratios)
  return {
    ...line,
    name: entry.who.length > 1 ? `${entry.name}: ${who}` : entry.name,
    other: median(samples[who]) / row.scale,
    ratio,
    low: Math.min(...ratios),
    high: Math.max(...ratios),
    want: entry.most || entry.want,
    most: entry.most !== undefined,
    ok: judge(row, entry, ratio),
    rounds: ratios.length
  }
}

function linesOf(results) {
  const lines = []
  for (const row of ROWS) {
    const kept = results.rows[row.id]
    if (!kept || !kept.samples.sluice) continue
    const entries = row.against.length ? row.against : [{ limit: Infinity, bare: true }]
    for (const entry of entries) {
      if (entry.bare) {
        const own = kept.samples.sluice
        lines.push({ row: row.id, group: row.group, title: row.title, unit: row.unit, value: median(own) / row.scale, spread: (Math.max(...own) - Math.min(...own)) / median(own), name: '', ok: null })
        continue
      }
      const line = lineOf(row, entry, kept.samples)
      if (line) lines.push(line)
    }
  }
  return lines
}

function number(value) {
  if (value === undefined || value === null) return ''
  const size = Math.abs(value)
  if (size >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(size >= 10 ? 1 : 2)
}

const times = (value) => value === undefined ? '' : number(value) + '×'

function markdown(results) {
  const lines = linesOf(results)
  const commits = new Set(Object.values(results.rows).map((row) => row.commit))
  const text = ['| workload | Sluice | against | its figure | ratio | lowest – highest | wanted | |', '| --- | ---: | --- | ---: | ---: | ---: | ---: | --- |']
  for (const line of lines) {
    const wanted = line.want === undefined ? '' : (line.most ? '≤ ' : '≥ ') + times(line.want)
    const range = line.low === undefined ? `±${number(line.spread * 50)} %` : `${number(line.low)} – ${number(line.high)}`
    const mark = line.ok === null ? '' : line.ok ? 'ok' : 'short'
    text.push(`| ${line.title} | ${number(line.value)} ${line.unit} | ${line.name} | ${line.other === undefined ? '' : number(line.other) + ' ' + line.unit} | ${times(line.ratio)} | ${range} | ${wanted} | ${mark} |`)
  }
  const { machine } = results
  text.push('', `${results.n.toLocaleString('en-US')} messages, medians of up to ${results.rounds} rounds; each ratio is the median of ratios within a round. ` +
    `${machine.cpu}, ${machine.memory}, Linux ${machine.kernel}, node ${machine.node}; commit ${[...commits].join(', ')}; ${machine.date}.`)
  return text.join('\n') + '\n'
}

// ---- charts: ratios as bars on a logarithmic scale, with a mark where each should end ----

const WIDTH = 860
const LEFT = 430
const STEP = 26

const escape = (text) => text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c])

function chart(results, group) {
  const lines = linesOf(results).filter((line) => line.group === group && line.ratio > 0)
  if (!lines.length) return null
  const ends = lines.flatMap((line) => [line.ratio, line.want || 1, 1])
  const low = Math.floor(Math.log10(Math.min(...ends)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...ends))))
  const x = (ratio) => LEFT + (WIDTH - LEFT - 70) * (Math.log10(ratio) - low) / (high - low)
  const height = 50 + STEP * lines.length
  const parts = [`<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="10" y="20" font-size="14" font-weight="bold">${group}: ratio to the other side (mark: wanted)</text>`]
  for (let power = low; power <= high; power++) {
    const at = x(10 ** power).toFixed(1)
    parts.push(`<line x1="${at}" y1="30" x2="${at}" y2="${height - 16}" stroke="#ddd"/>`,
      `<text x="${at}" y="${height - 4}" fill="#666" text-anchor="middle">${10 ** power}×</text>`)
  }
  lines.forEach((line, i) => {
    const y = 36 + STEP * i
    const from = Math.min(x(1), x(line.ratio))
    const colour = line.ok === null ? '#9aa5b1' : line.ok ? '#2f855a' : '#c05621'
    parts.push(`<text x="${LEFT - 8}" y="${y + 9}" text-anchor="end">${escape(line.title.slice(0, 64))}</text>`,
      `<text x="${LEFT - 8}" y="${y + 20}" text-anchor="end" font-size="10" fill="#666">${escape(line.name)}</text>`,
      `<rect x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, Math.abs(x(line.ratio) - x(1))).toFixed(1)}" height="14" fill="${colour}"/>`,
      `<text x="${(Math.max(x(1), x(line.ratio)) + 5).toFixed(1)}" y="${y + 11}">${times(line.ratio)}</text>`)
    if (line.want) parts.push(`<line x1="${x(line.want).toFixed(1)}" y1="${y - 3}" x2="${x(line.want).toFixed(1)}" y2="${y + 17}" stroke="#000" stroke-width="2"/>`)
  })
  return parts.join('\n') + '\n</svg>\n'
}

module.exports = { markdown, chart, linesOf, GROUPS }
