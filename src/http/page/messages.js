// The messages of a queue where they are: looked at, searched, moved or dropped one by one. Looking changes nothing.

import { get, path, post, query, remove } from './api.js'
import { h } from './dom.js'
import * as f from './format.js'
import { ask, badge, form, properties, table, tell } from './parts.js'

const SHOWN = 50

function stateOf(ctx) {
  return (ctx.state.browse ||= { items: null, chosen: new Set(), open: new Set(), next: null, looked: 0, search: '', moved: null })
}

async function look(ctx, vhost, name, { from, search }) {
  const b = stateOf(ctx)
  try {
    const answer = await get(query(`queues/${path(vhost, name)}/messages`, { count: SHOWN, from, search, truncate: 20000 }))
    Object.assign(b, { items: from ? [...b.items, ...answer.items] : answer.items, next: answer.next, search })
    b.looked = (from ? b.looked : 0) + answer.looked_at
    if (!from) b.chosen.clear()
  } catch (error) {
    if (!ctx.failed(error)) tell(error.message, true)
  }
  ctx.update()
}

function forget(ctx, ids) {
  const b = stateOf(ctx)
  b.items = b.items.filter((m) => !ids.includes(m.id))
  b.chosen.clear()
}

async function move(ctx, vhost, name) {
  const b = stateOf(ctx)
  const ids = b.items.map((m) => m.id).filter((id) => b.chosen.has(id))
  const given = await ask({ title: `Move ${f.count(ids.length)} messages`, text: 'They leave this queue, whatever is before and behind them, and come to the end of the other one.', fields: [{ name: 'to', label: 'To queue', required: true }], action: 'Move', danger: false })
  if (!given) return
  try {
    const answer = await post(`queues/${path(vhost, name)}/messages/move`, { ids, to: given.to })
    tell(`${answer.moved} moved to ${given.to}${answer.gone.length ? `, ${answer.gone.length} had gone` : ''}`)
    forget(ctx, ids)
    await ctx.refresh()
  } catch (error) {
    if (!ctx.failed(error)) tell(error.message, true)
  }
}

/** All that the search finds, as many as are there now, some hundreds at a time. */
async function moveAll(ctx, vhost, name) {
  const b = stateOf(ctx)
  const left = ctx.data.one.messages_ready
  const what = b.search ? `all messages with “${b.search}”` : `all ${f.count(left)} messages`
  const given = await ask({ title: `Move ${what}`, text: 'They come to the end of the other queue in the order in which they are here.', fields: [{ name: 'to', label: 'To queue', required: true }], action: 'Move', danger: false })
  if (!given) return
  const where = `queues/${path(vhost, name)}/messages`
  b.moved = 0
  try {
    for (let looked = 0, from; looked < left;) {
      const found = await get(query(where, { count: 500, from, search: b.search, truncate: 1 }))
      const ids = found.items.slice(0, left - b.moved).map((m) => m.id)
      if (ids.length) b.moved += (await post(`${where}/move`, { ids, to: given.to })).moved
      if (!ctx.update() || !found.next) break
      looked += found.looked_at
      from = found.next
    }
    tell(`${f.count(b.moved)} moved to ${given.to}`)
  } catch (error) {
    if (!ctx.failed(error)) tell(`${error.message}; ${f.count(b.moved)} were moved`, true)
  }
  b.moved = null
  await look(ctx, vhost, name, { search: b.search })
  await ctx.refresh()
}

async function drop(ctx, vhost, name) {
  const b = stateOf(ctx)
  const ids = b.items.map((m) => m.id).filter((id) => b.chosen.has(id))
  if (!(await ask({ title: `Drop ${f.count(ids.length)} messages?`, text: 'They are gone for good.', action: 'Drop' }))) return
  let dropped = 0
  try {
    for (const id of ids) {
      await remove(`queues/${path(vhost, name)}/messages/${path(id)}`).then(() => dropped++, (error) => {
        if (error.status !== 404) throw error
      })
    }
    tell(`${dropped} dropped`)
  } catch (error) {
    if (!ctx.failed(error)) tell(error.message, true)
  }
  forget(ctx, ids)
  await ctx.refresh()
}

