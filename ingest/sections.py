"""Pages for formats that have none: one a top-level section, at most 3,000 characters, nothing to point at.

A slide, a sheet or a chapter is a section as it comes; a flowing text is cut at its highest headings. What is
longer goes on over further pages, cut between elements; an element longer than a page between rows, lines or
sentences. The rows of a table that goes on carry its header rows along.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ingest.errors import TooManyPages
from ingest.grid import html_of
from ingest.records import Element, ElementKind, GridCell, Page

#: Most characters on a page.
ROOM = 3000
_REASON = "The format has no pages; this is a section of its text."
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A block of a file without pages."""

    kind: ElementKind
    text: str = ""
    #: Heading depth from 1; None for anything but a title.
    level: int | None = None
    #: A table's cells, row by row; the text is made of them.
    cells: tuple[GridCell, ...] = ()


def paged(sections: Iterable[Sequence[Piece]], *, max_pages: int, reason: str = _REASON) -> list[Page]:
    """Make the pages of a file, at least one; raises TooManyPages."""
    pages: list[Page] = []
    for elements in _filled(sections):
        if len(pages) == max_pages:
            raise TooManyPages(
                f"The text fills more than {max_pages} pages of {ROOM} characters; "
                "split it or raise PAGEWARDEN_INGEST_MAX_PAGES."
            )
        pages.append(_page(len(pages) + 1, elements, reason))
    return pages or [replace(_page(1, (), "The file holds no text."), flags=("no_text",))]


def split(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Cut a flowing text at its highest headings."""
    top = min((piece.level for piece in pieces if piece.level), default=None)
    section: list[Piece] = []
    for piece in pieces:
        if piece.level is not None and piece.level == top and section:
            yield section
            section = []
        section.append(piece)
    if section:
        yield section


def table_of(rows: Sequence[Sequence[str]], *, heads: int) -> Piece:
    """Make a table of rows of texts; the first `heads` rows head the columns."""
    return Piece(
        kind="table",
        cells=tuple(
            GridCell(row=at, col=col, text=text, header=at < heads)
            for at, row in enumerate(rows)
            for col, text in enumerate(row)
            if text or at < heads
        ),
    )


def _page(no: int, elements: Sequence[Element], reason: str) -> Page:
    return Page(
        no=no,
        width_pt=0.0,
        height_pt=0.0,
        read_by="file",
        reason=reason,
        elements=tuple(elements),
        has_image=False,
    )


def _filled(sections: Iterable[Sequence[Piece]]) -> Iterator[list[Element]]:
    for section in sections:
        page: list[Element] = []
        used = 0
        for element in _elements(section):
            size = len(element.text) + 1
            if page and used + size > ROOM:
                tail: list[Element] = []
                while page and page[-1].kind == "title":
                    tail.insert(0, page.pop())
                if page:
                    yield page
                page, used = tail, sum(len(one.text) + 1 for one in tail)
                if used + size > ROOM:
                    yield page
                    page, used = [], 0
            page.append(element)
            used += size
        if page:
            yield page


def _elements(section: Sequence[Piece]) -> Iterator[Element]:
    for piece in section:
        if piece.kind == "table":
            yield from _tables(piece.cells)
        else:
            level = piece.level if piece.kind == "title" else None
            for part in parts(piece.text, ROOM - 1):
                yield Element(kind=piece.kind, text=part, spans=(), level=level)


def parts(text: str, room: int) -> Iterator[str]:
    """Cut a text into parts of at most `room` characters, between sentences or lines where there are any."""
    if len(text) <= room:
        if text.strip():
            yield text
        return
    at, last = 0, 0
    for match in _SENTENCE_END.finditer(text):
        if match.end() - at > room and last > at:
            yield text[at:last].strip()
            at = last
        while match.start() - at > room:
            cut = text.rfind(" ", at + room // 2, at + room)
            cut = cut if cut > 0 else at + room
            yield text[at:cut].strip()
            at = cut
        last = match.end()
    while at < len(text):
        end = len(text) if len(text) - at <= room else last if at < last <= at + room else at + room
        if text[at:end].strip():
            yield text[at:end].strip()
        at = end


def _tables(cells: Sequence[GridCell]) -> Iterator[Element]:
    """Write a grid as tables that fit on a page each, between rows."""
    rows = [list(row) for _, row in groupby(cells, key=lambda cell: cell.row)]
    heads = [row for row in rows if all(cell.header for cell in row)]
    heads = heads[: len(rows) - 1] if len(rows) > 1 else []
    lines = _Lines(heads)
    head_text = "\n".join(" | ".join(cell.text for cell in row if cell.text) for row in heads)
    if len(head_text) > ROOM // 2:
        head_text, heads = "", []
    taken: list[list[GridCell]] = []
    texts: list[str] = []
    used = len(head_text)
    for row in rows[len(lines.heads) :]:
        text = lines.line(row)
        if texts and used + len(text) + 1 > ROOM - 1:
            yield _table(heads, taken, head_text, texts)
            taken, texts, used = [], [], len(head_text)
        if used + len(text) + 1 > ROOM - 1:
            # A single row longer than a page: its words go on as text.
            yield from (Element(kind="paragraph", text=part, spans=()) for part in parts(text, ROOM - 1))
            continue
        taken.append(row)
        texts.append(text)
        used += len(text) + 1
    if texts:
        yield _table(heads, taken, head_text, texts)


class _Lines:
    """Says rows so that each is understood alone: `label | header: value`."""

    def __init__(self, heads: Sequence[Sequence[GridCell]]) -> None:
        self.heads = heads
        self.names: dict[int, str] = {}
        for row in heads:
            for cell in row:
                for col in range(cell.col, cell.col + min(cell.colspan, 1000)):
                    above = self.names.get(col, "")
                    if cell.text and cell.text != above:
                        self.names[col] = f"{above} {cell.text}".strip()
        #: Cells that reach down into rows to come: column → (last row, text).
        self.hanging: dict[int, tuple[int, str]] = {}

    def line(self, row: Sequence[GridCell]) -> str:
        """Write one row of the body; a cell that spans rows is said in each."""
        at = row[0].row
        said = {col: text for col, (last, text) in self.hanging.items() if at <= last}
        for cell in row:
            said[cell.col] = cell.text
            if cell.rowspan > 1:
                self.hanging[cell.col] = (at + cell.rowspan - 1, cell.text)
        first = min((col for col, text in said.items() if text), default=0)
        return " | ".join(
            self._value(col, " ".join(text.split()), label=col == first)
            for col, text in sorted(said.items())
            if text
        )

    def _value(self, col: int, text: str, *, label: bool) -> str:
        name = self.names.get(col, "")
        figure = re.fullmatch(r"[\s\d.,$€£%()+-]+", text) is not None
        return f"{name}: {text}" if name and (not label or col > 0 or figure) else text


def _table(
    heads: Sequence[Sequence[GridCell]], body: Sequence[Sequence[GridCell]], head_text: str, texts: list[str]
) -> Element:
    rows = [*heads, *body]
    kept = tuple(replace(cell, row=no) for no, row in enumerate(rows) for cell in row)
    text = "\n".join(part for part in (head_text, *texts) if part)
    return Element(kind="table", text=text, spans=(), html=html_of(kept), cells=kept)
