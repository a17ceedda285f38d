"""Pages of our own for formats that have none: pieces set in type, so that every citation can be shown.

Drawn with Pillow's built-in font (Aileron, Latin, Greek and Cyrillic in part); a character that it lacks is
drawn as a hollow box, while the element's text keeps it. Boxes are exact by construction: the same pass that
draws a line writes its span. A slide or a sheet begins a new page; a wide table widens its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from ingest.elements import Piece
from ingest.errors import TooLarge
from ingest.grid import Line, grid_html, write_grid
from ingest.records import Box, Element, Page, Span

#: Pixels a point: pages are drawn at 120 dpi.
_SCALE = 120 / 72
_WIDTH, _HEIGHT = 595.0, 842.0
_MARGIN, _FOOT = 56.0, 48.0
_WIDEST = 4 * _WIDTH
_BODY, _SMALL = 10.5, 8.5
_SIZES = {1: 20.0, 2: 15.5, 3: 13.0, 4: 11.5, 5: 11.0, 6: 11.0}
_INK, _HEAD_INK, _GREY = (28, 31, 38), (15, 40, 80), (140, 146, 156)
_RULE, _SHADE = (205, 210, 218), (238, 242, 248)
_PAD = 4.0
_BULLET = re.compile(r"^(?:[•●○▪◦–*-]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A page that was set, and its image."""

    page: Page
    picture: Image.Image


