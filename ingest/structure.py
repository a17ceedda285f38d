"""From words with boxes to what a page says: columns, headings, paragraphs, lists, tables, in reading order.

No vendor and no file in here: a PDF's text layer and a scan's OCR come through the same rules. Words become
segments (stretches without a wide gap), segments become columns where prose stands side by side (the gutters
of an XY-cut, Nagy 1992, but only those that cut no table), and rows of a column become blocks; `tables.py`
finds tables by alignment.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from ingest.cells import Cell, Found, Row
from ingest.continued import joined
from ingest.grid import table_of
from ingest.records import Box, Element, ElementKind, GridCell, Span
from ingest.ruled import Ruled, Stroke, ruled_tables
from ingest.tables import find_tables, placed


class Rect(NamedTuple):
    """A rectangle in points as shown, origin top left."""

    x0: float
    y0: float
    x1: float
    y1: float


class Word(NamedTuple):
    """What stands between two spaces (or, from OCR, a line of it), in points as shown."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool = False
    #: Clockwise turn of the writing against the page as shown: 0, 90, 180 or 270 degrees.
    turn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """An element with what only its page's typography knows; the whole document decides on levels."""

    element: Element
    size: float
    bold: bool = False


_LEADER = re.compile(r"[.·…_‥-]{4,}|[.…]{3}")
_BULLET = re.compile(r"[•●○▪■◦‣➢➤✓❖–—*·\uf0b7o-]")
_MARKER = re.compile(r"(?:[•●○▪■◦‣➢➤✓❖·\uf0b7]|[–—*-](?=\s)|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)](?=\s))")
_ORDINAL = re.compile(r"(?:\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)]|\d{1,2}(?:\.\d{1,2}){0,3}\.?|[A-Z]\.)")
_NUMBERED = re.compile(
    r"(?:(?:\d{1,2}\.)*\d{1,2}\.?|[A-Z]\.|(?:PART|Part)\s+[IVX]+\b\.?|(?:ITEM|Item)\s+\d+[A-C]?\.)\s*[A-Z]"
)
_CAPTION = re.compile(
    r"(?:Figure|Fig\.|FIGURE|Table|TABLE|Exhibit|Chart|Abbildung|Tabelle|Tableau)\s*[A-Z]?\d+[A-Za-z]?\s*[.:|\-–—)]"
    r"|(?:Figure|Table)\s+\d+(?:\.\d+)?\s+[A-Z]"
)
_PAGE_NUMBER = re.compile(
    r"(?:page\s*|p\.\s*|[-–—|\s]*)?(?:\d{1,4}|[ivxlc]{1,6}|[A-Z]-?\d{1,3})"
    r"(?:\s*(?:of|/)\s*\d{1,4})?[-–—|\s]*",
    re.IGNORECASE,
)
#: A caption stands nearer than this to its table, as a share of the page's height.
_CAPTION_GAP = 0.04
_ENDS_SENTENCE = re.compile(r"[.!?:;][\"”’)\]]*$")


def lay_out(
    words: Sequence[Word],
    *,
    width: float,
    height: float,
    pictures: Sequence[Rect] = (),
    picture_words: Mapping[Rect, Sequence[Word]] | None = None,
    strokes: Sequence[Stroke] = (),
) -> list[Block]:
    """Turn a page's words into blocks in reading order; sideways writing comes after the upright.

    Every word ends up in exactly one block, dot leaders excepted. `picture_words` are those that OCR read
    in a picture; they become part of its figure. `strokes` are the page's lines: they rule tables.
    """
    ruled, frame = _ruled(strokes, words, width, height)
    held = {place for table in ruled for place in table.held}
    words = [word for place, word in enumerate(words) if place not in held]
    blocks: list[Block] = []
    turns = Counter(word.turn for word in words)
    for turn, _ in turns.most_common():
        upright, frame = _upright([word for word in words if word.turn == turn], turn, width, height)
        blocks += _Layout(frame, turn).blocks(upright)
    for table in ruled:
        block = _table_block(table.found, frame.box)
        blocks = _captioned(_inserted(blocks, block, frame.box(*table.rect)), block)
    inner = {
        rect: lay_out(found, width=width, height=height)
        for rect, found in (picture_words or {}).items()
        if found
    }
    return _with_figures(blocks, pictures, inner, width, height)


