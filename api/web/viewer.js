// The page beside the answer: its image once, the regions as an overlay, so that a jump between citations loads nothing.
// A page without an image is shown as its text, with the quote marked.

import { filmUrl, get, pageImage } from "/web/client.js";
import { byId, make } from "/web/dom.js";
import { clock, passages, place } from "/web/text.js";

const ZOOMS = [0.5, 0.75, 1, 1.25, 1.5, 2, 3];
const documents = new Map();
const at = { documentId: null, page: 0, citations: [], which: -1, zoom: 1 };
let turn = 0;
let onCitation = () => {};

export function start(options) {
  onCitation = options.onCitation;
  byId("v-prev").addEventListener("click", () => step(-1));
  byId("v-next").addEventListener("click", () => step(1));
  byId("v-out").addEventListener("click", () => zoom(-1));
  byId("v-in").addEventListener("click", () => zoom(1));
  byId("v-close").addEventListener("click", close);
}

export const isOpen = () => !byId("viewer").hidden;
export const forget = (documentId) => { documents.delete(documentId); if (at.documentId === documentId) close(); };

export function close() {
  unplay();
  byId("viewer").hidden = true;
  document.body.classList.remove("with-page");
  at.documentId = null;
  at.which = -1;
  history.replaceState(null, "", location.pathname);
  onCitation(null);
}

/** Show citation number `which` (from 0) of an answer's citations. */
export function showCitation(citations, which) {
  const cited = citations[which];
  if (!cited) return;
  Object.assign(at, { citations, which });
  onCitation(cited);
  return show(cited.document_id, cited.page_no, cited);
}

/** Show a page without a citation. */
export function showPage(documentId, page, citations = []) {
  Object.assign(at, { citations, which: -1 });
  onCitation(null);
  return show(documentId, page, null);
}

export function step(by) {
  if (!isOpen() || !at.citations.length) return;
  const next = at.which < 0 ? 0 : (at.which + by + at.citations.length) % at.citations.length;
  return showCitation(at.citations, next);
}

export async function turnPage(by) {
  const held = documents.get(at.documentId);
  const page = at.page + by;
  if (!isOpen() || !held || page < 1 || page > held.pages) return;
  const which = at.citations.findIndex((c) => c.document_id === at.documentId && c.page_no === page);
  return which >= 0 ? showCitation(at.citations, which) : showPage(at.documentId, page, at.citations);
}

function zoom(by) {
  const next = ZOOMS[ZOOMS.indexOf(at.zoom) + by];
  if (!next) return;
  at.zoom = next;
  byId("v-zoom").textContent = `${Math.round(next * 100)} %`;
  byId("v-sheet").style.setProperty("--zoom", next);
}

async function show(documentId, page, cited) {
  turn += 1;
  const mine = turn;
  const moved = at.documentId !== documentId || at.page !== page;
  Object.assign(at, { documentId, page });
  byId("viewer").hidden = false;
  document.body.classList.add("with-page");
  history.replaceState(null, "", `?d=${encodeURIComponent(documentId)}&page=${page}`);
  byId("v-name").textContent = cited?.name ?? documents.get(documentId)?.name ?? "";
  byId("v-page").textContent = `page ${page}`;
  byId("v-cites").hidden = at.citations.length < 1;
  byId("v-which").textContent = at.which < 0
    ? `${at.citations.length} cited` : `citation ${at.citations[at.which].n} of ${at.citations.length}`;
  if (moved) mark([]);
  unplay();
  quote(cited);
  const current = () => mine === turn;
  try {
    const held = await details(documentId);
    if (!current()) return;
    byId("v-name").textContent = held.name;
    const scene = held.page_images.find((image) => image.no === page && image.start_s != null);
    byId("v-page").textContent = scene ? `scene ${page} of ${held.pages} · ${place(scene)}` : `page ${page} of ${held.pages}`;
    offer(held, scene, cited);
    if (pictured(held, page)) await showImage(held, page, cited, current);
    else await showText(held, page, cited, current);
    if (current()) thumbnails(held);
  } catch (error) {
    if (current()) missing(error);
  }
}

const pictured = (held, page) => held.page_images.some((image) => image.no === page);

/** Show the page's image: the small one at once, the large one when it is there. */
async function showImage(held, page, cited, current) {
  byId("v-text").hidden = true;
  const alt = `Page ${page} of ${held.name}`;
  const large = pageImage(held.id, page, "large");
  let sharp = false;
  const first = pageImage(held.id, page, "small").then(async (url) => { if (!sharp && current()) await put(url, alt); });
  large.then(() => { sharp = true; }, () => {});
  await Promise.race([first, large]);
  if (!current()) return;
  mark(cited?.boxes ?? [], cited?.n);
  const url = await large;
  if (current()) await put(url, alt);
}

