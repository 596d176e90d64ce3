// Tables of AMQP in forms: rows of a name, a value and its type. The rows are kept in the state of the page.

import { h } from './dom.js'

export const EXCHANGE_TYPES = ['direct', 'fanout', 'topic', 'headers', 'x-consistent-hash', 'x-delayed-message', 'x-random', 'x-local-random', 'x-modulus-hash', 'x-recent-history', 'x-message-deduplication']
export const QUEUE_ARGUMENTS = ['x-message-ttl', 'x-expires', 'x-max-length', 'x-max-length-bytes', 'x-overflow', 'x-dead-letter-exchange', 'x-dead-letter-routing-key', 'x-max-priority',
  'x-dead-letter-strategy', 'x-single-active-consumer', 'x-delivery-limit', 'x-consumer-timeout', 'x-delay', 'x-delayed-retry-type', 'x-delayed-retry-min', 'x-delayed-retry-max', 'x-message-deduplication']
export const STREAM_ARGUMENTS = ['x-max-age', 'x-max-length-bytes', 'x-stream-max-segment-size-bytes', 'x-stream-filter-size-bytes']
export const POLICY_KEYS = ['message-ttl', 'expires', 'max-length', 'max-length-bytes', 'overflow', 'dead-letter-exchange', 'dead-letter-routing-key', 'dead-letter-strategy', 'delivery-limit',
  'consumer-timeout', 'delay', 'delayed-retry-type', 'delayed-retry-min', 'delayed-retry-max', 'max-age', 'stream-max-segment-size-bytes', 'alternate-exchange']
/** What may be said, by name without its x-. */
const WORDS = {
  overflow: ['drop-head', 'reject-publish', 'reject-publish-dlx'], 'dead-letter-strategy': ['at-most-once', 'at-least-once'],
  'delayed-retry-type': ['disabled', 'all', 'failed', 'returned'], 'delayed-retry-schedule': ['linear', 'exponential'],
  'single-active-consumer': ['true', 'false'], 'message-deduplication': ['true', 'false'], 'delayed-type': EXCHANGE_TYPES,
}

const WHOLE = /^-?\d+$/
const NUMBER = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i
const TYPES = [['auto', 'as it looks'], ['string', 'text'], ['number', 'number'], ['boolean', 'true / false'], ['json', 'JSON']]

function rowsOf(ctx, name) {
  ctx.state.rows ||= {}
  return (ctx.state.rows[name] ||= [{ id: 1, name: '', value: '', type: 'auto' }])
}

export function setRows(ctx, name, object) {
  const rows = Object.entries(object).map(([key, v], i) => ({ id: Date.now() + i, name: key, value: typeof v === 'string' ? v : JSON.stringify(v), type: typeof v === 'string' ? 'string' : 'json' }))
  ctx.state.rows ||= {}
  ctx.state.rows[name] = [...rows, { id: Date.now() - 1, name: '', value: '', type: 'auto' }]
}

const wordsOf = (row) => WORDS[row.name.replace(/^x-/, '')]

/** A part of a form; presets: names that a click fills in. */
export function argumentsField(ctx, name, presets = [], title = 'Arguments') {
  const rows = rowsOf(ctx, name)
  const change = (row, what) => (event) => {
    row[what] = event.target.value
    if (rows.at(-1).name) rows.push({ id: rows.at(-1).id + 1, name: '', value: '', type: 'auto' })
    ctx.update()
  }
  const preset = (key) => {
    const row = rows.at(-1)
    row.name = key
    rows.push({ id: row.id + 1, name: '', value: '', type: 'auto' })
    ctx.update()
    document.querySelector(`[data-value="${name} ${row.id}"]`)?.focus()
  }
  return h('fieldset', { class: 'field wide args' }, h('legend', {}, title),
    rows.map((row) => h('div', { class: 'arg', key: row.id },
      h('input', { 'aria-label': 'name', placeholder: 'name', value: row.name, live: true, oninput: change(row, 'name'), spellcheck: 'false', autocomplete: 'off' }),
      h('input', { 'aria-label': 'value', placeholder: 'value', value: row.value, live: true, oninput: change(row, 'value'), 'data-value': `${name} ${row.id}`, list: wordsOf(row) && `words ${name} ${row.id}`.replaceAll(' ', '-'), spellcheck: 'false', autocomplete: 'off' }),
      wordsOf(row) && h('datalist', { id: `words ${name} ${row.id}`.replaceAll(' ', '-') }, wordsOf(row).map((word) => h('option', { value: word }))),
      h('select', { 'aria-label': 'type', onchange: change(row, 'type') }, TYPES.map(([v, label]) => h('option', { value: v, selected: v === row.type }, label))))),
    presets.length > 0 && h('p', { class: 'presets' }, presets.map((key) => h('button', { type: 'button', onclick: () => preset(key) }, key))))
}

function read(row) {
  const { value, type } = row
  if (type === 'string') return value
  if (type === 'number' || (type === 'auto' && WHOLE.test(value))) {
    const text = value.trim()
    const n = Number(text)
    if (!NUMBER.test(text) || !Number.isFinite(n)) throw new Error(`${row.name}: “${value}” is no number`)
    if (WHOLE.test(text) && !Number.isSafeInteger(n)) throw new Error(`${row.name}: “${value}” has more digits than a browser keeps`)
    return n
  }
  if (type === 'boolean' || (type === 'auto' && (value === 'true' || value === 'false'))) {
    if (value !== 'true' && value !== 'false') throw new Error(`${row.name}: “${value}” is neither true nor false`)
    return value === 'true'
  }
  if (type === 'auto') return value
  try {
    return JSON.parse(value)
  } catch {
    throw new Error(`${row.name}: “${value}” is no JSON`)
  }
}

/** Throws what the user is to be told. */
export function readArguments(ctx, name) {
  return Object.fromEntries(rowsOf(ctx, name).filter((row) => row.name).map((row) => [row.name, read(row)]))
}

export function clearArguments(ctx, name) {
  if (ctx.state.rows) delete ctx.state.rows[name]
}
