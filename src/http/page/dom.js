// Trees of elements as plain objects, and the document made to look like them with the fewest changes: what has the
// focus keeps it. Text goes into text nodes and attributes alone; nothing here ever parses markup.

const SVG = 'http://www.w3.org/2000/svg'

/** props: attributes; onX: a handler; key: identity among siblings; init: called with the new element. Form fields get
 * their value once and are the user's from then on, unless live is set. */
export function h(tag, props, ...kids) {
  return { tag, props: props || {}, kids: kids.flat(Infinity).filter((kid) => kid != null && kid !== false && kid !== '') }
}

const OURS = new Set(['key', 'init', 'live'])
const ONCE = new Set(['value', 'checked', 'selected', 'open'])

function setProp(node, name, value, live) {
  if (OURS.has(name)) return
  if (name.startsWith('on')) node[name] = value || null
  else if (ONCE.has(name) && node.localName !== 'option') {
    if (!node.props || live) node[name] = value ?? ''
  } else if (value == null || value === false) node.removeAttribute(name)
  else node.setAttribute(name, value === true ? '' : value)
}

function create(tree, svg) {
  if (typeof tree !== 'object') return document.createTextNode(tree)
  const node = svg ? document.createElementNS(SVG, tree.tag) : document.createElement(tree.tag)
  node.key = tree.props.key
  return node
}

function fits(node, tree) {
  if (typeof tree !== 'object') return node.nodeType === Node.TEXT_NODE
  return node.localName === tree.tag && node.key === tree.props.key
}

function update(node, tree, svg) {
  if (typeof tree !== 'object') {
    const text = String(tree)
    if (node.data !== text) node.data = text
    return
  }
  const before = node.props
  if (tree.tag === 'select') patch(node, tree.kids, svg)
  for (const name in before) if (!(name in tree.props)) setProp(node, name, undefined)
  for (const name in tree.props) {
    if (!before || before[name] !== tree.props[name] || (tree.props.live && ONCE.has(name))) {
      setProp(node, name, tree.props[name], tree.props.live)
    }
  }
  node.props = tree.props
  if (tree.tag !== 'select') patch(node, tree.kids, svg)
  if (!before && tree.props.init) tree.props.init(node)
}

/** Makes the children of an element those of the list. */
export function patch(parent, trees, inSvg = false) {
  const keyed = new Map()
  for (const node of parent.childNodes) if (node.key !== undefined) keyed.set(node.key, node)
  let at = parent.firstChild
  for (const tree of trees) {
    const svg = inSvg || tree.tag === 'svg'
    const key = typeof tree === 'object' ? tree.props.key : undefined
    let node = key === undefined ? at : keyed.get(key)
    if (node && !fits(node, tree)) node = null
    if (!node) node = create(tree, svg)
    if (node === at) at = at.nextSibling
    else parent.insertBefore(node, at)
    update(node, tree, svg)
  }
  while (at) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
}

/** What a form's named fields hold: texts, and true or false of single check boxes. */
export function values(form) {
  const all = {}
  for (const field of form.elements) {
    if (!field.name || field.disabled) continue
    all[field.name] = field.type === 'checkbox' ? field.checked : field.value
  }
  return all
}
