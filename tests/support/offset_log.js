'use strict'
// Logs as another program writes them: the real flumelog-offset in a process of its own, and frames made by hand for what it
// cannot be asked to do (half a record, the older frame).
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

// Bytes of the field behind a record's second length, by codec.
const NEXT_BYTES = { v2: 0, 32: 4, 48: 6, 53: 8 }

function frame(text, codec, at) {
  const data = Buffer.from(text)
  const bytes = NEXT_BYTES[codec]
  const out = Buffer.alloc(8 + data.length + bytes)
  out.writeUInt32BE(data.length, 0)
  data.copy(out, 4)
  out.writeUInt32BE(data.length, 4 + data.length)
  const next = at + out.length
  if (bytes === 4) out.writeUInt32BE(next, 8 + data.length)
  if (bytes === 6) out.writeUIntBE(next, 8 + data.length, 6)
  if (bytes === 8) out.writeBigUInt64BE(BigInt(next), 8 + data.length)
  return out
}

// All the lines as the bytes of a log: { bytes, seqs }.
function frames(lines, codec, at = 0) {
  const parts = [], seqs = []
  for (const line of lines) {
    const part = frame(line, codec, at)
    parts.push(part)
    seqs.push(at)
    at += part.length
  }
  return { bytes: Buffer.concat(parts), seqs }
}

// flumelog-offset in a process of its own, which appends what it is told to.
class Writer {
  constructor(t, file, codec = 32) {
    this.child = spawn(process.execPath, [path.join(__dirname, 'offset_writer.js'), file, String(codec)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.seqs = []
    this.waiting = []
    let rest = ''
    this.child.stdout.setEncoding('utf8')
    this.child.stdout.on('data', (text) => {
      const parts = (rest + text).split('\n')
      rest = parts.pop()
      for (const part of parts) this.waiting.shift()(JSON.parse(part))
    })
    this.exited = new Promise((resolve) => this.child.on('close', resolve))
    t.after(() => this.close())
  }

  #ask(command) {
    this.child.stdin.write(JSON.stringify(command) + '\n')
    return new Promise((resolve, reject) => {
      this.waiting.push((answer) => answer.error ? reject(new Error(answer.error)) : resolve(answer.since))
    })
  }

  // One write of all the lines. Answers the seq of the last one.
  append(lines) { return this.#ask({ append: lines }) }

  // Overwrites a record with zeros, as flumelog-offset deletes.
  delete(seq) { return this.#ask({ delete: seq }) }

  close() {
    this.child.stdin.end()
    return this.exited
  }
}

async function written(t, file, codec, lines) {
  const writer = new Writer(t, file, codec)
  await writer.append(lines)
  await writer.close()
  return file
}

// What must not change in a log that is followed.
function state(file) {
  const { mtimeNs, ctimeNs, mode, size, ino } = fs.statSync(file, { bigint: true })
  return { mtimeNs, ctimeNs, mode, size, ino, bytes: fs.readFileSync(file).toString('base64'), beside: fs.readdirSync(path.dirname(file)).sort() }
}

module.exports = { NEXT_BYTES, frame, frames, Writer, written, state }