def _ruled(
    strokes: Sequence[Stroke], words: Sequence[Word], width: float, height: float
) -> tuple[list[Ruled], _Frame]:
    """Find the ruled tables of a page as most of its writing is read: a table may lie on its side."""
    weights = Counter[int]()
    for word in words:
        weights[word.turn] += len(word.text)
    main = weights.most_common(1)[0][0] if weights else 0
    upright, frame = _upright(words, main, width, height)
    upright = [word._replace(turn=(word.turn - main) % 360) for word in upright]
    if main:
        ends = [Word("", *stroke, size=0.0) for stroke in strokes]
        strokes = [Stroke(w.x0, w.y0, w.x1, w.y1) for w in _upright(ends, main, width, height)[0]]
    return ruled_tables(strokes, upright), frame


def _table_block(found: Found, box: Callable[[float, float, float, float], Box]) -> Block:
    cells = [
        GridCell(
            row=place.row,
            col=place.col,
            rowspan=place.rowspan,
            colspan=place.colspan,
            text=place.cell.text,
            box=box(*place.cell.rect),
            header=place.header,
        )
        for place in sorted(found.cells, key=lambda place: (place.row, place.col))
    ]
    return Block(element=table_of(cells, indents=found.indents), size=found.size)


def finish(pages: Sequence[Sequence[Block]]) -> list[tuple[Element, ...]]:
    """Drop running headers, footers and page numbers, and rank headings by size, over the whole document."""
    running = _running(pages)
    kept = [[block for block in page if _edge_key(block) not in running] for page in pages]
    sizes = Counter[tuple[float, bool]]()
    for page in kept:
        for block in page:
            if block.element.kind == "title":
                sizes[_rank_key(block)] += 1
    # Near-equal sizes are one level; six levels are all that anybody tells apart.
    ranks = {key: min(place, 6) for place, key in enumerate(sorted(sizes, reverse=True), start=1)}
    return joined(
        [
            tuple(
                replace(block.element, level=ranks[_rank_key(block)])
                if block.element.kind == "title"
                else block.element
                for block in page
            )
            for page in kept
        ]
    )


def _rank_key(block: Block) -> tuple[float, bool]:
    return round(block.size), block.bold


def _edge_key(block: Block) -> tuple[str, bool, str] | None:
    """Name what a block at the edge of a page says, digits aside; None for a block in the middle."""
    spans = block.element.spans
    if not spans or block.element.kind == "table" or len(block.element.text) > 200:
        return None
    top = max(span.box.y1 for span in spans) < 0.12
    bottom = min(span.box.y0 for span in spans) > 0.88
    if not (top or bottom):
        return None
    text = " ".join(block.element.text.split())
    if _PAGE_NUMBER.fullmatch(text):
        return "number", top, ""
    return "text", top, re.sub(r"\d+", "0", text)


def _running(pages: Sequence[Sequence[Block]]) -> set[tuple[str, bool, str] | None]:
    """Find what repeats at the edges: on three pages or more, on two of a document of at most four."""
    seen = Counter[tuple[str, bool, str]]()
    for page in pages:
        seen.update({key for block in page if (key := _edge_key(block)) is not None})
    least = 2 if len(pages) <= 4 else 3
    return {key for key, count in seen.items() if count >= least}


class _Frame(NamedTuple):
    width: float
    height: float
    box: Callable[[float, float, float, float], Box]


def _upright(words: Sequence[Word], turn: int, width: float, height: float) -> tuple[list[Word], _Frame]:
    """Turn words so that they read left to right, with the way back for their boxes."""

    def page_box(x0: float, y0: float, x1: float, y1: float) -> Box:
        return Box(x0=_unit(x0 / width), y0=_unit(y0 / height), x1=_unit(x1 / width), y1=_unit(y1 / height))

    if turn == 90:  # reads downwards: x runs down the page, y runs to the left
        moved = [w._replace(x0=w.y0, y0=width - w.x1, x1=w.y1, y1=width - w.x0) for w in words]
        return moved, _Frame(height, width, lambda a, b, c, d: page_box(width - d, a, width - b, c))
    if turn == 180:
        moved = [
            w._replace(x0=width - w.x1, y0=height - w.y1, x1=width - w.x0, y1=height - w.y0) for w in words
        ]
        return moved, _Frame(
            width, height, lambda a, b, c, d: page_box(width - c, height - d, width - a, height - b)
        )
    if turn == 270:  # reads upwards
        moved = [w._replace(x0=height - w.y1, y0=w.x0, x1=height - w.y0, y1=w.x1) for w in words]
        return moved, _Frame(height, width, lambda a, b, c, d: page_box(b, height - c, d, height - a))
    return list(words), _Frame(width, height, page_box)


