export const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms)
  signal?.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason) }, { once: true })
})

// Somewhat different for everybody, so that a server that comes back does not meet all of its clients at once.
export const backoff = (tries) => Math.min(5000, 50 * 2 ** tries) * (0.5 + Math.random() / 2)
