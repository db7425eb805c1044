'use strict'
// A log of attacks: whatever a message holds, the page shows it as text, runs none of it, asks no other host for anything, and offers no way
// there that is not a plain link. First the attacks are shown to be real ones.
const test = require('node:test')
const assert = require('node:assert')
const { Author } = require('../support/author')
const { clean, go, open, settled } = require('../support/browser')
const { Server, importLines } = require('../support/sluice')

// What runs is seen: it sets this, on whatever page.
const DEED = 'window.pwned=(window.pwned||0)+1'
const RUNS = [
  `<script>${DEED}</script>`,
  `<img src=x onerror="${DEED}">`,
  `<svg onload="${DEED}"></svg>`,
  `<svg><animate onbegin="${DEED}" attributeName=x dur=1s></svg>`,
  `<details open ontoggle="${DEED}">x</details>`,
  `<iframe srcdoc="<script>parent.pwned=(parent.pwned||0)+1</script>"></iframe>`,
  `<video><source onerror="${DEED}"></video>`,
  `<body onload="${DEED}"><input autofocus onfocus="${DEED}">`,
  `"><img src=x onerror="${DEED}">`,
  `</code></pre><img src=x onerror="${DEED}">`
]
const TRICKS = [
  '<meta http-equiv="refresh" content="0;url=https://evil.example/">', '<base href="https://evil.example/">', '<link rel=stylesheet href=https://evil.example/x.css>',
  '<form action=https://evil.example/><button>press</button></form>', '<object data=https://evil.example/x.swf></object>', '<style>@import url(https://evil.example/x.css)</style>',
  '[a link](javascript:window.pwned=1)', '[a link](JaVaScRiPt:window.pwned=1)', '[a link](java\tscript:window.pwned=1)', '[a link](&#106;avascript:window.pwned=1)',
  '[a link](\u0001javascript:window.pwned=1)', '[a link](data:text/html,<script>parent.pwned=1</script>)', '[a link](vbscript:x)', '[a link](blob:https://evil.example/x)',
  '[a link](//evil.example/x)', '[a link](/status)', '[a link](file:///etc/passwd)', '<javascript:window.pwned=1>', '<data:text/html,x>', '[x]: javascript:window.pwned=1\n\n[x]',
  '![a picture](https://evil.example/track.png)', '![a picture](data:image/svg+xml,<svg onload=pwned=1>)', '![a picture](javascript:pwned=1)', '![" onerror="pwned=1](&AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256)',
  '[![x](https://evil.example/a.png)](https://evil.example/b)', '[t](https://evil.example/ "\\" onmouseover=\\"pwned=1")', 'https://evil.example/"onclick="pwned=1', '```html" onclick="pwned=1\n<script>pwned=1</script>\n```',
  '# <img src=x onerror=pwned=1>', '| <img src=x onerror=pwned=1> |\n|---|\n| <script>pwned=1</script> |', '**<b onclick=pwned=1>**', '@<img/src=x>', '#<script>', '%"><script>pwned=1</script>',
  '\u202Egnirts desrever\u202C and \u2066more\u2069', '\u202E'.repeat(200) + 'evil', 'ا\u0307'.repeat(300), 'Z' + '\u0351\u0368\u036b'.repeat(400), '\ud83d\udc69\u200d'.repeat(150), '\0\u0008\u001b[31m',
  '['.repeat(2500), '('.repeat(2500), '*'.repeat(6000), '`'.repeat(6000), '> '.repeat(2500) + 'deep', '- '.repeat(2500) + 'deep', '![['.repeat(1500), '[a]('.repeat(1500), '<'.repeat(6000), '_a'.repeat(3000), 'x'.repeat(7000), ' '.repeat(7000) + 'x',
  '__proto__', 'constructor'
]
const NAMES = ['<img src=x onerror=pwned=1>', '</a><script>pwned=1</script>', '\u202Eadmin', 'n'.repeat(3000), '"><svg onload=pwned=1>', '\n\n\n']

