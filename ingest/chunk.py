"""Elements to chunks: what is retrieved, cited and read at once.

A chunk is a part of one page. It cuts no table row, no list item and no sentence (unless one alone is longer
than a chunk), and every span keeps its box. A heading stays with what follows it; below it, it is carried in
`heading`, which has no place on the page and therefore is never part of `text`. A table's header needs no
repeating: each row already reads `label | header: value`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ingest.records import Chunk, Element, ElementKind, Moment, Page, Span, chunk_id

#: Counts the embedder's tokens of each text.
Count = Callable[[Sequence[str]], list[int]]

#: A section shorter than a quarter of a chunk goes on over the next heading: slides and forms have many.
_SMALL = 0.25
#: Longer titles are sentences that only look like headings: they are text, but head nothing.
_MAX_HEADING_CHARS = 160
_STANDS_ALONE = ("table", "figure")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """An element or a part of one that goes into a chunk whole."""

    kind: ElementKind
    text: str
    spans: tuple[Span, ...]
    tokens: int
    level: int | None = None
    #: Whether it goes on with an element whose beginning another piece holds.
    goes_on: bool = False
    moments: tuple[Moment, ...] = ()


@dataclass(slots=True)
class _Open:
    """A chunk in the making."""

    heading: str
    pieces: list[_Piece] = field(default_factory=list)
    #: The headings above the titles that it ends with, for when these move on to what they head.
    tail_heading: str = ""

    def take(self, unit: Sequence[_Piece], heading: str) -> None:
        """Append a unit that stands below `heading`."""
        if not self.pieces or self.pieces[-1].kind != "title":
            self.tail_heading = heading
        self.pieces += unit

    def next(self, heading: str) -> _Open:
        """Open the chunk after this one; titles at the end of this one go with it."""
        tail: list[_Piece] = []
        while self.pieces[-1].kind == "title":
            tail.insert(0, self.pieces.pop())
        return _Open(self.tail_heading if tail else heading, tail)

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)

    @property
    def has_body(self) -> bool:
        return any(piece.kind != "title" for piece in self.pieces)


def chunk_pages(
    pages: Iterable[Page], *, document_id: str, revision: str, recipe: str, max_tokens: int, count: Count
) -> list[Chunk]:
    """Cut pages into chunks of about `max_tokens`, in reading order; headings carry over page borders."""
    headings = _Headings()
    chunks: list[Chunk] = []
    for page in pages:
        if page.start_s is not None:
            # A heading on one slide of a film heads nothing of what is shown after it.
            headings = _Headings()
        units = _bound(_pieces(page.elements, max_tokens=max_tokens, count=count))
        for made in _packed(units, headings, max_tokens=max_tokens):
            text, spans, moments = _joined(made.pieces)
            start_s, end_s = _seconds(made.pieces, page)
            place = len(chunks)
            chunks.append(
                Chunk(
                    id=chunk_id(
                        document_id=document_id,
                        revision=revision,
                        recipe=recipe,
                        page_no=page.no,
                        place=place,
                    ),
                    document_id=document_id,
                    revision=revision,
                    page_no=page.no,
                    kind=_kind(made.pieces),
                    text=text,
                    spans=spans,
                    heading=made.heading,
                    start_s=start_s,
                    end_s=end_s,
                    moments=moments,
                )
            )
    return chunks


def _seconds(pieces: Sequence[_Piece], page: Page) -> tuple[float | None, float | None]:
    """Return what stretch of a scene a chunk is about: when its words are said, all of it where shown."""
    said = [moment for piece in pieces for moment in piece.moments]
    below = [piece for piece in pieces if piece.kind != "title"]
    if page.start_s is None or not said or not all(piece.moments for piece in below):
        return page.start_s, page.end_s
    return round(said[0].start_s, 2), round(said[-1].end_s, 2)


def indexed_text(chunk: Chunk, *, document_name: str) -> str:
    """Return what both legs of the search find a chunk by: document and headings name what it is about."""
    name = re.sub(r"[_\W]+", " ", PurePosixPath(document_name).stem).strip()
    return "\n".join(part for part in (name, chunk.heading, chunk.text) if part)


class _Headings:
    """The headings above the reading point, outermost first."""

    def __init__(self) -> None:
        self._stack: list[tuple[int, str]] = []

    def __str__(self) -> str:
        return " > ".join(text for _, text in self._stack)

    def meet(self, title: _Piece) -> None:
        """Go below `title`: it ends every section of its level and deeper."""
        text = " ".join(title.text.split())
        level = title.level or 1
        if len(text) <= _MAX_HEADING_CHARS:
            self._stack = [*(above for above in self._stack if above[0] < level), (level, text)]


def _pieces(elements: Sequence[Element], *, max_tokens: int, count: Count) -> list[_Piece]:
    """Cut what is longer than a chunk; empty elements fall out."""
    cut: list[tuple[Element, int, int]] = []
    for element, tokens in zip(elements, count([element.text for element in elements]), strict=True):
        if not element.text.strip():
            continue
        if tokens <= max_tokens:
            cut.append((element, 0, len(element.text)))
        else:
            cut += [(element, *cuts) for cuts in _cuts(element, max_tokens=max_tokens, count=count)]
    sizes = count([element.text[start:end] for element, start, end in cut])
    return [
        _Piece(
            kind=element.kind,
            text=element.text[start:end],
            spans=_clipped(element.spans, start, end),
            tokens=tokens,
            level=element.level,
            goes_on=start > 0,
            moments=_within(element.moments, start, end),
        )
        for (element, start, end), tokens in zip(cut, sizes, strict=True)
    ]


def _cuts(element: Element, *, max_tokens: int, count: Count) -> list[tuple[int, int]]:
    """Cut a long element: tables between rows, lists and figures between lines, others between sentences."""
    if element.kind == "table":
        return _lines_packed(element.text, max_tokens=max_tokens, count=count)
    if element.kind not in ("list", "figure"):
        return _sentences_packed(element.text, 0, max_tokens=max_tokens, count=count)
    cuts: list[tuple[int, int]] = []
    for start, end in _lines_packed(element.text, max_tokens=max_tokens, count=count):
        if count([element.text[start:end]])[0] <= max_tokens:
            cuts.append((start, end))
        else:
            cuts += _sentences_packed(element.text[start:end], start, max_tokens=max_tokens, count=count)
    return cuts


def _lines_packed(text: str, *, max_tokens: int, count: Count) -> list[tuple[int, int]]:
    """Pack whole lines up to `max_tokens`; a line longer than that stays alone and whole."""
    lines = [(match.start(), match.end()) for match in re.finditer(r"[^\n]+", text)]
    packed: list[tuple[int, int]] = []
    room = 0
    for (start, end), tokens in zip(lines, count([text[start:end] for start, end in lines]), strict=True):
        if packed and tokens <= room:
            packed[-1] = (packed[-1][0], end)
            room -= tokens
        else:
            packed.append((start, end))
            room = max_tokens - tokens
    return packed


def _sentences_packed(text: str, offset: int, *, max_tokens: int, count: Count) -> list[tuple[int, int]]:
    """Pack whole sentences up to `max_tokens`; places are counted from `offset`."""
    # Imported here: it takes 2 s and 100 MB, and only a paragraph longer than a chunk needs it.
    from llama_index.core.node_parser import SentenceSplitter

    splitter = SentenceSplitter(
        chunk_size=max_tokens, chunk_overlap=0, tokenizer=lambda part: range(count([part])[0])
    )
    packed: list[tuple[int, int]] = []
    at = 0
    for part in splitter.split_text(text):
        at = text.index(part, at)
        packed.append((offset + at, offset + at + len(part)))
        at += len(part)
    return packed


def _clipped(spans: Sequence[Span], start: int, end: int) -> tuple[Span, ...]:
    """Keep what of `spans` lies in [start, end), counted from `start`; boxes stay whole."""
    return tuple(
        replace(span, start=max(span.start, start) - start, end=min(span.end, end) - start)
        for span in spans
        if max(span.start, start) < min(span.end, end)
    )


def _within(moments: Sequence[Moment], start: int, end: int) -> tuple[Moment, ...]:
    """Keep the moments that lie in [start, end), counted from `start`."""
    return tuple(
        replace(one, start=max(one.start, start) - start, end=min(one.end, end) - start)
        for one in moments
        if max(one.start, start) < min(one.end, end)
    )


def _bound(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Bind each caption to the table or figure beside it: one that says so, else the one that follows."""
    unit: list[_Piece] = []
    for piece in pieces:
        if unit and not _binds(unit[-1], piece):
            yield unit
            unit = []
        unit.append(piece)
    if unit:
        yield unit


