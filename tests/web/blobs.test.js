'use strict'
// Pictures from a real folder of blobs: faces, pictures in texts, those that are not here yet; on pages of other origins, too. What a blob
// holds never runs.
const test = require('node:test')
const assert = require('node:assert')
const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const zlib = require('node:zlib')
const { Author } = require('../support/author')
const { clean, go, open, settled } = require('../support/browser')
const { Server, folder, importLines } = require('../support/sluice')

const id = encodeURIComponent
const idOf = (bytes) => '&' + crypto.createHash('sha256').update(bytes).digest('base64') + '.sha256'
const MISSING = idOf('nobody has this one')

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data])
  const out = Buffer.alloc(8 + body.length)
  out.writeUInt32BE(data.length)
  body.copy(out, 4)
  out.writeUInt32BE(crc32(body), 4 + body.length)
  return out
}

function crc32(bytes) {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return ~crc >>> 0
}

// A PNG of one colour.
function png(width, height, colour) {
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width)
  head.writeUInt32BE(height, 4)
  head.set([8, 2], 8)
  const row = Buffer.concat([Buffer.of(0), ...Array(width).fill(Buffer.from(colour))])
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', zlib.deflateSync(Buffer.concat(Array(height).fill(row)))), chunk('IEND', Buffer.alloc(0))])
}

const FACE = png(64, 64, [200, 40, 40])
const POND = png(120, 60, [40, 80, 200])
const DRAWN = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><rect width="20" height="10" fill="green"/><script>top.pwned = 1; fetch("/log")</script></svg>')

// As a node stores them: { dir, put(bytes) -> id }.
function shelf(t) {
  const dir = folder(t)
  return { dir, put(bytes) {
    const hex = crypto.createHash('sha256').update(bytes).digest('hex')
    fs.mkdirSync(path.join(dir, 'sha256', hex.slice(0, 2)), { recursive: true })
    fs.writeFileSync(path.join(dir, 'sha256', hex.slice(0, 2), hex.slice(2)), bytes)
    return idOf(bytes)
  } }
}

async function serve(t, messages, blobs, ...args) {
  const lines = messages.map(({ key, value }, i) => JSON.stringify({ key, value, timestamp: 1600000000000 + i }))
  return Server.start(t, ['--data', importLines(t, lines), '--blobs', blobs.dir, ...args])
}

const loaded = (image) => image.evaluate((one) => one.complete && one.naturalWidth)

test('faces and pictures are blobs; one that is not here is drawn, or named', async (t) => {
  const blobs = shelf(t)
  const [face, pond, drawn] = [FACE, POND, DRAWN].map(blobs.put)
  const [ann, ben] = [new Author('ann'), new Author('ben')]
  const messages = [
    ann.write({ type: 'about', about: ann.id, name: 'ann', image: face }), ben.write({ type: 'about', about: ben.id, name: 'ben', image: { link: MISSING, type: 'image/png', size: 3 } }),
    ben.write({ type: 'post', text: 'no face yet' }), ann.write({ type: 'post', text: `![the pond](${pond})\n\n![a drawing](${drawn})\n\n![the frog](${MISSING})\n\n[the file](${pond})\n\n![video:a film](${MISSING})` })
  ]
  const server = await serve(t, messages, blobs)
  const page = await open(t, server)
  await settled(page)
  const card = page.locator(`article[data-key="${messages[3].key}"]`)
  await card.locator('.avatar img').waitFor()
  assert.strictEqual(await loaded(card.locator('.avatar img')), 64)
  assert.strictEqual(await page.locator(`article[data-key="${messages[2].key}"] .avatar svg`).count(), 1, 'a drawn face for who has no picture here')

  await go(page, '#/thread/' + id(messages[3].key))
  await page.locator('.picture img[alt="the pond"]').waitFor()
  await page.waitForFunction(() => [...document.querySelectorAll('.prose .picture img')].length === 2 && [...document.querySelectorAll('.prose .picture img')].every((one) => one.complete && one.naturalWidth > 0))
  await page.locator('.picture.absent', { hasText: 'the frog' }).waitFor()
  assert.match(await page.locator('.picture.absent').innerText(), /not on this machine/)
  assert.strictEqual(await page.locator('.prose a', { hasText: 'the file' }).getAttribute('href'), '/blobs/' + id(pond))
  assert.strictEqual(await page.locator('.prose video[controls]').getAttribute('aria-label'), 'a film')

  await go(page, '#/profile/' + id(ann.id))
  await page.locator('.profile .avatar.large img').waitFor()
  assert.strictEqual(await page.evaluate(() => window.pwned), undefined, 'a drawing runs nothing')
  clean(page, server.url)
})

