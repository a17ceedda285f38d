"""The one renderer of answers: text with its `[n]` markers, and its citations as each dialect writes them.

Only links that are minted here, from a citation's own ids and boxes, ever stand beside an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.records import Answer, Citation, Released, Sentence
from api.limits import tokens_of
from ingest.records import Box, clock

#: A link stays short enough for every client; further boxes are told in the `pagewarden` field only.
MAX_BOXES_IN_LINK = 32


def boxes_query(boxes: Sequence[Box]) -> str:
    """Write boxes as `x0,y0,x1,y1;…`."""
    sides = ((box.x0, box.y0, box.x1, box.y1) for box in boxes[:MAX_BOXES_IN_LINK])
    return ";".join(",".join(f"{side:.4g}" for side in corners) for corners in sides)


def title_of(citation: Citation) -> str:
    """Name a citation for people."""
    where = f"p. {citation.page_no}" if citation.start_s is None else clock(citation.start_s)
    return f"{citation.name}, {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Mints the addresses of cited pages for one caller."""

    base: str
    #: Makes the pass for (document id, page); None where pages are shown without a key.
    seal: Callable[[str, int], str] | None = None

    def page(self, citation: Citation) -> str:
        """Return the address of the cited page with its regions drawn.

        The fragment keeps two citations of one place apart for clients that group by address.
        """
        boxes = boxes_query(citation.boxes)
        return f"{self.page_at(citation.document_id, citation.page_no, boxes=boxes)}#cite-{citation.n}"

    def page_at(self, document_id: str, page_no: int, *, boxes: str = "") -> str:
        """Return the address of a page."""
        fields = [f"boxes={boxes}"] if boxes else []
        if self.seal is not None:
            fields.append(f"pass={self.seal(document_id, page_no)}")
        page = f"{self.base.rstrip('/')}/v1/documents/{document_id}/pages/{page_no}"
        return f"{page}{'?' + '&'.join(fields) if fields else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where the asker wants an answer to end, if it goes on so long."""

    #: Ends before the first of these.
    stop: tuple[str, ...] = ()
    #: Ends before the sentence that would exceed it (tokens as `limits.py` counts them).
    max_tokens: int | None = None


@dataclass(slots=True)
class Telling:
    """An answer as it is told, sentence by sentence, with where each sentence stands in the text."""

    links: Links
    cut: Cut = field(default_factory=Cut)
    #: Markers as Markdown links, for clients that read no annotations.
    markdown: bool = False
    #: What was sent so far.
    text: str = ""
    #: Why the text ends: of itself or at a stop word, or for its length.
    finish_reason: Literal["stop", "length"] = "stop"
    _held: str = ""
    _ended: bool = False
    _citations: dict[int, Citation] = field(default_factory=dict)
    _placed: list[tuple[int, int, Sentence]] = field(default_factory=list)

    def add(self, released: Released) -> str:
        """Append a released sentence; return what to send."""
        self._citations |= {c.n: c for c in released.new_citations}
        return self._place(released.sentence)

    def finish(self, answer: Answer) -> str:
        """Append what was not released one by one (a refusal, an abstention); return what to send."""
        self._citations |= {c.n: c for c in answer.citations}
        told = len(self._placed)
        pieces = [self._place(sentence) for sentence in answer.sentences[told:]]
        if not answer.sentences and not told:
            pieces.append(self._append(answer.text))
        return "".join(pieces) + self._flush()

    def told_of(self, answer: Answer) -> Answer:
        """Return the answer as far as it was told."""
        if not self._ended:
            return answer
        told = tuple(sentence for _, _, sentence in self._told())
        cited = {n for sentence in told for n in sentence.citations}
        return replace(
            answer,
            text=self.text,
            sentences=told,
            citations=tuple(c for c in answer.citations if c.n in cited),
        )

    def marked(self, sentence: Sentence) -> str:
        """Return a sentence with its citation markers; without Markdown as in `Answer.text`."""
        return sentence.text + "".join(self._marker(n) for n in sentence.citations)

    def annotations(self) -> list[dict[str, object]]:
        """Return a url_citation for each citation of each sentence; indices are characters of `text`."""
        return [{"type": "url_citation", "url_citation": one} for one in self._url_citations()]

    def flat_annotations(self) -> list[dict[str, object]]:
        """Return the same in the shape of the Responses API."""
        return [{"type": "url_citation", **one} for one in self._url_citations()]

    def cited(self) -> list[Citation]:
        """Return the citations of what was told, by number."""
        numbers = {n for _, _, sentence in self._told() for n in sentence.citations}
        return [self._citations[n] for n in sorted(numbers) if n in self._citations]

    def search_results(self) -> dict[str, object]:
        """Return Perplexity's two fields: addresses, and what is behind them."""
        results = [
            {"title": title_of(c), "url": self.links.page(c), "snippet": c.quote, "source": "attachment"}
            for c in self.cited()
        ]
        return {"citations": [result["url"] for result in results], "search_results": results}

    def source_event(self, citation: Citation) -> dict[str, object]:
        """Return a citation as Open WebUI reads it from a chunk.

        It numbers groups by `metadata.source` in the order of arrival, counts pages from 0, and would show
        our domain as the name were that source an address.
        """
        place = {
            "source": f"{citation.document_id}#p{citation.page_no}#{citation.n}",
            "name": title_of(citation),
            "page": citation.page_no - 1,
        }
        told = {
            "source": {"id": place["source"], "name": place["name"], "url": self.links.page(citation)},
            "document": [citation.quote],
            "metadata": [place],
        }
        return {"event": {"type": "source", "data": told}}

    def _url_citations(self) -> list[dict[str, object]]:
        return [
            {
                "start_index": start,
                "end_index": min(end, len(self.text)),
                "title": title_of(cited),
                "url": self.links.page(cited),
            }
            for start, end, sentence in self._told()
            for n in sentence.citations
            if (cited := self._citations.get(n)) is not None
        ]

    def _told(self) -> list[tuple[int, int, Sentence]]:
        return [placed for placed in self._placed if placed[0] < len(self.text)]

    def _marker(self, n: int) -> str:
        cited = self._citations.get(n)
        return f" [{n}]({self.links.page(cited)})" if self.markdown and cited is not None else f" [{n}]"

    def _place(self, sentence: Sentence) -> str:
        before = len(self.text) + len(self._held)
        start = before + 1 if before else 0
        piece = (" " if before else "") + self.marked(sentence)
        self._placed.append((start, before + len(piece), sentence))
        return self._append(piece)

    def _append(self, piece: str) -> str:
        """Take the next piece of the text; return what of it may be sent now."""
        most = self.cut.max_tokens
        if self._ended:
            return ""
        if most is not None and tokens_of(self.text + self._held + piece) > most:
            self.finish_reason, self._ended = "length", True
            return self._flush()
        waiting = self._held + piece
        ends = [at for word in self.cut.stop if (at := waiting.find(word)) >= 0]
        if ends:
            self._ended, self._held = True, ""
            return self._send(waiting[: min(ends)])
        # What may be the beginning of a stop word waits for the rest of it.
        begun = (k for word in self.cut.stop for k in range(1, len(word)) if waiting.endswith(word[:k]))
        kept = max(begun, default=0)
        self._held = waiting[len(waiting) - kept :]
        return self._send(waiting[: len(waiting) - kept])

    def _flush(self) -> str:
        held, self._held = self._held, ""
        return self._send(held)

    def _send(self, piece: str) -> str:
        self.text += piece
        return piece
