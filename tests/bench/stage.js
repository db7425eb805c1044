'use strict'
// Where a measurement takes place: settings, data, programs, servers, and the figures they print.
const { spawn, spawnSync, execFileSync } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')

const ROOT = path.resolve(__dirname, '..', '..')
const OUT = path.resolve(ROOT, process.env.OUT || 'build')
const DIR = path.join(OUT, 'bench')
const NPM = path.join(DIR, 'npm')
const WORK = path.join(DIR, 'work')
const N = Number(process.env.BENCH_N || 1000000)
const ROUNDS = Number(process.env.BENCH_ROUNDS || 5)
const LONG_ROUNDS = Math.min(3, ROUNDS)
const SLUICE = path.join(OUT, 'sluice')
const SERVER_CPU = 1
const LOAD_CPU = 0

const program = (name) => path.join(OUT, 'release', 'tests', 'bench_' + name)
const peer = (name) => path.join(__dirname, 'peers', name)
const dataDir = (n = N) => path.join(DIR, 'data-' + n)
const data = (name, n = N) => path.join(dataDir(n), name)
const say = (text) => process.stderr.write(text + '\n')

// An empty folder under WORK.
function scratch(name) {
  const dir = path.join(WORK, name)
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(dir, { recursive: true })
  return dir
}

// ---- figures ----

class Figures {
  constructor() {
    this.samples = {} // row -> who -> values, one a round
    this.facts = {} // row -> who -> value
  }

  put(row, who, value) {
    if (!Number.isFinite(value)) throw new Error(`${row}: ${who} gave no figure`)
    this.samples[row] ??= {}
    ;(this.samples[row][who] ??= []).push(value)
  }

  // Contenders must have done the same work.
  fact(row, who, value) {
    const facts = this.facts[row] ??= {}
    facts[who] = value
    for (const [other, there] of Object.entries(facts)) {
      if (Math.abs(there - value) > 1e-9 * Math.abs(value)) throw new Error(`${row}: ${who} has ${value}, ${other} has ${there}`)
    }
  }

  read(text) {
    for (const line of text.split('\n')) {
      if (!line.startsWith('{')) continue
      const said = JSON.parse(line)
      if (said.row) this.put(said.row, said.who, said.value)
      if (said.fact) this.fact(said.fact, said.who, said.value)
    }
  }
}

// ---- programs ----

function pinned(command, cpu) {
  const usable = cpu !== undefined && os.cpus().length > 1
  return usable ? ['taskset', '-c', String(cpu), ...command] : command
}

const environment = (round) => ({ ...process.env, NODE_PATH: path.join(NPM, 'node_modules'), BENCH_ROUND: String(round || 0), HOME: WORK })

// Runs a program to its end and takes its figures. options: cpu, round, figures, quiet.
function run(command, { cpu, round, figures } = {}) {
  const [file, ...args] = pinned(command.map(String), cpu)
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env: environment(round), stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (text) => { out += text })
    child.stderr.on('data', (text) => { err = (err + text).slice(-4000) })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0) return reject(new Error(`${command.slice(0, 4).join(' ')} ended with ${code}: ${err}`))
      try {
        if (figures) figures.read(out)
        resolve(out)
      } catch (error) { reject(error) }
    })
  })
}

const node = (script, ...args) => [process.execPath, '--max-old-space-size=12000', peer(script), ...args]

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('connect', () => { socket.destroy(); resolve(true) })
    socket.on('error', () => resolve(false))
  })
}

