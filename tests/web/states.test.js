'use strict'
// What the page shows when there is nothing, not yet, or no server; that it fits a narrow screen; and what a checker of accessibility says.
const test = require('node:test')
const assert = require('node:assert')
const fs = require('node:fs')
const { Author } = require('../support/author')
const { clean, go, open, settled } = require('../support/browser')
const { Server, folder, importLines } = require('../support/sluice')
const path = require('node:path')

const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const id = encodeURIComponent

test('an empty log is an empty page that says so, and shows the first message when it comes', async (t) => {
  const server = await Server.start(t, ['--data', folder(t)])
  const page = await open(t, server)
  await page.locator('h2', { hasText: 'Nothing has been written yet' }).waitFor()
  await page.waitForSelector('.pulse[data-state="live"]')
  const { value, key } = new Author('first').write({ type: 'post', text: 'hello' })
  assert.strictEqual((await server.post('/log', value)).status, 201)
  await page.locator('.pill:visible', { hasText: '1 new message' }).click()
  await page.locator(`article[data-key="${key}"]`).waitFor()
  for (const [hash, text] of [['#/channels', 'No channels yet'], ['#/thread/' + id('%' + 'A'.repeat(43) + '=.sha256'), 'not in the log'], ['#/thread/nonsense', 'That is no message'], ['#/profile/nonsense', 'That is no feed'], ['#/profile/' + id('@' + 'A'.repeat(43) + '=.ed25519'), 'No posts yet'], ['#/nonsense', 'There is no such page']]) {
    await go(page, hash)
    await page.locator('main', { hasText: text }).waitFor()
  }
  clean(page, server.url)
})

test('a server that asks for a token: so does the page, and works with it', async (t) => {
  const file = path.join(folder(t), 'tokens')
  const token = '0123456789abcdef0123'
  fs.writeFileSync(file, token + '\n', { mode: 0o600 })
  const author = new Author('token')
  const lines = [author.write({ type: 'post', text: 'for those who may' })].map((message) => JSON.stringify({ ...message, length: undefined, timestamp: 1600000000000 }))
  const server = await Server.start(t, ['--data', importLines(t, lines), '--token-file', file])
  const page = await open(t, server)
  await page.locator('h2', { hasText: 'This server asks for a token' }).waitFor()
  await page.fill('#token', token)
  await page.getByRole('button', { name: 'Use it' }).click()
  await page.locator('article', { hasText: 'for those who may' }).waitFor()
  await page.waitForSelector('.pulse[data-state="live"]')
  await go(page, '#/console')
  assert.ok(!(await page.locator('main').innerText()).includes(token), 'no token is shown')
  clean(page, server.url)
})

test('what one may do is said, and what one may not is not offered', async (t) => {
  const ann = new Author('owner')
  const lines = [ann.write({ type: 'about', about: ann.id, name: 'the owner' })].map(({ key, value }) => JSON.stringify({ key, value, timestamp: 1600000000000 }))
  const dir = folder(t)
  const spki = ann.key.export({ format: 'jwk' })
  const pair = [Buffer.from(spki.x, 'base64url'), Buffer.concat([Buffer.from(spki.d, 'base64url'), Buffer.from(spki.x, 'base64url')])].map((bytes) => bytes.toString('base64') + '.ed25519')
  fs.writeFileSync(path.join(dir, 'secret'), JSON.stringify({ curve: 'ed25519', public: pair[0], private: pair[1], id: ann.id }), { mode: 0o600 })
  fs.writeFileSync(path.join(dir, 'tokens'), 'the-token-of-the-owner read append private publish\n', { mode: 0o600 })
  const server = await Server.start(t, ['--data', importLines(t, lines), '--public', '--secret', path.join(dir, 'secret'), '--token-file', path.join(dir, 'tokens'), '--publish', '--sole-signer'])
  const page = await open(t, server, '#/server')
  await page.locator('.facts dd', { hasText: /^read what is public$/ }).waitFor()
  await page.waitForSelector('.views tr[data-view="types"]')
  assert.strictEqual(await page.getByRole('button', { name: /Build anew/ }).count(), 0)
  assert.ok(!(await page.locator('main').innerText()).includes('the owner'))

  await page.evaluate(() => sessionStorage.setItem('sluice-token', 'the-token-of-the-owner'))
  await page.reload()
  await page.locator('.facts dd', { hasText: /^read everything, also what is private, append, publish$/ }).waitFor()
  await page.locator('.facts a', { hasText: 'the owner' }).waitFor()
  await page.getByRole('button', { name: /Build anew.*types/ }).waitFor()
  clean(page, server.url)
})

