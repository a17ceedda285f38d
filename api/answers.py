"""The one renderer of answers: text with its `[n]` markers, links to cited pages, and OpenAI's annotations.

Only links that are minted here, from a citation's own ids and boxes, ever stand beside an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.records import Answer, Citation, Released, Sentence
from ingest.records import Box

#: A link stays short enough for every client; further boxes are told in the `pagewarden` field only.
MAX_BOXES_IN_LINK = 32


def marked(sentence: Sentence) -> str:
    """Return a sentence with its citation markers, as it stands in `Answer.text`."""
    return sentence.text + "".join(f" [{n}]" for n in sentence.citations)


def boxes_query(boxes: Sequence[Box]) -> str:
    """Write boxes as `x0,y0,x1,y1;…`."""
    sides = ((box.x0, box.y0, box.x1, box.y1) for box in boxes[:MAX_BOXES_IN_LINK])
    return ";".join(",".join(f"{side:.4g}" for side in corners) for corners in sides)


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
        fields = [f"boxes={query}"] if (query := boxes_query(citation.boxes)) else []
        if self.seal is not None:
            fields.append(f"pass={self.seal(citation.document_id, citation.page_no)}")
        page = f"{self.base.rstrip('/')}/v1/documents/{citation.document_id}/pages/{citation.page_no}"
        return f"{page}{'?' + '&'.join(fields) if fields else ''}#cite-{citation.n}"


@dataclass(slots=True)
class Telling:
    """An answer as it is told, sentence by sentence, with where each sentence stands in the text."""

    links: Links
    text: str = ""
    _citations: dict[int, Citation] = field(default_factory=dict)
    _placed: list[tuple[int, int, Sentence]] = field(default_factory=list)

    def add(self, released: Released) -> str:
        """Append a released sentence; return what to send."""
        self._citations |= {c.n: c for c in released.new_citations}
        return self._place(released.sentence)

    def finish(self, answer: Answer) -> str:
        """Append what was not released one by one (a refusal, an abstention); return what to send."""
        self._citations |= {c.n: c for c in answer.citations}
        pieces = [self._place(sentence) for sentence in answer.sentences[len(self._placed) :]]
        if not self.text:
            self.text = answer.text
            return answer.text
        return "".join(pieces)

    def annotations(self) -> list[dict[str, object]]:
        """Return a url_citation for each citation of each sentence; indices are characters of `text`."""
        return [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": start,
                    "end_index": end,
                    "title": f"{cited.name}, p. {cited.page_no}",
                    "url": self.links.page(cited),
                },
            }
            for start, end, sentence in self._placed
            for n in sentence.citations
            if (cited := self._citations.get(n)) is not None
        ]

    def _place(self, sentence: Sentence) -> str:
        piece = (" " if self.text else "") + marked(sentence)
        start = len(self.text) + (1 if self.text else 0)
        self.text += piece
        self._placed.append((start, len(self.text), sentence))
        return piece
