"""Two ways of comparing grids: cells by place and words, and neighbours, which forgive a row too many.

Cells: a cell counts where its words and its (row, column) are right. Neighbours: each pair of words beside or
below each other, empty places skipped, after the ICDAR 2013 table competition (Göbel et al.).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ingest.records import GridCell


@dataclass
class Tally:
    """Counts of right, predicted and true items."""

    right: int = 0
    predicted: int = 0
    true: int = 0

    def add(self, right: int, predicted: int, true: int) -> None:
        self.right += right
        self.predicted += predicted
        self.true += true

    @property
    def precision(self) -> float:
        return self.right / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        both = self.predicted + self.true
        return 2 * self.right / both if both else 1.0


@dataclass
class Score:
    """How well the tables of some pages were found."""

    cells: Tally = field(default_factory=Tally)
    neighbours: Tally = field(default_factory=Tally)
    spans: Tally = field(default_factory=Tally)
    tables: Tally = field(default_factory=Tally)

    def __str__(self) -> str:
        c, tables = self.cells, self.tables
        parts = (
            f"cells P {c.precision:.3f} R {c.recall:.3f} F1 {c.f1:.3f}",
            f"neighbours F1 {self.neighbours.f1:.3f}",
            f"spans F1 {self.spans.f1:.3f}",
            f"tables {tables.right}/{tables.true} true, {tables.predicted} found",
        )
        return " | ".join(parts)


def plain(text: str) -> str:
    """Compare words only: no spaces, no dot leaders, no case."""
    text = (
        unicodedata.normalize("NFKC", text).casefold().replace("−", "-").replace("–", "-").replace("—", "-")
    )
    return re.sub(r"\s+", "", re.sub(r"(?:\.\s*){3,}", "", text))


Page = tuple[int, Sequence[GridCell]]


def compare(predicted: Sequence[Page], true: Sequence[Page], score: Score) -> None:
    """Match tables page by page by the words that they share, best first, and count."""
    pairs = sorted(
        (
            (_shared(p, t), i, j)
            for i, (a, p) in enumerate(predicted)
            for j, (b, t) in enumerate(true)
            if a == b
        ),
        reverse=True,
    )
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for shared, i, j in pairs:
        if shared and i not in matched and j not in taken:
            matched[i] = j
            taken.add(j)
    score.tables.add(len(matched), len(predicted), len(true))
    for i, (_, cells) in enumerate(predicted):
        _count(cells, true[matched[i]][1] if i in matched else (), score)
    for j, (_, cells) in enumerate(true):
        if j not in taken:
            _count((), cells, score)


def _shared(a: Iterable[GridCell], b: Iterable[GridCell]) -> int:
    left, right = (Counter(plain(cell.text) for cell in cells if plain(cell.text)) for cells in (a, b))
    return sum((left & right).values())


def _count(predicted: Sequence[GridCell], true: Sequence[GridCell], score: Score) -> None:
    for tally, items in ((score.cells, _placed), (score.neighbours, _pairs), (score.spans, _spanning)):
        a, b = items(predicted), items(true)
        tally.add(sum((a & b).values()), sum(a.values()), sum(b.values()))


def _placed(cells: Iterable[GridCell]) -> Counter[tuple[int | str, ...]]:
    return Counter((c.row, c.col, plain(c.text)) for c in cells if plain(c.text))


def _spanning(cells: Iterable[GridCell]) -> Counter[tuple[int | str, ...]]:
    return Counter(
        (c.row, c.col, c.rowspan, c.colspan, plain(c.text))
        for c in cells
        if plain(c.text) and (c.rowspan > 1 or c.colspan > 1)
    )


def _pairs(cells: Sequence[GridCell]) -> Counter[tuple[int | str, ...]]:
    found: Counter[tuple[int | str, ...]] = Counter()
    rows: dict[int, list[GridCell]] = {}
    columns: dict[int, list[GridCell]] = {}
    for cell in sorted(cells, key=lambda c: (c.row, c.col)):
        if plain(cell.text):
            for row in range(cell.row, cell.row + cell.rowspan):
                rows.setdefault(row, []).append(cell)
            for column in range(cell.col, cell.col + cell.colspan):
                columns.setdefault(column, []).append(cell)
    for name, lines in (("right", rows), ("down", columns)):
        pairs = {
            (id(a), id(b)): (name, plain(a.text), plain(b.text))
            for line in lines.values()
            for a, b in pairwise(line)
        }
        found.update(pairs.values())
    return found