test('while the views are behind, the page says how far they are, and shows what there is if asked to', async (t) => {
  const author = new Author('behind')
  const lines = [author.write({ type: 'post', text: 'what there is' })].map((message) => JSON.stringify({ ...message, length: undefined, timestamp: 1600000000000 }))
  const server = await Server.start(t, ['--data', importLines(t, lines)])
  const asked = []
  let share = 0.4
  const page = await open(t, server, '#/', { prepare: async (page) => {
    const { views } = await server.get('/views')
    await page.route('**/views', (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify({
      views: views.map((view) => ({ ...view, ready: false, done: 100 * share, total: 100, eta: 30 })), log: { head: 1, durable: 1, count: 1 }
    }) }))
    await page.route('**/threads?*', (route) => {
      asked.push(route.request().url())
      if (route.request().url().includes('stale=ok')) return route.continue()
      // the other one is not answered as long as the page is there
    })
  } })
  await page.locator('h2', { hasText: 'Sluice is reading the log' }).waitFor()
  const progress = page.locator('main progress')
  assert.strictEqual(Number(await progress.getAttribute('value')), 0.4)
  share = 0.6 // it is asked for as long as it is behind
  await page.waitForFunction(() => Number(document.querySelector('main progress').getAttribute('value')) === 0.6)
  await page.locator('main', { hasText: 'about 30 seconds to go' }).waitFor()
  await page.getByRole('button', { name: 'Show what there is so far' }).click()
  await page.locator('article', { hasText: 'what there is' }).waitFor()
  assert.strictEqual(asked.length, 2)
  clean(page, server.url)
})

test('a server that fails is quoted, and asked again; one that is gone is waited for', async (t) => {
  const server = await Server.start(t, ['--data', folder(t)])
  let failing = true
  const page = await open(t, server, '#/', { prepare: (page) => page.route('**/threads?*', (route) => failing ? route.fulfill({ status: 500, contentType: 'application/problem+json', body: '{"type":"/problems/internal","title":"Something broke","status":500,"detail":"the disk <b>hums</b>"}' }) : route.continue()) })
  await page.locator('.state.bad', { hasText: 'the disk <b>hums</b>' }).waitFor()
  failing = false
  await page.getByRole('button', { name: 'Try again' }).click()
  await page.locator('h2', { hasText: 'Nothing has been written yet' }).waitFor()
  clean(page, server.url)

  await server.stop()
  await page.waitForSelector('.pulse[data-state="lost"]')
  await page.evaluate(() => { location.hash = '#/channels' })
  await page.locator('.state.bad', { hasText: 'Sluice does not answer' }).waitFor()
})

// ---- colours

// By WCAG 2.2: of "#rrggbb".
function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
const contrast = (a, b) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (light + 0.05) / (dark + 0.05)
}
const ON = { // what stands on what, and how much of a contrast that needs
  4.5: [['ink', 'paper card code tint mark bad-tint'], ['soft', 'paper card code'], ['accent', 'paper card tint'], ['accent-ink', 'accent'], ['heart', 'card paper'], ['good', 'paper card'], ['warn', 'paper card'], ['bad', 'paper card']],
  3: [['accent', 'paper card code'], ['field', 'paper card']] // what has the focus, the edges of fields
}

