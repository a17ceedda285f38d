"""Lines to blocks: which lines are one paragraph, heading, item, caption or footnote, and what it says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Literal

from ingest.cells import Cell, Row
from ingest.lines import one_line
from ingest.records import Element, ElementKind, Span
from ingest.ruled import Stroke
from ingest.words import Frame, Word, blank

#: A part of the margin: what stands there may be running text.
Edge = Literal["top", "bottom", "side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """An element with what only its page's typography knows; the whole document decides on levels."""

    element: Element
    size: float
    bold: bool = False
    #: Set where it stands in the margin, apart from the body.
    edge: Edge | None = None
    #: Whether a page number stands at an end of it, apart from the rest.
    numbered: bool = False


_SIGNS = "•●○▪■□◦‣▸►➢➤✓✔❖·\uf0b7\uf0a7\uf076\uf0d8\uf0fc\x80-\x9f"
#: What an item of a list begins with.
MARKER = re.compile(
    rf"(?:[{_SIGNS}]|[–—*-](?=\s)|\(?(?:\d{{1,2}}|[a-z]|[ivx]{{1,4}})[.)](?=\s)|\[\d{{1,3}}\](?=\s))"
)
_NUMBERED = re.compile(
    r"(?:(?:\d{1,2}\.)*\d{1,2}\.?|[A-Z]\.|(?:PART|Part)\s+[IVX]+\b\.?|(?:ITEM|Item)\s+\d+[A-C]?\.)\s*[A-Z]"
)
CAPTION = re.compile(
    r"(?:Figure|Fig\.|FIGURE|Table|TABLE|Exhibit|Chart|Abbildung|Tabelle|Tableau)\s*[A-Z]?\d+[A-Za-z]?\s*[.:|\-–—)]"
    r"|(?:Figure|Table)\s+\d+(?:\.\d+)?\s+[A-Z]"
)
ENDS_SENTENCE = re.compile(r"[.!?:;。！？：；؟۔।][\"”’)\]」』]*$")
_HYPHENS = ("-", "\u00ad", "\u2010")
#: A footnote's mark: a sign, or a figure that stands raised or runs into the first word.
_NOTE_SIGN = re.compile(r"[*∗†‡§¶]{1,3}\s?\S")
_NOTE_GLUED = re.compile(r"\d{1,2}(?:[A-Z][a-z]|[“\"‘(]\w|[a-z]{3})")
_NOTE_MARK = re.compile(r"(?:\d{1,3}|[*∗†‡§¶]{1,3})$")
#: Footnotes are set smaller than the body by this at least.
_NOTE_SIZE = 0.95
#: No footnote stands higher than this share of the page; without a mark, below a rule, it stands lower.
_NOTE_TOP, _RULED_NOTE_TOP = 0.4, 0.6


@dataclass(slots=True)
class Typography:
    """What the whole page tells about a line: the size of its body, its words, rules and marks."""

    frame: Frame
    turn: int
    body: float = 10.0
    known: set[str] = field(default_factory=set)
    #: Raised figures that a line may begin with.
    raised: list[Word] = field(default_factory=list)
    #: Level lines.
    rules: list[Stroke] = field(default_factory=list)

    @staticmethod
    def of(words: Sequence[Word], frame: Frame, turn: int, strokes: Sequence[Stroke]) -> Typography:
        """Gather it from the words of a page, upright, and its lines."""
        sizes = Counter[float]()
        for word in words:
            sizes[word.size] += len(word.text)
        weights = Counter[float]()
        for size, count in sizes.items():
            weights[round(size * 2) / 2] += count
        return Typography(
            frame=frame,
            turn=turn,
            body=(weights.most_common(1)[0][0] if weights else 0) or 10.0,
            known={word.text.lower().strip(".,;:()") for word in words},
            raised=[w for w, after in pairwise(words) if w.size < 0.85 * after.size and _is_raised(w, after)],
            rules=[s for s in strokes if s.is_level] if turn == 0 else [],
        )

    def spans(self, cells: Sequence[tuple[int, int, Cell]]) -> tuple[Span, ...]:
        """Return where each cell's stretch of a text stands on the page."""
        return tuple(Span(start=a, end=b, box=self.frame.box(*cell.rect)) for a, b, cell in cells)


def _is_raised(word: Word, after: Word) -> bool:
    if len(word.text) > 3 or not _NOTE_MARK.match(word.text):
        return False
    near = -1 < after.x0 - word.x1 < after.size and word.y0 < after.y1 and after.y0 < word.y1
    return near and word.y1 < after.y1


