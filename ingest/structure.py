"""From words with boxes to what a page says: columns, headings, paragraphs, lists, tables, in reading order.

No vendor and no file in here: a PDF's text layer and a scan's OCR come through the same rules. Words
(`words`) become lines (`lines`), lines columns (`columns`), and the rows of a column tables (`ruled`,
`tables`) and blocks (`blocks`); what stands in the margin is kept apart (`margins`), and so is what stands in
a figure (`figures`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ingest.blocks import Block as Block
from ingest.blocks import Edge, Typography, continued, footnotes, notes_from, prose_blocks
from ingest.cells import Cell, Found, Row
from ingest.columns import regions_of
from ingest.continued import joined
from ingest.figures import (
    captioned,
    drawing_block,
    inserted,
    is_figure_caption,
    labels_above,
    new_words,
    with_figures,
    words_in_figures,
)
from ingest.grid import table_of
from ingest.lines import joined_markers, one_line, rows_of, segments_of, with_whole_lines
from ingest.margins import at_side, is_numbered, is_page_number, running, split_edges, stands_alone
from ingest.records import Box, Element, GridCell
from ingest.ruled import Ruled, Stroke, ruled_tables
from ingest.tables import find_tables, placed
from ingest.words import (
    Frame,
    composed,
    lowered,
    mirrored,
    mirrored_box,
    mirrored_rect,
    page_box,
    reads_from_right,
    upright,
)
from ingest.words import Rect as Rect
from ingest.words import Word as Word
from ingest.words import stands_in as stands_in

_LEADER = re.compile(r"[.·…_‥-]{4,}|[.…]{3}")
_NUMBERING = re.compile(r"\d{1,2}(?:\.\d{1,2})*")


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

    Every word ends up in exactly one block, dot leaders and what is drawn twice excepted. `picture_words` are
    those that OCR read in a picture; they become part of its figure. `strokes` are the page's lines: they
    rule tables.
    """
    words = lowered(_once(words))
    found = picture_words or {}
    if not reads_from_right([*words, *(word for group in found.values() for word in group)]):
        return _lay_out(words, width, height, pictures, found, strokes)
    blocks = _lay_out(
        mirrored(words, width),
        width,
        height,
        [mirrored_rect(rect, width) for rect in pictures],
        {mirrored_rect(rect, width): mirrored(group, width) for rect, group in found.items()},
        [Stroke(width - s.x1, s.y0, width - s.x0, s.y1) for s in strokes],
    )
    return [_back_from_mirror(block) for block in blocks]


def _once(words: Sequence[Word]) -> list[Word]:
    """Spell words one way and leave out those that are drawn a second time over themselves (bold by hand)."""
    spelt = [w if w.text.isascii() else w._replace(text=composed(w.text)) for w in words]
    spelt = [word for word in spelt if word.text]
    # Few pages have any: a coarse look spares the careful one.
    if len({(w.text, int(w.x0 / 4), int(w.y0 / 4)) for w in spelt}) == len(spelt):
        return spelt
    kept: list[Word] = []
    # Two grids, half a square apart: what lies close together shares a square of one or the other.
    last: dict[tuple[str, int, int, int], Word] = {}
    for word in spelt:
        x, y, near = word.x0 / 4, word.y0 / 4, 0.2 * word.size
        one, other = (word.text, 0, int(x), int(y)), (word.text, 1, int(x + 0.5), int(y + 0.5))
        twin = last.get(one) or last.get(other)
        if twin and twin.size == word.size and abs(twin.x0 - word.x0) + abs(twin.y0 - word.y0) < near:
            continue
        last[one] = last[other] = word
        kept.append(word)
    return kept


def _back_from_mirror(block: Block) -> Block:
    element = block.element
    spans = tuple(replace(span, box=mirrored_box(span.box)) for span in element.spans)
    cells = tuple(replace(cell, box=mirrored_box(cell.box)) if cell.box else cell for cell in element.cells)
    return replace(block, element=replace(element, spans=spans, cells=cells))


def _lay_out(
    words: Sequence[Word],
    width: float,
    height: float,
    pictures: Sequence[Rect],
    picture_words: Mapping[Rect, Sequence[Word]],
    strokes: Sequence[Stroke],
) -> list[Block]:
    labels = words_in_figures(words, pictures, width=width, height=height)
    taken = {word for group in labels.values() for word in group}
    words = [word for word in words if word not in taken] if taken else words
    ruled, whole = _ruled(strokes, words, width, height)
    held = {place for table in ruled for place in table.held}
    loose = [word for place, word in enumerate(words) if place not in held]
    blocks: list[Block] = []
    turns = Counter(word.turn for word in loose)
    for turn, _ in turns.most_common():
        turned, frame = upright([word for word in loose if word.turn == turn], turn, width, height)
        made = _Layout(frame, turn).blocks(turned, strokes)
        blocks += made if turn == turns.most_common(1)[0][0] else [_sideways(block) for block in made]
    for table in ruled:
        block = _table_block(table.found, whole.box)
        blocks = captioned(inserted(blocks, block, whole.box(*table.rect)), block)
    inner = {
        rect: lay_out(
            [*labels.get(rect, ()), *new_words(picture_words.get(rect, ()), words)],
            width=width,
            height=height,
        )
        for rect in {**labels, **picture_words}
    }
    return with_figures(blocks, pictures, {r: b for r, b in inner.items() if b}, width, height)


