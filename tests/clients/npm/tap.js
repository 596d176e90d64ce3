'use strict'
// What the suites of the npm clients share: the broker's address, fresh names, cases reported as TAP.

const assert = require('node:assert')
const { execFile } = require('node:child_process')
const path = require('node:path')
const { promisify } = require('node:util')

const broker = {
  host: process.env.AMQP_HOST || '127.0.0.1',
  port: Number(process.env.AMQP_PORT || 5672),
  user: process.env.AMQP_USER || 'guest',
  password: process.env.AMQP_PASSWORD || 'guest',
  vhost: process.env.AMQP_VHOST || '/',
}

const cases = []
let names = 0

function test(title, body, seconds = 30) {
  cases.push({ title, body, seconds })
}

function name(what = 'q') {
  return `${path.parse(process.argv[1]).name}.${process.pid}.${++names}.${what}`
}

/** An amqp:// URL, with parts of the broker's address changed. */
function url(changes = {}, query = '') {
  const { user, password, host, port, vhost } = { ...broker, ...changes }
  return `amqp://${user}:${password}@${host}:${port}/${encodeURIComponent(vhost)}${query}`
}

async function admin(...words) {
  await promisify(execFile)(process.env.AMQP_ADMIN, words.map(String))
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** A promise that fails after a while. */
function soon(promise, what = 'it', ms = 10000) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took too long`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function until(condition, ms = 10000) {
  const end = Date.now() + ms
  while (!(await condition())) {
    assert(Date.now() < end, 'waited too long')
    await sleep(5)
  }
}

/** A list that others push to, and the next of its items. */
function mailbox() {
  const items = []
  const take = async () => {
    await until(() => items.length)
    return items.shift()
  }
  return { push: (item) => items.push(item), take, items }
}

async function refused(text, body) {
  try {
    await soon(Promise.resolve().then(body), 'the refusal')
  } catch (error) {
    const said = [error.message, error.code, error.cause && error.cause.message].join(' ')
    assert(said.includes(text), `${said} lacks ${text}`)
    return error
  }
  throw new Error(`not refused (${text})`)
}

async function run() {
  const wanted = process.argv.slice(2)
  const chosen = cases.filter((one) => !wanted.length || wanted.some((word) => one.title.includes(word)))
  console.log(`1..${chosen.length}`)
  let failures = 0
  let stray = null
  process.on('unhandledRejection', (error) => { stray = error })
  process.on('uncaughtException', (error) => { stray = error })
  for (const [index, { title, body, seconds }] of chosen.entries()) {
    stray = null
    try {
      await soon(body(), 'the case', seconds * 1000)
      if (stray) throw stray
      console.log(`ok ${index + 1} - ${title}`)
    } catch (error) {
      failures++
      console.log(`not ok ${index + 1} - ${title}`)
      console.log(String((error && error.stack) || error).replace(/^/gm, '# '))
    }
  }
  process.exit(failures ? 1 : 0)
}

module.exports = { admin, assert, broker, mailbox, name, refused, run, sleep, soon, test, until, url }
