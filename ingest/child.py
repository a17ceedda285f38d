"""What runs in a reading child: every call bounds its memory first and imports only what it needs.

Nothing here knows of the event loop, of retries or of other pages: a call may hang, crash or be killed, and
`reading.py` says what becomes of its page.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.errors import Damaged, IngestError, TooManyPages, Unreadable
from ingest.records import Box, Page, PageFlag, ReadBy
from ingest.settings import IngestSettings
from ingest.structure import Block, Rect, Word

if TYPE_CHECKING:
    from ingest.pages import Sheet

#: Longest side of a picture as kept, pixels.
_MAX_SIDE = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A page on its way: read, but its headings not yet ranked among the document's."""

    no: int
    width_pt: float
    height_pt: float
    read_by: ReadBy
    reason: str
    flags: tuple[PageFlag, ...] = ()
    #: The code under which the page was lost, or what only eyes could have read of it.
    lost: str | None = None
    blocks: tuple[Block, ...] = ()
    #: What the text layer gave although the page needs eyes; None: the page is done.
    known: tuple[Word, ...] | None = None
    #: Pictures whose words are still to be read.
    pictures: tuple[Rect, ...] = ()
    #: Where eyes looked: every word that stands on the page, and its figures.
    words: tuple[Word, ...] = ()
    figures: tuple[Rect, ...] = ()


def bound(settings: IngestSettings) -> None:
    logging.disable(logging.WARNING)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (settings.read_memory_bytes, hard))


def lost_page(no: int, *, code: str, reason: str) -> Draft:
    """Return what stands for a page that could not be read at all."""
    return Draft(
        no=no,
        width_pt=595,
        height_pt=842,
        read_by="text-layer",
        reason=reason,
        flags=("lost",),
        lost=code,
    )


def _threads(settings: IngestSettings) -> int:
    """Share the threads out among the children."""
    return max(1, settings.threads // settings.readers)


def count_pages(path: Path, settings: IngestSettings) -> int:
    bound(settings)
    from ingest import pages

    return pages.count_pages(path)


def read_range(path: Path, first: int, last: int, settings: IngestSettings) -> list[Draft]:
    bound(settings)
    from ingest.pages import Sheet, read_sheets

    raws: list[Draft] = []
    for no, sheet in enumerate(read_sheets(path, first, last), start=first):
        if isinstance(sheet, Sheet):
            raws.append(_raw(sheet))
        else:
            raws.append(lost_page(no, code="damaged", reason=sheet.detail))
    return raws


def _raw(sheet: Sheet) -> Draft:
    from ingest.pages import judge

    verdict = judge(sheet)
    shape = partial(
        Draft, no=sheet.no, width_pt=sheet.width_pt, height_pt=sheet.height_pt, reason=verdict.reason
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


def look_at_page(path: Path, raw: Draft, settings: IngestSettings) -> Draft:
    bound(settings)
    from ingest.pages import render_pdf

    png = render_pdf(path, raw.no, dpi=settings.ocr_dpi)
    if raw.pictures:
        return _with_pictures(png, raw, settings)
    return _looked(png, raw, settings)


def look_at_image(file: Path, raw: Draft, settings: IngestSettings) -> Draft:
    bound(settings)
    return _looked(file.read_bytes(), raw, settings)


def _looked(png: bytes, raw: Draft, settings: IngestSettings) -> Draft:
    """Read a whole page by eye; words of its text layer stand for what OCR read in their places."""
    from ingest.ocr import scan, scan_blocks
    from ingest.structure import Rect, stands_in

    seen = scan(png, width_pt=raw.width_pt, height_pt=raw.height_pt, threads=_threads(settings))
    known = raw.known or ()
    places = [Rect(w.x0, w.y0, w.x1, w.y1) for w in known]
    new = [word for word in seen.words if not any(stands_in(word, place) for place in places)]
    both = replace(seen, words=(*known, *new))
    blocks = scan_blocks(both, width_pt=raw.width_pt, height_pt=raw.height_pt)
    note = f"{raw.reason} OCR read {len(new)} words." if new else f"{raw.reason} OCR found no words."
    figures = tuple(rect for name, rect in seen.regions if name == "figure")
    return replace(raw, blocks=tuple(blocks), known=None, reason=note, words=both.words, figures=figures)


def _with_pictures(png: bytes, raw: Draft, settings: IngestSettings) -> Draft:
    """Add the words that stand in a page's pictures to their figures."""
    from PIL import Image

    from ingest.ocr import scan
    from ingest.pages import to_png
    from ingest.structure import lay_out

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
    everything = (*words, *(word for inside in found.values() for word in inside))
    return replace(raw, blocks=tuple(blocks), known=None, pictures=(), reason=note, words=everything)


def normalise(path: Path, pages_dir: Path, settings: IngestSettings) -> list[tuple[float, float]]:
    """Write a picture's frames as upright PNGs and return their sizes in points."""
    bound(settings)
    from PIL import Image, ImageOps, ImageSequence

    from ingest.pages import to_png

    sizes: list[tuple[float, float]] = []
    try:
        with Image.open(path) as image:
            # Only TIFF has pages; the frames of a WebP are an animation.
            frames = ImageSequence.Iterator(image) if image.format == "TIFF" else iter([image])
            for no, frame in enumerate(frames, start=1):
                if no > settings.max_pages:
                    raise TooManyPages(f"The picture has more than {settings.max_pages} pages; split it.")
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


def set_pages(
    path: Path, media_type: str, name: str, pages_dir: Path, settings: IngestSettings
) -> list[Page]:
    """Read a format without pages and set it on pages of our own."""
    bound(settings)
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


def render(
    file: Path,
    page_no: int | None,
    dpi: int,
    marks: tuple[Box, ...],
    veils: tuple[Box, ...],
    settings: IngestSettings,
) -> bytes:
    bound(settings)
    from ingest.pages import draw, render_pdf

    if page_no is not None:
        return draw(render_pdf(file, page_no, dpi=dpi), marks=marks, veils=veils)
    try:
        return draw(file.read_bytes(), marks=marks, veils=veils)
    except OSError as error:
        raise Unreadable("The page's image is not there; add the document again.") from error


def picture_words(png: bytes, settings: IngestSettings) -> list[str]:
    bound(settings)
    from ingest import ocr

    return ocr.picture_words(png, _threads(settings))
