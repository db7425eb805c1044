'use strict'
// The commands beside serve: what they take, what they answer, and how they fail: one line, the right exit code, nothing on stdout.
const test = require('node:test')
const assert = require('node:assert')
const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { BIN, ROOT, Server, environment, folder, generate, importLines, run, until, viewNames } = require('../support/sluice')
const { frames, Writer } = require('../support/offset_log')

const lines = generate(400, '--seed', '37', '--authors', '15')
const records = lines.map((line) => JSON.parse(line))
const seqs = frames(lines, '53').seqs
const fixture = (name) => path.join(ROOT, 'tests', 'fixtures', 'logs', name)
const commands = ['serve', 'import', 'cat', 'get', 'views', 'verify', 'healthcheck']
const views = viewNames()

const [USAGE, DATA, NO_INPUT, UNAVAILABLE, IN_USE] = [64, 65, 66, 69, 75]

// Runs to its end with success; answers stdout.
function fine(args, options) {
  const done = run(args, options)
  assert.strictEqual(done.status, 0, `${args.join(' ')}: ${done.stderr}`)
  return done.stdout
}

function refused(args, status, text, options) {
  const done = run(args, { timeout: 20000, ...options })
  const said = `sluice ${args.join(' ')}: ${done.status} ${done.stderr}`
  assert.strictEqual(done.status, status, said)
  assert.match(done.stderr, text, said)
  assert.match(done.stderr, /^sluice[^\n]+\n$/, said)
  assert.strictEqual(done.stdout, '', said)
}

const rowsOf = (text) => text.split('\n').filter(Boolean)
const shown = (i) => `{"seq":${seqs[i]},` + lines[i].slice(1)

// ---- help, versions, usage

test('--help and --version work everywhere', () => {
  const version = fine(['--version'])
  assert.match(version, /^sluice \d+\.\d+\.\d+\S*\n$/)
  const help = fine(['--help'])
  for (const command of commands) {
    assert.match(help, new RegExp(`^  ${command} `, 'm'))
    assert.strictEqual(fine([command, '--version']), version)
    const text = fine([command, '--help'])
    assert.match(text, new RegExp(`^Usage: sluice ${command}`, 'm'))
    assert.match(text, /--help/)
    for (const line of text.split('\n')) assert.ok(line.length <= 120, line)
    // help wins over what is missing, and needs no folder of one's own
    assert.strictEqual(fine([command, '--help'], { env: { HOME: '', XDG_DATA_HOME: '' } }), text)
  }
})

test('without a command the help goes to stderr', () => {
  const done = run([])
  assert.strictEqual(done.status, USAGE)
  assert.strictEqual(done.stdout, '')
  assert.match(done.stderr, /Usage: sluice/)
})

test('what is unknown is an error that names it', (t) => {
  refused(['fly'], USAGE, /fly/)
  refused(['--fly'], USAGE, /--fly/)
  for (const command of commands) {
    refused([command, '--no-such-option'], USAGE, /--no-such-option/)
    refused([command, '-x'], USAGE, /-x/)
    refused([command], USAGE, /SLUICE_NO_SUCH/, { env: { SLUICE_NO_SUCH: '1' } })
    const file = path.join(folder(t), 'config.json')
    fs.writeFileSync(file, '{"no-such-key": 1}')
    refused([command, '--config', file], USAGE, /no-such-key/)
    refused([command], USAGE, /no-such-key/, { env: { SLUICE_CONFIG: file } })
  }
  refused(['cat', '--port-file', 'x'], USAGE, /--port-file.*serve/)
  refused(['serve', '--limit', '3'], USAGE, /--limit.*cat/)
  refused(['cat'], USAGE, /SLUICE_HELP/, { env: { SLUICE_HELP: '1' } })
})

test('words that are missing or one too many are errors', (t) => {
  const dir = folder(t)
  refused(['serve'], USAGE, /--follow.*--data|--data.*--follow/)
  refused(['serve', '--data', dir, 'extra'], USAGE, /extra/)
  refused(['serve', '--data', dir, '--follow', dir], USAGE, /--data|--follow/)
  refused(['import', '-'], USAGE, /--data/)
  refused(['import', '--data', dir], USAGE, /FILE/)
  refused(['cat'], USAGE, /--data|--log/)
  refused(['cat', '--data', dir, '--log', dir], USAGE, /--data|--log/)
  refused(['get', '--data', dir], USAGE, /SEQ/)
  refused(['verify'], USAGE, /FILE/)
  refused(['verify', 'a', 'b'], USAGE, /b/)
  refused(['views'], USAGE, /--data|--log/)
  refused(['serve', '--data'], USAGE, /--data/)
})

