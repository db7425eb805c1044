'use strict'
// The real program for tests in Node: its own folder, port 0, no sleeps. Every helper fails with what the program said.
const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const zlib = require('node:zlib')

const ROOT = process.env.SLUICE_TEST_ROOT || path.resolve(__dirname, '..', '..')
const BIN = process.env.SLUICE_TEST_BIN || path.join(ROOT, 'build', 'sluice')
const GEN = process.env.SLUICE_TEST_GEN || path.join(ROOT, 'build', 'release', 'tests', 'gen')

// What a test leaves goes in the reverse order: a folder only when the server that may still make files in it has ended.
const leavings = new WeakMap()
function later(t, undo) {
  if (!leavings.has(t)) {
    const undos = []
    leavings.set(t, undos)
    t.after(async () => {
      let failed = null
      while (undos.length > 0) try { await undos.pop()() } catch (err) { failed = failed || err }
      if (failed) throw failed
    })
  }
  leavings.get(t).push(undo)
}

// A folder that goes with the test: pass the test's context.
function folder(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-test-'))
  later(t, () => fs.rmSync(dir, { recursive: true, force: true }))
  return dir
}

function environment(extra) {
  const env = { ...process.env, HOME: '/nonexistent', XDG_DATA_HOME: os.tmpdir(), ...extra }
  for (const name of Object.keys(env)) if (name.startsWith('SLUICE_TEST_')) delete env[name]
  return env
}

// The program as somebody else: where our sanitizers' files are he may not even look, and some end the program for that. What they find is on its
// standard error then, and in its exit code.
function withoutFiles(env) {
  for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS']) if (env[name]) env[name] = env[name].replace(/log_path=[^:]*:?/, '')
  return env
}

// Runs a sub-command to its end: { status, stdout, stderr }.
function run(args, options = {}) {
  const { env, ...rest } = options
  return spawnSync(BIN, args, { encoding: 'utf8', maxBuffer: 1 << 30, timeout: 120000, ...rest, env: environment(env) })
}

// Waits until check() gives something truthy, looking again every few milliseconds.
async function until(check, what, timeout = 30000) {
  const end = Date.now() + timeout
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > end) throw new Error('waited in vain for ' + (typeof what === 'function' ? what() : what))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

