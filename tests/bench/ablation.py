"""What each leg and each trick of the search is worth, alone and removed, and what it costs.

    python tests/bench/ablation.py --home HOME (--questions FILE | --beir FOLDER) --cache FILE [--write FILE]
                                   [--limit N] [--tenant NAME] [--rows PATTERN] [--timed N]

Every row is the shipped library with other settings, over a home that is already shelved (nobody else may
have it open): no search is imitated. Question vectors and the reranker's logits are kept in the cache, so
that a second run takes minutes. Differences are paired by question, with 95 % bootstrap intervals
(`agent.scores.difference`).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import sqlite3
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent import scores
from agent.questions import Gold, Place, load, load_beir
from api.settings import ApiSettings
from ingest.chunk import indexed_text
from ingest.embed import OnnxEmbedder
from ingest.index import Found, Index
from ingest.index_edge import EdgeIndex
from ingest.library import Shelves
from ingest.records import Scope
from ingest.registry import Registry
from ingest.rerank import OnnxReranker
from ingest.settings import IngestSettings
from ingest.vision import Finding, View
from ingest.weights import Weights

#: Settings of each row; "leg" leaves one leg of the index.
BARE: dict[str, object] = {
    "wording": "asked",
    "name_weight": 0.0,
    "period_weight": 0.0,
    "page_weight": 0.0,
    "reference_weight": 0.0,
    "reranked": 0,
}
ALONE: dict[str, dict[str, object]] = {
    "BM25": BARE | {"leg": "sparse", "sparse_weight": 1.0},
    "dense": BARE | {"leg": "dense"},
    "fused (dense + BM25)": BARE,
    "fused + reranker": BARE | {"reranked": 8, "rerank_weight": 0.2},
    "fused + page": BARE | {"page_weight": 0.05},
    "fused + names and periods": BARE | {"name_weight": 0.3, "period_weight": 0.15},
    "fused + focused wording": BARE | {"wording": "focused"},
    "fused + measures' lines": BARE | {"wording": "measures"},
    "fused + references": BARE | {"reference_weight": 0.1},
}
REMOVED: dict[str, dict[str, object]] = {
    "all": {},
    "all without BM25": {"leg": "dense"},
    "all without dense": {"leg": "sparse", "sparse_weight": 1.0},
    "all without names and periods": {"name_weight": 0.0, "period_weight": 0.0},
    "all without periods": {"period_weight": 0.0},
    "all without measures' lines": {"wording": "focused"},
    "all without focused wording": {"wording": "asked"},
    "all and page": {"page_weight": 0.05},
    "all, BM25's weight .1": {"sparse_weight": 0.1},
    "all, BM25's weight .2": {"sparse_weight": 0.2},
    "all without references": {"reference_weight": 0.0},
}
READ: dict[str, dict[str, object]] = {
    "all without reranker": {"reranked": 0},
    "all, reranker's weight .1": {"rerank_weight": 0.1},
}
#: Hits asked for: enough for ten pages; BEIR wants recall@100.
_HITS, _HITS_BEIR = 60, 160


class Cache:
    """Question vectors and logits on disk, by what they were made of."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._file.execute("CREATE TABLE IF NOT EXISTS vectors (question TEXT PRIMARY KEY, vector BLOB)")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS logits (question TEXT, passage TEXT, logit REAL,"
            " PRIMARY KEY (question, passage)) WITHOUT ROWID"
        )

    def vector(self, question: str) -> NDArray[np.float32] | None:
        row = self._file.execute("SELECT vector FROM vectors WHERE question = ?", (question,)).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype=np.float32)

    def keep_vector(self, question: str, vector: NDArray[np.float32]) -> None:
        self._file.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?)", (question, vector.tobytes()))

    def logits(self, question: str) -> dict[str, float]:
        return dict(self._file.execute("SELECT passage, logit FROM logits WHERE question = ?", (question,)))

    def keep_logits(self, question: str, made: dict[str, float]) -> None:
        rows = [(question, passage, logit) for passage, logit in made.items()]
        self._file.executemany("INSERT OR REPLACE INTO logits VALUES (?, ?, ?)", rows)


