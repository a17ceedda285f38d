// Files on their way: sent, read, embedded, shelved, or not taken and why; with a way to stop and to try again.

import { get, post, upload } from "/web/client.js";
import { byId, count, make, say } from "/web/dom.js";

const SAID = {
  added: "added", updated: "replaced by this version", unchanged: "already here", quarantined: "in quarantine",
  failed: "not taken", cancelled: "stopped",
};
const ENDED = ["shelved", "failed", "quarantined", "cancelled"];
const UNDONE = ["queued", "reading", "embedding", "failed", "quarantined"];
const LOOK_MS = 500;
const MOST_SHOWN = 50;
const lines = new Map();
let since = 0;
let looking = false;
let onShelf = () => {};

/** `onShelf` is called whenever something came onto the shelf. */
export function start(options) {
  onShelf = options.onShelf;
}

/** Show what is under way and what was not taken, from before this page was opened. */
export async function refresh() {
  const wanted = UNDONE.map((state) => `state=${state}`).join("&");
  const { jobs } = await get(`/v1/jobs?${wanted}&limit=${MOST_SHOWN}`);
  for (const job of jobs.reverse()) if (!lines.has(job.id)) follow(job, line(job.name));
}

/** Send a file and show what becomes of it. */
export async function send(file, name, shown) {
  try {
    const told = await upload(file, name, (share) => {
      shown.move(share < 1 ? share : null, share < 1 ? `sending, ${Math.round(share * 100)} %` : "taken in …");
    });
    if (told.job) follow(told.job, shown);
    else end(shown, told.outcome);
  } catch (error) { shown.end("failed", `${SAID.failed}: ${error.message}`); }
}

/** Make the line of a file that is added. */
export function line(name) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": `How much is done of ${name}` });
  const state = make("span", { className: "state" }, "waiting");
  const action = make("button", { type: "button", className: "quiet", hidden: true });
  const item = make("li", {}, make("span", { className: "name" }, name), bar, state, action);
  byId("uploads").prepend(item);
  return {
    name,
    move(share, text) {
      item.className = "";
      bar.hidden = false;
      if (share === null) bar.removeAttribute("value"); else bar.value = share;
      if (state.textContent !== text) state.textContent = text;
    },
    end(kind, text) {
      item.className = kind;
      bar.hidden = true;
      action.hidden = true;
      state.textContent = text;
      say(`${name}: ${text}`);
    },
    offer(text, work) {
      action.hidden = false;
      action.textContent = text;
      action.setAttribute("aria-label", `${text}: ${name}`);
      action.onclick = async () => {
        action.hidden = true;
        try { await work(); } catch (error) { say(error.message); }
      };
    },
  };
}

function follow(job, shown) {
  lines.set(job.id, shown);
  show(job);
  if (!ENDED.includes(job.state)) look();
}

function show(job) {
  const shown = lines.get(job.id);
  if (job.state === "shelved") end(shown, { ...job, pages: job.pages_done });
  else if (ENDED.includes(job.state)) {
    end(shown, { ...job, outcome: job.state });
    if (job.state !== "quarantined") shown.offer("Try again", async () => follow(await post(`/v1/jobs/${job.id}/retry`), shown));
  } else {
    shown.move(job.share || null, underway(job));
    shown.offer("Stop", async () => follow(await post(`/v1/jobs/${job.id}/cancel`), shown));
  }
}

function underway(job) {
  if (job.waits_for) return `waits for ${job.waits_for}`;
  if (job.state === "queued") return job.tries ? `waits to be tried again (${count(job.tries, "attempt")} so far)` : "waits for its turn";
  const left = job.eta_s > 2 ? `, about ${Math.ceil(job.eta_s)} s left` : "";
  if (job.state === "reading") return (job.pages_total ? `reading page ${Math.min(job.pages_done + 1, job.pages_total)} of ${job.pages_total}` : "reading") + left;
  return `making it findable${left}`;
}

function end(shown, outcome) {
  const good = !["failed", "quarantined", "cancelled"].includes(outcome.outcome);
  const where = outcome.page_no ? ` (page ${outcome.page_no})` : "";
  const why = outcome.outcome === "cancelled" ? null : outcome.detail ?? outcome.reason;
  const tail = good ? ` · ${count(outcome.pages, "page")}` : `${where}${why ? `: ${why}` : ""}`;
  shown.end(outcome.outcome, `${SAID[outcome.outcome]}${tail}`);
  if (good) onShelf();
}

async function look() {
  if (looking) return;
  looking = true;
  try {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      const { jobs, counts } = await get(`/v1/jobs?since=${since}&limit=1000`);
      for (const job of jobs) {
        since = Math.max(since, job.changed);
        if (lines.has(job.id)) show(job);
      }
      if (!["queued", "reading", "embedding"].some((state) => counts[state])) {
        const { jobs: left } = await get("/v1/jobs?state=queued&state=reading&state=embedding&limit=1");
        if (!left.length) return;
      }
    }
  } catch (error) { say(error.message); } finally { looking = false; }
}
