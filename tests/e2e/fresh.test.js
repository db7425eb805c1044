'use strict'
// Every answer says how fresh it is, also one that says that there is nothing.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { ROOT, Server, generate, importLines } = require('../support/sluice')

const lines = generate(120, '--seed', '23', '--authors', '6')
const records = lines.map((line) => JSON.parse(line))
const escape = encodeURIComponent
const post = records.find(({ value }) => value.content.type === 'post')
const [message, feed] = [escape(post.key), escape(post.value.author)]
const nobody = escape('@' + Buffer.alloc(32, 9).toString('base64') + '.ed25519'), nothing = escape('%' + Buffer.alloc(32, 9).toString('base64') + '.sha256')

// By operation: what is there, and what is not.
const asked = {
  listLog: ['/log?type=post', '/log?type=none'], getRecord: ['/log/0', '/log/99999999'], getMessage: ['/messages/' + message, '/messages/' + nothing], getMessageRaw: [`/messages/${message}/raw`, `/messages/${nothing}/raw`],
  listMessageLinks: [`/messages/${message}/links`, `/messages/${nothing}/links`], getThread: [`/messages/${message}/thread`, `/messages/${nothing}/thread`, `/messages/${message}/thread?format=atom`, `/messages/${nothing}/thread?format=rss`],
  listFeeds: ['/feeds', '/feeds?name=a', '/feeds?name=zzzzzz'], listFeed: ['/feeds/' + feed, '/feeds/' + nobody, `/feeds/${feed}?format=json-feed`, `/feeds/${nobody}?format=atom`], getFeedMessage: [`/feeds/${feed}/1`, `/feeds/${feed}/9999`, `/feeds/${nobody}/1`],
  listLinks: ['/links', '/links?dest=' + nothing, '/links?count=true'], listAbouts: ['/about?id=' + feed], getAbout: ['/about/' + feed, '/about/' + nobody], getContacts: ['/contacts/' + feed, '/contacts/' + nobody, `/contacts/${feed}?count=true`],
  listContacts: [`/contacts/${feed}/follows`, `/contacts/${nobody}/blockedBy`], listGraph: ['/graph?from=' + feed, '/graph?from=' + nobody], getVotes: ['/votes/' + message, '/votes/' + nothing], listThreads: ['/threads', '/threads?author=' + nobody],
  searchMessages: ['/search?q=the', '/search?q=nobodysaidthis'], listChannels: ['/channels'], getChannel: ['/channels/mesh-radio', '/channels/nothing', '/channels/mesh-radio?format=atom'], listSubscribers: ['/channels/mesh-radio/subscribers', '/channels/nothing/subscribers'], listTypes: ['/types']
}
// These are not of the log, or tell in their text where it and its views stand.
const others = ['getPage', 'getPageFile', 'getBlob', 'listViews', 'getWhoami', 'getStatus', 'getLimits', 'getHealth', 'getReadiness', 'getMetrics', 'getOpenapi', 'getAsyncapi']

test('every answer says how fresh it is', async (t) => {
  const operations = [...fs.readFileSync(path.join(ROOT, 'server', 'routes.def'), 'utf8').matchAll(/^(?:ROUTE|LIST)\(GET, "[^"]+", \w+, "(\w+)"/gm)].map(([, name]) => name)
  assert.deepStrictEqual([...Object.keys(asked), ...others].sort(), operations.sort())
  const server = await Server.start(t, ['--data', importLines(t, lines)])
  const head = String((await server.get('/status')).log.head)
  let missing = 0
  for (const target of Object.values(asked).flat()) {
    const { status, headers } = await server.request(target)
    assert.ok(status === 200 || status === 404, `${target}: ${status}`)
    assert.deepStrictEqual([headers['sluice-since'], headers['sluice-log-since']], [head, head], `${target}: ${status}`)
    missing += status === 404
  }
  assert.ok(missing > 7, `${missing} that are not there`)
})