def _binds(before: _Piece, piece: _Piece) -> bool:
    if before.kind == "caption":
        return piece.kind in _STANDS_ALONE
    return piece.kind == "caption" and before.kind in _STANDS_ALONE and not _heads_a_table(piece, before)


def _heads_a_table(caption: _Piece, before: _Piece) -> bool:
    """Say whether a caption after a figure belongs to a table below it: captions of tables stand above."""
    return before.kind == "figure" and re.match(r"tab", caption.text, re.IGNORECASE) is not None


def _packed(units: Iterable[list[_Piece]], headings: _Headings, *, max_tokens: int) -> Iterator[_Open]:
    """Fill chunks unit by unit; a heading opens a new one unless the last is still small."""
    current = _Open(str(headings))
    caption = ""
    for unit in units:
        caption = next((" ".join(piece.text.split()) for piece in unit if piece.kind == "caption"), caption)
        if current.pieces and _is_full(current, unit, max_tokens=max_tokens):
            following = current.next(str(headings))
            yield current
            current = following
        current.take(unit, str(headings))
        if unit[0].kind == "table" and unit[0].goes_on and caption:
            # What its caption named, the rest of a long table is still about.
            current.heading = " > ".join(part for part in (current.heading, caption) if part)
        if unit[0].kind == "title":
            headings.meet(unit[0])
        if any(piece.kind in _STANDS_ALONE for piece in unit):
            yield current
            current = _Open(str(headings))
    if current.pieces:
        yield current


