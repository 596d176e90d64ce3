// What administrators look after: users, virtual hosts, rights, policies, limits, definitions.

import { get, getText, path, post, put, query, remove, upload } from './api.js'
import { h } from './dom.js'
import { chart, growth, HOUR, learn, level, rangeField, samplesOf } from './chart.js'
import { argumentsField, clearArguments, POLICY_KEYS, readArguments, setRows } from './fields.js'
import * as f from './format.js'
import { fetchList, filter, showList } from './lists.js'
import { act, badge, facts, folded, form, keyOf, link, longTable, properties, section, state, sure, table, tell, yesNo } from './parts.js'

/** The last: only for administrators. */
const PAGES = [['users', 'Users', true], ['vhosts', 'Virtual hosts'], ['traces', 'Tracing', true], ['policies', 'Policies'], ['limits', 'Limits'],
  ['feature-flags', 'Feature flags', true], ['deprecated-features', 'Deprecated', true], ['cluster-name', 'Cluster', true], ['configuration', 'Configuration', true], ['log', 'Log', true], ['definitions', 'Definitions', true]]
const TAGS = ['administrator', 'monitoring', 'policymaker', 'management', 'impersonator']
const QUEUE_TYPES = [['', 'as configured'], 'classic', 'quorum', 'stream']
const APPLY = ['all', 'queues', 'classic_queues', 'quorum_queues', 'streams', 'exchanges']

/** The pages stand beside a list of them. */
function admin(name, title, { load, view, bar }) {
  return {
    title: (ctx) => (ctx.params.length ? `${title} ${ctx.params.at(-1)}` : title),
    load,
    view: (ctx, data) => h('div', { class: 'columns' },
      h('nav', { class: 'side', 'aria-label': 'administration' }, h('ul', {}, PAGES.filter(([, , all]) => !all || ctx.isAdministrator).map(([where, text]) => h('li', {},
        h('a', { href: `#/${where}`, 'aria-current': where === name ? 'page' : null }, text))))),
      h('div', {}, h('div', { class: 'bar' }, h('h1', {}, title, ctx.params.length > 0 && ` ${ctx.params.at(-1)}`), bar && bar(ctx)), view(ctx, data))),
  }
}

function button(text, onclick, danger) {
  return h('button', { type: 'button', class: danger && 'danger', onclick }, text)
}

/** A user or a virtual host, with the permissions and limits it has. */
const withRights = (what) => async (ctx, samples = {}) => {
  const name = path(ctx.params[0])
  const parts = [query(`${what}s/${name}`, samples), `${what}s/${name}/permissions`, `${what}s/${name}/topic-permissions`, `${what}-limits/${name}`]
  const [one, rights, topics, limits] = await Promise.all(parts.map((part) => get(part, ctx.signal)))
  return { one, rights, topics, limits }
}

// ---- users ----

const tagsField = (tags = []) => h('fieldset', { class: 'field wide' }, h('legend', {}, 'Tags'),
  TAGS.map((tag) => h('label', { class: 'choice-box' }, h('input', { type: 'checkbox', name: `tag.${tag}`, checked: tags.includes(tag) }), ` ${tag} `)))
/** Tags that have no box stay as they are. */
const tagsOf = (given, before = []) => [...TAGS.filter((tag) => given[`tag.${tag}`]), ...before.filter((tag) => !TAGS.includes(tag))]

function permissionColumns(ctx, where, scope) {
  return [
    { label: 'Virtual host', head: scope !== 'vhost', cell: (p) => link(`#/vhosts/${path(p.vhost)}`, p.vhost) },
    { label: 'User', head: scope === 'vhost', cell: (p) => link(`#/users/${path(p.user)}`, p.user) },
    where === 'topic-permissions' && { label: 'Exchange', cell: (p) => p.exchange || '(AMQP default)' },
    where === 'permissions' && { label: 'Configure', cell: (p) => h('code', {}, p.configure) },
    { label: 'Write', cell: (p) => h('code', {}, p.write) },
    { label: 'Read', cell: (p) => h('code', {}, p.read) },
    {
      label: 'Actions',
      cell: (p) => button('Clear', () => sure(ctx, { title: 'Clear the permission?', text: `${p.user} in ${p.vhost}`, action: 'Clear' }, 'permission cleared',
        () => remove(`${where}/${path(p.vhost, p.user)}${where === 'permissions' ? '' : `/${path(p.exchange || 'amq.default')}`}`))),
    },
  ].filter(Boolean)
}

