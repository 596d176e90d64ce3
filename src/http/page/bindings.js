// Exchanges, queues and the bindings between them, drawn from left to right: who publishes there is left of everything.

import { get, path } from './api.js'
import { h } from './dom.js'
import { count } from './format.js'
import { to } from './lists.js'
import { tell } from './parts.js'

const COLUMN = 300
const ROW = 30
const BOX = 190
const MOST = 300 // nodes that are drawn
const ALIKE = 20 // queues bound to the same exchanges; more are drawn as one
const OFFERED = 300 // names that are proposed
const KINDS = { e: 'exchange', q: 'queue' }

const keyOf = (kind, name) => `${kind} ${name}`

/** The nodes within reach of one, and the bindings between these; all of them if there is none. */
function near(bindings, focus) {
  if (!focus) return bindings
  const found = new Set([focus])
  for (let grown = true; grown;) {
    grown = false
    for (const b of bindings) {
      const [from, into] = ends(b)
      if (found.has(from) === found.has(into)) continue
      found.add(from).add(into)
      grown = true
    }
  }
  return bindings.filter((b) => found.has(ends(b)[0]))
}

const ends = (b) => [keyOf('e', b.source), keyOf(b.destination_type[0], b.destination)]

/** Each node as far right as its longest way from the left, rounds left aside. */
function ranks(nodes, edges) {
  const rank = new Map(nodes.map((node) => [node, 0]))
  for (let round = 0; round < 12; round++) {
    let moved = false
    for (const { from, into } of edges) {
      if (from === into || rank.get(into) > rank.get(from) || rank.get(from) >= 11) continue
      rank.set(into, rank.get(from) + 1)
      moved = true
    }
    if (!moved) break
  }
  const last = Math.max(0, ...[...rank.values()])
  for (const node of nodes) if (node.startsWith('q ')) rank.set(node, Math.max(1, last))
  return rank
}

/** Edges over several columns go through a point in each of those between. */
function route(edges, rank, columns) {
  let points = 0
  for (const edge of edges) {
    edge.way = [edge.from]
    for (let x = rank.get(edge.from) + 1; x < rank.get(edge.into) && points < MOST; x++) {
      const point = `. ${++points}`
      ;(columns[x] ||= []).push(point)
      edge.way.push(point)
    }
    edge.way.push(edge.into)
  }
}

/** Queues that many others are bound like, by the one node that stands for them all. */
function crowds(bindings, focus) {
  const sources = new Map()
  for (const b of bindings) {
    const [from, into] = ends(b)
    if (into[0] === 'q' && into !== focus) sources.set(into, (sources.get(into) || new Set()).add(from))
  }
  const alike = new Map()
  for (const [queue, from] of sources) {
    const key = JSON.stringify([...from].sort())
    alike.set(key, [...(alike.get(key) || []), queue])
  }
  const of = new Map()
  for (const [key, queues] of alike) {
    if (queues.length <= ALIKE) continue
    const crowd = { node: `g ${key}`, name: `${count(queues.length)} queues`, source: JSON.parse(key)[0].slice(2) }
    for (const queue of queues) of.set(queue, crowd)
  }
  return of
}

function edgesOf(bindings, crowdOf) {
  const edges = new Map()
  for (const b of bindings) {
    const [from, end] = ends(b)
    const into = crowdOf.get(end)?.node || end
    const key = JSON.stringify([from, into])
    const edge = edges.get(key) || { from, into, count: 0, keys: [] }
    if (!edge.count++) edges.set(key, edge)
    const text = b.routing_key || JSON.stringify(b.arguments)
    if (edge.keys.length < 20 && text !== '{}') edge.keys.push(text)
  }
  return [...edges.values()]
}

