#!/usr/bin/env node
'use strict'
// What somebody who writes a frontend would do first: with nothing but HTTP and /live, the data of a home view like Patchwork's (threads with names,
// pictures and likes), of a thread and of a profile; then follow it live. Says how long each took.
//
//     tests/bench/frontend.js LOG [ROUNDS]        LOG: a log.offset, as build/bench/data-100000/log.offset
//
// The first round meets a server and a client that have just started, the others one that is used.
const http = require('node:http')
const path = require('node:path')
process.env.SLUICE_TEST_BIN ||= path.join(__dirname, '..', '..', 'build', 'sluice')
const WebSocket = require('ws')
const { Server, folder } = require('../support/sluice')

const THREADS = 20
const POSTS = 20
const id = encodeURIComponent

function client(port) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 })
  let requests = 0
  const get = (target) => new Promise((resolve, reject) => {
    requests++
    http.get({ agent, host: '127.0.0.1', port, path: target }, (res) => {
      const parts = []
      res.on('data', (part) => parts.push(part))
      res.on('end', () => res.statusCode === 200 ? resolve(JSON.parse(Buffer.concat(parts))) : reject(new Error(`${target}: ${res.statusCode} ${Buffer.concat(parts)}`)))
    }).on('error', reject)
  })
  return { get, end: () => agent.destroy(), count: () => requests }
}

// Each name is asked for once.
function people(get) {
  const known = new Map()
  return (feed) => {
    if (!known.has(feed)) known.set(feed, get('/about/' + id(feed)).then(({ about }) => ({ id: feed, name: about.name, image: about.image, description: about.description })))
    return known.get(feed)
  }
}

async function home(get, person) {
  const { threads, since } = await get(`/threads?limit=${THREADS}`)
  const shown = await Promise.all(threads.map(async ({ id: root, root: record, replies, timestamp }) => {
    const [author, votes] = await Promise.all([record && person(record.value.author), get(`/votes/${id(root)}?limit=1`)])
    return { root, author, replies, timestamp, likes: votes.count, text: record?.value.content.text }
  }))
  return { shown, since }
}

async function thread(get, person, root) {
  const page = await get(`/messages/${id(root)}/thread`)
  return Promise.all(page.messages.map(async (record) => ({ key: record.key, author: await person(record.value.author), likes: page.votes[record.key] || 0, content: record.value.content })))
}

async function profile(get, person, feed) {
  const [about, { count: contacts }, newest, posts] = await Promise.all([
    person(feed), get(`/contacts/${id(feed)}?count=true`), get(`/feeds/${id(feed)}?reverse=true&limit=1`), get(`/log?author=${id(feed)}&type=post&reverse=true&limit=${POSTS}`)
  ])
  return { about, follows: contacts.follows, followedBy: contacts.followedBy, friends: contacts.friends, messages: newest.messages[0].value.sequence, posts: posts.messages }
}

function live(port, since) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/live?gt=${since}`)
    socket.on('message', (data) => { if (JSON.parse(data).sync) { socket.close(); resolve() } })
    socket.on('error', reject)
  })
}

async function round(port) {
  const { get, end, count } = client(port)
  const person = people(get)
  const times = {}
  const timed = async (name, job) => {
    const begun = process.hrtime.bigint()
    const result = await job()
    times[name] = Number(process.hrtime.bigint() - begun) / 1e6
    return result
  }
  const { shown, since } = await timed('home', () => home(get, person))
  const busiest = [...shown].sort((a, b) => b.replies - a.replies)[0]
  await timed('thread', () => thread(get, person, busiest.root))
  await timed('profile', () => profile(get, person, busiest.author.id))
  await timed('live', () => live(port, since))
  end()
  return { ...times, all: Object.values(times).reduce((a, b) => a + b, 0), requests: count() }
}

const shown = (row) => Object.entries(row).map(([name, value]) => `${name} ${name === 'requests' ? value : value.toFixed(1) + ' ms'}`).join('  ')

async function main([log, rounds = '20']) {
  if (!log) throw new Error('usage: tests/bench/frontend.js LOG [ROUNDS]')
  const cleanups = []
  const t = { after: (handle) => cleanups.unshift(handle) }
  try {
    const server = await Server.start(t, ['--follow', path.resolve(log), '--views', folder(t)])
    for (let ready = false; !ready;) ready = (await server.request('/readyz')).status === 200 || void await new Promise((resolve) => setTimeout(resolve, 50))
    const { log: { count } } = await server.get('/status')
    const rows = []
    for (let i = 0; i < Number(rounds); i++) rows.push(await round(server.port))
    const median = (name) => rows.map((row) => row[name]).sort((a, b) => a - b)[rows.length >> 1]
    console.log(`a log of ${count} records, ${rounds} rounds`)
    console.log('first   ' + shown(rows[0]))
    console.log('median  ' + shown(Object.fromEntries(Object.keys(rows[0]).map((name) => [name, median(name)]))))
  } finally {
    for (const handle of cleanups) await handle()
  }
}

main(process.argv.slice(2)).catch((err) => { console.error(err.message); process.exitCode = 1 })