// Starts a server on a CPU (undefined = on all of them); `command(port)` is its command line. Answers { port, pid, stop }.
async function serve(command, cpu) {
  const port = await freePort()
  const [file, ...args] = pinned(command(port).map(String), cpu)
  const child = spawn(file, args, { env: environment(), stdio: ['ignore', 'ignore', 'pipe'] })
  let err = ''
  let over = false
  child.stderr.on('data', (text) => { err = (err + text).slice(-4000) })
  const ended = new Promise((resolve) => child.on('close', () => { over = true; resolve() }))
  for (let tries = 0; !await listens(port); tries++) {
    if (over || tries > 12000) throw new Error(`${command(port)[0]} does not serve: ${err}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const stop = async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 15000)
    await ended
    clearTimeout(timer)
  }
  return { port, pid: child.pid, stop }
}

const cpuTicks = (pid) => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop().split(' ').slice(11, 13).join()

// Until it does nothing any more: a server has things to do after its start, in idle moments, from 200 ms on.
async function idle(pid) {
  for (let before = '', now = cpuTicks(pid); before !== now; now = cpuTicks(pid)) {
    before = now
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

const sluiceOn = (cpu, ...args) => serve((port) => [SLUICE, 'serve', '--listen', '127.0.0.1:' + port, ...args], cpu)
const sluice = (...args) => sluiceOn(SERVER_CPU, ...args)
const limits = (mode, ...args) => serve((port) => [program('limits'), mode, port, ...args], SERVER_CPU)
const postsOn = (cpu, ...file) => serve((port) => [program('posts'), port, ...file], cpu)
const nodeServer = (script, ...args) => serve((port) => node(script, port, ...args), SERVER_CPU)

// ---- what is measured with ----

async function makeData(n = N) {
  const dir = dataDir(n)
  if (fs.existsSync(path.join(dir, 'made'))) return
  say(`making ${n} messages`)
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(dir, { recursive: true })
  await run([program('data'), n, dir])
  fs.writeFileSync(path.join(dir, 'made'), '')
}

function installPeers() {
  const wanted = fs.readFileSync(path.join(__dirname, 'package.json'), 'utf8')
  const stamp = path.join(NPM, '.installed')
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wanted) return
  say('installing the peers')
  fs.mkdirSync(NPM, { recursive: true })
  fs.writeFileSync(path.join(NPM, 'package.json'), wanted)
  const done = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'], { cwd: NPM, stdio: ['ignore', 2, 2] })
  if (done.status !== 0) throw new Error('npm install failed')
  fs.writeFileSync(stamp, wanted)
}

// The folder of views that are at the log's head, made by the program as it is now.
let views
async function currentViews() {
  if (views) return views
  const dir = scratch('views')
  await run([program('rebuild'), data('log.offset'), dir, 'unused'])
  views = dir
  return views
}

// Systems take out of the page cache what nobody has read for a while: the log is read before it is measured with.
function readInto(file) {
  const fd = fs.openSync(file, 'r')
  const block = Buffer.alloc(4 << 20)
  while (fs.readSync(fd, block) > 0);
  fs.closeSync(fd)
}

// Leaves the file on the disk only, if it is there.
const dropCached = (file) => execFileSync('dd', ['if=' + file, 'iflag=nocache', 'count=0', 'status=none'])

// A copy that the disk is still busy with would be measured, too.
function settle(file) {
  const fd = fs.openSync(file, 'r+')
  fs.fsyncSync(fd)
  fs.closeSync(fd)
}

// As after a start of the machine: the kernel keeps in large pieces what it reads from the disk in a row, in small ones what was written in small ones.
function readAnew(file) {
  settle(file)
  dropCached(file)
  readInto(file)
}

// The first `count` lines of the data as a file of their own.
function head(name, count) {
  const to = data(name)
  if (!fs.existsSync(to)) execFileSync('sh', ['-c', 'head -n "$1" "$2" > "$3.new" && mv "$3.new" "$3"', 'sh', String(count), data('data.ndjson'), to])
  return to
}

function machine() {
  const git = (...args) => spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout.trim()
  return {
    cpu: `${os.cpus().length} × ${os.cpus()[0].model.trim()}`,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    kernel: os.release(),
    node: process.version,
    commit: git('rev-parse', '--short=10', 'HEAD') + (git('status', '--porcelain', 'store', 'views', 'server') ? ' with changes' : ''),
    date: new Date().toISOString().slice(0, 16) + 'Z'
  }
}

// Does every task once a round, in turning order.
async function rounds(count, tasks) {
  for (let round = 0; round < count; round++) {
    for (const task of round % 2 ? [...tasks].reverse() : tasks) await task(round)
  }
}

module.exports = {
  ROOT, DIR, WORK, N, ROUNDS, LONG_ROUNDS, SLUICE, SERVER_CPU, LOAD_CPU,
  Figures, program, data, dataDir, say, scratch, run, node, freePort, sluice, sluiceOn, limits, postsOn, nodeServer, makeData, installPeers, currentViews, readInto, readAnew, dropCached, settle, idle, head, machine, rounds
}
