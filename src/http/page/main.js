// The frame around the pages: which page is asked for, who is logged in, when to look again.

import { Away, get, isLoggedIn, logIn, logOut, orAway, Refusal } from './api.js'
import { h, patch } from './dom.js'
import { channels, connections, exchanges, queues, streams } from './lists.js'
import { node, overview } from './overview.js'
import { form, tell } from './parts.js'

const failures = new Map() // files that did not come: how often
/** Browsers keep what failed under its address: another try has another one. */
async function fetchFile(file) {
  const before = failures.get(file)
  try {
    return await import(before ? `${file}?${before}` : file)
  } catch (error) {
    failures.set(file, (before || 0) + 1)
    throw orAway(error)
  }
}

const lazy = (file, name) => async () => (await fetchFile(file))[name]
const objects = (name) => lazy('./objects.js', name)
const admin = (name) => lazy('./admin.js', name)

/** Patterns of RabbitMQ's page, so that its bookmarks lead here; tab: what is marked above. */
const ROUTES = [
  ['', 'overview', overview], ['nodes/*', 'overview', node],
  ['connections', 'connections', connections], ['connections/*', 'connections', objects('connection')],
  ['channels', 'channels', channels], ['channels/*', 'channels', objects('channel')], ['consumers', 'channels', objects('consumers')],
  ['exchanges', 'exchanges', exchanges], ['exchanges/*/*', 'exchanges', objects('exchange')],
  ['queues', 'queues', queues], ['queues/*/*', 'queues', objects('queue')],
  ['streams', 'streams', streams], ['bindings', 'bindings', lazy('./bindings.js', 'bindings')],
  ['users', 'admin', admin('users')], ['users/*', 'admin', admin('user')], ['vhosts', 'admin', admin('vhosts')], ['vhosts/*', 'admin', admin('vhost')], ['traces', 'admin', admin('traces')],
  ['policies', 'admin', admin('policies')], ['limits', 'admin', admin('limits')], ['feature-flags', 'admin', admin('flags')], ['deprecated-features', 'admin', admin('deprecated')], ['configuration', 'admin', admin('configuration')], ['cluster-name', 'admin', admin('cluster')], ['log', 'admin', admin('log')], ['definitions', 'admin', admin('definitions')],
]
const TABS = [['', 'overview', 'Overview'], ['connections', 'connections', 'Connections'], ['channels', 'channels', 'Channels'],
  ['exchanges', 'exchanges', 'Exchanges'], ['queues', 'queues', 'Queues'], ['streams', 'streams', 'Streams'], ['bindings', 'bindings', 'Bindings'],
  ['users', 'admin', 'Admin']]
const THEMES = [['', 'System'], ['light', 'Light'], ['dark', 'Dark']]
const INTERVALS = [[2000, '2 s'], [5000, '5 s'], [10000, '10 s'], [30000, '30 s'], [0, 'off']]

const PACE = 10 // a look that takes long is followed by a rest so many times as long

const stored = (name, otherwise) => localStorage.getItem(`jackalope.${name}`) ?? otherwise
const store = (name, value) => localStorage.setItem(`jackalope.${name}`, value)

const app = document.getElementById('app')
let me = null
let about = null
let page = null // the one that is shown
let timer
let lost = false // the broker does not answer
let visits = 0
let at = null // the address of the page that is shown

// ---- a page ----

/** What a page is given: its place, its state, and how to change what is seen. */
class Page {
  constructor({ tab, module, params, query }) {
    const known = typeof module !== 'function'
    Object.assign(this, { tab, module: known ? module : null, fetch: known ? null : module, params, query, state: {}, data: null, error: null })
    this.aborter = new AbortController()
    this.over = new AbortController()
    this.number = ++visits
  }

  /** Ends what it still waits for. */
  leave() {
    this.aborter.abort()
    this.over.abort()
  }

  get signal() {
    return this.aborter.signal
  }

  get vhost() {
    return stored('vhost', '')
  }

  get vhosts() {
    return about?.vhosts || []
  }

  get me() {
    return me
  }

  get isMonitor() {
    return me.tags.includes('administrator') || me.tags.includes('monitoring')
  }

  get isAdministrator() {
    return me.tags.includes('administrator')
  }

  get isPolicymaker() {
    return this.isAdministrator || me.tags.includes('policymaker')
  }