test('every colour is told from what it stands on, by whichever way a theme is chosen', async (t) => {
  const server = await Server.start(t, ['--data', folder(t)])
  const page = await open(t, server)
  await settled(page)
  const names = [...new Set(Object.values(ON).flat().flatMap(([name, on]) => [name, ...on.split(' ')]))]
  const look = () => page.evaluate((names) => {
    const style = getComputedStyle(document.documentElement)
    return Object.fromEntries(names.map((name) => [name, style.getPropertyValue('--' + name).trim().replace(/^#(.)(.)(.)$/, '#$1$1$2$2$3$3')]))
  }, names)
  const chosen = {}
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme })
    const colours = await look()
    for (const [least, pairs] of Object.entries(ON)) {
      for (const [name, on] of pairs) {
        for (const under of on.split(' ')) assert.ok(contrast(colours[name], colours[under]) >= least, `${scheme}: ${name} on ${under}: ${contrast(colours[name], colours[under]).toFixed(2)}`)
      }
    }
    for (const theme of ['dark', 'light', 'system']) {
      await page.locator('.theme').click()
      assert.match(await page.locator('.theme').getAttribute('aria-label'), new RegExp(theme))
      const now = await look()
      chosen[theme === 'system' ? scheme : theme] ??= now
      assert.deepStrictEqual(now, chosen[theme === 'system' ? scheme : theme], `${theme} on a ${scheme} screen`)
    }
  }
  assert.notDeepStrictEqual(chosen.dark, chosen.light)
  await page.locator('.theme').click()
  await page.reload()
  await page.waitForFunction(() => document.documentElement.dataset.theme === 'dark') // what was chosen is kept
})

// ---- an awkward log, on a phone and to a checker

const WIDE = 'x'.repeat(400) + '\n\nhttps://example.org/' + 'path/'.repeat(60) + '\n\n| a | b | c | d | e | f | g | h |\n|---|---|---|---|---|---|---|---|\n| ' + Array(8).fill('cells').join(' | ') +
  ' |\n\n```\n' + 'code '.repeat(80) + '\n```\n\n![no picture here](&' + 'A'.repeat(43) + '=.sha256) %' + 'A'.repeat(43) + '=.sha256'
const TEXTS = ['مرحبا بالعالم، this is **right to left** with English in it.\n\n- قائمة\n- أخرى', 'שלום 👩‍👩‍👧‍👦 🏳️‍🌈 日本語のとても長い文章ですがどこで折り返すのでしょうか'.repeat(4),
  '> a quotation\n\n1. one\n2. two\n\n# A heading\n\n~~struck~~ `code` #hashtag @ben', 'z'.repeat(3000), '']

function awkward() {
  const [ann, ben] = [new Author('ann'), new Author('ben')]
  const messages = [ann.write({ type: 'about', about: ann.id, name: 'אנה ' + 'long'.repeat(60), description: 'y'.repeat(300) }), ben.write({ type: 'about', about: ben.id, name: 'ben 🌱' })]
  const root = ann.write({ type: 'post', channel: 'averyveryverylongchannelname30', text: WIDE + ' ' + ben.id })
  const replies = TEXTS.map((text, i) => ben.write({ type: 'post', text, root: root.key, branch: root.key, mentions: [{ link: ben.id, name: 'ben' }], contentWarning: i === 3 ? 'long' : undefined }))
  messages.push(root, ...replies, ann.write({ type: 'contact', contact: ben.id, following: true }), ben.write({ type: 'vote', vote: { link: root.key, value: 1 } }))
  return { ann, root, replies, messages }
}

test('an awkward log fits a screen of 320 pixels, and a checker finds nothing in any view, light or dark', async (t) => {
  const { ann, root, replies, messages } = awkward()
  const server = await Server.start(t, ['--data', importLines(t, messages.map(({ key, value }, i) => JSON.stringify({ key, value, timestamp: 1600000000000 + i })))])
  const places = ['#/', '#/thread/' + id(root.key), '#/profile/' + id(ann.id), '#/channels', '#/channel/averyveryverylongchannelname30', '#/search?q=nothing', '#/message/' + id(root.key), '#/server', '#/console']
  for (const scheme of ['light', 'dark']) {
    const page = await open(t, server, '#/', { scheme, width: 320, height: 640 })
    await page.evaluate(AXE)
    for (const place of places) {
      if (place !== '#/') await go(page, place)
      await settled(page)
      const wide = await page.evaluate(() => [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('pre, .wide, .heard, .fold')).map((element) => element.outerHTML.slice(0, 100)).concat(document.documentElement.scrollWidth > innerWidth ? 'the page' : []))
      assert.deepStrictEqual(wide, [], place)
      const { violations } = await page.evaluate((scheme) => window.axe.run(document, { resultTypes: ['violations'], ...(scheme === 'dark' ? { runOnly: ['color-contrast'] } : {}) }), scheme)
      assert.deepStrictEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 120)).join(' · ')}`), [], `${scheme} ${place}`)
    }
    if (scheme === 'light') {
      await go(page, '#/thread/' + id(root.key))
      const directions = await page.locator(`article[data-key="${replies[0].key}"] .prose p, article[data-key="${replies[2].key}"] .prose blockquote`).evaluateAll((all) => all.map((one) => getComputedStyle(one).direction))
      assert.deepStrictEqual(directions, ['rtl', 'ltr'])
    }
    clean(page, server.url)
  }
})

// What axe finds, in both themes.
async function checked(page, what) {
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(AXE)
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme })
    const { violations } = await page.evaluate((rules) => window.axe.run(document, { resultTypes: ['violations'], ...rules }), colorScheme === 'dark' ? { runOnly: ['color-contrast'] } : {})
    assert.deepStrictEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(' · ')}`), [], `${what}, ${colorScheme}`)
  }
}

