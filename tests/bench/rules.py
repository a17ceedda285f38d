"""What a page must say, must not say, and in which order: rules made by people, on our reading and others'.

    PAGEWARDEN_DATA=... python tests/bench/rules.py [--peers --peer-python PATH] [--only SUBSTRING]

The rules have olmOCR-bench's form (Poznanski et al. 2025, arXiv 2502.18443) and are matched as it matches
them: fuzzily, `max_diffs` characters of a text may differ. Reviewed markdown is compared word by word beside
it: the share of words that both have in the same order shows more than fifty rules do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from ingest.errors import InputError  # noqa: E402
from ingest.reading import Reader  # noqa: E402
from ingest.records import Element, Page  # noqa: E402
from ingest.settings import IngestSettings  # noqa: E402
from ingest.sources import open_source  # noqa: E402

PEERS = ("pdfium", "markitdown", "pymupdf4llm", "unstructured", "docling")
_SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛`´", "'"),
        **dict.fromkeys("“”„‟«»", '"'),
        **dict.fromkeys("‐‑‒–—―−_", "-"),
        "\u00ad": None,
        "\u200b": None,
    }
)
Grid = list[list[str]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of the rules' file; what a type does not use is empty."""

    pdf: str
    page: int
    id: str
    type: str
    text: str = ""
    before: str = ""
    after: str = ""
    math: str = ""
    cell: str = ""
    #: What stands beside a table's cell: up, down, left, right, top_heading, left_heading.
    beside: dict[str, str] = field(default_factory=dict)
    max_diffs: int = 0
    first_n: int = 0
    last_n: int = 0
    case_sensitive: bool = True
    max_length: int | None = None


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a reader made of a file: its pages' texts (one for all where it tells no pages), and tables."""

    pages: dict[int, str]
    grids: dict[int, list[Grid]]
    #: Text for the comparison word by word: tables cell by cell, not with their headers repeated.
    flat: str
    seconds: float = 0.0
    #: Whether OCR had to read it.
    by_eye: bool = False
    error: str = ""

    def text(self, page: int) -> str:
        return self.pages.get(page, self.pages.get(0, ""))

    def tables(self, page: int) -> list[Grid]:
        return self.grids.get(page, self.grids.get(0, []))


def rules_of(path: Path) -> list[Rule]:
    sides = ("up", "down", "left", "right", "top_heading", "left_heading")
    known = set(Rule.__dataclass_fields__) - {"beside"}
    rules = []
    for line in path.read_text("utf-8").splitlines():
        given = json.loads(line)
        beside = {side: given[side] for side in sides if given.get(side)}
        rules.append(Rule(beside=beside, **{k: v for k, v in given.items() if k in known and v is not None}))
    return rules


def plain(text: str) -> str:
    """Bring a text into the form in which it is compared: no markup, one kind of quote, hyphen and blank."""
    text = re.sub(r"<br\s*/?>", " ", unicodedata.normalize("NFKC", text))
    text = re.sub(r"(\*\*|__)(.+?)\1", r"\2", text).translate(_SAME)
    return " ".join(text.split())


def nearest(wanted: str, text: str) -> tuple[float, str]:
    """Return how well the best stretch of `text` fits (0 to 1), and that stretch."""
    if not text:
        return 0.0, ""
    if wanted in text:
        return 1.0, wanted
    if len(wanted) > len(text):
        return fuzz.ratio(wanted, text) / 100, text
    found = fuzz.partial_ratio_alignment(wanted, text)
    return (found.score / 100, text[found.dest_start : found.dest_end]) if found else (0.0, "")


def fits(wanted: str, text: str, max_diffs: int) -> bool:
    least = 1 - max_diffs / max(1, len(wanted))
    return nearest(wanted, text)[0] >= least - 1e-9