@dataclass(frozen=True, slots=True)
class _Words:
    """A stretch of a text on one line."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class _Cell:
    """A table cell on its way to the page."""

    text: str
    lines: list[_Words] = field(default_factory=list)
    box: Box | None = None


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size * _SCALE)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


@lru_cache(maxsize=4096)
def _drawable(character: str) -> bool:
    """Say whether the font has a glyph: one that it lacks looks like the glyph of an unassigned code."""
    if character.isascii() or character.isspace():
        return True
    font = _font(20)
    return bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))


def _shown(text: str) -> str:
    return "".join(c if _drawable(c) else "□" if _drawable("□") else "?" for c in text)


def _width(text: str, size: float) -> float:
    return _font(size).getlength(text) / _SCALE


def typeset(sections: Sequence[Sequence[Piece]], *, name: str, max_pages: int) -> Iterator[Sheet]:
    """Set sections on pages, each section from a new page on; pages count from 1.

    Raises TooLarge beyond `max_pages`.
    """
    no = 0
    for section in sections:
        for sheet in _Setter(section, name=name, first_no=no + 1).pages():
            no += 1
            if no > max_pages:
                raise TooLarge(
                    f"The file fills more than {max_pages} pages; "
                    "split it or raise PAGEWARDEN_INGEST_MAX_PAGES."
                )
            yield sheet


def blank(name: str) -> Sheet:
    """Set the one empty page of a file that holds no text."""
    sheet = _Setter((), name=name, first_no=1).sheet()
    return Sheet(page=replace(sheet.page, reason="The file holds no text."), picture=sheet.picture)


class _Setter:
    """Sets one section: a cursor that runs down a page, and the elements that it leaves behind."""

    def __init__(self, section: Sequence[Piece], *, name: str, first_no: int) -> None:
        self.section = section
        self.name = name
        self.no = first_no
        needed = max((_natural_width(piece) for piece in section if piece.rows), default=0.0)
        self.width = (
            min(_WIDEST, max(_WIDTH, needed + 2 * _MARGIN)) if needed > _WIDTH - 2 * _MARGIN else _WIDTH
        )
        self._blank()

    def _blank(self) -> None:
        size = (round(self.width * _SCALE), round(_HEIGHT * _SCALE))
        self.picture = Image.new("RGB", size, "white")
        self.pen = ImageDraw.Draw(self.picture)
        self.elements: list[Element] = []
        self.y = _MARGIN

    @property
    def room(self) -> float:
        """Points left above the bottom margin."""
        return _HEIGHT - _MARGIN - self.y

    def pages(self) -> Iterator[Sheet]:
        """Set every piece and yield the pages as they fill."""
        for piece in self.section:
            yield from self._table(piece) if piece.rows else self._prose(piece)
        if self.elements:
            yield self.sheet()

    def sheet(self) -> Sheet:
        """Close the page with its foot, and open the next one."""
        foot = f"{_shown(self.name)[:90]}  ·  {self.no}"
        self._write(foot, _MARGIN, _HEIGHT - _FOOT, _SMALL, _GREY)
        page = Page(
            no=self.no,
            width_pt=self.width,
            height_pt=_HEIGHT,
            read_by="file",
            reason="The format has no pages; its text was set on pages of our own.",
            elements=tuple(self.elements),
        )
        sheet = Sheet(page=page, picture=self.picture)
        self.no += 1
        self._blank()
        return sheet

    def _write(
        self, text: str, x: float, y: float, size: float, ink: tuple[int, int, int], *, bold: bool = False
    ) -> None:
        stroke = 0.35 if bold else 0.0
        self.pen.text((x * _SCALE, y * _SCALE), _shown(text), fill=ink, font=_font(size), stroke_width=stroke)

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        return Box(
            x0=round(min(1.0, x0 / self.width), 5),
            y0=round(min(1.0, y0 / _HEIGHT), 5),
            x1=round(min(1.0, x1 / self.width), 5),
            y1=round(min(1.0, y1 / _HEIGHT), 5),
        )

    def _prose(self, piece: Piece) -> Iterator[Sheet]:
        title = piece.kind == "title"
        size = _SIZES[piece.level or 2] if title else _BODY
        indent = 16.0 if piece.kind == "list" else 0.0
        # Wide pages are for tables; lines of prose stay as long as the eye likes them.
        lines = _wrap(piece.text, size, min(self.width, _WIDTH) - 2 * _MARGIN - indent)
        step = size * (1.25 if title else 1.42)
        before = size * 0.7 if title and self.elements else 0.0
        needed = before + step * len(lines) + (3 * _BODY if title else 0.0)
        if self.elements and needed > self.room and needed < 0.5 * _HEIGHT:
            yield self.sheet()
        self.y += before if self.elements else 0.0
        while lines:
            count = max(1, int(self.room / step))
            now, lines = lines[:count], lines[count:]
            self._lines(piece, now, x=_MARGIN + indent, size=size, step=step)
            if lines:
                yield self.sheet()
        self.y += size * (0.35 if title else 0.2 if piece.kind == "list" else 0.6)

    def _lines(self, piece: Piece, lines: Sequence[_Words], *, x: float, size: float, step: float) -> None:
        title = piece.kind == "title"
        offset, spans = lines[0].start, []
        if piece.kind == "list" and offset == 0 and not _BULLET.match(piece.text):
            middle = (self.y + size * 0.62) * _SCALE
            self.pen.ellipse([(x - 10) * _SCALE, middle - 3, (x - 10) * _SCALE + 6, middle + 3], fill=_INK)
        for line in lines:
            self._write(line.text, x, self.y, size, _HEAD_INK if title else _INK, bold=title)
            if line.end > line.start:
                box = self._box(x, self.y, x + _width(_shown(line.text), size), self.y + size * 1.2)
                spans.append(Span(start=line.start - offset, end=line.end - offset, box=box))
            self.y += step
        text = piece.text[offset : lines[-1].end]
        self.elements.append(Element(kind=piece.kind, text=text, spans=tuple(spans), level=piece.level))

    def _table(self, piece: Piece) -> Iterator[Sheet]:
        size = _SMALL if len(piece.rows[0]) > 6 else 9.5
        widths = _column_widths(piece.rows, size, self.width - 2 * _MARGIN)
        grid = [[_Cell(text) for text in row] for row in piece.rows]
        heights = [_wrap_row(row, widths, size, self._tallest()) for row in grid]
        heads, head_height = grid[: piece.heads], sum(heights[: piece.heads])
        place = piece.heads
        while place < len(grid):
            if self.elements and head_height + heights[place] > self.room:
                yield self.sheet()
            top = place
            used = head_height
            while place < len(grid) and (used + heights[place] <= self.room or place == top):
                used += heights[place]
                place += 1
            self._part(heads, grid[top:place], [*heights[: piece.heads], *heights[top:place]], widths, size)
            self.y += 0.8 * _BODY

    def _tallest(self) -> float:
        return _HEIGHT - 2 * _MARGIN - 60

    def _part(
        self,
        heads: list[list[_Cell]],
        body: list[list[_Cell]],
        heights: list[float],
        widths: list[float],
        size: float,
    ) -> None:
        for cell in (cell for row in heads for cell in row):
            cell.box = None
        for place, (row, height) in enumerate(zip([*heads, *body], heights, strict=True)):
            self._row(row, widths, height, size, head=place < len(heads))
        head_lines = [_line(row) for row in heads]
        body_lines = [_line(row) for row in body]
        names = [
            " ".join(row[i].text for row in heads if row[i].text).replace("|", "/")
            for i in range(len(widths))
        ]
        text, spans = write_grid(head_lines, body_lines, names)
        boxed = tuple(Span(start=a, end=b, box=cell.box) for a, b, cell in spans if cell.box is not None)
        html = grid_html(head_lines, body_lines)
        if text:
            self.elements.append(Element(kind="table", text=text, spans=boxed, html=html))

    def _row(self, row: list[_Cell], widths: list[float], height: float, size: float, *, head: bool) -> None:
        x, step = _MARGIN, size * 1.3
        for cell, width in zip(row, widths, strict=True):
            frame = [x * _SCALE, self.y * _SCALE, (x + width) * _SCALE, (self.y + height) * _SCALE]
            self.pen.rectangle(frame, outline=_RULE, fill=_SHADE if head else None)
            y, right = self.y + _PAD, x
            for line in cell.lines:
                self._write(line.text, x + _PAD, y, size, _HEAD_INK if head else _INK, bold=head)
                right = max(right, x + _PAD + _width(_shown(line.text), size))
                y += step
            if cell.text:
                cell.box = self._box(
                    x + _PAD, self.y + _PAD, min(right, x + width), max(y - 0.1 * size, self.y + _PAD + 1)
                )
            x += width
        self.y += height


def _line(row: Sequence[_Cell]) -> Line[_Cell]:
    return [cell if cell.text else None for cell in row]


def _wrap(text: str, size: float, width: float) -> list[_Words]:
    """Break a text into lines of at most `width` points; line breaks in it are kept, long words are cut."""
    lines: list[_Words] = []
    start = 0
    for paragraph in text.split("\n"):
        lines += _wrap_line(text, start, start + len(paragraph), size, width) or [_Words(start, start, "")]
        start += len(paragraph) + 1
    return lines


def _wrap_line(text: str, start: int, end: int, size: float, width: float) -> list[_Words]:
    lines: list[_Words] = []
    begin, last = start, start
    for word in re.compile(r"\S+").finditer(text, start, end):
        if last > begin and _width(_shown(text[begin : word.end()]), size) > width:
            lines.append(_Words(begin, last, text[begin:last]))
            begin = word.start()
        last = word.end()
        while _width(_shown(text[begin:last]), size) > width and last - begin > 1:
            cut = _fitting(text[begin:last], size, width)
            lines.append(_Words(begin, begin + cut, text[begin : begin + cut]))
            begin += cut
    if last > begin:
        lines.append(_Words(begin, last, text[begin:last]))
    return lines


def _fitting(word: str, size: float, width: float) -> int:
    """Return how many characters of a long word fit, at least one."""
    low, high = 1, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _width(_shown(word[:middle]), size) <= width else (low, middle - 1)
    return low


def _wrap_row(row: Sequence[_Cell], widths: Sequence[float], size: float, tallest: float) -> float:
    """Wrap a row's cells and return its height; a cell taller than a page is cut in the drawing only."""
    step = size * 1.3
    for cell, width in zip(row, widths, strict=True):
        cell.lines = (
            _wrap(cell.text, size, max(12.0, width - 2 * _PAD))[: int(tallest / step)] if cell.text else []
        )
    return step * max((len(cell.lines) for cell in row), default=1) + 2 * _PAD