function permissionTables(ctx, { rights, topics }, scope, empty) {
  const text = (p) => (scope === 'user' ? p.vhost : p.user)
  return [
    section('Permissions', longTable(ctx, 'rights', { caption: 'Permissions', rows: rights, text, key: text, columns: permissionColumns(ctx, 'permissions', scope), empty })),
    section('Topic permissions', longTable(ctx, 'topics', { caption: 'Topic permissions', rows: topics, text, key: (p) => keyOf(text(p), p.exchange), columns: permissionColumns(ctx, 'topic-permissions', scope) })),
  ]
}

/** fixed: {user} or {vhost}; the other one is chosen. */
function permissionForms(ctx, fixed, others) {
  const other = fixed.user ? { name: 'vhost', label: 'Virtual host', type: 'select', options: others } : { name: 'user', label: 'User', list: others.slice(0, 100), required: true }
  const set = (where, given, body) => act(ctx, 'permission set', () => put(`${where}/${path(fixed.vhost ?? given.vhost, fixed.user ?? given.user)}`, body))
  const pattern = (name, label) => ({ name, label, value: '.*', hint: 'a regular expression; nothing is ^$' })
  return [
    folded('Set a permission', form({
      scope: 'permission',
      fields: [other, pattern('configure', 'Configure'), pattern('write', 'Write'), pattern('read', 'Read')],
      action: 'Set permission',
      onsubmit: (given) => set('permissions', given, { configure: given.configure, write: given.write, read: given.read }),
    })),
    folded('Set a topic permission', form({
      scope: 'topic',
      fields: [other, { name: 'exchange', label: 'Exchange', value: 'amq.topic', required: true }, pattern('write', 'Write'), pattern('read', 'Read')],
      action: 'Set topic permission',
      onsubmit: (given) => set('topic-permissions', given, { exchange: given.exchange, write: given.write, read: given.read }),
    })),
  ]
}

function vhostNames(names = []) {
  if (!names.length) return h('span', { class: 'bad' }, 'none')
  return names.length > 20 ? `${names.slice(0, 20).join(', ')} and ${f.count(names.length - 20)} more` : names.join(', ')
}

export const users = admin('users', 'Users', {
  bar: filter,
  async load(ctx) {
    const [list, rights] = await Promise.all([fetchList(ctx, 'users', { columns: 'name,tags', sort: 'name' }), get('permissions?columns=user,vhost', ctx.signal)])
    const vhosts = new Map()
    for (const right of rights) vhosts.set(right.user, [...(vhosts.get(right.user) || []), right.vhost])
    return { list, vhosts }
  },
  view: (ctx, { list, vhosts }) => [
    showList(ctx, 'Users', [
      { label: 'Name', head: true, sort: 'name', cell: (u) => link(`#/users/${path(u.name)}`, u.name) },
      { label: 'Tags', cell: (u) => u.tags.map((tag) => badge(tag)) },
      { label: 'Can access virtual hosts', class: 'wrap', cell: (u) => vhostNames(vhosts.get(u.name)) },
    ], list),
    folded('Add a user', form({
      scope: 'user',
      fields: [
        { name: 'name', label: 'Name', required: true },
        { name: 'password', label: 'Password', type: 'password', autocomplete: 'new-password' },
        { name: 'again', label: 'Password again', type: 'password', autocomplete: 'new-password' },
        tagsField(),
        { name: 'none', label: 'without a password (logs in by certificate)', type: 'checkbox' },
      ],
      action: 'Add user',
      onsubmit: async (given, target) => {
        if (!given.none && (!given.password || given.password !== given.again)) {
          tell(given.password ? 'the two passwords differ' : 'a password is needed', true)
          return
        }
        const body = given.none ? { password_hash: '' } : { password: given.password }
        if (await act(ctx, `user ${given.name} is there`, () => put(`users/${path(given.name)}`, { ...body, tags: tagsOf(given).join(',') }))) target.reset()
      },
    })),
  ],
})

