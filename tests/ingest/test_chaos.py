"""Kill -9 at moments drawn uniformly over an undisturbed run: nothing lost, doubled or half visible."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ingest.chaos_library import documents, enqueue

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """What a run left behind."""

    seconds: float
    found: str
    pages: int
    half: bool


def start(home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.ingest.chaos_library", str(home)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def ready(home: Path) -> None:
    while not (home / "ready.log").exists():
        time.sleep(0.002)
    (home / "ready.log").unlink()


def run(home: Path, *, texts: dict[str, str], kill_after_s: float | None = None) -> Run:
    home.mkdir()
    asyncio.run(enqueue(home, texts))
    process = start(home)
    ready(home)
    began = time.monotonic()
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        process.kill()
        process.wait()
        process = start(home)
    assert process.wait(120) == 0
    return Run(
        seconds=time.monotonic() - began,
        found=(home / "end.log").read_text(),
        pages=len((home / "read.log").read_text().splitlines()),
        half=(home / "half.log").exists(),
    )


def chaos(folder: Path, *, batch: int, kills: int, seed: int) -> str:
    texts = documents(batch)
    calm = run(folder / "calm", texts=texts)
    total = sum(text.count("\f") + 1 for text in texts.values())
    assert (calm.pages, calm.half) == (total, False)
    assert f"points {total}\njobs {{'shelved': {batch}}}" in calm.found
    moments = random.Random(seed)
    again = 0
    for n in range(kills):
        killed = run(folder / str(n), texts=texts, kill_after_s=moments.uniform(0, calm.seconds))
        assert not killed.half
        assert killed.found == calm.found
        again += killed.pages - total
    # A kill costs the pages at hand, at most one a job that is read; the batch is what it is a share of.
    assert again <= 3 * kills
    share = again / (kills * total)
    told = f"{kills} kills over {calm.seconds:.1f} s of {total} pages: {again} pages again ({share:.2%})"
    print(told)
    assert share <= 0.05
    return told


def test_a_few_kills_lose_double_and_half_show_nothing(tmp_path: Path) -> None:
    assert chaos(tmp_path, batch=15, kills=5, seed=1)


@pytest.mark.soak
def test_a_hundred_kills_lose_double_and_half_show_nothing(tmp_path: Path) -> None:
    assert chaos(tmp_path, batch=60, kills=100, seed=2)


def test_a_file_that_kills_its_worker_ends_by_name_and_disturbs_nobody(tmp_path: Path) -> None:
    texts = documents(8) | {"poison.txt": "Fine.\fThis is poison."}
    home = tmp_path / "home"
    home.mkdir()
    asyncio.run(enqueue(home, texts))
    deaths = 0
    while (process := start(home)).wait(120) != 0:
        assert process.returncode == -9
        deaths += 1
        assert deaths <= 4
    assert deaths in (3, 4)  # a page of headway may forgive the first
    told = (home / "end.log").read_text()
    assert "jobs {'shelved': 8, 'failed': 1}" in told
