"""Words to lines: stretches without a wide gap (segments), and the rows that they stand in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ingest.cells import Cell, Row
from ingest.words import Word, blank, glued

_BULLET = re.compile(r"[•●○▪■◦‣➢➤✓❖–—*·\uf0b7\uf0a7\uf076\uf0d8o-]")
_ORDINAL = re.compile(r"(?:\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)]|\d{1,2}(?:\.\d{1,2}){0,3}\.?|[A-Z]\.)")


def segments_of(words: Sequence[Word]) -> list[Cell]:
    """Group words that follow each other on a line without a wide gap, in the file's own order."""
    segments: list[Cell] = []
    open_words: list[Word] = []
    for word in words:
        if open_words and _follows(open_words[-1], word):
            open_words.append(word)
            continue
        if open_words:
            segments.append(_cell(open_words))
        open_words = [word]
    if open_words:
        segments.append(_cell(open_words))
    return segments


def _follows(last: Word, word: Word) -> bool:
    overlap = min(last.y1, word.y1) - max(last.y0, word.y0)
    if overlap < 0.5 * min(last.y1 - last.y0, word.y1 - word.y0):
        return False
    size = min(last.size, word.size) or 1.0
    return -0.4 * size <= word.x0 - last.x1 <= _widest_space(last.text, word.text) * size


def _widest_space(left: str, right: str) -> float:
    """Widest gap between two words of one cell, in ems: figures stand in columns, words in sentences."""
    # A sign alone opens the next column of figures; one written to its amount may stand in a sentence.
    if right in {"$", "€", "£"} and left[-1:] in "0123456789)%—–":
        return 0.05
    return 0.62 if _figure(left) or _figure(right) else 1.05


def _figure(text: str) -> bool:
    return (
        bool(text)
        and (text[-1].isdigit() or text[-1] in "%)—–$" or text[0] in "$(—–€£")
        and not text[0].isalpha()
    )


def _cell(words: list[Word]) -> Cell:
    return Cell(
        text=glued(words),
        x0=min(w.x0 for w in words),
        y0=min(w.y0 for w in words),
        x1=max(w.x1 for w in words),
        y1=max(w.y1 for w in words),
        size=max(words, key=lambda w: len(w.text)).size,
        bold=all(w.bold for w in words),
    )


def rows_of(segments: Sequence[Cell]) -> list[Row]:
    """Collect segments into lines, top down, left to right; neighbours without a gap are joined."""
    rows: list[list[Cell]] = []
    for segment in sorted(segments, key=lambda s: (s.y0 + s.y1, s.x0)):
        if rows:
            anchor = rows[-1][0]
            overlap = min(anchor.y1, segment.y1) - max(anchor.y0, segment.y0)
            if overlap >= 0.5 * min(anchor.y1 - anchor.y0, segment.y1 - segment.y0):
                rows[-1].append(segment)
                continue
        rows.append([segment])
    return [Row(cells=_touching(sorted(row, key=lambda s: s.x0))) for row in rows]


def _touching(cells: list[Cell]) -> list[Cell]:
    joined: list[Cell] = []
    for cell in cells:
        last = joined[-1] if joined else None
        if last and cell.x0 - last.x1 <= _gap(last, cell) and cell.x0 >= last.x0:
            joined[-1] = joined_cells(last, cell)
        else:
            joined.append(cell)
    return joined


def _gap(left: Cell, right: Cell) -> float:
    return _widest_space(left.text.rsplit(" ", 1)[-1], right.text.split(" ", 1)[0]) * min(
        left.size, right.size
    )


def joined_cells(left: Cell, right: Cell) -> Cell:
    """Return one cell that says both, with a blank between them where the script has blanks."""
    gap = (right.x0 - left.x1) / max(1.0, min(left.size, right.size))
    text = left.text + blank(left.text, right.text, gap=gap) + right.text
    return replace(left.joined(right), text=text)


def joined_markers(row: Row) -> Row:
    """Join a bullet or an ordinal with the text that it introduces: a list item is no table row."""
    cells = row.cells
    if len(cells) >= 2:
        first, second = cells[0], cells[1]
        bullet = _BULLET.fullmatch(first.text)
        ordinal = _ORDINAL.fullmatch(first.text) and second.text[:1].isalpha() and len(cells) == 2
        if (bullet or ordinal) and second.x0 - first.x1 < 6 * second.size:
            return Row(cells=[first.joined(second), *cells[2:]])
    return row


def one_line(row: Row) -> Cell:
    """Join all cells of a row."""
    line = row.cells[0]
    for cell in row.cells[1:]:
        line = joined_cells(line, cell)
    return line


def with_whole_lines(rows: Sequence[Row]) -> list[Row]:
    """Join the pieces of justified lines: between lines that fill the column, wide blanks make no table."""
    if len(rows) < 2:
        return list(rows)
    left, right = min(row.cells[0].x0 for row in rows), max(row.cells[-1].x1 for row in rows)
    joined: list[Row] = []
    place = 0
    while place < len(rows):
        end = place
        while end < len(rows) and _in_pieces(rows[end], left, right):
            end += 1
        beside = [rows[i] for i in (place - 1, end) if 0 <= i < len(rows)]
        if (
            0 < end - place <= 3
            and any(_is_full(row, left, right) for row in beside)
            and not _share_gaps(rows[place:end])
        ):
            joined += [Row(cells=[one_line(row)]) for row in rows[place:end]]
        else:
            joined += rows[place : max(end, place + 1)]
        place = max(end, place + 1)
    return joined


def _is_full(row: Row, left: float, right: float) -> bool:
    (first, *more) = row.cells
    return not more and first.x1 - first.x0 > 0.9 * (right - left) and first.text.count(" ") >= 3


def _in_pieces(row: Row, left: float, right: float) -> bool:
    cells = row.cells
    if len(cells) < 2 or cells[-1].x1 - cells[0].x0 < 0.9 * (right - left):
        return False
    return all(b.x0 - a.x1 < 2.2 * min(a.size, b.size) for a, b in pairwise(cells))


def _share_gaps(rows: Sequence[Row]) -> bool:
    """Say whether gaps stand above each other, as those between columns do."""
    return any(
        min(b.x0, d.x0) > max(a.x1, c.x1)
        for above, below in pairwise(rows)
        for a, b in pairwise(above.cells)
        for c, d in pairwise(below.cells)
    )