def _unit(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 5)


class _Layout:
    """One page's upright writing on its way to blocks."""

    def __init__(self, frame: _Frame, turn: int) -> None:
        self.frame = frame
        self.turn = turn
        self.known: set[str] = set()
        self.body = 10.0

    def blocks(self, words: list[Word]) -> list[Block]:
        words = [word for word in words if not _LEADER.fullmatch(word.text)]
        if not words:
            return []
        self.known = {word.text.lower().strip(".,;:()") for word in words}
        weights = Counter[float]()
        for word in words:
            weights[round(word.size * 2) / 2] += len(word.text)
        self.body = weights.most_common(1)[0][0] or 10.0
        segments = [segment for row in rows_of(_segments(words)) for segment in row.cells]
        blocks: list[Block] = []
        for region in _regions(segments):
            blocks += self._region(region)
        return blocks

    def _region(self, segments: list[Cell]) -> list[Block]:
        rows = [_joined_markers(row) for row in rows_of(segments)]
        blocks: list[Block] = []
        lines: list[Cell] = []
        for part in find_tables(rows):
            if isinstance(part, Row):
                lines.append(_one_line(part))
                continue
            blocks += self._prose(lines)
            lines = []
            blocks.append(_table_block(placed(part), self.frame.box))
        return blocks + self._prose(lines)

    def _prose(self, lines: list[Cell]) -> list[Block]:
        if not lines:
            return []
        steps = [b.y1 - a.y1 for a, b in pairwise(lines) if 0.7 < (b.y1 - a.y1) / max(a.size, 1) < 2.2]
        leading = median(steps) if steps else 1.3 * self.body
        right = max(line.x1 for line in lines)
        groups: list[list[Cell]] = []
        for line in lines:
            if groups and not _begins(line, groups[-1], leading=leading, right=right):
                groups[-1].append(line)
            else:
                groups.append([line])
        return [self._block(group) for group in groups]

    def _block(self, lines: list[Cell]) -> Block:
        text, spans = self._paragraph(lines)
        size = median(line.size for line in lines)
        bold = all(line.bold for line in lines)
        kind = self._kind(text, lines, size=size, bold=bold)
        return Block(element=Element(kind=kind, text=text, spans=spans), size=size, bold=bold)

    def _paragraph(self, lines: list[Cell]) -> tuple[str, tuple[Span, ...]]:
        text = ""
        spans: list[Span] = []
        for line in lines:
            start = line.text
            if (
                text.endswith(("-", "\u00ad"))
                and len(text) > 1
                and text[-2].isalpha()
                and start[:1].islower()
            ):
                cut = self._without_hyphen(text, start)
                if len(cut) < len(text):
                    spans[-1] = replace(spans[-1], end=len(cut))
                    text = cut
            elif text:
                text += " "
            begin = len(text)
            text += start
            spans.append(Span(start=begin, end=len(text), box=self.frame.box(*line.rect)))
        return text, tuple(spans)

    def _without_hyphen(self, text: str, rest: str) -> str:
        """Drop a hyphen that only broke the line; keep it where the page writes the word with one."""
        head = re.split(r"\s", text)[-1][:-1].lower()
        tail = re.split(r"\s", rest)[0].lower().strip(".,;:()")
        compound = f"{head}-{tail}" in self.known or {head, tail} <= self.known
        return text if compound and head + tail not in self.known else text[:-1]

    def _kind(self, text: str, lines: list[Cell], *, size: float, bold: bool) -> ElementKind:
        count = len(text.split())
        letters = [c for c in text if c.isalpha()]
        if _CAPTION.match(text):
            return "caption"
        if (
            self.turn in {0, 180}
            and letters
            and len(lines) <= 3
            and count <= 25
            and not text.endswith((",", ";"))
        ):
            if text.endswith(".") and count > 7:
                return "list" if _MARKER.match(text) else "paragraph"
            if size >= 1.15 * self.body and (len(letters) > 2 or count > 1):
                return "title"
            short = count <= 14 and not (text.endswith(".") and count > 4)
            shouts = (
                len(letters) > 3 and text.upper() == text and text.lower() != text and size >= 0.9 * self.body
            )
            if short and (bold or shouts) and (len(letters) > 2) and not _MARKER.match(text):
                return "title"
            if short and bold and _NUMBERED.match(text):
                return "title"
        if _MARKER.match(text):
            return "list"
        return "paragraph"


