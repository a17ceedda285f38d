// The page as a whole: tabs, keyboard, what the house has, and links that lead to a page.

import * as ask from "/web/ask.js";
import { get, setKey } from "/web/client.js";
import { byId, make } from "/web/dom.js";
import * as library from "/web/library.js";
import * as viewer from "/web/viewer.js";

const EYES = { "ocr-layout": "OCR + layout" };
const WRITERS = { quotes: "quotes, no model", local: "local model", served: "served model" };
const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language" });

viewer.start({ onCitation: ask.point });
library.start({ onChange: refresh, onDrag: () => tab("library") });
ask.start();
byId("tab-ask").addEventListener("click", () => tab("ask"));
byId("tab-library").addEventListener("click", () => tab("library"));
byId("keys").addEventListener("click", () => byId("help").showModal());
document.addEventListener("keydown", shortcut);
document.addEventListener("wants-key", () => { if (!byId("key").open) byId("key").showModal(); });
byId("key").addEventListener("close", () => { setKey(byId("key-value").value); byId("key-value").value = ""; refresh(); });

const wanted = new URLSearchParams(location.search);
if (wanted.get("d")) viewer.showPage(wanted.get("d"), Math.max(1, Number.parseInt(wanted.get("page") ?? "1", 10) || 1));
refresh();
if (matchMedia("(min-width: 900px)").matches) byId("box").focus();

async function refresh() {
  try {
    const [status] = await Promise.all([get("/v1/status"), library.refresh()]);
    tell(status);
  } catch (error) {
    byId("has").replaceChildren(make("li", { className: "bad" }, error.message));
  }
}

function tell(status) {
  const has = [
    ["eyes", EYES[status.vision] ?? status.vision],
    ["writer", status.model ? `${WRITERS[status.reasoning]} (${status.model})` : WRITERS[status.reasoning]],
    ["reads", status.languages.map((code) => LANGUAGES.of(code)).join(", ")],
  ];
  byId("has").replaceChildren(...has.map(([name, value]) => make("li", { title: value }, make("span", {}, name), ` ${value}`)));
  byId("hello-text").textContent = status.documents
    ? "Every sentence of an answer is checked against a page, and the page is shown beside it."
    : "The library is empty. Drop documents anywhere on this page, then ask.";
  byId("samples").replaceChildren(...status.samples.map((question) =>
    make("button", { type: "button", className: "sample", onclick: () => ask.put(question) }, question)));
}

function tab(name) {
  document.body.dataset.tab = name;
  for (const each of ["ask", "library"]) {
    byId(each).hidden = each !== name;
    if (each === name) byId(`tab-${each}`).setAttribute("aria-current", "page");
    else byId(`tab-${each}`).removeAttribute("aria-current");
  }
}

function shortcut(event) {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (!ask.stop() && viewer.isOpen()) viewer.close();
    return;
  }
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || document.querySelector("dialog[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const does = {
    "/": () => { tab("ask"); byId("box").focus(); },
    "?": () => byId("help").showModal(),
    "[": () => viewer.step(-1),
    "]": () => viewer.step(1),
    ArrowLeft: () => viewer.turnPage(-1),
    ArrowRight: () => viewer.turnPage(1),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}