export const user = admin('users', 'User', {
  load: withRights('user'),
  view: (ctx, { one, rights, topics, limits }) => [
    facts([['Tags', one.tags.length ? one.tags.map((tag) => badge(tag)) : 'none'], ['Logs in with a password', yesNo(one.password_hash)],
      ['Limits', properties(limits[0]?.value)]]),
    permissionTables(ctx, { rights, topics }, 'user', 'may enter no virtual host'),
    permissionForms(ctx, { user: one.name }, ctx.vhosts),
    limitForm(ctx, 'user', one.name),
    folded('Change this user', form({
      scope: 'change',
      fields: [
        { name: 'password', label: 'New password', type: 'password', autocomplete: 'new-password', hint: 'empty: it stays as it is' },
        tagsField(one.tags),
      ],
      action: 'Change user',
      onsubmit: (given) => act(ctx, 'user changed', () => put(`users/${path(one.name)}`, {
        ...(given.password ? { password: given.password } : { password_hash: one.password_hash, hashing_algorithm: one.hashing_algorithm }), tags: tagsOf(given, one.tags).join(','),
      })),
    })),
    folded('Close the connections of this user', form({
      scope: 'close',
      fields: [{ name: 'reason', label: 'Reason', value: 'Closed via management page', wide: true }],
      action: 'Close all',
      danger: true,
      onsubmit: (given) => sure(ctx, { title: 'Close all connections?', text: `those of ${one.name}`, action: 'Close all' }, 'connections closed',
        () => remove(`connections/username/${path(one.name)}`, { 'x-reason': given.reason.replace(/[^ -~]/g, '?') })),
    })),
    folded('Delete this user', button('Delete user', async () => {
      if (await sure(ctx, { title: 'Delete the user?', text: one.name, action: 'Delete' }, 'user deleted', () => remove(`users/${path(one.name)}`))) ctx.go('#/users')
    }, true)),
  ],
})

// ---- virtual hosts ----

const speed = (name) => (row) => f.rate(row.message_stats?.[`${name}_details`]?.rate)
const perSecond = (n) => `${f.short(n)}/s`
const RATES = [['publish', 'Publish'], ['confirm', 'Publisher confirm'], ['deliver_get', 'Deliver / get'], ['ack', 'Consumer ack'],
  ['redeliver', 'Redelivered'], ['return_unroutable', 'Unroutable (return)'], ['drop_unroutable', 'Unroutable (drop)'], ['get', 'Get']]

export const vhosts = admin('vhosts', 'Virtual hosts', {
  bar: filter,
  load: (ctx) => fetchList(ctx, 'vhosts', { sort: 'name' }),
  view: (ctx, list) => [
    showList(ctx, 'Virtual hosts', [
      { label: 'Name', head: true, sort: 'name', cell: (v) => link(`#/vhosts/${path(v.name)}`, v.name) },
      { label: 'Description', class: 'wrap', cell: (v) => v.description },
      { label: 'Tags', cell: (v) => [v.tags].flat().filter(Boolean).map((tag) => badge(tag)) },
      { label: 'Default queue type', cell: (v) => v.default_queue_type },
      { label: 'Ready', num: true, sort: 'messages_ready', cell: (v) => f.count(v.messages_ready) },
      { label: 'Unacked', num: true, sort: 'messages_unacknowledged', cell: (v) => f.count(v.messages_unacknowledged) },
      { label: 'Publish', num: true, sort: 'message_stats.publish_details.rate', cell: speed('publish') },
      { label: 'Deliver / get', num: true, sort: 'message_stats.deliver_get_details.rate', cell: speed('deliver_get') },
      { label: 'Tracing', cell: (v) => yesNo(v.tracing) },
      { label: 'State', cell: (v) => Object.values(v.cluster_state || {}).map(state) },
    ], list),
    ctx.isAdministrator && folded('Add a virtual host', form({
      scope: 'vhost',
      fields: [
        { name: 'name', label: 'Name', required: true }, { name: 'description', label: 'Description' }, { name: 'tags', label: 'Tags', hint: 'separated by commas' },
        { name: 'type', label: 'Default queue type', type: 'select', options: QUEUE_TYPES },
      ],
      action: 'Add virtual host',
      onsubmit: (given, target) => act(ctx, `virtual host ${given.name} is there`, async () => {
        await put(`vhosts/${path(given.name)}`, { description: given.description, tags: given.tags, ...(given.type && { default_queue_type: given.type }) })
        target.reset()
      }),
    })),
  ],
})

