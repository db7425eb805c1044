'use strict'
// Each view of the page over the sample log, held against what the API says.
const test = require('node:test')
const assert = require('node:assert')
const { execFileSync } = require('node:child_process')
const { Author } = require('../support/author')
const { clean, go, live, open, settled, shared } = require('../support/browser')
const { Server, importLines, sample, until } = require('../support/sluice')

const id = encodeURIComponent
const FARID = '@J6RUUChpjXqpkJ+8ggm2ErzgaZn2dMnTb53ScgJfyt8=.ed25519'
const ROOT = '%Ge9m8YK/73cOIih+2RG+Sa1RbKhTO5ib44a0ORg/p/Q=.sha256'
let server
test.before(async () => { server = await Server.start(shared, ['--data', importLines(shared, sample())]) })

const keys = (page) => page.locator('main article').evaluateAll((all) => all.map((one) => one.dataset.key))
const texts = (page, selector) => page.locator(selector).allInnerTexts()
const at = async (t, hash, options) => {
  const page = await open(t, server, hash, options)
  await settled(page)
  return page
}

test('home: threads in the order of their newest activity, with names and likes, and older ones on request', async (t) => {
  const page = await at(t, '#/')
  const { threads } = await server.get('/threads?limit=30')
  assert.deepStrictEqual(await keys(page), threads.slice(0, 15).map((thread) => thread.id))
  const first = page.locator('main article').first()
  await first.locator('.person', { hasText: 'otto2' }).waitFor()
  await first.locator('.likes', { hasText: '1' }).waitFor()
  assert.match(await first.innerText(), /3 replies/)
  await page.locator('.older').click()
  await page.waitForFunction(() => document.querySelectorAll('main article').length === 30)
  assert.deepStrictEqual(await keys(page), threads.map((thread) => thread.id))
  clean(page, server.url)
})

test('a thread: its messages in causal order with their likes; an answer leads to its place in it', async (t) => {
  const thread = await server.get(`/messages/${id(ROOT)}/thread`)
  const page = await at(t, '#/thread/' + id(ROOT))
  assert.deepStrictEqual(await keys(page), thread.messages.map((message) => message.key))
  for (const [key, count] of Object.entries(thread.votes)) assert.match(await page.locator(`article[data-key="${key}"] .likes`).innerText(), new RegExp(`${count}\\b`))
  const reply = thread.messages[3].key
  await go(page, '#/thread/' + id(reply))
  await page.locator(`article.here[data-key="${reply}"]`).waitFor()
  assert.deepStrictEqual(await keys(page), thread.messages.map((message) => message.key))
  await page.waitForFunction((key) => document.activeElement.dataset.key === key, reply)
  clean(page, server.url)
})

test('a long thread: page after page in its order, and straight to an answer far down', async (t) => {
  const [ann, ben] = [new Author('ann'), new Author('ben')]
  const root = ann.write({ type: 'post', text: 'a long talk' })
  const replies = []
  for (let i = 0; i < 230; i++) replies.push([ben, ann][i % 2].write({ type: 'post', text: `answer ${i}`, root: root.key, branch: (replies.at(-1) || root).key }))
  const all = [root, ...replies]
  const server = await Server.start(t, ['--data', importLines(t, all.map(({ key, value }, i) => JSON.stringify({ key, value, timestamp: 1600000000000 + i })))])
  const wanted = all.map((message) => message.key)
  const page = await open(t, server, '#/thread/' + id(root.key))
  await settled(page)
  assert.deepStrictEqual(await keys(page), wanted.slice(0, 100))
  for (const shown of [200, 231]) {
    await page.getByRole('button', { name: 'More replies' }).click()
    await page.waitForFunction((n) => document.querySelectorAll('main article').length === n, shown)
    assert.deepStrictEqual(await keys(page), wanted.slice(0, shown))
    await page.waitForFunction((key) => document.activeElement.dataset.key === key, wanted[shown === 200 ? 100 : 200])
  }
  assert.strictEqual(await page.getByRole('button', { name: 'More replies' }).count(), 0)

  await go(page, '#/thread/' + id(replies[214].key))
  await page.locator(`article.here[data-key="${replies[214].key}"]`).waitFor()
  await page.waitForFunction((key) => document.activeElement.dataset.key === key, replies[214].key)
  await page.waitForFunction(() => { // it is on the screen, whatever was laid out above it since
    const { top, bottom } = document.querySelector('article.here').getBoundingClientRect()
    return top > 50 && bottom < innerHeight
  })
  clean(page, server.url)
})

