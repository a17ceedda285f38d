"""Reading: a source becomes pages, in child processes that may hang, crash or eat memory without harm.

A page whose child dies or runs out of time is tried once more by itself and then given up *by name*: it stays
in the document, empty, with the reason. Text layers come first, in ranges; pages that need eyes follow one
by one, so that progress is seen and one bad scan costs one page.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_process
from anyio import BrokenWorkerProcess

from ingest.errors import Damaged, IngestError, TooLarge, Unreadable
from ingest.records import Box, Page, ReadBy
from ingest.settings import IngestSettings
from ingest.sources import IMAGES, PDF, Source
from ingest.structure import Block, Rect, Word, finish

if TYPE_CHECKING:
    from ingest.pages import Sheet

#: Goes into every chunk's id: raise it whenever the same file would be read differently.
READER = "reader-1"

_log = logging.getLogger(__name__)
#: Pages of text in one call of a child; enough that the call costs nothing beside them.
_RANGE = 24
#: Pages lost to time or memory before the whole file is given up: its every page would take the full time.
_MAX_LOST = 5
#: Documents without pages are read in one go; they get the time of that many pages.
_WHOLE = 10
_MAX_SIDE = 4000

Result = TypeVar("Result")
OnPage = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raw:
    """A page on its way: read, but its headings not yet ranked among the document's."""

    no: int
    width_pt: float
    height_pt: float
    read_by: ReadBy
    reason: str
    blocks: tuple[Block, ...] = ()
    #: What the text layer gave although the page needs eyes; None: the page is done.
    known: tuple[Word, ...] | None = None
    #: Pictures whose words are still to be read.
    pictures: tuple[Rect, ...] = ()


