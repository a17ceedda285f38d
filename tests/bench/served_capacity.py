"""How much of a model server's capacity reading uses: `python -m tests.bench.served_capacity [--scale 1.0]`.

A stub of known capacity: 16 slots, 4 s ± 25 % log-normal a page times `--scale`, no gain from batching,
first come first served, in a process of its own. A PDF of 160 text pages is read with every page shown to it;
beside it the naive way: sixteen pages drawn, sixteen asked, and the next sixteen when the last has answered.

Possible is what a client makes that always has a page ready: the very durations, dealt to 16 slots in order.
The readers are warm (a page was read before), as in a worker that runs.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from ingest.child import Draft
from ingest.eyes import Eyes
from ingest.reading import Reader
from ingest.served import ServedModel
from ingest.settings import IngestSettings
from ingest.sources import open_source
from ingest.views import show_page
from ingest.vision import ServedVision
from tests.ingest.model_server import Asked, ModelServer, Say, numbered, transcript
from tests.ingest.tiny_pdf import tiny_pdf

SLOTS, PAGES, MEAN_S, SPREAD = 16, 160, 4.0, 0.25
NAMES = ["anchor", "barge", "canal", "depot", "engine", "ferry", "gale", "hull", "inlet", "jetty", "keel"]


def lines(no: int) -> list[str]:
    """Write a page of forty lines, the same whenever asked."""
    chance = random.Random(no)
    body = [" ".join(chance.choice(NAMES) for _ in range(9)) + f" {no}{row:02}" for row in range(40)]
    return [f"Log of day {no}", *body]


def durations(scale: float, count: int = 2 * PAGES + 8) -> list[float]:
    """Draw how long each request takes, in the order of arrival; mean and spread as said."""
    chance = random.Random(7)
    sigma = math.sqrt(math.log(1 + SPREAD**2))
    mu = math.log(MEAN_S * scale) - sigma**2 / 2
    return [chance.lognormvariate(mu, sigma) for _ in range(count)]


def ideal_s(work: Sequence[float]) -> float:
    """Deal the work to the slots in order, each to the first that is free; return when the last is done."""
    free = [0.0] * SLOTS
    for seconds in work:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free)


def stub(scale: float, line: Connection) -> None:
    """Serve until told to end; for each word on the line tell how many pages were answered since."""
    asyncio.run(_stub(scale, line))


async def _stub(scale: float, line: Connection) -> None:
    work: list[float] = []

    def script(asked: Asked) -> Say:
        if asked.png is None:
            return Say(text='{"up": true}')
        head, *body = lines(asked.page)
        return Say(
            text=transcript(("title", head), ("paragraph", " ".join(body))),
            after_s=work.pop(0) if work else MEAN_S * scale,
        )

    async with ModelServer(script, slots=SLOTS) as server:
        line.send(server.port)
        while (word := await asyncio.to_thread(line.recv)) != "end":
            if word == "begin":
                server.asked.clear()
                server.answered.clear()
                work[:] = durations(scale)
            line.send((sum(server.answered.values()), server.most_at_once))


def client(port: int) -> ServedModel:
    url = f"http://127.0.0.1:{port}/v1"
    return ServedModel(base_url=url, model="stub", context_tokens=16_000, sees_images=True, timeout_s=600)


def write(path: Path, pages: int) -> Path:
    path.write_bytes(tiny_pdf([numbered(no, lines(no)) for no in range(1, pages + 1)]))
    return path


async def ours(path: Path, reader: Reader, settings: IngestSettings, folder: Path) -> float:
    source = open_source(path, name=path.name, settings=settings)
    begun = time.monotonic()
    reading = await reader.read(source, pages_dir=folder, on_page=lambda done, total: None)
    seconds = time.monotonic() - begun
    assert {page.read_by for page in reading.pages} == {"vision-model"}, reading.pages[0].reason
    return seconds


async def naive(path: Path, model: ServedVision, settings: IngestSettings, pages: int) -> float:
    begun = time.monotonic()
    for first in range(1, pages + 1, SLOTS):
        images = []
        for no in range(first, min(pages, first + SLOTS - 1) + 1):
            raw = Draft(no=no, width_pt=595, height_pt=842, read_by="text-layer", reason="")
            images.append((await asyncio.to_thread(show_page, path, raw, settings, False)).png)
        await asyncio.gather(*(model.transcribe(png) for png in images))
    return time.monotonic() - begun


async def measure(port: int, line: Connection, scale: float, pages: int, readers: int) -> dict[str, object]:
    settings = IngestSettings(eyes="all", eyes_slots=SLOTS, readers=readers)
    model = client(port)
    vision = ServedVision(model)
    reader = Reader(settings, eyes=Eyes(vision, settings))
    with tempfile.TemporaryDirectory() as folder:
        book, warm = write(Path(folder, "book.pdf"), pages), write(Path(folder, "warm.pdf"), 2)
        await ours(warm, reader, settings, Path(folder))
        line.send("begin")
        line.recv()
        cpu = _cpu_s()
        ours_s = await ours(book, reader, settings, Path(folder))
        cpu = _cpu_s() - cpu
        line.send("count")
        answered, most = line.recv()
        line.send("begin")
        line.recv()
        naive_s = await naive(book, vision, settings, pages)
    await model.close()
    work = durations(scale)[:pages]
    ideal, fluid = ideal_s(work), sum(work) / SLOTS
    return {
        "pages": pages,
        "scale": scale,
        "readers": readers,
        "possible_pages_per_s": pages / ideal,
        "ours_pages_per_s": pages / ours_s,
        "naive_pages_per_s": pages / naive_s,
        "ours_of_possible": ideal / ours_s,
        "naive_of_possible": ideal / naive_s,
        "ours_of_endless_flow": fluid / ours_s,
        "requests": answered,
        "most_at_once": most,
        "own_cpu_s_per_page": cpu / pages,
    }


def _cpu_s() -> float:
    """Return what this process has used; its readers are still running and not counted."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure and print; fail below 0.95."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scale", type=float, default=1.0, help="time of the stub; 1.0 is 4 s a page")
    options.add_argument("--pages", type=int, default=PAGES)
    options.add_argument("--readers", type=int, default=2, help="reading children")
    given = options.parse_args()
    line, far = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=stub, args=(given.scale, far), daemon=True)
    process.start()
    found = asyncio.run(measure(line.recv(), line, given.scale, given.pages, given.readers))
    line.send("end")
    process.join(10)
    print(json.dumps(found, indent=1))
    return 0 if float(str(found["ours_of_possible"])) >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
