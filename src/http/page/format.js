// Numbers and times for people.

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

export function count(n) {
  return n == null || Number.isNaN(n) ? '' : grouped.format(n)
}

/** At most four digits: 12.3k, 4.56M. */
export function short(n) {
  for (const [unit, size] of [['G', 1e9], ['M', 1e6], ['k', 1e3]]) {
    if (Math.abs(n) >= size * (unit === 'k' ? 10 : 1)) return trim(n / size) + unit
  }
  return Math.abs(n) < 10 ? trim(n) : String(Math.round(n))
}

function trim(n) {
  const text = n.toFixed(Math.abs(n) < 10 ? 2 : Math.abs(n) < 100 ? 1 : 0)
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

function trimmed(n) {
  const text = n.toFixed(n < 10 ? 1 : 0)
  return text.endsWith('.0') ? text.slice(0, -2) : text
}

export function rate(n) {
  if (n == null) return ''
  return n === 0 ? '0/s' : n < 1000 ? `${trimmed(n)}/s` : `${grouped.format(n)}/s`
}

export function bytes(n) {
  if (n == null || Number.isNaN(n)) return ''
  for (const [unit, size] of [['TiB', 2 ** 40], ['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]]) {
    if (n >= size) return `${trimmed(n / size)} ${unit}`
  }
  return `${Math.round(n)} B`
}

export function byteRate(n) {
  return n == null ? '' : `${bytes(n)}/s`
}

export function duration(ms) {
  const s = Math.floor(ms / 1000)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`
}

export function clock(ms) {
  const d = new Date(ms)
  return [d.getHours(), d.getMinutes(), d.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':')
}

/** Month and day. */
export function day(ms) {
  const d = new Date(ms)
  return `${two(d.getMonth() + 1)}-${two(d.getDate())}`
}

export function moment(ms) {
  const d = new Date(ms)
  return Number.isNaN(d.getTime()) ? '' : `${d.getFullYear()}-${day(ms)} ${clock(ms)}`
}

function two(n) {
  return String(n).padStart(2, '0')
}

/** A value of JSON on one line. */
export function value(v) {
  if (typeof v === 'string') return v
  return v == null ? '' : JSON.stringify(v)
}
