"""Tables as other readers find them, for comparing: run it with a Python that has them installed.

    python tests/bench/peer_grids.py pymupdf|pdfplumber|camelot FILE... > grids.json

Prints {"file name": [[page number, [[row, col, rowspan, colspan, text], ...]], ...]} as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Rows = list[list[str | None]]


def main(peer: str, files: list[str]) -> None:
    warnings.simplefilter("ignore")
    reader = {"pymupdf": pymupdf_rows, "pdfplumber": pdfplumber_rows, "camelot": camelot_rows}[peer]
    found: dict[str, Any] = {}
    for file in files:
        found[Path(file).name] = [
            [no, [[r, c, 1, 1, text] for r, row in enumerate(rows) for c, text in enumerate(row) if text]]
            for no, rows in reader(file)
        ]
    print(json.dumps(found))


def pymupdf_rows(file: str) -> Iterator[tuple[int, Rows]]:
    import pymupdf  # type: ignore[import-not-found]

    with pymupdf.open(file) as document:
        for no, page in enumerate(document, start=1):
            for table in page.find_tables().tables:
                yield no, table.extract()


def pdfplumber_rows(file: str) -> Iterator[tuple[int, Rows]]:
    import pdfplumber  # type: ignore[import-not-found]

    with pdfplumber.open(file) as document:
        for no, page in enumerate(document.pages, start=1):
            for table in page.extract_tables():
                yield no, table


def camelot_rows(file: str) -> Iterator[tuple[int, Rows]]:
    import camelot  # type: ignore[import-not-found]

    for flavor in ("lattice", "network"):
        tables = list(camelot.read_pdf(file, pages="all", flavor=flavor))
        for table in tables:
            yield int(table.page), table.df.values.tolist()
        if tables:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