def judge(rule: Rule, read: Read) -> tuple[bool, str]:
    """Say whether a rule holds and, where not, what was found instead."""
    text = plain(read.text(rule.page))
    if rule.type in {"present", "absent"}:
        return _judge_text(rule, text)
    if rule.type == "order":
        return _judge_order(plain(rule.before), plain(rule.after), text, rule.max_diffs)
    if rule.type == "table":
        return _judge_table(rule, read.tables(rule.page))
    if rule.type == "math":
        bare = re.sub(r"\s+", "", rule.math)
        return bare in re.sub(r"\s+", "", read.text(rule.page)), "no such LaTeX"
    if rule.type == "baseline":
        if rule.max_length is not None:
            return len(re.sub(r"\W", "", text)) <= rule.max_length, text[:80]
        return any(c.isalnum() for c in text) and "\ufffd" not in text, text[:80]
    raise ValueError(f"no such rule: {rule.type}")


def _judge_text(rule: Rule, text: str) -> tuple[bool, str]:
    wanted = plain(rule.text)
    if rule.first_n or rule.last_n:
        text = text[: rule.first_n] + (text[-rule.last_n :] if rule.last_n else "")
    if not rule.case_sensitive:
        wanted, text = wanted.lower(), text.lower()
    held = fits(wanted, text, rule.max_diffs)
    return held == (rule.type == "present"), nearest(wanted, text)[1]


def _judge_order(before: str, after: str, text: str, max_diffs: int) -> tuple[bool, str]:
    first, last = list(_places(before, text, max_diffs)), list(_places(after, text, max_diffs))
    if not first or not last:
        return False, "not found: " + nearest(before if not first else after, text)[1]
    return min(first) < max(last), f"stands at {first}, the other at {last}"


def _places(wanted: str, text: str, max_diffs: int) -> Iterator[int]:
    """Yield where `wanted` begins, up to `max_diffs` changed characters aside."""
    exact = [match.start() for match in re.finditer(re.escape(wanted), text)]
    if exact or not text:
        yield from exact
        return
    found = fuzz.partial_ratio_alignment(wanted, text)
    if found and found.score / 100 >= 1 - max_diffs / max(1, len(wanted)) - 1e-9:
        yield found.dest_start


def _judge_table(rule: Rule, grids: Sequence[Grid]) -> tuple[bool, str]:
    wanted, why = plain(rule.cell), "no table has the cell"
    for grid in grids:
        for r, line in enumerate(grid):
            for c, cell in enumerate(line):
                if not _alike(wanted, cell, rule.max_diffs):
                    continue
                wrong = [
                    f"{side}: {there}"
                    for side, text in rule.beside.items()
                    if not any(
                        _alike(plain(text), there, rule.max_diffs) for there in _beside(grid, r, c, side)
                    )
                    for there in [_beside(grid, r, c, side)]
                ]
                if not wrong:
                    return True, ""
                why = "; ".join(wrong)
    return False, why


def _alike(wanted: str, cell: str, max_diffs: int) -> bool:
    least = max(0.5, 1 - max_diffs / max(1, len(wanted)))
    return fuzz.ratio(wanted, plain(cell)) / 100 >= least - 1e-9


def _beside(grid: Grid, row: int, column: int, side: str) -> list[str]:
    """Return the cells that a rule may mean: the neighbour, or as a heading any filled cell above or left."""
    above = [line[column] for line in grid[:row] if column < len(line) and line[column]]
    before = [cell for cell in grid[row][:column] if cell]
    if side == "top_heading":
        return above
    if side == "left_heading":
        return before
    places = {"up": (row - 1, column), "down": (row + 1, column)}
    places |= {"left": (row, column - 1), "right": (row, column + 1)}
    r, c = places[side]
    return [grid[r][c]] if 0 <= r < len(grid) and 0 <= c < len(grid[r]) else []


class _Tables(HTMLParser):
    """Collects the grids of HTML tables; a spanning cell stands in each place that it covers."""

    def __init__(self) -> None:
        super().__init__()
        self.grids: list[dict[tuple[int, int], str]] = []
        self._row = self._column = -1
        self._span = (1, 1)
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.grids.append({})
            self._row = -1
        elif tag == "tr" and self.grids:
            self._row, self._column = self._row + 1, 0
        elif tag in {"td", "th"} and self.grids:
            spans = dict(attrs)
            self._span = (int(spans.get("rowspan") or 1), int(spans.get("colspan") or 1))
            while (self._row, self._column) in self.grids[-1]:
                self._column += 1
            self._inside = True
            self._write("")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._inside:
            self._inside = False
            self._column += self._span[1]

    def handle_data(self, data: str) -> None:
        if self._inside:
            self._write(data)

    def _write(self, data: str) -> None:
        for down in range(self._span[0]):
            for across in range(self._span[1]):
                place = (self._row + down, self._column + across)
                self.grids[-1][place] = self.grids[-1].get(place, "") + data