def prose_blocks(lines: Sequence[Cell], page: Typography) -> list[Block]:
    """Group the lines of a column into blocks, in order."""
    if not lines:
        return []
    steps = [b.y1 - a.y1 for a, b in pairwise(lines) if 0.7 < (b.y1 - a.y1) / max(a.size, 1) < 2.2]
    leading = median(steps) if steps else 1.3 * page.body
    right = max(line.x1 for line in lines)
    groups: list[list[Cell]] = []
    for line in lines:
        if groups and not _begins(line, groups[-1], page, leading=leading, right=right):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [_block(group, page) for group in groups]


def _block(lines: list[Cell], page: Typography) -> Block:
    text, spans = _paragraph(lines, page)
    size = median(line.size for line in lines)
    bold = all(line.bold for line in lines)
    kind = _kind(text, lines, page, size=size, bold=bold)
    return Block(element=Element(kind=kind, text=text, spans=spans), size=size, bold=bold)


def _paragraph(lines: Sequence[Cell], page: Typography) -> tuple[str, tuple[Span, ...]]:
    text = ""
    spans: list[Span] = []
    for line in lines:
        text, spans = _appended(text, spans, line.text, page.known)
        begin = len(text) - len(line.text)
        spans.append(Span(start=begin, end=len(text), box=page.frame.box(*line.rect)))
    return text, tuple(spans)


def _appended(text: str, spans: list[Span], more: str, known: set[str]) -> tuple[str, list[Span]]:
    """Go on with the next line: a hyphen that broke a word goes, all else is parted by a blank."""
    if _breaks_word(text, more):
        cut = _without_hyphen(text, more, known)
        if len(cut) < len(text):
            spans = [*spans[:-1], replace(spans[-1], end=len(cut))]
            text = cut
    elif text:
        text += blank(text, more, line_ends=True)
    return text + more, spans


def _breaks_word(text: str, more: str) -> bool:
    return len(text) > 1 and text.endswith(_HYPHENS) and text[-2].isalpha() and more[:1].islower()


def _without_hyphen(text: str, rest: str, known: set[str]) -> str:
    """Drop a hyphen that only broke the line; keep it where the page writes the word with one."""
    head = re.split(r"\s", text)[-1][:-1].lower()
    tail = re.split(r"\s", rest)[0].lower().strip(".,;:()")
    compound = f"{head}-{tail}" in known or {head, tail} <= known
    return text if compound and head + tail not in known else text[:-1]


def _kind(text: str, lines: Sequence[Cell], page: Typography, *, size: float, bold: bool) -> ElementKind:
    if CAPTION.match(text):
        return "caption"
    if page.turn in {0, 180} and len(lines) <= 3 and not text.endswith((",", ";")):
        heading = _heading_kind(text, page, size=size, bold=bold)
        if heading:
            return heading
    return "list" if MARKER.match(text) else "paragraph"


def _heading_kind(text: str, page: Typography, *, size: float, bold: bool) -> ElementKind | None:
    letters, count = sum(c.isalpha() for c in text), len(text.split())
    if not letters or count > 25:
        return None
    if text.endswith(".") and count > 7:
        return "list" if MARKER.match(text) else "paragraph"
    wordy = letters >= 0.5 * len(text.replace(" ", ""))
    if size >= 1.15 * page.body and wordy and (letters > 2 or count > 1):
        return "title"
    short = count <= 14 and not (text.endswith(".") and count > 4)
    shouts = letters > 3 and text.upper() == text and text.lower() != text and size >= 0.9 * page.body
    if short and (bold or shouts) and letters > 2 and not MARKER.match(text):
        return "title"
    return "title" if short and bold and _NUMBERED.match(text) else None


def _begins(line: Cell, block: list[Cell], page: Typography, *, leading: float, right: float) -> bool:
    """Say whether `line` begins a new block after the lines of `block`."""
    last = block[-1]
    step = line.y1 - last.y1
    if step > 1.38 * max(leading, 1.05 * line.size) or step < -0.5 * line.size:
        return True
    if abs(line.size - last.size) > 0.12 * max(line.size, last.size) or line.bold != last.bold:
        return True
    if MARKER.match(line.text) or CAPTION.match(line.text) or is_note_start(line, page):
        return True
    if rule_between(last, line, page.rules):
        return True
    em = max(line.size, 1.0)
    if _is_next_item(line, block, em):
        return True
    ended = bool(ENDS_SENTENCE.search(last.text))
    if line.x0 > last.x0 + 0.8 * em and not MARKER.match(block[0].text):
        return ended or (len(block) > 1 and line.x0 > block[1].x0 + 0.8 * em and last.x1 < right - 4 * em)
    if ended and last.x1 < right - 8 * em and line.text[:1].isupper():
        return True
    # A short line that no word of the next could not have joined ended on purpose.
    first = line.text.split(" ", 1)[0]
    room = right - last.x1
    return room > (len(first) + 12) * 0.5 * em and last.x1 - last.x0 < 0.6 * (right - last.x0)


