// Connections, channels, exchanges, queues, streams: sorted, filtered and cut into pages by the broker, so that only
// what is seen is sent, however many there are.

import { get, path, query } from './api.js'
import { h } from './dom.js'
import * as f from './format.js'
import { badge, folded, keyOf, link, pager, state, table } from './parts.js'

const COLUMNS = 'jackalope.columns.'

export const to = {
  connection: (name) => `#/connections/${path(name)}`,
  channel: (name) => `#/channels/${path(name)}`,
  exchange: (vhost, name) => `#/exchanges/${path(vhost, name || 'amq.default')}`,
  queue: (vhost, name) => `#/queues/${path(vhost, name)}`,
}

/** What an object's arguments make of it, in short. */
const FEATURES = [
  ['x-message-ttl', 'TTL', 'message TTL'], ['x-expires', 'Exp', 'auto expire'], ['x-max-length', 'Lim', 'max length'],
  ['x-max-length-bytes', 'Lim B', 'max length in bytes'], ['x-overflow', 'Ovfl', 'overflow behaviour'],
  ['x-dead-letter-exchange', 'DLX', 'dead letter exchange'], ['x-dead-letter-routing-key', 'DLK', 'dead letter routing key'],
  ['x-max-priority', 'Pri', 'maximum priority'], ['x-single-active-consumer', 'SAC', 'single active consumer'],
  ['x-delivery-limit', 'DL', 'delivery limit'], ['x-max-age', 'Age', 'max age'], ['alternate-exchange', 'AE', 'alternate exchange'],
  ['x-delay', 'Delay', 'delays what comes'], ['x-message-deduplication', 'Dedup', 'deduplication'],
]

export function features(object) {
  const args = object.arguments || {}
  const known = new Set(FEATURES.map(([name]) => name))
  const others = Object.keys(args).filter((name) => !known.has(name) && name !== 'x-queue-type')
  return [
    object.durable && badge('D', 'durable'), object.auto_delete && badge('AD', 'auto-delete'),
    object.exclusive && badge('Excl', 'exclusive'), object.internal && badge('I', 'internal'),
    FEATURES.filter(([name]) => name in args).map(([name, short, title]) => badge(short, `${title}: ${f.value(args[name])}`)),
    others.length > 0 && badge('Args', others.map((name) => `${name}: ${f.value(args[name])}`).join(', ')),
  ]
}

const speed = (name) => (row) => f.rate(row.message_stats?.[`${name}_details`]?.rate)
const numbers = (name, label, more = {}) => ({ id: name, label, num: true, sort: name, needs: [name], cell: (row) => f.count(row[name]), ...more })
const sized = (name, label, more = {}) => numbers(name, label, { cell: (row) => f.bytes(row[name]), ...more })
const words = (name, label, more = {}) => ({ id: name, label, sort: name, needs: [name], cell: (row) => f.value(row[name]), ...more })
const vhost = words('vhost', 'Virtual host')
const node = words('node', 'Node', { sort: undefined, off: true })
const idle = { id: 'idle_since', label: 'Idle since', off: true, needs: ['idle_since'], cell: (row) => (row.idle_since ? f.moment(row.idle_since) : '') }

const queueColumns = [
  vhost,
  { id: 'name', label: 'Name', sort: 'name', needs: ['name', 'vhost'], head: true, cell: (q) => link(to.queue(q.vhost, q.name), q.name) },
  words('type', 'Type'),
  { id: 'features', label: 'Features', needs: ['durable', 'auto_delete', 'exclusive', 'arguments'], cell: features },
  words('policy', 'Policy', { sort: undefined }), words('operator_policy', 'Operator policy', { sort: undefined, off: true }),
  { id: 'state', label: 'State', sort: 'state', needs: ['state'], cell: (q) => state(q.state) },
  numbers('messages_ready', 'Ready'), numbers('messages_unacknowledged', 'Unacked'), numbers('messages', 'Total'),
  { id: 'in', label: 'Incoming', num: true, needs: ['message_stats.publish_details'], cell: speed('publish') },
  { id: 'out', label: 'Deliver / get', num: true, needs: ['message_stats.deliver_get_details'], cell: speed('deliver_get') },
  { id: 'ack', label: 'Ack', num: true, needs: ['message_stats.ack_details'], cell: speed('ack') },
  { id: 'redeliver', label: 'Redelivered', num: true, off: true, needs: ['message_stats.redeliver_details'], cell: speed('redeliver') },
  numbers('consumers', 'Consumers'),
  { id: 'capacity', label: 'Capacity', title: 'share of the time that consumers take messages at once', num: true, off: true, needs: ['consumer_capacity'], cell: (q) => (q.consumer_capacity == null ? '' : `${Math.round(q.consumer_capacity * 100)} %`) },
  sized('message_bytes', 'Bytes', { off: true }), sized('message_bytes_ready', 'Bytes ready', { off: true }),
  sized('message_bytes_unacknowledged', 'Bytes unacked', { off: true }),
  sized('message_bytes_persistent', 'Bytes persistent', { off: true }),
  numbers('messages_persistent', 'Persistent', { off: true }), numbers('messages_ram', 'In memory', { off: true }),
  numbers('messages_paged_out', 'Only in the store', { off: true }), numbers('messages_delayed', 'Delayed', { off: true }),
  sized('memory', 'Memory', { off: true }), idle, node,
]

