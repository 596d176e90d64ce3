// One connection, channel, exchange or queue: what it is, how it fares, and what can be done with it.

import { get, path, post, put, query, remove } from './api.js'
import { chart, growth, HOUR, learn, level, note, rangeField, samplesOf } from './chart.js'
import { h } from './dom.js'
import { argumentsField, EXCHANGE_TYPES, QUEUE_ARGUMENTS, readArguments, STREAM_ARGUMENTS } from './fields.js'
import * as f from './format.js'
import { features, to } from './lists.js'
import { act, badge, facts, folded, form, keyOf, link, properties, longTable, section, state, sure, yesNo } from './parts.js'

const perSecond = (n) => `${f.short(n)}/s`

function rates(ctx, names) {
  return chart(ctx, 'Message rates', names.map(([name, label]) => growth(ctx, name, label)), perSecond)
}

function vhostField(ctx) {
  return ctx.vhosts.length > 1
    ? { name: 'vhost', label: 'Virtual host', type: 'select', options: ctx.vhosts, value: ctx.vhost || '/' }
    : null
}

const vhostOf = (ctx, given) => given.vhost || ctx.vhosts[0] || '/'

// ---- connections ----

export const connection = {
  title: (ctx) => `Connection ${ctx.params[0]}`,
  async load(ctx) {
    const name = path(ctx.params[0])
    const [one, channels] = await Promise.all([get(query(`connections/${name}`, samplesOf(ctx, ['data_rates'], HOUR)), ctx.signal), get(`connections/${name}/channels`, ctx.signal)])
    learn(ctx, one)
    return { one, channels }
  },
  view(ctx, { one, channels }) {
    return [
      h('div', { class: 'bar' }, h('h1', {}, 'Connection ', one.name), one.user_provided_name && h('span', { class: 'dim' }, one.user_provided_name), rangeField(ctx, HOUR)),
      h('div', { class: 'charts' }, chart(ctx, 'Data rates', [growth(ctx, 'recv_oct', 'From client'), growth(ctx, 'send_oct', 'To client')], f.byteRate)),
      section('Facts', facts([
        ['State', state(one.state)], ['User', one.user], ['Virtual host', one.vhost], ['Node', one.node], ['Protocol', one.protocol],
        ['Connected at', f.moment(one.connected_at)], ['Heartbeat', `${one.timeout} s`], ['Frame max', f.bytes(one.frame_max)],
        ['Channel max', f.count(one.channel_max)], ['Authentication', one.auth_mechanism], ['From client', f.bytes(one.recv_oct)],
        ['To client', f.bytes(one.send_oct)], ['Waiting to be sent', f.count(one.send_pend)],
        ['TLS', one.ssl ? [one.ssl_protocol, one.ssl_cipher, one.ssl_key_exchange].filter(Boolean).join(', ') : 'no'],
        one.ssl && ['Certificate', one.peer_cert_subject], one.ssl && ['Issuer', one.peer_cert_issuer], one.ssl && ['Valid', one.peer_cert_validity],
      ])),
      section('Channels', longTable(ctx, 'channels', {
        caption: 'Channels',
        rows: channels,
        text: (c) => c.name,
        key: (c) => c.name,
        columns: [
          { label: 'Channel', head: true, cell: (c) => link(to.channel(c.name), c.name) },
          { label: 'State', cell: (c) => state(c.state) },
          { label: 'Prefetch', num: true, cell: (c) => c.prefetch_count || '' },
          { label: 'Unacked', num: true, cell: (c) => f.count(c.messages_unacknowledged) },
          { label: 'Unconfirmed', num: true, cell: (c) => f.count(c.messages_unconfirmed) },
          { label: 'Consumers', num: true, cell: (c) => f.count(c.consumer_count) },
        ],
        empty: 'no channel is open',
      })),
      section('What the client says of itself', properties(one.client_properties)),
      folded('Close this connection', form({
        scope: 'close',
        fields: [{ name: 'reason', label: 'Reason', value: 'Closed via management page', wide: true }],
        action: 'Force close',
        danger: true,
        onsubmit: (given) => leaveAfter(ctx, { title: 'Close the connection?', text: one.name, action: 'Force close' }, 'connection closed', '#/connections',
          () => remove(`connections/${path(one.name)}`, { 'x-reason': given.reason.replace(/[^ -~]/g, '?') })),
      })),
    ]
  },
}

