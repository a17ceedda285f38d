"""Reading: a source becomes pages, in child processes that may hang, crash or eat memory without harm.

A page whose child dies or runs out of time is tried once more by itself and then given up *by name*: it stays
in the document, empty, with the reason. Text layers come first, in ranges; pages that need eyes follow one
by one, so that progress is seen and one bad scan costs one page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_process
from anyio import BrokenWorkerProcess

from ingest import child
from ingest.child import Draft
from ingest.errors import (
    Damaged,
    IngestError,
    InputError,
    NeedsProgram,
    OutOfMemory,
    TimedOut,
    TooManyPages,
    Unreadable,
)
from ingest.records import Page, PictureFormat, Reading
from ingest.settings import IngestSettings
from ingest.sources import IMAGES, PDF, Source
from ingest.structure import finish

#: Goes into every chunk's id: raise it whenever the same file would be read differently.
READER = "reader-1"

_log = logging.getLogger(__name__)
#: Pages of text in one call of a child; enough that the call costs nothing beside them.
_RANGE = 24
#: Pages lost to time or memory before the whole file is given up: its every page would take the full time.
_MAX_LOST = 5
#: Documents without pages are read in one go; they get the time of that many pages.
_WHOLE = 10

Result = TypeVar("Result")
OnPage = Callable[[int, int], None]


class Reader:
    """Reads sources into pages and renders page images, each in child processes of its own."""

    version = READER

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._slots = anyio.Semaphore(settings.readers)
        # People wait for page images: they never queue behind a batch of documents.
        self._views = anyio.Semaphore(2)
        self._limiter = anyio.CapacityLimiter(settings.readers + 2)

    async def read(self, source: Source, *, pages_dir: Path, on_page: OnPage) -> Reading:
        """Read every page; images of pages that the file itself cannot show go to `pages_dir/{no}.png`.

        `on_page(done, total)` is called as pages are done. Pages that are lost are in the reading, flagged
        and with the reason; raises InputError's subclasses where the file as a whole is at fault.
        """
        return told(source.name, await self._pages(source, pages_dir, on_page))

    async def read_page(self, source: Source, page_no: int, *, on_page: OnPage) -> Reading:
        """Read one page of a PDF alone; without the others its headings rank among themselves only.

        The reading has no page where the PDF has none of that number. Raises like `read`.
        """
        return told(source.name, await self._read_pdf(source, on_page, only_page=page_no))

    async def _pages(self, source: Source, pages_dir: Path, on_page: OnPage) -> list[Page]:
        if source.media_type == PDF:
            return await self._read_pdf(source, on_page)
        await anyio.Path(pages_dir).mkdir(parents=True, exist_ok=True)
        if source.media_type in IMAGES:
            return await self._read_images(source, pages_dir, on_page)
        call = partial(
            child.set_pages, source.path, source.media_type, source.name, pages_dir, self._settings
        )
        try:
            pages = await self._in_child(call, seconds=_WHOLE * self._settings.page_timeout_s)
        except _Lost as error:
            raise error.kind(f"The file {error.why}; split it and add the parts.") from error
        on_page(len(pages), len(pages))
        return pages

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
        """Return a page's plain picture, at most `longest` pixels on its longer side; raises Unreadable."""
        file = path if media_type == PDF else pages_dir / f"{page_no}.png"
        no = page_no if media_type == PDF else None
        call = partial(child.render, file, no, dpi, longest, form, self._settings)
        return await self._view(call, f"Page {page_no}")

    async def picture_words(self, png: bytes) -> list[str]:
        """Return the lines that stand in a picture, in reading order; raises Unreadable."""
        return await self._view(partial(child.picture_words, png, self._settings), "The picture")

    async def close(self) -> None:
        """Leave the children to the event loop: it ends them with itself, idle ones cost no time."""
        await anyio.lowlevel.checkpoint()

    async def _view(self, call: Callable[[], Result], what: str) -> Result:
        async with self._views:
            try:
                return await self._run(call, self._settings.page_timeout_s)
            except _Lost as error:
                raise Unreadable(f"{what} {error.why}.") from error

    async def _in_child(self, call: Callable[[], Result], *, seconds: float) -> Result:
        async with self._slots:
            return await self._run(call, seconds)

    async def _run(self, call: Callable[[], Result], seconds: float) -> Result:
        try:
            with anyio.fail_after(seconds):
                return await anyio.to_process.run_sync(call, cancellable=True, limiter=self._limiter)
        except TimeoutError as error:
            raise _Lost(TimedOut, f"could not be read within {seconds:g} s") from error
        except BrokenWorkerProcess as error:
            if "initialization" in str(error):
                raise  # the installation is at fault, not the file
            raise _Lost(Damaged, "ended the process that read it") from error
        except MemoryError as error:
            why = "needs more memory than PAGEWARDEN_INGEST_READ_MEMORY_BYTES allows"
            raise _Lost(OutOfMemory, why) from error

    async def _read_pdf(self, source: Source, on_page: OnPage, *, only_page: int | None = None) -> list[Page]:
        settings = self._settings
        try:
            total = await self._in_child(
                partial(child.count_pages, source.path, settings), seconds=settings.page_timeout_s
            )
        except _Lost as error:
            raise error.kind(f"The PDF {error.why}; export it again at its source.") from error
        if total > settings.max_pages:
            raise TooManyPages(
                f"The PDF has {total} pages, over the limit of {settings.max_pages}; "
                "split it or raise PAGEWARDEN_INGEST_MAX_PAGES."
            )
        wanted = range(1, total + 1)
        if only_page is not None:
            wanted = range(only_page, min(only_page, total) + 1)
        story = _Story(self, source, len(wanted), on_page)
        size = max(1, min(_RANGE, -(-len(wanted) // settings.readers)))
        try:
            async with anyio.create_task_group() as group:
                for first in wanted[::size]:
                    group.start_soon(story.read_range, first, min(wanted[-1], first + size - 1))
        except* IngestError as errors:
            raise _first(errors) from None
        return _finished(story.pages[no] for no in wanted)

    async def _read_images(self, source: Source, pages_dir: Path, on_page: OnPage) -> list[Page]:
        settings = self._settings
        call = partial(child.normalise, source.path, pages_dir, settings)
        try:
            sizes = await self._in_child(call, seconds=_WHOLE * settings.page_timeout_s)
        except _Lost as error:
            raise error.kind(f"The picture {error.why}; scale it down and add it again.") from error
        raws: dict[int, Draft] = {}

        async def look(no: int) -> None:
            width, height = sizes[no - 1]
            raw = Draft(
                no=no,
                width_pt=width,
                height_pt=height,
                read_by="ocr-layout",
                reason="The file is a picture.",
                known=(),
            )
            call = partial(child.look_at_image, pages_dir / f"{no}.png", raw, settings)
            raws[no] = await self._look(call, raw)
            on_page(len(raws), len(sizes))

        async with anyio.create_task_group() as group:
            for no in range(1, len(sizes) + 1):
                group.start_soon(look, no)
        return _finished(raws[no] for no in sorted(raws))

    async def _look(self, call: Callable[[], Draft], raw: Draft) -> Draft:
        """Read a page with eyes, or keep what is known of it together with the reason."""
        try:
            return await self._in_child(call, seconds=self._settings.page_timeout_s)
        except _Lost as error:
            _log.warning("page %s %s", raw.no, error.why)
            return _blind(raw, code=error.kind.code, why=f"By eye it {error.why}.")
        except NeedsProgram as error:
            return _blind(raw, code=error.code, why=error.detail)


def _blind(raw: Draft, *, code: str, why: str) -> Draft:
    """Keep what is known of a page that eyes could not read, together with the reason."""
    return replace(
        raw,
        known=None,
        pictures=(),
        reason=f"{raw.reason} {why}",
        flags=(*raw.flags, "lost"),
        lost=code,
    )


class _Lost(Exception):
    """A child ran out of time or memory, or died."""

    def __init__(self, kind: type[InputError], why: str) -> None:
        super().__init__(why)
        #: What the whole file's failure is called, if it comes to that.
        self.kind = kind
        self.why = why


class _Story:
    """The pages of one PDF as they come in."""

    def __init__(self, reader: Reader, source: Source, total: int, on_page: OnPage) -> None:
        self.reader = reader
        self.source = source
        self.total = total
        self.on_page = on_page
        self.pages: dict[int, Draft] = {}
        self.lost = 0

    async def read_range(self, first: int, last: int) -> None:
        """Read a range's text layers, then its pages that need eyes, one by one."""
        for raw in await self._text_of(first, last):
            if raw.known is None and not raw.pictures:
                self._done(raw)
                continue
            call = partial(child.look_at_page, self.source.path, raw, self.reader._settings)
            self._done(await self.reader._look(call, raw))

    def _done(self, raw: Draft) -> None:
        self.pages[raw.no] = raw
        self.on_page(len(self.pages), self.total)

    async def _text_of(self, first: int, last: int) -> list[Draft]:
        settings = self.reader._settings
        call = partial(child.read_range, self.source.path, first, last, settings)
        try:
            return await self.reader._in_child(call, seconds=settings.page_timeout_s)
        except _Lost as error:
            if first == last:
                return [self._given_up(first, error)]
        return [raw for no in range(first, last + 1) for raw in await self._text_of(no, no)]

    def _given_up(self, no: int, error: _Lost) -> Draft:
        _log.warning("page %s of %s %s", no, self.source.revision, error.why)
        self.lost += 1
        if self.lost > _MAX_LOST:
            raise error.kind(
                f"Page {no} {error.why}, like {_MAX_LOST} before it; export the PDF again at its source."
            )
        return child.lost_page(no, code=error.kind.code, reason=f"The page {error.why}.")


def _first(errors: BaseExceptionGroup[IngestError]) -> IngestError:
    """Return one error of a group: all of them are about the same file."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _finished(raws: Iterator[Draft]) -> list[Page]:
    pages = list(raws)
    elements = finish([page.blocks for page in pages])
    return [
        Page(
            no=p.no,
            width_pt=p.width_pt,
            height_pt=p.height_pt,
            read_by=p.read_by,
            reason=p.reason,
            elements=e,
            flags=p.flags,
            lost=p.lost,
        )
        for p, e in zip(pages, elements, strict=True)
    ]


def told(name: str, pages: Sequence[Page], attachments: Sequence[Reading] = ()) -> Reading:
    """Put pages together and say what is missing: a lost page or attachment makes it partial."""
    lost = [page for page in pages if page.lost]
    reading = partial(Reading, name=name, pages=tuple(pages), attachments=tuple(attachments))
    if lost:
        numbers = ", ".join(str(page.no) for page in lost[:8]) + (", …" if len(lost) > 8 else "")
        detail = f"Of {len(pages)} pages {len(lost)} could not be read ({numbers}). {lost[0].reason}"
        return reading(outcome="partial", reason=lost[0].lost, detail=detail)
    missing = next((one for one in attachments if one.outcome != "ok"), None)
    if missing is not None:
        detail = f"What is packed in it was not read whole: {missing.name}. {missing.detail}"
        return reading(outcome="partial", reason=missing.reason, detail=detail)
    if not attachments and not any(element.text.strip() for page in pages for element in page.elements):
        return reading(outcome="ok", reason="no_text_found", detail="Every page was read; none holds a word.")
    return reading(outcome="ok")