@dataclass
class KeptEmbedder:
    """The embedder, each question once."""

    model: OnnxEmbedder
    cache: Cache

    def __post_init__(self) -> None:
        self.name, self.dimensions, self.languages = (
            self.model.name,
            self.model.dimensions,
            self.model.languages,
        )

    def count(self, texts: Sequence[str]) -> list[int]:
        return self.model.count(texts)

    def batches(self, texts: Sequence[str]) -> list[list[int]]:
        return self.model.batches(texts)

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return await self.model.embed(texts)

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        vector = self.cache.vector(text)
        if vector is None:
            vector = await self.model.embed_query(text)
            self.cache.keep_vector(text, vector)
        return vector


@dataclass
class KeptReranker:
    """The reranker, each pair once."""

    model: OnnxReranker
    cache: Cache
    name: str = OnnxReranker.name

    async def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        known = self.cache.logits(query)
        keys = [hashlib.sha256(passage.encode()).hexdigest()[:32] for passage in passages]
        new = [place for place, key in enumerate(keys) if key not in known]
        if new:
            made = await self.model.score(query, [passages[place] for place in new])
            fresh = {keys[place]: float(logit) for place, logit in zip(new, made, strict=True)}
            self.cache.keep_logits(query, fresh)
            known |= fresh
        return np.array([known[key] for key in keys], dtype=np.float32)


@dataclass
class OneLeg:
    """An index of which one leg is left."""

    index: Index
    leg: str

    async def search(
        self, *, text: str, vector: NDArray[np.float32], scope: Scope, limit: int
    ) -> list[Found]:
        found = await self.index.search(text=text, vector=vector, scope=scope, limit=limit)
        if self.leg == "dense":
            return [
                Found(chunk=one.chunk, dense=one.dense, sparse=None) for one in found if one.dense is not None
            ]
        return [
            Found(chunk=one.chunk, dense=None, sparse=one.sparse) for one in found if one.sparse is not None
        ]

    async def chunks(self, **wanted: object) -> object:
        return await self.index.chunks(**wanted)  # type: ignore[arg-type]


class NoEyes:
    """Nobody looks here."""

    name = "none"

    async def look(self, views: Sequence[View], *, question: str, tenant: str) -> list[Finding]:
        raise AssertionError("a search looks at nothing")


@dataclass
class Bench:
    """A shelved library with its questions."""

    index: Index
    registry: Registry
    embedder: KeptEmbedder
    reranker: KeptReranker
    home: Path
    asked: list[Gold]
    scope: Scope
    names: dict[str, str]
    hits: int
    base: IngestSettings = field(default_factory=IngestSettings)

    def library(self, row: dict[str, object], *, cached: bool = True) -> Shelves:
        changes = {key: value for key, value in row.items() if key != "leg"}
        # Under load the shipped time budget would measure the machine, not the ranking.
        settings = self.base.model_copy(update={"rerank_budget_s": 3600.0} | changes)
        index = OneLeg(self.index, str(row["leg"])) if "leg" in row else self.index
        embedder = self.embedder if cached else self.embedder.model
        reranker = self.reranker if cached else self.reranker.model
        return Shelves(
            index=cast(Index, index),
            embedder=embedder,  # type: ignore[arg-type]
            reranker=reranker if settings.reranked else None,
            vision=NoEyes(),  # type: ignore[arg-type]
            registry=self.registry,
            reader=None,  # type: ignore[arg-type]
            files=self.home / "files",
            settings=settings,
        )

    def searches(self) -> list[tuple[str, Gold, Scope]]:
        """Return each question inside its document and, where it is meant so, over everything."""
        ids = {name: key for key, name in self.names.items()}
        found: list[tuple[str, Gold, Scope]] = []
        for gold in self.asked:
            if not gold.answerable or not gold.places:
                continue
            if gold.doc in ids:
                own = Scope(
                    tenant=self.scope.tenant,
                    collections=self.scope.collections,
                    documents=(ids[gold.doc],),
                )
                found.append(("document", gold, own))
            if gold.scope == "corpus" and (gold.relevant or gold.doc in ids):
                found.append(("corpus", gold, self.scope))
        return found


