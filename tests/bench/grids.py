"""How well tables come out as grids: against reviewed ones, by rules on cells, on pages made for it.

    PAGEWARDEN_DATA=... python tests/bench/grids.py [real|made|scans|rules|false] [--write FOLDER]
        [--peer NAME=GRIDS.json]

`--write` keeps the made PDFs, so that `peer_grids.py` can read the very same pages.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image

from ingest import child
from ingest.errors import IngestError
from ingest.grid import grid_of_html
from ingest.pages import render_pdf
from ingest.reading import Reader
from ingest.records import Element, GridCell
from ingest.settings import IngestSettings
from ingest.sources import open_source
from ingest.structure import finish
from tests.bench.grid_score import Page, Score, compare, plain
from tests.ingest import made_tables

SETTINGS = IngestSettings(readers=2, threads=1)
SEEDS = 8
SCANNED = ("ruled", "booktabs", "bare figures", "two-line heads", "ruled wrapped", "filing")


def elements_of(path: Path) -> list[tuple[int, Element]]:
    """Read a file and return its elements with their page numbers."""

    async def read() -> list[tuple[int, Element]]:
        with tempfile.TemporaryDirectory() as folder:
            reader = Reader(SETTINGS)
            source = open_source(path, name=path.name, settings=SETTINGS)
            reading = await reader.read(source, pages_dir=Path(folder), on_page=lambda done, total: None)
            await reader.close()
            return [(page.no, element) for page in reading.pages for element in page.elements]

    return anyio.run(read)


def text_elements_of(path: Path) -> list[tuple[int, Element]]:
    """Read a PDF's text layers in this process: hundreds of small files would wait for children."""
    drafts = child.read_range(path, 1, child.count_pages(path, SETTINGS), SETTINGS)
    if any(draft.known is not None for draft in drafts):
        return elements_of(path)  # some of it takes eyes
    pages = finish([draft.blocks for draft in drafts])
    return [(draft.no, element) for draft, page in zip(drafts, pages, strict=True) for element in page]


def tables_of(path: Path) -> list[Page]:
    return [
        (no, e.cells or grid_of_html(e.html or ""))
        for no, e in (text_elements_of if path.suffix == ".pdf" else elements_of)(path)
        if e.kind == "table"
    ]


# --- reviewed grids


def truth(folder: Path, doc: str) -> list[Page] | None:
    """Return a document's reviewed grids; None where there are none to compare with."""
    stem = folder / "groundtruth" / doc.rsplit(".", 1)[0]
    if (found := Path(f"{stem}.tables.json")).exists():
        return [(t["page"], [_cell(c) for c in t["cells"]]) for t in json.loads(found.read_text())]
    if (found := Path(f"{stem}-actual.csv")).exists():
        rows = list(csv.reader(found.read_text().splitlines()))
        return [
            (
                1,
                [
                    GridCell(row=r, col=c, text=t)
                    for r, row in enumerate(rows)
                    for c, t in enumerate(row)
                    if t
                ],
            )
        ]
    if (found := folder / "groundtruth" / f"{doc}.md").exists():
        return [(0, cells) for cells in _markdown_tables(found.read_text())] or None
    return None


def _cell(cell: dict[str, object]) -> GridCell:
    numbers = {
        name: int(str(cell[key]))
        for name, key in (("row", "r"), ("col", "c"), ("rowspan", "rs"), ("colspan", "cs"))
    }
    return GridCell(text=str(cell["text"]), header=bool(cell["header"]), **numbers)


def _markdown_tables(text: str) -> Iterator[list[GridCell]]:
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                rows.append(cells)
        elif rows:
            yield [
                GridCell(row=r, col=c, text=t) for r, row in enumerate(rows) for c, t in enumerate(row) if t
            ]
            rows = []


def spread(cells: tuple[GridCell, ...]) -> list[GridCell]:
    """Say a spanning cell in each of its places, as Markdown does."""
    return [
        GridCell(row=row, col=col, text=cell.text)
        for cell in cells
        for row in range(cell.row, cell.row + cell.rowspan)
        for col in range(cell.col, cell.col + cell.colspan)
    ]