async function leaveAfter(ctx, question, done, where, work) {
  const { ask, tell } = await import('./parts.js')
  if (!(await ask(question))) return
  try {
    await work()
    tell(done)
    ctx.go(where)
  } catch (error) {
    if (!ctx.failed(error)) tell(error.message, true)
  }
}

export const channel = {
  title: (ctx) => `Channel ${ctx.params[0]}`,
  async load(ctx) {
    const one = await get(query(`channels/${path(ctx.params[0])}`, samplesOf(ctx, ['msg_rates'], HOUR)), ctx.signal)
    learn(ctx, one.message_stats)
    note(ctx, 'unacked', one.messages_unacknowledged)
    return { one }
  },
  view(ctx, { one }) {
    return [
      h('div', { class: 'bar' }, h('h1', {}, 'Channel ', one.name), rangeField(ctx, HOUR)),
      h('div', { class: 'charts' },
        rates(ctx, [['publish', 'Publish'], ['confirm', 'Publisher confirm'], ['deliver_get', 'Deliver / get'], ['ack', 'Consumer ack'], ['redeliver', 'Redelivered']]),
        chart(ctx, 'Unacknowledged', [level(ctx, 'unacked', 'Unacked')])),
      section('Facts', facts([
        ['Connection', link(to.connection(one.connection_details.name), one.connection_details.name)], ['State', state(one.state)],
        ['User', one.user], ['Virtual host', one.vhost], ['Mode', [one.confirm && 'publisher confirms', one.transactional && 'transactions'].filter(Boolean).join(', ') || 'plain'],
        ['Prefetch of new consumers', one.prefetch_count || 'no limit'], ['Prefetch of the channel', one.global_prefetch_count || 'no limit'],
        ['Unacked', f.count(one.messages_unacknowledged)], ['Unconfirmed', f.count(one.messages_unconfirmed)],
        ['Uncommitted', f.count(one.messages_uncommitted)], ['Acks uncommitted', f.count(one.acks_uncommitted)],
      ])),
      section('Consumers', one.consumer_details ? consumerTable(ctx, one.consumer_details) : `${f.count(one.consumer_count)}`),
    ]
  },
}

function consumerTable(ctx, consumers) {
  return longTable(ctx, 'consumers', {
    caption: 'Consumers',
    rows: consumers,
    text: (c) => `${c.consumer_tag} ${c.channel_details?.name} ${c.queue?.name}`,
    columns: [
      { label: 'Tag', head: true, cell: (c) => c.consumer_tag },
      { label: 'Channel', cell: (c) => c.channel_details?.name && link(to.channel(c.channel_details.name), c.channel_details.name) },
      { label: 'Queue', cell: (c) => c.queue && link(to.queue(c.queue.vhost, c.queue.name), c.queue.name) },
      { label: 'Ack required', cell: (c) => yesNo(c.ack_required) },
      { label: 'Exclusive', cell: (c) => yesNo(c.exclusive) },
      { label: 'Prefetch', num: true, cell: (c) => c.prefetch_count || '' },
      { label: 'Activity', cell: (c) => (c.activity_status || '').replaceAll('_', ' ') },
      { label: 'Arguments', cell: (c) => properties(c.arguments) },
    ],
    empty: 'nobody consumes',
  })
}

export const consumers = {
  title: () => 'Consumers',
  load: (ctx) => get(ctx.vhost ? `consumers/${path(ctx.vhost)}` : 'consumers', ctx.signal),
  view: (ctx, all) => [h('div', { class: 'bar' }, h('h1', {}, 'Consumers'), h('span', { class: 'dim' }, `${f.count(all.length)} in all`)), consumerTable(ctx, all)],
}

