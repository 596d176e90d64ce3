// The HTTP API. The login is kept for this tab alone and sent in the Authorization header, never as a cookie: what
// another site makes the browser send is nobody's.

const KEEP = 'jackalope.login'
let login = sessionStorage.getItem(KEEP)

export class Refusal extends Error {
  constructor(status, error, reason) {
    super(typeof reason === 'string' ? reason : JSON.stringify(reason))
    this.status = status
    this.error = error
  }

  get isLogin() {
    return this.status === 401 && this.error === 'not_authorized'
  }
}

export function isLoggedIn() {
  return login !== null
}

export function logIn(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`)
  login = btoa(String.fromCharCode(...bytes))
  sessionStorage.setItem(KEEP, login)
}

export function logOut() {
  login = null
  sessionStorage.removeItem(KEEP)
}

/** Parts of a path, each encoded. */
export function path(...parts) {
  return parts.map((part) => encodeURIComponent(part)).join('/')
}

/** With what is set of the parameters. */
export function query(base, params) {
  const text = new URLSearchParams(Object.entries(params).filter(([, v]) => v != null && v !== '' && v !== false))
  return text.size ? `${base}?${text}` : base
}

async function ask(method, where, { body, signal, headers } = {}) {
  const more = body === undefined ? {} : { 'content-type': 'application/json' }
  return fetch(`api/${where}`, {
    method,
    signal,
    body,
    headers: { authorization: `Basic ${login}`, ...more, ...headers },
    credentials: 'omit', // so that a browser never asks for a password by itself
    cache: 'no-store',
    redirect: 'error',
  })
}

function refusal(answer, text) {
  let said = {}
  try {
    said = JSON.parse(text)
  } catch {
    // no answer of the broker's
  }
  return new Refusal(answer.status, said.error, said.reason || `${answer.status} ${answer.statusText}`)
}

async function send(method, where, options) {
  const answer = await ask(method, where, options)
  const text = await answer.text()
  if (!answer.ok) throw refusal(answer, text)
  return text ? JSON.parse(text) : null
}

/** Hands out an answer piece by piece, as it comes. */
export async function stream(where, signal, take) {
  const answer = await ask('GET', where, { signal })
  if (!answer.ok) throw refusal(answer, await answer.text())
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) take(part.value)
}

export const get = (where, signal) => send('GET', where, { signal })
export const put = (where, body) => send('PUT', where, { body: JSON.stringify(body ?? {}) })
export const post = (where, body, signal) => send('POST', where, { body: JSON.stringify(body ?? {}), signal })
export const remove = (where, headers) => send('DELETE', where, { headers })
export const upload = (where, text) => send('POST', where, { body: text })