// The limits, with least and most, as the help prints them.
function limits() {
  const found = [...fine(['serve', '--help']).matchAll(/^ {2}--([a-z-]+) N .*; (\d+) to (\d+)\)$/gm)]
  return found.map(([, name, least, most]) => ({ name, least: Number(least), most: Number(most) }))
}

test('every limit takes its least and most, and nothing beyond', (t) => {
  const dir = folder(t)
  const all = limits()
  assert.ok(all.length >= 15, all.map(({ name }) => name).join(' '))
  for (const { name, least, most } of all) {
    for (const value of [least, most]) fine(['serve', `--${name}=${value}`, '--help'])
    for (const value of [least - 1, most + 1, 'x', '', '1.5', '99999999999999999999', '1e3', ' 5', '-1']) {
      refused(['serve', `--${name}=${value}`, '--help'], USAGE, new RegExp('--' + name))
    }
    refused(['serve', '--data', dir], USAGE, new RegExp('SLUICE_' + name.toUpperCase().replace(/-/g, '_')),
      { env: { ['SLUICE_' + name.toUpperCase().replace(/-/g, '_')]: String(most + 1) } })
  }
})

test('choices and flags take their words only', (t) => {
  const dir = folder(t)
  refused(['serve', '--data', dir, '--accept', 'none'], USAGE, /--accept.*ssb/)
  refused(['cat', '--data', dir, '--codec', '33'], USAGE, /--codec.*48/)
  refused(['serve', '--data', dir, '--public=maybe'], USAGE, /--public/)
  refused(['serve', '--data', dir, '--listen', 'nowhere'], USAGE, /nowhere/)
  refused(['serve', '--data', dir, '--listen', '127.0.0.1:99999'], USAGE, /99999/)
  refused(['views', '--data', dir, '--rebuild', 'nonsense'], USAGE, /nonsense/)
})

// ---- where a value comes from

test('the command line wins over the environment, the environment over the file', async (t) => {
  const dir = importLines(t, lines.slice(0, 60))
  const file = path.join(folder(t), 'config.json')
  const most = async (args, env) => {
    const server = await Server.start(t, ['--data', dir, ...args], { env })
    const { json } = await server.request('/log?limit=100000')
    await server.stop()
    return Number(/(\d+)/.exec(/(?:to|most|than) (\d+)/.exec(json.detail)[0])[1])
  }
  fs.writeFileSync(file, JSON.stringify({ 'limit-max': 11, trust: true, 'idle-timeout': '30' }))
  assert.strictEqual(await most([]), 1000)
  assert.strictEqual(await most(['--config', file]), 11)
  assert.strictEqual(await most([], { SLUICE_CONFIG: file }), 11)
  assert.strictEqual(await most(['--config', file], { SLUICE_LIMIT_MAX: '22' }), 22)
  assert.strictEqual(await most(['--config', file, '--limit-max', '33'], { SLUICE_LIMIT_MAX: '22' }), 33)
  assert.strictEqual(await most(['--config=' + file, '--limit-max=33']), 33)
  // compose files hand on what is unset as empty
  assert.strictEqual(await most(['--config', file], { SLUICE_LIMIT_MAX: '' }), 11)
})

test('everything may come from the environment or the file alone', (t) => {
  const dir = importLines(t, lines.slice(0, 5))
  const file = path.join(folder(t), 'config.json')
  fs.writeFileSync(file, JSON.stringify({ data: dir, reverse: true, limit: 2 }))
  const wanted = [shown(4), shown(3)]
  assert.deepStrictEqual(rowsOf(fine(['cat', '--config', file])), wanted)
  assert.deepStrictEqual(rowsOf(fine(['cat'], { env: { SLUICE_DATA: dir, SLUICE_REVERSE: 'true', SLUICE_LIMIT: '2' } })), wanted)
})

