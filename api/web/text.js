// A page as text: passages one below the other, and the quote found in them, however its white space was told.

import { make } from "/web/dom.js";

/** Make a node for each passage; `marked` says whether the quote was found in one of them. */
export function passages(texts, quote) {
  const wanted = pattern(quote ?? "");
  const which = wanted ? texts.findIndex((text) => wanted.test(text)) : -1;
  const nodes = texts.map((text, place) => make("p", {}, ...(place === which ? split(text, wanted) : [text])));
  if (!texts.length) nodes.push(make("p", { className: "soft" }, "There is no text here that may be shown."));
  return { nodes, marked: which >= 0 };
}

function split(text, wanted) {
  const found = wanted.exec(text);
  const end = found.index + found[0].length;
  return [text.slice(0, found.index), make("mark", {}, found[0]), text.slice(end)];
}

function pattern(quote) {
  const words = quote.replace(/^[\s…]+|[\s…]+$/g, "").split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  return new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+"));
}
