// How an answer came about: the details below each step, told by the server once the answer is complete.

import { make, seconds } from "/web/dom.js";

const LEGS = { dense: "meaning", sparse: "words", rerank: "reread" };
const MOST_HITS = 5;

/** Make the line of a step, with its details below it. */
export function line({ node, label, ms, facts = {} }) {
  const told = details(node, facts);
  return make("li", {},
    make("span", {}, label), make("span", { className: "ms" }, seconds(ms)),
    told.length ? make("ul", { className: "facts" }, ...told) : null);
}

function details(node, facts) {
  if (node === "plan" && facts.queries) return planned(facts);
  if (node === "retrieve") return hits(facts.hits ?? []);
  if (node === "screen_evidence") return [...new Set(facts.kept ?? []), ...(facts.verdicts ?? []).map((code) => `stopped by a rail: ${code}`)].map(item);
  if (node === "look") return (facts.looked_at ?? []).map(item);
  if (node === "release" && facts.kept) return [item(`${facts.kept} ${(facts.citations ?? []).map((n) => `[${n}]`).join(" ")}`)];
  if (node === "verify" && facts.signs) return [item(Object.entries(facts.signs).map(([name, value]) => `${name.replaceAll("_", " ")} ${value.toFixed(2)}`).join(" · "))];
  if (node === "screen_question" && facts.earlier_turns) return [item(`with ${facts.earlier_turns} earlier turns`)];
  return [];
}

function planned({ leans, standalone, queries }) {
  const meant = leans ? [item(`it leans on earlier turns and means: ${standalone}`)] : [];
  return queries.length > 1 ? [...meant, ...queries.map(item)] : meant;
}

function hits(found) {
  const lines = found.slice(0, MOST_HITS).map((hit) => {
    const legs = Object.entries(LEGS).filter(([leg]) => leg in hit).map(([leg, word]) => `${word} ${hit[leg].toFixed(2)}`);
    return make("li", {}, make("b", {}, `${hit.name}, page ${hit.page_no}`), ` ${hit.score.toFixed(2)}`,
      legs.length ? make("span", { className: "legs" }, legs.join(" · ")) : null);
  });
  return found.length > MOST_HITS ? [...lines, item(`and ${found.length - MOST_HITS} more`)] : lines;
}

const item = (text) => make("li", {}, text);
