// What the log said last, and then as it comes. It is read as a stream with the login in its header, for as long as the page is open.

import { stream } from './api.js'
import { h } from './dom.js'
import { tell } from './parts.js'

const MOST = 1000 // lines that are shown
const AGAIN_MS = 3000 // after which a stream that ended is opened again
const LEVELS = ['debug', 'info', 'warning', 'error']

function take(log, text) {
  for (const event of text.split('\n\n')) {
    const [, kind] = event.match(/^event: (.*)$/m) || []
    const [, line] = event.match(/^data: (.*)$/m) || []
    if (line !== undefined) log.lines.push({ id: ++log.count, kind, line: kind === 'lost' ? `… ${line} bytes came too fast to be shown` : line })
  }
  log.lines.splice(0, log.lines.length - MOST)
}

async function follow(ctx, level) {
  const log = ctx.state.log
  log.aborter?.abort()
  const aborter = (log.aborter = new AbortController())
  ctx.over.signal.addEventListener('abort', () => aborter.abort(), { signal: aborter.signal })
  Object.assign(log, { lines: [], level })
  let rest = ''
  try {
    await stream(`livelog?level=${level}&lines=${MOST}`, aborter.signal, (piece) => {
      const whole = rest + piece
      const end = whole.lastIndexOf('\n\n')
      rest = end < 0 ? whole : whole.slice(end + 2)
      if (end >= 0) take(log, whole.slice(0, end))
      if (!ctx.update()) aborter.abort()
      const box = document.querySelector('.log')
      if (box && log.bottom) box.scrollTop = box.scrollHeight
    })
  } catch (error) {
    if (aborter.signal.aborted) return
    if (!ctx.failed(error)) {
      tell(error.message, true)
      return
    }
  }
  setTimeout(() => !aborter.signal.aborted && ctx.update() && follow(ctx, level), AGAIN_MS)
}

export function live(ctx) {
  if (!ctx.state.log) {
    ctx.state.log = { lines: [], count: 0, bottom: true }
    follow(ctx, 'info')
  }
  const { log } = ctx.state
  return [
    h('div', { class: 'bar' }, h('label', { class: 'choice' }, 'from', h('select', { onchange: (event) => follow(ctx, event.target.value) },
      LEVELS.map((level) => h('option', { value: level, selected: level === (log.level || 'info') }, level)))),
    h('span', { class: 'dim' }, 'it follows the end unless you scroll up')),
    h('div', { class: 'log', role: 'log', 'aria-live': 'off', tabindex: '0', 'aria-label': 'log', onscroll: (event) => {
      const box = event.currentTarget
      log.bottom = box.scrollTop + box.clientHeight > box.scrollHeight - 30
    } }, log.lines.map(({ id, kind, line }) => h('div', { key: id, class: `line-${kind}` }, line))),
  ]
}