def html_grids(html: str) -> list[Grid]:
    tables = _Tables()
    tables.feed(html)
    return [_square(cells) for cells in tables.grids if cells]


def _square(cells: dict[tuple[int, int], str]) -> Grid:
    rows, columns = (1 + max(place[i] for place in cells) for i in (0, 1))
    return [[cells.get((r, c), "").strip() for c in range(columns)] for r in range(rows)]


def markdown_grids(text: str) -> list[Grid]:
    """Return the pipe tables of a markdown text."""
    grids: list[Grid] = [[]]
    for line in text.splitlines():
        if line.strip().startswith("|") and line.strip().endswith("|"):
            if not re.fullmatch(r"[\s|:-]+", line):
                grids[-1].append([cell.strip() for cell in line.strip()[1:-1].split("|")])
        elif grids[-1]:
            grids.append([])
    return [grid for grid in grids if grid]


def element_grids(element: Element) -> list[Grid]:
    if not element.cells:
        return html_grids(element.html or "")
    cells = {
        (cell.row + down, cell.col + across): cell.text
        for cell in element.cells
        for down in range(cell.rowspan)
        for across in range(cell.colspan)
    }
    return [_square(cells)]


def _flat(element: Element) -> str:
    if element.kind != "table":
        return element.text
    if element.cells:
        return " ".join(cell.text for cell in element.cells)
    return re.sub(r"<[^>]+>", " ", element.html or element.text)


async def read_ours(files: Sequence[Path]) -> dict[str, Read]:
    found: dict[str, Read] = {}
    # What is measured is what is read; a busy machine must not lose a page.
    settings = IngestSettings(page_timeout_s=600)
    reader = Reader(settings)
    for file in files:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                source = open_source(file, name=file.name, settings=settings)
                reading = await reader.read(source, pages_dir=Path(folder), on_page=lambda done, of: None)
            except InputError as error:
                found[file.name] = Read(pages={}, grids={}, flat="", error=str(error))
                continue
        found[file.name] = _ours(reading.pages, time.perf_counter() - begun)
    return found


def _ours(pages: Sequence[Page], seconds: float) -> Read:
    return Read(
        pages={page.no: "\n\n".join(e.text for e in page.elements) for page in pages},
        grids={
            page.no: [g for e in page.elements if e.kind == "table" for g in element_grids(e)]
            for page in pages
        },
        flat="\n\n".join(_flat(e) for page in pages for e in page.elements),
        seconds=seconds,
        by_eye=any(page.read_by == "ocr-layout" for page in pages),
    )


def read_peer(name: str, python: str, files: Sequence[Path]) -> dict[str, Read]:
    """Run a peer on all files in a process of its own; what it cannot read is an error by name."""
    script = str(Path(__file__).with_name("peers.py"))
    run = subprocess.run(
        [python, script, name, *map(str, files)], capture_output=True, text=True, timeout=1800
    )
    found: dict[str, Read] = {}
    for line in run.stdout.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue  # peers print what they like
        text = said.get("text", "")
        found[said["file"]] = Read(
            pages={0: re.sub(r"^#+ ", "", text, flags=re.MULTILINE)},
            grids={0: markdown_grids(text) + html_grids(text)},
            flat=text,
            seconds=said["seconds"],
            error=said.get("error", ""),
        )
    return found


def agreement(text: str, truth: str) -> float:
    """Return the share of words that both have in the same order (2 x common / all; 1 is the same)."""
    return Indel.normalized_similarity(_words(text), _words(truth))