  /** Draws what is known; false: another page is shown. */
  update() {
    if (page !== this) return false
    draw()
    return true
  }

  /** Looks again. */
  async refresh() {
    if (page !== this) return
    clearTimeout(timer)
    this.aborter.abort()
    this.aborter = new AbortController()
    const { signal } = this
    const began = performance.now()
    try {
      this.module ||= await this.fetch()
      if (signal.aborted) return
      const data = await this.module.load(this)
      if (signal.aborted) return
      if (data !== null) this.data = data
      this.error = null
      lost = false
    } catch (error) {
      if (signal.aborted || page !== this || this.failed(error)) return
      this.error = error
    }
    this.update()
    this.cost = performance.now() - began
    schedule()
  }

  /** True: the user has to log in again, or the broker is away; it was said. */
  failed(error) {
    if (error instanceof Refusal) {
      if (!error.isLogin) return false
      logOut()
      me = page = null
      this.leave()
      draw()
      return true
    }
    if (!(error instanceof Away)) return false
    lost = true
    draw()
    schedule()
    return true
  }

  /** Changes what is seen of what is known, which the address shows. */
  note(changes, replace = false) {
    if (page !== this) return
    for (const [name, v] of Object.entries(changes)) {
      if (v === '') this.query.delete(name)
      else this.query.set(name, v)
    }
    const where = location.hash.split('?')[0] || '#/'
    const hash = this.query.size ? `${where}?${this.query}` : where
    history[replace ? 'replaceState' : 'pushState'](null, '', hash)
    at = location.hash
    this.update()
  }

  /** Changes what is asked for, which the address shows. */
  ask(changes, replace = false) {
    this.note(changes, replace)
    this.refresh()
  }

  go(hash) {
    location.hash = hash
  }

  /** A part of the page whose file is fetched when it is first seen. */
  part(file, name) {
    const parts = (this.state.parts ||= {})
    if (typeof parts[name] === 'function') return parts[name](this)
    parts[name] ||= fetchFile(file).then((module) => {
      parts[name] = module[name]
      this.update()
    }, () => delete parts[name])
    return ''
  }
}

function schedule() {
  clearTimeout(timer)
  const ms = lost ? 3000 : Number(stored('refresh', 5000))
  if (ms && page && !document.hidden) timer = setTimeout(() => page.refresh(), Math.max(ms, PACE * (page.cost || 0)))
}

/** null: it is no text. */
function partsOf(place) {
  try {
    return place.split('/').map(decodeURIComponent)
  } catch {
    return null
  }
}

