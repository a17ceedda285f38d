"""Figures: pictures and drawings with the captions beside them and the words that stand in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from ingest.blocks import CAPTION, ENDS_SENTENCE, MARKER, Block, Typography
from ingest.cells import Row
from ingest.columns import is_prose
from ingest.lines import rows_of, segments_of
from ingest.records import Box, Element, Span
from ingest.tables import Table, find_tables
from ingest.words import Rect, Word, page_box, stands_in

#: A caption stands nearer than this to its table or figure, as a share of the page's height.
_TABLE_GAP, _FIGURE_GAP = 0.04, 0.06
#: Where letterheads have their logos.
_MARGIN = 0.15
#: Stands for a picture in which nothing is written: only eyes can tell of it.
WORDLESS = "Picture."
_WORDS_WITHIN = "\nWords in the picture: "
_BEGINS = ("Fig", "FIG", "Chart", "Exhibit", "Abb")
_FIGURE = re.compile(r"(?:Figure|Fig\.?|FIGURE|FIG\.?|Chart|Exhibit|Abbildung|Abb\.)\s*[A-Z]?\d+")


def words_in_figures(
    words: Sequence[Word], pictures: Sequence[Rect], *, width: float, height: float
) -> dict[Rect, list[Word]]:
    """Return the words that stand in each captioned picture or drawing, where they are labels, not prose."""
    if not pictures:
        return {}
    begins = ((w, after) for w, after in pairwise(words) if w.text.startswith(_BEGINS))
    captions = [w for w, after in begins if _FIGURE.match(f"{w.text} {after.text}")]
    found: dict[Rect, list[Word]] = {}
    taken: set[Word] = set()
    for rect in pictures if captions else ():
        if not 0.01 < (rect.x1 - rect.x0) * (rect.y1 - rect.y0) / (width * height) < 0.7:
            continue
        if not any(_is_beside(rect, caption, height) for caption in captions):
            continue
        inside = [w for w in words if stands_in(w, rect) and w not in taken]
        if inside and _are_labels(inside):
            found[rect] = inside
            taken.update(inside)
    return found


def _is_beside(rect: Rect, caption: Word, height: float) -> bool:
    across = rect.x0 - 0.1 * height < caption.x0 < rect.x1
    distance = max(caption.y0 - rect.y1, rect.y0 - caption.y1)
    return across and -caption.size < distance < _FIGURE_GAP * height


def _are_labels(words: Sequence[Word]) -> bool:
    lines = [cell for row in rows_of(segments_of(words)) for cell in row.cells]
    return sum(is_prose(line) and len(line.text) > 32 for line in lines) <= 0.25 * len(lines)


def labels_above(rows: Sequence[Row], caption: int, body: float) -> int:
    """Return from which row on the rows above a figure's caption are labels of a drawing; `caption`: none.

    Drawings made of paths leave only their labels: short, in small type, no line of prose, no table.
    """
    begin = caption
    while begin and _is_label(rows[begin - 1], body) and rows[begin].y0 - rows[begin - 1].y1 < 6 * body:
        begin -= 1
    labels = rows[begin:caption]
    wordy = sum(len(cell.text.split()) for row in labels for cell in row.cells)
    if len(labels) < 3 or wordy > 5 * sum(len(row.cells) for row in labels):
        return caption
    return caption if any(isinstance(part, Table) for part in find_tables(labels)) else begin


def _is_label(row: Row, body: float) -> bool:
    if row.size > 1.02 * body or any(is_prose(cell) and len(cell.text) > 32 for cell in row.cells):
        return False
    text = row.cells[0].text
    return not (MARKER.match(text) or CAPTION.match(text) or ENDS_SENTENCE.search(row.cells[-1].text))


def is_figure_caption(row: Row) -> bool:
    """Say whether a row begins the caption of a figure."""
    text = row.cells[0].text
    return bool(_FIGURE.match(text) and CAPTION.match(text))


def drawing_block(labels: Sequence[Row], page: Typography) -> Block:
    """Return a figure of which only the labels are known."""
    cells = [cell for row in labels for cell in row.cells]
    text = WORDLESS + _WORDS_WITHIN.rstrip()
    spans = []
    for cell in cells:
        spans.append((len(text) + 1, len(text) + 1 + len(cell.text), cell))
        text += " " + cell.text
    element = Element(kind="figure", text=text, spans=page.spans(spans))
    return Block(element=element, size=min(cell.size for cell in cells))


def with_figures(
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
        box = page_box(rect, width, height)
        caption = _caption_of(box, blocks)
        if caption is not None:
            within = [b for b in blocks if b is not caption and b.element.kind != "table" and _holds(box, b)]
            figure = _figure_block(box, caption, [*within, *read])
            blocks = [figure if b is caption else b for b in blocks if not any(b is w for w in within)]
        elif read and not _is_logo(box, read, blocks):
            blocks = inserted(blocks, _figure_block(box, None, read), box)
    return blocks


def new_words(read: Sequence[Word], known: Sequence[Word]) -> list[Word]:
    """Return what OCR read in a picture, without the words that the page has written over it."""
    places = [Rect(w.x0, w.y0, w.x1, w.y1) for w in known] if read else []
    return [word for word in read if not any(stands_in(word, place) for place in places)]


def _is_logo(box: Box, read: Sequence[Block], blocks: Sequence[Block]) -> bool:
    """Say whether a picture in the margin only repeats what the page says in words."""
    if _MARGIN < (box.y0 + box.y1) / 2 < 1 - _MARGIN:
        return False
    said = {word for block in blocks for word in re.findall(r"\w+", block.element.text.casefold())}
    return all(set(re.findall(r"\w+", block.element.text.casefold())) <= said for block in read)


def inserted(blocks: list[Block], new: Block, box: Box) -> list[Block]:
    """Put a block where its region stands: before the first one of its column that begins below its top."""
    for place, block in enumerate(blocks):
        spans = block.element.spans
        beside = any(min(s.box.x1, box.x1) > max(s.box.x0, box.x0) for s in spans)
        if beside and spans[0].box.y0 > box.y0:
            return [*blocks[:place], new, *blocks[place:]]
    return [*blocks, new]


def captioned(blocks: list[Block], table: Block) -> list[Block]:
    """Make the short line right above a table its caption."""
    place = next(i for i, block in enumerate(blocks) if block is table)
    above = blocks[place - 1] if place else None
    if above is None or above.element.kind != "paragraph" or not table.element.spans:
        return blocks
    text, bottom = above.element.text, max(span.box.y1 for span in above.element.spans)
    near = 0 <= min(span.box.y0 for span in table.element.spans) - bottom < _TABLE_GAP
    if not near or len(text.split()) > 14 or ENDS_SENTENCE.search(text):
        return blocks
    blocks[place - 1] = replace(above, element=replace(above.element, kind="caption"))
    return blocks


def _caption_of(box: Box, blocks: Sequence[Block]) -> Block | None:
    near: list[tuple[float, Block]] = []
    for block in blocks:
        around = block.element.box
        if around is None or block.element.kind != "caption":
            continue
        if re.match(r"tab", block.element.text, re.IGNORECASE):
            continue
        if min(box.x1, around.x1) - max(box.x0, around.x0) > 0:
            near.append((max(around.y0 - box.y1, box.y0 - around.y1, 0.0), block))
    distance, nearest = min(near, key=lambda pair: pair[0], default=(1.0, None))
    return nearest if distance < _FIGURE_GAP else None


def _holds(box: Box, block: Block) -> bool:
    return bool(block.element.spans) and all(
        box.x0 <= (s.box.x0 + s.box.x1) / 2 <= box.x1 and box.y0 <= (s.box.y0 + s.box.y1) / 2 <= box.y1
        for s in block.element.spans
    )


def _figure_block(box: Box, caption: Block | None, within: Sequence[Block]) -> Block:
    text = WORDLESS
    spans = [Span(start=0, end=len(text), box=box)]
    for block in (*([caption] if caption else []), *within):
        separator = _WORDS_WITHIN if within and block is within[0] else " "
        offset = len(text) + len(separator)
        text += separator + block.element.text
        spans += [Span(start=s.start + offset, end=s.end + offset, box=s.box) for s in block.element.spans]
    size = (caption or within[0]).size
    return Block(element=Element(kind="figure", text=text, spans=tuple(spans)), size=size)