test('a checker finds nothing in what is opened, found, new, waited for, or fails', async (t) => {
  const { ann, root, messages } = awkward()
  const server = await Server.start(t, ['--data', importLines(t, messages.map(({ key, value }, i) => JSON.stringify({ key, value, timestamp: 1600000000000 + i })))])
  const page = await open(t, server)
  await settled(page)
  await page.locator('.made summary').click()
  await page.locator('.made code').first().waitFor()
  await page.waitForSelector('.pulse[data-state="live"]')
  const { value } = ann.write({ type: 'post', text: 'news' })
  assert.strictEqual((await server.post('/log', value)).status, 201)
  await page.locator('.pill:visible').waitFor()
  assert.match(await page.locator('#announce').textContent(), /1 new message/)
  assert.strictEqual(await page.locator('#announce').getAttribute('aria-live'), 'polite')
  await checked(page, 'home with news and its requests')

  await go(page, '#/search?q=quotation')
  await page.locator('main mark').first().waitFor()
  await checked(page, 'what was found')
  await go(page, '#/profile/' + id(ann.id))
  await page.locator('.contacts summary').first().click()
  await page.locator('.contacts .people li').first().waitFor()
  await checked(page, 'people')
  await go(page, '#/message/' + id(root.key))
  await go(page, '#/console')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.locator('.answer', { hasText: '"messages"' }).waitFor()
  await page.locator('.result summary').click()
  await checked(page, 'an answer')

  let views = 0.3
  await page.route('**/views', (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify({ views: [{ name: 'search', version: 1, since: 1, ready: views === 1, done: views, total: 1, eta: 30 }], log: { head: 1, durable: 1, count: 1 } }) }))
  await page.route('**/threads?*', () => {})
  await page.evaluate(() => { location.hash = '#/channel/other' })
  await page.locator('h2', { hasText: 'Sluice is reading the log' }).waitFor()
  await checked(page, 'catching up')
  views = 1
  await page.unroute('**/threads?*')

  await server.stop()
  await page.waitForSelector('.pulse[data-state="lost"]')
  await page.evaluate(() => { location.hash = '#/channels' })
  await page.locator('.state.bad').waitFor()
  await page.locator('.banner:visible').waitFor()
  await checked(page, 'offline')
})
