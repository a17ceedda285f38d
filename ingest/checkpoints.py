"""What was read and embedded of a document on its way, so that a kill costs the page at hand and no more.

One file a revision, a line a page or a batch of vectors, appended. A line that a kill or a full disk cut
short does not read back and is made again; so is everything where another reader, chunker or embedder wrote
it. JSON, not pickle: a file that somebody else put there runs nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from ingest.errors import LibraryError

if TYPE_CHECKING:
    from ingest.child import Draft

#: "text": as the text layer gave it, which is what pictures are chosen by; "page": done.
Stage = Literal["text", "page"]
#: Only the owner reads what documents say.
_MODE = 0o600


@cache
def _drafts() -> TypeAdapter[Draft]:
    from ingest.child import Draft

    return TypeAdapter(Draft)


class Checkpoint:
    """What is known of one revision of one document. `path` None: nothing is kept."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._writing = threading.Lock()
        self._pages: dict[tuple[Stage, int], Draft] = {}
        self._vectors: dict[bytes, NDArray[np.float32]] = {}

    @classmethod
    async def open(cls, path: Path | None, *, recipe: str) -> Checkpoint:
        """Read back what was kept under this recipe; anything else is begun anew."""
        checkpoint = cls(path)
        if path is not None:
            await anyio.to_thread.run_sync(checkpoint._load, path, recipe)
        return checkpoint

    def page(self, stage: Stage, no: int) -> Draft | None:
        """Return a page that was kept."""
        return self._pages.get((stage, no))

    async def keep_pages(self, stage: Stage, drafts: Sequence[Draft]) -> None:
        """Keep pages; the memory holds none of them, their reader does."""
        await self._keep(partial(_page_lines, stage, drafts))

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Return the vectors of `texts`, all of them or None."""
        found = [self._vectors.get(_digest(text)) for text in texts]
        known = [vector for vector in found if vector is not None]
        return np.stack(known) if known and len(known) == len(texts) else None

    async def keep_vectors(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Keep the vectors of `texts`."""
        await self._keep(partial(_vector_lines, texts, vectors))

    async def close(self) -> None:
        """Close the file; it stays."""
        if self._file is not None:
            await anyio.to_thread.run_sync(self._file.close)

    async def _keep(self, lines: Callable[[], Iterator[bytes]]) -> None:
        if self._file is not None:
            await anyio.to_thread.run_sync(self._append, lines)

    def _append(self, lines: Callable[[], Iterator[bytes]]) -> None:
        with self._writing:
            if self._file is None or self._file.closed:
                return
            try:
                self._file.write(b"".join(line + b"\n" for line in lines()))
                self._file.flush()
            except OSError as error:
                raise _unwritten(error) from error

    def _load(self, path: Path, recipe: str) -> None:
        head = b"recipe " + hashlib.sha256(recipe.encode()).hexdigest().encode()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lines = path.read_bytes().split(b"\n") if path.exists() else []
            if lines and lines[0] == head:
                for line in lines[1:]:
                    self._read(line)
                # Whatever a kill cut short ends here.
                self._file = _opened(path, os.O_APPEND)
                self._file.write(b"\n")
            else:
                self._file = _opened(path, os.O_TRUNC)
                self._file.write(head + b"\n")
            self._file.flush()
        except OSError as error:
            raise _unwritten(error) from error

    def _read(self, line: bytes) -> None:
        kind, _, content = line.partition(b" ")
        try:
            if kind == b"vector":
                digest, _, vector = content.partition(b" ")
                raw = base64.b64decode(vector, validate=True)
                if len(digest) == _DIGEST and hashlib.sha256(raw).hexdigest()[:8].encode() == digest[-8:]:
                    self._vectors[digest[:-8]] = np.frombuffer(raw, dtype=np.float32)
            elif kind in (b"text", b"page"):
                draft = _drafts().validate_json(content)
                self._pages["text" if kind == b"text" else "page", draft.no] = draft
        except (ValidationError, ValueError, binascii.Error):
            return  # cut short: it is made again


#: 32 hex digits of the text, 8 of the vector.
_DIGEST = 40


def _opened(path: Path, flag: int) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flag, _MODE), "wb")


def _page_lines(stage: Stage, drafts: Sequence[Draft]) -> Iterator[bytes]:
    for draft in drafts:
        try:
            yield stage.encode() + b" " + _drafts().dump_json(draft)
        except ValueError:
            continue  # a text layer with half a surrogate pair: that page is read again


def _vector_lines(texts: Sequence[str], vectors: NDArray[np.float32]) -> Iterator[bytes]:
    for text, vector in zip(texts, vectors, strict=True):
        raw = np.ascontiguousarray(vector, dtype=np.float32).tobytes()
        yield b" ".join(
            (b"vector", _digest(text) + hashlib.sha256(raw).hexdigest()[:8].encode(), base64.b64encode(raw))
        )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32].encode()


def _unwritten(error: OSError) -> LibraryError:
    return LibraryError(f"What was read could not be kept on disk: {error.strerror or error}.")


class Checkpoints:
    """The checkpoints of a library, a folder a document."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, document_id: str, revision: str) -> Path:
        """Return where a revision's checkpoint is."""
        return self._folder / document_id / f"{revision}.lines"

    async def forget(self, document_id: str) -> None:
        """Remove all that was kept of a document."""
        folder = self._folder / document_id
        await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