def real(data: Path, peers: dict[str, dict[str, list[Page]]]) -> None:
    folder = data / "parsing"
    totals: dict[str, Score] = {}
    for path in sorted((folder / "documents").iterdir()):
        true = truth(folder, path.name)
        if true is None:
            continue
        try:
            found = tables_of(path)
        except IngestError as error:
            print(f"{path.name:55} {type(error).__name__}")
            continue
        if true and true[0][0] == 0:
            found = [(0, spread(tuple(cells))) for _, cells in found]
        score = Score()
        compare(found, true, score)
        print(f"{path.name:55} {score}")
        group = "pages" if path.suffix == ".pdf" else "formats without pages"
        compare(found, true, totals.setdefault(group, Score()))
        # A table of contents is a table to the reviewers and none to us.
        if path.suffix == ".pdf":
            kept = [(no, cells) for no, cells in true if not _is_contents(list(cells))]
            compare(found, kept, totals.setdefault("pages, contents aside", Score()))
            for name, grids in peers.items():
                compare(grids.get(path.name, []), kept, totals.setdefault(f"{name}, contents aside", Score()))
    for name, score in totals.items():
        print(f"== {name:52} {score}")


def _is_contents(cells: list[GridCell]) -> bool:
    return sum(". . ." in cell.text for cell in cells) > 5


# --- rules on cells


def rules(data: Path) -> None:
    """Check olmOCR-bench's rules on tables: a cell, and what stands beside it and heads it."""
    folder = data / "parsing"
    checks = [
        json.loads(line) for line in (folder / "groundtruth" / "olmocr_tests.jsonl").read_text().splitlines()
    ]
    checks = [check for check in checks if check["type"] == "table"]
    held = 0
    for doc in sorted({check["pdf"] for check in checks}):
        found = tables_of(folder / "documents" / doc)
        for check in (c for c in checks if c["pdf"] == doc):
            good = any(no == check["page"] and _holds(check, list(cells)) for no, cells in found)
            held += good
            if not good:
                print("  broken:", {k: v for k, v in check.items() if k not in {"pdf", "split", "type"}})
    print(f"== table rules: {held} of {len(checks)}")


def _holds(check: dict[str, str], cells: list[GridCell]) -> bool:
    at = {(r, c): cell for cell in cells for r in _rows(cell) for c in _columns(cell)}
    heads = [cell for cell in cells if cell.header]

    def said(cell: GridCell | None, text: str) -> bool:
        return cell is not None and plain(cell.text) == plain(text)

    for cell in cells:
        if not said(cell, check["cell"]):
            continue
        last_row, last_column = cell.row + cell.rowspan, cell.col + cell.colspan
        beside = {
            "left": [at.get((r, cell.col - 1)) for r in _rows(cell)],
            "right": [at.get((r, last_column)) for r in _rows(cell)],
            "up": [at.get((cell.row - 1, c)) for c in _columns(cell)],
            "down": [at.get((last_row, c)) for c in _columns(cell)],
            "top_heading": [h for h in heads if h.row < cell.row and set(_columns(h)) & set(_columns(cell))],
            "left_heading": [at.get((r, 0)) for r in _rows(cell)],
        }
        if all(any(said(b, check[name]) for b in found) for name, found in beside.items() if name in check):
            return True
    return False


def _rows(cell: GridCell) -> range:
    return range(cell.row, cell.row + cell.rowspan)


def _columns(cell: GridCell) -> range:
    return range(cell.col, cell.col + cell.colspan)


# --- made pages


def made_pages() -> Iterator[tuple[str, str, made_tables.Made]]:
    """Yield (kind, file name, page) of every made page."""
    for seed in range(SEEDS):
        for kind in made_tables.KINDS:
            yield kind, f"{kind} {seed}.pdf", made_tables.page(kind, seed)
        yield "side by side", f"beside {seed}.pdf", made_tables.beside(seed)
        yield "in a column", f"column {seed}.pdf", made_tables.in_a_column(seed)
        kind = ("ruled", "booktabs", "bare figures")[seed % 3]
        yield "lying", f"lying {seed}.pdf", made_tables.lying(kind, seed)
        over = made_tables.over_pages(seed, repeat=seed % 2 == 0, rules=("book", "grid", "none")[seed % 3])
        yield "over pages", f"over {seed}.pdf", over