class Reader:
    """Reads sources into pages and renders page images, each in child processes of its own."""

    version = READER

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._slots = anyio.Semaphore(settings.readers)
        # People wait for page images: they never queue behind a batch of documents.
        self._views = anyio.Semaphore(2)
        self._limiter = anyio.CapacityLimiter(settings.readers + 2)

    async def read(self, source: Source, *, pages_dir: Path, on_page: OnPage) -> list[Page]:
        """Read every page; images of pages that the file itself cannot show go to `pages_dir/{no}.png`.

        `on_page(done, total)` is called as pages are done. Raises InputError's subclasses.
        """
        if source.media_type == PDF:
            return await self._read_pdf(source, on_page)
        await anyio.Path(pages_dir).mkdir(parents=True, exist_ok=True)
        if source.media_type in IMAGES:
            return await self._read_images(source, pages_dir, on_page)
        call = partial(_set_pages, source.path, source.media_type, source.name, pages_dir, self._settings)
        try:
            pages = await self._in_child(call, seconds=_WHOLE * self._settings.page_timeout_s)
        except _Lost as error:
            raise Unreadable(f"The file {error.why}; split it and add the parts.") from error
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
            _render,
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
        return await self._view(partial(_picture_words, png, self._settings), "The picture")

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
            raise _Lost(f"could not be read within {seconds:g} s") from error
        except BrokenWorkerProcess as error:
            if "initialization" in str(error):
                raise  # the installation is at fault, not the file
            raise _Lost("ended the process that read it") from error
        except MemoryError as error:
            raise _Lost("needs more memory than PAGEWARDEN_INGEST_READ_MEMORY_BYTES allows") from error

    async def _read_pdf(self, source: Source, on_page: OnPage) -> list[Page]:
        settings = self._settings
        try:
            total = await self._in_child(
                partial(_count_pages, source.path, settings), seconds=settings.page_timeout_s
            )
        except _Lost as error:
            raise Damaged(f"The PDF {error.why}; export it again at its source.") from error
        if total > settings.max_pages:
            raise TooLarge(
                f"The PDF has {total} pages, over the limit of {settings.max_pages}; "
                "split it or raise PAGEWARDEN_INGEST_MAX_PAGES."
            )
        story = _Story(self, source, total, on_page)
        size = max(1, min(_RANGE, -(-total // settings.readers)))
        try:
            async with anyio.create_task_group() as group:
                for first in range(1, total + 1, size):
                    group.start_soon(story.read_range, first, min(total, first + size - 1))
        except* IngestError as errors:
            raise _first(errors) from None
        return _finished(story.pages[no] for no in range(1, total + 1))

    async def _read_images(self, source: Source, pages_dir: Path, on_page: OnPage) -> list[Page]:
        settings = self._settings
        call = partial(_normalise, source.path, pages_dir, settings)
        try:
            sizes = await self._in_child(call, seconds=_WHOLE * settings.page_timeout_s)
        except _Lost as error:
            raise Unreadable(f"The picture {error.why}; scale it down and add it again.") from error
        raws: dict[int, _Raw] = {}

        async def look(no: int) -> None:
            width, height = sizes[no - 1]
            raw = _Raw(
                no=no,
                width_pt=width,
                height_pt=height,
                read_by="ocr-layout",
                reason="The file is a picture.",
                known=(),
            )
            raws[no] = await self._look(partial(_look_at_image, pages_dir / f"{no}.png", raw, settings), raw)
            on_page(len(raws), len(sizes))

        async with anyio.create_task_group() as group:
            for no in range(1, len(sizes) + 1):
                group.start_soon(look, no)
        return _finished(raws[no] for no in sorted(raws))

    async def _look(self, call: Callable[[], _Raw], raw: _Raw) -> _Raw:
        """Read a page with eyes, or keep what is known of it together with the reason."""
        try:
            return await self._in_child(call, seconds=self._settings.page_timeout_s)
        except _Lost as error:
            _log.warning("page %s %s", raw.no, error.why)
            return replace(raw, known=None, pictures=(), reason=f"{raw.reason} By eye it {error.why}.")


class _Lost(Exception):
    """A child ran out of time or memory, or died."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Story:
    """The pages of one PDF as they come in."""

    def __init__(self, reader: Reader, source: Source, total: int, on_page: OnPage) -> None:
        self.reader = reader
        self.source = source
        self.total = total
        self.on_page = on_page
        self.pages: dict[int, _Raw] = {}
        self.lost = 0

    async def read_range(self, first: int, last: int) -> None:
        """Read a range's text layers, then its pages that need eyes, one by one."""
        for raw in await self._text_of(first, last):
            if raw.known is None and not raw.pictures:
                self._done(raw)
                continue
            call = partial(_look_at_page, self.source.path, raw, self.reader._settings)
            self._done(await self.reader._look(call, raw))

    def _done(self, raw: _Raw) -> None:
        self.pages[raw.no] = raw
        self.on_page(len(self.pages), self.total)

    async def _text_of(self, first: int, last: int) -> list[_Raw]:
        settings = self.reader._settings
        call = partial(_read_range, self.source.path, first, last, settings)
        try:
            return await self.reader._in_child(call, seconds=settings.page_timeout_s)
        except _Lost as error:
            if first == last:
                return [self._given_up(first, error)]
        return [raw for no in range(first, last + 1) for raw in await self._text_of(no, no)]

    def _given_up(self, no: int, error: _Lost) -> _Raw:
        _log.warning("page %s of %s %s", no, self.source.revision, error.why)
        self.lost += 1
        if self.lost > _MAX_LOST:
            raise Unreadable(
                f"Page {no} {error.why}, like {_MAX_LOST} before it; export the PDF again at its source."
            )
        return _Raw(no=no, width_pt=595, height_pt=842, read_by="text-layer", reason=f"The page {error.why}.")


def _first(errors: BaseExceptionGroup[IngestError]) -> IngestError:
    """Return one error of a group: all of them are about the same file."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _finished(raws: Iterator[_Raw]) -> list[Page]:
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
        )
        for p, e in zip(pages, elements, strict=True)
    ]


# Below: what runs in children. Each call bounds its memory first and imports only what it needs.


def _bound(settings: IngestSettings) -> None:
    logging.disable(logging.WARNING)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (settings.read_memory_bytes, hard))


def _threads(settings: IngestSettings) -> int:
    """Share the threads out among the children."""
    return max(1, settings.threads // settings.readers)


def _count_pages(path: Path, settings: IngestSettings) -> int:
    _bound(settings)
    from ingest.pages import count_pages

    return count_pages(path)


def _read_range(path: Path, first: int, last: int, settings: IngestSettings) -> list[_Raw]:
    _bound(settings)
    from ingest.pages import Sheet, read_sheets

    raws: list[_Raw] = []
    for no, sheet in enumerate(read_sheets(path, first, last), start=first):
        if isinstance(sheet, Sheet):
            raws.append(_raw(sheet))
        else:
            raws.append(_Raw(no=no, width_pt=595, height_pt=842, read_by="text-layer", reason=sheet.detail))
    return raws


def _raw(sheet: Sheet) -> _Raw:
    from ingest.pages import judge

    verdict = judge(sheet)
    shape = partial(
        _Raw, no=sheet.no, width_pt=sheet.width_pt, height_pt=sheet.height_pt, reason=verdict.reason
    )
    if verdict.needs_eyes:
        return shape(read_by="ocr-layout", known=verdict.words)
    silent = sheet.silent_pictures
    if silent:
        return shape(
            read_by="text-layer", known=verdict.words, pictures=silent, blocks=_laid_out(sheet, verdict.words)
        )
    return shape(read_by="text-layer", blocks=_laid_out(sheet, verdict.words))


def _laid_out(sheet: Sheet, words: Sequence[Word]) -> tuple[Block, ...]:
    from ingest.structure import lay_out

    return tuple(
        lay_out(
            words,
            width=sheet.width_pt,
            height=sheet.height_pt,
            pictures=sheet.pictures,
            strokes=sheet.strokes,
        )
    )


def _look_at_page(path: Path, raw: _Raw, settings: IngestSettings) -> _Raw:
    _bound(settings)
    from ingest.pages import render_pdf

    png = render_pdf(path, raw.no, dpi=settings.ocr_dpi)
    if raw.pictures:
        return _with_pictures(png, raw, settings)
    return _looked(png, raw, settings)


def _look_at_image(file: Path, raw: _Raw, settings: IngestSettings) -> _Raw:
    _bound(settings)
    return _looked(file.read_bytes(), raw, settings)


def _looked(png: bytes, raw: _Raw, settings: IngestSettings) -> _Raw:
    """Read a whole page by eye; words of its text layer stand for what OCR read in their places."""
    from ingest.structure import Rect, stands_in
    from ingest.vision import scan, scan_blocks

    seen = scan(png, width_pt=raw.width_pt, height_pt=raw.height_pt, threads=_threads(settings))
    known = raw.known or ()
    places = [Rect(w.x0, w.y0, w.x1, w.y1) for w in known]
    new = [word for word in seen.words if not any(stands_in(word, place) for place in places)]
    both = replace(seen, words=(*known, *new))
    blocks = scan_blocks(both, width_pt=raw.width_pt, height_pt=raw.height_pt)
    note = f"{raw.reason} OCR read {len(new)} words." if new else f"{raw.reason} OCR found no words."
    return replace(raw, blocks=tuple(blocks), known=None, reason=note)


def _with_pictures(png: bytes, raw: _Raw, settings: IngestSettings) -> _Raw:
    """Add the words that stand in a page's pictures to their figures."""
    from PIL import Image

    from ingest.pages import to_png
    from ingest.structure import lay_out
    from ingest.vision import scan

    found: dict[Rect, list[Word]] = {}
    with Image.open(BytesIO(png)) as page:
        across, down = page.width / raw.width_pt, page.height / raw.height_pt
        for rect in raw.pictures:
            crop = page.crop(
                (int(rect.x0 * across), int(rect.y0 * down), int(rect.x1 * across), int(rect.y1 * down))
            )
            width, height = rect.x1 - rect.x0, rect.y1 - rect.y0
            seen = scan(
                to_png(crop), width_pt=width, height_pt=height, threads=_threads(settings), regions=False
            )
            found[rect] = [
                w._replace(x0=w.x0 + rect.x0, y0=w.y0 + rect.y0, x1=w.x1 + rect.x0, y1=w.y1 + rect.y0)
                for w in seen.words
            ]
    words = raw.known or ()
    blocks = lay_out(
        words, width=raw.width_pt, height=raw.height_pt, pictures=raw.pictures, picture_words=found
    )
    count = sum(map(len, found.values()))
    note = f"{raw.reason} OCR read {count} words in {len(found)} pictures." if count else raw.reason
    return replace(raw, blocks=tuple(blocks), known=None, pictures=(), reason=note)


def _normalise(path: Path, pages_dir: Path, settings: IngestSettings) -> list[tuple[float, float]]:
    """Write a picture's frames as upright PNGs and return their sizes in points."""
    _bound(settings)
    from PIL import Image, ImageOps, ImageSequence

    from ingest.pages import to_png

    sizes: list[tuple[float, float]] = []
    try:
        with Image.open(path) as image:
            # Only TIFF has pages; the frames of a WebP are an animation.
            frames = ImageSequence.Iterator(image) if image.format == "TIFF" else iter([image])
            for no, frame in enumerate(frames, start=1):
                if no > settings.max_pages:
                    raise TooLarge(f"The picture has more than {settings.max_pages} pages; split it.")
                dpi = float(frame.info.get("dpi", (0, 0))[0]) or 150.0
                upright = ImageOps.exif_transpose(frame)
                picture = Image.new("RGB", upright.size, "white")
                picture.paste(upright.convert("RGBA"), mask=upright.convert("RGBA").getchannel("A"))
                points = 72 / (dpi if 50 <= dpi <= 1200 else 150.0)
                sizes.append((picture.width * points, picture.height * points))
                picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
                (pages_dir / f"{no}.png").write_bytes(to_png(picture))
    except (OSError, ValueError, SyntaxError) as error:
        raise Damaged("The picture is cut off or broken; export it again at its source.") from error
    return sizes


def _set_pages(
    path: Path, media_type: str, name: str, pages_dir: Path, settings: IngestSettings
) -> list[Page]:
    """Read a format without pages and set it on pages of our own."""
    _bound(settings)
    from ingest.elements import read_pieces
    from ingest.pages import to_png
    from ingest.typeset import blank, typeset

    try:
        sections = read_pieces(path, media_type)
    except IngestError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # the edge of a process: parsers of ten formats raise whatever they like
        raise Damaged(
            f"The file does not open as what it is ({type(error).__name__}); save it again at its source."
        ) from error
    pages: list[Page] = []
    for sheet in typeset(sections, name=name, max_pages=settings.max_pages):
        (pages_dir / f"{sheet.page.no}.png").write_bytes(to_png(sheet.picture))
        pages.append(sheet.page)
    if not pages:
        sheet = blank(name)
        (pages_dir / "1.png").write_bytes(to_png(sheet.picture))
        pages.append(sheet.page)
    return pages


def _render(
    file: Path,
    page_no: int | None,
    dpi: int,
    marks: tuple[Box, ...],
    veils: tuple[Box, ...],
    settings: IngestSettings,
) -> bytes:
    _bound(settings)
    from ingest.pages import draw, render_pdf

    if page_no is not None:
        return draw(render_pdf(file, page_no, dpi=dpi), marks=marks, veils=veils)
    try:
        return draw(file.read_bytes(), marks=marks, veils=veils)
    except OSError as error:
        raise Unreadable("The page's image is not there; add the document again.") from error


def _picture_words(png: bytes, settings: IngestSettings) -> list[str]:
    _bound(settings)
    from ingest.vision import picture_words

    return picture_words(png, _threads(settings))
