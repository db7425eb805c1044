// The WebSocket of this platform.
import { localError } from './errors.js'

export const NODE = typeof process === 'object' && Boolean(process.versions?.node)

// npm ws, from beside this file or from where the program was started.
async function nodeWebSocket() {
  const name = 'node:module' // not for bundlers to look into
  const { createRequire } = await import(/* @vite-ignore */ /* webpackIgnore: true */ name)
  for (const from of [import.meta.url, process.cwd() + '/']) {
    try { return createRequire(from)('ws') } catch { /* the next place */ }
  }
  return null
}

export async function webSocketOf(given) {
  const found = given || globalThis.WebSocket || (NODE ? await nodeWebSocket() : null)
  if (!found) throw localError('no-websocket', 'there is no WebSocket: use Node 22, npm install ws, or give a class as the option WebSocket')
  return found
}