def made(folder: Path, peers: dict[str, dict[str, list[Page]]]) -> None:
    scores: dict[str, dict[str, Score]] = {}
    for kind, name, page in made_pages():
        path = folder / name
        path.write_bytes(page.pdf)
        readers = {"ours": tables_of(path)} | {peer: grids.get(name, []) for peer, grids in peers.items()}
        for reader, found in readers.items():
            compare(found, page.grids, scores.setdefault(kind, {}).setdefault(reader, Score()))
            compare(found, page.grids, scores.setdefault("all", {}).setdefault(reader, Score()))
    for kind, by_reader in scores.items():
        others = "  ".join(f"{name} {s.cells.f1:.3f}" for name, s in by_reader.items() if name != "ours")
        print(f"{kind:20} {by_reader['ours']}  {others}")


def scans(folder: Path, data: Path | None) -> None:
    """Read made tables, and one of the robustness set, as scans: pixels, a slight turn, noise."""
    total = Score()
    for seed, kind in enumerate(SCANNED):
        page = made_tables.page(kind, seed)
        path = folder / f"scan {kind}.png"
        path.write_bytes(scanned(page.pdf, seed, folder))
        score = Score()
        found = tables_of(path)
        compare(found, page.grids, score)
        compare(found, page.grids, total)
        print(f"{kind:20} {score}")
    print(f"{'== all':20} {total}")
    if data is not None:
        true = truth(data / "parsing", "unstructured_table-multi-row-column-cells.pdf")
        score = Score()
        compare(
            tables_of(data / "robustness/documents/unstr_table-multi-row-column-cells.png"), true or [], score
        )
        print(f"{'photographed table':20} {score}")


def scanned(pdf: bytes, seed: int, folder: Path) -> bytes:
    """Render page 1 as a scanner would: 150 dpi, grey noise, a little blur."""
    path = folder / "page.pdf"
    path.write_bytes(pdf)
    rng = np.random.default_rng(seed)
    with Image.open(BytesIO(render_pdf(path, 1, dpi=150))) as image:
        turned = image.convert("L").rotate(
            float(rng.uniform(-0.4, 0.4)), fillcolor=255, resample=Image.Resampling.BICUBIC
        )
    pixels = np.asarray(turned, dtype=np.float32) + rng.normal(0, 12, (turned.height, turned.width))
    out = BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(out, "PNG", dpi=(150, 150))
    return out.getvalue()


def false_tables(data: Path) -> None:
    """Print every table found in a sample of pages of real documents, for people to judge."""
    for path in sorted((data / "e2e-docqa/documents").glob("*.pdf"))[::3]:
        for no, element in text_elements_of(path):
            if element.kind == "table":
                first = element.text.splitlines()
                print(f"--- {path.name} p{no}: {len(first)} rows")
                print("\n".join(line[:140] for line in first[:5]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["real", "rules", "made"])
    parser.add_argument("--write", type=Path)
    parser.add_argument("--peer", action="append", default=[])
    asked = parser.parse_args()
    place = os.environ.get("PAGEWARDEN_DATA")
    data = Path(place) if place else None
    peers = {}
    for peer in asked.peer:
        name, _, file = peer.partition("=")
        grids = json.loads(Path(file).read_text())
        keys = ("row", "col", "rowspan", "colspan", "text")
        peers[name] = {
            doc: [(no, [GridCell(**dict(zip(keys, c, strict=True))) for c in cells]) for no, cells in tables]
            for doc, tables in grids.items()
        }
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.write or Path(temporary)
        folder.mkdir(exist_ok=True)
        steps = {"made": partial(made, folder, peers), "scans": partial(scans, folder, data)}
        if data is not None:
            steps |= {
                "real": partial(real, data, peers),
                "rules": partial(rules, data),
                "false": partial(false_tables, data),
            }
        for part in asked.parts:
            print(f"# {part}")
            steps[part]() if part in steps else print("skipped: PAGEWARDEN_DATA is not set")


if __name__ == "__main__":
    main()