const streamColumns = [
  ...queueColumns.filter((c) => ['vhost', 'name', 'features', 'policy', 'state', 'messages', 'in', 'out', 'consumers'].includes(c.id)),
  sized('message_bytes', 'Bytes'),
]

const connectionColumns = [
  vhost,
  { id: 'name', label: 'Name', sort: 'name', needs: ['name', 'user_provided_name'], head: true, cell: (c) => [link(to.connection(c.name), c.name), c.user_provided_name && h('div', { class: 'dim' }, c.user_provided_name)] },
  words('user', 'User'),
  { id: 'state', label: 'State', sort: 'state', needs: ['state'], cell: (c) => state(c.state) },
  { id: 'ssl', label: 'TLS', sort: 'ssl', needs: ['ssl', 'ssl_protocol'], cell: (c) => (c.ssl ? badge(c.ssl_protocol || 'TLS', 'encrypted', 'good') : h('span', { class: 'dim' }, '–')) },
  words('protocol', 'Protocol'),
  numbers('channels', 'Channels'),
  { id: 'recv', label: 'From client', num: true, needs: ['recv_oct_details'], cell: (c) => f.byteRate(c.recv_oct_details?.rate) },
  { id: 'send', label: 'To client', num: true, needs: ['send_oct_details'], cell: (c) => f.byteRate(c.send_oct_details?.rate) },
  { id: 'client', label: 'Client', needs: ['client_properties'], cell: (c) => [c.client_properties?.product, c.client_properties?.version].filter((v) => typeof v === 'string').join(' ') },
  { id: 'connected_at', label: 'Connected at', sort: 'connected_at', needs: ['connected_at'], cell: (c) => f.moment(c.connected_at) },
  numbers('timeout', 'Heartbeat', { off: true, cell: (c) => (c.timeout == null ? '' : `${c.timeout} s`) }),
  words('auth_mechanism', 'Mechanism', { off: true }), numbers('send_pend', 'Pending', { off: true }),
  { id: 'peer', label: 'From', off: true, needs: ['peer_host', 'peer_port'], cell: (c) => `${c.peer_host}:${c.peer_port}` },
  sized('recv_oct', 'Received', { off: true }), sized('send_oct', 'Sent', { off: true }), sized('frame_max', 'Frame max', { off: true }), node,
]

const channelColumns = [
  vhost,
  { id: 'name', label: 'Channel', sort: 'name', needs: ['name'], head: true, cell: (c) => link(to.channel(c.name), c.name) },
  words('user', 'User'),
  { id: 'mode', label: 'Mode', needs: ['confirm', 'transactional'], cell: (c) => [c.confirm && badge('C', 'publisher confirms'), c.transactional && badge('T', 'transactions')] },
  { id: 'state', label: 'State', sort: 'state', needs: ['state'], cell: (c) => state(c.state) },
  numbers('messages_unconfirmed', 'Unconfirmed'),
  { id: 'prefetch', label: 'Prefetch', num: true, sort: 'prefetch_count', needs: ['prefetch_count', 'global_prefetch_count'], cell: (c) => [c.prefetch_count || '', c.global_prefetch_count ? `${c.global_prefetch_count} (channel)` : ''].filter(Boolean).join(', ') },
  numbers('messages_unacknowledged', 'Unacked'),
  numbers('consumer_count', 'Consumers'),
  { id: 'publish', label: 'Publish', num: true, needs: ['message_stats.publish_details'], cell: speed('publish') },
  { id: 'deliver', label: 'Deliver / get', num: true, needs: ['message_stats.deliver_get_details'], cell: speed('deliver_get') },
  numbers('messages_uncommitted', 'Uncommitted', { off: true }), numbers('acks_uncommitted', 'Acks uncommitted', { off: true }), idle, node,
]

const exchangeColumns = [
  vhost,
  { id: 'name', label: 'Name', sort: 'name', needs: ['name', 'vhost'], head: true, cell: (x) => link(to.exchange(x.vhost, x.name), x.name || '(AMQP default)') },
  words('type', 'Type'),
  { id: 'features', label: 'Features', needs: ['durable', 'auto_delete', 'internal', 'arguments'], cell: features },
  words('policy', 'Policy', { sort: undefined }),
  { id: 'in', label: 'Published', num: true, sort: 'message_stats.publish_in_details.rate', needs: ['message_stats.publish_in_details'], cell: speed('publish_in') },
  { id: 'out', label: 'To queues', num: true, sort: 'message_stats.publish_out_details.rate', needs: ['message_stats.publish_out_details'], cell: speed('publish_out') },
]

function chosen(what, columns) {
  const off = JSON.parse(localStorage.getItem(COLUMNS + what) || 'null') || columns.filter((c) => c.off).map((c) => c.id)
  return columns.filter((c) => c.head || !off.includes(c.id))
}

