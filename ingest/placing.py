"""From a model's words and a parser's boxes to blocks: the order is the model's, the places the parser's.

Words come from the parser wherever they are the text layer's; where OCR read the page, the model's spelling
stands for a word that it reads otherwise, but never for a number. What is not found on the page is not
evidence and is left out: text by the share found, a picture by having no region. What the model left out is
laid out as ever and comes at its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from ingest.align import (
    LEAST_FOUND,
    Aligner,
    Mark,
    Writing,
    is_number,
    is_word,
    marks_of,
    normal,
    tokens_of,
)
from ingest.filled import Filled, table_element
from ingest.markup import GridText, symbols
from ingest.records import Box, Element, Span
from ingest.structure import Block, Rect, Word, lay_out, stands_in
from ingest.transcribe import Hint, Piece

#: Labels of a drawn chart that must stand on the page for it to be believed.
_LEAST_PRINTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a parser found on a page, in points as shown."""

    width_pt: float
    height_pt: float
    words: tuple[Word, ...]
    #: Pictures of the file, or regions that the layout model takes for figures.
    figures: tuple[Rect, ...] = ()
    #: Whether the words are OCR's: then the model may read a word better.
    by_ocr: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A page put together, and how well the two readings agree."""

    blocks: tuple[Block, ...]
    #: Share of the letters that the model wrote which stand on the page; None where it wrote none.
    found: float | None
    #: Share of the page's words that the model named.
    named: float
    #: Blocks of the model that were left out because the page does not show them.
    left_out: int


def place(pieces: Sequence[Piece], sight: Sight) -> Placed:
    """Find every piece on the page and put the page together."""
    return _Placing(pieces, sight).placed()


class _Placing:
    def __init__(self, pieces: Sequence[Piece], sight: Sight) -> None:
        self.pieces = pieces
        self.sight = sight
        kept = [w for w in sight.words if _on_page(w, sight)]
        self.words = kept
        self.page = tokens_of(kept)
        #: Units of each piece: one, or one for each cell.
        self.units: list[list[int]] = []
        self.marks: list[Mark] = []
        for piece in pieces:
            self._add_units(piece)
        self.aligner = Aligner(self.page, self.marks)
        #: Blocks by piece; the token they begin at orders what is put between them.
        self.blocks: dict[int, Block] = {}

    def placed(self) -> Placed:
        self.aligner.run()
        self._settle()
        found, named = self._agreement()
        for number, piece in enumerate(self.pieces):
            if piece.kind == "table":
                self._place_table(number, piece)
            elif piece.kind not in {"formula", "figure"}:
                self._place_text(number, piece)
        for number, piece in enumerate(self.pieces):
            if piece.kind == "formula":
                self._place_formula(number, piece)
        free = self._place_figures()
        return Placed(
            blocks=tuple(self._in_order(free)),
            found=found,
            named=named,
            left_out=sum(number not in self.blocks for number in range(len(self.pieces))),
        )

    def _add_units(self, piece: Piece) -> None:
        unit = self.units[-1][-1] + 1 if self.units else 0
        # Formulas and pictures are found by other means; they get a unit to hold their tokens.
        texts = (
            [cell.text for cell in piece.grid]
            if piece.grid
            else [piece.text if piece.kind not in {"formula", "figure"} else ""]
        )
        self.units.append(list(range(unit, unit + len(texts))))
        for number, text in enumerate(texts):
            self.marks += marks_of(text, unit + number)

    def _settle(self) -> None:
        """Let go of pieces that are not on the page; their tokens may be others'."""
        for number, piece in enumerate(self.pieces):
            if piece.kind not in {"formula", "figure"} and self._share(number) < LEAST_FOUND:
                for unit in self.units[number]:
                    self.aligner.give_up(unit)
        self.aligner.run_again()

    def _share(self, number: int) -> float:
        """Return the share of a piece's letters that was found."""
        sizes = [self.aligner.letters(unit) for unit in self.units[number]]
        whole = sum(whole for _, whole in sizes)
        return sum(found for found, _ in sizes) / whole if whole else 0.0

    def _agreement(self) -> tuple[float | None, float]:
        sizes = [self.aligner.letters(unit) for units in self.units for unit in units]
        whole = sum(size for _, size in sizes)
        words = [j for j, token in enumerate(self.page) if is_word(token.norm)]
        named = sum(self.aligner.owner[j] is not None for j in words)
        found = sum(size for size, _ in sizes) / whole if whole else None
        return found, named / len(words) if words else 1.0

    def _place_text(self, number: int, piece: Piece) -> None:
        (unit,) = self.units[number]
        js = self.aligner.held(unit)
        if not js:
            return
        text, spans, by_model = self._written(unit, js)
        element = Element(kind=piece.kind, text=text, spans=spans, by_model=by_model)
        bold = all(self.words[self.page[j].word].bold for j in js)
        self.blocks[number] = Block(element=element, size=self._size(js), bold=bold)

    def _written(self, unit: int, js: Sequence[int]) -> tuple[str, tuple[Span, ...], bool]:
        """Write a unit's tokens as text, a span a line; say whether the model's spelling stands in it."""
        writing = self.aligner.written(unit)
        text, spans, by_model = "", list[Span](), False
        for at, j in enumerate(js):
            token, before = self.page[j], js[at - 1] if at else None
            said = self._reading(j, writing)
            by_model = by_model or said is not None
            if j in writing.joined and text.endswith(("-", "\u00ad")):
                text = text[:-1]
                spans[-1] = replace(spans[-1], end=len(text))
            gap = self._gap(before, j, writing)
            begin = len(text) + len(gap)
            text += gap + (said or token.text)
            box = self._box([token.rect])
            # A span holds neighbours only: what lies between two others' words is in no box of theirs.
            if before == j - 1 and self.page[j - 1].line == token.line and gap != "\n":
                spans[-1] = Span(start=spans[-1].start, end=len(text), box=Box.around([spans[-1].box, box]))
            else:
                spans.append(Span(start=begin, end=len(text), box=box))
        return text, tuple(spans), by_model

    def _gap(self, before: int | None, j: int, writing: Writing) -> str:
        """Return what stands between two tokens."""
        if before is None:
            return ""
        if j in writing.breaks:
            return "\n"
        if before == j - 1 and (self.page[j].glued or j in writing.glued):
            return ""
        return "" if j in writing.joined else " "

    def _reading(self, j: int, writing: Writing) -> str | None:
        """Return the model's reading of a token, where it may stand for the parser's."""
        said = writing.read.get(j)
        if said is None or is_number(self.page[j].text):
            return None
        only_spaced = normal(said.replace(" ", "")) == self.page[j].norm
        return said if self.sight.by_ocr or only_spaced else None

    def _size(self, js: Sequence[int]) -> float:
        return median(self.words[self.page[j].word].size for j in js)

    def _place_table(self, number: int, piece: Piece) -> None:
        units = self.units[number]
        self._fill_cells(units, piece.grid)
        js = [j for unit in units for j in self.aligner.held(unit)]
        if js:
            element = table_element(piece.grid, [self._cell(unit) for unit in units])
            self.blocks[number] = Block(element=element, size=self._size(js))

    def _cell(self, unit: int) -> Filled:
        js = self.aligner.held(unit)
        if not js:
            return Filled("", None)
        text, spans, by_model = self._written(unit, js)
        return Filled(" ".join(text.split()), Box.around([span.box for span in spans]), by_model)

    def _fill_cells(self, units: Sequence[int], grid: Sequence[GridText]) -> None:
        """Give cells that were read otherwise what stands in their row and column: the parser's word wins."""
        known = {
            at: self._around(self.aligner.held(unit))
            for at, unit in enumerate(units)
            if self.aligner.held(unit)
        }
        for at, (unit, cell) in enumerate(zip(units, grid, strict=True)):
            if at in known or not cell.text:
                continue
            row = [r for k, r in known.items() if grid[k].row == cell.row and grid[k].rowspan == 1]
            column = [r for k, r in known.items() if grid[k].col == cell.col and grid[k].colspan == 1]
            if not row or not column:
                continue
            top, bottom = min(r.y0 for r in row), max(r.y1 for r in row)
            left, right = min(r.x0 for r in column), max(r.x1 for r in column)
            js = [
                j
                for j, token in enumerate(self.page)
                if self.aligner.owner[j] is None
                and top <= (token.rect.y0 + token.rect.y1) / 2 <= bottom
                and min(right, token.rect.x1) > max(left, token.rect.x0)
            ]
            if js and len(js) <= len(cell.text.split()) + 2:
                self.aligner.claim(unit, js)

    def _place_formula(self, number: int, piece: Piece) -> None:
        """Find a formula by the signs it is written with, in the free stretch that shares most of them."""
        (unit,) = self.units[number]
        wanted = Counter(normal(c) for c in symbols(piece.text))
        best: tuple[float, list[int]] = (0.0, [])
        for stretch in self._free_stretches(self._between(number)):
            for start in range(len(stretch)):
                for end in range(start + 1, min(len(stretch), start + 40) + 1):
                    there = Counter(normal(c) for j in stretch[start:end] for c in self.page[j].text)
                    shared = (wanted & there).total()
                    both = 2 * shared / max(1, wanted.total() + there.total())
                    if both > best[0] and shared >= 2:
                        best = (both, stretch[start:end])
        if best[0] < LEAST_FOUND:
            return
        self.aligner.claim(unit, best[1])
        box = self._box([self.page[j].rect for j in best[1]])
        span = Span(start=0, end=len(piece.text), box=box)
        self.blocks[number] = Block(
            element=Element(kind="formula", text=piece.text, spans=(span,), by_model=True),
            size=self._size(best[1]),
        )

    def _between(self, number: int) -> range:
        """Return the page tokens between the nearest placed pieces before and after one."""
        before = next((self._last(k) for k in range(number - 1, -1, -1) if k in self.blocks), None)
        after = next((self._first(k) for k in range(number + 1, len(self.pieces)) if k in self.blocks), None)
        a, b = (before if before is not None else -1) + 1, after if after is not None else len(self.page)
        return range(a, b) if a < b else range(len(self.page))

    def _free_stretches(self, among: range) -> list[list[int]]:
        stretches: list[list[int]] = [[]]
        for j in among:
            if self.aligner.owner[j] is not None:
                stretches.append([])
            elif len(stretches[-1]) < 200:
                stretches[-1].append(j)
        return [stretch for stretch in stretches if stretch]

    def _place_figures(self) -> list[Rect]:
        """Give each picture its region; return the regions that no picture of the model took."""
        free = list(self.sight.figures)
        figures = [n for n, piece in enumerate(self.pieces) if piece.kind == "figure"]
        drawn = sorted(
            ((self._evidence(n, rect), n, rect) for n in figures for rect in free), key=lambda one: -one[0]
        )
        for evidence, n, rect in drawn:
            if evidence and n not in self.blocks and rect in free:
                self._place_figure(n, rect)
                free.remove(rect)
        for n in figures:
            if n not in self.blocks and free and not self._place_by_labels(n):
                rect = min(free, key=lambda rect: self._distance(n, rect))
                self._place_figure(n, rect)
                free.remove(rect)
            elif n not in self.blocks:
                self._place_by_labels(n)
        return free

    def _evidence(self, number: int, rect: Rect) -> int:
        """Count the words that the model saw in a picture which stand in a region; a hint counts for one."""
        hinted = self._is_hinted(self.pieces[number].hint, rect)
        wanted = {
            m.norm for text in self.pieces[number].printed for m in marks_of(text, 0) if is_word(m.norm)
        }
        return hinted + len(wanted & {token.norm for token in self.page if _middle_in(token.rect, rect)})

    def _is_hinted(self, hint: Hint | None, rect: Rect) -> bool:
        if hint is None:
            return False
        x, y = (rect.x0 + rect.x1) / 2 / self.sight.width_pt, (rect.y0 + rect.y1) / 2 / self.sight.height_pt
        return hint[0] <= x <= hint[2] and hint[1] <= y <= hint[3]

    def _place_figure(self, number: int, rect: Rect) -> None:
        """Make the figure: what the model says lies in the region, the words in it in their own boxes."""
        (unit,) = self.units[number]
        inside = [
            j
            for j, token in enumerate(self.page)
            if self.aligner.owner[j] is None and _middle_in(token.rect, rect)
        ]
        self.aligner.claim(unit, inside)
        self._add_figure(number, self._box([rect]), inside)

    def _add_figure(self, number: int, box: Box, inside: Sequence[int]) -> None:
        text = self.pieces[number].text
        spans = [Span(start=0, end=len(text), box=box)]
        if any(is_word(self.page[j].norm) for j in inside):
            text += "\nWords in the picture: "
            words, more, _ = self._written(self.units[number][0], inside)
            spans += [Span(start=s.start + len(text), end=s.end + len(text), box=s.box) for s in more]
            text += words
        element = Element(kind="figure", text=text, spans=tuple(spans), by_model=True)
        self.blocks[number] = Block(element=element, size=10.0)

    def _place_by_labels(self, number: int) -> bool:
        """Place a drawn chart, of which no list knows a region, around its labels in the text layer."""
        wanted = {
            m.norm for text in self.pieces[number].printed for m in marks_of(text, 0) if is_word(m.norm)
        }
        inside = [
            j for j, token in enumerate(self.page) if self.aligner.owner[j] is None and token.norm in wanted
        ]
        seen = {self.page[j].norm for j in inside}
        if len(seen) < max(_LEAST_PRINTED, 0.5 * len(wanted)):
            return False
        (unit,) = self.units[number]
        self.aligner.claim(unit, inside)
        self._add_figure(number, self._box([self.page[j].rect for j in inside]), inside)
        return True

    def _distance(self, number: int, rect: Rect) -> tuple[float, float]:
        """Say how far a region is from the pieces beside a picture in the model's order."""
        near = [self.blocks[k].element.box for k in (number - 1, number + 1) if k in self.blocks]
        box = self._box([rect])
        gaps = [max(b.y0 - box.y1, box.y0 - b.y1, 0.0) for b in near if b is not None]
        return min(gaps, default=0.0), rect.y0

    def _in_order(self, free: Sequence[Rect]) -> list[Block]:
        """Return the model's order, with what it left out after what the parser has before it."""
        ordered = [(number, 0, block) for number, block in self.blocks.items()]
        for place, (block, j) in enumerate(self._rest(free)):
            holders = {unit: n for n, units in enumerate(self.units) for unit in units if n in self.blocks}
            before = next(
                (
                    holders[owner]
                    for k in range(j - 1, -1, -1)
                    if (owner := self.aligner.owner[k]) is not None and owner in holders
                ),
                -1,
            )
            ordered.append((before, place + 1, block))
        return [block for _, _, block in sorted(ordered, key=lambda one: one[:2])]

    def _rest(self, free: Sequence[Rect]) -> Iterable[tuple[Block, int]]:
        """Lay out the words that the model did not name, each block with its first token."""
        left = {token.word: j for j, token in reversed(list(enumerate(self.page))) if self._is_left(j)}
        first = {id(self.words[w]): j for w, j in left.items()}
        words = [word for place, word in enumerate(self.words) if place in left]
        within = {rect: [w for w in words if stands_in(w, rect)] for rect in free}
        inside = {id(word) for group in within.values() for word in group}
        outside = [j for w, j in sorted(left.items()) if id(self.words[w]) not in inside]
        groups = self._unmixed(outside) or [[]]
        for number, group in enumerate(groups):
            blocks = lay_out(
                [self.words[self.page[j].word] for j in group],
                width=self.sight.width_pt,
                height=self.sight.height_pt,
                pictures=() if number else tuple(free),
                picture_words={} if number else within,
            )
            for block in blocks:
                box = block.element.box
                starts = [first[id(w)] for w in words if box and _middle_of(w, box, self.sight)]
                yield block, min(starts, default=len(self.page))

    def _unmixed(self, js: Sequence[int]) -> list[list[int]]:
        """Part tokens where a line of theirs goes on beyond a word that is somebody's: no box spans that."""
        groups: list[list[int]] = []
        for j in js:
            last = groups[-1][-1] if groups else None
            parted = last is not None and (
                self.page[last].line == self.page[j].line
                and any(self.aligner.owner[k] is not None for k in range(last, j))
            )
            if last is None or parted:
                groups.append([])
            groups[-1].append(j)
        return groups

    def _is_left(self, j: int) -> bool:
        """Say whether a whole word was left out: its parts are not shared out between two blocks."""
        word = self.page[j].word
        near = range(max(0, j - 40), min(len(self.page), j + 40))
        parts = [k for k in near if self.page[k].word == word]
        return all(self.aligner.owner[k] is None for k in parts) and any(
            is_word(self.page[k].norm) for k in parts
        )

    def _first(self, number: int) -> int | None:
        return min((j for unit in self.units[number] for j in self.aligner.held(unit)), default=None)

    def _last(self, number: int) -> int | None:
        return max((j for unit in self.units[number] for j in self.aligner.held(unit)), default=None)

    def _around(self, js: Sequence[int]) -> Rect:
        rects = [self.page[j].rect for j in js]
        return Rect(
            min(r.x0 for r in rects),
            min(r.y0 for r in rects),
            max(r.x1 for r in rects),
            max(r.y1 for r in rects),
        )

    def _box(self, rects: Sequence[Rect]) -> Box:
        width, height = self.sight.width_pt, self.sight.height_pt
        return Box(
            x0=_unit(min(r.x0 for r in rects) / width),
            y0=_unit(min(r.y0 for r in rects) / height),
            x1=_unit(max(r.x1 for r in rects) / width),
            y1=_unit(max(r.y1 for r in rects) / height),
        )


def _unit(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 5)


def _on_page(word: Word, sight: Sight) -> bool:
    x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
    return 0 <= x <= sight.width_pt and 0 <= y <= sight.height_pt


def _middle_in(inner: Rect, rect: Rect) -> bool:
    x, y = (inner.x0 + inner.x1) / 2, (inner.y0 + inner.y1) / 2
    return rect.x0 <= x <= rect.x1 and rect.y0 <= y <= rect.y1


def _middle_of(word: Word, box: Box, sight: Sight) -> bool:
    x, y = (word.x0 + word.x1) / 2 / sight.width_pt, (word.y0 + word.y1) / 2 / sight.height_pt
    return box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1
