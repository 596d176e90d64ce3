// Lines of what was: the samples that the broker keeps, of the time that is chosen.

import { h } from './dom.js'
import { byteRate, bytes, clock, day, short } from './format.js'

const KEEP = 'jackalope.range'
/** As RabbitMQ offers them: seconds, from one sample to the next, what it is called. */
const RANGES = [[60, 5, 'last minute'], [600, 5, 'last ten minutes'], [3600, 60, 'last hour'], [28800, 600, 'last eight hours'], [86400, 1800, 'last day']]
export const HOUR = 3600 // of single objects no more is kept
const DAY = 86400
const WIDE = 560
const NARROW = 350
const HEIGHT = 150
const LEFT = 56
const BOTTOM = 18
const TOP = 8

const hovered = new Map() // by title: a time

function rangeOf(longest) {
  const chosen = Number(localStorage.getItem(KEEP)) || 600
  return RANGES.filter(([age]) => age <= longest).findLast(([age]) => age <= chosen) || RANGES[0]
}

/** Of the charts of a page. */
export function rangeField(ctx, longest = DAY) {
  const [chosen] = rangeOf(longest)
  const change = (event) => {
    localStorage.setItem(KEEP, event.target.value)
    ctx.refresh()
  }
  return h('label', { class: 'choice' }, h('span', {}, 'Charts'), h('select', { onchange: change },
    RANGES.filter(([age]) => age <= longest).map(([age, , text]) => h('option', { value: age, selected: age === chosen }, text))))
}

/** Parameters that ask for the samples that the page does not have yet; kinds: RabbitMQ's names of them. */
export function samplesOf(ctx, kinds, longest = DAY) {
  const [age, step] = rangeOf(longest)
  let { past } = ctx.state
  if (!past || past.age !== age) past = ctx.state.past = { age, end: 0, told: 0, seen: 0, lines: new Map(), now: new Map() }
  const since = Math.ceil((performance.now() - past.seen) / 1000 / step + 2) * step
  const missing = past.end ? Math.min(age, since) : age
  return Object.fromEntries(kinds.flatMap((kind) => [[`${kind}_age`, missing], [`${kind}_incr`, step]]))
}

function extend(past, name, fresh) {
  if (!fresh.length) return
  const known = (past.lines.get(name) || []).filter(([t]) => t < fresh[0][0])
  const end = fresh.at(-1)[0]
  past.lines.set(name, [...known, ...fresh].filter(([t]) => t >= end - past.age * 1000))
  past.end = Math.max(past.end, end)
}

/** Takes the samples out of an answer; prefix: of the names they get. */
export function learn(ctx, answer, prefix = '') {
  const { past } = ctx.state
  past.seen = performance.now()
  for (const [name, details] of Object.entries(answer || {})) {
    if (!name.endsWith('_details') || !details || !('rate' in details)) continue
    const of = prefix + name.slice(0, -'_details'.length)
    past.now.set(of, { value: answer[name.slice(0, -'_details'.length)], rate: details.rate })
    const samples = (details.samples || []).map((s) => [s.timestamp, s.sample]).reverse()
    past.told = Math.max(past.told, samples.at(-1)?.[0] || 0)
    extend(past, of, samples)
  }
}

/** Notes a number that the broker keeps no samples of, by the broker's clock where that is known: the browser's may be another. */
export function note(ctx, name, value) {
  const { past } = ctx.state
  past.now.set(name, { value })
  extend(past, name, [[past.told || Date.now(), value]])
}

/** A number as it was. */
export function level(ctx, name, label) {
  const { past } = ctx.state
  return { label, points: past.lines.get(name) || [], now: past.now.get(name)?.value }
}

/** How fast a counter grew from one sample to the next. */
export function growth(ctx, name, label) {
  const { past } = ctx.state
  const line = past.lines.get(name) || []
  const points = []
  for (let i = 1; i < line.length; i++) {
    const grown = line[i][1] - line[i - 1][1]
    if (grown >= 0) points.push([line[i][0], grown / ((line[i][0] - line[i - 1][0]) / 1000)])
  }
  return { label, points, now: past.now.get(name)?.rate }
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

/** lines: those of level() or growth(), at most eight; format: of a value, in the legend and at the axis. */
export function chart(ctx, title, lines, format = short) {
  const { past } = ctx.state
  const end = past.end || Date.now()
  const span = past.age * 1000
  const begin = end - span
  const WIDTH = innerWidth < 600 ? NARROW : WIDE
  const time = past.age > HOUR ? (t) => `${day(t)} ${clock(t).slice(0, 5)}` : clock
  const max = niceMax(Math.max(0, ...lines.flatMap((line) => line.points.map(([, v]) => v))), format)
  const x = (t) => LEFT + ((t - begin) / span) * (WIDTH - LEFT - 6)
  const y = (v) => TOP + (1 - v / max) * (HEIGHT - TOP - BOTTOM)
  const seen = hovered.get(title)
  const shown = lines.map((line) => {
    const v = seen ? valueAt(line, seen) : line.now ?? line.points.at(-1)?.[1]
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
    h('figcaption', {}, title, h('span', { class: 'dim' }, seen ? ` ${time(seen)}` : ` ${RANGES.find(([age]) => age === past.age)[2]}`)),
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
    h('text', { class: 'tick', x: LEFT, y: HEIGHT - 4 }, time(begin)),
    h('text', { class: 'tick end', x: WIDTH - 6, y: HEIGHT - 4 }, time(end)),
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
