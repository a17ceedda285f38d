"""PDF pages: what stands on each, what only its file says, and its image as PNG.

Coordinates leave this file in points of the page *as shown*: crop box and rotation are taken out by `Frame`
and nowhere else. Pages run in child processes: pdfium knows no threads.
"""

from __future__ import annotations

import math
import stringprep
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image

from ingest.drawing import encode
from ingest.errors import Damaged, Encrypted, Unreadable
from ingest.layer import Written, read_words
from ingest.paint import Frame, Painting
from ingest.records import PictureFormat
from ingest.ruled import Stroke
from ingest.structure import Rect, Word

_MAX_PIXELS = 25_000_000
#: Type smaller than this is not for reading, points; a run of it this long is hidden, less a chart's label.
_TINY, _TINY_RUN = 2.0, 6
#: Share of the page that pictures must cover before unpainted words can be the layer of a scan.
_SCAN_SHARE = 0.5
#: Files embedded in one PDF that are taken out.
_MAX_EMBEDDED = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One PDF page as its file describes it, in points as shown, origin top left."""

    no: int
    width_pt: float
    height_pt: float
    #: Words that are painted on the page, in the file's order.
    words: tuple[Word, ...]
    #: Words beneath (or transparent over) a picture of the page, something showing in the place of each: the
    #: layer that a scanner's OCR left.
    beneath: tuple[Word, ...]
    #: Words that are in the file and not to be seen.
    unseen: tuple[Word, ...]
    pictures: tuple[Rect, ...]
    #: What each picture shows, as a hash; "" where that is not known.
    digests: tuple[str, ...]
    #: Level and upright lines: what tables may be ruled with.
    strokes: tuple[Stroke, ...]
    #: Drawing objects of any kind; none at all means a blank page.
    objects: int
    #: Whether the words were compared with the page as drawn; one with a gigantic picture is not drawn.
    compared: bool = True

    @property
    def silent_pictures(self) -> tuple[tuple[Rect, str], ...]:
        """Pictures large enough to say something, in which the text layer has (nearly) no word."""
        area = self.width_pt * self.height_pt
        return tuple(
            (rect, digest)
            for rect, digest in zip(self.pictures, self.digests, strict=True)
            if 0.06 * area < (rect.x1 - rect.x0) * (rect.y1 - rect.y0) < 0.85 * area
            and sum(
                rect.x0 <= w.x0 and w.x1 <= rect.x1 and rect.y0 <= w.y0 and w.y1 <= rect.y1
                for w in self.words
            )
            < 5
        )

    @property
    def picture_share(self) -> float:
        """Share of the page under pictures: a scan may come in strips."""
        return _covered(self.pictures, self.width_pt, self.height_pt)


def _covered(pictures: Sequence[Rect], width: float, height: float, cells: int = 24) -> float:
    """Return the share of a page that pictures cover, to 1/24 of its width and height."""
    points = [
        (width * (i + 0.5) / cells, height * (j + 0.5) / cells) for i in range(cells) for j in range(cells)
    ]
    pictures = sorted(pictures, key=lambda p: (p.x0 - p.x1) * (p.y1 - p.y0))[:50]
    inside = sum(any(p.x0 <= x <= p.x1 and p.y0 <= y <= p.y1 for p in pictures) for x, y in points)
    return inside / len(points) if pictures else 0.0


@contextmanager
def open_pdf(path: Path) -> Iterator[pdfium.PdfDocument]:
    """Open a PDF; raises Encrypted or Damaged."""
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise Encrypted("The PDF wants a password; save a copy without one and add that.") from error
        raise Damaged("The PDF does not open; export it again at its source.") from error
    try:
        if len(document) < 1:
            raise Damaged("The PDF has no pages; export it again at its source.")
        yield document
    finally:
        document.close()


def count_pages(path: Path) -> int:
    """Count the pages of a PDF; raises Encrypted or Damaged."""
    with open_pdf(path) as document:
        return len(document)


def read_sheets(path: Path, first: int, last: int) -> Iterator[Sheet | Unreadable]:
    """Yield the pages `first` to `last` (from 1, inclusive); one that does not load comes as its error."""
    with open_pdf(path) as document:
        for no in range(first, last + 1):
            try:
                yield _read_sheet(document, no)
            except Unreadable as error:
                yield error


def _read_sheet(document: pdfium.PdfDocument, no: int) -> Sheet:
    try:
        page = document[no - 1]
    except pdfium.PdfiumError as error:
        raise Unreadable(f"Page {no} does not load; export the PDF again at its source.") from error
    try:
        frame = Frame(page)
        painting = Painting(page, frame)
        pictures = painting.pictures()
        rects = [rect for rect, _ in pictures]
        words, unseen, compared = _sorted_out(read_words(page, frame), painting, frame)
        beneath: list[Word] = []
        if len(unseen) > len(words) and _covered(rects, frame.width, frame.height) >= _SCAN_SHARE:
            beneath, unseen = _scan_layer(unseen, rects, painting)
        return Sheet(
            no=no,
            width_pt=frame.width,
            height_pt=frame.height,
            words=tuple(words),
            beneath=tuple(beneath),
            unseen=tuple(unseen),
            pictures=tuple(rects),
            digests=tuple(digest for _, digest in pictures),
            strokes=tuple(painting.strokes()),
            objects=painting.objects,
            compared=compared,
        )
    finally:
        page.close()


def _sorted_out(
    written: Sequence[Written], painting: Painting, frame: Frame
) -> tuple[list[Word], list[Word], bool]:
    """Part the words that are to be seen from those that are not; also say whether the page was drawn for it.

    A word that is hidden in the place of its own twin (a shadow, a bold face printed twice) is dropped.
    """
    there = [w for w in written if frame.holds(w.word) and not w.ghost]
    drawn = [w for w in there if not w.foreign]
    try:
        verdicts = painting.unseen([w.word for w in drawn], [w.owner for w in drawn], [w.pale for w in drawn])
    except pdfium.PdfiumError:
        verdicts = None
    dark = {id(w) for w, unseen in zip(drawn, verdicts or [], strict=False) if unseen} | _tiny(there)
    if not dark and len(there) == len(written):
        return [w.word for w in written], [], verdicts is not None
    shown = {id(w) for w in there} - dark
    words = [w.word for w in written if id(w) in shown]
    places = {(word.text, round(word.x0 / 4), round(word.y0 / 4)) for word in words}
    unseen = [word for w in written if id(w) not in shown and not _twins(word := w.word) & places]
    return words, unseen, verdicts is not None


def _twins(word: Word) -> set[tuple[str, int, int]]:
    x, y = round(word.x0 / 4), round(word.y0 / 4)
    return {(word.text, x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def _tiny(written: Sequence[Written]) -> set[int]:
    """Find runs of type too small to read."""
    found: set[int] = set()
    run: list[int] = []
    for w in [*written, None]:
        if w is not None and w.word.size < _TINY:
            run.append(id(w))
            continue
        if len(run) >= _TINY_RUN:
            found.update(run)
        run = []
    return found


def _scan_layer(
    unseen: Sequence[Word], pictures: Sequence[Rect], painting: Painting
) -> tuple[list[Word], list[Word]]:
    """Part the layer that OCR left beneath a scan from words in whose place its picture shows nothing."""
    inked = painting.inked(unseen)
    beneath: list[Word] = []
    others: list[Word] = []
    for word, ink in zip(unseen, inked, strict=True):
        x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
        pictured = any(p.x0 <= x <= p.x1 and p.y0 <= y <= p.y1 for p in pictures)
        (beneath if ink and pictured else others).append(word)
    return beneath, others


def render_pdf(
    path: Path, no: int, *, dpi: int, longest: int | None = None, form: PictureFormat = "png"
) -> bytes:
    """Render page `no` (from 1), at most `longest` pixels on its longer side.

    A huge page comes out smaller, at most 25 million pixels. Raises Unreadable.
    """
    return encode(picture_pdf(path, no, dpi=dpi, longest=longest), form)


def picture_pdf(path: Path, no: int, *, dpi: float, longest: int | None = None) -> Image.Image:
    """Draw page `no` (from 1), bounded as `render_pdf` is; raises Unreadable."""
    with open_pdf(path) as document:
        if not 1 <= no <= len(document):
            raise Unreadable(f"There is no page {no}; the PDF has {len(document)}.")
        try:
            page = document[no - 1]
            width, height = page.get_size()
            scale = dpi / 72
            if longest is not None:
                scale = min(scale, longest / max(width, height))
            if width * height * scale * scale > _MAX_PIXELS:
                scale = math.sqrt(_MAX_PIXELS / (width * height))
            picture: Image.Image = page.render(scale=scale).to_pil()
        except (pdfium.PdfiumError, ValueError) as error:
            raise Unreadable(f"Page {no} cannot be drawn; export the PDF again at its source.") from error
        return picture


def unlock_pdf(path: Path, password: str, to: Path) -> None:
    """Write the PDF at `path` without its password to `to`; raises Encrypted for a wrong one, or Damaged."""
    for attempt in dict.fromkeys((password, _sasl_prepared(password))):
        try:
            document = pdfium.PdfDocument(path, password=attempt)
        except pdfium.PdfiumError as error:
            if "password" not in str(error).lower():
                raise Damaged("The PDF does not open; export it again at its source.") from error
            continue
        try:
            document.save(to, flags=raw.FPDF_REMOVE_SECURITY)
        finally:
            document.close()
        return
    raise Encrypted("The password does not open the PDF; check it and try again.")


def _sasl_prepared(password: str) -> str:
    """Prepare a password as PDF 2.0 asks for (RFC 4013): spaces plain, what maps to nothing gone."""
    spaced = "".join(" " if stringprep.in_table_c12(c) else c for c in password)
    return unicodedata.normalize("NFKC", "".join(c for c in spaced if not stringprep.in_table_b1(c)))


def embedded_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files embedded in a PDF: (name, content); one that does not come out is left out."""
    with open_pdf(path) as document:
        for index in range(min(document.count_attachments(), _MAX_EMBEDDED)):
            try:
                attachment = document.get_attachment(index)
                yield attachment.get_name() or f"attachment {index + 1}", bytes(attachment.get_data())
            except pdfium.PdfiumError:
                continue
