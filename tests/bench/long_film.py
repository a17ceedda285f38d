"""A long film made of known scenes, read in a process of its own: are the cuts found, what does it cost, and
what is lost by a kill half-way?

    python tests/bench/long_film.py --minutes 60

Scenes last 4 to 40 s by chance: slides with words of their own, blocks of colour that stand, and blocks that
move. Pictures are small (320 x 180) and 10 a second; OCR reads the slides. Nothing is spoken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
from numpy.typing import NDArray

from ingest.reading import Reader
from ingest.scenes import VERSION
from ingest.settings import IngestSettings
from ingest.sources import open_source
from tests.ingest.films import pattern, slide

RATE, SIZE = 10, (320, 180)
#: A cut is found where one is told within this many seconds of it.
NEAR_S = 0.5
_SCENE_S = 60.0
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was measured."""

    film_s: float
    scenes: int
    f1: float
    seconds: float
    peak_mb: float
    #: Files that were there when it was killed, and how many of these were made anew.
    kept: int
    remade: int

    @property
    def times_realtime(self) -> float:
        """Seconds of film read in a second."""
        return self.film_s / self.seconds


def make(path: Path, *, minutes: float, seed: int = 5) -> list[float]:
    """Write the film and return the seconds of its cuts."""
    rng, cuts, at = np.random.default_rng(seed), [], 0
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        no = 0
        while at < minutes * 60 * RATE:
            no += 1
            frames = int(min(rng.integers(4 * RATE, 40 * RATE), minutes * 60 * RATE - at + 2 * RATE))
            cuts.append(at / RATE)
            for picture in _scene(no, frames):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = at, Fraction(1, RATE)
                film.mux(stream.encode(frame))
                at += 1
        film.mux(stream.encode())
    return [*cuts[1:], at / RATE]


def _scene(no: int, frames: int) -> Iterator[NDArray[np.uint8]]:
    if no % 3 == 1:
        shown = slide(f"CHAPTER {no}\nPoint {no * 37}", ground=_GROUNDS[no // 3 % len(_GROUNDS)], size=SIZE)
    else:
        shown = pattern(no, size=SIZE)
    for step in range(frames):
        yield np.roll(shown, step * 2, axis=1) if no % 3 == 2 else shown


_GROUNDS = ("white", "lightblue", "khaki", "lightgreen", "pink", "silver", "orange")


def f1(found: Sequence[float], cuts: Sequence[float]) -> float:
    """Return how well cuts were found; each counts once."""
    left, right = list(cuts), 0
    for one in found:
        near = min(left, key=lambda cut: abs(cut - one), default=None)
        if near is not None and abs(near - one) <= NEAR_S:
            left.remove(near)
            right += 1
    return 2 * right / (len(found) + len(cuts)) if found or cuts else 1.0


def files(known: Path) -> dict[str, int]:
    """Return what is known so far and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in known.glob("*.json")}


def killed_half_way(film: Path, pages_dir: Path, *, scenes: int) -> dict[str, int]:
    """Read in a process, kill it and its children once half of the scenes are read; return what is left."""
    known = pages_dir / VERSION
    process = subprocess.Popen(
        _words(film, pages_dir), cwd=_ROOT, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        while process.poll() is None and len(list(known.glob("seen-*.json"))) < scenes / 2:
            time.sleep(0.05)
        if process.poll() is not None:
            raise RuntimeError("Reading was over before it could be killed.")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return files(known)


def read(film: Path, pages_dir: Path) -> tuple[list[tuple[float, float]], float, float]:
    """Read in a process of its own; return the scenes, how long it took, s, and the most a child took, MB."""
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as out:
        process = psutil.Popen(_words(film, pages_dir), cwd=_ROOT, stdout=out)
        while process.poll() is None:
            peak = max([peak, *_sizes(process)])
            time.sleep(0.1)
        if process.returncode:
            raise RuntimeError(f"Reading ended with {process.returncode}.")
        out.seek(0)
        spans = [tuple(span) for span in json.loads(out.read())]
    return spans, time.monotonic() - start, peak / 2**20


def _words(film: Path, pages_dir: Path) -> list[str]:
    return [sys.executable, "-m", "tests.bench.long_film", "--read", str(film), "--pages", str(pages_dir)]


def _sizes(process: psutil.Process) -> Iterator[int]:
    try:
        for one in process.children(recursive=True):
            yield one.memory_info().rss
    except psutil.NoSuchProcess:
        return


def measure(folder: Path, *, minutes: float) -> Told:
    """Make the film, read it whole, then once more with a kill half-way."""
    film = folder / "long.mp4"
    *cuts, film_s = make(film, minutes=minutes)
    spans, seconds, peak_mb = read(film, folder / "whole")
    left = killed_half_way(film, folder / "killed", scenes=_fresh(folder / "whole"))
    again, _, _ = read(film, folder / "killed")
    if again != spans:
        raise RuntimeError("What was read after a kill differs from what was read in one go.")
    now = files(folder / "killed" / VERSION)
    return Told(
        film_s=film_s,
        scenes=len(spans),
        f1=f1([start for start, _ in spans[1:]], cuts),
        seconds=seconds,
        peak_mb=peak_mb,
        kept=len(left),
        remade=sum(now[name] != written for name, written in left.items()),
    )


def _fresh(pages_dir: Path) -> int:
    return len(list((pages_dir / VERSION).glob("seen-*.json")))


async def _read(film: Path, pages_dir: Path) -> list[tuple[float | None, float | None]]:
    settings = IngestSettings(speech="off", scene_s=_SCENE_S)
    source = open_source(film, name=film.name, settings=settings)
    reading = await Reader(settings).read(source, pages_dir=pages_dir, on_page=lambda done, total: None)
    return [(page.start_s, page.end_s) for page in reading.pages]


def main() -> None:
    """Measure, or be the process that reads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--pages", type=Path)
    options = parser.parse_args()
    if options.read is not None:
        print(json.dumps(asyncio.run(_read(options.read, options.pages))))
        return
    with tempfile.TemporaryDirectory() as folder:
        told = measure(Path(folder), minutes=options.minutes)
    print(json.dumps(asdict(told) | {"times_realtime": round(told.times_realtime, 1)}, indent=1))


if __name__ == "__main__":
    main()