test('a profile: name, description, people, posts, and an activity chart that says what it shows', async (t) => {
  const page = await at(t, '#/profile/' + id(FARID))
  await page.locator('h1', { hasText: 'farid' }).waitFor()
  await page.locator('.about', { hasText: 'probably a guitar' }).waitFor()
  const contacts = await server.get('/contacts/' + id(FARID))
  assert.deepStrictEqual((await texts(page, '.contacts summary')).map((text) => text.replace(/\s+/g, ' ').trim()),
    [`follows ${contacts.follows.length}`, `followed by ${contacts.followedBy.length}`, `friends ${contacts.friends.length}`, `blocks ${contacts.blocks.length}`])
  await page.locator('.contacts summary').first().click()
  await page.waitForFunction((n) => document.querySelectorAll('.contacts details[open] .people li').length === n, contacts.follows.length)
  const posts = await server.get(`/log?type=post&reverse=true&limit=15&author=${id(FARID)}`)
  assert.deepStrictEqual(await keys(page), posts.messages.map((message) => message.key))
  const chart = page.locator('.chart svg')
  await chart.waitFor()
  const messages = (await server.get(`/feeds/${id(FARID)}?limit=1000`)).messages.length
  assert.match(await chart.getAttribute('aria-label'), new RegExp(`^Activity\\. ${messages} messages from 2 Jan 2015 to 5 Jun 2016`))
  assert.ok(await page.locator('.chart rect').count() > 10)
  clean(page, server.url)
})

test('channels: the busiest first, narrowed by typing; one channel with its threads', async (t) => {
  const page = await at(t, '#/channels')
  const { channels } = await server.get('/channels?limit=1000')
  const counts = (await texts(page, '.chips .n')).map((text) => parseInt(text, 10))
  assert.deepStrictEqual(counts, channels.map(({ count }) => count).sort((a, b) => b - a))
  await page.fill('#channel-filter', 'Boo')
  await page.waitForFunction(() => document.querySelectorAll('.chips a').length === 1)
  await page.locator('.chips a').click()
  await page.waitForFunction(() => location.hash === '#/channel/books')
  await page.locator('h1', { hasText: '#books' }).waitFor()
  await settled(page)
  const { threads } = await server.get('/threads?channel=books&limit=15')
  assert.deepStrictEqual(await keys(page), threads.map((thread) => thread.id))
  clean(page, server.url)
})

test('one message: as people read it, its likes, what links to it, and the bytes that were signed', async (t) => {
  const page = await at(t, '#/message/' + id(ROOT))
  const record = await server.get('/messages/' + id(ROOT))
  assert.deepStrictEqual(JSON.parse(await page.locator('pre.raw').innerText()), record)
  const { links } = await server.get(`/messages/${id(ROOT)}/links?limit=50`)
  await page.waitForFunction((n) => document.querySelectorAll('article.row').length === n, links.length)
  await page.locator('h2', { hasText: '5 likes' }).waitFor()
  await page.getByRole('button', { name: 'The bytes that were signed' }).click()
  const raw = (await server.request(`/messages/${id(ROOT)}/raw`)).text
  await page.waitForFunction((text) => document.querySelector('pre.raw').textContent === text, raw)
  clean(page, server.url)
})

test('people, channels and threads are there for feed readers, too', async (t) => {
  const page = await at(t, '#/')
  for (const hash of ['#/profile/' + id(FARID), '#/channel/books', '#/thread/' + id(ROOT)]) {
    await go(page, hash)
    const href = await page.getByRole('link', { name: 'Atom feed' }).getAttribute('href')
    const answer = await server.request(href)
    assert.strictEqual(answer.status, 200, href)
    assert.match(answer.headers['content-type'], /^application\/atom\+xml/)
    assert.match(answer.text, /<entry>/)
  }
  clean(page, server.url)
})

