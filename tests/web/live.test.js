'use strict'
// The page beside a process with the real flumelog-offset that appends to the log: what is new says so, moves nothing, and nothing is lost when
// the server restarts.
const test = require('node:test')
const assert = require('node:assert')
const net = require('node:net')
const path = require('node:path')
const { Author } = require('../support/author')
const { clean, live, open, settled } = require('../support/browser')
const { Writer } = require('../support/offset_log')
const { Server, folder, until } = require('../support/sluice')

const anna = new Author('anna')
const bert = new Author('bert')
let received = 1600000000000
const lineOf = ({ key, value }) => JSON.stringify({ key, value, timestamp: ++received })
const post = (author, text, more = {}) => author.write({ type: 'post', text, ...more })

// A followed log with some threads in it: { server, writer, append(messages), roots }.
async function started(t) {
  const file = path.join(folder(t), 'log.offset')
  const writer = new Writer(t, file)
  const append = (...messages) => writer.append(messages.map(lineOf))
  const roots = Array.from({ length: 12 }, (_, i) => post(anna, `Thread ${i}\n\n` + 'words and words '.repeat(40)))
  await append(anna.write({ type: 'about', about: anna.id, name: 'anna' }), ...roots)
  const server = await Server.start(t, ['--follow', file, '--views', folder(t)])
  return { server, append, roots }
}

// A door that stays where it is while the server behind it comes and goes: { url }.
async function door(t, server) {
  const open = new Set()
  const listener = net.createServer((client) => {
    const inner = net.connect(server.port, '127.0.0.1')
    for (const [one, other] of [[client, inner], [inner, client]]) {
      open.add(one)
      one.on('error', () => {})
      one.on('close', () => { open.delete(one); other.destroy() })
      one.pipe(other)
    }
  })
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve))
  t.after(() => { listener.close(); for (const socket of open) socket.destroy() })
  return { url: 'http://127.0.0.1:' + listener.address().port }
}

const pill = (page) => page.locator('.pill:visible')
const pillSays = (page, text) => page.locator('.pill:visible', { hasText: text }).waitFor()
const keys = (page) => page.locator('main article').evaluateAll((all) => all.map((one) => one.dataset.key))

// Where an element stands on the screen.
const topOf = (page, key) => page.locator(`article[data-key="${key}"]`).evaluate((element) => Math.round(element.getBoundingClientRect().top))

test('new messages announce themselves, and nothing that is read moves', async (t) => {
  const { server, append, roots } = await started(t)
  const page = await open(t, server)
  await live(page)
  await settled(page)
  assert.deepStrictEqual((await keys(page))[0], roots.at(-1).key)

  // somebody reads in the middle of the page
  const read = roots[6].key
  await page.locator(`article[data-key="${read}"]`).evaluate((element) => element.scrollIntoView())
  const before = { top: await topOf(page, read), scroll: await page.evaluate(() => scrollY), keys: await keys(page) }
  assert.ok(before.scroll > 300)

  await append(post(bert, 'first news'))
  await pillSays(page, '1 new message')
  const more = [post(bert, 'second news'), post(bert, 'an answer', { root: read, branch: read })]
  await append(...more, bert.write({ type: 'vote', vote: { link: read, value: 1 } }))
  await pillSays(page, '3 new messages')
  await page.locator('#announce', { hasText: '3 new messages' }).waitFor({ state: 'attached' })
  await page.locator(`article[data-key="${read}"] .fresh`, { hasText: '1 new' }).waitFor()
  assert.deepStrictEqual({ top: await topOf(page, read), scroll: await page.evaluate(() => scrollY), keys: await keys(page) }, before)

  await pill(page).click()
  await page.locator(`article[data-key="${more[0].key}"]`).waitFor()
  await pill(page).waitFor({ state: 'hidden' })
  assert.strictEqual((await keys(page))[0], read, 'the thread with the newest answer comes first')
  assert.strictEqual(await page.evaluate(() => scrollY), 0)
  clean(page, server.url)
})

test('a new answer is added to the thread where it belongs, and a new name is shown at once', async (t) => {
  const { server, append, roots } = await started(t)
  const root = roots[3].key
  const first = post(bert, 'the first answer', { root, branch: root })
  await append(first)
  const page = await open(t, server, '#/thread/' + encodeURIComponent(root))
  await live(page)
  await page.locator(`article[data-key="${first.key}"]`).waitFor()
  assert.strictEqual(await page.locator(`article[data-key="${first.key}"] .person bdi.nameless`).count(), 1)

  const second = post(anna, 'the second answer', { root, branch: first.key })
  await append(second, bert.write({ type: 'about', about: bert.id, name: 'bert of the hill' }), post(bert, 'elsewhere'))
  await pillSays(page, '1 new reply')
  await page.locator('article .person', { hasText: 'bert of the hill' }).waitFor()
  assert.deepStrictEqual(await keys(page), [root, first.key])
  await pill(page).click()
  await page.locator(`article[data-key="${second.key}"]`).waitFor()
  assert.deepStrictEqual(await keys(page), [root, first.key, second.key])
  await page.waitForFunction((key) => document.activeElement?.dataset.key === key, second.key)
  clean(page, server.url)
})

