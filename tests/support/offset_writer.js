'use strict'
// Child process of offset_log.js: `node offset_writer.js FILE CODEC`. A JSON command a line on stdin, an answer a line on stdout, in order.
const createLog = require('flumelog-offset')
const readline = require('node:readline')

const [file, codec] = process.argv.slice(2)
const log = createLog(file, { offsetCodec: Number(codec), codec: { encode: (text) => Buffer.from(text), decode: (data) => data.toString(), buffer: true } })

const answer = (err, since) => process.stdout.write(JSON.stringify(err ? { error: String(err) } : { since }) + '\n')

log.since.once(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line)
    await new Promise((resolve) => {
      const done = (err, since) => { answer(err, since); resolve() }
      if (command.append) log.append(command.append, done)
      else log.del(command.delete, done)
    })
  }
  process.exit(0)
})