const people = NAMES.map((name, i) => [new Author('attacker ' + i), name])
const [mallory] = people[0]
const received = (message, i) => JSON.stringify({ key: message.key, value: message.value, timestamp: 1600000000000 + i })

// Everything also where no text is expected.
function attacks() {
  const messages = people.map(([author, name]) => author.write({ type: 'about', about: author.id, name, description: RUNS.join('\n\n'), image: name }))
  for (const [i, text] of [...RUNS, ...TRICKS].entries()) {
    const [author] = people[i % people.length]
    messages.push(author.write({ type: 'post', text, channel: i % 3 ? 'attacks' : text.slice(0, 40), contentWarning: i % 7 ? undefined : text.slice(0, 200), mentions: [{ link: mallory.id, name: text.slice(0, 50) }, { link: text.slice(0, 200), name: 'x' }] }))
  }
  const root = messages[6].key
  messages.push(...RUNS.map((text) => mallory.write({ type: 'post', text, root, branch: root })))
  messages.push(
    mallory.write({ type: '<img src=x onerror=pwned=1>', a: RUNS[0] }), mallory.write({ type: 'constructor', text: RUNS[1] }), mallory.write({ type: '__proto__', text: RUNS[1] }),
    mallory.write({ type: 'vote', vote: { link: root, value: 1, expression: RUNS[1] } }), mallory.write({ type: 'post', text: { toString: 'x' }, mentions: 'no list', channel: 7, root, branch: root }),
    mallory.write({ type: 'post', root, branch: root, text: '@nobody', mentions: [null, 7, { link: { link: 1 } }] }), mallory.write({ type: 'about', about: mallory.id, name: { remove: '<script>' }, [RUNS[1]]: RUNS[1] }),
    mallory.write({ type: 'channel', channel: RUNS[1].slice(0, 25), subscribed: true }), mallory.write({ type: 'contact', contact: RUNS[1], following: true })
  )
  return { messages, root }
}

const html = (body) => ({ status: 200, contentType: 'text/html; charset=utf-8', headers: {}, body })

test('the attacks are real: a page that takes texts for markup runs every one of them', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, [])])
  const page = await open(t, server)
  for (const text of RUNS) {
    await page.route('**/naive', (route) => route.fulfill(html(`<!doctype html><body>${text}</body>`)))
    await page.goto(server.url + '/naive')
    await page.waitForFunction(() => window.pwned > 0, null, { polling: 20 }).catch((err) => { throw new Error(`${text} did not run: ${err.message}`) })
    await page.unroute('**/naive')
  }
})

const FORBIDDEN = 'main script, main iframe, main object, main embed, main style, main link, main meta, main base, main form[action], main [srcdoc], main math, main [style*="url"]'

