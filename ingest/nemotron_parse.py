"""Nemotron Parse as a page reader: a small model that writes Markdown, LaTeX tables and a box for each block.

Two ways to ask, two forms of answer: vLLM gives raw text with the boxes as tags (`<x_0.14><y_0.10>## Title
<x_0.27><y_0.13><class_Section-header>`), NIM the arguments of a tool call. Its boxes are a model's, so they
are nobody's evidence: text is placed by `placing.py` like any other transcript. Of a picture they say only
which of the regions that the parser knows is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ingest.errors import ModelReply, ReplyCut
from ingest.markup import plain
from ingest.records import ElementKind
from ingest.served import Message
from ingest.transcribe import Hint, Piece, bare, table_piece

Form = Literal["vllm", "nim"]

#: What each host wants beside the image. vLLM: the tags are special tokens; NVIDIA's recipe samples so.
FIELDS: Mapping[Form, Mapping[str, object]] = {
    "vllm": {"skip_special_tokens": False, "top_k": 1, "repetition_penalty": 1.1},
    "nim": {"tools": [{"type": "function", "function": {"name": "markdown_bbox"}}]},
}

_BLOCK = re.compile(r"<x_([\d.]+)><y_([\d.]+)>(.*?)<x_([\d.]+)><y_([\d.]+)><class_([^<>]+)>", re.DOTALL)
_KINDS: dict[str, ElementKind] = {
    "title": "title",
    "section-header": "title",
    "text": "paragraph",
    "list-item": "list",
    "caption": "caption",
    "footnote": "footnote",
    "formula": "formula",
    "table": "table",
    "picture": "figure",
    "figure": "figure",
    "chart": "figure",
    "infographic": "figure",
    "toc": "list",
}


class _Box(BaseModel):
    model_config = ConfigDict(extra="ignore")

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    @property
    def hint(self) -> Hint:
        return self.xmin, self.ymin, self.xmax, self.ymax


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    text: str = ""
    bbox: _Box | None = None


_ARGUMENTS = TypeAdapter(list[list[_Part]])


class Tells(Protocol):
    """What this reader needs of a client: one whole answer as it came, a tool call's arguments included."""

    name: str

    async def tell(self, messages: Sequence[Message], *, max_tokens: int) -> str:
        """Return the answer; raises ModelDown, ModelReply, ReplyCut."""
        ...

    async def ready(self) -> None:
        """Generate one token; raises ModelDown, ModelReply."""
        ...


class NemotronParse:
    """A PageModel that asks Nemotron Parse; one image and not a word of text goes with each request."""

    #: It knows no tiles: every page is shown as large as it takes it (1,648 by 2,048 pixels).
    fine = True

    def __init__(self, model: Tells, *, form: Form, transcript_tokens: int = 4096) -> None:
        self.name = model.name
        self._model = model
        self._form: Form = form
        self._transcript_tokens = transcript_tokens

    async def transcribe(self, png: bytes) -> list[Piece]:
        """Return the blocks of a page in reading order; raises ModelDown, ModelReply, ReplyCut."""
        ask = Message(role="user", text="", images=(png,))
        said = await self._model.tell([ask], max_tokens=self._transcript_tokens)
        return tagged_pieces(said) if self._form == "vllm" else called_pieces(said)

    async def answers(self) -> None:
        """Ask for one token; raises ModelDown."""
        await self._model.ready()


def tagged_pieces(said: str) -> list[Piece]:
    """Read blocks written with tags. Raises ReplyCut where the last one is not whole, ModelReply for none."""
    parts = [_Part(type=m[6], text=m[3], bbox=_tagged_box(m)) for m in _BLOCK.finditer(said)]
    rest = _BLOCK.sub("", said).strip()
    if rest.startswith("<"):
        raise ReplyCut("Nemotron Parse broke off within a block.")
    if rest and not parts:
        raise ModelReply("Nemotron Parse answered without a block; see that its chat template is its own.")
    return _pieces(parts)


def _tagged_box(match: re.Match[str]) -> _Box | None:
    try:
        x0, y0, x1, y1 = (float(match[group]) for group in (1, 2, 4, 5))
    except ValueError:  # "1.2.3": the place is only a hint, the text is none the worse
        return None
    return _Box(xmin=x0, ymin=y0, xmax=x1, ymax=y1)


def called_pieces(said: str) -> list[Piece]:
    """Read blocks out of the arguments of a tool call. Raises ModelReply."""
    try:
        return _pieces([part for page in _ARGUMENTS.validate_json(said) for part in page])
    except ValidationError as error:
        raise ModelReply("Nemotron Parse did not call its tool as `markdown_bbox`.") from error


def _pieces(parts: Sequence[_Part]) -> list[Piece]:
    pieces: list[Piece] = []
    for part in parts:
        kind = _KINDS.get(part.type.strip().lower(), "paragraph")
        text = re.sub(r"<[^<>\s]+>", " ", part.text) if kind != "table" else part.text
        if kind == "table":
            pieces.append(table_piece(part.text))
        elif kind == "figure":
            hint = part.bbox.hint if part.bbox else None
            pieces.append(Piece(kind="figure", text="Picture.", printed=_labels(text), hint=hint))
        elif kind == "formula":
            pieces.append(Piece(kind="formula", text=bare(text)))
        elif kind == "list" and pieces and pieces[-1].kind == "list":
            pieces[-1] = Piece(kind="list", text=f"{pieces[-1].text}\n{plain(text)}")
        else:
            pieces.append(Piece(kind=kind, text=plain(text)))
    return [piece for piece in pieces if piece.text or piece.grid]


def _labels(text: str) -> tuple[str, ...]:
    """Return the words that it reads within a picture, where it does."""
    return tuple(line for line in plain(text).split("\n") if line)