const isProtected = (one) => Boolean(one.protected_from_deletion ?? one.metadata?.protected_from_deletion)

const loadVhost = withRights('vhost')

export const vhost = admin('vhosts', 'Virtual host', {
  async load(ctx) {
    const data = await loadVhost(ctx, samplesOf(ctx, ['lengths', 'msg_rates', 'data_rates'], HOUR))
    learn(ctx, data.one)
    learn(ctx, data.one.message_stats)
    return data
  },
  view: (ctx, { one, rights, topics, limits }) => [
    h('div', { class: 'bar' }, rangeField(ctx, HOUR)),
    h('div', { class: 'charts' },
      chart(ctx, 'Queued messages', [level(ctx, 'messages_ready', 'Ready'), level(ctx, 'messages_unacknowledged', 'Unacked')]),
      chart(ctx, 'Message rates', RATES.map(([name, label]) => growth(ctx, name, label)), perSecond),
      chart(ctx, 'Data rates', [growth(ctx, 'recv_oct', 'From clients'), growth(ctx, 'send_oct', 'To clients')], f.byteRate)),
    facts([['Description', one.description], ['Tags', [one.tags].flat().filter(Boolean).map((tag) => badge(tag))], ['Default queue type', one.default_queue_type],
      ['Tracing', yesNo(one.tracing)], ['Protected from deletion', yesNo(isProtected(one))], ['Limits', properties(limits[0]?.value)]]),
    permissionTables(ctx, { rights, topics }, 'vhost', 'nobody may enter'),
    permissionForms(ctx, { vhost: one.name }, rights.map((p) => p.user)),
    limitForm(ctx, 'vhost', one.name),
    folded('Change this virtual host', form({
      scope: 'change',
      fields: [{ name: 'description', label: 'Description', value: one.description }, { name: 'tags', label: 'Tags', value: [one.tags].flat().filter(Boolean).join(','), hint: 'separated by commas' },
        { name: 'type', label: 'Default queue type', type: 'select', options: QUEUE_TYPES, value: one.default_queue_type || '' },
        { name: 'tracing', label: 'Tracing (firehose)', type: 'checkbox', value: one.tracing },
        { name: 'kept', label: 'Protected from deletion', type: 'checkbox', value: isProtected(one) }],
      action: 'Change virtual host',
      onsubmit: ({ type, kept, ...given }) => act(ctx, 'virtual host changed', async () => {
        const where = `vhosts/${path(one.name)}`
        await put(where, { ...given, ...(type && { default_queue_type: type }) })
        if (kept && !isProtected(one)) await post(`${where}/deletion/protection`)
        if (!kept && isProtected(one)) await remove(`${where}/deletion/protection`)
      }),
    })),
    folded('Delete this virtual host', button('Delete virtual host', async () => {
      const question = { title: 'Delete the virtual host?', text: `${one.name}, with all its queues, exchanges, messages and permissions. Type its name:`, fields: [{ name: 'name', label: 'Name', required: true }], action: 'Delete' }
      const done = await sure(ctx, question, 'virtual host deleted', async (given) => {
        if (given.name !== one.name) throw new Error('that is not its name: nothing was deleted')
        await remove(`vhosts/${path(one.name)}`)
      })
      if (done) ctx.go('#/vhosts')
    }, true)),
  ],
})

