"""Read every odd file of a folder, each in a process of its own, and hold it to what is expected of it.

    PAGEWARDEN_DATA=… python tests/bench/robustness.py [--markdown] [--only NAME]

A file has 60 s and 2 GB (the peak of what its whole process tree holds at once). A file with a known password
is read twice: without it must say that it wants one, with it must read.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_S, LIMIT_BYTES = 60.0, 2 * 1024**3
#: What a reading may take itself, so that it ends well inside the limit.
WITHIN_S = 45.0

CHILD = """
import json, sys, tempfile
from pathlib import Path
import anyio
from ingest.errors import IngestError
from ingest.reading import Reader
from ingest.settings import IngestSettings
from ingest.sources import open_source

def text(reading):
    own = " ".join(e.text for page in reading.pages for e in page.elements)
    return " ".join([own, *map(text, reading.attachments)]).strip()

async def main(path, password, within):
    settings = IngestSettings()
    with tempfile.TemporaryDirectory() as folder:
        source = open_source(path, name=path.name, settings=settings)
        return await Reader(settings).read(
            source, pages_dir=Path(folder), on_page=lambda *at: None, password=password, within_s=within
        )

if __name__ == "__main__":
    path, password, within = Path(sys.argv[1]), sys.argv[2] or None, float(sys.argv[3])
    try:
        reading = anyio.run(main, path, password, within)
        words = text(reading)
        told = dict(outcome=reading.outcome, reason=reading.reason, detail=reading.detail,
                    pages=len(reading.pages), chars=len(words), text=" ".join(words.split()))
    except IngestError as error:
        told = dict(outcome="failed", reason=error.code, detail=error.detail, pages=0, chars=0, text="")
    print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one file."""

    name: str
    expect: str
    outcome: str
    reason: str | None
    pages: int
    chars: int
    seconds: float
    peak: int
    faults: tuple[str, ...]


def tree_rss(pid: int) -> int:
    """Return the memory that a process and all below it hold, bytes."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            below.setdefault(parent, []).append(int(entry.name))
    total, todo = 0, [pid]
    while todo:
        one = todo.pop()
        todo += below.get(one, [])
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            continue
    return total


def read(path: Path, password: str | None) -> tuple[dict[str, Any], float, int]:
    """Read a file in a process of its own; return what it told, its seconds and its peak."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "reads_one_file.py"
        script.write_text(CHILD)
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, str(script), str(path), password or "", str(WITHIN_S)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )
        peaks, done = [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.2):
                peaks.append(tree_rss(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            out, err = process.communicate(timeout=2 * LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        done.set()
        watcher.join()
    try:
        told = json.loads(out.splitlines()[-1])
    except (ValueError, IndexError):
        told = {"outcome": "crash", "reason": None, "detail": err[-400:], "pages": 0, "chars": 0, "text": ""}
    return told, time.monotonic() - began, max(peaks)


def faults(
    case: dict[str, Any], told: dict[str, Any], seconds: float, peak: int, *, opened: bool
) -> Iterator[str]:
    """Name what a file's outcome breaks of its contract; nothing: it is met."""
    outcome, reason, expect = told["outcome"], told["reason"], case["expect"]
    if outcome == "crash":
        yield "crash"
    if seconds > LIMIT_S:
        yield f"{seconds:.0f} s"
    if peak > LIMIT_BYTES:
        yield f"{peak >> 20} MB"
    if outcome in {"failed", "partial"} and not (reason and told["detail"]):
        yield "no reason"
    if outcome == "ok" and not told["chars"] and reason != "no_text_found":
        yield "silent zero"
    if expect == "needs-password" and not opened and reason != "encrypted":
        yield "did not ask for the password"
    if expect == "clean-error" and outcome != "failed":
        yield "read it"
    reads = expect in {"ok", "ok-ocr", "ok-empty"} or opened
    if reads and outcome == "failed":
        yield "not read"
    if expect == "ok-empty" and reason != "no_text_found":
        yield "did not say that it is empty"
    if expect == "ok-ocr" and not told["chars"]:
        yield "no words by OCR"
    wanted = case.get("ref_pages_with_password") if opened else case.get("ref_pages")
    if reads and wanted and outcome != "failed" and told["pages"] != wanted:
        yield f"{told['pages']} pages, not {wanted}"
    if reads or expect.startswith("ok"):
        yield from (f"missing {text[:30]!r}" for text in case["must_contain"] if text not in told["text"])


def judged(case: dict[str, Any], folder: Path, *, password: str | None) -> Row:
    """Read a file and judge it."""
    told, seconds, peak = read(folder / case["doc"], password)
    found = tuple(faults(case, told, seconds, peak, opened=password is not None))
    return Row(
        name=case["doc"] + (" + password" if password else ""),
        expect=case["expect"],
        outcome=told["outcome"],
        reason=told["reason"],
        pages=told["pages"],
        chars=told["chars"],
        seconds=seconds,
        peak=peak,
        faults=found,
    )


def line(row: Row, *, markdown: bool) -> str:
    """Write a row of the table."""
    cells = (
        row.name,
        row.expect,
        row.outcome,
        row.reason or "",
        str(row.pages),
        str(row.chars),
        f"{row.seconds:.1f}",
        str(row.peak >> 20),
        "met" if not row.faults else ", ".join(row.faults),
    )
    if markdown:
        return f"| {' | '.join(cells)} |"
    return "{:58.58} {:17} {:8} {:15} {:>5} {:>7} {:>6} {:>6}  {}".format(*cells)


def main() -> int:
    """Print the table and the summary; 1 where a contract is not met."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--markdown", action="store_true")
    options.add_argument("--only", default="")
    wants = options.parse_args()
    data = os.environ.get("PAGEWARDEN_DATA")
    if not data:
        print("Set PAGEWARDEN_DATA to the folder with the data sets: nothing was measured.")
        return 0
    folder = Path(data) / "robustness"
    cases = [json.loads(one) for one in (folder / "expectations.jsonl").read_text().splitlines()]
    heads = ("file", "expect", "outcome", "reason", "pages", "chars", "s", "MB", "contract")
    if wants.markdown:
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    rows: list[Row] = []
    for case in (case for case in cases if wants.only in case["doc"]):
        for password in dict.fromkeys((None, case["password"])):
            rows.append(judged(case, folder / "documents", password=password))
            print(line(rows[-1], markdown=wants.markdown), flush=True)
    broken = [row for row in rows if row.faults]
    silent = sum("silent zero" in row.faults for row in rows)
    print(
        f"\n{len(rows)} readings of {len({r.name.split(' + ')[0] for r in rows})} files: "
        f"{len(rows) - len(broken)} met, {len(broken)} not, {silent} silent zeros; "
        f"slowest {max(r.seconds for r in rows):.0f} s, largest {max(r.peak for r in rows) >> 20} MB"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