test('behind a token, pictures are fetched with it', async (t) => {
  const blobs = shelf(t)
  const token = '0123456789abcdef0123'
  const file = path.join(folder(t), 'tokens')
  fs.writeFileSync(file, token + '\n', { mode: 0o600 })
  const ann = new Author('ann')
  const messages = [ann.write({ type: 'about', about: ann.id, name: 'ann', image: blobs.put(FACE) }), ann.write({ type: 'post', text: `![the pond](${blobs.put(POND)}) ![the frog](${MISSING})` })]
  const server = await serve(t, messages, blobs, '--token-file', file)
  const page = await open(t, server, '#/', { prepare: (page) => page.addInitScript((token) => sessionStorage.setItem('sluice-token', token), token) })
  await page.locator('article .avatar img').waitFor()
  await page.locator('.picture img[alt="the pond"]').waitFor()
  await page.waitForFunction(() => document.querySelector('.picture img').naturalWidth === 120)
  assert.match(await page.locator('.picture img').getAttribute('src'), /^blob:/)
  await page.locator('.picture.absent', { hasText: 'the frog' }).waitFor()
  assert.ok(page.seen.requests.every((url) => !url.includes(token)))
  clean(page, server.url)
})

test('what a blob holds never runs, whatever it says it is, opened by itself as well', async (t) => {
  const blobs = shelf(t)
  const server = await serve(t, [new Author('a').write({ type: 'post', text: 'x' })], blobs)
  const script = 'document.title="pwned";try{localStorage.setItem("pwned",1)}catch{};fetch("/log").then(()=>document.title="pwned")'
  const attacks = [
    `<!doctype html><title>safe</title><script>${script}</script><img src=x onerror='${script}'>`, `<html><body onload='${script}'></body></html>`, `\ufeff<script>${script}</script>`, `   <svg xmlns="http://www.w3.org/2000/svg" onload='${script}'><script>${script}</script></svg>`,
    `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>${script}</script><foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" srcdoc="&lt;script&gt;${script}&lt;/script&gt;"/></foreignObject></svg>`,
    `<?xml version="1.0"?><?xml-stylesheet href="javascript:${script}"?><x:html xmlns:x="http://www.w3.org/1999/xhtml"><x:script>${script}</x:script></x:html>`, `GIF89a/*<script>*/=1;${script}//</script>`, `%PDF-1.4\n<script>${script}</script>`, script
  ].map((text) => blobs.put(Buffer.from(text)))
  const page = await open(t, server)
  await settled(page)
  for (const blob of attacks) {
    // some are saved, and none of them becomes a page with our rights
    const download = page.waitForEvent('download', { timeout: 60000 }).then((one) => one.cancel(), () => {})
    const went = await page.goto(server.url + '/blobs/' + id(blob)).catch((err) => { assert.match(err.message, /Download is starting|ERR_ABORTED/); return null })
    if (went) {
      assert.match(went.headers()['content-security-policy'], /sandbox/)
      assert.strictEqual(await page.evaluate(() => self.origin), 'null', 'it is nobody')
      assert.notStrictEqual(await page.title(), 'pwned')
    } else await download
  }
  await page.goto(server.url + '/')
  assert.strictEqual(await page.evaluate(() => localStorage.getItem('pwned')), null)
  // nor are they scripts of a page that is careless enough to take them for some
  await page.route('**/naive', (route) => route.fulfill({ status: 200, contentType: 'text/html', headers: {}, body: '<!doctype html><title>safe</title>' }))
  await page.goto(server.url + '/naive')
  const came = await page.evaluate((sources) => Promise.all(sources.map((src) => new Promise((resolve) => {
    const script = document.createElement('script')
    script.onerror = () => resolve('refused')
    script.onload = () => resolve('ran')
    script.src = src
    document.head.append(script)
  }))), attacks.map((blob) => '/blobs/' + id(blob)))
  assert.deepStrictEqual(new Set(came), new Set(['refused']))
  assert.strictEqual(await page.title(), 'safe')
})

// An origin of somebody else's, with an empty page.
async function elsewhere(t) {
  const server = http.createServer((req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/html' })
    res.end('<!doctype html><title>elsewhere</title>')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${server.address().port}`
}

test('pages of allowed origins show pictures from here, those of others do not', async (t) => {
  const blobs = shelf(t)
  const pond = blobs.put(POND)
  const [friend, stranger] = [await elsewhere(t), await elsewhere(t)]
  const server = await serve(t, [new Author('a').write({ type: 'post', text: 'x' })], blobs, '--allow-origin', friend)
  const target = `${server.url}/blobs/${id(pond)}`
  const page = await open(t, server)
  // as most write it, as one that reads it writes it, and where nobody can know whose page it is
  const shown = async (origin) => {
    await page.goto(origin + '/')
    return page.evaluate((src) => Promise.all([{}, { crossOrigin: 'anonymous' }, { referrerPolicy: 'no-referrer' }].map((how) => new Promise((resolve) => {
      const image = Object.assign(new Image(), how)
      image.onload = () => resolve(image.naturalWidth)
      image.onerror = () => resolve('blocked')
      image.src = src
    }))), target)
  }
  assert.deepStrictEqual(await shown(friend), [120, 120, 'blocked'])
  assert.deepStrictEqual(await shown(stranger), ['blocked', 'blocked', 'blocked'])
  assert.deepStrictEqual(await shown(friend), [120, 120, 'blocked'])
})
