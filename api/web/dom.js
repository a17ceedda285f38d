// Elements without markup: every text goes in as a text node, so nothing a model or a document says is ever HTML.

export const byId = (id) => document.getElementById(id);

/** Make an element; `on…` properties are listeners, `aria-…`, `data-…` and `role` attributes, the rest properties. */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (/^(aria-|data-|role$|scope$)/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Tell a screen reader something; the stream of words itself is not in a live region. */
export function say(text) {
  byId("live").textContent = text;
}

export function seconds(ms) {
  if (ms < 1000) return `${Math.max(1, Math.round(ms))} ms`;
  return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
}

export function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  let step = 0;
  while (bytes >= 1000 && step < units.length - 1) { bytes /= 1000; step += 1; }
  return `${bytes < 10 && step ? bytes.toFixed(1) : Math.round(bytes)} ${units[step]}`;
}

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