def _sideways(block: Block) -> Block:
    box = block.element.box
    return replace(block, edge="side") if box is not None and at_side(box) else replace(block, edge=None)


def _ruled(
    strokes: Sequence[Stroke], words: Sequence[Word], width: float, height: float
) -> tuple[list[Ruled], Frame]:
    """Find the ruled tables of a page as most of its writing is read: a table may lie on its side."""
    weights = Counter[int]()
    for word in words:
        weights[word.turn] += len(word.text)
    main = weights.most_common(1)[0][0] if weights else 0
    turned, frame = upright(words, main, width, height)
    turned = [word._replace(turn=(word.turn - main) % 360) for word in turned]
    if main:
        ends = [Word("", *stroke, size=0.0) for stroke in strokes]
        strokes = [Stroke(w.x0, w.y0, w.x1, w.y1) for w in upright(ends, main, width, height)[0]]
    return ruled_tables(strokes, turned), frame


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
    """Drop running headers, footers and page numbers, and rank headings, over the whole document."""
    kept = [
        [block for place, block in enumerate(page) if place not in dropped]
        for page, dropped in zip(pages, running(pages), strict=True)
    ]
    titles = {_rank_key(block) for page in kept for block in page if block.element.kind == "title"}
    # Near-equal sizes are one level; six levels are all that anybody tells apart.
    ranks = {key: min(place, 6) for place, key in enumerate(sorted(titles, reverse=True), start=1)}
    levelled = [
        tuple(
            replace(block.element, level=ranks[_rank_key(block)])
            if block.element.kind == "title"
            else block.element
            for block in page
        )
        for page in kept
    ]
    return joined(levelled)


def _rank_key(block: Block) -> tuple[float, bool, int]:
    """Rank by size, then weight, then by how deep the number goes: 1.2.3 stands below 1.2."""
    number = _NUMBERING.match(block.element.text)
    return round(block.size), block.bold, -number.group().count(".") if number else 0


class _Layout:
    """One page's upright writing on its way to blocks."""

    def __init__(self, frame: Frame, turn: int) -> None:
        self.frame = frame
        self.turn = turn
        self.page = Typography(frame=frame, turn=turn)

    def blocks(self, words: list[Word], strokes: Sequence[Stroke] = ()) -> list[Block]:
        words = [word for word in words if not _LEADER.fullmatch(word.text)]
        if not words:
            return []
        self.page = Typography.of(words, self.frame, self.turn, strokes)
        rows = rows_of(segments_of(words))
        above, body, below = split_edges(rows, self.page)
        low, below = self._low_notes(body, below)
        columns: list[list[Block]] = []
        notes: list[Block] = []
        for region in regions_of([segment for row in body for segment in row.cells]):
            lines = with_whole_lines([joined_markers(row) for row in rows_of(region)])
            end = notes_from(lines, self.page) if not is_page_number(lines[-1]) else len(lines)
            columns.append(self._column(lines[:end]))
            notes += footnotes(lines[end:], self.page)
        middle = continued(columns, self.page.known) + notes + footnotes(low, self.page)
        return [*self._edge(above, "top"), *middle, *self._edge(below, "bottom")]

    def _low_notes(self, body: Sequence[Row], below: list[Row]) -> tuple[list[Row], list[Row]]:
        """Part the rows of the lower margin into footnotes and the rest: a short page has its notes there."""
        end = len(below)
        while end and stands_alone(below[end - 1]):
            end -= 1
        begin = max(0, notes_from([*body, *below[:end]], self.page) - len(body))
        return below[begin:end], [*below[:begin], *below[end:]]

    def _edge(self, rows: Sequence[Row], edge: Edge) -> list[Block]:
        """Make blocks of the rows of a margin, page numbers and stamps each their own."""
        groups: list[list[Row]] = []
        for row in rows:
            if groups and not stands_alone(row) and not stands_alone(groups[-1][-1]):
                groups[-1].append(row)
            else:
                groups.append([row])
        return [
            replace(block, edge=edge, numbered=is_numbered(group[0]))
            for group in groups
            for block in prose_blocks([one_line(row) for row in group], self.page)
        ]

    def _column(self, rows: Sequence[Row]) -> list[Block]:
        """Make a column's blocks; what stands above a figure's caption may be a drawing's labels."""
        blocks: list[Block] = []
        begin = 0
        for place, row in enumerate(rows):
            if not is_figure_caption(row):
                continue
            labels = max(begin, labels_above(rows, place, self.page.body))
            if labels < place:
                blocks += self._region(rows[begin:labels])
                blocks.append(drawing_block(rows[labels:place], self.page))
                begin = place
        return blocks + self._region(rows[begin:])

    def _region(self, rows: Sequence[Row]) -> list[Block]:
        blocks: list[Block] = []
        lines: list[Cell] = []
        for part in find_tables(rows):
            if isinstance(part, Row):
                lines.append(one_line(part))
                continue
            blocks += prose_blocks(lines, self.page)
            lines = []
            blocks.append(_table_block(placed(part), self.page.frame.box))
        return blocks + prose_blocks(lines, self.page)


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
        box = page_box(rect, width, height)
        for block in lay_out(group, width=width, height=height):
            blocks = inserted(blocks, block, Box.around([span.box for span in block.element.spans] or [box]))
    return blocks
