// Elements, without a framework: made once, then changed only where something differs.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Sets a text, if it is another. */
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** Sets an attribute, if it is another; null takes it away. */
export function attribute(node, name, value) {
  if (value === null || value === undefined) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** One child of `parent` for each item, in their order; a child stays as long as its key does. */
export function keyed(parent, items, key, make, update) {
  const had = (parent.kept ??= new Map());
  const kept = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const row = had.get(name) ?? make(item);
    had.delete(name);
    kept.set(name, row);
    if (row.node === place) place = place.nextElementSibling;
    else parent.insertBefore(row.node, place);
    // In its place first: what is nowhere has no size to be measured.
    update(row, item);
  }
  for (const row of had.values()) row.node.remove();
  parent.kept = kept;
}
