// What was seen while the page was open, and lines drawn of it.

import { h } from './dom.js'
import { byteRate, bytes, clock, short } from './format.js'

const SPAN = 600000 // ms that are remembered
const KEEP = 'jackalope.history'
const WIDTH = 560
const HEIGHT = 150
const LEFT = 56
const BOTTOM = 18
const TOP = 8

const histories = new Map(restore())
const hovered = new Map() // by title: a time

function restore() {
  try {
    return JSON.parse(sessionStorage.getItem(KEEP)) || []
  } catch {
    return []
  }
}

/** So that a reload does not begin with nothing. */
export function keep() {
  const recent = [...histories].filter(([, points]) => points.at(-1).t > Date.now() - SPAN).slice(-4)
  try {
    sessionStorage.setItem(KEEP, JSON.stringify(recent))
  } catch {
    // no room: it begins with nothing
  }
}

/** Notes numbers of an object as they are now; all that is known of it, oldest first. */
export function record(key, numbers) {
  const now = Date.now()
  const points = (histories.get(key) || []).filter((point) => point.t > now - SPAN)
  if (!points.length || now - points.at(-1).t > 900) points.push({ t: now, ...numbers })
  histories.delete(key)
  histories.set(key, points)
  if (histories.size > 50) histories.delete(histories.keys().next().value)
  return points
}

/** Values as they were. */
export function levels(points, name) {
  return points.map((point) => [point.t, point[name]]).filter(([, v]) => v != null)
}

/** How fast a counter grew from one look to the next. */
export function growth(points, name) {
  const line = []
  for (let i = 1; i < points.length; i++) {
    const grown = points[i][name] - points[i - 1][name]
    if (grown >= 0) line.push([points[i].t, grown / ((points[i].t - points[i - 1].t) / 1000)])
  }
  return line
}

/** Where the axis ends: a round number, of bytes if it is of bytes. */
function niceMax(v, format) {
  if (v <= 1) return 1
  const base = format === bytes || format === byteRate ? 1024 ** Math.floor(Math.log(v) / Math.log(1024)) : 1
  const unit = 10 ** Math.floor(Math.log10(v / base))
  return [1, 2, 5, 10].find((n) => n * unit * base >= v) * unit * base
}

function valueAt(line, time) {
  let best = null
  for (const [t, v] of line.points) {
    if (best === null || Math.abs(t - time) < Math.abs(best[0] - time)) best = [t, v]
  }
  return best && best[1]
}

/** lines: [{label, points: [[ms, value]...]}], at most eight; format: of a value, in the legend and at the axis. */
export function chart(ctx, title, lines, format = short) {
  const times = lines.flatMap((line) => line.points.map(([t]) => t))
  const end = times.length ? Math.max(...times) : Date.now()
  const span = Math.min(SPAN, Math.max(60000, end - (times.length ? Math.min(...times) : end)))
  const begin = end - span
  const max = niceMax(Math.max(0, ...lines.flatMap((line) => line.points.map(([, v]) => v))), format)
  const x = (t) => LEFT + ((t - begin) / span) * (WIDTH - LEFT - 6)
  const y = (v) => TOP + (1 - v / max) * (HEIGHT - TOP - BOTTOM)
  const seen = hovered.get(title)
  const shown = lines.map((line) => {
    const v = seen ? valueAt(line, seen) : line.points.at(-1)?.[1]
    return { ...line, text: v == null ? '–' : format(v) }
  })
  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect()
    const at = ((event.clientX - box.left) / box.width) * WIDTH
    hovered.set(title, Math.min(end, Math.max(begin, begin + ((at - LEFT) / (WIDTH - LEFT - 6)) * span)))
    ctx.update()
  }
  const leave = () => {
    hovered.delete(title)
    ctx.update()
  }
  return h('figure', { class: 'chart' },
    h('figcaption', {}, title, h('span', { class: 'dim' }, seen ? ` ${clock(seen)}` : ` last ${Math.round(span / 60000)} min`)),
    h('svg', {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: 'img',
      'aria-label': `${title}: ${shown.map((line) => `${line.label} ${line.text}`).join(', ')}`,
      onpointermove: move,
      onpointerleave: leave,
    },
    [0, 0.5, 1].map((part) => [
      h('line', { class: 'grid', x1: LEFT, x2: WIDTH - 6, y1: y(max * part), y2: y(max * part) }),
      h('text', { class: 'tick end', x: LEFT - 5, y: y(max * part) + 4 }, format(max * part)),
    ]),
    h('text', { class: 'tick', x: LEFT, y: HEIGHT - 4 }, clock(begin)),
    h('text', { class: 'tick end', x: WIDTH - 6, y: HEIGHT - 4 }, clock(end)),
    shown.map((line, i) => line.points.length > 1 && h('polyline', {
      class: `line c${i + 1}`,
      points: line.points.filter(([t]) => t >= begin).map(([t, v]) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join(' '),
    })),
    shown.map((line, i) => line.points.length === 1 && h('circle', {
      class: `dot c${i + 1}`, cx: x(line.points[0][0]), cy: y(line.points[0][1]), r: 2.5,
    })),
    seen && h('line', { class: 'seen', x1: x(seen), x2: x(seen), y1: TOP, y2: HEIGHT - BOTTOM })),
    h('ul', { class: 'legend' }, shown.map((line, i) => h('li', {},
      h('i', { class: `swatch c${i + 1}` }), line.label, ' ', h('b', {}, line.text)))))
}

/** A share of a limit. */
export function meter(used, limit, text, bad = false) {
  const share = limit ? Math.min(1, used / limit) : 0
  return h('div', { class: bad ? 'meter bad' : share > 0.8 ? 'meter warn' : 'meter' },
    h('svg', { viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      h('rect', { class: 'back', width: 100, height: 6 }), h('rect', { class: 'fill', width: share * 100, height: 6 })),
    h('span', {}, text))
}
