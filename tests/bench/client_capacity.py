"""How full the client keeps a server of known width, and what people notice of a batch.

The server is a stub in a process of its own: 16 slots, log-normal times of 25 %, no gain from batching, first
come first served. Its 4 s are scaled to 0.4 s here (`--mean`), so that a run takes a minute. Beside our
client, with and without `/metrics`, stands what is usually written: the same vendor library under a semaphore
of `--naive` requests, people and pages alike.

Usage: flock a-lock python tests/bench/client_capacity.py [--pages 1000] [--mean 0.4]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import openai
from pydantic import BaseModel

from ingest.served import Call, Message, ServedModel, Traits
from tests.model_server import Exchange, completion, model_server, refusal, said, sized

SLOTS, SPREAD, PEOPLE = 16, 0.25, 8
ASK = [Message(role="user", text="Transcribe this page.")]


class Page(BaseModel):
    """A reply of the stub."""

    text: str


def serve(pipe: Connection, mean_s: float, tells: bool, seed: int) -> None:
    """Run the stub: tell its address, then, when asked, what it has worked since."""

    async def run() -> None:
        slots, chance = asyncio.Semaphore(SLOTS), random.Random(seed)
        worked = running = inside = 0.0

        async def answer(exchange: Exchange) -> None:
            nonlocal worked, running, inside
            inside += 1
            async with slots:
                running += 1
                spent = mean_s * math.exp(chance.gauss(-(SPREAD**2) / 2, SPREAD))
                await asyncio.sleep(spent)
                worked += spent
                running -= 1
            inside -= 1
            await (said("A page.") if exchange.streams else sized(completion('{"text": "A page."}')))(
                exchange
            )

        async def metrics(exchange: Exchange) -> None:
            text = f"vllm:num_requests_running {running}\nvllm:num_requests_waiting {inside - running}\n"
            await (sized(text.encode(), kind="text/plain") if tells else refusal(404))(exchange)

        async with model_server(answer, metrics=metrics) as server:
            pipe.send(server.url)
            while await asyncio.to_thread(pipe.recv):
                pipe.send(worked)
                worked = 0.0

    asyncio.run(run())


class Naive:
    """What is usually written: one semaphore for everything."""

    def __init__(self, url: str, at_once: int) -> None:
        self._client = openai.AsyncOpenAI(base_url=url, api_key="none")
        self._turn = asyncio.Semaphore(at_once)

    async def page(self) -> None:
        async with self._turn:
            await self._client.chat.completions.create(
                model="nano", messages=[{"role": "user", "content": ASK[0].text}], max_tokens=64
            )

    async def question(self) -> None:
        async with self._turn:
            stream = await self._client.chat.completions.create(
                model="nano", messages=[{"role": "user", "content": "?"}], max_tokens=64, stream=True
            )
            async for _ in stream:
                pass

    async def close(self) -> None:
        await self._client.close()


class Ours:
    """The client under test."""

    def __init__(self, url: str) -> None:
        self._model = ServedModel(base_url=url, model="nano", context_tokens=4096, traits=Traits())

    async def page(self) -> None:
        await self._model.reply(ASK, schema=Page, max_tokens=64, call=Call(purpose="read", urgency="batch"))

    async def question(self) -> None:
        async for _ in self._model.stream([Message(role="user", text="?")], max_tokens=64):
            pass

    async def close(self) -> None:
        await self._model.close()


Client = Ours | Naive


async def run(client: Client, *, pages: int, people: int, mean_s: float) -> tuple[float, list[float]]:
    """Return the seconds that the pages took and those that each question took."""
    waited: list[float] = []

    async def talk(n: int) -> None:
        chance = random.Random(n)
        await asyncio.sleep(chance.random() * mean_s)
        while True:
            start = time.perf_counter()
            await client.question()
            waited.append(time.perf_counter() - start)
            await asyncio.sleep(chance.expovariate(1 / mean_s))

    talking = [asyncio.create_task(talk(n)) for n in range(people)]
    start = time.perf_counter()
    if pages:
        await asyncio.gather(*(client.page() for _ in range(pages)))
    else:
        await asyncio.sleep(60 * mean_s)
    took = time.perf_counter() - start
    for task in talking:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return took, waited


async def measured(
    make: Callable[[str], Client], *, tells: bool, pages: int, people: int, mean_s: float, seed: int
) -> tuple[float, list[float]]:
    """Return which share of the stub's slots was at work, and the questions' seconds."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    stub = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, mean_s, tells, seed))
    stub.start()
    try:
        client = make(await asyncio.to_thread(ours.recv))
        took, waited = await run(client, pages=pages, people=people, mean_s=mean_s)
        ours.send(True)
        worked = await asyncio.to_thread(ours.recv)
        await client.close()
        return worked / (SLOTS * took), waited
    finally:
        stub.terminate()
        stub.join()


def p95(seconds: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(seconds)[int(0.95 * len(seconds))]


async def main() -> int:
    """Print one line a run; 1 where our client misses a goal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--mean", type=float, default=0.4)
    parser.add_argument("--naive", type=int, nargs="*", default=[4, 16, 64])
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    clients: list[tuple[str, Callable[[str], Client], bool]] = [
        ("ours", Ours, False),
        ("ours, reading /metrics", Ours, True),
        *((f"naive, {n} at once", lambda url, n=n: Naive(url, n), False) for n in asked.naive),
    ]
    missed = 0
    print(f"{SLOTS} slots, {asked.mean} s +- {SPREAD:.0%} log-normal, {asked.pages} pages, {PEOPLE} people")
    print(f"{'client':26}{'seed':>5}{'batch alone':>13}{'with people':>13}{'p95 / alone':>13}")
    for seed in range(1, asked.seeds + 1):
        how = {"mean_s": asked.mean, "seed": seed}
        _, lonely = await measured(Ours, tells=False, pages=0, people=PEOPLE, **how)
        for name, make, tells in clients:
            alone, _ = await measured(make, tells=tells, pages=asked.pages, people=0, **how)
            mixed, waited = await measured(make, tells=tells, pages=asked.pages, people=PEOPLE, **how)
            slower = p95(waited) / p95(lonely)
            print(f"{name:26}{seed:5}{alone:13.3f}{mixed:13.3f}{slower:13.2f}", flush=True)
            missed += name.startswith("ours") and (alone < 0.95 or mixed < 0.9 or slower > 1.25)
    print("goals: batch alone >= 0.95, with people >= 0.90, p95 <= 1.25 x alone:", json.dumps(not missed))
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