test('a configuration file that is none is an error that says where', (t) => {
  const file = path.join(folder(t), 'config.json')
  const cases = [['{"data": ', /line 1|config.json/], ['[]', /object/], ['{"data": 5.5}', /data/], ['{"data": null}', /data/], ['{"data": {}}', /data/],
    ['{"reverse": "maybe"}', /reverse/], ['{"data": "a", "data": "b"}', /data|duplicate/], ['{"limit": [1]}', /limit/], ['', /config.json/]]
  for (const [text, pattern] of cases) {
    fs.writeFileSync(file, text)
    refused(['cat', '--config', file], USAGE, pattern)
    refused(['cat', '--config', file], USAGE, /config\.json/)
  }
  refused(['cat', '--config', file + '.none'], NO_INPUT, /config\.json\.none/)
})

// ---- cat

test('cat gives what GET /log gives but for what that says of encrypted records, with all of its options, beside a server that has the log open', async (t) => {
  const dir = importLines(t, lines)
  const server = await Server.start(t, ['--data', dir])
  const some = (i) => seqs[i * 37 % seqs.length]
  let n = 0
  for (const low of [[], ['gt', 3], ['gte', 5], ['gt', -1]]) {
    for (const high of [[], ['lt', 7], ['lte', 9]]) {
      for (const reverse of [false, true]) {
        for (const limit of [0, 1, 17]) {
          const bounds = [low, high].filter((b) => b.length).map(([name, i]) => [name, i < 0 ? -1 : some(i)])
          const args = [...bounds.flatMap(([name, seq]) => [`--${name}`, String(seq)]), ...(reverse ? ['--reverse'] : []), ...(limit ? ['--limit', String(limit)] : [])]
          const query = [...bounds.map(([name, seq]) => `${name}=${seq}`), ...(reverse ? ['reverse=true'] : []), ...(limit ? [`limit=${limit}`] : [])].join('&')
          const { text } = await server.request('/log?' + query, { headers: { Accept: 'application/x-ndjson' } })
          assert.strictEqual(fine(['cat', '--data', dir, ...args]), text.replace(/^(\{"seq":\d+,)"encrypted":"box1",/gm, '$1'), query)
          n += text.length
        }
      }
    }
  }
  assert.ok(n > 100000)
  assert.deepStrictEqual(rowsOf(fine(['cat', '--log', path.join(dir, 'log.offset')])), lines.map((line, i) => shown(i)))
  assert.strictEqual(fine(['cat', '--data', dir, '--limit', '0']), '')
  assert.strictEqual(fine(['cat', '--data', dir, '--gt', String(seqs.at(-1))]), '')
})

test('cat reads every codec, found by looking or told, and leaves deleted records and torn tails out', () => {
  const stored = JSON.parse(fs.readFileSync(fixture('records.json')))
  const index = JSON.parse(fs.readFileSync(fixture('index.json')))
  for (const [name, codec] of [['offset-v3-32.log', '32'], ['offset-v3-48.log', '48'], ['offset-v3-53.log', '53'], ['offset-v2-legacy.log', 'v2']]) {
    for (const told of [[], ['--codec', codec]]) {
      const got = rowsOf(fine(['cat', '--log', fixture(name), ...told])).map((row) => JSON.parse(row))
      assert.deepStrictEqual(got.map(({ seq }) => seq), index[name].items, name)
      assert.deepStrictEqual(got.map(({ seq, ...rest }) => rest), stored, name)
    }
    // a record of any codec begins like one of v2
    for (const other of ['32', '48', '53']) {
      if (other !== codec) refused(['cat', '--log', fixture(name), '--codec', other], DATA, new RegExp(name.replace(/\./g, '\\.')))
    }
  }
  const seqsOf = (name) => rowsOf(fine(['cat', '--log', fixture(name)])).map((row) => JSON.parse(row).seq)
  assert.deepStrictEqual(seqsOf('offset-v3-32-deleted.log'), index['offset-v3-32-deleted.log'].items)
  assert.deepStrictEqual(seqsOf('offset-v3-32-torn.log'), index['offset-v3-32.log'].items.slice(0, -1))
})

test('cat fails with one line', (t) => {
  const dir = importLines(t, lines.slice(0, 20))
  refused(['cat', '--data', dir, '--gt', '5'], UNAVAILABLE, /5/)
  refused(['cat', '--data', dir, '--gte', 'x'], USAGE, /--gte.*x/)
  refused(['cat', '--data', dir, '--gt', '1', '--gte', '2'], USAGE, /--gt/)
  refused(['cat', '--data', dir, '--lt', '1', '--lte', '2'], USAGE, /--lt/)
  refused(['cat', '--data', dir, '--limit', '-1'], USAGE, /--limit/)
  refused(['cat', '--data', dir, '--live', '--reverse'], USAGE, /--live/)
  refused(['cat', '--log', path.join(dir, 'none')], NO_INPUT, /none/)
  refused(['cat', '--data', path.join(dir, 'none')], NO_INPUT, /none/)
})

function start(t, args) {
  const child = spawn(BIN, args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { child, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (data) => { said.stdout += data })
  child.stderr.setEncoding('utf8').on('data', (data) => { said.stderr += data })
  said.exited = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })))
  t.after(() => child.kill('SIGKILL'))
  return said
}

