'use strict'
// Child process of run: `node attacker.js ATTACK PORT` attacks until it is killed, and prints "begun" when it is in full swing.
const attacks = require('./attacks')

const [name, port] = process.argv.slice(2)
const say = (text) => process.stderr.write(text + '\n')
let begun = false
// whoever started this has gone
process.stdin.on('end', () => process.exit(0)).resume()
process.on('SIGTERM', () => process.exit(0))
attacks[name]({ port: Number(port), say, begun: () => { if (!begun) console.log('begun'); begun = true } })