/** Places: those of a column in the order of where their bindings come from. */
function layout(bindings, focus) {
  const crowdOf = crowds(bindings, focus)
  const lines = edgesOf(bindings, crowdOf)
  const all = [...new Set(lines.flatMap(({ from, into }) => [from, into]))].sort()
  const nodes = all.slice(0, MOST)
  const drawn = new Set(nodes)
  const shown = lines.filter(({ from, into }) => drawn.has(from) && drawn.has(into))
  const rank = ranks(nodes, shown)
  const columns = []
  for (const node of nodes) (columns[rank.get(node)] ||= []).push(node)
  route(shown, rank, columns)
  const beside = new Map()
  for (const { way } of shown) {
    way.forEach((node, i) => beside.set(node, [...(beside.get(node) || []), way[i - 1], way[i + 1]].filter(Boolean)))
  }
  const place = new Map()
  const filled = columns.filter(Boolean)
  for (let sweep = 0; sweep < 4; sweep++) {
    filled.forEach((column, x) => {
      const weight = (node) => {
        const others = beside.get(node).filter((other) => place.has(other))
        return others.length ? others.reduce((sum, other) => sum + place.get(other).y, 0) / others.length : place.get(node)?.y ?? 0
      }
      const weights = new Map(column.map((node) => [node, weight(node)]))
      column.sort((a, b) => weights.get(a) - weights.get(b) || (a < b ? -1 : 1))
      column.forEach((node, y) => place.set(node, { x, y }))
    })
  }
  const tallest = Math.max(1, ...filled.map((column) => column.length))
  for (const column of filled) {
    column.forEach((node, y) => {
      place.get(node).y = y + (tallest - column.length) / 2
    })
  }
  return { place, edges: shown, crowds: new Map([...crowdOf.values()].map((crowd) => [crowd.node, crowd])), width: filled.length * COLUMN, height: tallest * ROW, left: all.length - nodes.length }
}

function label(name, most = 26) {
  return name.length > most ? `${name.slice(0, most - 1)}…` : name
}

/** What a node is called, and where it leads. */
function describe(vhost, node, crowds) {
  const crowd = crowds.get(node)
  if (crowd) return { name: crowd.name, label: crowd.name, href: to.exchange(vhost, crowd.source), shape: 'crowd' }
  const name = node.slice(2)
  const isQueue = node[0] === 'q'
  return { name, label: `${KINDS[node[0]]} ${name}`, href: isQueue ? to.queue(vhost, name) : to.exchange(vhost, name), shape: isQueue ? 'queue' : 'exchange' }
}

function draw(vhost, { place, edges, crowds, width, height }, chosen, choose) {
  const x = (node) => 10 + place.get(node).x * COLUMN
  const y = (node) => 12 + place.get(node).y * ROW
  return h('svg', { class: 'graph', width: width + 10, height: height + 14, viewBox: `0 0 ${width + 10} ${height + 14}`, role: 'group', 'aria-label': `${edges.length} ways between exchanges and queues` },
    h('defs', {}, h('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto-start-reverse' }, h('path', { d: 'M0 0 8 4 0 8z', class: 'tip' }))),
    edges.map((edge) => {
      const back = place.get(edge.into).x <= place.get(edge.from).x
      const [x1, y1] = [x(edge.from) + BOX, y(edge.from) + 10]
      const [x2, y2] = [back ? x(edge.into) + BOX : x(edge.into), y(edge.into) + 10]
      const from = `M${x1} ${y1}`
      const curves = edge.way.slice(1).map((node, i) => {
        const [left, right] = [edge.way[i], node]
        const [ax, ay] = [x(left) + BOX, y(left) + 10]
        const [bx, by] = [x(right), y(right) + 10]
        const through = right === edge.into ? '' : `H${bx + BOX}`
        return `C${(ax + bx) / 2} ${ay} ${(ax + bx) / 2} ${by} ${bx} ${by}${through}`
      }).join('')
      const on = chosen && (edge.from === chosen || edge.into === chosen)
      const { keys } = edge
      return h('g', { key: JSON.stringify([edge.from, edge.into]), class: on ? 'edge on' : chosen ? 'edge off' : 'edge' },
        h('path', { d: back ? `${from}C${x1 + 40} ${y1} ${x2 + 40} ${y2} ${x2} ${y2}` : from + curves, 'marker-end': 'url(#arrow)' }, h('title', {}, `${edge.count} × ${keys.join(', ')}${edge.count > keys.length && keys.length > 0 ? ' …' : ''}`)),
        (on || edges.length <= 40) && keys.length > 0 && h('text', { x: x2 - (back ? -6 : 8), y: y2 - 4, class: back ? '' : 'end' }, label(edge.count > 1 ? `${keys[0]} +${edge.count - 1}` : keys[0], 16)))
    }),
    [...place.keys()].filter((node) => node[0] !== '.').map((node) => {
      const one = describe(vhost, node, crowds)
      return h('a', { key: node, href: one.href, class: node === chosen ? 'node on' : 'node', 'aria-label': one.label, onmouseenter: () => choose(node), onmouseleave: () => choose(null), onfocus: () => choose(node), onblur: () => choose(null) },
        h('rect', { x: x(node), y: y(node), width: BOX, height: 20, rx: one.shape === 'exchange' ? 10 : 2, class: one.shape }),
        h('text', { x: x(node) + BOX / 2, y: y(node) + 14 }, label(one.name)), h('title', {}, one.name))
    }))
}