// Views lag some milliseconds behind what is streamed, and whoever says stale=ok is answered by them as they are.
test('a name that was heard of before the views had it is shown all the same', async (t) => {
  const { server, append, roots } = await started(t)
  const first = post(bert, 'the first answer', { root: roots[3].key, branch: roots[3].key })
  await append(first)
  const old = JSON.stringify({ by: 'social', abouts: [{ id: bert.id, about: {} }], since: 1 })
  const page = await open(t, server, '#/thread/' + encodeURIComponent(roots[3].key))
  await live(page)
  await page.locator(`article[data-key="${first.key}"] .person bdi.nameless`).waitFor()
  await page.route('**/about?*stale=ok*', (route) => route.fulfill({ contentType: 'application/json', body: old }))
  await append(bert.write({ type: 'about', about: bert.id, name: 'bert of the hill' }))
  await page.locator('article .person', { hasText: 'bert of the hill' }).waitFor()
  clean(page, server.url)
})

test('while views are built names are what there is so far, and the newest once they are there', async (t) => {
  const { server, append, roots } = await started(t)
  await append(anna.write({ type: 'about', about: anna.id, name: 'anna of the lake' }))
  const { views } = await server.get('/views')
  let ready = false
  const asked = []
  const page = await open(t, server, '#/thread/' + encodeURIComponent(roots[3].key), { prepare: async (page) => {
    await page.route('**/views', (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify({ views: views.map((view) => ({ ...view, ready })), log: {} }) }))
    await page.route('**/about?*', (route) => {
      asked.push(route.request().url().includes('stale=ok'))
      if (!asked.at(-1)) return route.continue()
      return route.fulfill({ contentType: 'application/json', body: JSON.stringify({ by: 'social', abouts: [{ id: anna.id, about: { name: 'anna of old' } }], since: 1 }) })
    })
  } })
  await page.locator('article .person', { hasText: 'anna of old' }).first().waitFor()
  ready = true
  await page.locator('article .person', { hasText: 'anna of the lake' }).first().waitFor()
  assert.deepStrictEqual(asked, [true, false])
  clean(page, server.url)
})

test('what a view is made of is asked for behind the place from which on the page listens, so that nothing falls between', async (t) => {
  const { server } = await started(t)
  const order = []
  const page = await open(t, server, '#/', { prepare: async (page) => {
    await page.route('**/log', async (route) => {
      if (route.request().method() !== 'HEAD') return route.continue()
      await new Promise((resolve) => setTimeout(resolve, 200)) // room for a request that does not wait
      order.push('head')
      return route.continue()
    })
    await page.route(/\/(threads|about|votes|channels)/, (route) => { order.push('view'); return route.continue() })
  } })
  await page.evaluate(() => { location.hash = '#/channels' }) // nor does who goes elsewhere at once
  await live(page)
  await settled(page)
  assert.strictEqual(order.indexOf('head'), 0)
  assert.ok(order.includes('view'))
  clean(page, server.url)
})

test('a profile follows what is said of it, and where one goes back to the new name is shown, too', async (t) => {
  const { server, append } = await started(t)
  const page = await open(t, server)
  await live(page)
  await settled(page)
  await page.evaluate((hash) => { location.hash = hash }, '#/profile/' + encodeURIComponent(anna.id))
  await page.locator('h1 .name', { hasText: 'anna' }).waitFor()
  await append(anna.write({ type: 'about', about: anna.id, name: 'anna of the lake', description: 'I live *there*' }))
  await page.locator('h1 .name', { hasText: 'anna of the lake' }).waitFor()
  await page.locator('.profile .about em', { hasText: 'there' }).waitFor()
  await page.goBack()
  await page.locator('article[data-thread] .person', { hasText: 'anna of the lake' }).first().waitFor()
  await page.locator('article[data-thread] .person', { hasText: /^anna$/ }).waitFor({ state: 'detached' })
  clean(page, server.url)
})

test('when the server restarts, the page says so, goes on by itself, and misses nothing', async (t) => {
  const { server, append, roots } = await started(t)
  const page = await open(t, await door(t, server))
  await live(page)
  await settled(page)
  await append(post(bert, 'before'))
  await pillSays(page, '1 new message')

  const wanted = [roots.at(-1).key]
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await server.stop(signal)
    await page.waitForSelector('.pulse[data-state="lost"]')
    await page.locator('.banner', { hasText: 'does not answer' }).waitFor()
    assert.strictEqual((await keys(page))[0], wanted[0], 'what was shown stays')
    await append(post(anna, 'while it was down'), post(anna, 'and another'))
    await server.launch()
    await live(page)
    assert.ok(await page.locator('.banner').isHidden())
  }
  await append(post(bert, 'after'))
  await pillSays(page, '6 new messages')
  await pill(page).click()
  await page.locator('article', { hasText: 'after' }).first().waitFor()
  const threads = (await server.get('/threads?limit=15')).threads.map((thread) => thread.id)
  await until(async () => JSON.stringify(await keys(page)) === JSON.stringify(threads), 'the list to be as the server says')
})
