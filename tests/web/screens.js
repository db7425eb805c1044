#!/usr/bin/env node
'use strict'
// Takes the pictures of the page that README shows, of the sample log: tests/web/screens.js, after `make` and `make npm`.
const path = require('node:path')
process.env.SLUICE_TEST_BIN ||= path.join(__dirname, '..', '..', 'build', 'sluice')
const { chromium } = require('playwright-core')
const { ROOT, Server, importLines, sample } = require('../support/sluice')

const THREAD = '#/thread/' + encodeURIComponent('%Ge9m8YK/73cOIih+2RG+Sa1RbKhTO5ib44a0ORg/p/Q=.sha256')
const PROFILE = '#/profile/' + encodeURIComponent('@J6RUUChpjXqpkJ+8ggm2ErzgaZn2dMnTb53ScgJfyt8=.ed25519')
const SHOTS = [['home', '#/', 'light', 880, 640], ['thread', THREAD, 'dark', 880, 640], ['profile', PROFILE, 'light', 390, 640], ['console', '#/console?target=' + encodeURIComponent('/threads?limit=5'), 'dark', 390, 640]]

async function main() {
  const cleanups = []
  const t = { after: (handle) => cleanups.unshift(handle) }
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] })
  cleanups.push(() => browser.close())
  try {
    const server = await Server.start(t, ['--data', importLines(t, sample())])
    for (const [name, hash, colorScheme, width, height] of SHOTS) {
      const page = await browser.newPage({ viewport: { width, height }, colorScheme, locale: 'en-GB', timezoneId: 'UTC' })
      await page.goto(`${server.url}/${hash}`)
      await page.waitForSelector('.pulse[data-state="live"]')
      if (name === 'console') await page.getByRole('button', { name: 'Send' }).click()
      await page.waitForLoadState('networkidle')
      await page.screenshot({ path: path.join(ROOT, 'tests', 'fixtures', 'screens', name + '.png') })
      await page.close()
    }
  } finally {
    for (const handle of cleanups) await handle()
  }
}

main().catch((err) => { console.error(err.message); process.exitCode = 1 })
