"""What tables are found from and come out as: stretches of words on lines, and cells in their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A stretch of words without a wide gap, in points, origin top left."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool = False

    @property
    def rect(self) -> tuple[float, float, float, float]:
        """The cell's rectangle (x0, y0, x1, y1)."""
        return self.x0, self.y0, self.x1, self.y1

    def joined(self, other: Cell) -> Cell:
        """Return one cell that says both, `other` last."""
        return Cell(
            text=f"{self.text} {other.text}",
            x0=min(self.x0, other.x0),
            y0=min(self.y0, other.y0),
            x1=max(self.x1, other.x1),
            y1=max(self.y1, other.y1),
            size=self.size if len(self.text) >= len(other.text) else other.size,
            bold=self.bold and other.bold,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Cells that stand on one line, left to right."""

    cells: list[Cell]

    @property
    def y0(self) -> float:
        """Upper edge of the highest cell."""
        return min(cell.y0 for cell in self.cells)

    @property
    def y1(self) -> float:
        """Lower edge of the lowest cell."""
        return max(cell.y1 for cell in self.cells)

    @property
    def size(self) -> float:
        """Size of the first cell's writing."""
        return self.cells[0].size


class Placed(NamedTuple):
    """A cell in its place in the grid; the rectangle is that of its words."""

    cell: Cell
    row: int
    col: int
    rowspan: int = 1
    colspan: int = 1
    header: bool = False


class Found(NamedTuple):
    """A table as found on a page: its cells in their places, row by row, and the size of its writing."""

    cells: list[Placed]
    size: float
    #: How far each row's label is set in, points.
    indents: list[float]
