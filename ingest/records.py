"""What ingestion makes: boxes, elements, pages, chunks, documents, hits, and the scope that guards them.

Everything here is frozen and plain. Ids derive from tenant, collection and content, so that adding the
same file twice changes nothing and the same file in two tenants is two documents.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: Namespace of every id we mint (uuid5 of a fixed name: it must never change, or all ids change).
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "pagewarden")

ElementKind = Literal[
    "title", "paragraph", "list", "table", "figure", "caption", "formula", "footnote", "speech"
]
#: Who read a page: its text layer (alone, or with the layout model beside it), OCR + layout, a served vision
#: model, the file itself (a section of a format without pages), or, for a scene, its sound and key frame.
ReadBy = Literal["text-layer", "text-layer+layout", "ocr-layout", "vision-model", "file", "video"]
#: What the rails and the operator should know of a page: `hidden_text` is in the file but not to be seen,
#: `lost` could not be read, or not whole (the reason says why), `no_text` was read and holds no word.
PageFlag = Literal["hidden_text", "lost", "no_text", "withheld"]
PictureSize = Literal["small", "large"]
PictureFormat = Literal["png", "webp"]
ReadOutcome = Literal["ok", "partial", "failed"]
OutcomeKind = Literal["added", "updated", "unchanged", "quarantined", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in [0, 1] of the page *as shown* (after rotation), origin top left."""

    x0: float
    y0: float
    x1: float
    y1: float

    @staticmethod
    def around(boxes: list[Box]) -> Box:
        """Return the smallest box that holds all of `boxes` (at least one)."""
        return Box(
            x0=min(b.x0 for b in boxes),
            y0=min(b.y0 for b in boxes),
            x1=max(b.x1 for b in boxes),
            y1=max(b.y1 for b in boxes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a page image is wanted."""

    #: "small" for strips and lists, "large" for reading.
    size: PictureSize = "large"
    form: PictureFormat = "png"
    #: The whole page, or only what is marked on it, with a margin.
    cut: Literal["page", "marks"] = "page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a stretch of a text stands on the page: `text[start:end]` lies in `box`.

    A span is one line of a paragraph or one cell of a table; spans are ordered and do not overlap.
    """

    start: int
    end: int
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a stretch of a text is said: `text[start:end]` from `start_s` to `end_s` of the film.

    Moments are ordered and do not overlap in the text.
    """

    start: int
    end: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Words and when they are said or shown: a subtitle, or a word that was heard."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCell:
    """A cell of a table's grid: rows and columns count from 0, a spanning cell stands once, top left."""

    row: int
    col: int
    rowspan: int = 1
    colspan: int = 1
    text: str
    #: None in formats without pages.
    box: Box | None = None
    #: Whether it heads its column (or its row).
    header: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A parsed block of one page, in reading order.

    A table's text is one line a row, each `label | header: value | header: value`, so that a row is
    understood without its neighbours; every cell is a span of its own.
    """

    kind: ElementKind
    text: str
    #: Empty in formats without pages: there is nothing to point at.
    spans: tuple[Span, ...]
    #: Heading depth, 1 is the highest; None for anything but a title.
    level: int | None = None
    #: The grid as an HTML table; None for anything but a table.
    html: str | None = None
    #: The grid cell by cell, row by row; empty for anything but a table.
    cells: tuple[GridCell, ...] = ()
    #: Whether a model read it by looking (a chart described, a scan transcribed); boxes are the parser's all
    #: the same.
    by_model: bool = False
    #: When it is said; empty for anything but speech.
    moments: tuple[Moment, ...] = ()

    @property
    def box(self) -> Box | None:
        """The box around all of it; None in formats without pages."""
        return Box.around([span.box for span in self.spans]) if self.spans else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page as read. `no` counts from 1; sizes are points (1/72 inch) as shown."""

    no: int
    width_pt: float
    height_pt: float
    read_by: ReadBy
    #: Why it was read that way, for people ("12 words in the text layer, one image covers the page").
    reason: str
    elements: tuple[Element, ...]
    flags: tuple[PageFlag, ...] = ()
    #: The code of `errors.py` under which it (or what only eyes could have read of it) was lost.
    lost: str | None = None
    #: Whether there is a page image; a section of a format without pages has none.
    has_image: bool = True
    #: What the file holds for this page and does not show, at most 20,000 characters: to be screened, never
    #: to be retrieved.
    hidden: str = ""
    #: Seconds of a scene; None for a page.
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What reading one file gave: every page, those that were lost by name and with the reason."""

    name: str
    #: "partial": at least one page (or attachment) was lost. "failed" only for an attachment: the file
    #: itself raises.
    outcome: ReadOutcome
    pages: tuple[Page, ...] = ()
    #: A code of `errors.py`, or "no_text_found" where every page was read and none holds a word.
    reason: str | None = None
    #: One sentence for people, with what to do.
    detail: str | None = None
    #: What was packed in it (a mail's attachments, an archive's files), each read like a file of its own.
    attachments: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """What is retrieved: a part of one page that cuts no table row and no sentence."""

    id: str
    document_id: str
    revision: str
    page_no: int
    kind: ElementKind
    text: str
    spans: tuple[Span, ...]
    #: The headings above it, outermost first, joined by " > "; "" at the top.
    heading: str = ""
    #: Seconds of a film that it is about; None for a page.
    start_s: float | None = None
    end_s: float | None = None
    #: When what is said in it is said.
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file on the shelf: its identity is (tenant, collection, source key), its revision its content."""

    id: str
    tenant: str
    collection: str
    #: Groups that may read it; empty means everyone of the tenant.
    groups: tuple[str, ...]
    #: What names it at its source: a path relative to the added folder, or the upload's file name.
    source_key: str
    name: str
    media_type: str
    #: sha256 of the content, hex.
    revision: str
    bytes: int
    pages: int
    chunks: int
    #: Seconds since the epoch, UTC.
    added_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """The file of a film, for playing it."""

    path: Path
    media_type: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a caller may read. An argument of every search, with no default anywhere."""

    tenant: str
    collections: tuple[str, ...]
    groups: tuple[str, ...] = ()
    #: Narrow to these documents; None means every one that the rest of the scope allows.
    documents: tuple[str, ...] | None = None
    #: Whose conversations these are; "": of whoever runs the house. It says nothing about documents.
    owner: str = ""

    def allows(self, document: Document) -> bool:
        """Say whether a caller with this scope may read `document`."""
        return (
            document.tenant == self.tenant
            and document.collection in self.collections
            and (not document.groups or bool(set(document.groups) & set(self.groups)))
            and (self.documents is None or document.id in self.documents)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A chunk that a search returned; `score`: higher is better, comparable within one search only."""

    chunk: Chunk
    document_name: str
    score: float
    #: The legs behind the score ("dense", "sparse", "rerank", "lift": what being named added), for traces;
    #: absent where a leg did not see it. "unread": the reranker's time was up before its turn.
    legs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file that somebody asked to add."""

    name: str
    outcome: OutcomeKind
    id: str | None = None
    #: A code of `errors.py` for failed, of the rail for quarantined; None otherwise.
    reason: str | None = None
    #: The page at fault, where it is one.
    page_no: int | None = None
    #: One sentence for people, with what to do.
    detail: str | None = None
    pages: int = 0
    chunks: int = 0
    #: What became of the files packed in it (a mail's attachments, an archive's files), at any depth.
    attachments: tuple[Outcome, ...] = ()


def document_id(*, tenant: str, collection: str, source_key: str) -> str:
    """Mint a document's id: the same source in the same place is the same document."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(("document", tenant, collection, source_key))))


def readers_key(name: str, groups: Collection[str]) -> str:
    """Return the source key of a file under `name` that only `groups` may read.

    Two groups with a file of one name have two documents: neither replaces the other's nor learns of it.
    """
    return f"{','.join(sorted(set(groups)))}\x1f{name}" if groups else name


def without_readers(source_key: str) -> str:
    """Return the name in a source key."""
    return source_key.rpartition("\x1f")[2]


def chunk_id(*, document_id: str, revision: str, recipe: str, page_no: int, place: int) -> str:
    """Mint a chunk's (point's) id; `recipe` names the reader and embedder versions that made it."""
    parts = ("chunk", document_id, revision, recipe, str(page_no), str(place))
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


def content_hash(content: bytes) -> str:
    """Return the revision of a document: sha256 of its bytes, hex."""
    return hashlib.sha256(content).hexdigest()


def clock(seconds: float) -> str:
    """Say a second of a film as people do: `mm:ss`, with hours where it has any."""
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    return f"{minutes:02d}:{rest:02d}" if whole < 3600 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