@dataclass(frozen=True)
class Result:
    """Figures of one row, question by question."""

    hit: dict[str, float]
    recall: dict[str, float]
    gain: dict[str, float]
    deep: dict[str, float]
    kinds: dict[str, str]

    def of(self, where: str, kind: str | None = None) -> list[str]:
        return [key for key in self.hit if key.startswith(where) and kind in (None, self.kinds[key])]


async def run(bench: Bench, row: dict[str, object]) -> Result:
    """Search every question with the settings of `row`."""
    library, result = bench.library(row), Result({}, {}, {}, {}, {})
    for where, gold, scope in bench.searches():
        hits = await library.search(gold.question, scope=scope, limit=bench.hits)
        ranked: list[Place] = list(
            dict.fromkeys((bench.names[hit.chunk.document_id], hit.chunk.page_no) for hit in hits)
        )
        key = f"{where}/{gold.id}"
        result.hit[key] = scores.hit(ranked, gold.places, 5)
        result.recall[key] = scores.recall(ranked, gold.places, 10)
        result.gain[key] = scores.ndcg(ranked, gold.places, 10)
        result.deep[key] = scores.recall(ranked, gold.places, 100)
        result.kinds[key] = gold.type
    return result


async def parts(bench: Bench, n: int) -> list[str]:
    """Time the parts of a search without caches: the models alone, and the whole."""
    library = bench.library({}, cached=False)
    spent: dict[str, list[float]] = {"embed": [], "rerank": [], "whole": []}
    embedder, reranker = bench.embedder.model, bench.reranker.model
    searches = bench.searches()
    for place, (_, gold, scope) in enumerate(searches[:: max(1, len(searches) // n)][:n]):
        # Each its own wording, so that no question is remembered from the run before.
        asked = f"{gold.question} ({place})"
        start = time.perf_counter()
        hits = await library.search(asked, scope=scope, limit=bench.base.candidates)
        spent["whole"].append(time.perf_counter() - start)
        read = [hit for hit in hits if "rerank" in hit.legs]
        start = time.perf_counter()
        await embedder.embed_query(f"{gold.question} ({place} again)")
        spent["embed"].append(time.perf_counter() - start)
        if read:
            texts = [indexed_text(hit.chunk, document_name=hit.document_name) for hit in read]
            start = time.perf_counter()
            await reranker.score(gold.question, texts)
            spent["rerank"].append(time.perf_counter() - start)
        else:
            spent["rerank"].append(0.0)
    models = [a + b for a, b in zip(spent["embed"], spent["rerank"], strict=True)]
    ratio = sum(spent["whole"]) / sum(models)
    own = [whole - model for whole, model in zip(spent["whole"], models, strict=True)]
    told = [f"| {name} | {1000 * median(times):.0f} |" for name, times in spent.items()]
    return [
        "",
        f"Milliseconds of a search (median of {len(models)}, no cache; the machine was shared):",
        "",
        "| part | ms |",
        "|---|---|",
        *told,
        f"| all but the models | {1000 * median(own):.0f} |",
        "",
        f"Question → evidence takes {ratio:.2f} times what the models alone take.",
    ]


def line(name: str, one: Result, base: Result, where: str, *, beir: bool) -> str:
    """Tell one row of a table."""
    keys = one.of(where)

    def mean(values: dict[str, float], kind: str | None = None) -> str:
        chosen = [values[key] for key in one.of(where, kind)]
        return f"{np.mean(chosen):.3f}" if chosen else "-"

    ours, theirs = (one.gain, base.gain) if beir else (one.hit, base.hit)
    apart = scores.difference({k: ours[k] for k in keys}, {k: theirs[k] for k in keys})
    told = (
        "" if apart is None or one is base else f"{apart[1]:+.3f} ({apart[2][0]:+.3f} to {apart[2][1]:+.3f})"
    )
    spread = scores.interval([ours[key] for key in keys])
    wide = "" if spread is None else f"{spread[0]:.2f}-{spread[1]:.2f}"
    if beir:
        cells = [mean(one.gain), wide, mean(one.recall), mean(one.deep)]
    else:
        kinds = [mean(one.hit, kind) for kind in ("table", "multi-hop", "text")]
        cells = [mean(one.hit), wide, *kinds, mean(one.recall, "multi-hop"), mean(one.gain)]
    return f"| {name} | {' | '.join(cells)} | {told} |"


def head(*, beir: bool) -> list[str]:
    """Name the columns."""
    names = ["nDCG@10", "95 %", "recall@10", "recall@100"]
    if not beir:
        names = ["hit@5", "95 %", "table", "multi-hop", "text", "multi-hop recall@10", "nDCG@10"]
    columns = ["", *names, "against all"]
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]


async def measure(given: argparse.Namespace) -> list[str]:
    """Run every row and tell the tables."""
    weights, cache, base = Weights(ApiSettings().weights), Cache(given.cache), IngestSettings()

    def onnx(name: str) -> tuple[Path, Path]:
        return weights.path(f"{name}/model.onnx"), weights.path(f"{name}/tokenizer.json")

    embedder = OnnxEmbedder(*onnx(OnnxEmbedder.name), threads=base.threads, batch=base.embed_batch)
    reranker = OnnxReranker(*onnx(OnnxReranker.name), threads=base.threads)
    index = EdgeIndex.open(given.home / "index", vector_name=embedder.name, dimensions=embedder.dimensions)
    registry = Registry.open(given.home / "registry.sqlite")
    scope = Scope(tenant=given.tenant, collections=await registry.collections(tenant=given.tenant))
    names = {one.id: one.name for one in await registry.list(scope=scope)}
    asked = load_beir(given.beir)[0] if given.beir else load(given.questions)
    bench = Bench(
        index=index,
        registry=registry,
        embedder=KeptEmbedder(embedder, cache),
        reranker=KeptReranker(reranker, cache),
        home=given.home,
        asked=asked[: given.limit],
        scope=scope,
        names=names,
        hits=_HITS_BEIR if given.beir else _HITS,
    )
    try:
        if not bench.searches():
            sys.exit("None of the questions is about a document of this home: nothing was measured.")
        told = await tables(bench, given)
        print("\n".join(told), flush=True)
        return told + (await parts(bench, given.timed) if given.timed else [])
    finally:
        await registry.close()
        await index.close()


async def tables(bench: Bench, given: argparse.Namespace) -> list[str]:
    """Tell a table for each scope searched in."""
    rows = {name: row for name, row in (ALONE | REMOVED | READ).items() if re.search(given.rows, name)}
    found: dict[str, Result] = {}
    for name, row in ({"all": REMOVED["all"]} | rows).items():
        start = time.perf_counter()
        found[name] = await run(bench, row)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    told: list[str] = []
    for where in ("document", "corpus"):
        n = len(found["all"].of(where))
        if n:
            told += ["", f"Searched in the {where}, {n} questions, {len(bench.names)} documents:", ""]
            told += head(beir=bool(given.beir))
            told += [
                line(name, one, found["all"], where, beir=bool(given.beir)) for name, one in found.items()
            ]
    return told


def main() -> None:
    """Measure, print, and write where asked for."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--home", type=Path, required=True)
    asked.add_argument("--questions", type=Path)
    asked.add_argument("--beir", type=Path)
    asked.add_argument("--cache", type=Path, required=True)
    asked.add_argument("--write", type=Path)
    asked.add_argument("--limit", type=int)
    asked.add_argument("--tenant", default="default")
    asked.add_argument("--rows", default="", help="only rows whose name has this regular expression")
    asked.add_argument("--timed", type=int, default=20, help="searches timed without any cache")
    given = asked.parse_args()
    if (given.questions is None) is (given.beir is None):
        asked.error("say --questions or --beir")
    told = "\n".join(asyncio.run(measure(given)))
    if given.write:
        given.write.write_text(told + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