// ---- tracing ----

const setTracing = (ctx, v) => act(ctx, v.tracing ? `${v.name} is no longer traced` : `${v.name} is traced`, () => put(`vhosts/${path(v.name)}`, { tracing: !v.tracing }))

export const traces = admin('traces', 'Tracing', {
  bar: filter,
  load: (ctx) => fetchList(ctx, 'vhosts', { sort: 'name', columns: 'name,tracing' }),
  view: (ctx, list) => [
    h('p', {}, 'While a virtual host is traced, each message that is published or delivered in it is copied to its exchange ', h('code', {}, 'amq.rabbitmq.trace'),
      ', with the routing key ', h('code', {}, 'publish.EXCHANGE'), ' or ', h('code', {}, 'deliver.QUEUE'), '. Bind a queue to that exchange and look at its messages.'),
    showList(ctx, 'Virtual hosts', [
      { label: 'Name', head: true, sort: 'name', cell: (v) => link(`#/vhosts/${path(v.name)}`, v.name) },
      { label: 'Traced', cell: (v) => yesNo(v.tracing) },
      { label: 'Copies go to', cell: (v) => link(`#/exchanges/${path(v.name, 'amq.rabbitmq.trace')}`, 'amq.rabbitmq.trace') },
      { label: 'Change', cell: (v) => button(v.tracing ? 'Stop tracing' : 'Trace', () => setTracing(ctx, v)) },
    ], list),
  ],
})

// ---- policies ----

function policyTable(ctx, rows, where, may) {
  return longTable(ctx, where, {
    caption: where === 'policies' ? 'User policies' : 'Operator policies',
    rows,
    text: (p) => `${p.vhost} ${p.name} ${p.pattern} ${JSON.stringify(p.definition)}`,
    key: (p) => keyOf(p.vhost, p.name),
    columns: [
      { label: 'Virtual host', cell: (p) => p.vhost }, { label: 'Name', head: true, cell: (p) => p.name },
      { label: 'Pattern', cell: (p) => h('code', {}, p.pattern) }, { label: 'Apply to', cell: (p) => p['apply-to'] },
      { label: 'Definition', cell: (p) => properties(p.definition) }, { label: 'Priority', num: true, cell: (p) => p.priority },
      may && {
        label: 'Actions',
        cell: (p) => [
          button('Edit', () => edit(ctx, where, p)), ' ',
          button('Clear', () => sure(ctx, { title: 'Clear the policy?', text: `${p.name} in ${p.vhost}`, action: 'Clear' }, 'policy cleared', () => remove(`${where}/${path(p.vhost, p.name)}`))),
        ],
      },
    ].filter(Boolean),
  })
}

function edit(ctx, where, policy) {
  ctx.state.edited = { ...ctx.state.edited, [where]: policy }
  setRows(ctx, where, policy.definition)
  ctx.update()
  document.getElementById(`form ${where}`)?.scrollIntoView({ block: 'nearest' })
}

function policyForm(ctx, where, title) {
  const p = ctx.state.edited?.[where] || { pattern: '.*', priority: 0, 'apply-to': 'all', name: '' }
  return h('section', { id: `form ${where}`, key: `${where} ${p.vhost} ${p.name}` }, h('h2', {}, p.name ? `Change ${p.name}` : title), form({
    scope: where,
    fields: [
      { name: 'vhost', label: 'Virtual host', type: 'select', options: ctx.vhosts, value: p.vhost || ctx.vhost || '/' },
      { name: 'name', label: 'Name', required: true, value: p.name }, { name: 'pattern', label: 'Pattern', required: true, value: p.pattern },
      { name: 'apply', label: 'Apply to', type: 'select', options: APPLY, value: p['apply-to'] },
      { name: 'priority', label: 'Priority', type: 'number', value: String(p.priority) },
      argumentsField(ctx, where, POLICY_KEYS, 'Definition'),
    ],
    action: 'Set policy',
    onsubmit: (given) => act(ctx, `policy ${given.name} is set`, async () => {
      await put(`${where}/${path(given.vhost, given.name)}`, { pattern: given.pattern, definition: readArguments(ctx, where), priority: Number(given.priority), 'apply-to': given.apply })
      clearArguments(ctx, where)
      ctx.state.edited = { ...ctx.state.edited, [where]: null }
    }),
    extra: p.name && button('Cancel', () => {
      clearArguments(ctx, where)
      ctx.state.edited = { ...ctx.state.edited, [where]: null }
      ctx.update()
    }),
  }))
}

