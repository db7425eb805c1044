'use strict'
// store/canonical and store/feed against the JavaScript engine and the npm packages that define the feed format.
// SLUICE_TEST_CANON_TOOL names the program built from tests/support/canon_tool.c; SLUICE_TEST_SEED repeats a run.

const { test, before, after } = require('node:test')
const assert = require('node:assert')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')
const ssbKeys = require('ssb-keys')
const ssbValidate = require('ssb-validate')
const dataset = require('ssb-validation-dataset')
const { makeRandom } = require('../support/random')

const seed = Number(process.env.SLUICE_TEST_SEED || 20150101) >>> 0
const hex = (text) => Buffer.from(text).toString('hex')
const unhex = (text) => Buffer.from(text, 'hex').toString()

let tool
let waiting = []

before(() => {
  const program = process.env.SLUICE_TEST_CANON_TOOL
  assert.ok(program, 'SLUICE_TEST_CANON_TOOL must name the canon_tool program')
  tool = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] })
  readline.createInterface({ input: tool.stdout }).on('line', (line) => waiting.shift().resolve(JSON.parse(line)))
  tool.on('exit', (code, signal) => {
    for (const waiter of waiting) waiter.reject(new Error(`canon_tool ended: ${code ?? signal}`))
    waiting = []
  })
})

after(async () => {
  tool.stdin.end()
  if (tool.exitCode === null) await new Promise((resolve) => tool.on('exit', resolve))
  assert.strictEqual(tool.exitCode, 0, 'canon_tool must end cleanly (sanitizers report here)')
})

function ask (command) {
  return new Promise((resolve, reject) => {
    waiting.push({ resolve, reject })
    tool.stdin.write(JSON.stringify(command) + '\n')
  })
}

const askText = (text) => ask({ op: 'canonical', hex: hex(text) })
const askCheck = (text, state = null, hmac = null, received = 0) =>
  ask({ op: 'check', hex: hex(text), state, hmac, received })

// ---- numbers

function edgeDoubles () {
  const view = new DataView(new ArrayBuffer(8))
  const out = [0, -0, NaN, Infinity, -Infinity]
  const around = (value) => {
    view.setFloat64(0, value)
    const bits = view.getBigUint64(0)
    for (let step = -2n; step <= 2n; step++) {
      view.setBigUint64(0, (bits + step) & 0x7fffffffffffffffn)
      out.push(view.getFloat64(0), -view.getFloat64(0))
    }
  }
  for (let e = -1074; e <= 1023; e++) around(2 ** e)
  for (let e = -324; e <= 308; e++) around(Number('1e' + e))
  for (let i = 0; i < 500; i++) {
    out.push(i * Number.MIN_VALUE, 2 ** 50 + i / 4, i / 1000, 1e21 + (i - 250) * 131072)
    around(2 ** 53 + i)
  }
  return out
}

function randomDoubles (count) {
  const random = makeRandom(seed)
  const view = new DataView(new ArrayBuffer(8))
  return Array.from({ length: count }, () => {
    view.setUint32(0, random.bits())
    view.setUint32(4, random.bits())
    return view.getFloat64(0)
  })
}

// Numbers as times have them, and their neighbours.
function times (count) {
  const random = makeRandom(seed + 4)
  const whole = new BigInt64Array(1)
  const double = new Float64Array(whole.buffer)
  return Array.from({ length: count }, () => {
    double[0] = Math.floor(random.bits() * 2 ** random.below(13)) + random.below(1000) / 1000
    whole[0] += BigInt(random.below(3) - 1)
    return double[0]
  })
}

test('a double is printed as JavaScript prints it', async () => {
  const doubles = edgeDoubles().concat(randomDoubles(200000), times(100000))
  for (let at = 0; at < doubles.length; at += 50000) {
    const part = doubles.slice(at, at + 50000)
    const bytes = Buffer.alloc(part.length * 8)
    part.forEach((value, i) => bytes.writeDoubleBE(value, i * 8))
    const { texts } = await ask({ op: 'numbers', bits: bytes.toString('hex') })
    assert.strictEqual(texts.length, part.length)
    part.forEach((value, i) => {
      const expected = JSON.stringify(value)
      if (texts[i] !== expected) assert.fail(`${expected} was printed as ${texts[i]} (seed ${seed})`)
    })
  }
})