test('cat --live goes on with what is appended, record by record', async (t) => {
  const file = path.join(folder(t), 'log.offset')
  const writer = new Writer(t, file, 53)
  await writer.append(lines.slice(0, 10))
  const cat = start(t, ['cat', '--log', file, '--live', '--gt', String(seqs[4])])
  await until(() => rowsOf(cat.stdout).length >= 5, 'what was there')
  for (let i = 10; i < 60; i += 5) {
    await writer.append(lines.slice(i, i + 5))
    await until(() => rowsOf(cat.stdout).length >= i, () => `${i} records: ${cat.stdout.length} bytes, ${cat.stderr}`)
  }
  assert.deepStrictEqual(rowsOf(cat.stdout), lines.slice(5, 60).map((line, i) => shown(i + 5)))
  cat.child.kill('SIGINT')
  const { code, signal } = await cat.exited
  assert.ok(code === 0 || signal === 'SIGINT', `${code} ${signal}`)
  assert.strictEqual(cat.stderr, '')
  // a limit ends it, also amid what is live
  const limited = start(t, ['cat', '--log', file, '--live', '--limit', '65'])
  await until(() => limited.stdout.includes(records[59].key), 'what was there')
  await writer.append(lines.slice(60, 80))
  assert.strictEqual((await limited.exited).code, 0)
  assert.deepStrictEqual(rowsOf(limited.stdout), lines.slice(0, 65).map((line, i) => shown(i)))
})

test('a reader that leaves early is no error', async (t) => {
  const dir = importLines(t, lines)
  for (const live of ['', '--live']) {
    const script = `set -o pipefail; "$0" cat --data "$1" ${live} | head -1`
    const done = spawnSync('bash', ['-c', script, BIN, dir], { env: environment(), encoding: 'utf8', timeout: 20000 })
    assert.strictEqual(done.status, 0, `${done.signal} ${done.stderr}`)
    assert.strictEqual(done.stderr, '')
    assert.strictEqual(done.stdout, shown(0) + '\n')
  }
})

// Node gives its children a socket for stdout, which looks different to poll when all of it was read before it was closed.
test('a reader that leaves early is no error on a socket either', async (t) => {
  const dir = importLines(t, lines)
  for (const [wait, ...more] of [[1], [lines.length, '--live']]) {
    const cat = start(t, ['cat', '--data', dir, ...more])
    await until(() => rowsOf(cat.stdout).length >= wait, `${wait} records`)
    cat.child.stdout.destroy()
    let ended
    cat.exited.then((how) => { ended = how })
    await until(() => ended, 'the end of cat ' + more.join(' '))
    assert.deepStrictEqual(ended, { code: 0, signal: null })
    assert.strictEqual(cat.stderr, '')
  }
})

// ---- get