def _is_next_item(line: Cell, block: Sequence[Cell], em: float) -> bool:
    """Say whether a line begins the next of a list without signs: by hanging indents, or by counting."""
    first = block[0]
    if len(block) > 1 and abs(line.x0 - first.x0) < 0.3 * em and block[-1].x0 > first.x0 + 0.8 * em:
        return True
    counts = [re.match(r"(\d{1,3})\s+\D", cell.text) for cell in (first, line)]
    return bool(counts[0] and counts[1] and int(counts[1].group(1)) == int(counts[0].group(1)) + 1)


def is_note_start(line: Cell, page: Typography) -> bool:
    """Say whether a line of small type begins with a footnote's mark."""
    if line.size > _NOTE_SIZE * page.body:
        return False
    if _NOTE_SIGN.match(line.text) or _NOTE_GLUED.match(line.text):
        return True
    return any(abs(mark.x0 - line.x0) < 1 and mark.y1 > line.y0 and mark.y0 < line.y1 for mark in page.raised)


def rule_between(above: Cell, below: Cell, rules: Sequence[Stroke]) -> bool:
    """Say whether a level line parts two lines of writing."""
    return any(
        above.y1 - 0.1 * above.size <= rule.y0 <= below.y0 + 0.1 * below.size
        and rule.x0 < below.x1
        and rule.x1 > below.x0
        for rule in rules
    )


def continued(blocks: Sequence[Sequence[Block]], known: set[str]) -> list[Block]:
    """Join the columns' blocks; a sentence that goes on at the top of the next column is put together."""
    joined: list[Block] = []
    for column in blocks:
        rest = list(column)
        if joined and rest and _goes_on(joined[-1], rest[0]):
            joined[-1] = _one(joined[-1], rest.pop(0), known)
        joined += rest
    return joined


def _goes_on(last: Block, first: Block) -> bool:
    kinds = last.element.kind in {"paragraph", "list"} and first.element.kind == "paragraph"
    same = abs(last.size - first.size) < 0.04 * last.size and last.bold == first.bold
    text = last.element.text
    if not (kinds and same and len(text) > 40) or ENDS_SENTENCE.search(text):
        return False
    below = first.element.spans[0].box.y0 < last.element.spans[-1].box.y1
    return below and first.element.text[:1].islower()


def _one(last: Block, first: Block, known: set[str]) -> Block:
    text, spans = _appended(last.element.text, list(last.element.spans), first.element.text, known)
    offset = len(text) - len(first.element.text)
    spans += [replace(s, start=s.start + offset, end=s.end + offset) for s in first.element.spans]
    return replace(last, element=replace(last.element, text=text, spans=tuple(spans)))


def notes_from(rows: Sequence[Row], page: Typography) -> int:
    """Return from which row on a column is footnotes; the count of its rows where it has none.

    A footnote is small type at the foot of its column with nothing but footnotes below, and begins with a
    mark or stands below a short rule. Small type alone makes none.
    """
    begin = len(rows)
    if not rows:
        return 0
    width = max(row.cells[-1].x1 for row in rows) - min(row.cells[0].x0 for row in rows)
    for place in range(len(rows) - 1, -1, -1):
        line = rows[place].cells[0]
        if len(rows[place].cells) > 1 or line.size > _NOTE_SIZE * page.body:
            break
        if line.y0 < _NOTE_TOP * page.frame.height:
            break
        above = rows[place - 1].y1 if place else 0.0
        ruled = line.y0 > _RULED_NOTE_TOP * page.frame.height and any(
            _heads(rule, line, above, width) for rule in page.rules
        )
        if ruled or is_note_start(line, page):
            begin = place
    return begin


def _heads(rule: Stroke, line: Cell, above: float, width: float) -> bool:
    """Say whether a short rule stands right above a line, with nothing between."""
    near = above - 1 <= rule.y0 <= line.y0 + 0.2 * line.size and line.y0 - rule.y0 < 2.5 * line.size
    return near and abs(rule.x0 - line.x0) < 2 * line.size and rule.x1 - rule.x0 < 0.65 * width


def footnotes(rows: Sequence[Row], page: Typography) -> list[Block]:
    """Return the footnotes that these rows hold, one block each."""
    blocks = prose_blocks([one_line(row) for row in rows], page)
    return [replace(block, element=replace(block.element, kind="footnote")) for block in blocks]
