'use strict'
// A real browser (Debian's chromium) for tests of the page, one for each file of tests. Everything waits for what it wants to see.
const { spawnSync } = require('node:child_process')
const { chromium } = require('playwright-core')
const test = require('node:test')
const assert = require('node:assert')

const PROGRAM = process.env.CHROMIUM || '/usr/bin/chromium'
const PATIENCE = 60000 // of every wait: on a machine that does something else as well

let browser = null

async function launched() {
  if (browser) return browser
  try {
    // root may not use the browser's own sandbox
    browser = await chromium.launch({ executablePath: PROGRAM, timeout: PATIENCE, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] })
  } catch (err) {
    const version = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' })
    throw new Error(`the browser does not start: ${PROGRAM} says "${version.stdout || version.stderr || version.error?.message}"; apt-get install chromium, or set CHROMIUM\n${err.message}`)
  }
  return browser
}

// A stand-in for the test's context in what all tests of a file share.
const cleanups = []
const shared = { after: (handle) => cleanups.unshift(handle) }
test.after(async () => {
  for (const handle of cleanups) await handle()
  await browser?.close()
})

// What happened in a page that must not.
function watched(page) {
  const seen = { dialogs: [], errors: [], requests: [], violations: [] }
  page.on('dialog', (dialog) => { seen.dialogs.push(dialog.message()); dialog.dismiss() })
  page.on('pageerror', (err) => seen.errors.push(err.stack || err.message))
  page.on('console', (message) => { if (/Content.Security.Policy|TrustedHTML/i.test(message.text())) seen.violations.push(message.text()) })
  page.on('request', (request) => seen.requests.push(request.url()))
  return seen
}

// A page of its own, with a profile of its own. options: scheme, width, height, reduced, prepare(page) before it goes anywhere.
async function open(t, server, hash = '#/', { scheme = 'light', width = 1000, height = 800, prepare } = {}) {
  const context = await (await launched()).newContext({ viewport: { width, height }, colorScheme: scheme, locale: 'en-GB', timezoneId: 'UTC' })
  t.after(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE)
  page.seen = watched(page)
  if (prepare) await prepare(page)
  await page.goto(server.url + '/' + hash)
  return page
}

// Everything that was asked for is shown, names and likes as well: while they come what stands below them moves, and a mouse that went down on a
// button may go up beside it.
async function settled(page) {
  await page.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('[aria-busy="true"]'))
  await page.evaluate(async () => {
    const { requests } = await import('/web/app.js')
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
    while (requests.some(({ ms }) => ms === null)) await frame()
    await frame()
    await frame() // what is laid out
  })
}

// To another place of the page, as a link does.
async function go(page, hash) {
  await page.evaluate((to) => new Promise((resolve) => {
    window.addEventListener('hashchange', resolve, { once: true })
    location.hash = to
  }), hash)
  await settled(page)
}

// The subscription is there: what is appended from now on arrives.
const live = (page) => page.waitForSelector('.pulse[data-state="live"]')

// Nothing happened that must not.
function clean(page, origin) {
  const { dialogs, errors, requests, violations } = page.seen
  assert.deepStrictEqual({ dialogs, errors, violations }, { dialogs: [], errors: [], violations: [] })
  const foreign = requests.filter((url) => !url.startsWith(origin + '/') && !url.startsWith('blob:' + origin) && !url.startsWith('data:'))
  assert.deepStrictEqual(foreign, [])
}

module.exports = { clean, go, launched, live, open, settled, shared, watched, PATIENCE }