export const policies = admin('policies', 'Policies', {
  async load(ctx) {
    const vhost = ctx.vhost ? `/${path(ctx.vhost)}` : ''
    const [own, operator] = await Promise.all([get(`policies${vhost}`, ctx.signal), get(`operator-policies${vhost}`, ctx.signal)])
    return { own, operator }
  },
  view: (ctx, { own, operator }) => [
    section('User policies', policyTable(ctx, own, 'policies', ctx.isPolicymaker)),
    ctx.isPolicymaker && policyForm(ctx, 'policies', 'Add a policy'),
    section('Operator policies', policyTable(ctx, operator, 'operator-policies', ctx.isAdministrator)),
    ctx.isAdministrator && policyForm(ctx, 'operator-policies', 'Add an operator policy'),
  ],
})

// ---- limits ----

function limitTable(ctx, rows, what) {
  const all = rows.flatMap((row) => Object.entries(row.value).map(([name, n]) => ({ of: row[what], name, n })))
  return longTable(ctx, what, {
    caption: what === 'vhost' ? 'Limits of virtual hosts' : 'Limits of users',
    rows: all,
    text: (l) => `${l.of} ${l.name}`,
    key: (l) => keyOf(l.of, l.name),
    columns: [
      { label: what === 'vhost' ? 'Virtual host' : 'User', head: true, cell: (l) => l.of }, { label: 'Limit', cell: (l) => l.name },
      { label: 'Value', num: true, cell: (l) => (l.n < 0 ? 'no limit' : f.count(l.n)) },
      ctx.isAdministrator && { label: 'Actions', cell: (l) => button('Clear', () => act(ctx, 'limit cleared', () => remove(`${what}-limits/${path(l.of, l.name)}`))) },
    ].filter(Boolean),
  })
}

const LIMITS = { vhost: ['max-connections', 'max-queues'], user: ['max-connections', 'max-channels'] }

/** of: whose; else that is asked. */
function limitForm(ctx, what, of) {
  const whose = what === 'vhost' ? { name: 'of', label: 'Virtual host', type: 'select', options: ctx.vhosts } : { name: 'of', label: 'User', required: true }
  return folded(of ? 'Set a limit' : what === 'vhost' ? 'Set a limit of a virtual host' : 'Set a limit of a user', form({
    scope: `${what} limit`,
    fields: [of ? null : whose, { name: 'name', label: 'Limit', type: 'select', options: LIMITS[what] }, { name: 'value', label: 'Value', type: 'number', required: true, hint: '-1: no limit' }],
    action: 'Set limit',
    onsubmit: (given) => act(ctx, 'limit set', () => put(`${what}-limits/${path(of || given.of, given.name)}`, { value: Number(given.value) })),
  }))
}

export const limits = admin('limits', 'Limits', {
  async load(ctx) {
    const [vhosts, users] = await Promise.all([get('vhost-limits', ctx.signal), get('user-limits', ctx.signal)])
    return { vhosts, users }
  },
  view: (ctx, { vhosts, users }) => [
    section('Virtual hosts', limitTable(ctx, vhosts, 'vhost'), ctx.isAdministrator && limitForm(ctx, 'vhost')),
    section('Users', limitTable(ctx, users, 'user'), ctx.isAdministrator && limitForm(ctx, 'user')),
  ],
})

