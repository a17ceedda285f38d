// A conversation: questions, the steps as they happen, sentences as they are released, and where each one stands.

import { ask } from "/web/client.js";
import { byId, count, make, say, seconds } from "/web/dom.js";
import { place } from "/web/text.js";
import { line } from "/web/trace.js";
import * as viewer from "/web/viewer.js";

const KEPT = "pagewarden.talk";
const MOST_HISTORY = 12;
const STOPS = {
  no_evidence: "Not in your documents",
  conflicting_evidence: "Your documents disagree",
  cannot_see: "It may be in a picture",
  empty_library: "Nothing on the shelf yet",
  budget: "Out of time",
};
const WRITERS = { served: "written by the served model", local: "written by the local model", quotes: "quoted from the documents", code: "told by the library itself" };

const talk = [];
let running = null;
let latest = null;

export function start() {
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  byId("stop").addEventListener("click", stop);
  const box = byId("box");
  box.value = sessionStorage.getItem("pagewarden.draft") ?? "";
  box.addEventListener("input", () => { sessionStorage.setItem("pagewarden.draft", box.value); grow(box); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  });
  grow(box);
  for (const turn of restore()) { talk.push(turn); conclude(frame(turn.question), turn); }
  if (talk.length) hello(false);
}

export function put(question) {
  byId("box").value = question;
  send();
}

export function stop() {
  if (!running) return false;
  running.abort();
  return true;
}

/** Mark the chip and the card of the citation that the viewer shows. */
export function point(cited) {
  for (const node of document.querySelectorAll("[data-cite][aria-pressed=true]")) node.setAttribute("aria-pressed", "false");
  if (!cited) return;
  const last = [...document.querySelectorAll(".turn")].filter((turn) => turn.citations?.includes(cited)).pop();
  for (const node of last?.querySelectorAll(`[data-cite="${cited.n}"]`) ?? []) node.setAttribute("aria-pressed", "true");
}

async function send() {
  const box = byId("box");
  const question = box.value.trim();
  if (!question || running) return;
  box.value = "";
  sessionStorage.removeItem("pagewarden.draft");
  grow(box);
  hello(false);
  const view = frame(question);
  const turn = { question, steps: [], answer: null, ms: 0 };
  latest = turn;
  await tell(view, turn);
  if (turn.answer) { talk.push(turn); keep(); }
}

async function tell(view, turn) {
  running = new AbortController();
  busy(true);
  const began = performance.now();
  say("Looking it up.");
  try {
    for await (const chunk of ask(messages(turn.question), running.signal)) {
      if (chunk.event?.type === "status" && !chunk.event.data.done) progress(view, turn, chunk.event.data);
      if (chunk.released) released(view, chunk.released);
      if (chunk.pagewarden?.kind) turn.answer = chunk.pagewarden;
    }
    turn.ms = performance.now() - began;
    if (turn.answer) conclude(view, turn);
    else failed(view, "The answer ended early. Ask again.");
  } catch (error) {
    if (error.name === "AbortError") failed(view, "Stopped.", "stopped");
    else failed(view, error.message);
  } finally {
    running = null;
    busy(false);
    view.turn.removeAttribute("aria-busy");
  }
}

function messages(question) {
  const history = talk.slice(-MOST_HISTORY / 2).flatMap((turn) => [
    { role: "user", content: turn.question }, { role: "assistant", content: turn.answer.text },
  ]);
  return [...history, { role: "user", content: question }];
}

function frame(question) {
  const summary = make("summary", {}, make("span", { className: "spinner", "aria-hidden": "true" }), make("span", { className: "told" }, "Looking it up …"));
  const list = make("ol");
  const steps = make("details", { className: "steps", open: true }, summary, list);
  const answer = make("div", { className: "answer" });
  const after = make("div");
  const turn = make("article", { className: "turn", "aria-busy": "true" }, make("h2", { className: "question" }, question), steps, answer, after);
  turn.citations = [];
  byId("talk").append(turn);
  turn.scrollIntoView({ block: "start" });
  return { turn, steps, list, answer, after, summary: summary.lastChild };
}

function progress(view, turn, { description, ms, node }) {
  turn.steps.push({ description, ms, node });
  stepLine(view, description, ms);
  view.summary.textContent = "Working on it …";
  say(description);
}

function stepLine(view, description, ms) {
  view.list.append(make("li", {}, make("span", {}, description), make("span", { className: "ms" }, seconds(ms))));
}

function released(view, { text, citations, new_citations: fresh }) {
  view.turn.citations.push(...fresh);
  view.answer.append(sentence(view, { text, citations }));
  const first = view.turn.citations[0];
  if (first && fresh.includes(first) && matchMedia("(min-width: 900px)").matches) viewer.showCitation(view.turn.citations, 0);
}

function sentence(view, { text, citations }) {
  const chips = citations.flatMap((n) => {
    const cited = view.turn.citations.find((c) => c.n === n);
    return cited ? [chip(view, cited)] : [];
  });
  return make("p", {}, text, make("span", { className: "chips" }, ...chips));
}

function chip(view, cited) {
  const node = make("button", {
    type: "button", className: "chip", "data-cite": cited.n, "aria-pressed": "false",
    "aria-label": `Citation ${cited.n}: ${cited.name}, ${place(cited)}`,
    onclick: () => open(view, cited),
    onmouseenter: () => peek(node, cited), onfocus: () => peek(node, cited),
    onmouseleave: unpeek, onblur: unpeek,
  }, String(cited.n));
  return node;
}

const open = (view, cited) => { unpeek(); viewer.showCitation(view.turn.citations, view.turn.citations.indexOf(cited)); };

