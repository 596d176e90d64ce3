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

/** There was no answer, or not all of it. */
export class Away extends Error {}

/** What the browser says then cannot be told from a mistake of this page's. */
export function orAway(error) {
  return error instanceof TypeError ? new Away('The broker does not answer.') : error
}

const arrived = (promise) => promise.catch((error) => {
  throw orAway(error)
})

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

/** A name . or .. would be taken for a step in the path, whose request is another one. */
const STEP = /(^|\/)\.\.?([/?]|$)/

async function ask(method, where, { body, signal, headers } = {}) {
  if (STEP.test(where)) throw new Error('What is called . or .. has no address: jackalopectl can do it.')
  const more = body === undefined ? {} : { 'content-type': 'application/json' }
  return arrived(fetch(`api/${where}`, {
    method,
    signal,
    body,
    headers: { authorization: `Basic ${login}`, ...more, ...headers },
    credentials: 'omit', // so that a browser never asks for a password by itself
    cache: 'no-store',
    redirect: 'error',
  }))
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

async function sendText(method, where, options) {
  const answer = await ask(method, where, options)
  const text = await arrived(answer.text())
  if (!answer.ok) throw refusal(answer, text)
  return text
}

async function send(method, where, options) {
  const text = await sendText(method, where, options)
  return text ? JSON.parse(text) : null
}

/** Hands out an answer piece by piece, as it comes. */
export async function stream(where, signal, take) {
  const answer = await ask('GET', where, { signal })
  if (!answer.ok) throw refusal(answer, await arrived(answer.text()))
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  const next = () => arrived(reader.read())
  for (let part = await next(); !part.done; part = await next()) take(part.value)
}

export const get = (where, signal) => send('GET', where, { signal })
/** As it came: numbers that are read and written again may be others. */
export const getText = (where) => sendText('GET', where)
export const put = (where, body) => send('PUT', where, { body: JSON.stringify(body ?? {}) })
export const post = (where, body, signal) => send('POST', where, { body: JSON.stringify(body ?? {}), signal })
export const remove = (where, headers) => send('DELETE', where, { headers })
export const upload = (where, text) => send('POST', where, { body: text })