test('search: finds messages, people and channels while one types, and stays in the address', async (t) => {
  const page = await at(t, '#/')
  await page.getByRole('link', { name: 'Search' }).click()
  await page.waitForFunction(() => document.activeElement.id === 'q')
  await page.keyboard.type('kettle')
  await page.locator('main mark', { hasText: 'kettle' }).first().waitFor()
  await page.waitForFunction(() => location.hash === '#/search?q=kettle')
  // what is typed may go on
  const { messages } = await server.get('/search?limit=20&q=kettle*')
  assert.ok(messages.length > 3)
  await page.waitForFunction((n) => document.querySelectorAll('main article').length === n, messages.length)
  assert.deepStrictEqual(await keys(page), messages.map((message) => message.key))
  assert.ok((await page.locator('main article .snippet').allTextContents()).every((text) => !/[0-9A-Za-z+/]{43}=/.test(text)), 'no ids to read')
  for (const marked of await page.locator('main mark').allTextContents()) assert.match(marked, /^kettle/i)
  await page.locator('main article a.when').first().click()
  await page.waitForSelector('main .thread') // the address is another one before the view is
  await settled(page)
  await page.goBack()
  await page.waitForFunction(() => document.querySelector('#q')?.value === 'kettle' && document.querySelector('main mark'))

  // a name, also before it is whole; a channel; words of a certain kind
  await page.fill('#q', 'fari')
  await page.locator('section[aria-label="People"] .person', { hasText: 'farid' }).first().waitFor()
  await page.locator('section[aria-label="People"] .avatar').first().waitFor()
  await page.fill('#q', '#boo')
  await page.locator('section[aria-label="Channels"] a', { hasText: '#books' }).waitFor()
  await page.fill('#q', 'channel:books type:post "another meeting')
  const phrase = await server.get('/search?limit=20&q=' + id('channel:books type:post "another meeting"'))
  assert.ok(phrase.messages.length > 0)
  await page.waitForFunction((wanted) => JSON.stringify([...document.querySelectorAll('main article')].map((one) => one.dataset.key)) === wanted, JSON.stringify(phrase.messages.map((message) => message.key)))
  await page.fill('#q', 'zzzz no such thing')
  await page.locator('h2', { hasText: 'Nothing found' }).waitFor()
  await page.fill('#q', '')
  await page.locator('h2', { hasText: 'Find words' }).waitFor()
  await page.fill('#q', FARID)
  await page.locator('h1', { hasText: 'farid' }).waitFor()
  clean(page, server.url)
})

test('search: a server without it says so', async (t) => {
  const page = await at(t, '#/search?q=books', { prepare: (page) => page.route('**/search?*', (route) => route.fulfill({ status: 404, contentType: 'application/problem+json', body: '{"type":"/problems/not-found","title":"Nothing there","status":404}' })) })
  await page.locator('h2', { hasText: 'cannot search messages yet' }).waitFor()
  await page.locator('.chips a', { hasText: '#books' }).waitFor()
  clean(page, server.url)
})

test('the server: its log and views; a view is built anew and its progress shown', async (t) => {
  const page = await at(t, '#/server')
  await live(page)
  await page.locator('.facts', { hasText: '3,000 records' }).waitFor()
  const { views } = await server.get('/views')
  await page.waitForFunction((n) => document.querySelectorAll('.views tr[data-ready="true"]').length === n, views.length)
  const before = (await server.get('/status')).counters.rebuilds
  await page.getByRole('button', { name: /^Build anew.*links/ }).click()
  await until(async () => (await server.get('/status')).counters.rebuilds > before, 'the view to be rebuilt')

  // what a long rebuild looks like: the answers of a server that is at it
  let share = 0.25
  await page.route('**/views', (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify({
    views: views.map((view) => ({ ...view, ready: true, ...(view.name === 'links' ? { ready: share === 1, done: view.total * share, eta: 12 } : {}) })), log: { head: 1, durable: 1, count: 3000 }
  }) }))
  for (share of [0.25, 0.75]) {
    await page.waitForFunction((wanted) => Math.abs(document.querySelector('[data-view="links"] progress').value - wanted) < 0.01, share)
    await page.locator('[data-view="links"]', { hasText: `${share * 100} %, about 12 seconds` }).waitFor()
    await page.waitForSelector('.pulse[data-state="behind"]')
  }
  share = 1
  await page.waitForSelector('.pulse[data-state="live"]')
  clean(page, server.url)
})

