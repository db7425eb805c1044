// What went wrong, in the words of the server (RFC 9457), or of this client where there was no answer (status 0). `code` is for programs:
// 'not-found', 'fork', 'unreachable', …
export class SluiceError extends Error {
  constructor(problem, options) {
    super(problem.detail || problem.title || 'an unknown problem', options)
    this.name = 'SluiceError'
    this.type = problem.type || 'about:blank'
    this.title = problem.title || ''
    this.status = problem.status || 0
    this.detail = problem.detail || ''
    this.code = this.type === 'about:blank' ? 'http-' + this.status : this.type.split('/').pop()
    if (problem.index !== undefined) this.index = problem.index
    if (problem.reason !== undefined) this.reason = problem.reason
    if (problem.retryAfter !== undefined) this.retryAfter = problem.retryAfter // seconds that the server wants to be left alone for
  }
}

export function localError(code, detail, cause) {
  return new SluiceError({ type: '/problems/' + code, title: 'The client could not go on', detail }, { cause })
}

// Retry-After is a number of seconds, or a date; undefined if there is none that can be read.
function retryAfterOf(response) {
  const text = response.headers.get('Retry-After') ?? ''
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.max(0, (Date.parse(text) - Date.now()) / 1000)
  return Number.isNaN(seconds) ? undefined : seconds
}

export async function answerError(response) {
  const text = await response.text().catch(() => '')
  const known = { status: response.status, retryAfter: retryAfterOf(response) }
  try {
    return new SluiceError({ ...known, ...JSON.parse(text) })
  } catch {
    return new SluiceError({ ...known, title: response.statusText, detail: `${response.status} ${text.slice(0, 200)}` })
  }
}

export function networkError(err, signal) {
  if (err instanceof SluiceError || signal?.aborted) return err
  return localError('unreachable', `the server does not answer: ${err.cause?.message || err.message}`, err)
}
