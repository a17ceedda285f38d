"""Reading: a source becomes pages, in child processes that may hang, crash or eat memory without harm.

A page whose child dies or runs out of time is tried once more by itself and then given up *by name*: it stays
in the document, empty, with the reason. Text layers come first, in ranges; when all are read, pages that need
eyes follow one by one, so that progress is seen and one bad scan costs one page. When the time of the whole
file is over, what is left is given up by name too. Office files are set on pages by LibreOffice where it is
installed; what is packed in a file is read like a file of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_process
import anyio.to_thread
from anyio import BrokenWorkerProcess
from anyio.abc import TaskGroup

from ingest import child, office, scenes, views
from ingest.archives import WANTS_PASSWORD
from ingest.checkpoints import Checkpoint
from ingest.child import Draft
from ingest.errors import (
    Damaged,
    Encrypted,
    IngestError,
    InputError,
    NeedsProgram,
    NoPageImage,
    OutOfMemory,
    TimedOut,
    TooManyPages,
    Unreadable,
)
from ingest.eyes import Desk, Eyes, OnWait, Waiting
from ingest.fair import Turns
from ingest.packed import MAX_DEPTH, Packed, Room, too_deep
from ingest.records import Element, Page, PictureFormat, Reading
from ingest.settings import IngestSettings
from ingest.sources import (
    CONTAINERS,
    DOC,
    IMAGES,
    LOCKED,
    ODS,
    PDF,
    PPT,
    PPTX,
    VIDEOS,
    XLS,
    XLSX,
    Source,
    open_source,
)
from ingest.structure import finish
from ingest.views import Shown
from ingest.watching import Watcher

#: Goes into every chunk's id: raise it whenever the same file would be read differently.
READER = "reader-3"

_log = logging.getLogger(__name__)
#: Pages of text in one call of a child; enough that the call costs nothing beside them.
_RANGE = 24
#: Pages lost to time or memory before the whole file is given up: its every page would take the full time.
_MAX_LOST = 5
#: Pages before and after one that is read alone whose text layers are read with it.
_NEIGHBOURS = 6
#: Documents without pages are read in one go; they get the time of that many pages.
_WHOLE = 10
#: How long before the time of the whole file its last pages are given up, so that it still ends well.
_GRACE_S = 3.0
#: The PDF that LibreOffice made of an office file, beside the page images.
_OFFICE_PDF = "office.pdf"

_OVER = "was not read: the time for the whole file was over"

Result = TypeVar("Result")
OnPage = Callable[[int, int], None]


class _Telling(NamedTuple):
    """Whom to tell how far reading is."""

    page: OnPage
    wait: OnWait
    #: What was read already, and where to keep what is read now.
    kept: Checkpoint


class Reader:
    """Reads sources into pages and renders page images, each in child processes of its own."""

    def __init__(
        self,
        settings: IngestSettings,
        *,
        eyes: Eyes | None = None,
        ears: scenes.Ears | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._settings = settings
        self._eyes = eyes
        self._ears = ears
        self._watcher = watcher
        self._slots = Turns(settings.readers)
        # People wait for page images: they never queue behind a batch of documents.
        self._views = anyio.Semaphore(2)
        self._limiter = anyio.CapacityLimiter(settings.readers + 2)
        self._has_office = settings.office == "auto" and office.program() is not None

    @property
    def version(self) -> str:
        """Name how files are read: pages by LibreOffice or by another model are other pages, other chunks."""
        parts = [READER, "office" if self._has_office else "", self._eyes.version if self._eyes else ""]
        return "+".join(filter(None, parts))

    def version_of(self, source: Source) -> str:
        """Name how this file is read; of a film also by whom it is heard, and the subtitles beside it."""
        if source.media_type not in VIDEOS:
            return self.version
        return scenes.version(source, self._settings, self._ears, self._watcher)

    async def read(
        self,
        source: Source,
        *,
        pages_dir: Path,
        on_page: OnPage,
        on_wait: OnWait | None = None,
        only_page: int | None = None,
        password: str | None = None,
        within_s: float | None = None,
    ) -> Reading:
        """Read every page (or `only_page` of a PDF), and what is packed in the file.

        Pictures that the file itself cannot show go to `pages_dir`.

        `on_page(done, total)` is called as pages are done, `on_wait` when reading begins (True) and ends to
        wait for a vision model that is down. Pages that are lost are in the reading, flagged
        and with the reason; raises InputError's subclasses where the file as a whole is at fault. After
        `within_s` (by default the settings' `file_timeout_s`) what is left is given up.
        """
        room, telling = Room.of(self._settings), _Telling(on_page, Waiting(on_wait), Checkpoint())
        seconds = within_s or self._settings.file_timeout_s
        try:
            with anyio.fail_after(seconds + _GRACE_S):
                return await self._whole(
                    source, pages_dir, telling, room=room, depth=0, only_page=only_page, password=password
                )
        except TimeoutError as error:
            raise TimedOut(f"The file could not be read within {seconds:g} s.") from error

    async def read_alone(
        self,
        source: Source,
        *,
        pages_dir: Path,
        on_page: OnPage,
        on_wait: OnWait | None = None,
        kept: Checkpoint | None = None,
    ) -> Reading:
        """Read a file's own pages that `kept` does not hold yet, and nothing that is packed in it."""
        telling = _Telling(on_page, Waiting(on_wait), kept or Checkpoint())
        seconds = self._settings.file_timeout_s
        try:
            with anyio.fail_after(seconds + _GRACE_S):
                plain = await self._unlocked(source, pages_dir, None)
                return told(source.name, await self._pages(plain, pages_dir, telling))
        except TimeoutError as error:
            raise TimedOut(f"The file could not be read within {seconds:g} s.") from error

    async def unpack(
        self, source: Source, *, folder: Path, room: Room, depth: int = 0, password: str | None = None
    ) -> list[Packed]:
        """Write what is packed in a file into `folder`; `room` is used up. Raises InputError's subclasses."""
        call = partial(child.unpack, source.path, source.media_type, folder, room, password, self._settings)
        try:
            found = await self._in_child(call, seconds=_WHOLE * self._settings.page_timeout_s)
        except _Lost as error:
            raise error.kind(f"The file {error.why} while it was unpacked.") from error
        if found and depth >= MAX_DEPTH:
            raise too_deep()
        room.take(found)
        return found

    async def _whole(
        self,
        source: Source,
        pages_dir: Path,
        telling: _Telling,
        *,
        room: Room,
        depth: int,
        only_page: int | None = None,
        password: str | None = None,
    ) -> Reading:
        plain = await self._unlocked(source, pages_dir, password)
        packed: list[Packed] = []
        if plain.media_type in CONTAINERS and plain.media_type != PDF:
            packed = await self.unpack(
                plain, folder=pages_dir / "packed", room=room, depth=depth, password=password
            )
        pages = await self._pages(plain, pages_dir, telling, only_page)
        if plain.media_type == PDF and only_page is None:
            packed = await self._embedded(plain, pages_dir / "packed", room, depth)
        quiet = telling._replace(page=_tell_nobody, kept=Checkpoint())
        attachments = [await self._inner(one, quiet, room, depth + 1) for one in packed]
        return told(source.name, pages, attachments)

    async def _embedded(self, source: Source, folder: Path, room: Room, depth: int) -> list[Packed]:
        """Take the files out of a PDF; that they do not come out is no fault of its pages."""
        try:
            return await self.unpack(source, folder=folder, room=room, depth=depth)
        except InputError as error:
            return [Packed(name="embedded files", path=None, error=error)]

    async def _inner(self, one: Packed, telling: _Telling, room: Room, depth: int) -> Reading:
        """Read a packed file; what is wrong with it is told, and is no fault of the others."""
        try:
            if one.path is None:
                raise one.error or Damaged("The file does not unpack.")
            source = await _opened(one.path, one.name, self._settings)
            reading = await self._whole(
                source, one.path.with_suffix(".pages"), telling, room=room, depth=depth
            )
        except InputError as error:
            return Reading(name=one.name, outcome="failed", reason=error.code, detail=error.detail)
        return replace(reading, name=one.name)

    async def _unlocked(self, source: Source, pages_dir: Path, password: str | None) -> Source:
        """Return a source that wants no password; raises Encrypted."""
        locked = source.media_type == LOCKED
        if source.media_type in {DOC, PPT, XLS}:
            call = partial(child.is_locked, source.path, self._settings)
            locked = await self._once(call, "The file")
        if password is None or not (locked or source.media_type == PDF):
            if locked:
                raise Encrypted(WANTS_PASSWORD)
            return source
        await anyio.Path(pages_dir).mkdir(parents=True, exist_ok=True)
        copy = pages_dir / "unlocked"
        await self._once(
            partial(child.unlock, source.path, source.media_type, password, copy, self._settings), "The file"
        )
        return replace(await _opened(copy, source.name, self._settings), revision=source.revision)

    async def _once(self, call: Callable[[], Result], what: str) -> Result:
        try:
            return await self._in_child(call, seconds=self._settings.page_timeout_s)
        except _Lost as error:
            raise error.kind(f"{what} {error.why}; save it again at its source.") from error

    async def _pages(
        self, source: Source, pages_dir: Path, telling: _Telling, only_page: int | None = None
    ) -> list[Page]:
        if source.media_type == PDF:
            return await self._read_pdf(source, telling, only_page)
        await anyio.Path(pages_dir).mkdir(parents=True, exist_ok=True)
        if source.media_type in IMAGES:
            return await self._read_images(source, pages_dir, telling)
        if source.media_type in office.PAGED or source.media_type in office.WANTED:
            return await self._read_office(source, pages_dir, telling)
        if source.media_type in VIDEOS:
            return await self._read_film(source, pages_dir, telling)
        return await self._read_sections(source, telling)

    async def _read_office(self, source: Source, pages_dir: Path, telling: _Telling) -> list[Page]:
        """Read an office file set on pages, or without them where LibreOffice is not there or fails."""
        if not self._has_office:
            if source.media_type in office.WANTED:
                raise office.needs(source.media_type)
            return await self._read_sections(source, telling, "LibreOffice is not here to set it on pages.")
        try:
            if source.media_type == ODS:
                book = await self._converted(source, pages_dir / "office.xlsx")
                return await self._read_sections(replace(source, path=book, media_type=XLSX), telling)
            pdf = await self._converted(source, pages_dir / _OFFICE_PDF)
            pages = await self._read_pdf(replace(source, path=pdf, media_type=PDF), telling)
        except InputError as error:
            if source.media_type in office.WANTED or isinstance(error, TooManyPages):
                raise
            await anyio.Path(pages_dir / _OFFICE_PDF).unlink(missing_ok=True)
            return await self._read_sections(source, telling, f"LibreOffice did not help: {error.detail}")
        notes: dict[int, str] = {}
        if source.media_type == PPTX:
            notes = await self._once(partial(child.slide_notes, source.path, self._settings), "The file")
        return [
            replace(
                page,
                reason=f"Set on pages by LibreOffice. {page.reason}",
                elements=(*page.elements, *_noted(notes.get(page.no))),
            )
            for page in pages
        ]

    async def _read_film(self, source: Source, pages_dir: Path, telling: _Telling) -> list[Page]:
        desk = scenes.Desk(
            in_child=self._filming,
            look=self._look,
            on_page=telling.page,
            settings=self._settings,
            ears=self._ears,
            watcher=self._watcher,
            on_wait=telling.wait,
        )
        return _kept(await scenes.read_film(source, pages_dir, desk))

    async def _filming(self, call: Callable[[], Result], /) -> Result:
        """Run a call about a stretch of a film in a child; raises InputError."""
        try:
            return await self._in_child(call, seconds=_WHOLE * self._settings.page_timeout_s)
        except _Lost as error:
            raise error.kind(f"The film {error.why}.") from error

    async def _converted(self, source: Source, to: Path) -> Path:
        async with self._slots:
            await office.convert(source.path, source.media_type, to, self._settings)
        return to

    async def _read_sections(self, source: Source, telling: _Telling, why: str = "") -> list[Page]:
        reason = f"{why} The format has no pages; this is a section of its text.".strip()
        call = partial(child.read_sections, source.path, source.media_type, reason, self._settings)
        try:
            pages = await self._in_child(call, seconds=_WHOLE * self._settings.page_timeout_s)
        except _Lost as error:
            raise error.kind(f"The file {error.why}; split it and add the parts.") from error
        telling.page(len(pages), len(pages))
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
        """Return a page's plain picture, at most `longest` pixels on its longer side.

        Raises NoPageImage for a section of a format without pages, Unreadable.
        """
        file = path if media_type == PDF else pages_dir / _OFFICE_PDF
        if media_type in IMAGES:
            file = pages_dir / f"{page_no}.png"
        elif media_type in VIDEOS:
            file = pages_dir / f"{page_no}.jpg"
        elif media_type != PDF and not await anyio.Path(file).exists():
            raise NoPageImage("The format has no pages: its text is there, a page image is not.")
        no = None if media_type in IMAGES or media_type in VIDEOS else page_no
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
        try:
            with anyio.fail_after(_left_s()):
                await self._slots.acquire()
        except TimeoutError as error:
            raise _Lost(TimedOut, _OVER, over=True) from error
        try:
            return await self._run(call, seconds)
        finally:
            self._slots.release()

    async def _run(self, call: Callable[[], Result], seconds: float) -> Result:
        left, most = _left_s(), seconds * _crowding()
        try:
            with anyio.fail_after(min(most, left)):
                return await anyio.to_process.run_sync(call, cancellable=True, limiter=self._limiter)
        except TimeoutError as error:
            if left <= most:
                raise _Lost(TimedOut, _OVER, over=True) from error
            raise _Lost(TimedOut, f"could not be read within {seconds:g} s") from error
        except BrokenWorkerProcess as error:
            if "initialization" in str(error):
                raise  # the installation is at fault, not the file
            raise _Lost(Damaged, "ended the process that read it") from error
        except MemoryError as error:
            why = "needs more memory than PAGEWARDEN_INGEST_READ_MEMORY_BYTES allows"
            raise _Lost(OutOfMemory, why) from error

    async def _read_pdf(self, source: Source, telling: _Telling, only_page: int | None = None) -> list[Page]:
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
            # Its neighbours tell running heads and levels of headings; nobody looks at them.
            wanted = range(max(1, only_page - _NEIGHBOURS), min(only_page + _NEIGHBOURS, total) + 1)
        story = _Story(self, source, len(wanted), telling, only_page)
        size = max(1, min(_RANGE, -(-len(wanted) // settings.readers)))
        try:
            async with anyio.create_task_group() as group:
                for first in wanted[::size]:
                    group.start_soon(story.read_range, first, min(wanted[-1], first + size - 1), group)
            async with anyio.create_task_group() as group:
                for raw in story.waiting():
                    group.start_soon(story.look, raw)
        except* IngestError as errors:
            raise _first(errors) from None
        pages = _finished(story.pages[no] for no in wanted)
        return _kept([page for page in pages if only_page in (None, page.no)])

    async def _read_images(self, source: Source, pages_dir: Path, telling: _Telling) -> list[Page]:
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
            call = partial(child.look_at_image, file, raw, self._for(len(sizes)))
            known = telling.kept.page("page", no)
            if known is None:
                show = partial(views.show_image, file, raw, settings)
                known = await self._eyed(raw, call, show, telling)
                await _keep(telling.kept, "page", [known])
            raws[no] = known
            telling.page(len(raws), len(sizes))

        try:
            async with anyio.create_task_group() as group:
                for no in range(1, len(sizes) + 1):
                    group.start_soon(look, no)
        except* IngestError as errors:
            raise _first(errors) from None
        return _kept(_finished(raws[no] for no in sorted(raws)))

    def _for(self, pages: int) -> IngestSettings:
        """Give the only page of a file every thread: nobody else reads beside it."""
        return self._settings if pages > 1 else self._settings.model_copy(update={"readers": 1})

    def _model_reads(self, raw: Draft) -> bool:
        return self._eyes is not None and self._eyes.why(raw) is not None

    async def _eyed(
        self, raw: Draft, look: Callable[[], Draft], show: Callable[[bool], Shown], telling: _Telling
    ) -> Draft:
        """Read a page with the vision model where there is one and the page wants it, else as ever."""

        async def otherwise() -> Draft:
            return await self._look(look, raw) if raw.wants_eyes else raw

        if self._eyes is None or not self._model_reads(raw):
            return await otherwise()
        desk = Desk(in_child=self._beside, show=show, otherwise=otherwise, on_wait=telling.wait)
        return await self._eyes.read(raw, desk)

    async def _beside(self, call: Callable[[], Result], /) -> Result:
        """Run a call about one page in a child; raises Unreadable."""
        try:
            return await self._in_child(call, seconds=self._settings.page_timeout_s)
        except _Lost as error:
            raise Unreadable(f"The page {error.why}.") from error

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

    def __init__(self, kind: type[InputError], why: str, *, over: bool = False) -> None:
        super().__init__(why)
        #: What the whole file's failure is called, if it comes to that.
        self.kind = kind
        self.why = why
        #: Whether it was the whole file's time that ran out.
        self.over = over


class _Story:
    """The pages of one PDF as they come in."""

    def __init__(
        self, reader: Reader, source: Source, total: int, telling: _Telling, only_page: int | None
    ) -> None:
        self.reader = reader
        self.source = source
        self.total = total
        self.telling = telling
        self.only_page = only_page
        self.pages: dict[int, Draft] = {}
        self.lost = 0
        self._waiting: list[Draft] = []

    async def read_range(self, first: int, last: int, group: TaskGroup) -> None:
        """Read a range's text layers; pages that want eyes as a whole are looked at as they come.

        Those with pictures wait until all layers are read: only then is it known which are the largest.
        """
        for raw in await self._kept_text_of(first, last):
            if self.only_page not in (None, raw.no):
                self._done(raw)
            elif raw.pictures:
                self._waiting.append(raw)
            elif raw.wants_eyes or self.reader._model_reads(raw):
                group.start_soon(self.look, raw)
            else:
                self._done(raw)

    def waiting(self) -> list[Draft]:
        """Return the pages to be looked at, in order, those whose pictures must be left alone marked done."""
        pages: list[Draft] = []
        for raw in budgeted(
            sorted(self._waiting, key=lambda raw: raw.no), self.reader._settings.max_pictures
        ):
            if raw.wants_eyes or self.reader._model_reads(raw):
                pages.append(raw)
            else:
                self._done(raw)
        return pages

    async def look(self, raw: Draft) -> None:
        """Look at a page, or have the vision model read it; one that is kept is not looked at again."""
        known = self.telling.kept.page("page", raw.no)
        if known is None:
            path, settings = self.source.path, self.reader._settings
            look = partial(child.look_at_page, path, raw, self.reader._for(self.total))
            show = partial(views.show_page, path, raw, settings)
            known = await self.reader._eyed(raw, look, show, self.telling)
            await _keep(self.telling.kept, "page", [known])
        self._done(known)

    def _done(self, raw: Draft) -> None:
        self.pages[raw.no] = raw
        self.telling.page(len(self.pages), self.total)

    async def _kept_text_of(self, first: int, last: int) -> list[Draft]:
        """Read the text layers of a range, unless all of it is kept."""
        kept = self.telling.kept
        known = [raw for no in range(first, last + 1) if (raw := kept.page("text", no)) is not None]
        if len(known) == last + 1 - first:
            return known
        raws = await self._text_of(first, last)
        await _keep(kept, "text", raws)
        return raws

    async def _text_of(self, first: int, last: int) -> list[Draft]:
        settings = self.reader._settings
        call = partial(child.read_range, self.source.path, first, last, settings)
        try:
            return await self.reader._in_child(call, seconds=settings.page_timeout_s)
        except _Lost as error:
            if error.over:
                reason = f"The page {error.why}."
                return [
                    child.lost_page(no, code=error.kind.code, reason=reason) for no in range(first, last + 1)
                ]
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


def budgeted(drafts: Sequence[Draft], most: int) -> list[Draft]:
    """Choose the pictures in pages of text that are read by eye: the `most` largest, repeated ones once.

    Pages say how many of theirs were left alone. What is chosen depends on the document alone, not on the
    clock: the same file reads the same on a busy machine.
    """
    sizes: dict[str, float] = {}
    for raw in drafts:
        for place, (rect, digest) in enumerate(raw.pictures):
            key = digest or f"{raw.no}/{place}"
            sizes[key] = max(sizes.get(key, 0.0), (rect.x1 - rect.x0) * (rect.y1 - rect.y0))
    chosen = set(sorted(sizes, key=lambda key: (-sizes[key], key))[:most])
    return [_without(raw, chosen, most) for raw in drafts]


def _without(raw: Draft, chosen: set[str], most: int) -> Draft:
    kept = tuple(
        (rect, digest)
        for place, (rect, digest) in enumerate(raw.pictures)
        if (digest or f"{raw.no}/{place}") in chosen
    )
    left = len(raw.pictures) - len(kept)
    if not left:
        return raw
    why = f"{left} pictures on it were not looked at: {most} larger ones of the document were."
    return replace(raw, pictures=kept, known=raw.known if kept else None, reason=f"{raw.reason} {why}")


def _crowding() -> float:
    """Return how many want each core, 1 to 8: on a busy machine a page gets only its share of the time.

    Pages of scans were given up at a load of 14 on two cores that take 10 s alone.
    """
    return min(8.0, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


def _left_s() -> float:
    """Return the seconds that are left of the whole file's time."""
    return max(0.0, anyio.current_effective_deadline() - anyio.current_time() - _GRACE_S)


def _tell_nobody(done: int, total: int) -> None:
    """Progress that nobody asked for."""


async def _keep(kept: Checkpoint, stage: Literal["text", "page"], drafts: Sequence[Draft]) -> None:
    """Keep pages that were read; a page that was lost may be luckier the next time."""
    await kept.keep_pages(stage, [draft for draft in drafts if draft.lost is None])


async def _opened(path: Path, name: str, settings: IngestSettings) -> Source:
    return await anyio.to_thread.run_sync(partial(open_source, path, name=name, settings=settings))


def _noted(notes: str | None) -> tuple[Element, ...]:
    return (Element(kind="paragraph", text=f"Speaker notes: {notes}", spans=()),) if notes else ()


def _kept(pages: list[Page]) -> list[Page]:
    """Return the pages of which at least one was read; raises what the first was lost to."""
    if not pages or any(page.lost is None or page.elements for page in pages):
        return pages
    kinds = {kind.code: kind for kind in InputError.__subclasses__()}
    raise kinds[pages[0].lost or Damaged.code](f"No page could be read. {pages[0].reason}")


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
            hidden=p.hidden,
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
