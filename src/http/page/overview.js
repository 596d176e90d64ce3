// The broker at a glance, and one node of it.

import { get, path, query } from './api.js'
import { chart, growth, learn, level, meter, rangeField, samplesOf } from './chart.js'
import { h } from './dom.js'
import * as f from './format.js'
import { badge, facts, section, state, table } from './parts.js'

const RATES = [['publish', 'Publish'], ['confirm', 'Publisher confirm'], ['deliver_get', 'Deliver / get'], ['ack', 'Consumer ack'],
  ['redeliver', 'Redelivered'], ['return_unroutable', 'Unroutable (return)'], ['drop_unroutable', 'Unroutable (drop)'], ['get', 'Get']]
const CHURN = [['connection_created', 'Connections opened'], ['connection_closed', 'Connections closed'],
  ['channel_created', 'Channels opened'], ['channel_closed', 'Channels closed'],
  ['queue_declared', 'Queues declared'], ['queue_created', 'Queues created'], ['queue_deleted', 'Queues deleted']]
const perSecond = (n) => `${f.short(n)}/s`
const NODES = 8 // that are in the chart

function tile(label, n, href) {
  return h('a', { class: 'tile', href }, h('b', {}, f.count(n)), h('span', {}, label))
}

function alarms(nodes) {
  return (nodes || []).flatMap((node) => [
    node.mem_alarm && h('p', { class: 'alarm', role: 'alert' }, `Memory alarm on ${node.name}: publishers are blocked until less than ${f.bytes(node.mem_limit)} is used.`),
    node.disk_free_alarm && h('p', { class: 'alarm', role: 'alert' }, `Disk alarm on ${node.name}: publishers are blocked until more than ${f.bytes(node.disk_free_limit)} is free.`),
    node.being_drained && h('p', { class: 'alarm' }, `${node.name} is in maintenance: it takes no new connections.`),
  ])
}

export const overview = {
  title: () => 'Overview',
  async load(ctx) {
    const [all, nodes] = await Promise.all([get(query('overview', samplesOf(ctx, ['lengths', 'msg_rates'])), ctx.signal),
      ctx.isMonitor ? get(query('nodes', samplesOf(ctx, ['node_stats'])), ctx.signal) : null])
    for (const part of [all.message_stats, all.churn_rates, all.queue_totals]) learn(ctx, part)
    for (const node of (nodes || []).slice(0, NODES)) learn(ctx, node, `${node.name} `)
    return { all, nodes }
  },
  view(ctx, { all, nodes }) {
    const totals = all.object_totals
    const stats = !all.disable_stats
    return [
      h('div', { class: 'bar' }, h('h1', {}, 'Overview'), rangeField(ctx)),
      stats ? alarms(nodes) : h('p', { class: 'dim' }, 'Statistics are switched off by the configuration.'),
      h('div', { class: 'tiles' },
        tile('connections', totals.connections, '#/connections'), stats && tile('channels', totals.channels, '#/channels'),
        tile('exchanges', totals.exchanges, '#/exchanges'), tile('queues', totals.queues, '#/queues'),
        stats && tile('consumers', totals.consumers, '#/consumers'),
        stats && tile('messages ready', all.queue_totals.messages_ready, '#/queues?sort=messages_ready&reverse=1'),
        stats && tile('messages unacked', all.queue_totals.messages_unacknowledged, '#/queues?sort=messages_unacknowledged&reverse=1')),
      stats && h('div', { class: 'charts' },
        chart(ctx, 'Queued messages', [['messages_ready', 'Ready'], ['messages_unacknowledged', 'Unacked'], ['messages', 'Total']].map(([name, label]) => level(ctx, name, label))),
        chart(ctx, 'Message rates', RATES.map(([name, label]) => growth(ctx, name, label)), perSecond),
        nodes && chart(ctx, 'Memory of nodes', nodes.slice(0, NODES).map((node) => level(ctx, `${node.name} mem_used`, node.name)), f.bytes),
        chart(ctx, 'Churn', CHURN.map(([name, label]) => growth(ctx, name, label)), perSecond)),
      stats && nodes && section('Nodes', nodeTable(nodes)),
      stats && section('Ports', table({
        caption: 'Listeners',
        columns: [
          { label: 'Protocol', head: true, cell: (l) => l.protocol },
          { label: 'Bound to', cell: (l) => l.ip_address }, { label: 'Port', num: true, cell: (l) => l.port || '' }, { label: 'Node', cell: (l) => l.node },
        ],
        rows: all.listeners,
      })),
    ]
  },
}