// What stands in the page now is of the kinds that the page makes.
async function harmless(page, where) {
  const found = await page.evaluate((forbidden) => {
    const bad = [...document.querySelectorAll(forbidden)].map((element) => element.outerHTML.slice(0, 200))
    for (const element of document.querySelectorAll('main *')) {
      for (const { name, value } of element.attributes) {
        if (/^on/i.test(name)) bad.push(`${element.tagName} ${name}=${value.slice(0, 80)}`)
        if (/^(src|href|action|formaction|data|poster|xlink:href)$/i.test(name) && !/^(#\/|\/blobs\/|\/(feeds|channels|messages)\/[^/?]+(\/thread)?\?format=atom$|\/openapi\.yaml|https?:\/\/|mailto:)/.test(value)) bad.push(`${element.tagName} ${name}=${value.slice(0, 80)}`)
        if (name === 'src' && !value.startsWith('/blobs/')) bad.push(`${element.tagName} src=${value.slice(0, 80)}`)
        if (name === 'target' && !/noopener/.test(element.rel)) bad.push(`${element.tagName} without noopener`)
      }
    }
    return { bad, pwned: window.pwned, wide: document.documentElement.scrollWidth > innerWidth, where: location.origin }
  }, FORBIDDEN)
  assert.deepStrictEqual(found, { bad: [], pwned: undefined, wide: false, where: page.origin }, where)
}

test('nothing of a log of attacks runs, leaves the page, or breaks it', async (t) => {
  const { messages, root } = attacks()
  const server = await Server.start(t, ['--data', importLines(t, messages.map(received))])
  const snippet = { in: RUNS[1], pieces: RUNS.map((text, i) => ({ text, mark: i % 2 === 0 })) }
  const page = await open(t, server, '#/', {
    width: 800,
    prepare: (page) => page.route('**/search?q=found*', (route) => route.fulfill({ contentType: 'application/json', body: JSON.stringify({ messages: [{ seq: 1, key: root, value: messages[6].value, timestamp: 1, snippet }], since: 1, next: null }) }))
  })
  page.origin = server.url
  await settled(page)
  for (let more; (more = page.locator('.older')) && await more.count() > 0;) {
    const before = await page.locator('main article').count()
    await more.evaluate((button) => button.click()) // names and pictures still move it: a mouse may go down on it, and up beside it
    await page.waitForFunction((n) => document.querySelectorAll('main article').length > n, before)
  }
  assert.ok(await page.locator('main article').count() > RUNS.length + TRICKS.length - 5, 'all threads are there')
  await harmless(page, 'home')
  assert.ok((await page.locator('main').innerText()).includes('<script>'), 'the text of an attack is shown as text')

  const id = encodeURIComponent
  const places = [
    '#/thread/' + id(root), '#/channels', '#/channel/attacks', '#/search?q=found', '#/search?q=onerror', '#/search?q=evil', '#/search?q=script', '#/message/' + id(messages[7].key), '#/message/' + id(messages.at(-1).key), '#/message/' + id(messages.at(-3).key),
    ...people.map(([author]) => '#/profile/' + id(author.id)), '#/thread/' + id('%"><img src=x onerror=pwned=1>'), '#/channel/' + id('<img src=x onerror=pwned=1>'),
    '#/<img src=x onerror=pwned=1>', '#/console?target=' + id('/<img src=x onerror=pwned=1>')
  ]
  for (const place of places) {
    await go(page, place)
    if (/q=(?!found)/.test(place)) await page.locator('main article mark').first().waitFor()
    await page.locator('main details:not([open]) > summary').evaluateAll((all) => all.forEach((one) => one.click()))
    await harmless(page, place)
  }
  clean(page, server.url)
})

test('should the page ever take a text for markup, the browser refuses it', async (t) => {
  const server = await Server.start(t, ['--data', importLines(t, [])])
  const page = await open(t, server)
  await settled(page)
  const sinks = {
    innerHTML: () => { document.body.innerHTML = '<b>x</b>' },
    'document.write': () => document.write('x'),
    'src of a script': () => { document.createElement('script').src = '/web/main.js' },
    srcdoc: () => { document.createElement('iframe').srcdoc = 'x' },
    'a handler': () => document.body.setAttribute('onclick', 'window.pwned = 1'),
    DOMParser: () => new DOMParser().parseFromString('x', 'text/html'),
    insertAdjacentHTML: () => document.body.insertAdjacentHTML('beforeend', 'x')
  }
  for (const [name, sink] of Object.entries(sinks)) await assert.rejects(page.evaluate(sink), /TypeError/, name)
  // and what got in all the same could neither run nor fetch
  await page.evaluate(() => {
    window.blocked = []
    document.addEventListener('securitypolicyviolation', (event) => window.blocked.push(event.effectiveDirective))
    const image = document.createElement('img')
    image.setAttribute('src', 'https://evil.example/x.png')
    document.body.append(image)
    fetch('https://evil.example/').catch(() => {})
  })
  await page.waitForFunction(() => ['img-src', 'connect-src'].every((name) => window.blocked.includes(name)))
  assert.strictEqual(await page.evaluate(() => window.pwned), undefined)
})