function choose(ctx, what, columns, id, on) {
  const shown = new Set(chosen(what, columns).map((c) => c.id))
  if (on) shown.add(id)
  else shown.delete(id)
  localStorage.setItem(COLUMNS + what, JSON.stringify(columns.filter((c) => !shown.has(c.id)).map((c) => c.id)))
  ctx.refresh()
}

const PER_VHOST = {
  queues: (vhost) => `queues/${path(vhost)}`,
  exchanges: (vhost) => `exchanges/${path(vhost)}`,
  connections: (vhost) => `vhosts/${path(vhost)}/connections`,
  channels: (vhost) => `vhosts/${path(vhost)}/channels`,
}

const size = (ctx) => Number(ctx.query.get('size')) || 100

/** A list as the address says: the page, what it is filtered and sorted by. */
export function fetchList(ctx, where, fixed) {
  return get(query(where, {
    ...fixed,
    page: ctx.query.get('page') || 1,
    page_size: size(ctx),
    name: ctx.query.get('name'),
    use_regex: ctx.query.get('regex') === '1',
    sort: ctx.query.get('sort') || fixed.sort,
    sort_reverse: ctx.query.get('reverse') === '1',
    pagination: true,
  }), ctx.signal).catch((error) => {
    if (error.error !== 'page_out_of_range') throw error
    ctx.ask({ page: '' })
    return null
  })
}

export function showList(ctx, title, columns, data) {
  return data && [
    table({
      caption: title,
      columns,
      rows: data.items,
      key: (row) => keyOf(row.vhost, row.name),
      sort: ctx.query.get('sort'),
      reverse: ctx.query.get('reverse') === '1',
      onsort: (by, reverse) => ctx.ask({ sort: by, reverse: reverse ? '1' : '', page: '' }),
      empty: data.total_count ? 'no name fits the filter' : `there are no ${title.toLowerCase()}`,
    }),
    pager({
      page: data.page,
      pages: data.page_count,
      size: size(ctx),
      filtered: data.filtered_count,
      total: data.total_count,
      onpage: (page) => ctx.ask({ page: page === 1 ? '' : String(page) }),
      onsize: (n) => ctx.ask({ size: String(n), page: '' }),
    }),
  ]
}

/** A page with one list. fixed: parameters it always asks with. */
function list(what, title, columns, { fixed = {}, below, source = what } = {}) {
  return {
    title: () => title,
    load: (ctx) => fetchList(ctx, ctx.vhost ? PER_VHOST[source](ctx.vhost) : source,
      { ...fixed, columns: [...new Set(chosen(what, columns).flatMap((c) => c.needs))].join(',') }),
    view: (ctx, data) => [
      h('div', { class: 'bar' }, h('h1', {}, title), filter(ctx), chooser(ctx, what, columns)),
      showList(ctx, title, chosen(what, columns).filter((c) => c.id !== 'vhost' || !ctx.vhost), data),
      below && below(ctx),
    ],
  }
}

let typing

export function filter(ctx) {
  const asked = (event) => {
    const form = event.currentTarget.form || event.currentTarget
    clearTimeout(typing)
    typing = setTimeout(() => ctx.ask({ name: form.elements.name.value, regex: form.elements.regex.checked ? '1' : '', page: '' }, true), 250)
  }
  return h('form', { class: 'filter', role: 'search', onsubmit: (event) => event.preventDefault() },
    h('label', {}, h('span', { class: 'hidden' }, 'filter by name'),
      h('input', { type: 'search', name: 'name', placeholder: 'filter by name', value: ctx.query.get('name') || '', oninput: asked, 'aria-keyshortcuts': '/', spellcheck: 'false', autocomplete: 'off' })),
    h('label', {}, h('input', { type: 'checkbox', name: 'regex', checked: ctx.query.get('regex') === '1', onchange: asked }), ' regex'))
}

function chooser(ctx, what, columns) {
  const shown = new Set(chosen(what, columns).map((c) => c.id))
  return h('details', { class: 'chooser' }, h('summary', {}, 'Columns'),
    h('fieldset', {}, h('legend', { class: 'hidden' }, 'columns that are shown'), columns.filter((c) => !c.head).map((c) => h('label', { key: c.id },
      h('input', { type: 'checkbox', checked: shown.has(c.id), onchange: (event) => choose(ctx, what, columns, c.id, event.target.checked) }), ' ', c.label))))
}

/** Forms come when somebody opens one. */
function later(title, name) {
  return (ctx) => folded(title, ctx.part('./objects.js', name))
}

export const connections = list('connections', 'Connections', connectionColumns)
export const channels = list('channels', 'Channels', channelColumns)
export const exchanges = list('exchanges', 'Exchanges', exchangeColumns, { below: later('Add an exchange', 'exchangeForm') })
export const streams = list('streams', 'Streams', streamColumns, { fixed: { type: 'stream' }, source: 'queues', below: later('Add a stream', 'streamForm') })
export const queues = list('queues', 'Queues', queueColumns, { below: later('Add a queue', 'queueForm') })