// ---- the rest ----

export const flags = admin('feature-flags', 'Feature flags', {
  load: (ctx) => get('feature-flags', ctx.signal),
  view: (_ctx, list) => table({
    caption: 'Feature flags',
    rows: list,
    key: (flag) => flag.name,
    columns: [
      { label: 'Name', head: true, cell: (flag) => flag.name }, { label: 'State', cell: (flag) => flag.state },
      { label: 'Description', class: 'wrap', cell: (flag) => flag.desc },
    ],
    empty: 'there are none',
  }),
})

export const deprecated = admin('deprecated-features', 'Deprecated features', {
  load: (ctx) => get('deprecated-features', ctx.signal),
  view: (_ctx, list) => table({
    caption: 'Deprecated features',
    rows: list,
    key: (one) => one.name,
    columns: [{ label: 'Name', head: true, cell: (one) => one.name }, { label: 'Description', class: 'wrap', cell: (one) => one.desc }],
    empty: 'there are none',
  }),
})

export const configuration = admin('configuration', 'Configuration', {
  load: (ctx) => get('config/effective', ctx.signal),
  view: (ctx, config) => [
    h('p', { class: 'hint' }, 'What is in effect, from the configuration files, flags and defaults. Secrets are not shown.'),
    longTable(ctx, 'keys', {
      caption: 'Configuration',
      rows: Object.entries(config),
      text: ([key, v]) => `${key} ${f.value(v)}`,
      key: ([key]) => key,
      columns: [{ label: 'Key', head: true, cell: ([key]) => key }, { label: 'Value', class: 'wrap', cell: ([, v]) => h('code', {}, f.value(v)) }],
    }),
  ],
})

export const cluster = admin('cluster-name', 'Cluster', {
  load: (ctx) => get('cluster-name', ctx.signal),
  view: (ctx, { name }) => form({
    scope: 'cluster',
    fields: [{ name: 'name', label: 'Name', required: true, value: name, hint: 'what clients are told' }],
    action: 'Change the name',
    onsubmit: (given) => act(ctx, 'the cluster has another name', () => put('cluster-name', { name: given.name })),
  }),
})

export const log = admin('log', 'Log', { load: () => ({}), view: (ctx) => ctx.part('./log.js', 'live') })

function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  const a = document.createElement('a')
  a.href = url
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 10000)
}

const whichVhost = (ctx) => ({ name: 'vhost', label: 'Of', type: 'select', options: [['', 'everything'], ...ctx.vhosts.map((v) => [v, `virtual host ${v}`])] })

export const definitions = admin('definitions', 'Definitions', {
  load: () => ({}),
  view: (ctx) => [
    h('p', {}, 'Users, virtual hosts, permissions, policies, exchanges, queues and bindings as a file: RabbitMQ’s format. Messages are not part of it.'),
    section('Export', form({
      scope: 'export',
      fields: [whichVhost(ctx), { name: 'file', label: 'File name', value: 'definitions.json' }],
      action: 'Download definitions',
      onsubmit: (given) => act(ctx, 'definitions downloaded', async () => save(given.file || 'definitions.json', await getText(given.vhost ? `definitions/${path(given.vhost)}` : 'definitions'))),
    })),
    section('Import', form({
      scope: 'import',
      fields: [whichVhost(ctx), h('div', { class: 'field' }, h('label', {}, 'File', h('input', { type: 'file', name: 'file', accept: '.json,application/json', required: true })))],
      action: 'Upload definitions',
      onsubmit: async (given, target) => {
        const file = target.elements.file.files[0]
        await sure(ctx, { title: 'Import the definitions?', text: `${file.name}, ${f.bytes(file.size)}. What is there already is changed where the file says something else; nothing is deleted.`, action: 'Import', danger: false },
          'definitions imported', async () => upload(given.vhost ? `definitions/${path(given.vhost)}` : 'definitions', await file.text()))
      },
    })),
  ],
})