def _begins(line: Cell, block: list[Cell], *, leading: float, right: float) -> bool:
    """Say whether `line` begins a new block after the lines of `block`."""
    last = block[-1]
    step = line.y1 - last.y1
    if step > 1.38 * max(leading, 1.05 * line.size) or step < -0.5 * line.size:
        return True
    if abs(line.size - last.size) > 0.12 * max(line.size, last.size) or line.bold != last.bold:
        return True
    if _MARKER.match(line.text) or _CAPTION.match(line.text):
        return True
    em = max(line.size, 1.0)
    ended = bool(_ENDS_SENTENCE.search(last.text))
    if line.x0 > last.x0 + 0.8 * em and not _MARKER.match(block[0].text):
        return ended or (len(block) > 1 and line.x0 > block[1].x0 + 0.8 * em and last.x1 < right - 4 * em)
    if ended and last.x1 < right - 8 * em and line.text[:1].isupper():
        return True
    # A short line that no word of the next could not have joined ended on purpose.
    first = line.text.split(" ", 1)[0]
    room = right - last.x1
    return room > (len(first) + 12) * 0.5 * em and last.x1 - last.x0 < 0.6 * (right - last.x0)


def _segments(words: list[Word]) -> list[Cell]:
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
    if right[:1] in "$€£" and left[-1:] in "0123456789)%—–":
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
        text=" ".join(word.text for word in words),
        x0=min(w.x0 for w in words),
        y0=min(w.y0 for w in words),
        x1=max(w.x1 for w in words),
        y1=max(w.y1 for w in words),
        size=max(words, key=lambda w: len(w.text)).size,
        bold=all(w.bold for w in words),
    )


def rows_of(segments: list[Cell]) -> list[Row]:
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
            joined[-1] = last.joined(cell)
        else:
            joined.append(cell)
    return joined


def _gap(left: Cell, right: Cell) -> float:
    return _widest_space(left.text.rsplit(" ", 1)[-1], right.text.split(" ", 1)[0]) * min(
        left.size, right.size
    )


def _joined_markers(row: Row) -> Row:
    """Join a bullet or an ordinal with the text that it introduces: a list item is no table row."""
    cells = row.cells
    if len(cells) >= 2:
        first, second = cells[0], cells[1]
        bullet = _BULLET.fullmatch(first.text)
        ordinal = _ORDINAL.fullmatch(first.text) and second.text[:1].isalpha() and len(cells) == 2
        if (bullet or ordinal) and second.x0 - first.x1 < 6 * second.size:
            return Row(cells=[first.joined(second), *cells[2:]])
    return row


def _one_line(row: Row) -> Cell:
    line = row.cells[0]
    for cell in row.cells[1:]:
        line = line.joined(cell)
    return line


def _regions(segments: list[Cell], depth: int = 0) -> list[list[Cell]]:
    """Cut where prose stands side by side; each region is read from top to bottom before the next."""
    gutter = _gutter(segments) if depth < 3 and len(segments) >= 8 else None
    if gutter is None:
        return [segments] if segments else []
    regions: list[list[Cell]] = []
    whole: list[Cell] = []
    for band, crosses in _bands(segments, gutter):
        left = [s for s in band if s.x1 <= gutter + 2]
        right = [s for s in band if s.x1 > gutter + 2]
        if crosses or not _is_columned(left, right, gutter):
            whole += band
            continue
        if whole:
            regions += _regions(whole, depth + 1)
            whole = []
        regions += _regions(left, depth + 1) + _regions(right, depth + 1)
    if whole:
        regions += _regions(whole, depth + 1) if len(whole) < len(segments) else [whole]
    return regions


