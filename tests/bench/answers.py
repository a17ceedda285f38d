"""How well the agent quotes and reckons: known questions, asked over an opened library without a model.

    PAGEWARDEN_DATA=… python tests/bench/answers.py HOME [--oracle] [--only TEXT] [--code]

Searches and reranker scores are kept in a file beside HOME, so that a second run is quick. `--oracle` puts
the pages that hold the answer before the agent in place of a search: what is then wrong was not the search's
fault. `--code` asks without a reranker and prints only what code took from tables.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.startup import prepare

prepare()  # its switches stand before anything that reads them is imported

from agent.evaluate import is_right  # noqa: E402
from agent.questions import Gold, load  # noqa: E402
from agent.records import Answer, Question  # noqa: E402
from agent.run import GuardedAgent  # noqa: E402
from agent.settings import AgentSettings  # noqa: E402
from api.settings import ApiSettings  # noqa: E402
from api.wiring import open_house  # noqa: E402
from ingest.records import Chunk, Hit, Scope  # noqa: E402


class Kept:
    """A library whose searches and scores are kept between runs; everything else is the library's own."""

    def __init__(self, library: Any, path: Path) -> None:
        self._library, self._path = library, path
        self.vision, self.languages = library.vision, library.languages
        self.known: dict[str, Any] = pickle.loads(path.read_bytes()) if path.exists() else {}
        #: The chunks that every search returns, where set.
        self.oracle: list[Hit] | None = None
        #: Whether pairs are not scored at all: what code takes from tables needs no reranker.
        self.quick = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    async def search(self, query: str, *, scope: Scope, limit: int) -> list[Hit]:
        """Search, or remember."""
        if self.oracle is not None:
            return self.oracle
        key = _key("search", query, repr(scope))
        if key not in self.known:
            self.known[key] = await self._library.search(query, scope=scope, limit=20)
        return list(self.known[key][:limit])

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """Score, or remember, pair by pair."""
        if self.quick:
            return [0.0] * len(passages)
        keys = [_key("pair", query, passage) for passage in passages]
        new = [passage for key, passage in zip(keys, passages, strict=True) if key not in self.known]
        if new:
            scores = await self._library.rerank(query, new)
            self.known |= {_key("pair", query, p): s for p, s in zip(new, scores, strict=True)}
        return [self.known[key] for key in keys]

    def save(self) -> None:
        """Keep what is known."""
        self._path.write_bytes(pickle.dumps(self.known))


def _key(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


async def gold_hits(library: Any, gold: Gold, names: dict[str, Any], scope: Scope) -> list[Hit]:
    """Return the chunks of the pages that hold the answer."""
    document = names[gold.doc or ""]
    chunks: list[Chunk] = []
    for page in gold.evidence_pages:
        chunks += await library.on_page(document.id, page, scope=scope)
    return [Hit(chunk=c, document_name=document.name, score=1.0 - i / 1000) for i, c in enumerate(chunks)]


async def run(home: Path, *, oracle: bool, only: str, code: bool) -> None:
    """Ask everything and print what was right."""
    golds = load(Path(os.environ["PAGEWARDEN_DATA"]) / "e2e-docqa" / "questions.jsonl")
    tally: Counter[tuple[str, str]] = Counter()
    async with open_house(ApiSettings(home=home, writer="quotes")) as house:
        kept = Kept(house.agent._library, home.with_suffix(".kept"))  # type: ignore[attr-defined]
        settings = AgentSettings(evidence=40) if oracle else AgentSettings()
        agent = GuardedAgent(
            library=kept,
            rails=house.agent._rails,
            model=None,
            settings=settings,  # type: ignore[attr-defined]
        )
        scope = Scope(tenant="default", collections=("default",))
        names = {d.name: d for d in await kept.documents(scope=scope)}
        for gold in golds:
            if only and only not in gold.id and only.casefold() not in gold.question.casefold():
                continue
            if gold.doc not in names:
                tally["missing", gold.type] += 1
                continue
            own = replace(scope, documents=(names[gold.doc].id,)) if gold.scope == "document" else scope
            kept.quick = code
            kept.oracle = await gold_hits(kept, gold, names, scope) if oracle and gold.answerable else None
            answer = await agent.answer(Question(text=gold.question, scope=own))
            _print(gold, answer, tally, code=code)
            kept.save()
    for kind in ("right", "wrong", "abstained", "right by code", "wrong by code", "missing"):
        some = {of: n for (what, of), n in sorted(tally.items()) if what == kind}
        print(f"{kind:14} {sum(some.values()):4} {some}")


def _print(gold: Gold, answer: Answer, tally: Counter[tuple[str, str]], *, code: bool) -> None:
    right = is_right(gold, answer)
    by_code = answer.kind == "answer" and not any(
        s.text in c.quote for s in answer.sentences for c in answer.citations
    )
    kind = "right" if right else "abstained" if answer.kind != "answer" else "wrong"
    tally[kind, gold.type] += 1
    if by_code:
        tally[f"{kind} by code", gold.type] += 1
    if code and not by_code:
        return
    pages = sorted({c.page_no for c in answer.citations})
    print(f"  Q {gold.question[:300]}\n  G {gold.answer[:200]}\n  A {answer.text[:500]}")
    print(f"    cites pages {pages}, {answer.dropped} dropped")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--code", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    asyncio.run(run(options.home, oracle=options.oracle, only=options.only, code=options.code))
