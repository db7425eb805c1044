'use strict'
// What has to hold when all is quiet again: nothing acknowledged is missing, nobody saw a gap or a duplicate, views say what the log says.
const http = require('node:http')

// Every record of the log: { seq, key, author, sequence, type, private }.
function readLog(soak) {
  const rows = []
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: soak.server.port, path: '/log', agent: false, headers: { Accept: 'application/x-ndjson' } }
    http.get(options, (res) => {
      let rest = ''
      res.setEncoding('utf8')
      res.on('data', (text) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop()
        for (const line of lines.filter(Boolean)) {
          const { seq, key, value } = JSON.parse(line)
          const secret = typeof value.content === 'string'
          rows.push({ seq, key, author: value.author, sequence: value.sequence, type: secret ? undefined : value.content.type, private: secret })
        }
      })
      res.on('end', () => resolve(rows))
      res.on('error', reject)
    }).on('error', reject)
  })
}

function ledger(soak, rows) {
  const seqs = new Map(rows.map((row) => [row.key, row.seq]))
  if (seqs.size !== rows.length) soak.fail('stored twice', `${rows.length - seqs.size} messages`)
  let missing = 0, moved = 0
  for (const [key, seq] of soak.acknowledged) {
    const there = seqs.get(key)
    if (there === undefined) missing++
    else if (seq >= 0 && there !== seq) moved++
  }
  if (missing > 0) soak.fail('acknowledged', `${missing} of ${soak.acknowledged.size} acknowledged messages are missing`)
  if (moved > 0) soak.fail('acknowledged', `${moved} messages are not at the seq of their answer`)
}

// Each feed is 1, 2, 3 … in log order.
function feeds(soak, rows) {
  const next = new Map()
  for (const { author, sequence } of rows) {
    if (sequence !== (next.get(author) || 0) + 1) soak.fail('feeds', `${author}: ${sequence} stands behind ${next.get(author)}`)
    next.set(author, sequence)
  }
  return next
}

async function views(soak, rows, newest) {
  const wanted = {}
  for (const { type } of rows) if (type !== undefined) wanted[type] = (wanted[type] || 0) + 1
  const agent = soak.agent()
  const { types } = JSON.parse((await soak.ask(agent, '/types?limit=1000')).text)
  for (const { type, count } of types) if (wanted[type] !== count) soak.fail('views', `${count} of type ${type}, the log has ${wanted[type]}`)
  if (types.length !== Object.keys(wanted).length) soak.fail('views', `${types.length} types, the log has ${Object.keys(wanted).length}`)
  let count = 0
  for (let next = '/feeds?limit=1000'; next;) {
    const page = JSON.parse((await soak.ask(agent, next)).text)
    for (const feed of page.feeds) if (newest.get(feed.id) !== feed.sequence) soak.fail('views', `feed ${feed.id} at ${feed.sequence}, the log has ${newest.get(feed.id)}`)
    count += page.feeds.length
    next = page.next
  }
  if (count !== newest.size) soak.fail('views', `${count} feeds, the log has ${newest.size}`)
}

// The first index of a list of ascending numbers that is above `seq`.
function above(list, seq) {
  let low = 0, high = list.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (list[middle] > seq) high = middle
    else low = middle + 1
  }
  return low
}

// What a reader saw is everything from its start to the last that it saw, once and in order.
function reader(soak, one, lists) {
  if (one.after === undefined || one.seqs.length === 0) return
  const list = lists.get(one.filter)
  const from = above(list, one.after)
  const wrong = one.seqs.findIndex((seq, i) => list[from + i] !== seq)
  if (wrong < 0) return
  const wanted = list[from + wrong], got = one.seqs[wrong]
  const what = got > wanted ? 'a gap' : one.seqs.indexOf(got) < wrong ? 'a duplicate' : 'a record that is none'
  soak.fail(got > wanted ? 'gap' : 'duplicate', `${one.kind}, ${one.filter.name}, behind ${one.after}: ${what}: ${got} where ${wanted} was due, after ${wrong} frames and ${one.connections} connections`)
}

function readers(soak, rows, list) {
  const lists = new Map()
  for (const { filter } of list) if (!lists.has(filter)) lists.set(filter, rows.filter(filter.keep).map((row) => row.seq))
  for (const one of list) reader(soak, one, lists)
}

module.exports = { readLog, ledger, feeds, views, readers }