def _words(text: str) -> list[str]:
    text = re.sub(r"<!--.*?-->|<[^>]+>|!\[[^\]]*\]\([^)]*\)|^#+ ", " ", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", action="store_true", help="other readers beside ours")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has them installed")
    parser.add_argument("--only", default="", help="files whose name holds this")
    chosen = parser.parse_args()
    if not (base := os.environ.get("PAGEWARDEN_DATA")):
        sys.exit("PAGEWARDEN_DATA is not set: there is nothing to measure with")
    data = Path(base) / "parsing"
    rules = [r for r in rules_of(data / "groundtruth" / "olmocr_tests.jsonl") if chosen.only in r.pdf]
    truths = [t for t in sorted((data / "groundtruth").glob("*.md")) if chosen.only in t.name]
    documents = {
        path.stem if path.suffix == ".pdf" else path.name: path for path in (data / "documents").iterdir()
    }
    compared = {documents[truth.stem]: truth for truth in truths}
    files = sorted({*(data / "documents" / rule.pdf for rule in rules), *compared})
    readers = {"ours": asyncio.run(read_ours(files))}
    if chosen.peers:
        for name in PEERS:
            readers[name] = read_peer(name, chosen.peer_python, files)
    _print_rules(rules, readers)
    _print_words(compared, readers)


def _print_rules(rules: Sequence[Rule], readers: dict[str, dict[str, Read]]) -> None:
    nothing = Read(pages={}, grids={}, flat="", error="gave nothing")
    types = sorted({rule.type for rule in rules})
    print(f"{'':14}" + "".join(f"{kind:>16}" for kind in types))
    failing: list[str] = []
    for name, reads in readers.items():
        held, count = Counter[str](), Counter[str]()
        for rule in rules:
            read = reads.get(rule.pdf, nothing)
            passed, found = judge(rule, read) if not read.error else (False, read.error)
            held[rule.type] += passed
            count[rule.type] += 1
            if not passed and name == "ours":
                by = "by eye" if read.by_eye else "text layer"
                said = rule.text or rule.cell or rule.math or f"{rule.before} < {rule.after}"
                failing.append(
                    f"  {rule.type:8} {rule.id} ({by}): {said[:90]}\n           found: {found[:160]}"
                )
        if all(reads.get(rule.pdf, nothing).error for rule in rules):
            # A peer that could not run has no score; a 0 would say that it read and failed.
            print(f"{name:14}" + f"{'not run, see below':>{16 * len(types)}}")
            continue
        row = (f"{held[kind]}/{count[kind]} {100 * held[kind] / count[kind]:.0f} %" for kind in types)
        print(f"{name:14}" + "".join(f"{cell:>16}" for cell in row))
    born = [r for r in rules if not readers["ours"].get(r.pdf, nothing).by_eye]
    for kind in ("present", "order", "absent"):
        own = [judge(r, readers["ours"][r.pdf])[0] for r in born if r.type == kind]
        print(f"  ours, text layers only: {kind} {sum(own)}/{len(own)}")
    print("\nrules that fail (ours)\n" + "\n".join(failing))


def _print_words(compared: dict[Path, Path], readers: dict[str, dict[str, Read]]) -> None:
    print(f"\n{'words in order':44}" + "".join(f"{name:>13}" for name in readers))
    sums, read_by = Counter[str](), Counter[str]()
    for file, truth in compared.items():
        wanted, cells = truth.read_text("utf-8"), []
        for name, reads in readers.items():
            read = reads.get(file.name)
            score = agreement(read.flat, wanted) if read and not read.error else None
            if score is not None:
                sums[name] += score
                read_by[name] += 1
            cells.append(f"{'-' if score is None else f'{score:.3f}':>13}")
        print(f"{file.name:44}" + "".join(cells))
    means = (f"{sums[n] / read_by[n]:.3f} ({read_by[n]})" if read_by[n] else "-" for n in readers)
    print(f"{'mean of those read (how many)':44}" + "".join(f"{mean:>13}" for mean in means))
    for name, reads in readers.items():
        errors = Counter(read.error.split(":")[0] for read in reads.values() if read.error)
        if not reads or errors:
            print(f"  {name}: {dict(errors) or 'gave nothing (not installed?)'}")
            for read in reads.values():
                if read.error:
                    print(f"    e.g. {read.error[:200]}")
                    break


if __name__ == "__main__":
    main()
