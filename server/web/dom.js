// Elements out of names, attributes and texts. There is no way from here to markup: a string is always a text node, no attribute can hold
// a handler, and an address has to be of a kind that only leads somewhere.

const SVG = 'http://www.w3.org/2000/svg'
const ADDRESSES = {
  href: /^(?:#|\/(?!\/)|https?:|mailto:)/i,
  src: /^(?:\/(?!\/)|blob:)/
}
const INVISIBLE = /[\u0000-\u0020\u007f-\u00a0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

// The address as it may be used, or null.
export function addressFor(name, value) {
  const allowed = ADDRESSES[name]
  return allowed.test(String(value).replace(INVISIBLE, '')) && allowed.test(value) ? String(value) : null
}

function attributeSet(element, name, value) {
  if (value === undefined || value === null || value === false) return
  if (/^on|^style$|^srcdoc$/i.test(name)) throw new TypeError(`the page sets no attribute ${name}`)
  if (name in ADDRESSES) {
    const address = addressFor(name, value)
    if (address === null) return
    value = address
  }
  element.setAttribute(name, value === true ? '' : String(value))
}

function childAdd(parent, child) {
  if (child === undefined || child === null || child === false) return
  if (Array.isArray(child)) for (const one of child) childAdd(parent, one)
  else parent.append(child instanceof Node ? child : String(child))
}

function build(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (name === 'on') for (const [event, handle] of Object.entries(value)) element.addEventListener(event, handle)
    else attributeSet(element, name, value)
  }
  for (const child of children) childAdd(element, child)
  return element
}

export const h = (tag, props, ...children) => build(document.createElement(tag), props, children)
export const svg = (tag, props, ...children) => build(document.createElementNS(SVG, tag), props, children)

export function put(parent, ...children) {
  parent.replaceChildren()
  for (const child of children) childAdd(parent, child)
  return parent
}

// Said by a screen reader, seen by nobody.
export function announce(text) {
  const place = document.getElementById('announce')
  if (place) place.textContent = text
}

const ICONS = {
  heart: 'M12 20s-7-4.6-9-9c-1.4-3.2.6-6.5 4-6.5 2.2 0 3.8 1.2 5 3 1.2-1.8 2.8-3 5-3 3.4 0 5.4 3.3 4 6.5-2 4.4-9 9-9 9z',
  reply: 'M20 5H4v11h4v4l5-4h7z',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  link: 'M10 14a4 4 0 0 0 6 .4l3-3a4.2 4.2 0 0 0-6-6l-1.4 1.4M14 10a4 4 0 0 0-6-.4l-3 3a4.2 4.2 0 0 0 6 6l1.4-1.4',
  fork: 'M6 4v6a6 6 0 0 0 6 6M18 4v6a6 6 0 0 1-6 6v4',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
  picture: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4'
}
export const icon = (name) => svg('svg', { class: 'icon', viewBox: '0 0 24 24', width: 16, height: 16, 'aria-hidden': 'true' }, svg('path', { d: ICONS[name] }))
