"""Page images as a vision model is shown them, with what the parser knows of each (in a reading child).

The raster is the one that the model's tiles make of a page anyway (`tiles.py`); it leaves as PNG, in greys
where the page has no colour: a third of the bytes to compress and to send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from ingest import child
from ingest.child import Draft
from ingest.placing import Placed, Sight, place
from ingest.settings import IngestSettings
from ingest.structure import Rect, Word
from ingest.tiles import Raster, choose_raster
from ingest.transcribe import Piece

#: Difference of two colour channels that an eye notices.
_TINT = 24
#: Share of a page under one picture from which on the picture is the page.
_WHOLE = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A page ready to be shown."""

    png: bytes
    #: Words of a text layer that is believed; empty where OCR has to read them.
    words: tuple[Word, ...] = ()
    #: Pictures that the file places on the page.
    figures: tuple[Rect, ...] = ()


def show_page(path: Path, raw: Draft, settings: IngestSettings, fine: bool) -> Shown:
    """Draw a PDF's page for a model and tell what its text layer says; `fine`: on the largest raster."""
    child.bound(settings)
    from ingest.decide import judge
    from ingest.pages import picture_pdf, read_sheets

    (sheet,) = read_sheets(path, raw.no, raw.no)
    if isinstance(sheet, Exception):
        raise sheet
    words = judge(sheet).words
    raster = choose_raster(raw.width_pt, raw.height_pt, print_pt=0.0 if fine else _usual_size(words))
    picture = picture_pdf(path, raw.no, dpi=72 * raster.page_width / raw.width_pt)
    area = raw.width_pt * raw.height_pt
    figures = [p for p in sheet.pictures if (p.x1 - p.x0) * (p.y1 - p.y0) < _WHOLE * area]
    return Shown(png=_framed(picture, raster), words=words, figures=tuple(figures))


def show_image(file: Path, raw: Draft, settings: IngestSettings, fine: bool) -> Shown:
    """Scale a picture that is a page of its own for a model."""
    child.bound(settings)
    raster = choose_raster(raw.width_pt, raw.height_pt, print_pt=0.0 if fine else None)
    with Image.open(file) as opened:
        return Shown(png=_framed(opened.convert("RGB"), raster))


def halves(png: bytes, settings: IngestSettings) -> tuple[bytes, bytes]:
    """Cut a page image in two near its middle, where it is whitest: no line of text is cut."""
    child.bound(settings)
    from ingest.drawing import to_png

    with Image.open(BytesIO(png)) as opened:
        picture = opened.copy()
    light = np.asarray(picture.convert("L").resize((1, picture.height), Image.Resampling.BOX)).ravel()
    first, last = int(0.35 * picture.height), int(0.65 * picture.height)
    middle = picture.height / 2
    cut = max(range(first, max(last, first + 1)), key=lambda y: (int(light[y]), -abs(y - middle)))
    upper = picture.crop((0, 0, picture.width, cut))
    lower = picture.crop((0, cut, picture.width, picture.height))
    return to_png(upper), to_png(lower)


def place_on(pieces: Sequence[Piece], sight: Sight, settings: IngestSettings) -> Placed:
    """Find a transcript on its page: seconds for a hostile one, so not in the process that serves."""
    child.bound(settings)
    return place(pieces, sight)


def _usual_size(words: Sequence[Word]) -> float | None:
    return median(word.size for word in words) if words else None


def _framed(picture: Image.Image, raster: Raster) -> bytes:
    from ingest.drawing import to_png

    mode = "RGB" if _has_colour(picture) else "L"
    page = picture.convert(mode)
    size = raster.page_width, raster.page_height
    if all(0 <= has - wants <= 2 for has, wants in zip(page.size, size, strict=True)):
        page = page.crop((0, 0, *size))  # pdfium rounds up
    elif page.size != size:
        page = page.resize(size, Image.Resampling.LANCZOS)
    if (raster.width, raster.height) != page.size:
        frame = Image.new(mode, (raster.width, raster.height), "white")
        frame.paste(page, (0, 0))
        page = frame
    return to_png(page)


def _has_colour(picture: Image.Image) -> bool:
    # A line one pixel wide still tints the mean of eight by 32.
    small = np.asarray(picture.convert("RGB").reduce(8), dtype=np.int16)
    return bool((small.max(axis=2) - small.min(axis=2)).max(initial=0) > _TINT)
