// A page as text: passages one below the other, and the quote found in them, however its white space was told;
// and where a citation stands, in words.

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

/** A second of a film as people say it: mm:ss, with hours where it has any. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${two(minutes)}:${two(rest)}`;
}

/** Where a citation stands: its page, or of a film from when to when. */
export const place = (cited) => cited.start_s == null ? `page ${cited.page_no}` : `${clock(cited.start_s)}–${clock(cited.end_s)}`;
