"""How the embedded index grows: size, speed and recall before its graph is built, while it is, and after.

Real passages (a BEIR corpus) are embedded with the shipped model; every chunk is one of them with noise (its
cosine to it .85) and a draw of its words, so that neighbours are near as they are in a library. Questions are
other real passages. Exact search over the same vectors, in NumPy, is the truth.

    python tests/bench/index_growth.py --beir FOLDER --sizes 10000 100000 --write docs/benchmarks
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import quantiles

import numpy as np
from numpy.typing import NDArray

from api.settings import ApiSettings
from ingest.index import Point
from ingest.index_edge import EdgeIndex
from ingest.records import Box, Chunk, Scope, Span, chunk_id, document_id
from ingest.shards import allocated

Floats = NDArray[np.float32]

#: Chunks of one document, and of how many collections, one of which is asked.
CHUNKS_A_DOCUMENT = 50
COLLECTIONS = ("law", "hr", "it", "sales")
SCOPE = Scope(tenant="acme", collections=("hr",), groups=("board",))
LIMIT = 40
AT_ONCE = 1024


@dataclass(kw_only=True)
class Told:
    """What was measured at one size."""

    chunks: int
    build_s: float = 0.0
    bytes_a_chunk: float = 0.0
    #: Milliseconds p50 and p95 of a hybrid search with the scope's filter, by moment.
    ms: dict[str, tuple[float, float]] = field(default_factory=dict)
    #: Shares of the ten nearest that were found, by moment.
    recall: dict[str, float] = field(default_factory=dict)
    optimise_s: float = 0.0
    #: The longest that the event loop stood still while the graph was built, ms.
    gap_ms: float = 0.0
    bytes_a_chunk_graphed: float = 0.0
    peak_rss_mb: float = 0.0


async def real(beir: Path, *, passages: int) -> tuple[list[str], Floats]:
    """Embed real passages; kept beside the run, because it takes longest."""
    from api.wiring import EMBEDDER
    from ingest.embed import OnnxEmbedder
    from ingest.weights import Weights

    lines = gzip.decompress((beir / "corpus.jsonl.gz").read_bytes()).decode().splitlines()[:passages]
    texts = [json.loads(line)["text"][:900] for line in lines]
    kept = Path(tempfile.gettempdir()) / f"index-growth-{len(texts)}.npy"
    if kept.is_file():
        return texts, np.load(kept)
    weights = Weights(ApiSettings().weights)
    model, tokenizer = (weights.path(f"{EMBEDDER}/{name}") for name in ("model.onnx", "tokenizer.json"))
    embedder = OnnxEmbedder(model, tokenizer, threads=1, batch=16)
    vectors = await embedder.embed(texts)
    np.save(kept, vectors)
    return texts, vectors


@dataclass(kw_only=True)
class Made:
    """Chunks made of real ones, `AT_ONCE` a draw, the same for the same seed."""

    texts: list[str]
    bases: Floats
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))

    def vectors(self, n: int) -> tuple[NDArray[np.int64], Floats]:
        """Draw `n` vectors: a real one and noise, .85 of it the real one."""
        chosen = self.rng.integers(0, len(self.bases), n)
        noise = self.rng.standard_normal((n, self.bases.shape[1])).astype(np.float32)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        drawn = 0.85 * self.bases[chosen] + 0.527 * noise
        return chosen, (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)

    def points(self, start: int, n: int, *, source: str = "file") -> tuple[list[Point], Floats]:
        """Make `n` points, numbered from `start`."""
        chosen, vectors = self.vectors(n)
        made = []
        for number, base, vector in zip(range(start, start + n), chosen, vectors, strict=True):
            words = self.texts[base].split()
            taken = self.rng.integers(0, len(words), min(90, len(words)))
            text = " ".join(words[i] for i in taken)
            made.append(point(number, text, vector, source=source))
        return made, vectors


def collection_of(number: int) -> str:
    return COLLECTIONS[number // CHUNKS_A_DOCUMENT % len(COLLECTIONS)]


def point(number: int, text: str, vector: Floats, *, source: str) -> Point:
    collection = collection_of(number)
    key = f"{source}-{number // CHUNKS_A_DOCUMENT}.pdf"
    document = document_id(tenant="acme", collection=collection, source_key=key)
    place = number % CHUNKS_A_DOCUMENT
    chunk = Chunk(
        id=chunk_id(document_id=document, revision="r", recipe="growth", page_no=1, place=place),
        document_id=document,
        revision="r",
        page_no=1 + place // 3,
        kind="paragraph",
        text=text,
        heading="Growth",
        spans=(Span(start=0, end=len(text), box=Box(x0=0.1, y0=0.1, x1=0.9, y1=0.2)),),
    )
    groups = ("board",) if number % 2 else ()
    return Point(
        chunk=chunk,
        vector=vector,
        words=text,
        place=place,
        tenant="acme",
        collection=collection,
        groups=groups,
    )


@dataclass(kw_only=True)
class Course:
    """One index under measurement."""

    index: EdgeIndex
    questions: list[str]
    asked: Floats
    #: Ids of the ten nearest within the scope, for each question.
    truth: list[set[str]]

    async def timed(self, times: int) -> tuple[float, float]:
        """Ask so often; p50 and p95 in ms."""
        spent = [await self.one(n) for n in range(times)]
        return spread(spent)

    async def one(self, n: int) -> float:
        at = n % len(self.questions)
        began = time.perf_counter()
        await self.index.search(text=self.questions[at], vector=self.asked[at], scope=SCOPE, limit=LIMIT)
        return (time.perf_counter() - began) * 1000

    async def recall(self) -> float:
        """Return which share of the ten nearest the dense leg brings among its first ten."""
        shares = []
        for vector, near in zip(self.asked, self.truth, strict=True):
            hits = await self.index.search(text="", vector=vector, scope=SCOPE, limit=10)
            shares.append(len({hit.chunk.id for hit in hits} & near) / len(near))
        return float(np.mean(shares))


def spread(spent: list[float]) -> tuple[float, float]:
    cuts = quantiles(spent, n=20) if len(spent) > 1 else spent * 20
    return cuts[9], cuts[18]


@asynccontextmanager
async def beside(course: Course) -> AsyncIterator[Callable[[], tuple[float, float]]]:
    """Ask all the time while the body runs; afterwards the call tells p50 and p95."""
    spent: list[float] = []

    async def ask() -> None:
        n = 0
        while True:
            spent.append(await course.one(n))
            n += 1
            await asyncio.sleep(0.01)

    asking = asyncio.create_task(ask())
    try:
        yield lambda: spread(spent)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@asynccontextmanager
async def watched() -> AsyncIterator[Callable[[], float]]:
    """Tell the longest gap of the event loop while the body runs, ms beyond the 5 that it sleeps."""
    gaps: list[float] = [0.0]

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            gaps.append((time.perf_counter() - began) * 1000 - 5)

    ticking = asyncio.create_task(tick())
    try:
        yield lambda: max(gaps)
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


async def grown(folder: Path, made: Made, questions: list[str], asked: Floats, *, chunks: int) -> Told:
    """Build an index of `chunks` and measure it before, while and after its graph is built."""
    told = Told(chunks=chunks)
    index = EdgeIndex.open(folder / "index", vector_name="bge", dimensions=int(asked.shape[1]))
    held = np.empty((chunks, asked.shape[1]), dtype=np.float32)
    ids: list[str] = []
    for start in range(0, chunks, AT_ONCE):
        points, vectors = made.points(start, min(AT_ONCE, chunks - start))
        held[start : start + len(points)] = vectors
        ids += [one.chunk.id for one in points]
        began = time.perf_counter()
        await index.upsert(points)
        told.build_s += time.perf_counter() - began
    await index.flush()
    told.bytes_a_chunk = allocated(folder) / chunks
    own = np.array([collection_of(n) == "hr" for n in range(chunks)])
    rows = np.flatnonzero(own)
    nearest = np.argsort(-(asked @ held[rows].T), axis=1)[:, :10]
    truth = [{ids[rows[i]] for i in near} for near in nearest]
    course = Course(index=index, questions=questions, asked=asked, truth=truth)
    await course.timed(10)
    told.ms["plain"] = await course.timed(200)
    told.recall["plain"] = await course.recall()
    async with beside(course) as asked_beside:
        for start in range(0, 4096, AT_ONCE):
            await index.upsert(made.points(start, AT_ONCE, source="more")[0])
        told.ms["upsert"] = asked_beside()
    for start in range(0, 4096, CHUNKS_A_DOCUMENT):
        collection, key = collection_of(start), f"more-{start // CHUNKS_A_DOCUMENT}.pdf"
        await index.delete(document_id=document_id(tenant="acme", collection=collection, source_key=key))
    async with beside(course) as asked_beside, watched() as gap:
        began = time.perf_counter()
        assert await index.optimise(least=1)
        told.optimise_s = time.perf_counter() - began
        told.ms["optimise"], told.gap_ms = asked_beside(), gap()
    await course.timed(10)
    told.ms["graph"] = await course.timed(200)
    told.recall["graph"] = await course.recall()
    told.bytes_a_chunk_graphed = allocated(folder) / chunks
    told.peak_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    await index.close()
    return told


def table(rows: list[Told]) -> str:
    """Lay the figures out as Markdown."""
    head = (
        "| chunks | written, s | bytes a chunk | ms plain p50 / p95 | ms beside writes | graph built, s "
        "| ms meanwhile | longest gap, ms | bytes a chunk | ms graph p50 / p95 | recall@10 plain / graph |\n"
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    lines = []
    for one in rows:
        ms = {name: f"{p50:.1f} / {p95:.1f}" for name, (p50, p95) in one.ms.items()}
        cells = (
            f"{one.chunks:,}",
            f"{one.build_s:.0f}",
            f"{one.bytes_a_chunk:,.0f}",
            ms["plain"],
            ms["upsert"],
            f"{one.optimise_s:.0f}",
            ms["optimise"],
            f"{one.gap_ms:.0f}",
            f"{one.bytes_a_chunk_graphed:,.0f}",
            ms["graph"],
            f"{one.recall['plain']:.3f} / {one.recall['graph']:.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return head + "\n".join(lines) + "\n"


def curves(rows: list[Told]) -> str:
    """Draw p95 over the number of chunks, both axes logarithmic, as SVG."""
    left, top, width, height = 60, 20, 520, 300
    xs = [one.chunks for one in rows]
    kinds = {"plain": "#b04a3a", "graph": "#2f6f4f", "upsert": "#a88b2d", "optimise": "#4a5f9e"}
    ys = [one.ms[kind][1] for one in rows for kind in kinds]
    low, high = 10 ** np.floor(np.log10(min(ys))), 10 ** np.ceil(np.log10(max(ys)))

    def at(chunks: float, ms: float) -> str:
        span = np.log10(xs[-1] / xs[0]) or 1.0
        x = left + width * np.log10(chunks / xs[0]) / span
        y = top + height * (1 - np.log10(ms / low) / np.log10(high / low))
        return f"{x:.1f},{y:.1f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 380" font-family="sans-serif" '
        'font-size="12">',
        "<title>p95 of a hybrid search with filter, ms, by chunks</title>",
        '<rect width="640" height="380" fill="#fff"/>',
    ]
    for decade in range(int(np.log10(low)), int(np.log10(high)) + 1):
        y = at(xs[0], 10.0**decade).split(",")[1]
        parts.append(
            f'<path d="M{left},{y}h{width}" stroke="#ddd"/><text x="8" y="{y}">{10.0**decade:g} ms</text>'
        )
    for chunks in xs:
        x = at(chunks, low).split(",")[0]
        parts.append(f'<text x="{x}" y="{top + height + 20}" text-anchor="middle">{chunks:,}</text>')
    for n, (kind, colour) in enumerate(kinds.items()):
        line = " ".join(at(one.chunks, one.ms[kind][1]) for one in rows)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + 10 + 130 * n}" y="{top + height + 45}" fill="{colour}">{kind}</text>')
    return "\n".join([*parts, "</svg>\n"])


async def measure(beir: Path, sizes: list[int], *, passages: int, write: Path | None) -> None:
    texts, vectors = await real(beir, passages=passages)
    rows = []
    for chunks in sizes:
        made = Made(texts=texts[100:], bases=vectors[100:])
        with tempfile.TemporaryDirectory() as folder:
            rows.append(await grown(Path(folder), made, texts[:100], vectors[:100], chunks=chunks))
        print(json.dumps(asdict(rows[-1])), flush=True)
    print(table(rows))
    if write is not None:
        (write / "index.svg").write_text(curves(rows), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--beir", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 300_000])
    parser.add_argument("--passages", type=int, default=2000)
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    if chosen.write is not None:
        chosen.write.mkdir(parents=True, exist_ok=True)
    asyncio.run(measure(chosen.beir, chosen.sizes, passages=chosen.passages, write=chosen.write))
