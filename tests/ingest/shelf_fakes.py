"""A reader, an embedder, a screen and eyes for tests of the shelf: scripted by the text itself, recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingest.checkpoints import Checkpoint
from ingest.drawing import encode
from ingest.errors import Damaged
from ingest.index import Index
from ingest.index_edge import edge_sparse_encoder
from ingest.index_server import ServerIndex
from ingest.packed import MAX_DEPTH, Packed, Room, too_deep, unpack
from ingest.records import Box, Element, Page, PictureFormat, Reading, Span
from ingest.sources import Source
from ingest.vision import Finding, View

LOCAL_INDEX_WARNING = "ignore:Payload indexes have no effect in the local Qdrant"


async def an_index_in_memory() -> Index:
    """Open an index that `test_index.py` holds to the embedded one's contract, without its fsyncs."""
    return await ServerIndex.open(
        ":memory:",
        api_key=None,
        collection="library",
        vector_name="fake",
        dimensions=32,
        sparse=edge_sparse_encoder(),
    )


@dataclass
class FakeReader:
    """Reads text files: a form feed ends a page, a blank line a paragraph; "broken" does not read."""

    version: str = "fake-1"
    read_paths: list[Path] = field(default_factory=list)
    rendered: list[tuple[Path, str, int, int | None, PictureFormat]] = field(default_factory=list)
    has_image: bool = True
    png: bytes = b""

    def version_of(self, source: Source) -> str:
        """Read every file alike."""
        return self.version

    async def read_alone(
        self,
        source: Source,
        *,
        pages_dir: Path,
        on_page: Callable[[int, int], None],
        on_wait: Callable[[bool], None] | None = None,
        kept: Checkpoint | None = None,
    ) -> Reading:
        """Split the text."""
        self.read_paths.append(source.path)
        text = source.path.read_text(errors="replace")
        if "broken" in text:
            raise Damaged("The file does not open.")
        pages = []
        for no, sheet in enumerate(text.split("\f"), start=1):
            box = Box(x0=0.25, y0=0.25, x1=0.75, y1=0.5)
            elements = tuple(
                Element(kind="paragraph", text=part, spans=(Span(start=0, end=len(part), box=box),))
                for part in filter(None, map(str.strip, sheet.split("\n\n")))
            )
            (pages_dir / f"{no}.png").write_bytes(b"png")
            pages.append(
                Page(
                    no=no,
                    width_pt=1,
                    height_pt=1,
                    read_by="file",
                    reason="text",
                    elements=elements,
                    has_image=self.has_image,
                )
            )
            on_page(no, text.count("\f") + 1)
        return Reading(name=source.name, outcome="ok", pages=tuple(pages))

    async def unpack(self, source: Source, *, folder: Path, room: Room, depth: int) -> list[Packed]:
        """Unpack for real, in this process."""
        if depth >= MAX_DEPTH:
            raise too_deep()
        found = unpack(source.path, source.media_type, folder, room, None)
        room.take(found)
        return found

    async def render(
        self,
        path: Path,
        media_type: str,
        page_no: int,
        *,
        pages_dir: Path,
        dpi: int,
        longest: int | None = None,
        form: PictureFormat = "png",
    ) -> bytes:
        """Record what was made."""
        self.rendered.append((path, media_type, page_no, longest, form))
        with Image.open(BytesIO(self.png)) as picture:
            return encode(picture, form)


@dataclass
class FakeEmbedder:
    """Hashes words into 32 directions: texts that share words are near."""

    name: str = "fake"
    dimensions: int = 32
    languages: tuple[str, ...] = ("en",)
    embedded: list[str] = field(default_factory=list)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count words."""
        return [len(text.split()) for text in texts]

    def batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Put all of them together."""
        return [list(range(len(texts)))] if texts else []

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Add up a direction for each word."""
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts])

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed a question like a passage."""
        return self._vector(text)

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.full(self.dimensions, 1e-3, dtype=np.float32)
        for word in text.lower().split():
            vector[sum(word.encode()) % self.dimensions] += 1
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit


@dataclass
class FakeReranker:
    """Prefers passages that hold a word; everything else scores alike."""

    prefers: str = ""
    name: str = "fake"
    read: list[str] = field(default_factory=list)

    async def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Score by the preferred word."""
        self.read += passages
        return np.array([8.0 if self.prefers in passage else -8.0 for passage in passages], dtype=np.float32)


@dataclass
class FakeScreen:
    """Stops texts that hold "forbidden"."""

    screened: list[str] = field(default_factory=list)

    async def screen(self, texts: Sequence[str], *, tenant: str, collection: str) -> list[str | None]:
        """Say no to one word, and of another that it was planted."""
        self.screened += texts
        codes = {"forbidden": "override", "planted": "planted"}
        return [next((code for word, code in codes.items() if word in text), None) for text in texts]


@dataclass
class FakeVision:
    """Says what text came with each picture."""

    name: str = "fake-eyes"
    views: list[View] = field(default_factory=list)
    tokens_each: int = 0

    def tokens(self, png: bytes) -> int:
        """Take what was scripted."""
        return self.tokens_each

    async def look(self, views: Sequence[View], *, question: str, tenant: str) -> list[Finding]:
        """Repeat the text."""
        self.views += views
        return [Finding(outcome="found", text=view.text) for view in views]


class Killed(BaseException):
    """The process ended here."""


@dataclass
class Fuse:
    """Blows at the n-th awaited call of everything wired through it; a kill leaves all later calls dead."""

    at: int = 0
    error: BaseException | None = None
    calls: list[str] = field(default_factory=list)

    def through(self, target: object, name: str) -> Any:
        """Wire an object's coroutines through this fuse."""
        return _Wired(target, name, self)

    def step(self, name: str) -> None:
        """Count a call."""
        self.calls.append(name)
        n = len(self.calls)
        if self.error and (n == self.at or (n > self.at > 0 and isinstance(self.error, Killed))):
            raise self.error


class _Wired:
    def __init__(self, target: object, name: str, fuse: Fuse) -> None:
        self._target, self._name, self._fuse = target, name, fuse

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._target, attribute)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.step(f"{self._name}.{attribute}")
            return await found(*args, **kwargs)

        return call
