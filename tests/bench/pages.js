'use strict'
// What a frontend asks for to show a thread of 100 messages, a profile, and what is found by two words: one client, one connection, the median.
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const stage = require('./stage')
const { Author } = require('../support/author')
const { makeRandom } = require('../support/random')

const THREADS = 50
const REPLIES = 99
const PEOPLE = 25
const QUESTIONS = 500
const POSTS = 3000 // that words are drawn from

// Threads of PEOPLE who answer by turns, all at the same time, so that one thread lies scattered over the log.
function talk() {
  const people = Array.from({ length: PEOPLE }, (_, i) => new Author('bench ' + i))
  const said = []
  const write = (author, content) => {
    const { key, value } = author.write(content)
    said.push(JSON.stringify({ key, value, timestamp: value.timestamp }))
    return key
  }
  const text = 'one of a hundred '.repeat(20)
  const threads = people.flatMap((author, i) => [0, 1].map((half) => {
    const root = write(author, { type: 'post', text: `${i} ${half} ${text}` })
    return { root, branch: root }
  }))
  for (let reply = 0; reply < REPLIES; reply++)
    for (const [i, thread] of threads.entries())
      thread.branch = write(people[(i + reply) % PEOPLE], { type: 'post', root: thread.root, branch: thread.branch, text })
  return { said, roots: threads.map((thread) => thread.root).slice(0, THREADS) }
}

// The million messages and the threads behind them, in a folder of their own.
async function folder() {
  const dir = path.join(stage.dataDir(), 'pages')
  const { said, roots } = talk()
  if (fs.existsSync(path.join(dir, 'made'))) return { dir, roots }
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(dir, { recursive: true })
  fs.copyFileSync(stage.data('log.offset'), path.join(dir, 'log.offset'))
  const lines = path.join(dir, 'said.ndjson')
  fs.writeFileSync(lines, said.join('\n') + '\n')
  await stage.run([stage.SLUICE, 'import', '--data', dir, lines])
  fs.writeFileSync(path.join(dir, 'made'), '')
  return { dir, roots }
}

// The words of posts that stand at random places of the data, one behind the other.
function saidWords(random) {
  const words = []
  const fd = fs.openSync(stage.data('data.ndjson'), 'r')
  const { size } = fs.fstatSync(fd)
  const part = Buffer.alloc(65536)
  for (let posts = 0; posts < POSTS;) {
    const at = Math.floor(random.below(2 ** 31) / 2 ** 31 * size)
    const lines = part.toString('utf8', 0, fs.readSync(fd, part, 0, part.length, at)).split('\n')
    if (lines.length < 3) continue
    const { content } = JSON.parse(lines[1]).value
    if (typeof content.text !== 'string') continue
    words.push(...content.text.toLowerCase().match(/[\p{L}\p{N}]+/gu) || [])
    posts++
  }
  fs.closeSync(fd)
  return words
}

// Pairs of different words: as often as they are said, so mostly two that stand in very many messages, and any two of all that are.
function questions() {
  const random = makeRandom(7)
  const said = saidWords(random)
  const pairs = (words) => Array.from({ length: QUESTIONS }, () => {
    for (;;) {
      const [a, b] = [random.pick(words), random.pick(words)]
      if (a !== b) return `/search?q=${encodeURIComponent(a + ' ' + b)}`
    }
  })
  return { 'pages-search': pairs(said), 'pages-search-any': pairs([...new Set(said)].sort()) }
}

// One connection, one question at a time. What is measured is the server, so the client is no more than a socket: Node's http would be a good part of it.
function client(port) {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  let waiting = null
  let got = []
  let wanted = -1 // bytes of the answer
  const fail = (err) => waiting?.reject(err)
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the server has closed the connection')))
  socket.on('data', (part) => {
    got.push(part)
    if (wanted < 0) {
      got = [Buffer.concat(got)]
      const end = got[0].indexOf('\r\n\r\n')
      if (end < 0) return
      wanted = end + 4 + Number(/content-length: *(\d+)/i.exec(got[0].toString('latin1', 0, end))[1])
    }
    if (got.reduce((sum, part) => sum + part.length, 0) < wanted) return
    const answer = Buffer.concat(got).toString()
    got = []
    wanted = -1
    const body = answer.slice(answer.indexOf('\r\n\r\n') + 4)
    if (answer.startsWith('HTTP/1.1 200 ')) waiting.resolve(body)
    else fail(new Error(answer.slice(0, 400)))
  })
  const get = (target) => new Promise((resolve, reject) => {
    waiting = { resolve, reject }
    socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
  })
  get.close = () => {
    waiting = null
    socket.destroy()
  }
  return get
}

// Seconds that each of the pages took.
async function times(pages, load) {
  const took = []
  for (const page of pages) {
    const began = process.hrtime.bigint()
    await load(page)
    took.push(Number(process.hrtime.bigint() - began) / 1e9)
  }
  return took
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1]
}

async function measure(get, { roots, authors, searches }, figures) {
  const id = encodeURIComponent
  const thread = (root) => get(`/messages/${id(root)}/thread?limit=100`)
  const profile = async (author) => {
    await get(`/about/${id(author)}`)
    await get(`/contacts/${id(author)}?count=true`)
    await get(`/feeds/${id(author)}?limit=20&reverse=true`)
  }
  const length = JSON.parse(await thread(roots[0])).messages.length
  if (length !== REPLIES + 1) throw new Error(`a thread of ${length} messages`)
  await times(roots, thread)
  figures.put('pages-thread', 'sluice', median(await times(roots, thread)))
  await times(authors, profile)
  figures.put('pages-profile', 'sluice', median(await times(authors, profile)))
  const contacts = (author) => get(`/contacts/${id(author)}`)
  await times(authors, contacts)
  figures.put('pages-contacts', 'sluice', median(await times(authors, contacts)))
  for (const [row, targets] of Object.entries(searches)) {
    await times(targets, get)
    figures.put(row, 'sluice', median(await times(targets, get)))
  }
}

module.exports = async (figures) => {
  const { dir, roots } = await folder()
  const authors = fs.readFileSync(stage.data('samples'), 'utf8').split('\n').map((line) => line.split(' ')).filter(([word]) => word === 'author').map(([, id]) => id)
  const searches = questions()
  for (let round = 0; round < stage.ROUNDS; round++) {
    const { port, stop } = await stage.sluice('--data', dir)
    const get = client(port)
    try {
      await get('/messages/' + encodeURIComponent(roots[0])) // waits for the views
      await get('/search?q=a&limit=1')
      await measure(get, { roots, authors, searches }, figures)
    } finally {
      get.close()
      await stop()
    }
  }
}
