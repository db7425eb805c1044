'use strict'
// The page's markdown beside ssb-markdown's: the same elements around the same words.
const test = require('node:test')
const assert = require('node:assert')
const { clean, launched, open, settled } = require('../support/browser')
const { Server, folder, sample } = require('../support/sluice')
const ssbMarkdown = require('ssb-markdown')
const theirOwn = require('node:module').createRequire(require.resolve('ssb-markdown'))

const FEED = '@J6RUUChpjXqpkJ+8ggm2ErzgaZn2dMnTb53ScgJfyt8=.ed25519'
const MESSAGE = '%Ge9m8YK/73cOIih+2RG+Sa1RbKhTO5ib44a0ORg/p/Q=.sha256'
const BLOB = '&LjGs7ll0IroUdUunfH+4A/b4msEH4BX+euYPje8aaQ4=.sha256'

const CASES = [
  'plain', 'two\nlines', 'two  \nlines', 'a\n\nb', '*em* _em_ **strong** __strong__ ~~gone~~ `code`', '# one\n## two\n### three\n#### four', 'one\n===\n\ntwo\n---', '> quoted\n> more\n\nnot', '> a\n\n> b',
  '- a\n- b\n  - c\n\n1. x\n2. y', '7. seven\n8. eight', '- a\n\n- b', '```js\nlet x = 1 < 2\n```', '    indented', '---', '| a | b |\n|---|:-:|\n| 1 | 2 |', '<b>no html</b>', '&amp; &lt; &copy; &#x41;', '"quotes" -- and --- dashes...', '(c) (tm) +-',
  'https://example.org/a?b=c&d=e', 'www.example.org and example.org', 'http://example.org/(brackets)', '<https://example.org>', 'mail@example.org', '[a](https://example.org "title")', '[a][r]\n\n[r]: https://example.org',
  '#channel and #Another-One, # none', 'in a#word none', '(#bracket)', '#日本語 #ñandú', `${FEED} wrote`, `see ${MESSAGE}`, `[@farid](${FEED}) [this](${MESSAGE}) [file](${BLOB})`, `![a picture](${BLOB})`, '@nobody', 'a\\*b\\_c', 'emoji 🦀 stays', 'a :smile: and :+1::heart:, :no_such_thing: at 10:30:45', '[:tada: a link](https://example.org)', '`:smile:`', 'https://example.org/:smile:/x', '# :rocket:', '**:frog:** :eight: :', ':a:b:smile::x',
  '\\[not a link](x)', '[#channel](#channel)', '***both***', 'a * b * c', '1 < 2 > 1'
]

// Tags, where links lead, and words; headings and what stands around a table or picture are each one's own business.
function outline(html) {
  const out = []
  for (const [, tag, rest, text] of html.matchAll(/<(\/?[a-z0-9]+)([^>]*)>|([^<]+)/g)) {
    if (text !== undefined) out.push(words(text))
    else if (/^\/?h[1-6]$/.test(tag)) out.push(`<${tag[0] === '/' ? '/' : ''}h>`)
    else if (tag === 'a') out.push(`<a ${words(/href="([^"]*)"/.exec(rest)?.[1] || '')}>`)
    else if (!/^\/?(?:div|img|span|svg|path|small)$/.test(tag)) out.push(`<${tag}>`)
  }
  // an id that is its own text is cut to different lengths; formatting between elements is nothing
  return out.join('').replace(/>([%@&][A-Za-z0-9+/]{5})[A-Za-z0-9+/=]*(?:…|\.\.\.|\.(?:sha256|ed25519))</g, '>$1…<').replace(/\s+/g, ' ').replace(/ ?(<\/?(?:p|br|ul|ol|li|h|hr|pre|table|thead|tbody|tr|th|td|blockquote|code)>) ?/g, '$1').trim()
}

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: '\u00a0' }
const words = (text) => text.replace(/\ufe0f/g, '').replace(/&(amp|lt|gt|quot|nbsp);/g, (all, name) => ENTITIES[name])

