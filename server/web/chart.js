// How much a feed wrote, and when: bars over the time from its first message to its last.
import { h, svg } from '/web/dom.js'
import { counted, date, number } from '/web/text.js'

const DAY = 86400000
const UNITS = [['day', DAY], ['week', 7 * DAY], ['month', 30.44 * DAY], ['quarter', 91.3 * DAY], ['year', 365.25 * DAY]]
const MOST_BARS = 60

// points: [time, weight], where weight messages were written between the point before and this one.
function bins(points) {
  const times = points.map(([time]) => time)
  const from = Math.min(...times)
  const span = Math.max(DAY, Math.max(...times) - from)
  const [unit, length] = UNITS.find(([, ms]) => span / ms <= MOST_BARS) || UNITS.at(-1)
  const bars = new Array(Math.min(MOST_BARS * 4, Math.floor(span / length) + 1)).fill(0)
  const place = (time) => Math.min(bars.length - 1, Math.max(0, Math.floor((time - from) / length)))
  let before = null
  for (const [time, weight] of points) {
    const [a, b] = before === null || weight === 1 ? [place(time), place(time)] : [Math.min(place(before), place(time)), place(time)]
    for (let i = a; i <= b; i++) bars[i] += weight / (b - a + 1)
    before = time
  }
  return { from, unit, length, bars }
}

// about: the numbers are guessed from a sample.
export function activity(points, total, about) {
  if (points.length === 0) return null
  const sorted = [...points].sort((a, b) => a[0] - b[0])
  const { from, unit, length, bars } = bins(sorted)
  const top = Math.max(...bars, 1)
  const best = bars.indexOf(Math.max(...bars))
  const [width, height] = [600, 88]
  const step = Math.min(width / bars.length, 40) // a few bars do not become a wall
  const [begun, ended] = [date(from), date(sorted.at(-1)[0])]
  const many = `${about ? 'About ' : ''}${counted(total, 'message')} `
  const said = begun === ended ? `${many}on ${begun}.`
    : `${many}from ${begun} to ${ended}; the most in one ${unit}: ${about ? 'about ' : ''}${number(Math.round(bars[best]))}, from ${date(from + best * length)} on.`
  return h('figure', { class: 'chart' },
    svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'Activity. ' + said, preserveAspectRatio: 'none' },
      svg('line', { x1: 0, y1: height - 0.5, x2: width, y2: height - 0.5, class: 'axis' }),
      bars.map((count, i) => {
        const high = count === 0 ? 0 : Math.max(1.5, count / top * (height - 6))
        return count > 0 && svg('rect', { x: (i * step + step * 0.12).toFixed(2), y: (height - high).toFixed(2), width: (step * 0.76).toFixed(2), height: high.toFixed(2) },
          svg('title', null, `${date(from + i * length)}: ${about ? 'about ' : ''}${counted(Math.round(count), 'message')}`))
      })),
    h('figcaption', null, said))
}