test('the console: a request with its answer, and a curl line that gives the same', async (t) => {
  const page = await at(t, '#/console')
  await page.fill('#target', '/types')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.locator('.status', { hasText: /^200 (?!.*so far).* ms$/ }).waitFor() // all of it is there
  const shown = JSON.parse(await page.locator('.answer').innerText())
  assert.deepStrictEqual(shown, await server.get('/types'))
  const line = await page.locator('.curl code').first().innerText()
  assert.deepStrictEqual(JSON.parse(execFileSync('sh', ['-c', line], { encoding: 'utf8' })), shown)

  await page.selectOption('#method', 'POST')
  await page.fill('#target', '/log')
  await page.fill('#body', '{"it\'s": "no message"}')
  const post = await page.locator('.curl code').first().innerText()
  assert.strictEqual(JSON.parse(execFileSync('sh', ['-c', post], { encoding: 'utf8' })).status, 422)
  await page.getByRole('button', { name: 'Send' }).click()
  await page.locator('.status', { hasText: '422' }).waitFor()

  await page.getByRole('button', { name: 'Follow live' }).click()
  await page.locator('.status', { hasText: 'so far' }).waitFor()
  await page.getByRole('button', { name: 'Stop' }).click()
  clean(page, server.url)
})

test('below every view are the requests that it was made with, as lines of curl', async (t) => {
  const page = await at(t, '#/')
  const lines = () => texts(page, '.made .requests code')
  await page.locator('.made summary', { hasText: /^Made with \d+ requests$/ }).click()
  for (const [hash, asked] of [['#/', '/threads?'], ['#/profile/' + id(FARID), '/contacts/'], ['#/thread/' + id(ROOT), '/thread?'], ['#/channels', '/channels?'], ['#/channel/books', '/threads?'], ['#/search?q=books', '/search?'], ['#/message/' + id(ROOT), '/links?'], ['#/server', '/whoami']]) {
    if (hash !== '#/') await go(page, hash)
    await page.locator('.made .requests code', { hasText: asked }).first().waitFor()
    const line = (await lines()).find((text) => text.includes(asked))
    assert.ok(JSON.parse(execFileSync('sh', ['-c', line], { encoding: 'utf8' })), line)
  }
  // everybody on the page in one request
  await go(page, '#/channels')
  await go(page, '#/channel/books')
  await page.locator('article').first().waitFor()
  assert.ok((await lines()).filter((text) => text.includes('/about')).length <= 1, (await lines()).join('\n'))
  await page.locator('.made button').first().click()
  clean(page, server.url)
})

test('with the keyboard alone: past the header, from message to message, into a thread and back to the same place', async (t) => {
  const page = await at(t, '#/')
  const focus = () => page.evaluate(() => ({ tag: document.activeElement.tagName, key: document.activeElement.dataset.key, text: document.activeElement.textContent.slice(0, 40) }))
  await page.keyboard.press('Tab')
  assert.match((await focus()).text, /^Skip to/)
  assert.ok(await page.locator('.skip').evaluate((skip) => skip.getBoundingClientRect().top >= 0), 'the skip link is to be seen')
  await page.keyboard.press('Enter')
  assert.strictEqual((await focus()).tag, 'MAIN')
  const all = await keys(page)
  await page.locator('main article').first().focus()
  for (let i = 1; i <= 4; i++) {
    await page.keyboard.press('PageDown')
    assert.strictEqual((await focus()).key, all[i])
  }
  await page.keyboard.press('PageUp')
  assert.strictEqual((await focus()).key, all[3])
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
  assert.notStrictEqual(outline, 'none', 'what has the focus is to be seen')
  const link = page.locator(`article[data-key="${all[3]}"] a.when`)
  await link.focus()
  const scroll = await page.evaluate(() => scrollY)
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => location.hash.startsWith('#/thread/'))
  await page.waitForFunction(() => document.activeElement.tagName === 'H1')
  await settled(page)
  await page.goBack()
  await page.waitForFunction((key) => document.querySelector('main article')?.dataset.key === key, all[0])
  await page.waitForFunction((wanted) => Math.abs(scrollY - wanted) < 3, scroll)
  clean(page, server.url)
})
