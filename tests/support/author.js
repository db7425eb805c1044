'use strict'
// Somebody who writes signed messages of the classic feed format, with Node's own crypto.
const crypto = require('node:crypto')

class Author {
  // The same seed is the same person.
  constructor(seed = crypto.randomBytes(16).toString('hex')) {
    const secret = crypto.createHash('sha256').update(String(seed)).digest()
    this.key = crypto.createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), secret]), format: 'der', type: 'pkcs8' })
    const spki = crypto.createPublicKey(this.key).export({ format: 'der', type: 'spki' })
    this.id = '@' + spki.subarray(-32).toString('base64') + '.ed25519'
    this.previous = null
    this.sequence = 0
  }

  // A message like the feed's next one, which does not become it: { key, value }.
  sign(content, { previous = this.previous, sequence = this.sequence + 1 } = {}) {
    const value = { previous, author: this.id, sequence, timestamp: 1500000000000 + sequence, hash: 'sha256', content }
    value.signature = crypto.sign(null, Buffer.from(JSON.stringify(value, null, 2)), this.key).toString('base64') + '.sig.ed25519'
    const text = JSON.stringify(value, null, 2)
    return { key: '%' + crypto.createHash('sha256').update(Buffer.from(text, 'latin1')).digest('base64') + '.sha256', value, length: text.length }
  }

  // The feed's next message.
  write(content) {
    const message = this.sign(content)
    this.previous = message.key
    this.sequence++
    return message
  }
}

module.exports = { Author }