def _is_full(current: _Open, unit: Sequence[_Piece], *, max_tokens: int) -> bool:
    if not current.has_body:
        return False
    if any(piece.kind in _STANDS_ALONE for piece in unit):
        return True
    if _is_said(unit[0]) != _is_said(current.pieces[-1]):
        # What is said knows its seconds; beside what is shown it would have those of the whole scene.
        return True
    parted = unit[0].kind == "title" or _is_note(unit[0]) != _is_note(current.pieces[-1])
    if parted and current.tokens >= _SMALL * max_tokens:
        return True
    return current.tokens + sum(piece.tokens for piece in unit) > max_tokens


def _is_note(piece: _Piece) -> bool:
    """Say whether a piece is a footnote: these belong to each other sooner than to the text above them."""
    return piece.kind == "footnote"


def _is_said(piece: _Piece) -> bool:
    return piece.kind == "speech"


def _joined(pieces: Sequence[_Piece]) -> tuple[str, tuple[Span, ...], tuple[Moment, ...]]:
    """Lay pieces below each other, a line break between them."""
    spans: list[Span] = []
    moments: list[Moment] = []
    at = 0
    for piece in pieces:
        spans += [replace(span, start=span.start + at, end=span.end + at) for span in piece.spans]
        moments += [replace(one, start=one.start + at, end=one.end + at) for one in piece.moments]
        at += len(piece.text) + 1
    return "\n".join(piece.text for piece in pieces), tuple(spans), tuple(moments)


def _kind(pieces: Sequence[_Piece]) -> ElementKind:
    """Name a chunk after what stands alone in it, else after its first piece below the heading."""
    kinds = [piece.kind for piece in pieces if piece.kind not in ("title", "caption")]
    alone = [kind for kind in kinds if kind in _STANDS_ALONE]
    return (alone or kinds or [pieces[-1].kind])[0]