test('get answers by seq and by id in every spelling, with and without views', async (t) => {
  const dir = importLines(t, lines)
  const file = path.join(dir, 'log.offset')
  const check = (...where) => {
    for (const i of [0, 7, 399]) {
      const { key } = records[i]
      const urlSafe = key.slice(1, -7).replace(/\+/g, '-').replace(/\//g, '_')
      for (const what of [String(seqs[i]), key, encodeURIComponent(key), 'ssb:message/classic/' + urlSafe, 'ssb:message/sha256/' + urlSafe]) {
        assert.strictEqual(fine(['get', ...where, what]), shown(i) + '\n', what)
      }
    }
  }
  check('--data', dir)
  const server = await Server.start(t, ['--data', dir])
  check('--data', dir)
  await server.stop()
  fs.rmSync(path.join(dir, 'views'), { recursive: true })
  check('--data', dir)
  check('--log', file)
  assert.deepStrictEqual(fs.readdirSync(dir).filter((name) => name === 'views'), [])
})

test('get fails with one line', (t) => {
  const dir = importLines(t, lines.slice(0, 20))
  refused(['get', '--data', dir, '5'], UNAVAILABLE, /5/)
  refused(['get', '--data', dir, '99999999'], UNAVAILABLE, /99999999/)
  refused(['get', '--data', dir, records[100].key], UNAVAILABLE, /%/)
  refused(['get', '--data', dir, 'nonsense'], USAGE, /nonsense/)
  refused(['get', '--data', dir, records[0].value.author], USAGE, /@/)
  refused(['get', '--data', dir, '99999999999999999999'], USAGE, /99999999999999999999/)
  refused(['get', '--log', fixture('offset-v3-32-deleted.log'), '426'], UNAVAILABLE, /426|deleted/)
})

// ---- views

function table(text) {
  return Object.fromEntries(text.split('\n').map((line) => /^(\w+) +(\d+) +(\S.*?) +(\d+) % +(-?\d+|-)$/.exec(line)).filter(Boolean)
    .map(([, name, version, state, percent, since]) => [name, { version: Number(version), state, percent: Number(percent), since }]))
}

test('views shows how far each is, and builds them anew', async (t) => {
  const dir = importLines(t, lines)
  const ready = table(fine(['views', '--data', dir]))
  assert.deepStrictEqual(Object.keys(ready).sort(), views)
  for (const view of Object.values(ready)) {
    assert.strictEqual(view.state, 'ready')
    assert.strictEqual(view.percent, 100)
    assert.strictEqual(view.since, String(seqs.at(-1)))
  }
  for (const name of ['links', 'all']) {
    fine(['views', '--data', dir, '--rebuild', name])
    assert.deepStrictEqual(table(fine(['views', '--data', dir])), ready)
  }
  // a log that grew, views that are not there yet, and views of another log
  const file = path.join(folder(t), 'log.offset')
  const place = ['--log', file, '--views', path.join(folder(t), 'views')]
  fs.writeFileSync(file, frames(lines.slice(0, 300), '32').bytes)
  for (const view of Object.values(table(fine(['views', ...place])))) assert.strictEqual(view.state, 'not built')
  fine(['views', ...place, '--rebuild', 'all'])
  for (const view of Object.values(table(fine(['views', ...place])))) assert.strictEqual(view.state, 'ready')
  fs.writeFileSync(file, frames(lines, '32').bytes)
  for (const view of Object.values(table(fine(['views', ...place])))) {
    assert.strictEqual(view.state, 'behind')
    assert.ok(view.percent > 50 && view.percent < 100)
  }
  fs.writeFileSync(file, frames(lines.slice(1), '32').bytes)
  for (const view of Object.values(table(fine(['views', ...place])))) assert.strictEqual(view.state, 'of another log')
  fine(['views', ...place, '--rebuild', 'all'])
  const server = await Server.start(t, ['--follow', file, '--views', place[3]])
  assert.strictEqual((await server.get('/links?count=true&stale=ok')).count > 100, true)
})

test('views are shown beside a server, but not rebuilt', async (t) => {
  const dir = importLines(t, lines.slice(0, 50))
  const server = await Server.start(t, ['--data', dir])
  await server.get('/types')
  assert.deepStrictEqual(Object.keys(table(fine(['views', '--data', dir]))).sort(), views)
  for (const name of ['types', 'all']) refused(['views', '--data', dir, '--rebuild', name], IN_USE, /POST \/views/)
  assert.strictEqual((await server.request('/types')).status, 200)
  await server.stop()
  fine(['views', '--data', dir, '--rebuild', 'types'])
  const file = path.join(folder(t), 'log.offset')
  fs.writeFileSync(file, frames(lines.slice(0, 300), '32').bytes)
  const place = folder(t)
  await Server.start(t, ['--follow', file, '--views', place])
  refused(['views', '--log', file, '--views', place, '--rebuild', 'all'], IN_USE, /server/)
  refused(['views', '--log', file + '.none', '--views', place], NO_INPUT, /none/)
})

// ---- verify

test('verify tells whole logs, torn ones and damaged ones apart, names the offsets and mends nothing', (t) => {
  for (const [name, records, deleted] of [['offset-v3-32.log', 12, 0], ['offset-v3-48.log', 12, 0], ['offset-v3-53.log', 12, 0], ['offset-v2-legacy.log', 12, 0],
    ['offset-v3-32-deleted.log', 12, 2], ['offset-v3-32-torn-repaired.log', 11, 0]]) {
    const text = fine(['verify', fixture(name)])
    assert.match(text, new RegExp(`^records +${records}$`, 'm'), name)
    assert.match(text, new RegExp(`^deleted +${deleted}$`, 'm'), name)
    assert.doesNotMatch(text, /damaged/)
  }
  const broken = (bytes, ...offsets) => {
    const file = path.join(folder(t), 'log.offset')
    fs.writeFileSync(file, bytes)
    const done = run(['verify', file])
    assert.strictEqual(done.status, DATA, done.stdout + done.stderr)
    const found = [...done.stdout.matchAll(/^damaged +offset (\d+)/gm)].map(([, at]) => Number(at))
    assert.deepStrictEqual(found, offsets, done.stdout)
    assert.ok(fs.readFileSync(file).equals(bytes))
    return done.stdout
  }
  const whole = fs.readFileSync(fixture('offset-v3-32.log'))
  const items = JSON.parse(fs.readFileSync(fixture('index.json')))['offset-v3-32.log'].items
  assert.match(broken(fs.readFileSync(fixture('offset-v3-32-torn.log')), 1696), /end of the file/)
  for (const cut of [items[11] + 1, items[11] + 5, whole.length - 1]) broken(whole.subarray(0, cut), 1696)
  const damaged = (...places) => {
    const bytes = Buffer.from(whole)
    for (const at of places) bytes.fill(0xff, at, at + 4)
    return bytes
  }
  broken(damaged(items[5]), items[5])
  broken(damaged(items[3], items[8]), items[3], items[8])
  assert.match(broken(damaged(items[11] - 8), items[10]), /./)
})

test('verify fails with one line where there is nothing to verify', (t) => {
  const dir = folder(t)
  refused(['verify', path.join(dir, 'none')], NO_INPUT, /none/)
  fs.writeFileSync(path.join(dir, 'empty'), '')
  assert.match(fine(['verify', path.join(dir, 'empty')]), /^records +0$/m)
})

// ---- import

test('import takes records and bare values, from a file and from stdin, with blank lines and without a last newline', (t) => {
  const dir = folder(t)
  const file = path.join(dir, 'messages.ndjson')
  const input = lines.slice(0, 50).map((line, i) => i % 3 === 0 ? JSON.stringify(records[i].value) : line)
  fs.writeFileSync(file, '\n' + input.slice(0, 25).join('\r\n\n  ') + '\n\n')
  assert.match(fine(['import', '--data', path.join(dir, 'a'), file]), /imported 25 /)
  assert.match(fine(['import', '--data', path.join(dir, 'a'), '-'], { input: input.slice(25).join('\n') }), /imported 25 /)
  const got = rowsOf(fine(['cat', '--data', path.join(dir, 'a')]))
  got.forEach((row, i) => {
    const { seq, key, value, timestamp, ...rest } = JSON.parse(row)
    assert.deepStrictEqual(rest, {})
    assert.strictEqual(key, records[i].key)
    assert.strictEqual(JSON.stringify(value), JSON.stringify(records[i].value))
    if (i % 3 === 0) assert.ok(typeof timestamp === 'number' && Math.abs(timestamp - Date.now()) < 600000, row)
    else assert.strictEqual('{' + row.replace(/^\{"seq":\d+,/, ''), lines[i])
  })
  assert.strictEqual(got.length, 50)
  assert.match(fine(['import', '--data', path.join(dir, 'a'), '-'], { input: input.join('\n') }), /imported 0 .*50 already/)
})

test('import writes the file that flumelog-offset would write', (t) => {
  const dir = importLines(t, lines)
  assert.ok(fs.readFileSync(path.join(dir, 'log.offset')).equals(frames(lines, '53').bytes))
  assert.strictEqual(fs.statSync(dir).mode & 0o077, 0)
})

test('a torn tail is cut off by whoever opens the log to write, who says where it went', (t) => {
  const dir = folder(t)
  const { items } = JSON.parse(fs.readFileSync(fixture('index.json')))['offset-v3-32.log']
  const torn = fs.readFileSync(fixture('offset-v3-32-torn.log'))
  const log = path.join(dir, 'log.offset')
  fs.writeFileSync(log, torn)
  const opened = () => run(['import', '--data', dir, '--accept', 'any', '-'], { input: '{"more":1}\n' })
  const first = opened()
  assert.strictEqual(first.status, 0, first.stderr)
  const [, where, offset, bytes, saved] = first.stderr.match(/event=torn_tail_cut log="([^"]+)" offset=(\d+) bytes=(\d+) saved="([^"]+)"/)
  assert.deepStrictEqual([where, Number(offset), Number(bytes)], [log, items.at(-1), torn.length - items.at(-1)])
  assert.deepStrictEqual(fs.readFileSync(saved), torn.subarray(items.at(-1)))
  assert.deepStrictEqual(rowsOf(fine(['cat', '--data', dir])).map((row) => JSON.parse(row).seq), items)
  assert.doesNotMatch(opened().stderr, /torn_tail_cut/)
})

test('the first bad line ends the import, which names it and keeps what came before', (t) => {
  const swap = (i, make) => lines.slice(0, 30).map((line, n) => n === i ? make(records[i], line) : line)
  const bad = {
    'no JSON': () => '{"key": nonsense',
    'no message': () => '{"hello":"world"}',
    'a number': () => '5',
    'another key': (r) => JSON.stringify({ ...r, key: records[99].key }),
    'a changed text': (r) => JSON.stringify({ ...r.value, timestamp: r.value.timestamp + 1 }),
    'a gap': (r) => JSON.stringify(records.findLast((x) => x.value.author === r.value.author).value),
    'too long': () => '"' + 'x'.repeat(17 << 20) + '"'
  }
  for (const [name, make] of Object.entries(bad)) {
    const dir = path.join(folder(t), 'data')
    refused(['import', '--data', dir, '-'], DATA, /line 21\b/, { input: swap(20, make).join('\n') })
    assert.strictEqual(rowsOf(fine(['cat', '--data', dir])).length, 20, name)
  }
})

test('--trust leaves out signatures, and nothing else', (t) => {
  const forged = records.slice(0, 20).map((r) => JSON.stringify(r.value))
  const other = records.find((r) => r.value.signature !== records[19].value.signature).value.signature
  forged[19] = JSON.stringify({ ...records[19].value, signature: other })
  const dir = folder(t)
  refused(['import', '--data', path.join(dir, 'a'), '-'], DATA, /line 20.*signature/, { input: forged.join('\n') })
  assert.match(fine(['import', '--trust', '--data', path.join(dir, 'b'), '-'], { input: forged.join('\n') }), /imported 20 /)
  const gap = lines.filter((line, i) => i !== 3 && i < 60)
  refused(['import', '--trust', '--data', path.join(dir, 'c'), '-'], DATA, /line \d+/, { input: gap.concat(lines.slice(60)).join('\n') })
})

test('--accept any takes any JSON value as it is, and nothing that is none', (t) => {
  const dir = folder(t)
  const any = ['{"a":1}', '[1, 2]', '"text"', '-12.50e3', 'null', '{ "key" : "%x", "value" : {} }', lines[0]]
  assert.match(fine(['import', '--data', dir, '--accept', 'any', '-'], { input: any.join('\n') }), /imported 7 /)
  const { bytes } = frames(any, '53')
  assert.ok(fs.readFileSync(path.join(dir, 'log.offset')).equals(bytes))
  refused(['import', '--data', dir, '--accept', 'any', '-'], DATA, /line 2\b/, { input: '{"b":1}\n{bad}\n{"c":1}\n' })
  assert.strictEqual(rowsOf(fine(['cat', '--data', dir])).length, 8)
})

test('import shows how far it is on a terminal, and only there', (t) => {
  const file = path.join(folder(t), 'messages')
  fs.writeFileSync(file, lines.join('\n') + '\n')
  const drawn = (TERM) => {
    const command = `'${BIN}' import --data '${folder(t)}' '${file}'`
    const done = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', input: '', env: environment({ TERM }) })
    assert.strictEqual(done.status, 0, done.stdout + done.stderr)
    return done.stdout
  }
  const text = drawn('xterm')
  assert.match(text, /\r\x1b\[Kimport +\[#*\.*\] +\d+ % +\d+ messages/)
  // the line is empty again when it is over
  assert.ok(!text.slice(text.lastIndexOf('\x1b[K')).includes('import ['), text)
  assert.ok(!drawn('dumb').includes('\x1b'))
})

test('import keeps away from what is not its own', async (t) => {
  const dir = importLines(t, lines.slice(0, 10))
  await Server.start(t, ['--data', dir])
  refused(['import', '--data', dir, '-'], IN_USE, /./, { input: lines.join('\n') })
  refused(['import', '--data', folder(t), path.join(dir, 'none')], NO_INPUT, /none/)
})

// ---- healthcheck

test('who cannot write what was asked for does not say that all is well', (t) => {
  const log = path.join(importLines(t, lines), 'log.offset')
  for (const args of [['--version'], ['--help'], ['verify', '--version'], ['verify', '--help'], ['verify', log], ['cat', '--log', log], ['get', '--log', log, '0']]) {
    const full = fs.openSync('/dev/full', 'w')
    const done = spawnSync(BIN, args, { encoding: 'utf8', stdio: ['ignore', full, 'pipe'], env: environment(), timeout: 60000 })
    fs.closeSync(full)
    assert.strictEqual(done.status, 74, `${args.join(' ')}: ${done.stderr}`)
    assert.match(done.stderr, /^sluice[^\n]*\n$/, args.join(' '))
  }
})

test('healthcheck asks whichever door there is', async (t) => {
  const dir = importLines(t, lines.slice(0, 10))
  const door = path.join(folder(t), 'door')
  const server = await Server.start(t, ['--data', dir, '--listen', '127.0.0.1:0', '--listen', 'unix:' + door])
  assert.strictEqual(fine(['healthcheck', '--url', server.url]), '')
  fine(['healthcheck', '--url', server.url + '/'])
  fine(['healthcheck', '--url', 'unix:' + door])
  fine(['healthcheck', '--listen', '127.0.0.1:' + server.port])
  fine(['healthcheck', '--listen', '0.0.0.0:0', '--port-file', server.portFile])
  fine(['healthcheck'], { env: { SLUICE_LISTEN: '127.0.0.1:0', SLUICE_PORT_FILE: server.portFile } })
  await server.stop()
  refused(['healthcheck', '--url', server.url], 1, /./)
  refused(['healthcheck', '--url', 'unix:' + door], 1, /./)
  refused(['healthcheck', '--listen', '0.0.0.0:0', '--port-file', server.portFile], 1, /./)
})

test('healthcheck needs no token, and tells another program from a server that is well', async (t) => {
  const tokens = path.join(folder(t), 'tokens')
  fs.writeFileSync(tokens, 'a-secret-token-of-24-chars\n', { mode: 0o600 })
  const server = await Server.start(t, ['--data', importLines(t, lines.slice(0, 10)), '--token-file', tokens])
  fine(['healthcheck', '--url', server.url])
  for (const answer of ['HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n', 'SSH-2.0-OpenSSH_9.2\r\n', '']) {
    const stranger = require('node:net').createServer((socket) => { socket.on('error', () => {}); socket.resume(); socket.end(answer) })
    await new Promise((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    const child = start(t, ['healthcheck', '--url', `http://127.0.0.1:${stranger.address().port}`])
    assert.strictEqual((await child.exited).code, 1, answer)
    assert.match(child.stderr, /^sluice healthcheck: [^\n]+\n$/)
    await new Promise((resolve) => stranger.close(resolve))
  }
})
