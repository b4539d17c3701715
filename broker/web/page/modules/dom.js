// Elements made of plain calls. Text is always set as text, never as HTML: much of it comes from strangers.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element of HTML. */
export function make(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function draw(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A link to another site, if it is one: a notice may bring any text as URL. */
export function outward(url, ...children) {
  let parsed = null;
  try {
    parsed = new URL(url);
  } catch { /* told below */ }
  if (!parsed || !["https:", "http:"].includes(parsed.protocol)) return make("span", {}, ...children);
  return make("a", { href: parsed.href, target: "_blank", rel: "noopener noreferrer", class: "outward" }, ...children);
}

/** A term and its value in a list of definitions. */
export function pair(term, ...value) {
  return make("div", {}, make("dt", {}, term), make("dd", {}, ...value));
}

/** A section with its heading. */
export function section(title, attributes, ...children) {
  const id = `s-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  return make("section", { "aria-labelledby": id, ...attributes }, make("h2", { id }, title), ...children);
}