async function showText(held, page, cited, current) {
  const told = await get(`/v1/documents/${held.id}/pages/${page}/text`);
  if (!current()) return;
  const { nodes, marked } = passages(told.passages, cited?.quote);
  byId("v-paper").hidden = true;
  const text = byId("v-text");
  text.hidden = false;
  text.replaceChildren(...nodes);
  if (!marked) return;
  byId("v-quote").hidden = true;
  const at = text.querySelector("mark");
  if (cited.n) at.prepend(make("b", {}, String(cited.n)));
  reveal(at);
}

/** Offer to play the video from where the citation begins, or its scene. */
function offer(held, scene, cited) {
  const button = byId("v-play");
  button.hidden = !scene || !held.video;
  if (button.hidden) return;
  const from = cited?.start_s ?? scene.start_s;
  button.textContent = `▶ Play from ${clock(from)}`;
  button.onclick = () => play(held.video, from);
}

async function play(path, from) {
  const mine = turn;
  const film = byId("v-film");
  const told = byId("v-play");
  told.disabled = true;
  try {
    const url = await filmUrl(path);
    if (mine !== turn) return;
    film.onerror = () => { unplay(); told.hidden = false; told.textContent = "This video cannot be played here."; };
    if (film.dataset.path !== path) { film.src = url; film.dataset.path = path; }
    film.hidden = false;
    byId("v-paper").hidden = true;
    told.hidden = true;
    film.currentTime = from;
    await film.play().catch(() => {});
  } catch (error) {
    if (mine === turn) told.textContent = error.code === "not_found" ? "This video may not be played." : error.message;
  } finally {
    told.disabled = false;
  }
}

function unplay() {
  const film = byId("v-film");
  byId("v-play").hidden = true;
  if (film.hidden) return;
  film.pause();
  film.hidden = true;
  byId("v-paper").hidden = false;
}

async function put(url, alt) {
  const image = byId("v-image");
  byId("v-paper").hidden = false;
  if (image.src !== url) image.src = url;
  image.alt = alt;
  await image.decode().catch(() => {});
}

function missing(error) {
  byId("v-paper").hidden = true;
  byId("v-text").hidden = true;
  byId("v-thumbs").replaceChildren();
  const told = byId("v-quote");
  told.hidden = false;
  told.textContent = error.code === "not_found"
    ? "This page is no longer in the library." : error.message;
}

function mark(boxes, n) {
  const marks = boxes.map(([x0, y0, x1, y1], place) => {
    const box = make("div", { className: "mark" });
    Object.assign(box.style, {
      left: `${x0 * 100}%`, top: `${y0 * 100}%`, width: `${(x1 - x0) * 100}%`, height: `${(y1 - y0) * 100}%`,
    });
    if (place === 0 && n) box.append(make("b", {}, String(n)));
    return box;
  });
  byId("v-marks").replaceChildren(...marks);
  if (marks.length) reveal(marks[0]);
}

function reveal(node) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  node.scrollIntoView({ block: "center", inline: "nearest", behavior: calm ? "auto" : "smooth" });
}

function quote(cited) {
  const told = byId("v-quote");
  told.hidden = !cited?.quote;
  told.textContent = cited?.quote ? `“${cited.quote}”` : "";
}

async function details(documentId) {
  if (!documents.has(documentId)) documents.set(documentId, await get(`/v1/documents/${documentId}`));
  return documents.get(documentId);
}

function thumbnails(held) {
  const cited = new Map();
  for (const c of at.citations) {
    if (c.document_id !== at.documentId) continue;
    cited.set(c.page_no, [...(cited.get(c.page_no) ?? []), c.n]);
  }
  const near = [-2, -1, 0, 1, 2].map((by) => at.page + by).filter((no) => no >= 1 && no <= held.pages);
  const pages = [...new Set([...near, ...cited.keys()])].sort((a, b) => a - b);
  byId("v-thumbs").replaceChildren(...pages.map((no) => thumbnail(held, no, cited.get(no))));
  byId("v-thumbs").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function thumbnail(held, no, numbers) {
  const seen = pictured(held, no);
  const image = seen ? make("img", { alt: "", width: 56 }) : make("span", { className: "blank", "aria-hidden": "true" }, "¶");
  const documentId = at.documentId;
  if (seen) pageImage(documentId, no, "small").then((url) => { image.src = url; }, () => {});
  const open = () => {
    const which = at.citations.findIndex((c) => c.document_id === documentId && c.page_no === no);
    if (which >= 0) showCitation(at.citations, which); else showPage(documentId, no, at.citations);
  };
  return make(
    "button",
    {
      type: "button", className: "thumb", onclick: open,
      "aria-current": no === at.page ? "true" : undefined,
      "aria-label": `Page ${no}${numbers ? `, citation ${numbers.join(" and ")}` : ""}`,
    },
    image, make("span", {}, String(no)),
    numbers ? make("b", {}, numbers.join(" ")) : null,
  );
}
