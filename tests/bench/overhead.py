"""Our own milliseconds around the model calls of a question: models of fixed latency, all else real.

    python tests/bench/overhead.py [--questions 40] [--profile]

Graph, rails, index and registry are the real ones; embedder, reranker and writer sleep a fixed time and are
taken off the clock. Printed as a multiple of what the bare graph costs (eight empty nodes, run in turns with
them), for 100 and for 10,000 chunks: what grows between them grows with the corpus. Processor time is
the steadier of the two on a machine that others use.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from api.startup import prepare

prepare()

from langgraph.graph import END, START, StateGraph  # noqa: E402

from agent.entail import Verdicts  # noqa: E402
from agent.records import Answer, Question  # noqa: E402
from agent.run import GuardedAgent  # noqa: E402
from agent.settings import AgentSettings  # noqa: E402
from agent.state import State  # noqa: E402
from guardrails.nemo import Rails  # noqa: E402
from guardrails.policy import load  # noqa: E402
from guardrails.records import Hop, Verdict  # noqa: E402
from ingest.index import Point  # noqa: E402
from ingest.index_edge import EdgeIndex  # noqa: E402
from ingest.library import Shelves  # noqa: E402
from ingest.records import Chunk, Scope, Span  # noqa: E402
from ingest.registry import Registry  # noqa: E402
from ingest.settings import IngestSettings  # noqa: E402
from tests.fakes import a_chunk, a_document  # noqa: E402

EMBEDS_S, RERANKS_S, FIRST_TOKEN_S, SENTENCE_S = 0.005, 0.05, 0.1, 0.05
DIMENSIONS = 384
SCOPE = Scope(tenant="acme", collections=("default",))
PUMPS = tuple(f"{first}{second}" for first in "KLMNPRST" for second in ("abo", "eri", "ilu", "ona", "uke"))


@dataclass
class Clock:
    """What the stubs slept; nothing of it is ours."""

    slept_s: float = 0.0

    async def sleep(self, seconds: float) -> None:
        """Sleep, and note how long it really was."""
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        self.slept_s += time.perf_counter() - start


@dataclass
class SlowEmbedder:
    """Hashes words into directions after a fixed time."""

    clock: Clock
    name: str = "stub"
    dimensions: int = DIMENSIONS
    languages: tuple[str, ...] = ("en",)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count words."""
        return [len(text.split()) for text in texts]

    def batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Put all of them together."""
        return [list(range(len(texts)))] if texts else []

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed passages."""
        await self.clock.sleep(EMBEDS_S * len(texts))
        return np.stack([vector(text) for text in texts])

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a question."""
        await self.clock.sleep(EMBEDS_S)
        return vector(text)


@dataclass
class SlowReranker:
    """Scores by shared words after a fixed time."""

    clock: Clock
    name: str = "stub"

    async def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Score passages."""
        await self.clock.sleep(RERANKS_S)
        asked = set(query.lower().split())
        return np.array([float(len(asked & set(p.lower().split()))) for p in passages], dtype=np.float32)


@dataclass
class SlowModel:
    """Writes two sentences about the pump that it was asked about, at a fixed pace."""

    clock: Clock
    name: str = "stub"
    writes_as: Literal["served", "local"] = "served"
    context_tokens: int = 8192
    sees_images: bool = False
    said: str = ""
    asked: list[str] = field(default_factory=list)

    def will_reason(self, reasoning: Any = None) -> bool:
        """Think never."""
        return False

    async def stream(
        self, messages: Sequence[Any], *, max_tokens: int, **more: object
    ) -> AsyncGenerator[str]:
        """Stream what was scripted."""
        await self.clock.sleep(FIRST_TOKEN_S)
        for sentence in self.said.split("|"):
            for word in sentence.split(" "):
                yield f"{word} "
            await self.clock.sleep(SENTENCE_S)

    async def reply(self, messages: Sequence[Any], *, schema: Any, **more: object) -> Any:
        """Judge each sentence as carried, after a fixed time; the questions here need no plan."""
        assert schema is Verdicts, "a simple question is planned by rules"
        await self.clock.sleep(SENTENCE_S)
        return Verdicts.model_validate({"verdicts": [{"pair": 1, "verdict": "supported"}]})


class Nothing:
    """Eyes and reader that are never needed here."""

    name = "ocr-layout"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not needed here")


def vector(text: str) -> NDArray[np.float32]:
    """Hash words into a unit vector."""
    made = np.full(DIMENSIONS, 1e-3, dtype=np.float32)
    for word in text.lower().split():
        made[sum(word.encode()) * 31 % DIMENSIONS] += 1
    unit: NDArray[np.float32] = made / np.linalg.norm(made)
    return unit