def _natural_width(piece: Piece) -> float:
    """Width at which a table's columns are comfortable: no cell wraps before 26 characters."""
    size = _SMALL if len(piece.rows[0]) > 6 else 9.5
    return sum(_comfort(piece.rows, i, size) for i in range(len(piece.rows[0])))


def _comfort(rows: Sequence[Sequence[str]], column: int, size: float) -> float:
    longest = max((len(row[column]) for row in rows[:200]), default=1)
    return min(longest, 26) * size * 0.56 + 2 * _PAD + 6


def _column_widths(rows: Sequence[Sequence[str]], size: float, room: float) -> list[float]:
    """Share the room out: what a column needs at least, then by how much text it holds."""
    count = len(rows[0])
    least = [_comfort(rows, i, size) for i in range(count)]
    if sum(least) >= room:
        return [width * room / sum(least) for width in least]
    wanted = [
        max((_width(_shown(row[i][:200]), size) for row in rows[:200]), default=0.0) + 2 * _PAD + 4
        for i in range(count)
    ]
    if sum(wanted) <= room:
        return wanted
    spare, hunger = room - sum(least), [max(0.0, w - m) for w, m in zip(wanted, least, strict=True)]
    return [m + spare * h / max(1.0, sum(hunger)) for m, h in zip(least, hunger, strict=True)]