// ---- bindings ----

function bindingTable(ctx, rows, other) {
  const end = (b) => (other === 'source'
    ? (b.source ? link(to.exchange(b.vhost, b.source), b.source) : h('span', { class: 'dim' }, '(default exchange)'))
    : link(b.destination_type === 'queue' ? to.queue(b.vhost, b.destination) : to.exchange(b.vhost, b.destination), b.destination))
  return longTable(ctx, other, {
    caption: other === 'source' ? 'Bindings to here' : 'Bindings from here',
    rows,
    text: (b) => `${b.source} ${b.destination} ${b.routing_key} ${b.arguments ? JSON.stringify(b.arguments) : ''}`,
    key: (b) => keyOf(b.source, b.destination_type, b.destination, b.properties_key),
    columns: [
      { label: other === 'source' ? 'From' : 'To', head: true, cell: end },
      other !== 'source' && { label: 'Kind', cell: (b) => b.destination_type },
      { label: 'Routing key', cell: (b) => h('code', {}, b.routing_key) },
      { label: 'Arguments', cell: (b) => properties(b.arguments) },
      {
        label: 'Actions',
        cell: (b) => b.source && h('button', {
          type: 'button',
          onclick: () => sure(ctx, { title: 'Unbind?', text: `${b.source} → ${b.destination}, routing key “${b.routing_key}”`, action: 'Unbind' }, 'unbound',
            () => remove(`bindings/${path(b.vhost, 'e', b.source, b.destination_type[0], b.destination, b.properties_key)}`)),
        }, 'Unbind'),
      },
    ].filter(Boolean),
    empty: 'no bindings',
  })
}

function bindForm(ctx, vhost, fixed, isQueue) {
  const fields = isQueue
    ? [{ name: 'source', label: 'From exchange', required: true }]
    : [{ name: 'kind', label: 'To', type: 'select', options: [['q', 'queue'], ['e', 'exchange']] }, { name: 'destination', label: 'Name', required: true }]
  return form({
    scope: 'bind',
    fields: [...fields, { name: 'key', label: 'Routing key' }, argumentsField(ctx, 'bind')],
    action: 'Bind',
    onsubmit: (given) => act(ctx, 'bound', () => {
      const args = readArguments(ctx, 'bind')
      const where = isQueue ? path(vhost, 'e', given.source, 'q', fixed) : path(vhost, 'e', fixed, given.kind, given.destination)
      return post(`bindings/${where}`, { routing_key: given.key, arguments: args })
    }),
  })
}

// ---- messages ----

const PROPERTIES = ['content_type', 'content_encoding', 'priority', 'correlation_id', 'reply_to', 'expiration', 'message_id', 'timestamp', 'type', 'user_id', 'app_id']

function publishForm(ctx, vhost, exchange, key) {
  return form({
    scope: 'publish',
    fields: [
      key === undefined ? { name: 'key', label: 'Routing key' } : null,
      { name: 'mode', label: 'Delivery mode', type: 'select', options: [['1', '1: transient'], ['2', '2: persistent']], value: '2' },
      { name: 'encoding', label: 'Payload encoding', type: 'select', options: [['string', 'text'], ['base64', 'base64']] },
      { name: 'payload', label: 'Payload', type: 'textarea', wide: true },
      folded('Properties', h('div', { class: 'fields' }, PROPERTIES.map((name) => h('div', { class: 'field' },
        h('label', {}, name, h('input', { name: `p.${name}`, autocomplete: 'off', spellcheck: 'false' })))))),
      argumentsField(ctx, 'headers', [], 'Headers'),
    ],
    action: 'Publish',
    onsubmit: (given) => act(ctx, (answer) => (answer.routed ? 'published and routed' : 'published, but routed nowhere'), () => {
      const props = { delivery_mode: Number(given.mode) }
      for (const name of PROPERTIES) {
        const v = given[`p.${name}`]
        if (v) props[name] = name === 'priority' || name === 'timestamp' ? Number(v) : v
      }
      const headers = readArguments(ctx, 'headers')
      if (Object.keys(headers).length) props.headers = headers
      return post(`exchanges/${path(vhost, exchange || 'amq.default')}/publish`, {
        properties: props, routing_key: key === undefined ? given.key : key, payload: given.payload, payload_encoding: given.encoding,
      })
    }),
  })
}