function numberText (random) {
  const digits = (n) => Array.from({ length: n }, () => random.below(10)).join('')
  let text = random.chance(30) ? '-' : ''
  text += random.chance(20) ? '0' : String(1 + random.below(9)) + digits(random.below(random.chance(10) ? 40 : 18))
  if (random.chance(60)) text += '.' + digits(1 + random.below(random.chance(10) ? 400 : 20))
  if (random.chance(50)) text += random.pick(['e', 'E']) + random.pick(['', '+', '-']) + random.below(random.chance(50) ? 30 : 340)
  return text
}

test('a number is read as JSON.parse reads it', async () => {
  const random = makeRandom(seed + 1)
  const texts = ['1e400', '-1e400', '1e-400', '2.2250738585072011e-308', '9007199254740993', '0.1e1', '-0', '-0.0e9',
    '4.9406564584124654e-324', '2.4703282292062327e-324', '2.4703282292062328e-324', '1' + '0'.repeat(400) + 'e-400',
    '0.' + '0'.repeat(400) + '1e401', '179769313486231580793728971405301e276', '1e99999999999', '0e99999999999']
  for (let i = 0; i < 40000; i++) texts.push(numberText(random))
  // half way between two doubles: the hardest to round
  for (let i = 0; i < 2000; i++) texts.push((BigInt(random.bits() | 0x80000000) * 2n ** BigInt(22 + random.below(40)) + 2n ** BigInt(random.below(12))).toString())
  const answer = await askText('[' + texts.join(' ,') + ']')
  const got = JSON.parse(unhex(answer.compact))
  texts.forEach((text, i) => {
    const expected = JSON.parse(JSON.stringify(JSON.parse(text)))
    if (!Object.is(got[i], expected)) assert.fail(`${text} is ${expected}, was read as ${got[i]} (seed ${seed})`)
  })
})

// ---- values

const pieces = ['a', 'Z', ' ', '"', '\\', '/', '\b', '\f', '\n', '\r', '\t', '\u0000', '\u001f', '\u007f', '\u0080', 'é', 'ß',
  '\u2028', '\u2029', '€', '日本', '\ud7ff', '\ue000', '\uffff', '😀', '\udbff\udfff', '\ud800', '\udc00', '\udfff', '%', '.sha256']

const randomString = (random) => Array.from({ length: random.below(12) }, () => random.pick(pieces)).join('')

function stringText (random, value) {
  let text = ''
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i)
    const must = unit < 0x20 || unit === 0x22 || unit === 0x5c || (unit >= 0xd800 && unit < 0xe000)
    const pair = unit >= 0xd800 && unit < 0xdc00 && value.codePointAt(i) > 0xffff
    if (pair && random.chance(70)) {
      text += value[i] + value[++i]
    } else if (must || random.chance(5)) {
      const digits = unit.toString(16).padStart(4, '0')
      text += '\\u' + (random.chance(50) ? digits : digits.toUpperCase())
    } else {
      text += value[i]
    }
  }
  return '"' + text.replace(/\\u000[aA]/g, () => random.pick(['\\n', '\\u000a'])) + '"'
}

const keys = ['0', '1', '2', '10', '42', '007', '-1', '1.5', '4294967293', '4294967294', '4294967295', '4294967296', '99999999999',
  '', '__proto__', 'constructor', 'toString', 'length', 'type', 'ключ', '😀', '\ud800', 'a', 'b', 'c', '00', '+1', ' 1', '1 ']

const space = (random) => random.chance(10) ? random.pick([' ', '\n', '\t', '\r\n', '   ']) : ''