// Where ssb-markdown is told to lead to; it is given what is no link, too.
function toUrl(ref) {
  let text = ref
  if (!/^[%@&].{44}\./.test(ref)) try { text = decodeURIComponent(ref) } catch { /* as it is */ }
  if (/^@[^.]+$/.test(text) || text === '') return ''
  if (/^@.{44}\.ed25519$/.test(text)) return '#/profile/' + encodeURIComponent(text)
  if (/^%.{44}\.sha256$/.test(text)) return '#/thread/' + encodeURIComponent(text)
  if (/^&.{44}\.sha256$/.test(text)) return '/blobs/' + encodeURIComponent(text)
  if (/^#/.test(text)) return '#/channel/' + encodeURIComponent(text.slice(1).toLowerCase())
  return ref
}

// The names of emoji are fetched for the first text that has one, which is shown meanwhile.
async function emojiThere(page) {
  await page.evaluate(async () => {
    const { markdown } = await import('/web/markdown.js')
    window.first = markdown('well :smile:')
    document.querySelector('main').append(window.first)
  })
  await page.waitForFunction(() => window.first.textContent === 'well 😄')
}

test('emoji by name, as ssb-markdown names them', async (t) => {
  const server = await Server.start(t, ['--data', folder(t)])
  const page = await open(t, server)
  await settled(page)
  assert.ok(!page.seen.requests.some((url) => url.endsWith('/emoji.js')), 'only texts with names need them')
  await emojiThere(page)
  const names = Object.keys({ ...theirOwn('node-emoji').emoji, ...theirOwn('markdown-it-emoji/lib/data/full.json') })
  assert.ok(names.length > 2000)
  const ours = await page.evaluate(async (names) => {
    const { emojified } = await import('/web/markdown.js')
    return names.map((name) => emojified(`:${name}:`))
  }, names)
  // one sex or the other, coloured or not, is each table's own business
  const shape = (text) => text.replace(/[\u200d\ufe0f\u2640\u2642]/g, '')
  const theirs = names.map((name) => /^<p>(.*)<\/p>/.exec(ssbMarkdown.block(`:${name}:`))[1])
  const unknown = names.filter((name, i) => ours[i] === `:${name}:` && ours[i] !== theirs[i])
  const others = names.filter((name, i) => ours[i] !== `:${name}:` && shape(ours[i]) !== shape(theirs[i]))
  assert.ok(unknown.length <= 30, unknown.join(' '))
  assert.ok(others.length <= 20, others.join(' '))
  for (const name of Object.keys(theirOwn('markdown-it-emoji/lib/data/light.json'))) assert.ok(!unknown.includes(name), name)
  clean(page, server.url)
})

test('the same elements and words as ssb-markdown', async (t) => {
  await launched()
  const server = await Server.start(t, ['--data', folder(t)])
  const page = await open(t, server)
  await settled(page)
  await emojiThere(page)
  const posts = sample().map((line) => JSON.parse(line).value.content).filter((content) => content.type === 'post' && !/!\[/.test(content.text))
  assert.ok(posts.length > 500)
  const texts = [...CASES, ...posts.map((content) => content.text)]
  const ours = await page.evaluate(async (texts) => {
    const { markdown } = await import('/web/markdown.js')
    return texts.map((text) => {
      const element = markdown(text, [])
      for (const picture of element.querySelectorAll('.picture, .picture *')) picture.replaceChildren()
      return element.innerHTML
    })
  }, texts)
  const theirs = texts.map((text) => ssbMarkdown.block(text, { toUrl }))
  const differences = texts.map((text, i) => [text, outline(ours[i]), outline(theirs[i])]).filter(([, one, other]) => one !== other)
  assert.strictEqual(differences.slice(0, 12).map((three) => three.map((one) => one.slice(0, 600)).join('\n')).join('\n\n'), '')
})
