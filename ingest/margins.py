"""Margins: which rows stand at the edge of a page, and which of them are running text to leave out.

Three things tell running text: that it repeats at the same place, that its number counts the pages, and,
where a document has too few pages for either, what it says (a page number, a stamp of the site it came from).
A line that none of them marks stays: dropping wrongly is worse than keeping.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from ingest.blocks import Block, Typography
from ingest.cells import Cell, Row
from ingest.records import Box

#: How much of a page's height may be margin, above and below, and of its width at either side.
_BAND, _SIDE = 0.12, 0.09
#: A page number alone may stand further in, if nothing stands further out.
_NUMBER_BAND = 0.2
#: Where a stamp may stand, as a share of the page's height.
_STAMP_BAND = 0.09
#: Rows that the margin has at most, and words of a running title.
_MAX_ROWS, _MAX_WORDS = 4, 14
_ROMAN = r"(?=[ivxl])(?:xl|l?x{0,3})(?:ix|iv|v?i{0,3})|(?=[IVXL])(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_PAGE_NUMBER = re.compile(
    r"(?:(?:page|seite|p[áa]gina|p[áa]g\.?|pg\.?|p\.|s\.|第)\s*)?[-–—|\[(\s·•]*"
    rf"(?:\d{{1,4}}|{_ROMAN}|[A-Z]{{1,2}}-?\d{{1,3}})"
    r"[-–—|\])\s·•]*(?:(?:of|de|von|sur|di|/)\s*\d{1,4})?(?:\s*[页頁ページ]+)?",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_STAMP = re.compile(
    r"\b(?:downloaded\s+(?:from|by|on|at|via|\d)|download(?:ed)?\s+date|digiti[sz]ed\s+by|licensed\s+to\b"
    r"|authori[sz]ed\s+licensed\s+use|electronic\s+copy\s+available|this\s+copy\s+is\s+for\s+personal)"
    r"|^(?:printed|retrieved|accessed)\s+(?:on|from|by)\b|^arXiv:\s*\d{4}\.\d{4,5}",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"(?:https?://|www\.)\S+|[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|int|[a-z]{2})(?:/\S*)?"
)
_RIGHTS = re.compile(
    r"(?:©|\(c\)|copyright\b).*\b(?:19|20)\d\d\b.*|.*\ball rights reserved\.?", re.IGNORECASE
)
_JOURNAL = re.compile(
    r".*\bvol(?:ume|\.)?\s*\d+.*\b(?:no|issue|number|pp?)\b.*\d.*|.*\b(?:19|20)\d\d;\s?\d+.*:\s?\d+.*"
    r"|(?:doi:?\s*|https?://(?:dx\.)?doi\.org/)10\.\d{4,}\S*|e?-?ISSN\b.*",
    re.IGNORECASE,
)
#: A number at an end of a line, apart from the words.
_FIRST, _LAST = re.compile(r"[-–—|\s]*(\d{1,4})(?=\s|$)"), re.compile(r"(?:^|\s)(\d{1,4})[-–—|\s]*$")
#: Documents of fewer pages show no repetition: what a line says must do.
_FEW = 3


def split_edges(rows: Sequence[Row], page: Typography) -> tuple[list[Row], list[Row], list[Row]]:
    """Part the rows at the top and the bottom edge from the body: neither paragraph nor table takes them."""
    height = page.frame.height
    gaps = [b.y0 - a.y1 for a, b in pairwise(rows)]
    apart = 1.6 * max(0.0, median(gaps)) + 0.5 * page.body if gaps else 0.0
    width = max(row.cells[-1].x1 for row in rows) - min(row.cells[0].x0 for row in rows)
    plain = partial(_is_plain, page=page, width=width)
    above = _edge_count(rows, lambda row: row.y1 / height, plain, apart)
    below = _edge_count(rows[::-1], lambda row: 1 - row.y0 / height, plain, apart)
    if above + below >= len(rows):
        return [], list(rows), []
    end = len(rows) - below
    return list(rows[:above]), list(rows[above:end]), list(rows[end:])


def _edge_count(
    rows: Sequence[Row],
    depth: Callable[[Row], float],
    is_plain: Callable[[Row, Row], bool],
    apart: float,
) -> int:
    """Count the rows, from the outside in, up to the last that is set apart from what follows.

    `depth` is how far from the edge a row reaches, as a share of the page.
    """
    count = 0
    for place, (row, after) in enumerate(pairwise(rows[: _MAX_ROWS + 1])):
        number = is_page_number(row)
        if depth(row) > (_NUMBER_BAND if number and not place else _BAND):
            break
        alone = number or bool(_STAMP.search(_text(row)))
        if not alone and not is_numbered(row) and not is_plain(row, after):
            break
        gap = max(after.y0 - row.y1, row.y0 - after.y1)
        if (alone and count == place) or (gap > apart and not _lists_on(row, after)):
            count = place + 1
    return count


def _is_plain(row: Row, after: Row, *, page: Typography, width: float) -> bool:
    """Say whether a row may be a running title: short, no larger than the body, no line of a paragraph."""
    if row.size >= 1.15 * page.body or len(row.cells) > 3 or len(_text(row).split()) > _MAX_WORDS:
        return False
    whole_line = len(row.cells) == 1 and row.cells[0].x1 - row.cells[0].x0 > 0.75 * width
    if whole_line and row.size > 0.93 * page.body:
        return False
    return len(row.cells) == 1 or len(after.cells) == 1


def _lists_on(row: Row, after: Row) -> bool:
    """Say whether the next row ends with a figure at the same place: a table or a list of contents."""
    last, below = row.cells[-1], after.cells[-1]
    figures = last.text[-1:].isdigit() and below.text[-1:].isdigit()
    return figures and abs(last.x1 - below.x1) < 3 and len(after.cells) > 1


def _text(row: Row) -> str:
    return " ".join(cell.text for cell in row.cells)


def says_page_number(text: str) -> bool:
    """Say whether a text is a page number in any form, and not a year."""
    text = " ".join(text.split())
    return bool(_PAGE_NUMBER.fullmatch(text)) and not _YEAR.fullmatch(text)


def is_page_number(row: Row) -> bool:
    """Say whether a row is a page number and nothing else."""
    return says_page_number(_text(row))


def is_numbered(row: Row) -> bool:
    """Say whether a page number stands at one end of a row, well apart from a short rest."""
    cells = row.cells
    if len(cells) < 2 or len(_text(row).split()) > _MAX_WORDS:
        return False
    numbers = [
        cell.text
        for cell, gap in (
            (cells[0], cells[1].x0 - cells[0].x1),
            (cells[-1], cells[-1].x0 - cells[-2].x1),
        )
        if says_page_number(cell.text) and gap > 2.5 * cell.size
    ]
    # Two numbers are those of two pages that face each other, or figures of a table.
    spread = len(numbers) == 2 and all(map(str.isdigit, numbers)) and int(numbers[1]) - int(numbers[0]) == 1
    return bool(numbers) and (spread or _figures(cells) <= 1)


def stands_alone(row: Row) -> bool:
    """Say whether a row is one thing by itself: a page number, alone or beside a title, or a stamp."""
    return is_page_number(row) or is_numbered(row) or bool(_STAMP.search(_text(row)))


def _figures(cells: Sequence[Cell]) -> int:
    return sum(bool(re.fullmatch(r"[$€£(]*\d[\d.,]*[%)]*", cell.text)) for cell in cells)


def running(pages: Sequence[Sequence[Block]]) -> list[set[int]]:
    """Return, for each page, the places of the blocks that are running text."""
    lines = [line for no, page in enumerate(pages) for line in _lines(no, page)]
    dropped = _repeated(lines, len(pages)) | _counting(lines)
    for no, page in enumerate(pages):
        dropped |= {(no, place) for place in _told_by_words(page, dropped, no, few=len(pages) < _FEW)}
    places: list[set[int]] = [set() for _ in pages]
    for no, place in dropped:
        places[no].add(place)
    return places


class _Line(NamedTuple):
    """A short line in the margin of a page, for comparison with those of other pages."""

    page: int
    place: int
    top: bool
    y: float
    size: float
    apart: bool
    text: str


def _lines(no: int, page: Sequence[Block]) -> Iterator[_Line]:
    for place, block in enumerate(page):
        box, element = block.element.box, block.element
        if box is None or element.kind == "table" or len(element.text) > 200:
            continue
        apart = block.edge in {"top", "bottom"}
        if apart or box.y1 < _BAND or box.y0 > 1 - _BAND:
            y = (box.y0 + box.y1) / 2
            yield _Line(no, place, y < 0.5, y, block.size, apart, " ".join(element.text.split()))


def _repeated(lines: Sequence[_Line], pages: int) -> set[tuple[int, int]]:
    """Find what repeats at its place: on three pages or more, on two of a document of at most four.

    What no blank parts from the body must repeat on many of the pages, or be apart on most of its own.
    """
    least = 2 if pages <= 4 else 3
    alike: dict[tuple[str, bool], list[_Line]] = defaultdict(list)
    for line in lines:
        alike["0" if says_page_number(line.text) else line.text.casefold(), line.top].append(line)
    found: set[tuple[int, int]] = set()
    for group in alike.values():
        if len(group) < least:
            continue
        near = _level(group)
        apart = 2 * sum(line.apart for line in near) >= len(near) or len(near) >= 0.3 * pages
        if apart and len({line.page for line in near}) >= least:
            found |= {(line.page, line.place) for line in near}
    return found


def _level(group: Sequence[_Line]) -> list[_Line]:
    """Return those of like lines that stand at one height, in one size."""
    y, size = median(line.y for line in group), median(line.size for line in group)
    return [line for line in group if abs(line.y - y) < 0.02 and line.size < 1.25 * size]


def _counting(lines: Sequence[_Line]) -> set[tuple[int, int]]:
    """Find the lines whose first or last number counts the pages, on three of them at least."""
    counts: dict[tuple[int, bool], list[_Line]] = defaultdict(list)
    for line in lines:
        if len(line.text.split()) > _MAX_WORDS:
            continue
        numbers = {int(n.group(1)) for n in (_FIRST.match(line.text), _LAST.search(line.text)) if n}
        for number in numbers:
            counts[number - line.page, line.top].append(line)
    steady = [near for group in counts.values() if len(group) >= 3 and (near := _level(group))]
    return {
        (line.page, line.place) for near in steady if len({line.page for line in near}) >= 3 for line in near
    }


def _told_by_words(
    page: Sequence[Block], dropped: set[tuple[int, int]], no: int, *, few: bool
) -> Iterator[int]:
    """Yield the edge blocks that say themselves that they are running text, from the outside in.

    Behind a line that stays only stamps go: a letterhead keeps its date.
    """
    body = _body_size(page)
    for edge in ("top", "bottom"):
        places = [i for i, block in enumerate(page) if block.edge == edge]
        stays = False
        for place in places if edge == "top" else reversed(places):
            if (no, place) in dropped:
                continue
            if _is_stamp(page[place], body) or (not stays and _is_running(page[place], body, few=few)):
                yield place
            else:
                stays = True
    for place, block in enumerate(page):
        if block.edge == "side" and _is_side_stamp(block):
            yield place


def _body_size(page: Sequence[Block]) -> float:
    weights = Counter[float]()
    for block in page:
        weights[block.size] += len(block.element.text)
    return weights.most_common(1)[0][0] if weights else 10.0


def _is_stamp(block: Block, body: float) -> bool:
    box, text = block.element.box, block.element.text
    if box is None or block.size > 1.15 * body or len(text) > 200:
        return False
    return _in_margin(box, _STAMP_BAND) and bool(_STAMP.search(text))


def _is_running(block: Block, body: float, *, few: bool) -> bool:
    box, text = block.element.box, " ".join(block.element.text.split())
    if box is None:
        return False
    if says_page_number(text) or (block.numbered and _in_margin(box, 0.1)):
        return few and block.size <= 1.6 * body
    if not _in_margin(box, _STAMP_BAND) or len(text) > 120:
        return False
    if _ADDRESS.fullmatch(text):
        return block.size <= 1.05 * body
    return block.size <= 0.95 * body and bool(_RIGHTS.fullmatch(text) or _JOURNAL.fullmatch(text))


def _is_side_stamp(block: Block) -> bool:
    text = " ".join(block.element.text.split())
    return bool(_STAMP.search(text) or _ADDRESS.fullmatch(text) or says_page_number(text))


def _in_margin(box: Box, share: float) -> bool:
    middle = (box.y0 + box.y1) / 2
    return middle < share or middle > 1 - share


def at_side(box: Box) -> bool:
    """Say whether a box of sideways writing stands in the left or right margin."""
    return box.x1 < _SIDE or box.x0 > 1 - _SIDE
