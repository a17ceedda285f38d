// The shelf: what is on it, adding to it file by file with a reason for each, and taking off it.

import { forgetImages, get, remove } from "/web/client.js";
import { byId, count, make, say, size } from "/web/dom.js";
import * as jobs from "/web/jobs.js";
import * as viewer from "/web/viewer.js";

let onChange = () => {};
let queue = Promise.resolve();

export function start(options) {
  onChange = options.onChange;
  jobs.start({ onShelf: onChange });
  byId("files").addEventListener("change", (event) => { addAll([...event.target.files].map((file) => [file, file.name])); event.target.value = ""; });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      options.onDrag();
      byId("drop").classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
  document.addEventListener("drop", async (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    byId("drop").classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    addAll((await Promise.all(entries.map((entry) => walk(entry, "")))).flat());
  });
}

export async function refresh() {
  const [{ documents }] = await Promise.all([get("/v1/documents"), jobs.refresh()]);
  byId("count").textContent = documents.length ? documents.length.toLocaleString("en") : "";
  const pages = documents.reduce((sum, held) => sum + held.pages, 0);
  byId("held").textContent = documents.length
    ? `${count(documents.length, "document")}, ${count(pages, "page")}` : "Nothing here yet.";
  byId("documents").replaceChildren(...documents.map(row));
  return documents;
}

function row(held) {
  const gone = async () => {
    try {
      await remove(`/v1/documents/${held.id}`);
      say(`${held.name} was removed.`);
      forgetImages();
      viewer.forget(held.id);
    } catch (error) { say(error.message); }
    await onChange();
  };
  const sure = make("button", { type: "button", className: "danger", hidden: true, onclick: gone }, "Remove for good");
  const ask = make("button", {
    type: "button", className: "quiet", "aria-label": `Remove ${held.name}`, title: "Remove",
    onclick: () => { ask.hidden = true; sure.hidden = false; sure.focus(); },
  }, "✕");
  sure.addEventListener("blur", () => setTimeout(() => { sure.hidden = true; ask.hidden = false; }, 150));
  return make(
    "tr", {},
    make("td", {}, make("button", { type: "button", className: "open", onclick: () => viewer.showPage(held.id, 1) }, held.name)),
    make("td", {}, held.pages.toLocaleString("en")),
    make("td", {}, size(held.bytes)),
    make("td", {}, new Date(held.added_at).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" })),
    make("td", {}, ask, sure),
  );
}

async function walk(entry, above) {
  const name = above ? `${above}/${entry.name}` : entry.name;
  if (entry.isFile) return [[await new Promise((resolve, reject) => entry.file(resolve, reject)), name]];
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const more = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!more.length) break;
    inside.push(...more);
  }
  return (await Promise.all(inside.filter((e) => !e.name.startsWith(".")).map((e) => walk(e, name)))).flat();
}

function addAll(files) {
  for (const [file, name] of files) {
    const line = jobs.line(name);
    queue = queue.then(() => jobs.send(file, name, line)).then(onChange, onChange);
  }
}
