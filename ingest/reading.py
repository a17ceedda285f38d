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
from anyio.abc import TaskGroup

from ingest import child, views
from ingest.child import Draft
from ingest.errors import Damaged, IngestError, InputError, OutOfMemory, TimedOut, TooManyPages, Unreadable
from ingest.eyes import Desk, Eyes, OnWait, Waiting
from ingest.records import Box, Page, Reading
from ingest.settings import IngestSettings
from ingest.sources import IMAGES, PDF, Source
from ingest.structure import finish
from ingest.views import Shown

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

    def __init__(self, settings: IngestSettings, *, eyes: Eyes | None = None) -> None:
        self._settings = settings
        self._eyes = eyes
        if eyes is not None:
            # The same file is read otherwise: other chunk ids.
            self.version = f"{READER}+{eyes.version}"
        self._slots = anyio.Semaphore(settings.readers)
        # People wait for page images: they never queue behind a batch of documents.
        self._views = anyio.Semaphore(2)
        self._limiter = anyio.CapacityLimiter(settings.readers + 2)

    async def read(
        self, source: Source, *, pages_dir: Path, on_page: OnPage, on_wait: OnWait | None = None
    ) -> Reading:
        """Read every page; images of pages that the file itself cannot show go to `pages_dir/{no}.png`.

        `on_page(done, total)` is called as pages are done, `on_wait` when reading begins (True) and ends to
        wait for a vision model that is down. Pages that are lost are in the reading, flagged and with the
        reason; raises InputError's subclasses where the file as a whole is at fault, ModelDown where the
        vision model stays down.
        """
        waiting = Waiting(on_wait)
        return told(source.name, await self._pages(source, pages_dir, on_page, waiting))

    async def _pages(self, source: Source, pages_dir: Path, on_page: OnPage, on_wait: OnWait) -> list[Page]:
        if source.media_type == PDF:
            return await self._read_pdf(source, on_page, on_wait)
        await anyio.Path(pages_dir).mkdir(parents=True, exist_ok=True)
        if source.media_type in IMAGES:
            return await self._read_images(source, pages_dir, on_page, on_wait)
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
        marks: Sequence[Box] = (),
        veils: Sequence[Box] = (),
    ) -> bytes:
        """Return a page as PNG, `marks` highlighted and `veils` painted over; raises Unreadable."""
        file = path if media_type == PDF else pages_dir / f"{page_no}.png"
        call = partial(
            child.render,
            file,
            page_no if media_type == PDF else None,
            dpi,
            tuple(marks),
            tuple(veils),
            self._settings,
        )
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

    async def _eyed(
        self, raw: Draft, look: Callable[[], Draft], show: Callable[[bool], Shown], on_wait: OnWait
    ) -> Draft:
        """Read a page with the vision model where there is one and the page wants it, else as ever."""

        async def otherwise() -> Draft:
            needs_eyes = raw.known is not None or bool(raw.pictures)
            return await self._look(look, raw) if needs_eyes else raw

        if self._eyes is None or self._eyes.why(raw) is None:
            return await otherwise()
        desk = Desk(in_child=self._beside, show=show, otherwise=otherwise, on_wait=on_wait)
        return await self._eyes.read(raw, desk)

    async def _beside(self, call: Callable[[], Result], /) -> Result:
        """Run a call about one page in a child; raises Unreadable."""
        try:
            return await self._in_child(call, seconds=self._settings.page_timeout_s)
        except _Lost as error:
            raise Unreadable(f"The page {error.why}.") from error

    async def _read_pdf(self, source: Source, on_page: OnPage, on_wait: OnWait) -> list[Page]:
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
        story = _Story(self, source, total, on_page, on_wait)
        size = max(1, min(_RANGE, -(-total // settings.readers)))
        try:
            async with anyio.create_task_group() as group:
                for first in range(1, total + 1, size):
                    group.start_soon(story.read_range, first, min(total, first + size - 1), group)
        except* IngestError as errors:
            raise _first(errors) from None
        return _finished(story.pages[no] for no in range(1, total + 1))

    async def _read_images(
        self, source: Source, pages_dir: Path, on_page: OnPage, on_wait: OnWait
    ) -> list[Page]:
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
            file = pages_dir / f"{no}.png"
            call = partial(child.look_at_image, file, raw, settings)
            show = partial(views.show_image, file, raw, settings)
            raws[no] = await self._eyed(raw, call, show, on_wait)
            on_page(len(raws), len(sizes))

        try:
            async with anyio.create_task_group() as group:
                for no in range(1, len(sizes) + 1):
                    group.start_soon(look, no)
        except* IngestError as errors:
            raise _first(errors) from None
        return _finished(raws[no] for no in sorted(raws))

    async def _look(self, call: Callable[[], Draft], raw: Draft) -> Draft:
        """Read a page with eyes, or keep what is known of it together with the reason."""
        try:
            return await self._in_child(call, seconds=self._settings.page_timeout_s)
        except _Lost as error:
            _log.warning("page %s %s", raw.no, error.why)
            return replace(
                raw,
                known=None,
                pictures=(),
                reason=f"{raw.reason} By eye it {error.why}.",
                flags=(*raw.flags, "lost"),
                lost=error.kind.code,
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

    def __init__(self, reader: Reader, source: Source, total: int, on_page: OnPage, on_wait: OnWait) -> None:
        self.reader = reader
        self.source = source
        self.total = total
        self.on_page = on_page
        self.on_wait = on_wait
        self.pages: dict[int, Draft] = {}
        self.lost = 0

    async def read_range(self, first: int, last: int, group: TaskGroup) -> None:
        """Read a range's text layers, then its pages that need eyes, each by itself."""
        for raw in await self._text_of(first, last):
            group.start_soon(self._finish, raw)

    async def _finish(self, raw: Draft) -> None:
        path, settings = self.source.path, self.reader._settings
        look = partial(child.look_at_page, path, raw, settings)
        show = partial(views.show_page, path, raw, settings)
        self._done(await self.reader._eyed(raw, look, show, self.on_wait))

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
