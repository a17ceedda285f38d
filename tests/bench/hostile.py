"""Read hostile files and thousands of mutated ones: outcomes, seconds, memory, and whether the reader stands.

    python tests/bench/hostile.py [--mutations 2000] [--seed 1]

Every file must end in a reading or a typed error within its time, and the process that reads must not grow.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import anyio

from ingest.errors import InputError
from ingest.reading import Reader
from ingest.settings import IngestSettings
from ingest.sources import open_source
from tests.bench.robustness import tree_rss
from tests.ingest.hostile_files import hostile
from tests.ingest.odd_files import honest, picture

SETTINGS = IngestSettings(readers=1, threads=1, page_timeout_s=20, office="off")
WITHIN_S = 40.0


async def answer(reader: Reader, path: Path) -> str:
    """Read a file and return its outcome, or the code of its error."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            source = await anyio.to_thread.run_sync(
                lambda: open_source(path, name=path.name, settings=SETTINGS)
            )
            reading = await reader.read(
                source, pages_dir=Path(folder), on_page=lambda *at: None, within_s=WITHIN_S
            )
        except InputError as error:
            return error.code
    return reading.outcome


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return a file with some of its bytes changed, lost, doubled or cut off."""
    raw = bytearray(content)
    for _ in range(chance.choice((1, 2, 4, 16, 64))):
        at = chance.randrange(len(raw)) if raw else 0
        size = chance.choice((1, 1, 4, 32, 512))
        match chance.randrange(5):
            case 0:
                raw[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                raw[at : at + size] = b""
            case 2:
                raw[at:at] = raw[at : at + size]
            case 3:
                raw[at : at + size] = chance.choice((b"\xff", b"\x00", b"\x7f")) * size
            case _:
                raw = raw[: max(1, at)] if chance.random() < 0.1 else raw
    return bytes(raw)


class Peak:
    """Watches what this process and its children hold."""

    def __init__(self) -> None:
        self.bytes = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self) -> None:
        while not self.done.wait(0.2):
            self.bytes = max(self.bytes, tree_rss(_pid()))


def _pid() -> int:
    return int(Path("/proc/self").resolve().name)


def own_rss() -> int:
    """Return what this process alone holds, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def hostile_files(folder: Path) -> int:
    """Read the hostile files; return how many were answered in a way that they may not be."""
    reader, bad, slowest = Reader(SETTINGS), 0, 0.0
    for name, makes, allowed in hostile():
        path = folder / name
        path.write_bytes(makes())
        peak = Peak()
        peak.thread.start()
        began = time.monotonic()
        code = await answer(reader, path)
        seconds = time.monotonic() - began
        peak.done.set()
        peak.thread.join()
        path.unlink()
        slowest = max(slowest, seconds)
        bad += code not in allowed
        verdict = "met" if code in allowed else f"NOT in {sorted(allowed)}"
        print(f"{name:32.32} {code:15} {seconds:6.1f} s {peak.bytes >> 20:6} MB  {verdict}", flush=True)
    print(f"hostile files: {bad} not met, slowest {slowest:.0f} s")
    return bad


async def mutations(folder: Path, count: int, seed: int) -> int:
    """Read mutated files of every format; return how many broke the reader."""
    chance, reader, codes, broken = random.Random(seed), Reader(SETTINGS), Counter[str](), 0
    files = honest()
    # Pictures cost a second each (OCR): small ones, and few; the parsers are the point.
    files |= {
        f"a.{suffix}": picture(kind, size=(24, 24))
        for suffix, kind in (
            ("png", "PNG"),
            ("jpg", "JPEG"),
            ("tiff", "TIFF"),
            ("webp", "WEBP"),
            ("gif", "GIF"),
        )
    }
    weights = [
        0.1 if name.rpartition(".")[2] in {"png", "jpg", "tiff", "webp", "gif"} else 1 for name in files
    ]
    memory: list[int] = []
    slowest = (0.0, "")
    for no in range(count):
        name = chance.choices(list(files), weights)[0]
        path = folder / f"{no}{Path(name).suffix}"
        path.write_bytes(mutated(files[name], chance))
        began = time.monotonic()
        try:
            codes[await answer(reader, path)] += 1
        except Exception as error:  # what this run is here to find
            broken += 1
            print(f"{path.name} (seed {seed}): {type(error).__name__}: {error}", flush=True)
            path.rename(folder.parent / f"broken-{path.name}")
            continue
        slowest = max(slowest, (time.monotonic() - began, path.name))
        path.unlink()
        if no % 100 == 99:
            memory.append(own_rss())
            print(f"{no + 1}: {dict(codes)}, {memory[-1] >> 20} MB", flush=True)
    print(f"{count} mutated files (seed {seed}): {dict(codes)}, {broken} untyped; slowest {slowest[0]:.1f} s")
    if memory:
        print(f"memory of the reading process: {memory[0] >> 20} MB at 100, {memory[-1] >> 20} MB at the end")
    return broken


async def main() -> int:
    """Run both and return how many were not met."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mutations", type=int, default=2000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--no-hostile", action="store_true")
    wants = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bad = 0 if wants.no_hostile else await hostile_files(Path(folder))
        return bad + await mutations(Path(folder), wants.mutations, wants.seed)


if __name__ == "__main__":
    sys.exit(anyio.run(main))
