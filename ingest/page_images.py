"""Page images on demand: made from the kept original, kept in a bounded cache, in two sizes.

The cache lies beside the original (`files/<document>/<revision>/images/`): what takes a document off the
shelf takes its pictures along, also after a kill. Only plain pictures are kept; what is marked or veiled for
one caller is drawn anew each time. The oldest used go first; sizes are counted from the disk itself, so that
several processes may share one cache.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

import anyio.to_thread

from ingest.records import Document, PictureFormat, PictureSize

#: Longest side in pixels: strips show 56 pixels across, doubled on dense screens and more in lists.
SMALL, LARGE = 320, 2400
#: Raise it when pictures are made differently: the old ones are then never asked for and age away.
_FOLDER = "images-1"
#: A full cache is emptied down to this share, so that it is not counted anew for every page.
_KEPT_SHARE = 0.9


class PageRenderer(Protocol):
    """What makes pictures of pages (`reading.Reader`)."""

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
        """Return a page's plain picture: from the file where it is a PDF, else from `pages_dir`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFiles:
    """Where a document's pages come from."""

    original: Path
    #: Pictures that reading wrote, `{no}.png`.
    pages_dir: Path


class PageImages:
    """The page images of one library."""

    def __init__(self, renderer: PageRenderer, *, files: Path, dpi: int, max_bytes: int) -> None:
        self._renderer, self._files, self._dpi, self._max_bytes = renderer, files, dpi, max_bytes
        #: Bytes in the cache as last counted, and what came since; None: not counted yet.
        self._bytes: int | None = None
        self._turns: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def plain(self, document: Document, page_no: int, *, source: PageFiles, size: PictureSize) -> bytes:
        """Return a page's plain picture as WebP, from the cache or made now; raises Unreadable.

        The caller has judged the scope: nothing here does.
        """
        kept = source.original.parent / _FOLDER / f"{page_no}-{size}.webp"
        # Two who want the same page at once wait for one picture.
        turn = self._turns.setdefault(kept, asyncio.Lock())
        async with turn:
            found = await anyio.to_thread.run_sync(_used, kept)
            if found is not None:
                return found
            made = await self._renderer.render(
                source.original,
                document.media_type,
                page_no,
                pages_dir=source.pages_dir,
                dpi=self._dpi,
                longest=SMALL if size == "small" else LARGE,
                form="webp",
            )
            await anyio.to_thread.run_sync(self._keep, kept, made)
            return made

    def _keep(self, path: Path, image: bytes) -> None:
        """Write a picture whole or not at all; a document that went away meanwhile gets none."""
        if len(image) > self._max_bytes:
            return
        part = path.with_name(f"{uuid.uuid4().hex}.part")
        # A full disk, or the document's folder gone: the picture is shown all the same.
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            part.write_bytes(image)
            os.replace(part, path)
        if self._bytes is not None:
            self._bytes += len(image)
        if self._bytes is None or self._bytes > self._max_bytes:
            self._bytes = _shrink(self._files, self._max_bytes)


def _used(path: Path) -> bytes | None:
    """Return a kept picture and note that it was used; None where there is none."""
    try:
        image = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    return image


def _shrink(files: Path, max_bytes: int) -> int:
    """Count the cache, drop the pictures used longest ago where it is too full, and return what is left."""
    kept = []
    for path in files.glob(f"*/*/{_FOLDER}/*"):
        with suppress(OSError):
            facts = path.stat()
            kept.append((facts.st_mtime_ns, facts.st_size, path))
    total = sum(size for _, size, _ in kept)
    if total <= max_bytes:
        return total
    for _, size, path in sorted(kept):
        if total <= _KEPT_SHARE * max_bytes:
            break
        with suppress(OSError):
            path.unlink()
            total -= size
    return total