function choose(ctx, ids, on) {
  const { chosen } = stateOf(ctx)
  for (const id of ids) {
    if (on) chosen.add(id)
    else chosen.delete(id)
  }
  ctx.update()
}

function toggle(ctx, id) {
  const { open } = stateOf(ctx)
  if (!open.delete(id)) open.add(id)
  ctx.update()
}

function preview(m) {
  return m.payload.length > 90 ? `${m.payload.slice(0, 90)}…` : m.payload
}

function payload(ctx, m) {
  const open = stateOf(ctx).open.has(m.id)
  return [
    h('button', { type: 'button', class: 'plain', 'aria-expanded': String(open), onclick: () => toggle(ctx, m.id) }, open ? 'less' : preview(m) || '(empty)'),
    open && h('div', {}, h('pre', { tabindex: '0', role: 'group', 'aria-label': 'payload' }, m.payload),
      m.payload_encoding === 'base64' && h('p', { class: 'hint' }, 'in base64'),
      properties(Array.isArray(m.properties) ? {} : m.properties)),
  ]
}

function list(ctx, b) {
  const all = b.items.length > 0 && b.items.every((m) => b.chosen.has(m.id))
  return table({
    caption: 'Messages',
    rows: b.items,
    key: (m) => m.id,
    columns: [
      {
        label: h('input', { type: 'checkbox', 'aria-label': 'choose all', checked: all, live: true, onchange: (event) => choose(ctx, b.items.map((m) => m.id), event.target.checked) }),
        cell: (m) => h('input', { type: 'checkbox', 'aria-label': `choose ${m.id}`, checked: b.chosen.has(m.id), live: true, onchange: (event) => choose(ctx, [m.id], event.target.checked) }),
      },
      { label: 'Routing key', head: true, cell: (m) => m.routing_key || '(empty)' },
      { label: 'Exchange', cell: (m) => m.exchange || '(AMQP default)' },
      { label: 'Bytes', num: true, cell: (m) => f.count(m.payload_bytes) },
      {
        label: 'State',
        cell: (m) => [
          m.state === 'waiting' && badge('waits', 'for its time', 'warn'), m.redelivered && badge('redelivered', `delivered ${m.delivery_count} times before`),
          m.properties.delivery_mode === 2 && badge('P', 'persistent'), m.properties.priority > 0 && badge(`pri ${m.properties.priority}`, 'priority'),
          m.due_in !== undefined && badge(`${m.state === 'waiting' ? 'due' : 'expires'} in ${f.duration(m.due_in)}`),
        ],
      },
      { label: 'Payload', class: 'wrap', cell: (m) => payload(ctx, m) },
    ],
    empty: b.search ? 'nothing of it was found' : 'no message is ready',
  })
}

export function browser(ctx) {
  const [vhost, name] = ctx.params
  const b = stateOf(ctx)
  const some = b.chosen.size > 0
  return [
    h('p', { class: 'hint' }, 'In the order of delivery, without taking them out: order, counters and the redelivered mark stay. A search looks for these very characters in routing keys, properties and the first 64 KiB of payloads.'),
    form({
      scope: 'browse',
      fields: [{ name: 'search', label: 'Search for', placeholder: 'everything' }],
      action: b.items ? 'Look again' : 'Browse',
      onsubmit: (given) => look(ctx, vhost, name, { search: given.search }),
    }),
    b.items && [
      h('div', { class: 'bar' },
        h('span', { role: 'status', class: 'dim' }, `${f.count(b.items.length)} shown, ${f.count(b.looked)} looked at`),
        h('button', { type: 'button', disabled: !some, onclick: () => move(ctx, vhost, name) }, `Move ${some ? b.chosen.size : ''} chosen …`),
        h('button', { type: 'button', disabled: b.moved !== null, onclick: () => moveAll(ctx, vhost, name) }, b.moved === null ? (b.search ? 'Move all that are found …' : 'Move all …') : `${f.count(b.moved)} moved`),
        h('button', { type: 'button', class: 'danger', disabled: !some, onclick: () => drop(ctx, vhost, name) }, `Drop ${some ? b.chosen.size : ''} chosen …`)),
      list(ctx, b),
      b.next && h('p', {}, h('button', { type: 'button', onclick: () => look(ctx, vhost, name, { from: b.next, search: b.search }) }, 'Go on')),
    ],
  ]
}
