"""How fast text PDFs are read: ratios to bare pypdfium2 and unstructured `fast`, and the growth with pages.

`make bench` or `python tests/bench/read_speed.py [--quick] [--peer PYTHON] [--write FOLDER]`. Every run is a
process of its own, warmed up apart; contenders take turns, so that a slow minute of the machine falls on all
of them. Only ratios of one run mean anything; pages a second are printed for orientation.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.made_pages import a_document

HERE = Path(__file__).parent
OURS = ("pagewarden", "pagewarden, 2 readers")
BARE = ("pypdfium2 text", "pypdfium2 text + render")
PEER = "unstructured fast"
SIZES = (10, 30, 100, 300, 1000)
#: How many of the development PDFs are measured besides.
_FOREIGN = 4


@dataclass(frozen=True, kw_only=True)
class Took:
    """One run of one contender on one file."""

    contender: str
    document: str
    pages: int
    seconds: float
    cpu_s: float
    own_mb: float
    children_mb: float
    version: str
    #: Pages of which OCR read a picture or all: only ours does, and it costs far more than text.
    by_eye: int


def main() -> None:
    """Measure, print, and write where asked for."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--quick", action="store_true", help="two rounds, up to 100 pages")
    asked.add_argument("--peer", type=Path, help="the Python of an environment that has unstructured[pdf]")
    asked.add_argument("--write", type=Path, help="write read-speed.json and read-speed.md into this folder")
    given = asked.parse_args()
    rounds, sizes = (2, SIZES[:3]) if given.quick else (5, SIZES)
    with tempfile.TemporaryDirectory() as folder:
        documents = made(Path(folder), sizes)
        compared = {"made, 100 pages": documents[100]} | foreign()
        runs = compare(compared, documents[10], rounds=rounds, peer=given.peer)
        growth = grow(documents, rounds=rounds)
    report = tell(runs, growth, rounds=rounds)
    print(report)
    if given.write is not None:
        write(given.write, runs, growth, report)


def made(folder: Path, sizes: Sequence[int]) -> dict[int, Path]:
    """Write documents of our own, by their number of pages."""
    paths = {pages: folder / f"{pages}.pdf" for pages in sizes}
    for pages, path in paths.items():
        path.write_bytes(a_document(pages))
    return paths


def foreign() -> dict[str, Path]:
    """Return a few PDFs with text layers from the development set, where it is present."""
    where = os.environ.get("PAGEWARDEN_DATA")
    if not where:
        print("PAGEWARDEN_DATA is not set: only made documents are measured.", file=sys.stderr)
        return {}
    names = ("AMCOR_2023_10K", "2310.07609v1", "BESTBUY_2024Q2_10Q", "tacl_a_00660")
    paths = [Path(where) / "e2e-docqa" / "documents" / f"{name}.pdf" for name in names[:_FOREIGN]]
    return {f"{path.stem}": path for path in paths if path.is_file()}


def compare(documents: dict[str, Path], warm_up: Path, *, rounds: int, peer: Path | None) -> list[Took]:
    """Let the contenders take turns on every document."""
    contenders = [*OURS, *BARE, *([PEER] if has_peer(peer) else [])]
    runs = []
    for turn in range(rounds):
        for name, path in documents.items():
            # Whoever begins a round is another each time.
            for place in range(len(contenders)):
                contender = contenders[(place + turn) % len(contenders)]
                if contender == PEER and turn >= 2:
                    continue  # Slow and steady: two rounds tell enough of it.
                took = run(contender, warm_up, path, name, peer=peer)
                if took is not None:
                    runs.append(took)
    return runs