// JSON text, not a value: a key may stand twice, numbers and strings have many spellings.
function valueText (random, depth) {
  const kind = random.below(depth > 5 ? 6 : 10)
  const inner = (n, fn) => Array.from({ length: random.below(n) }, fn).join(space(random) + ',')
  if (kind === 0) return random.pick(['null', 'true', 'false'])
  if (kind < 3) return numberText(random)
  if (kind < 6) return stringText(random, randomString(random))
  if (kind < 8) return '[' + space(random) + inner(6, () => space(random) + valueText(random, depth + 1)) + space(random) + ']'
  const members = random.chance(3) ? 60 : 9
  return '{' + space(random) + inner(members, () => space(random) +
    stringText(random, random.chance(80) ? random.pick(keys) : randomString(random)) + space(random) + ':' + space(random) +
    valueText(random, members > 9 ? 9 : depth + 1)) + space(random) + '}'
}

async function sameAsJavaScript (text) {
  const value = JSON.parse(text)
  const answer = await askText(text)
  const pretty = JSON.stringify(value, null, 2)
  assert.strictEqual(answer.error, undefined, `${answer.detail} in ${text} (seed ${seed})`)
  assert.strictEqual(unhex(answer.text), pretty, `of ${text} (seed ${seed})`)
  assert.strictEqual(unhex(answer.compact), JSON.stringify(value))
  assert.strictEqual(answer.id, '%' + ssbKeys.hash(pretty))
  assert.strictEqual(answer.units, pretty.length)
}

test('any value prints and hashes as in JavaScript', async () => {
  const random = makeRandom(seed + 2)
  for (let i = 0; i < 6000; i++) await sameAsJavaScript(space(random) + valueText(random, 0) + space(random))
})

test('lone surrogates are printed as escapes and count as one unit', async () => {
  for (const text of ['"\\ud800"', '"\\uDC00x"', '"\\ud800\\ud800\\udc00"', '"\\udc00\\ud800"', '{"\\udfff":"\\ud83d\\ude00"}',
    '"\\ud83d"', '"\\ud83dx\\ude00"', '"\\ud83d\\n"', '"\\ud83d\\u0041"']) await sameAsJavaScript(text)
})

test('what JSON.parse refuses is refused, what it takes is taken', async () => {
  const random = makeRandom(seed + 3)
  const texts = ['', ' ', '01', '-', '+1', '1.', '.5', '1e', '1e+', '0x10', '-01', 'nul', 'nulll', 'True', 'NaN', 'Infinity', "'a'", '"', '"a',
    '"\\', '"\\u12', '"\\u12g4"', '"\\x41"', '"\\a"', '"\t"', '"\u0000"', '[', '[1', '[1,', '[1,]', '[,1]', '{', '{"a"', '{"a":', '{"a":1',
    '{"a":1,', '{"a":1,}', '{a:1}', '{1:1}', '{"a" 1}', '[1 2]', '1 2', '{}{}', '[]]', '\ufeff1', '\u00a01', '\u000b1', '1\u0000', '/**/1',
    '[1}', '{"a":1]', '"\u007f"', '1 ', '\n1', '""', '-0', '[[[]]]']
  const seeds = Array.from({ length: 150 }, () => valueText(random, 2))
  for (let i = 0; i < 4000; i++) {
    const text = random.pick(seeds)
    const at = random.below(text.length + 1)
    texts.push(text.slice(0, at) + random.pick(['', ',', '"', '\\', '0', 'e', '-', ']', '}', '{', '[', ':', '\n', '.', 'u', '\u0001']) +
      text.slice(at + random.below(3)))
  }
  for (let text of texts) {
    text = text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '?')
    let taken = true
    try { JSON.parse(text) } catch { taken = false }
    const answer = await askText(text)
    assert.strictEqual(answer.error, taken ? undefined : 'ERR_JSON', `of ${JSON.stringify(text)} (seed ${seed})`)
    if (taken) await sameAsJavaScript(text)
  }
})

// ---- messages

