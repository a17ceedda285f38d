"""From a sentence and its source to the words and the region that are shown: the quote and its boxes.

Boxes come from the parser's spans only. In a table the label cell and the cells whose words or numbers the
sentence uses are marked, in running text the lines of the best matching sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent import words
from agent.records import Citation
from agent.state import Drafted, Run, Source, State
from ingest.records import Box, Chunk, Span

#: Places that share one word less than the best may still be the right one.
_TIED = 1.0


async def quoted(draft: Drafted, state: State, run: Run) -> list[Citation]:
    """Return what a drafted sentence is to be cited by, unnumbered and not yet screened."""
    said = "" if state.get("about") else draft["text"]  # what code says stands in no document
    question = draft.get("question", state["standalone"])
    sources = {s.n: s for s in await run.sources(state)}
    return [
        cite(said, sources[n], n=0, place=place)
        for n in draft["evidence"]
        if n in sources
        for place in await _chosen(draft, sources[n], run, said=said, question=question)
    ]


async def _chosen(
    draft: Drafted, source: Source, run: Run, *, said: str, question: str
) -> list[tuple[int, int]]:
    """Return where a sentence stands in one source: one place, but of a chart one for each part.

    The cross-encoder chooses where words leave it open.
    """
    if lines := whole_lines(draft.get("charts", []), source.chunk):
        return lines
    found = places(said, source.chunk, question=question)
    if len(found) == 1 or not said:
        return found[:1]
    scores = await run.library.rerank(
        f"{question} {said}", [source.chunk.text[start:end] for start, end in found]
    )
    return [max(zip(scores, found, strict=True), key=lambda pair: pair[0])[1]]


def cite(sentence: str, source: Source, *, n: int, place: tuple[int, int] | None = None) -> Citation:
    """Point from `sentence` to the `place` in `source` that carries it, by default the best."""
    start, end = place or places(sentence, source.chunk)[0]
    rows = _rows(sentence, source.chunk, (start, end))
    start_s, end_s = seconds(source.chunk, rows[0][0], rows[-1][1])
    return Citation(
        n=n,
        document_id=source.chunk.document_id,
        name=source.name,
        page_no=source.chunk.page_no,
        boxes=tuple(box for row in rows for box in boxes(source.chunk, *row, sentence=sentence)),
        quote="\n".join(source.chunk.text[first:last].strip() for first, last in rows),
        score=source.score,
        start_s=start_s,
        end_s=end_s,
        chunk_id=source.chunk.id,
    )


def _rows(sentence: str, chunk: Chunk, place: tuple[int, int]) -> list[tuple[int, int]]:
    """Return `place` and, of a table, the further rows that hold figures of the sentence which it lacks.

    What was computed stands on several rows; each of them is whole, and they stay in order.
    """
    if chunk.kind != "table":
        return [place]
    figures, said = words.numbers(sentence), words.content(sentence)
    chosen, held = [place], words.numbers(chunk.text[slice(*place)])
    for row in parts(chunk):
        text = chunk.text[slice(*row)]
        label = words.content(text.partition(" | ")[0].rpartition(": ")[2])
        fresh = words.numbers(text) & figures - held
        if " | " in text and label and label <= said and fresh:
            chosen.append(row)
            held |= fresh
    return sorted(chosen)


def places(sentence: str, chunk: Chunk, *, question: str = "") -> list[tuple[int, int]]:
    """Return [start, end) of the sentences or rows of `chunk` that share most with `sentence`, best first.

    A short sentence leans on the question's words. Several places come back where words do not tell them
    apart.
    """
    figures = words.numbers(sentence)
    said = words.content(f"{question}\n{sentence}")

    def shared(part: tuple[int, int]) -> float:
        text = chunk.text[part[0] : part[1]]
        # Numbers weigh double: they are what people check first.
        return 2 * len(figures & words.numbers(text)) + len(said & words.content(text))

    found = sorted(parts(chunk), key=shared, reverse=True) or [(0, len(chunk.text))]
    return [part for part in found if shared(part) >= shared(found[0]) - _TIED]


def whole_lines(wanted: Sequence[str], chunk: Chunk) -> list[tuple[int, int]]:
    """Return [start, end) of the wanted lines of a chunk; those that follow each other are one."""
    found: list[tuple[int, int]] = []
    at = 0
    for line in chunk.text.splitlines(keepends=True):
        end = at + len(line.rstrip("\n"))
        if line.rstrip("\n") in wanted:
            follows = bool(found) and found[-1][1] + 1 == at
            found = [*found[:-1], (found[-1][0], end)] if follows else [*found, (at, end)]
        at += len(line)
    return found


def parts(chunk: Chunk) -> list[tuple[int, int]]:
    """Return [start, end) of what can be quoted: rows of a table, else sentences."""
    found: list[tuple[int, int]] = []
    at = 0
    pieces = chunk.text.splitlines() if chunk.kind == "table" else words.sentences(chunk.text)
    for piece in pieces:
        start = chunk.text.find(piece, at)
        if piece.strip() and start >= 0:
            found.append((start, start + len(piece)))
            at = start + len(piece)
    return found


def seconds(chunk: Chunk, start: int, end: int) -> tuple[float | None, float | None]:
    """Return when `chunk.text[start:end]` is said; of what is shown, the seconds of its chunk."""
    said = [one for one in chunk.moments if one.start < end and one.end > start]
    return (said[0].start_s, said[-1].end_s) if said else (chunk.start_s, chunk.end_s)


def boxes(chunk: Chunk, start: int, end: int, *, sentence: str) -> tuple[Box, ...]:
    """Return the boxes of `chunk.text[start:end]`.

    Of a table row the label and the cells that `sentence` uses.
    """
    inside = [span for span in chunk.spans if span.start < end and span.end > start]
    if chunk.kind != "table" or len(inside) < 2:
        return tuple(span.box for span in inside)
    figures, said = words.numbers(sentence), words.content(sentence)

    def used(span: Span) -> bool:
        text = chunk.text[span.start : span.end]
        own = words.numbers(text)
        return bool(own & figures) if own else bool(words.content(text) & said)

    marked = [span.box for i, span in enumerate(inside) if i == 0 or used(span)]
    return tuple(marked if len(marked) > 1 else (span.box for span in inside))