def _is_columned(left: list[Cell], right: list[Cell], gutter: float) -> bool:
    """Prose on both sides, or something on one side only, or prose that fills its side beside a table."""
    if not left or not right:
        return sum(_prosy(s) for s in left or right) >= 2
    prosy_left, prosy_right = sum(map(_prosy, left)), sum(map(_prosy, right))
    if prosy_left >= max(2, 0.4 * len(left)) and prosy_right >= max(2, 0.4 * len(right)):
        return True
    width = gutter - min(cell.x0 for cell in left)
    return _fills(left, width) or _fills(right, max(cell.x1 for cell in right) - gutter)


def _fills(side: list[Cell], width: float) -> bool:
    prose = [cell for cell in side if _prosy(cell)]
    full = sum(cell.x1 - cell.x0 > 0.88 * width for cell in prose)
    return len(prose) >= 5 and full >= 0.6 * len(side)


def _bands(segments: list[Cell], gutter: float) -> list[tuple[list[Cell], bool]]:
    bands: list[tuple[list[Cell], bool]] = []
    for segment in sorted(segments, key=lambda s: s.y0 + s.y1):
        crosses = segment.x0 < gutter - 2 and segment.x1 > gutter + 2
        if bands and bands[-1][1] == crosses:
            bands[-1][0].append(segment)
        else:
            bands.append(([segment], crosses))
    return bands


def _prosy(segment: Cell) -> bool:
    text = segment.text
    letters = sum(c.isalpha() for c in text)
    return (text.count(" ") >= 3 or len(text) >= 24) and letters > 0.6 * len(text.replace(" ", ""))


def _gutter(segments: list[Cell]) -> float | None:
    """Find the x that parts two columns of prose: few lines cross it and many stand beside each other."""
    prose = [s for s in segments if _prosy(s)]
    if len(prose) < 6:
        return None
    x0, x1 = min(s.x0 for s in prose), max(s.x1 for s in prose)
    width = x1 - x0
    starts = Counter(round(s.x0 / 3) for s in prose if x0 + 0.18 * width < s.x0 < x0 + 0.85 * width)
    best, best_score = None, 0.0
    for start, _ in starts.most_common(5):
        gutter = start * 3 - 4.0
        left = [s for s in prose if s.x1 <= gutter + 2]
        right = [s for s in prose if s.x0 >= gutter - 2]
        crossing = len(prose) - len(left) - len(right)
        if min(len(left), len(right)) < 3 or not _side_by_side(left, right):
            continue
        score = min(len(left), len(right)) - 0.8 * crossing
        if score > best_score and _filled(left) and _filled(right):
            best, best_score = gutter, score
    return best


def _side_by_side(left: list[Cell], right: list[Cell]) -> bool:
    top, bottom = (
        max(min(s.y0 for s in left), min(s.y0 for s in right)),
        min(max(s.y1 for s in left), max(s.y1 for s in right)),
    )
    both = [s for s in (*left, *right) if s.y1 > top and s.y0 < bottom]
    return len(both) >= 6


def _filled(side: list[Cell]) -> bool:
    """Lines of prose fill their column; labels of a table end anywhere."""
    x0, x1 = min(s.x0 for s in side), max(s.x1 for s in side)
    return median(s.x1 - s.x0 for s in side) >= 0.55 * (x1 - x0)


def _with_figures(
    blocks: list[Block],
    pictures: Sequence[Rect],
    inner: Mapping[Rect, Sequence[Block]],
    width: float,
    height: float,
) -> list[Block]:
    """Bind a picture to the caption beside it, and to the words that stand in it."""
    area = width * height
    for rect in pictures:
        read = inner.get(rect, ())
        if not read and not 0.02 * area < (rect.x1 - rect.x0) * (rect.y1 - rect.y0) < 0.85 * area:
            continue
        box = _page_box(rect, width, height)
        caption = _caption_of(box, blocks)
        if caption is not None:
            within = [b for b in blocks if b is not caption and b.element.kind != "table" and _holds(box, b)]
            figure = _figure_block(box, caption, [*within, *read])
            blocks = [figure if b is caption else b for b in blocks if not any(b is w for w in within)]
        elif read:
            blocks = _inserted(blocks, _figure_block(box, None, read), box)
    return blocks