def has_peer(peer: Path | None) -> bool:
    """Say whether unstructured can be measured, and why not."""
    if peer is None or not peer.is_file():
        print("unstructured is skipped: name its environment with --peer PYTHON.", file=sys.stderr)
        return False
    there = subprocess.run([peer, "-c", "import unstructured.partition.pdf"], capture_output=True, text=True)
    if there.returncode != 0:
        print(f"unstructured is skipped: {there.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return there.returncode == 0


def grow(documents: dict[int, Path], *, rounds: int) -> list[Took]:
    """Read documents from few pages to many."""
    runs = []
    for _ in range(min(rounds, 3)):
        for pages, path in documents.items():
            took = run(OURS[0], documents[10], path, f"{pages} pages", peer=None)
            assert took is not None
            runs.append(took)
    return runs


def run(contender: str, warm_up: Path, path: Path, name: str, *, peer: Path | None) -> Took | None:
    """Run a contender once; None where it failed, with its last words."""
    python = str(peer) if contender == PEER else sys.executable
    command = [python, str(HERE / "contenders.py"), contender, str(warm_up), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    if done.returncode != 0:
        print(f"{contender} on {name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    told = json.loads(done.stdout.splitlines()[-1])
    return Took(
        contender=contender,
        document=name,
        pages=told["pages"],
        seconds=told["seconds"],
        cpu_s=told["cpu_s"],
        own_mb=told["peak_mb"]["own"],
        children_mb=told["peak_mb"]["children"],
        version=told["version"],
        by_eye=told["by_eye"],
    )


def tell(runs: list[Took], growth: list[Took], *, rounds: int) -> str:
    """Return the report as Markdown."""
    versions = sorted({f"{r.contender.split()[0]} {r.version}" for r in runs if r.version})
    head = [
        "# Reading text PDFs: speed",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{', '.join(versions)}; medians of {rounds} rounds in turn (unstructured: two), spread in brackets. "
        "A ratio above 1 means that ours is faster. CPU and memory are of a process and its children.",
        "",
    ]
    documents = list(dict.fromkeys(r.document for r in runs))
    tables = [line for name in documents for line in _compared(name, [r for r in runs if r.document == name])]
    return "\n".join([*head, *tables, *_grown(growth)])


def _compared(name: str, runs: list[Took]) -> list[str]:
    contenders = list(dict.fromkeys([*OURS, *BARE, PEER]))
    ours = [r.seconds for r in runs if r.contender == OURS[0]]
    by_eye = max(r.by_eye for r in runs)
    note = f", OCR read pictures on {by_eye}" if by_eye else ""
    rows = [
        f"## {name} ({runs[0].pages} pages{note})",
        "",
        "| contender | pages/s | its time / ours | its CPU / ours | CPU ms a page | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    our_cpu = median(r.cpu_s for r in runs if r.contender == OURS[0])
    for contender in contenders:
        took = [r for r in runs if r.contender == contender]
        if not took or not ours:
            continue
        seconds, pages = [r.seconds for r in took], took[0].pages
        low, high = pages / max(seconds), pages / min(seconds)
        cpu = median(r.cpu_s for r in took)
        memory = median(r.own_mb + r.children_mb for r in took)
        rows.append(
            f"| {contender} | {pages / median(seconds):.1f} ({low:.1f}-{high:.1f}) "
            f"| {median(seconds) / median(ours):.2f} | {cpu / our_cpu:.2f} | {1000 * cpu / pages:.1f} "
            f"| {memory:.0f} |"
        )
    return [*rows, ""]


def _grown(growth: list[Took]) -> list[str]:
    rows = [
        "## Cost by pages",
        "",
        "| pages | ms a page | CPU ms a page | own MB | children MB |",
        "|---|---|---|---|---|",
    ]
    for pages in sorted({r.pages for r in growth}):
        took = [r for r in growth if r.pages == pages]
        rows.append(
            f"| {pages} | {median(1000 * r.seconds / pages for r in took):.1f} "
            f"| {median(1000 * r.cpu_s / pages for r in took):.1f} "
            f"| {median(r.own_mb for r in took):.0f} | {median(r.children_mb for r in took):.0f} |"
        )
    wall, cpu = exponent(growth, lambda r: r.seconds), exponent(growth, lambda r: r.cpu_s)
    return [*rows, "", f"Time grows with the pages to the power of {wall:.2f}, CPU time of {cpu:.2f}.", ""]


def exponent(growth: list[Took], cost: Callable[[Took], float]) -> float:
    """Fit cost ~ pages^k (least squares of the logarithms of the medians) and return k."""
    sizes = sorted({r.pages for r in growth})
    points = [(math.log(n), math.log(median(cost(r) for r in growth if r.pages == n))) for n in sizes]
    mean_x, mean_y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return above / sum((x - mean_x) ** 2 for x, _ in points)


def write(folder: Path, runs: list[Took], growth: list[Took], report: str) -> None:
    """Write the figures and the report."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"compared": [asdict(r) for r in runs], "growth": [asdict(r) for r in growth]}
    (folder / "read-speed.json").write_text(json.dumps(figures, indent=1) + "\n")
    (folder / "read-speed.md").write_text(report)


if __name__ == "__main__":
    main()
