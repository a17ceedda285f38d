// The server as this page sees it: JSON, a stream of events, uploads with progress, and page images kept for a while.

const KEY = "pagewarden.key";
const MOST_IMAGES = 96;
const images = new Map();
const films = new Map();

/** What went wrong, as a sentence of the server. */
export class Problem extends Error {
  constructor(detail, code) { super(detail); this.code = code; }
}

export function setKey(value) {
  sessionStorage.setItem(KEY, value);
}

function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

function problem(body, status) {
  if (status === 401) document.dispatchEvent(new Event("wants-key"));
  const told = body?.error ? { detail: body.error.message, code: body.error.code } : body;
  return new Problem(told?.detail ?? `The server answered with ${status}.`, told?.code ?? "internal");
}

async function reach(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers(options.headers) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer. Is `pagewarden serve` still running?", "server_down");
  }
  if (!response.ok) throw problem(await response.json().catch(() => null), response.status);
  return response;
}

export const get = async (path) => (await reach(path)).json();
export const post = async (path) => (await reach(path, { method: "POST" })).json();
export const remove = async (path) => (await reach(path, { method: "DELETE" })).json();

/** Yield the chunks of an answer; abort `signal` to cancel the work on the server too. */
export async function* ask(messages, signal) {
  const response = await reach("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: "pagewarden", stream: true, messages }),
    signal,
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      if (!event.startsWith("data: ") || event === "data: [DONE]") continue;
      const chunk = JSON.parse(event.slice(6));
      if (chunk.error) throw new Problem(chunk.error.message, chunk.error.code);
      yield chunk;
    }
  }
}

/** Return an object URL of a page's image, "small" or "large"; the latest are kept, so that a jump back loads nothing. */
export async function pageImage(documentId, page, size) {
  const path = `/v1/documents/${documentId}/pages/${page}?size=${size}`;
  const known = images.get(path);
  images.delete(path);
  const coming = known ?? reach(path, { headers: { Accept: "image/webp,image/*" } })
    .then((response) => response.blob()).then((blob) => URL.createObjectURL(blob));
  images.set(path, coming);
  coming.catch(() => images.delete(path));
  if (images.size > MOST_IMAGES) {
    const [oldest, url] = images.entries().next().value;
    images.delete(oldest);
    url.then(URL.revokeObjectURL, () => {});
  }
  return coming;
}

/** Return where a film is played from: its address, or where a key is wanted its bytes, for a player sends no key. */
export async function filmUrl(path) {
  if (!sessionStorage.getItem(KEY)) return path;
  if (!films.has(path)) {
    for (const url of films.values()) url.then(URL.revokeObjectURL, () => {});
    films.clear();
    const coming = reach(path).then((response) => response.blob()).then((blob) => URL.createObjectURL(blob));
    films.set(path, coming);
    coming.catch(() => films.delete(path));
  }
  return films.get(path);
}

export function forgetImages() {
  for (const url of images.values()) url.then(URL.revokeObjectURL, () => {});
  images.clear();
}

/** Upload one file; `onShare` hears the share of its bytes that left. Resolves to its job, or how it ended. */
export function upload(file, name, onShare) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/documents?wait=0");
    for (const [header, value] of Object.entries(headers())) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) => onShare(event.lengthComputable ? event.loaded / event.total : 0);
    request.onerror = () => reject(new Problem("The server does not answer.", "server_down"));
    request.onload = () => {
      let body = null;
      try { body = JSON.parse(request.responseText); } catch { /* not JSON: the status says enough */ }
      if (body?.documents?.length) resolve({ outcome: body.documents[0] });
      else if (body?.jobs?.length) resolve({ job: body.jobs[0] });
      else reject(problem(body, request.status));
    };
    const form = new FormData();
    form.append("file", file, name);
    request.send(form);
  });
}
