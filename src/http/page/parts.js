// What pages are made of: tables, forms, questions, short news.

import { h, patch, values } from './dom.js'
import { count, value } from './format.js'

/** columns: [{label, cell(row), num, sort, title, head}]; a head column names its row. */
export function table({ caption, columns, rows, key, sort, reverse, onsort, empty = 'none' }) {
  return h('div', { class: 'scroll' }, h('table', {},
    h('caption', { class: 'hidden' }, caption),
    h('thead', {}, h('tr', {}, columns.map((column) => heading(column, sort, reverse, onsort)))),
    h('tbody', {}, rows.length
      ? rows.map((row, i) => h('tr', { key: key ? key(row) : i }, columns.map((column) => cell(column, column.cell(row)))))
      : h('tr', { key: '-' }, h('td', { colspan: columns.length, class: 'dim' }, empty)))))
}

/** The identity of a row of several names, whatever characters these have. */
export const keyOf = (...names) => JSON.stringify(names)

const ROWS = 100

/** A table whose rows are all known, searched and cut into pages here; name: of its part of the address; text(row): what is searched. */
export function longTable(ctx, name, { rows, text, ...rest }) {
  const wanted = ctx.query.get(`${name}.find`) || ''
  if (rows.length <= ROWS && !wanted) return table({ rows, ...rest })
  const found = wanted ? rows.filter((row) => text(row).toLowerCase().includes(wanted.toLowerCase())) : rows
  const pages = Math.max(1, Math.ceil(found.length / ROWS))
  const page = Math.min(pages, Number(ctx.query.get(`${name}.page`)) || 1)
  const find = (event) => ctx.note({ [`${name}.find`]: event.target.value, [`${name}.page`]: '' }, true)
  return [
    h('form', { class: 'filter', onsubmit: (event) => event.preventDefault() }, h('label', {}, h('span', { class: 'hidden' }, `search: ${rest.caption}`),
      h('input', { type: 'search', placeholder: 'search', value: wanted, oninput: find, spellcheck: 'false', autocomplete: 'off' }))),
    table({ ...rest, rows: found.slice((page - 1) * ROWS, page * ROWS), empty: wanted ? 'nothing of it was found' : rest.empty }),
    pager({ page, pages, of: rest.caption, filtered: found.length, total: rows.length, onpage: (n) => ctx.note({ [`${name}.page`]: n === 1 ? '' : String(n) }) }),
  ]
}

function cell(column, inside) {
  const zero = column.num && typeof inside === 'string' && /^0( |\/|$)/.test(inside)
  const name = [column.num && 'num', zero && 'dim', column.class].filter(Boolean).join(' ')
  return h(column.head ? 'th' : 'td', { scope: column.head && 'row', class: name || null }, inside)
}

function heading(column, sort, reverse, onsort) {
  const props = { scope: 'col', class: column.num && 'num', title: column.title }
  if (!column.sort || !onsort) return h('th', props, column.label)
  const on = sort === column.sort
  return h('th', { ...props, 'aria-sort': on ? (reverse ? 'descending' : 'ascending') : 'none' },
    h('button', { type: 'button', class: 'sort', onclick: () => onsort(column.sort, on ? !reverse : Boolean(column.num)) },
      column.label, h('span', { 'aria-hidden': 'true', class: 'arrow' }, on ? (reverse ? '▾' : '▴') : '')))
}

/** Names and values; wide: a line of its own. */
export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter((pair) => pair && pair[1] !== undefined && pair[1] !== '').map(([name, v, wide]) => h('div', { key: name, class: wide && 'wide' },
    h('dt', {}, name), h('dd', {}, v === null ? '–' : v))))
}

/** A table of AMQP as names and values. */
export function properties(object) {
  const entries = Object.entries(object || {})
  if (!entries.length) return h('span', { class: 'dim' }, 'none')
  return h('dl', { class: 'props' }, entries.map(([name, v]) => h('div', {},
    h('dt', {}, name), h('dd', {}, v && typeof v === 'object' && !Array.isArray(v) ? properties(v) : value(v)))))
}

export function section(title, ...kids) {
  return h('section', {}, h('h2', {}, title), kids)
}

/** Opened and closed by the user. */
export function folded(title, ...kids) {
  return h('details', { class: 'folded', key: `folded ${title}` }, h('summary', {}, title), h('div', { class: 'inside' }, kids))
}

export function badge(text, title, kind) {
  return h('span', { class: kind ? `badge ${kind}` : 'badge', title }, text)
}

const good = new Set(['running', 'idle', 'up'])

export function state(text) {
  if (!text) return ''
  return h('span', { class: `state ${good.has(text) ? (text === 'idle' ? 'idle' : 'good') : 'warn'}` }, text)
}

export function yesNo(b) {
  return b ? 'yes' : 'no'
}

let ids = 0
const idOf = new Map()

function fieldId(name) {
  if (!idOf.has(name)) idOf.set(name, `f${++ids}`)
  return idOf.get(name)
}

