export const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms)
  signal?.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason) }, { once: true })
})

// In seconds: a server that wants to be left alone for longer is not waited for.
const RETRY_AFTER_MOST = 60

// May it be over soon? Nobody answered, the server has too much to do, or has to do with too much of ours.
export const isPassing = (err) => [0, 429, 503].includes(err.status) && !(err.retryAfter > RETRY_AFTER_MOST)

// Somewhat different for everybody, so that a server that comes back does not meet all of its clients at once.
export const backoff = (tries, err) => Math.min(RETRY_AFTER_MOST, err?.retryAfter ?? 0) * 1000 + Math.min(5000, 50 * 2 ** tries) * (0.5 + Math.random() / 2)