function find(where) {
  const [place, search] = where.replace(/^#?\/?/, '').split('?')
  const parts = partsOf(place)
  for (const [pattern, tab, module] of ROUTES) {
    const wanted = pattern.split('/')
    if (wanted.length !== parts?.length || !wanted.every((word, i) => word === '*' || word === parts[i])) continue
    return { tab, module, params: parts.filter((_, i) => wanted[i] === '*'), query: new URLSearchParams(search) }
  }
  return null
}

async function open() {
  at = location.hash
  page?.leave()
  clearTimeout(timer)
  const found = find(location.hash) || { tab: '', module: { title: () => 'Not found', load: () => ({}), view: () => [h('h1', {}, 'There is no such page')] }, params: [], query: new URLSearchParams() }
  const opened = new Page(found)
  const first = page === null
  page = opened
  if (!opened.module) {
    if (first) draw()
    try {
      opened.module = await opened.fetch()
    } catch (error) {
      if (!opened.failed(error)) opened.error = error
      draw()
      return
    }
    if (page !== opened) return
  }
  draw()
  scrollTo(0, 0)
  if (!first) document.getElementById('main')?.focus({ preventScroll: true })
  await opened.refresh()
}

// ---- the frame ----

function choice(label, name, options, value, changed) {
  return h('label', { class: 'choice' }, h('span', {}, label), h('select', { onchange: (event) => changed(event.target.value) },
    options.map((option) => {
      const [v, text] = Array.isArray(option) ? option : [option, option]
      return h('option', { value: v, selected: String(v) === String(value) }, text)
    })))
}

function setTheme(theme) {
  store('theme', theme)
  if (theme) document.documentElement.dataset.theme = theme
  else delete document.documentElement.dataset.theme
  draw()
}

function frame() {
  return [
    h('button', { type: 'button', class: 'skip', onclick: () => document.getElementById('main').focus() }, 'Skip to the content'),
    h('header', {},
      h('a', { class: 'brand', href: '#/' }, 'Jackalope'),
      h('span', { class: 'cluster' }, about ? `${about.cluster_name} · ${about.product_version}` : ''),
      h('div', { class: 'choices' },
        choice('Virtual host', 'vhost', [['', 'all'], ...(about?.vhosts || [])], stored('vhost', ''), (v) => {
          store('vhost', v)
          page.query.delete('page')
          page.ask({})
        }),
        choice('Refresh', 'refresh', INTERVALS, stored('refresh', 5000), (v) => {
          store('refresh', v)
          page.refresh()
          schedule()
        }),
        choice('Theme', 'theme', THEMES, stored('theme', ''), setTheme),
        h('span', { class: 'user' }, me.name), h('button', { type: 'button', onclick: leave }, 'Log out'))),
    h('nav', { class: 'tabs', 'aria-label': 'pages' }, h('ul', {}, TABS.map(([hash, tab, text]) => h('li', {},
      h('a', { href: `#/${tab === 'admin' && !me.tags.includes('administrator') ? 'vhosts' : hash}`, 'aria-current': page?.tab === tab ? 'page' : null }, text))))),
    h('main', { id: 'main', tabindex: '-1', key: `page ${page?.number}` }, content()),
  ]
}

function content() {
  const lines = []
  if (lost) lines.push(h('p', { class: 'alarm', role: 'alert' }, 'The broker does not answer. Trying again …'))
  if (page?.error) {
    lines.push(h('p', { class: 'alarm', role: 'alert' }, page.error.status === 404 ? 'It is not there, or not any more.' : page.error.message))
  }
  if (!page?.module) return lines
  if (page.data === null) return page.error || lost ? lines : [...lines, h('p', { class: 'dim', role: 'status' }, 'Loading …')]
  return [...lines, page.module.view(page, page.data)]
}

function loginPage() {
  return [h('main', { class: 'login', id: 'main', key: 'login' }, h('h1', {}, 'Jackalope'),
    form({
      scope: 'login',
      fields: [
        { name: 'user', label: 'User', required: true, autocomplete: 'username' },
        { name: 'password', label: 'Password', type: 'password', autocomplete: 'current-password' },
      ],
      action: 'Log in',
      onsubmit: async (given) => {
        logIn(given.user, given.password)
        await enter()
      },
    }))]
}

function draw() {
  const shown = isLoggedIn() && me
  document.title = shown && page?.module ? `${page.module.title(page)} · Jackalope` : 'Jackalope'
  patch(app, shown ? frame() : loginPage())
}

// ---- coming and going ----

function leave() {
  logOut()
  sessionStorage.clear()
  page?.leave()
  clearTimeout(timer)
  me = about = page = null
  draw()
}

async function enter() {
  try {
    me = await get('whoami')
  } catch (error) {
    logOut()
    draw()
    tell(error instanceof Refusal ? (error.isLogin ? 'The user or the password is wrong.' : error.message) : 'The broker does not answer.', true)
    return
  }
  const opened = open()
  learn()
  await opened
}

/** What the frame shows of the broker; the page does not wait for it. */
async function learn() {
  try {
    const [all, name, vhosts] = await Promise.all([get('version'), get('cluster-name'), get('vhosts?columns=name')])
    about = { ...all, cluster_name: name.name, vhosts: vhosts.map((vhost) => vhost.name) }
    if (stored('vhost', '') && !about.vhosts.includes(stored('vhost', ''))) {
      store('vhost', '')
      page?.refresh()
    }
    draw()
  } catch {
    // the page itself says what is wrong
  }
}

addEventListener('popstate', () => me && open())
addEventListener('hashchange', () => me && location.hash !== at && open()) // popstate told of the same step
document.addEventListener('visibilitychange', () => me && !document.hidden && page?.refresh())
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || /^(input|textarea|select)$/.test(event.target.localName)) return
  const search = document.querySelector('[role=search] input')
  if (!search) return
  event.preventDefault()
  search.focus()
})
if (isLoggedIn()) enter()
else draw()