function conclude(view, turn) {
  const { answer } = turn;
  view.turn.citations = answer.citations;
  view.turn.removeAttribute("aria-busy");
  view.turn.classList.add("done");
  if (answer.steps?.length) view.list.replaceChildren(...answer.steps.map(line));
  else if (!view.list.children.length) for (const step of turn.steps) stepLine(view, step.description, step.ms);
  view.steps.open = false;
  view.summary.textContent = summed(turn);
  if (answer.kind === "answer") {
    view.answer.replaceChildren(...answer.sentences.map((s) => sentence(view, s)));
  } else {
    view.answer.replaceChildren(notice(answer));
  }
  view.after.replaceChildren(...[dropped(answer), sources(view), nearest(answer), actions(view, turn)].filter(Boolean));
  if (viewer.isOpen() && answer.citations[0] && turn === latest) viewer.showCitation(answer.citations, 0);
  say(answer.kind === "answer"
    ? `Answer ready: ${count(answer.sentences.length, "sentence")}, ${count(answer.citations.length, "source")}.` : answer.text);
}

function summed({ answer, steps, ms }) {
  const took = ms || steps.reduce((sum, step) => sum + step.ms, 0);
  const documents = new Set(answer.citations.map((c) => c.document_id)).size;
  const stands = answer.kind === "answer"
    ? `${count(answer.sentences.length, "sentence")} from ${count(documents, "document")}, ${WRITERS[answer.written_by]}`
    : answer.kind === "refusal" ? "Stopped by a rail" : "Looked, and found no answer";
  return `${stands} · ${seconds(took)}`;
}

function notice(answer) {
  const refused = answer.kind === "refusal";
  return make(
    "section", { className: `notice ${answer.kind}`, role: "note" },
    make("strong", {}, refused ? "This was stopped by a rail" : STOPS[answer.reason] ?? "No answer"),
    make("p", {}, answer.text),
    make("p", { className: "soft" }, refused ? "The rule: " : "Why: ", make("code", {}, answer.reason ?? "unknown"),
      refused ? " · nothing of it was answered or kept." : " · the steps above say what was searched."),
  );
}

function dropped(answer) {
  if (!answer.dropped) return null;
  const many = answer.dropped > 1;
  return make("p", { className: "dropped" },
    `${many ? `${answer.dropped} sentences were` : "One sentence was"} left out: a check or a rail did not let ${many ? "them" : "it"} pass.`);
}

function sources(view) {
  if (!view.turn.citations.length) return null;
  const cards = view.turn.citations.map((cited) => make(
    "li", {},
    make("button", { type: "button", className: "source", "data-cite": cited.n, "aria-pressed": "false", onclick: () => open(view, cited) },
      make("span", { className: "n" }, String(cited.n)),
      make("span", { className: "what" },
        make("span", { className: "place" }, make("b", {}, cited.name), ` · ${place(cited)}`),
        make("span", { className: "words" }, cited.quote)),
      make("span", { className: "score", title: "How well it matched, comparable within this answer only" }, cited.score.toFixed(2))),
  ));
  return make("ol", { className: "sources", "aria-label": "Sources" }, ...cards);
}

/** The pages that came nearest to an answer that there is not. */
function nearest({ nearest: pages = [] }) {
  if (!pages.length) return null;
  const cards = pages.map((cited, at) => make("li", {}, make("button", { type: "button", className: "source", onclick: () => viewer.showCitation(pages, at) },
    make("span", { className: "what" },
      make("span", { className: "place" }, make("b", {}, cited.name), ` · ${place(cited)}`),
      make("span", { className: "words" }, cited.quote)))));
  return make("section", {}, make("p", { className: "dropped" }, "What came nearest, and is no answer:"), make("ol", { className: "sources", "aria-label": "Nearest pages" }, ...cards));
}

function actions(view, turn) {
  if (turn.answer.kind !== "answer") return null;
  const copy = make("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(markdown(turn));
    copy.textContent = "Copied";
    say("Copied.");
  } }, "Copy with links");
  return make("p", { className: "actions" }, copy);
}

function markdown({ question, answer }) {
  const links = answer.citations.map((c) => {
    const name = `${c.name}, ${place(c)}`.replace(/[[\]\\]/g, "\\$&");
    return `${c.n}. [${name}](${location.origin}/?d=${c.document_id}&page=${c.page_no})`;
  });
  return `**${question}**\n\n${answer.text}\n\n${links.join("\n")}\n`;
}

function failed(view, text, kind = "error") {
  view.summary.textContent = kind === "stopped" ? "Stopped" : "Something went wrong";
  view.turn.classList.add("done");
  view.after.replaceChildren(make("section", { className: `notice ${kind}`, role: "note" }, make("p", {}, text)));
  say(text);
}

function peek(node, cited) {
  const card = byId("peek");
  card.replaceChildren(make("b", {}, `${cited.name} · ${place(cited)}`), make("span", {}, cited.quote));
  card.hidden = false;
  const { left, top, bottom } = node.getBoundingClientRect();
  card.style.left = `${Math.max(8, Math.min(left - 16, innerWidth - card.offsetWidth - 8))}px`;
  const above = top - card.offsetHeight - 8;
  card.style.top = `${above > 8 ? above : bottom + 8}px`;
}

function unpeek() { byId("peek").hidden = true; }

function busy(on) {
  byId("send").hidden = on;
  byId("stop").hidden = !on;
}

function hello(on) { byId("hello").hidden = !on; document.body.classList.toggle("talking", !on); }

function grow(box) {
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 180)}px`;
}

function keep() {
  try { sessionStorage.setItem(KEPT, JSON.stringify(talk.slice(-20))); } catch { /* full: this page keeps it, a reload will not */ }
}

function restore() {
  try { return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]"); } catch { return []; }
}
