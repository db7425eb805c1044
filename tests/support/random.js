'use strict'
// Random choices that a seed repeats.

// splitmix32. bits: 32 of them; below(n): 0 to n - 1; fraction: from 0 to 1, without it.
function makeRandom(seed) {
  let state = seed >>> 0
  const bits = () => {
    state = (state + 0x9e3779b9) >>> 0
    let x = state
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
    return (x ^ (x >>> 15)) >>> 0
  }
  const below = (n) => bits() % n
  return { bits, below, fraction: () => bits() / 4294967296, chance: (percent) => below(100) < percent, pick: (list) => list[below(list.length)] }
}

// SLUICE_TEST_SEED, which repeats a run; or what tests/run gives to all of them; or another one each time.
const drawnSeed = () => Number(process.env.SLUICE_TEST_SEED || process.env.SLUICE_TEST_DICE) || Date.now() % 1000000 + 3

// Those that are always tried and the drawn one; with SLUICE_TEST_SEED that one alone.
const seedsWith = (...always) => process.env.SLUICE_TEST_SEED ? [drawnSeed()] : [...always, drawnSeed()]

module.exports = { drawnSeed, makeRandom, seedsWith }