async def shelve(index: EdgeIndex, registry: Registry, *, chunks: int) -> None:
    """Shelve `chunks` passages, fifty a document, among them one about each pump."""
    chance = random.Random(7)
    words = [f"{chance.choice('bcdfglmnprst')}{chance.choice('aeiou')}{n}x" for n in range(3000)]
    for start in range(0, chunks, 50):
        document = replace(a_document(f"report-{start // 50:04}.pdf"), pages=10, chunks=50)
        points = []
        for place in range(min(50, chunks - start)):
            text = " ".join(chance.choices(words, k=60)) + "."
            if start == 0 and place < len(PUMPS):
                pump = PUMPS[place]
                text = f"The pump {pump} weighs {place + 15} kilograms. It moves {place + 300} litres. {text}"
            points.append(point(a_chunk(text, document=document, page_no=place // 5 + 1, place=place), place))
        await registry.commit(document, [], recipe="stub")
        await index.upsert(points)
    await index.flush()


def point(chunk: Chunk, place: int) -> Point:
    """Make the point of a chunk."""
    spans = tuple(Span(start=s.start, end=s.end, box=s.box) for s in chunk.spans)
    return Point(
        chunk=replace(chunk, spans=spans),
        vector=vector(chunk.text),
        words=chunk.text,
        place=place,
        tenant=SCOPE.tenant,
        collection="default",
        groups=(),
    )


async def nothing(state: State) -> State:
    """Do nothing, as a node."""
    return {"dropped": state.get("dropped", 0)}


def bare() -> Any:
    """Compile a graph of eight empty nodes over the same state."""
    graph = StateGraph(State)
    names = [f"node{n}" for n in range(8)]
    for name in names:
        graph.add_node(name, nothing)
    for one, other in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(one, other)
    return graph.compile()


async def run_bare(graph: Any) -> None:
    """Run the empty graph as the agent runs its own."""
    async for _ in graph.astream({"question": "q", "dropped": 0}, stream_mode=["custom", "values"]):
        pass


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of one run, by the wall clock and of this process."""

    wall: float
    processor: float


async def cost(work: Callable[[], Awaitable[None]], clock: Clock) -> Cost:
    """Return what one run of `work` costs without what the stubs slept."""
    clock.slept_s = 0.0
    start, spent = time.perf_counter(), time.process_time()
    await work()
    wall = time.perf_counter() - start - clock.slept_s
    return Cost(wall * 1000, (time.process_time() - spent) * 1000)


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the median of several runs."""
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.processor for c in costs))


@dataclass
class MeteredRails:
    """The real rails, with what they cost."""

    rails: Rails
    spent_s: float = 0.0

    async def screen(self, hop: Hop, texts: list[str], *, released: str = "") -> tuple[Verdict, ...]:
        """Judge, and add the processor time of it."""
        start = time.process_time()
        verdicts = await self.rails.screen(hop, texts, released=released)
        self.spent_s += time.process_time() - start
        return verdicts


async def question_cost(folder: Path, *, chunks: int, times: int, profile: bool) -> float:
    """Ask `times` questions over `chunks` passages; return their cost as a multiple of the empty graph's."""
    clock = Clock()
    index = EdgeIndex.open(folder / "index", vector_name="stub", dimensions=DIMENSIONS)
    registry = Registry.open(folder / "registry.sqlite")
    await shelve(index, registry, chunks=chunks)
    model = SlowModel(clock)
    library = Shelves(
        index=index,
        embedder=SlowEmbedder(clock),
        reranker=SlowReranker(clock),
        vision=Nothing(),  # type: ignore[arg-type]
        registry=registry,
        reader=Nothing(),  # type: ignore[arg-type]
        files=folder,
        settings=IngestSettings(),
    )
    rails = MeteredRails(Rails(load("default"), audit=None, rail_timeout_s=30.0))
    settings = AgentSettings(min_confidence=0.0)
    agent = GuardedAgent(library=library, rails=rails, model=model, settings=settings)
    pumps = iter(PUMPS * 100)

    async def ask() -> None:
        pump = next(pumps)
        place = PUMPS.index(pump)
        model.said = f"The pump {pump} weighs {place + 15} kilograms [1].|It moves {place + 300} litres [1]."
        asked = Question(text=f"How many kilograms does the pump {pump} weigh?", scope=SCOPE)
        answer = await agent.answer(asked)
        assert isinstance(answer, Answer)
        assert answer.kind == "answer", answer

    empty = bare()
    await ask()  # what is loaded once is not of a question
    await run_bare(empty)
    rails.spent_s = 0.0
    profiler = cProfile.Profile()
    own, nodes = [], []
    for _ in range(times):
        nodes.append(await cost(lambda: run_bare(empty), clock))
        if profile:
            profiler.enable()
        own.append(await cost(ask, clock))
        profiler.disable()
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(60)
    await registry.close()
    await index.close()
    mine, least = middle(own), middle(nodes)
    print(
        f"{chunks:6,} chunks: a question {mine.wall:.1f} ms wall, {mine.processor:.1f} ms processor (rails "
        f"{rails.spent_s / times * 1000:.1f}); 8 empty nodes {least.wall:.1f} and {least.processor:.1f}; "
        f"{mine.wall / least.wall:.1f} x and {mine.processor / least.processor:.1f} x"
    )
    return mine.processor / least.processor


async def measure(*, times: int, profile: bool) -> bool:
    """Print the figures; False where a question costs more than thirty times the empty graph."""
    ratios = []
    for chunks in (100, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            ratios.append(await question_cost(Path(folder), chunks=chunks, times=times, profile=profile))
    return max(ratios) <= 30


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    raise SystemExit(0 if asyncio.run(measure(times=chosen.questions, profile=chosen.profile)) else 1)