test('the whole of ssb-validation-dataset is judged as it says', async () => {
  assert.strictEqual(dataset.length, 126)
  for (const [i, item] of dataset.entries()) {
    const answer = await askCheck(JSON.stringify(item.message), item.state, item.hmacKey)
    assert.strictEqual(answer.valid, item.valid, `case ${i}: ${item.error} / ${answer.detail}`)
    if (item.valid) assert.strictEqual(answer.id, item.id, `case ${i}`)
  }
})

test('the vectors made with ssb-validate are judged and hashed the same', async () => {
  const { vectors } = require(path.join(__dirname, '..', 'fixtures', 'ssb', 'made-encoding-quirks.json'))
  assert.ok(vectors.length >= 9)
  for (const vector of vectors) {
    const answer = await askCheck(JSON.stringify(vector.value))
    assert.strictEqual(answer.id, vector.key, `${vector.note}: ${answer.detail}`)
  }
})

function feed (random) {
  const bytes = Buffer.from(Array.from({ length: 32 }, () => random.below(256)))
  return { bytes, keys: ssbKeys.generate('ed25519', bytes) }
}

const hmacOf = (random) => Buffer.from(Array.from({ length: 32 }, () => random.below(256))).toString('base64')

function content (random) {
  if (random.chance(15)) return Buffer.from(randomString(random)).toString('base64') + random.pick(['.box', '.box2', '.boxy\u0085 €'])
  const value = JSON.parse(valueText(random, 3))
  const rest = value !== null && typeof value === 'object' && !Array.isArray(value) ? value : { value }
  const type = random.pick(['post', 'vote', 'abc', 'x'.repeat(52), '😀'.repeat(26), 'тип'])
  return random.chance(50) ? { type, ...rest, type } : { ...rest, type }
}

function verdict (state, hmac, value) {
  try { return !ssbValidate.checkInvalid(state, hmac, value) } catch { return false }
}

// Most changes break the signature; signing again shows the rule itself.
function change (random, value) {
  const odd = () => random.pick([null, 0, 1, -1, 1.5, 2147483647, 2147483648, '1', '', [], {}, true, 'x', '.box', 'AAAA.box', 'AAA.box',
    'AB==.box', 'AAAA.box\n', 'AAAA.box\u2028', 'sha256', 'sha512', { type: 'ab' }, { type: '€€€' }, { type: 'y'.repeat(53) }, ['type'], value.author,
    '%' + 'A'.repeat(43) + '=.sha256', '@' + 'A'.repeat(43) + '=.sha256', value.previous])
  const entries = Object.entries(value)
  const at = random.below(entries.length)
  const kind = random.below(10)
  if (kind < 5) entries[at] = [entries[at][0], odd()]
  else if (kind < 6) entries.splice(at, 1)
  else if (kind < 7) entries.splice(at, 0, ['extra', 1])
  else if (kind < 9) entries.push(entries.splice(at, 1)[0])
  else entries[at][0] += 'x'
  return Object.fromEntries(entries)
}

test('random feeds are signed, judged and stored as by ssb-keys and ssb-validate', async () => {
  const random = makeRandom(seed + 4)
  let valid = 0
  let refused = 0
  for (let run = 0; run < 40; run++) {
    const hmac = random.chance(30) ? hmacOf(random) : null
    const author = feed(random)
    let state = null
    for (let n = 1; n <= 8; n++) {
      const order = random.chance(50) ? ['author', 'sequence'] : ['sequence', 'author']
      const at = { author: author.keys.id, sequence: n }
      const unsigned = { previous: state ? state.id : null, [order[0]]: at[order[0]], [order[1]]: at[order[1]],
        timestamp: random.pick([1500000000000 + n, 1500000000000.5, n > 1 ? 'later' : 0, -1]), hash: 'sha256', content: content(random) }
      const value = ssbKeys.signObj(author.keys, hmac, unsigned)
      const signed = await ask({ op: 'sign', hex: hex(JSON.stringify(unsigned)), seed: author.bytes.toString('hex'), hmac })
      assert.strictEqual(unhex(signed.text), JSON.stringify(value), `seed ${seed}`)

      const changed = [change(random, value), ssbKeys.signObj(author.keys, hmac, change(random, unsigned))]
      for (const candidate of [value, ...changed]) {
        // the one known difference: ssb-validate compares previous loosely, so ["%…"] equals "%…"
        if (Array.isArray(candidate.previous) && candidate.previous.length > 0) continue
        const received = 1600000000000 + random.below(1000) / 1000
        const expected = verdict(state, hmac, candidate)
        const answer = await askCheck(JSON.stringify(candidate), state, hmac, received)
        assert.strictEqual(answer.valid, expected, `${JSON.stringify(candidate)}: ${answer.detail} (seed ${seed})`)
        if (expected) valid++
        else refused++
        if (!expected) continue
        const key = ssbValidate.id(candidate)
        assert.strictEqual(answer.id, key)
        assert.strictEqual(unhex(answer.record), JSON.stringify({ key, value: candidate, timestamp: received }))
      }
      if (!verdict(state, hmac, value)) break
      state = { id: ssbValidate.id(value), sequence: n, timestamp: value.timestamp }
    }
  }
  assert.ok(valid > 200 && refused > 300, `the generator must reach both sides: ${valid} valid, ${refused} refused`)
})

