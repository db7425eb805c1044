'use strict'
// A log of public and private messages of a few people, one of whom is the owner: as it stands in his node (boxed), and as it would stand there
// had nobody encrypted anything for him (opened, by npm ssb-keys).
const crypto = require('node:crypto')
const ssbKeys = require('ssb-keys')
const { Author } = require('./author')
const { makeRandom } = require('./random')

const TYPES = ['post', 'vote', 'about', 'contact', 'channel', 'whisper']
const CHANNELS = ['gardens', 'solarpunk', 'cellar']

// The keys of npm ssb-keys for an Author of that seed.
const keysOf = (seed) => ssbKeys.generate('ed25519', crypto.createHash('sha256').update(String(seed)).digest())

// The text of a secret file, as ssb-keys writes it.
const secretFile = (keys) => `# this is your SECRET name.\n${JSON.stringify(keys, null, 2)}\n# its end`

class PrivateLog {
  constructor(seed) {
    this.random = makeRandom(seed)
    this.people = Array.from({ length: 6 }, (_, i) => new Author(`${seed} person ${i}`))
    this.owner = this.people[0]
    this.keys = keysOf(`${seed} person 0`)
    if (this.keys.id !== this.owner.id) throw new Error('two keys of one seed')
    this.marks = []
    this.records = [] // { key, author, boxed, opened, secret: encrypted for the owner, closed: encrypted and not for him }
    this.roots = { open: [], secret: [] }
  }

  // A word that stands in no other message.
  mark(secret) {
    const mark = `${secret ? 'hush' : 'loud'}${this.marks.length}x${this.random.below(1e9)}`
    this.marks.push({ mark, secret })
    return mark
  }

  content(secret) {
    const { random } = this
    const type = random.pick(secret ? TYPES : TYPES.slice(0, 5))
    const known = secret && random.chance(60) ? this.roots.secret : this.roots.open
    const target = known.length > 0 ? random.pick(known.slice(-6)) : undefined
    const somebody = random.pick(this.people).id
    if (type === 'vote' && target) return { type, vote: { link: target, value: random.pick([1, 1, 0]), expression: random.pick(['Like', 'Dig']) }, mark: this.mark(secret) }
    if (type === 'about') return { type, about: random.chance(70) ? somebody : target || somebody, name: this.mark(secret) }
    if (type === 'contact') return { type, contact: somebody, following: random.chance(70), blocking: random.chance(20), mark: this.mark(secret) }
    if (type === 'channel') return { type, channel: random.pick(CHANNELS) + (secret ? 'hush' : ''), subscribed: random.chance(70), mark: this.mark(secret) }
    const post = { type: type === 'whisper' ? type : 'post', text: this.mark(secret) + ' h\u00e9llo \u{1f600}\n"quoted"' }
    if (random.chance(40)) post.channel = random.pick(CHANNELS) + (secret && random.chance(50) ? 'hush' : '')
    if (random.chance(30)) post.mentions = [{ link: somebody }, { link: '#' + (secret ? 'hush' : '') + random.pick(CHANNELS) }]
    if (target && random.chance(60)) Object.assign(post, { root: target, branch: target })
    return post
  }

  add(author, content, boxed, secret) {
    const message = author.write(boxed)
    const timestamp = 1600000000000 + this.records.length * 1000.5
    const record = {
      key: message.key,
      author: author.id,
      boxed: { key: message.key, value: message.value, timestamp },
      opened: { key: message.key, value: { ...message.value, content: secret ? content : boxed }, timestamp },
      secret,
      closed: typeof boxed === 'string' && !secret
    }
    this.records.push(record)
    if (!record.closed && ['post', 'whisper'].includes(content.type) && !content.root) this.roots[secret ? 'secret' : 'open'].push(message.key)
    return record
  }

  // One more message of somebody.
  write() {
    const { random, people, owner } = this
    const author = random.pick(people)
    if (random.chance(50)) {
      const content = this.content(false)
      return this.add(author, content, content, false)
    }
    const others = people.filter((one) => one !== owner && random.chance(40)).map((one) => one.id)
    const ours = others.length === 0 || random.chance(70)
    const recps = ours ? [...others, owner.id] : others
    const content = { ...this.content(true), recps }
    const boxed = ssbKeys.box(content, recps)
    const opened = ssbKeys.unbox(boxed, this.keys)
    if (Boolean(opened) !== ours) throw new Error('ssb-keys opens something else')
    return this.add(author, opened || content, boxed, ours)
  }

  // What is encrypted in a way that nobody here can open, or holds what is no content.
  odd() {
    const { owner, people } = this
    const raw = (text) => ssbKeys.box(text, [owner.id])
    const noise = crypto.createHash('sha512').update('noise').digest('base64')
    for (const text of [noise + '.box2', noise + '.box', noise + '.boxfoo', `${'A'.repeat(164)}.box`,
      raw(`a string ${this.mark(true)}`), raw([{ type: 'post', text: this.mark(true) }]), raw(7)]) this.add(people[1], {}, text, false)
  }

  static lines(records, form) { return records.map((record) => JSON.stringify(record[form])) }
}

module.exports = { PrivateLog, keysOf, secretFile }
