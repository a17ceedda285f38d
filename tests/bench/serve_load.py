"""People who stream answers at once, over real HTTP: how much of the models' own throughput is left to them.

    python tests/bench/serve_load.py [--people 64] [--rounds 3]

Graph, rails, index, registry and server are the real ones, in one process with the people. Embedder (5 ms),
reranker (50 ms) and writer (first token 1 s, 8 sentences in 20 s) only sleep; the same stubs asked by as many
people without a house between are what the throughput is measured against, in the same run. Then people who
hang up in the middle, and people who stop reading: what they held is counted until it is free again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import socket
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.startup import prepare

prepare()

import httpx2  # noqa: E402
import uvicorn  # noqa: E402

from agent.run import GuardedAgent  # noqa: E402
from agent.settings import AgentSettings  # noqa: E402
from api.app import create_app  # noqa: E402
from api.settings import ApiSettings  # noqa: E402
from guardrails.nemo import Rails  # noqa: E402
from guardrails.policy import load  # noqa: E402
from ingest.index_edge import EdgeIndex  # noqa: E402
from ingest.library import Shelves  # noqa: E402
from ingest.registry import Registry  # noqa: E402
from ingest.settings import IngestSettings  # noqa: E402
from tests.bench.overhead import (  # noqa: E402
    DIMENSIONS,
    EMBEDS_S,
    PUMPS,
    RERANKS_S,
    Clock,
    Nothing,
    SlowEmbedder,
    SlowModel,
    SlowReranker,
    point,
)
from tests.fakes import a_chunk, a_document, a_house  # noqa: E402

FIRST_S, ANSWER_S, SENTENCES = 1.0, 20.0, 8
#: What the shelf says of each pump, and the answer after it.
FACTS = (
    "weighs {} kilograms",
    "moves {} litres",
    "draws {} watts",
    "costs {} euros",
    "lasts {} months",
    "needs {} screws",
    "makes {} turns",
    "holds {} seals",
)
KEY = "a-key-for-the-load-run"


@dataclass
class Writer(SlowModel):
    """Writes eight sentences about the pump that it is asked about, and knows how many answers are open."""

    open: int = 0

    async def stream(
        self, messages: Sequence[Any], *, max_tokens: int, **more: object
    ) -> AsyncGenerator[str]:
        """Stream for twenty seconds after the first."""
        self.open += 1
        try:
            await asyncio.sleep(FIRST_S)
            asked = re.findall(r"pump (\w+) weigh\?", messages[-1].text)
            pump = asked[-1] if asked else PUMPS[0]
            for sentence in said_of(pump):
                yield f"{sentence} [1]. "
                await asyncio.sleep(ANSWER_S / SENTENCES)
        finally:
            self.open -= 1


def said_of(pump: str) -> list[str]:
    """Return the eight sentences about a pump, without their stops."""
    place = PUMPS.index(pump)
    return [f"The pump {pump} {fact.format(place + 15 + 100 * n)}" for n, fact in enumerate(FACTS)]


async def shelve_pumps(index: EdgeIndex, registry: Registry) -> None:
    """Shelve a passage about each pump."""
    document = replace(a_document("pumps.pdf"), pages=len(PUMPS), chunks=len(PUMPS))
    points = []
    for place, pump in enumerate(PUMPS):
        text = " ".join(f"{sentence}." for sentence in said_of(pump))
        points.append(point(a_chunk(text, document=document, page_no=place + 1, place=place), place))
    await registry.commit(document, [], recipe="stub")
    await index.upsert(points)
    await index.flush()


@dataclass(frozen=True)
class Town:
    """A house that listens."""

    url: str
    app: Any
    writer: Writer


@asynccontextmanager
async def town(folder: Path, *, people: int) -> AsyncIterator[Town]:
    """Open a house over stubs, and listen."""
    clock = Clock()
    index = EdgeIndex.open(folder / "index", vector_name="stub", dimensions=DIMENSIONS)
    registry = Registry.open(folder / "registry.sqlite")
    await shelve_pumps(index, registry)
    writer = Writer(clock)
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
    agent = GuardedAgent(
        library=library,
        rails=Rails(load("default"), audit=None, rail_timeout_s=30.0),
        model=writer,
        settings=AgentSettings(min_confidence=0.0, budget_s=120.0),
    )
    settings = ApiSettings(home=folder, api_key=KEY, tenant="acme", max_streams=people * 2)
    house = replace(a_house(), agent=agent)
    app = create_app(house, settings=settings)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield Town(url=f"http://127.0.0.1:{listener.getsockname()[1]}", app=app, writer=writer)
        finally:
            server.should_exit = True
            await serving
            await registry.close()
            await index.close()


async def alone(*, people: int, rounds: int) -> float:
    """Ask the stubs themselves; return answers a second."""
    writer = Writer(Clock())

    class Asked:
        text = f"How many kilograms does the pump {PUMPS[0]} weigh?"

    async def person() -> None:
        for _ in range(rounds):
            await asyncio.sleep(EMBEDS_S)
            await asyncio.sleep(RERANKS_S)
            async for _ in writer.stream([Asked()], max_tokens=1000):
                pass

    start = time.perf_counter()
    await asyncio.gather(*(person() for _ in range(people)))
    return people * rounds / (time.perf_counter() - start)


async def listen(
    http: httpx2.AsyncClient, n: int, *, leave_after_s: float | None = None
) -> tuple[str, float]:
    """Stream one answer; return how it ended and when its first sentence came."""
    pump = PUMPS[n % len(PUMPS)]
    question = f"How many kilograms does the pump {pump} weigh?"
    body = {"model": "pagewarden", "stream": True, "messages": [{"role": "user", "content": question}]}
    start, first, sentences = time.perf_counter(), 0.0, 0
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            return f"status {response.status_code}", 0.0
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                return ("whole" if sentences == SENTENCES else f"{sentences} sentences"), first
            if line.startswith("data: ") and "released" in (chunk := json.loads(line[6:])):
                sentences += bool(chunk["released"])
                first = first or time.perf_counter() - start
            if leave_after_s is not None and time.perf_counter() - start > leave_after_s:
                return "left", first
    return "broken off", first


async def through(town: Town, *, people: int, rounds: int) -> tuple[float, dict[str, int], float]:
    """Ask through the house; return answers a second, how they ended, and the slowest first sentence."""
    ends: dict[str, int] = {}
    slowest = 0.0
    limits = httpx2.Limits(max_connections=people * 2)
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx2.AsyncClient(
        base_url=town.url, headers=headers, timeout=180, limits=limits, trust_env=False
    ) as http:

        async def person(n: int) -> None:
            nonlocal slowest
            for turn in range(rounds):
                end, first = await listen(http, n + turn)
                ends[end] = ends.get(end, 0) + 1
                slowest = max(slowest, first)

        await listen(http, 0)  # what is loaded once is not of a question
        start = time.perf_counter()
        await asyncio.gather(*(person(n) for n in range(people)))
        return people * rounds / (time.perf_counter() - start), ends, slowest


async def leavers(town: Town, *, people: int) -> tuple[int, int, float]:
    """Hang up, half of them without ever reading; return places and model streams held, before and after."""
    port = int(town.url.rpartition(":")[2])
    headers = {"authorization": f"Bearer {KEY}"}
    question = f"How many kilograms does the pump {PUMPS[0]} weigh?"
    body = {"model": "pagewarden", "stream": True, "messages": [{"role": "user", "content": question}]}
    raw = json.dumps(body).encode()
    deaf = []
    for _ in range(people // 2):
        _, writing = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        writing.write(head.encode() + raw)
        deaf.append(writing)
    async with httpx2.AsyncClient(base_url=town.url, headers=headers, timeout=60, trust_env=False) as http:
        talking = [asyncio.create_task(listen(http, n, leave_after_s=3.0)) for n in range(people // 2)]
        await asyncio.sleep(2.5)
        held = town.app.state.limits.open
        await asyncio.gather(*talking)
    for writing in deaf:
        writing.close()
    start = time.perf_counter()
    while (  # noqa: ASYNC110
        town.app.state.limits.open or town.writer.open
    ) and time.perf_counter() - start < 30:
        await asyncio.sleep(0.05)
    return held, town.app.state.limits.open + town.writer.open, time.perf_counter() - start


async def measure(*, people: int, rounds: int) -> bool:
    """Print the figures; False where less than nine tenths of the models' throughput is left."""
    with tempfile.TemporaryDirectory() as folder:
        async with town(Path(folder), people=people) as house:
            least = await alone(people=people, rounds=rounds)
            mine, ends, slowest = await through(house, people=people, rounds=rounds)
            held, left, freed_s = await leavers(house, people=people)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{people} people, {rounds} questions each: {mine:.2f} answers/s of {least:.2f} that the stubs give: "
        f"ratio {mine / least:.3f}; {ends}; slowest first sentence {slowest:.1f} s; peak {peak:.0f} MiB\n"
        f"{people} hang up, half of them without reading: {held} places held; {left} places and model "
        f"streams left after {freed_s:.1f} s"
    )
    return mine / least >= 0.9 and set(ends) == {"whole"} and left == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    raise SystemExit(0 if asyncio.run(measure(people=chosen.people, rounds=chosen.rounds)) else 1)