/** Of what was typed: “queue a”, “exchange b”, or a name alone. */
function nodeOf(names, typed) {
  const [, kind, name] = typed.match(/^(?:(exchange|queue) )?(.*)$/)
  const fits = (node) => names.has(node) && node
  return kind ? fits(keyOf(kind[0], name)) || fits(keyOf('e', typed)) || fits(keyOf('q', typed)) : fits(keyOf('e', name)) || fits(keyOf('q', name))
}

function focusField(ctx, focus, names) {
  const nameOf = (node) => `${KINDS[node[0]]} ${node.slice(2)}`
  const asked = (event) => {
    const typed = event.target.value.trim()
    const of = typed && nodeOf(names, typed)
    if (of === false) tell(`nothing that is bound is called ${typed}`, true)
    else ctx.ask({ of })
  }
  return h('label', { class: 'choice' }, 'around', h('input', { type: 'search', list: 'bound', placeholder: 'everything', key: focus || '', value: focus ? nameOf(focus) : '', onchange: asked, spellcheck: 'false', autocomplete: 'off' }),
    h('datalist', { id: 'bound' }, [...names].sort().slice(0, OFFERED).map((name) => h('option', { value: nameOf(name) }))))
}

export const bindings = {
  title: () => 'Bindings',
  async load(ctx) {
    const vhost = ctx.vhost || (ctx.vhosts.includes('/') ? '/' : ctx.vhosts[0]) || '/'
    const drawn = await get(`bindings/${path(vhost)}?explicit=true&columns=source,destination,destination_type,routing_key,arguments`, ctx.signal)
    const focus = ctx.query.get('of')
    const text = JSON.stringify([vhost, focus, drawn])
    if (ctx.state.text !== text) Object.assign(ctx.state, { text, picture: layout(near(drawn, focus), focus), names: new Set(drawn.flatMap(ends)) })
    return { vhost, focus, total: drawn.length }
  },
  view(ctx, { vhost, focus, total }) {
    const { picture, names } = ctx.state
    const choose = (node) => {
      ctx.state.chosen = node
      ctx.update()
    }
    return [
      h('div', { class: 'bar' }, h('h1', {}, 'Bindings'), h('span', { class: 'dim' }, `${count(total)} in ${vhost}; those of the default exchange are not drawn`), focusField(ctx, focus, names)),
      total === 0 && h('p', {}, 'Nothing is bound.'),
      picture.left > 0 && h('p', { class: 'hint', role: 'status' }, `${picture.left} more exchanges and queues are not drawn: choose one to see what is around it.`),
      total > 0 && h('div', { class: 'scroll canvas' }, draw(vhost, picture, ctx.state.chosen, choose)),
    ]
  },
}