export function messageView(m) {
  return h('article', { class: 'message' },
    facts([['Exchange', m.exchange || '(AMQP default)'], ['Routing key', m.routing_key], ['Redelivered', yesNo(m.redelivered)], ['Payload', f.bytes(m.payload_bytes)]]),
    properties(Array.isArray(m.properties) ? {} : m.properties),
    h('pre', { tabindex: '0', role: 'group', 'aria-label': 'payload' }, m.payload),
    m.payload_encoding === 'base64' && h('p', { class: 'hint' }, 'in base64'))
}

function getForm(ctx, vhost, name) {
  return [form({
    scope: 'get',
    fields: [
      { name: 'mode', label: 'Ack mode', type: 'select', options: [['ack_requeue_true', 'put back (marked as redelivered)'], ['ack_requeue_false', 'take out'], ['reject_requeue_false', 'reject (dead letter)']] },
      { name: 'count', label: 'Messages', type: 'number', value: '1', min: 1, max: 1000 },
      { name: 'encoding', label: 'Encoding', type: 'select', options: [['auto', 'text or base64'], ['base64', 'base64']] },
    ],
    action: 'Get messages',
    onsubmit: (given) => act(ctx, (got) => `${got.length} messages`, async () => {
      ctx.state.got = await post(`queues/${path(vhost, name)}/get`, { count: Number(given.count), ackmode: given.mode, encoding: given.encoding, truncate: 50000 })
      return ctx.state.got
    }),
  }), (ctx.state.got || []).map(messageView)]
}

// ---- exchanges ----

export const exchange = {
  title: (ctx) => `Exchange ${ctx.params[1]}`,
  async load(ctx) {
    const where = `exchanges/${path(...ctx.params)}`
    const [one, from, into] = await Promise.all([get(query(where, samplesOf(ctx, ['msg_rates'], HOUR)), ctx.signal), get(`${where}/bindings/source`, ctx.signal), get(`${where}/bindings/destination`, ctx.signal)])
    learn(ctx, one.message_stats)
    return { one, from, into }
  },
  view(ctx, { one, from, into }) {
    const own = one.name && !one.name.startsWith('amq.')
    return [
      h('div', { class: 'bar' }, h('h1', {}, 'Exchange ', one.name || '(AMQP default)'), h('span', { class: 'dim' }, `in ${one.vhost}`), rangeField(ctx, HOUR)),
      h('div', { class: 'charts' }, chart(ctx, 'Message rates', [growth(ctx, 'publish_in', 'Published'), growth(ctx, 'publish_out', 'To queues')], perSecond)),
      section('Facts', facts([
        ['Type', one.type], ['Features', features(one)], ['Policy', one.policy], ['Virtual host', one.vhost], ['Arguments', properties(one.arguments), true],
      ])),
      section('Bindings from here', one.name ? bindingTable(ctx, from, 'destination') : h('p', {}, 'The default exchange is bound to every queue by its name.')),
      one.name && into.length > 0 && section('Bindings to here', bindingTable(ctx, into, 'source')),
      one.name && h('p', {}, link(`#/bindings?of=${encodeURIComponent(`e ${one.name}`)}`, 'Drawn as a graph')),
      one.name && folded('Add a binding', bindForm(ctx, one.vhost, one.name, false)),
      folded('Publish a message', publishForm(ctx, one.vhost, one.name)),
      own && folded('Delete this exchange', form({
        scope: 'delete',
        fields: [{ name: 'unused', label: 'only if nothing is bound', type: 'checkbox' }],
        action: 'Delete',
        danger: true,
        onsubmit: (given) => leaveAfter(ctx, { title: 'Delete the exchange?', text: `${one.name} in ${one.vhost}`, action: 'Delete' }, 'exchange deleted', '#/exchanges',
          () => remove(`exchanges/${path(one.vhost, one.name)}${given.unused ? '?if-unused=true' : ''}`)),
      })),
    ]
  },
}