class Server {
  // args: of `sluice serve`, without doors and port file. options: env, uid (whom the program runs as), bin.
  static async start(t, args, options = {}) {
    const server = new Server()
    server.dir = folder(t)
    server.bin = options.bin || BIN
    server.owner = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }
    if (options.uid !== undefined) fs.chownSync(server.dir, options.uid, options.uid)
    server.portFile = path.join(server.dir, 'port')
    server.args = ['serve', ...args, '--port-file', server.portFile]
    if (!args.includes('--listen')) server.args.push('--listen', '127.0.0.1:0')
    server.env = options.uid === undefined ? environment(options.env) : withoutFiles(environment(options.env))
    later(t, () => server.kill())
    await server.launch()
    return server
  }

  async launch() {
    fs.rmSync(this.portFile, { force: true })
    this.stdout = this.stderr = ''
    this.child = spawn(this.bin, this.args, { env: this.env, stdio: ['ignore', 'pipe', 'pipe'], ...this.owner })
    this.child.stdout.setEncoding('utf8').on('data', (data) => { this.stdout += data })
    this.child.stderr.setEncoding('utf8').on('data', (data) => { this.stderr += data })
    this.exited = new Promise((resolve) => this.child.on('close', (code, signal) => { this.code = code; resolve({ code, signal }) }))
    let over = false
    this.exited.then(() => { over = true })
    await until(() => {
      if (over) throw new Error(`sluice ended with ${this.code}: ${this.stderr}`)
      return fs.existsSync(this.portFile)
    }, () => 'the port file; the server said: ' + this.stderr)
    await new Promise(setImmediate) // what it said before is read first
    this.port = Number(fs.readFileSync(this.portFile, 'utf8'))
    this.url = `http://127.0.0.1:${this.port}`
    this.ws = `ws://127.0.0.1:${this.port}`
  }

  // SIGTERM, and what the program answers: { code, signal }. Fails a test whose server does not end.
  async stop(signal = 'SIGTERM') {
    this.child.kill(signal)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 15000)
    const result = await this.exited
    clearTimeout(timer)
    return result
  }

  async kill() {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.stop()
  }

  // One request as it is, no following, no decoding of the path: { status, headers, bytes, text, json }.
  request(target, { method = 'GET', headers = {}, body, agent, socketPath } = {}) {
    const where = socketPath ? { socketPath } : { host: '127.0.0.1', port: this.port }
    return new Promise((resolve, reject) => {
      const req = http.request({ ...where, method, path: target, headers, agent: agent || false }, (res) => {
        const chunks = []
        res.on('data', (chunk) => chunks.push(chunk))
        res.on('error', reject)
        res.on('end', () => {
          const bytes = Buffer.concat(chunks)
          const text = bytes.toString('utf8')
          let json
          try { json = JSON.parse(text) } catch { json = undefined }
          resolve({ status: res.statusCode, headers: res.headers, bytes, text, json })
        })
      })
      req.on('error', reject)
      req.end(body)
    })
  }

  async get(target, headers) {
    const res = await this.request(target, { headers })
    if (res.status !== 200) throw new Error(`GET ${target}: ${res.status} ${res.text}`)
    return res.json
  }

  post(target, body, headers = {}) {
    return this.request(target, {
      method: 'POST',
      body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', ...headers }
    })
  }

  // All pages of a list, following `next`.
  async pages(target, member) {
    const rows = []
    for (let next = target; next;) {
      const page = await this.get(next)
      rows.push(...page[member])
      next = page.next
    }
    return rows
  }

  // A stream of lines (NDJSON or SSE): { lines, close(), until(n) }.
  lines(target, headers = { Accept: 'application/x-ndjson' }) {
    return new Promise((resolve, reject) => {
      const req = http.request({ host: '127.0.0.1', port: this.port, path: target, headers, agent: false }, (res) => {
        const stream = { status: res.statusCode, headers: res.headers, lines: [], ended: false, close: () => req.destroy() }
        let rest = ''
        res.setEncoding('utf8')
        res.on('data', (chunk) => {
          const parts = (rest + chunk).split('\n')
          rest = parts.pop()
          stream.lines.push(...parts.filter((line) => line !== ''))
        })
        res.on('end', () => { stream.ended = true })
        res.on('error', () => { stream.ended = true })
        stream.until = (check, what) => until(() => check(stream), () => `${what}; got ${stream.lines.length} lines, the last: ${stream.lines.at(-1)}`)
        resolve(stream)
      })
      req.on('error', reject)
      req.end()
    })
  }
}

// NDJSON lines of generated, signed messages, always the same for the same arguments.
function generate(count, ...args) {
  const made = spawnSync(GEN, [String(count), ...args], { encoding: 'utf8', maxBuffer: 1 << 30 })
  if (made.status !== 0) throw new Error('gen: ' + made.stderr)
  return made.stdout.trimEnd().split('\n')
}

function sample() {
  return zlib.gunzipSync(fs.readFileSync(path.join(ROOT, 'tests', 'fixtures', 'sample.ndjson.gz'))).toString('utf8').trimEnd().split('\n')
}

// A log folder with these NDJSON lines in it.
function importLines(t, lines, ...args) {
  const dir = folder(t)
  const done = run(['import', '--data', dir, '--trust', ...args, '-'], { input: lines.join('\n') + '\n' })
  if (done.status !== 0) throw new Error('import: ' + done.stderr)
  return dir
}

// The built-in views.
const viewNames = () => [...fs.readFileSync(path.join(ROOT, 'views', 'views.def'), 'utf8').matchAll(/^VIEW\((\w+)\)$/gm)].map(([, name]) => name).sort()

// A record without its seq as the server shows it: encrypted messages say how they are.
function shown(record) {
  const content = record.value && record.value.content
  if (typeof content !== 'string') return record
  const suffix = /\.([A-Za-z0-9]{1,32})$/.exec(content)
  return { encrypted: !suffix ? 'unknown' : suffix[1] === 'box' ? 'box1' : suffix[1], ...record }
}

module.exports = { shown, viewNames, ROOT, BIN, GEN, environment, folder, run, until, Server, generate, sample, importLines }