/** {name, label, type, value, options, hint, required, list, max, autocomplete, rows} */
export function field(f, scope = '') {
  const id = fieldId(`${scope}/${f.name}`)
  const hint = f.hint && `${id}h`
  const common = { id, name: f.name, required: f.required, 'aria-describedby': hint, onchange: f.onchange, oninput: f.oninput }
  let input
  if (f.type === 'select') {
    input = h('select', common, f.options.map((option) => {
      const [v, label] = Array.isArray(option) ? option : [option, option]
      return h('option', { value: v, selected: v === f.value }, label)
    }))
  } else if (f.type === 'textarea') {
    input = h('textarea', { ...common, rows: f.rows || 4, value: f.value, spellcheck: 'false' })
  } else if (f.type === 'checkbox') {
    return h('div', { class: 'field check' }, h('label', { for: id }, h('input', { ...common, type: 'checkbox', checked: Boolean(f.value) }), ' ', f.label),
      f.hint && h('p', { class: 'hint', id: hint }, f.hint))
  } else {
    input = h('input', {
      ...common, type: f.type || 'text', value: f.value, min: f.min, max: f.max, autocomplete: f.autocomplete || 'off', list: f.list && `${id}l`, placeholder: f.placeholder, spellcheck: 'false',
    })
  }
  return h('div', { class: f.wide ? 'field wide' : 'field' },
    h('label', { for: id }, f.label), input,
    f.list && h('datalist', { id: `${id}l` }, f.list.map((v) => h('option', { value: v }))),
    f.hint && h('p', { class: 'hint', id: hint }, f.hint))
}

/** fields: those of field(), or trees. onsubmit(values, form): its promise disables the button until it is settled. */
export function form({ scope, fields, action, onsubmit, danger, extra }) {
  return h('form', {
    class: 'form',
    onsubmit: async (event) => {
      event.preventDefault()
      const target = event.currentTarget
      const button = target.querySelector('[type=submit]')
      if (button.disabled) return
      button.disabled = true
      try {
        await onsubmit(values(target), target)
      } finally {
        button.disabled = false
      }
    },
  }, h('div', { class: 'fields' }, fields.map((f) => (f && f.tag ? f : f && field(f, scope)))),
  h('div', { class: 'buttons' }, h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, action), extra))
}

/** A question in front of everything; the promise has the values of its fields, or null. */
export function ask({ title, text, fields = [], action = 'OK', danger = true }) {
  return new Promise((resolve) => {
    const before = document.activeElement
    const holder = document.createElement('div')
    document.body.append(holder)
    let answer = null
    patch(holder, [h('dialog', {
      'aria-labelledby': 'ask-title',
      onclose: () => {
        holder.remove()
        if (before && before.isConnected) before.focus()
        resolve(answer)
      },
    },
    h('h2', { id: 'ask-title' }, title), text && h('p', {}, text),
    form({
      scope: 'ask', fields, action, danger,
      onsubmit: async (given) => {
        answer = given
        holder.firstChild.close()
      },
      extra: h('button', { type: 'button', onclick: () => holder.firstChild.close() }, 'Cancel'),
    }))])
    holder.firstChild.showModal()
  })
}

/** Shown for a while, and read out. */
export function tell(text, bad = false) {
  const news = document.getElementById('news')
  const line = document.createElement('div')
  line.className = bad ? 'news bad' : 'news'
  line.setAttribute('role', bad ? 'alert' : 'status')
  line.textContent = text
  news.append(line)
  setTimeout(() => line.remove(), bad ? 12000 : 5000)
}

/** Does something at the broker, says how it went, and looks again. */
export async function act(ctx, done, work) {
  try {
    const result = await work()
    tell(typeof done === 'function' ? done(result) : done)
    await ctx.refresh()
    return true
  } catch (error) {
    if (ctx.failed(error)) return false
    tell(error.message, true)
    return false
  }
}

/** The same after a question. */
export async function sure(ctx, question, done, work) {
  const given = await ask(question)
  return given ? act(ctx, done, () => work(given)) : false
}

export function pager({ page, pages, size, of = 'the list', filtered, total, onpage, onsize }) {
  return h('nav', { class: 'pager', 'aria-label': `pages of ${of}` },
    h('button', { type: 'button', disabled: page <= 1, onclick: () => onpage(1), 'aria-label': 'first page' }, '«'),
    h('button', { type: 'button', disabled: page <= 1, onclick: () => onpage(page - 1), 'aria-label': 'previous page' }, '‹'),
    h('span', {}, `page ${count(page)} of ${count(pages)}`),
    h('button', { type: 'button', disabled: page >= pages, onclick: () => onpage(page + 1), 'aria-label': 'next page' }, '›'),
    h('button', { type: 'button', disabled: page >= pages, onclick: () => onpage(pages), 'aria-label': 'last page' }, '»'),
    h('span', { class: 'dim', role: 'status' }, filtered === total ? `${count(total)} in all` : `${count(filtered)} of ${count(total)}`),
    onsize && h('label', {}, 'rows ', h('select', { onchange: (event) => onsize(Number(event.target.value)) },
      [25, 50, 100, 250, 500].map((n) => h('option', { value: n, selected: n === size }, n)))))
}

/** A link within the page. */
export function link(hash, ...text) {
  return h('a', { href: hash }, text)
}