export function exchangeForm(ctx) {
  return form({
    scope: 'exchange',
    fields: [
      vhostField(ctx), { name: 'name', label: 'Name', required: true }, { name: 'type', label: 'Type', type: 'select', options: EXCHANGE_TYPES },
      { name: 'durable', label: 'Durable', type: 'checkbox', value: true }, { name: 'auto_delete', label: 'Auto-delete', type: 'checkbox' },
      { name: 'internal', label: 'Internal', type: 'checkbox' }, argumentsField(ctx, 'exchange', ['alternate-exchange', 'x-delayed-type', 'hash-header']),
    ],
    action: 'Add exchange',
    onsubmit: (given, target) => act(ctx, `exchange ${given.name} is there`, async () => {
      await put(`exchanges/${path(vhostOf(ctx, given), given.name)}`, {
        type: given.type, durable: given.durable, auto_delete: given.auto_delete, internal: given.internal, arguments: readArguments(ctx, 'exchange'),
      })
      target.reset()
    }),
  })
}

// ---- queues ----

export const queue = {
  title: (ctx) => `Queue ${ctx.params[1]}`,
  async load(ctx) {
    const where = `queues/${path(...ctx.params)}`
    const [one, bindings] = await Promise.all([get(query(where, samplesOf(ctx, ['lengths', 'msg_rates'], HOUR)), ctx.signal), get(`${where}/bindings`, ctx.signal)])
    learn(ctx, one)
    learn(ctx, one.message_stats)
    return { one, bindings }
  },
  view(ctx, { one, bindings }) {
    return [
      h('div', { class: 'bar' }, h('h1', {}, one.type === 'stream' ? 'Stream ' : 'Queue ', one.name), h('span', { class: 'dim' }, `in ${one.vhost}`), rangeField(ctx, HOUR)),
      h('div', { class: 'charts' },
        chart(ctx, 'Queued messages', [level(ctx, 'messages_ready', 'Ready'), level(ctx, 'messages_unacknowledged', 'Unacked'), level(ctx, 'messages', 'Total')]),
        rates(ctx, [['publish', 'Publish'], ['deliver_get', 'Deliver / get'], ['ack', 'Consumer ack'], ['redeliver', 'Redelivered']])),
      section('Facts', facts([
        ['State', state(one.state)], ['Type', one.type], ['Features', features(one)], ['Policy', one.policy || undefined], ['Operator policy', one.operator_policy || undefined],
        ['Node', one.node], ['Consumers', f.count(one.consumers)], ['Consumer capacity', one.consumer_capacity == null ? '' : `${Math.round(one.consumer_capacity * 100)} %`],
        ['Ready', `${f.count(one.messages_ready)} (${f.bytes(one.message_bytes_ready)})`],
        ['Unacked', `${f.count(one.messages_unacknowledged)} (${f.bytes(one.message_bytes_unacknowledged)})`],
        ['Total', `${f.count(one.messages)} (${f.bytes(one.message_bytes)})`],
        ['Persistent', `${f.count(one.messages_persistent)} (${f.bytes(one.message_bytes_persistent)})`],
        ['In memory', `${f.count(one.messages_ram)} (${f.bytes(one.message_bytes_ram)})`],
        one.messages_delayed > 0 && ['Delayed', f.count(one.messages_delayed)],
        one.idle_since && ['Idle since', f.moment(one.idle_since)],
        ['Only in the store', `${f.count(one.messages_paged_out)} (${f.bytes(one.message_bytes_paged_out)})`],
        ['Process memory', f.bytes(one.memory)],
        one.single_active_consumer_tag && ['Single active consumer', one.single_active_consumer_tag],
        one.exclusive && ['Exclusive', badge('exclusive', 'of one connection')],
        ['Arguments', properties(one.arguments), true], ['Policy says', properties(one.effective_policy_definition), true],
      ])),
      section('Consumers', consumerTable(ctx, one.consumer_details || [])),
      section('Bindings', bindingTable(ctx, bindings, 'source')),
      bindings.length > 1 && h('p', {}, link(`#/bindings?of=${encodeURIComponent(`q ${one.name}`)}`, 'Drawn as a graph')),
      folded('Add a binding', bindForm(ctx, one.vhost, one.name, true)),
      folded('Publish a message', publishForm(ctx, one.vhost, '', one.name)),
      one.type !== 'stream' && !one.exclusive && folded('Browse, search, move messages', ctx.part('./messages.js', 'browser')),
      one.type !== 'stream' && !one.exclusive && folded('Get messages', getForm(ctx, one.vhost, one.name)),
      one.type !== 'stream' && folded('Purge', h('p', {}, 'Drops all messages that are ready. Those that consumers hold stay.'),
        h('button', {
          type: 'button', class: 'danger',
          onclick: () => sure(ctx, { title: 'Purge the queue?', text: `All ${f.count(one.messages_ready)} ready messages of ${one.name} are dropped.`, action: 'Purge' }, 'queue purged',
            () => remove(`queues/${path(one.vhost, one.name)}/contents`)),
        }, 'Purge messages')),
      folded('Delete this queue', form({
        scope: 'delete',
        fields: [{ name: 'unused', label: 'only if it has no consumers', type: 'checkbox' }, { name: 'empty', label: 'only if it is empty', type: 'checkbox' }],
        action: 'Delete',
        danger: true,
        onsubmit: (given) => leaveAfter(ctx, { title: 'Delete the queue?', text: `${one.name} in ${one.vhost}, with ${f.count(one.messages)} messages`, action: 'Delete' }, 'queue deleted', '#/queues',
          () => remove(`queues/${path(one.vhost, one.name)}?if-unused=${given.unused}&if-empty=${given.empty}`)),
      })),
    ]
  },
}

