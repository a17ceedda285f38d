"""Currency, bracket and percent signs that stand in a column of their own, as filings set them.

`$` belongs to the figure on its right, `)` and `%` to the one on its left; the columns become one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from ingest.cells import Placed

OPENING = re.compile(r"(?:US|C|A)?[$€£¥]\s*\(?|\(")
CLOSING = re.compile(r"[)%*†]+|\)\s*%|bps|pts\.?|ppts?|x")


def glued(cells: Sequence[Placed]) -> list[Placed]:
    """Join the columns of signs with those of their figures; cells that meet in one place are one."""
    group = _groups(cells)
    made: dict[tuple[int, int], Placed] = {}
    for cell in sorted(cells, key=lambda c: (c.row, c.col)):
        start, end = group[cell.col], group[cell.col + cell.colspan - 1]
        last = made.get((cell.row, start))
        if last is None:
            made[cell.row, start] = cell._replace(col=start, colspan=end - start + 1)
        else:
            wide = max(last.colspan, end - start + 1)
            made[cell.row, start] = last._replace(cell=last.cell.joined(cell.cell), colspan=wide)
    return list(made.values())


def _groups(cells: Sequence[Placed]) -> list[int]:
    """Return for each column the number of the one that it becomes part of."""
    columns: dict[int, dict[int, str]] = defaultdict(dict)
    width = 0
    for cell in cells:
        width = max(width, cell.col + cell.colspan)
        if cell.colspan == cell.rowspan == 1:
            columns[cell.col][cell.row] = cell.cell.text.strip()
    joins = {column for column in range(width - 1) if _belong_together(columns[column], columns[column + 1])}
    group = [0] * width
    for column in range(1, width):
        group[column] = group[column - 1] + (column - 1 not in joins)
    return group


def _belong_together(left: dict[int, str], right: dict[int, str]) -> bool:
    """Say whether one of two columns holds the other's signs: some, and nothing else beside a figure."""
    opening = [row for row, text in left.items() if OPENING.fullmatch(text)]
    closing = [row for row, text in right.items() if CLOSING.fullmatch(text)]
    both = left.keys() & right.keys()
    if opening and len(opening) >= 0.5 * len(left):
        return all(row in opening for row in both) and any(row in right for row in opening)
    if closing and len(closing) >= 0.5 * len(right):
        return all(row in closing for row in both) and any(row in left for row in closing)
    return False