function nodeTable(nodes) {
  return table({
    caption: 'Nodes',
    key: (n) => n.name,
    columns: [
      { label: 'Name', head: true, cell: (n) => h('a', { href: `#/nodes/${path(n.name)}` }, n.name) },
      { label: 'State', cell: (n) => state(n.running ? 'running' : 'down') },
      { label: 'Uptime', cell: (n) => f.duration(n.uptime) },
      { label: 'Memory', cell: (n) => meter(n.mem_used, n.mem_limit, `${f.bytes(n.mem_used)} of ${f.bytes(n.mem_limit)}`, n.mem_alarm) },
      { label: 'Disk space', cell: (n) => h('span', { class: n.disk_free_alarm ? 'bad' : null }, `${f.bytes(n.disk_free)} free, limit ${f.bytes(n.disk_free_limit)}`) },
      { label: 'File descriptors', cell: (n) => meter(n.fd_used, n.fd_total, `${f.count(n.fd_used)} of ${f.count(n.fd_total)}`) },
      { label: 'Shards', num: true, cell: (n) => n.processors },
      { label: 'Info', cell: (n) => [badge(n.type), n.being_drained && badge('maintenance', 'takes no new connections', 'warn')] },
    ],
    rows: nodes,
  })
}

export const node = {
  title: (ctx) => `Node ${ctx.params[0]}`,
  async load(ctx) {
    const name = path(ctx.params[0])
    const [one, memory, logins] = await Promise.all([get(query(`nodes/${name}`, samplesOf(ctx, ['node_stats'])), ctx.signal), get(`nodes/${name}/memory`, ctx.signal),
      get(`auth/attempts/${name}`, ctx.signal)])
    learn(ctx, one)
    return { one, memory: memory.memory, logins }
  },
  view(ctx, { one, memory, logins }) {
    const sum = memory.total.rss
    const parts = Object.entries(memory).filter(([, v]) => typeof v === 'number').sort(([, a], [, b]) => b - a)
    return [
      h('div', { class: 'bar' }, h('h1', {}, 'Node ', one.name), rangeField(ctx)),
      alarms([one]),
      h('div', { class: 'charts' },
        chart(ctx, 'Memory', [level(ctx, 'mem_used', 'used')], f.bytes),
        chart(ctx, 'Disk space', [level(ctx, 'disk_free', 'free')], f.bytes),
        chart(ctx, 'File descriptors', [level(ctx, 'fd_used', 'used'), level(ctx, 'sockets_used', 'sockets')])),
      section('Facts', facts([
        ['Uptime', f.duration(one.uptime)], ['Process', one.os_pid], ['Shards', f.count(one.processors)],
        ['Memory', `${f.bytes(one.mem_used)} of ${f.bytes(one.mem_limit)}`], ['Disk free', `${f.bytes(one.disk_free)}, limit ${f.bytes(one.disk_free_limit)}`],
        ['File descriptors', `${f.count(one.fd_used)} of ${f.count(one.fd_total)}`],
        ['Sockets', f.count(one.sockets_used)], ['Data directory', one.db_dir], ['Log', (one.log_files || []).join(', ')],
        ['Configuration', (one.config_files || []).join(', ')],
        ['Logins', (one.auth_mechanisms || []).map((m) => m.name).join(', ')],
        ['Exchange types', (one.exchange_types || []).map((t) => t.name).join(', '), true],
      ])),
      section('Logins', table({
        caption: 'Logins since the start',
        columns: [
          { label: 'Protocol', head: true, cell: (l) => l.protocol },
          { label: 'Tried', num: true, cell: (l) => f.count(l.auth_attempts) },
          { label: 'Let in', num: true, cell: (l) => f.count(l.auth_attempts_succeeded) },
          { label: 'Refused', num: true, cell: (l) => f.count(l.auth_attempts_failed) },
        ],
        rows: logins,
        key: (l) => l.protocol,
        empty: 'nobody logged in',
      })),
      section('Memory', table({
        caption: 'What memory is used for',
        columns: [
          { label: 'Of', head: true, cell: ([name]) => name.replaceAll('_', ' ') },
          { label: 'Bytes', num: true, cell: ([, n]) => f.bytes(n) },
          { label: 'Share', cell: ([, n]) => meter(n, sum || 1, '') },
        ],
        rows: parts,
        key: ([name]) => name,
      })),
    ]
  },
}