def _inserted(blocks: list[Block], new: Block, box: Box) -> list[Block]:
    """Put a block where its region stands: before the first one of its column that begins below its top."""
    for place, block in enumerate(blocks):
        spans = block.element.spans
        beside = any(min(s.box.x1, box.x1) > max(s.box.x0, box.x0) for s in spans)
        if beside and spans[0].box.y0 > box.y0:
            return [*blocks[:place], new, *blocks[place:]]
    return [*blocks, new]


def _captioned(blocks: list[Block], table: Block) -> list[Block]:
    """Make the short line right above a table its caption."""
    place = next(i for i, block in enumerate(blocks) if block is table)
    above = blocks[place - 1] if place else None
    if above is None or above.element.kind != "paragraph" or not table.element.spans:
        return blocks
    text, bottom = above.element.text, max(span.box.y1 for span in above.element.spans)
    near = 0 <= min(span.box.y0 for span in table.element.spans) - bottom < _CAPTION_GAP
    if not near or len(text.split()) > 14 or _ENDS_SENTENCE.search(text):
        return blocks
    blocks[place - 1] = replace(above, element=replace(above.element, kind="caption"))
    return blocks


def _page_box(rect: Rect, width: float, height: float) -> Box:
    return Box(
        x0=_unit(rect.x0 / width),
        y0=_unit(rect.y0 / height),
        x1=_unit(rect.x1 / width),
        y1=_unit(rect.y1 / height),
    )


def lay_out_regions(
    words: Sequence[Word],
    tables: Sequence[Rect],
    *,
    width: float,
    height: float,
    pictures: Mapping[Rect, Sequence[Word]],
) -> list[Block]:
    """Lay a scan out whose tables are known by region, each apart from the prose beside it."""
    groups = [[word for word in words if stands_in(word, rect)] for rect in tables]
    outside = [word for word in words if not any(stands_in(word, rect) for rect in tables)]
    blocks = lay_out(outside, width=width, height=height, pictures=tuple(pictures), picture_words=pictures)
    for rect, group in zip(tables, groups, strict=True):
        box = _page_box(rect, width, height)
        for block in lay_out(group, width=width, height=height):
            blocks = _inserted(blocks, block, Box.around([span.box for span in block.element.spans] or [box]))
    return blocks


def stands_in(word: Word, rect: Rect) -> bool:
    """Say whether the middle of `word` lies in `rect`."""
    x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
    return rect.x0 <= x <= rect.x1 and rect.y0 <= y <= rect.y1


def _caption_of(box: Box, blocks: Sequence[Block]) -> Block | None:
    near: list[tuple[float, Block]] = []
    for block in blocks:
        if block.element.kind == "caption" and not re.match(r"tab", block.element.text, re.IGNORECASE):
            around = Box.around([span.box for span in block.element.spans])
            if min(box.x1, around.x1) - max(box.x0, around.x0) > 0:
                distance = max(around.y0 - box.y1, box.y0 - around.y1, 0.0)
                near.append((distance, block))
    distance, nearest = min(near, key=lambda pair: pair[0], default=(1.0, None))
    return nearest if distance < 0.06 else None


def _holds(box: Box, block: Block) -> bool:
    return bool(block.element.spans) and all(
        box.x0 <= (s.box.x0 + s.box.x1) / 2 <= box.x1 and box.y0 <= (s.box.y0 + s.box.y1) / 2 <= box.y1
        for s in block.element.spans
    )


def _figure_block(box: Box, caption: Block | None, within: Sequence[Block]) -> Block:
    text = "Picture."
    spans = [Span(start=0, end=len(text), box=box)]
    for block in (*([caption] if caption else []), *within):
        separator = "\nWords in the picture: " if within and block is within[0] else " "
        offset = len(text) + len(separator)
        text += separator + block.element.text
        spans += [Span(start=s.start + offset, end=s.end + offset, box=s.box) for s in block.element.spans]
    size = (caption or within[0]).size
    return Block(element=Element(kind="figure", text=text, spans=tuple(spans)), size=size)
