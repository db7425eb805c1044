// Numbers and times for people.

const NUMBER = new Intl.NumberFormat()
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' })
const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })
const STEPS = [['second', 60], ['minute', 60], ['hour', 24], ['day', 7]]

export const number = (n) => NUMBER.format(n)
export const counted = (n, one, many = one + 's') => `${NUMBER.format(n)} ${n === 1 ? one : many}`

// Clocks of feeds are what their owners say: anything may stand there.
export const isTime = (ms) => typeof ms === 'number' && Math.abs(ms) < 8.64e15

export const date = (ms) => isTime(ms) ? DATE.format(ms) : 'at no known time'
export const fullDate = (ms) => isTime(ms) ? FULL.format(ms) : 'no known time'

export function ago(ms, now = Date.now()) {
  if (!isTime(ms)) return 'at no known time'
  let distance = (ms - now) / 1000
  if (distance > 60) return DATE.format(ms)
  distance = Math.min(0, distance)
  for (const [unit, length] of STEPS) {
    if (Math.abs(distance) < length) return AGO.format(Math.round(distance), unit)
    distance /= length
  }
  return DATE.format(ms)
}

export function bytes(n) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit++ }
  return `${unit === 0 ? n : n.toFixed(n < 10 ? 1 : 0)} ${units[unit]}`
}

export function seconds(s) {
  if (s < 1.5) return 'about a second'
  if (s < 90) return `about ${Math.round(s)} seconds`
  if (s < 5400) return `about ${Math.round(s / 60)} minutes`
  return `about ${Math.round(s / 3600)} hours`
}

export const shortId = (id) => String(id).slice(0, 9) + '…'

// As ssb-ref makes the names of channels equal.
export function channelName(name) {
  const plain = String(name).toLowerCase().replace(/[\s,.?!<>()[\]"#]/g, '')
  return [...plain].reduce((out, c) => out.length + c.length <= 30 ? out + c : out, '')
}