test('the size limit counts UTF-16 units of the signed text', async () => {
  const author = feed(makeRandom(seed + 5))
  for (const letter of ['a', 'é', '€', '\u0001', '\ud800']) {
    for (const size of [8191, 8192, 8193]) {
      const make = (n) => ssbKeys.signObj(author.keys, null, { previous: null, sequence: 1, author: author.keys.id, timestamp: 1,
        hash: 'sha256', content: { type: 'post', text: 'x'.repeat(n % 6) + letter.repeat(Math.floor(n / 6)), pad: '' } })
      const empty = JSON.stringify(make(0), null, 2).length
      const each = JSON.stringify(letter).length - 2
      const value = make(6 * Math.floor((size - empty) / each))
      value.content.pad = 'p'.repeat(size - JSON.stringify(value, null, 2).length)
      delete value.signature
      const signed = ssbKeys.signObj(author.keys, null, value)
      assert.strictEqual(JSON.stringify(signed, null, 2).length, size)
      const answer = await askCheck(JSON.stringify(signed))
      assert.strictEqual(answer.valid, size <= 8192, `${size} units of ${JSON.stringify(letter)}: ${answer.detail}`)
      assert.strictEqual(answer.valid, verdict(null, null, signed))
    }
  }
})

// What libFuzzer found worth keeping, as far as it is text: the inputs of two fuzzers, and those that once broke something.
function fuzzInputs () {
  const root = path.join(process.env.SLUICE_TEST_ROOT || path.resolve(__dirname, '../..'), 'tests/fuzz')
  const folders = ['corpus/canonical', 'corpus/message', 'regression/canonical', 'regression/message'].map((name) => path.join(root, name))
  return folders.filter((folder) => fs.existsSync(folder))
    .flatMap((folder) => fs.readdirSync(folder).sort().map((name) => path.join(folder, name)))
    .map((name) => ({ name, bytes: fs.readFileSync(name) }))
}

function parsed (bytes) {
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) }
  } catch {
    return null
  }
}

test('the inputs of the fuzzers are what JavaScript takes them for', async () => {
  let good = 0
  let bad = 0
  for (const { name, bytes } of fuzzInputs()) {
    const expected = parsed(bytes)
    const answer = await ask({ op: 'canonical', hex: bytes.toString('hex') })
    if (expected === null) {
      assert.ok(answer.error, `${name} was read, JavaScript refuses it`)
      bad++
      continue
    }
    assert.ok(!answer.error, `${name} was refused: ${answer.detail}`)
    assert.strictEqual(unhex(answer.text), JSON.stringify(expected.value, null, 2), name)
    assert.strictEqual(unhex(answer.compact), JSON.stringify(expected.value), name)
    assert.strictEqual(answer.id, '%' + ssbKeys.hash(JSON.stringify(expected.value, null, 2)), name)
    good++
  }
  assert.ok(good >= 20 && bad >= 5, `the corpus must reach both sides: ${good} good, ${bad} refused`)
})