export function queueForm(ctx) {
  return form({
    scope: 'queue',
    fields: [
      vhostField(ctx), { name: 'name', label: 'Name', required: true },
      { name: 'type', label: 'Type', type: 'select', options: [['', 'default'], 'classic', 'quorum', 'stream'] },
      { name: 'durable', label: 'Durable', type: 'checkbox', value: true }, { name: 'auto_delete', label: 'Auto-delete', type: 'checkbox' },
      argumentsField(ctx, 'queue', QUEUE_ARGUMENTS),
    ],
    action: 'Add queue',
    onsubmit: (given, target) => act(ctx, `queue ${given.name} is there`, async () => {
      const args = readArguments(ctx, 'queue')
      if (given.type) args['x-queue-type'] = given.type
      await put(`queues/${path(vhostOf(ctx, given), given.name)}`, { durable: given.durable, auto_delete: given.auto_delete, arguments: args })
      target.reset()
    }),
  })
}

export function streamForm(ctx) {
  return form({
    scope: 'stream',
    fields: [vhostField(ctx), { name: 'name', label: 'Name', required: true }, argumentsField(ctx, 'stream', STREAM_ARGUMENTS)],
    action: 'Add stream',
    onsubmit: (given, target) => act(ctx, `stream ${given.name} is there`, async () => {
      await put(`queues/${path(vhostOf(ctx, given), given.name)}`, { durable: true, auto_delete: false, arguments: { ...readArguments(ctx, 'stream'), 'x-queue-type': 'stream' } })
      target.reset()
    }),
  })
}
