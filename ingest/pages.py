"""PDF pages: their text layer with a box around every word, their pictures, and their image as PNG.

pdfium's text page is read in bulk; boxes are asked for a word's first and last glyph only, which measured
3 ms a page against 9 for every glyph. Coordinates leave this file in points of the page *as shown*: crop box
and rotation are taken out here and nowhere else. Pages run in child processes: pdfium knows no threads.
"""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image, ImageChops, ImageDraw

from ingest.errors import Damaged, Encrypted, Unreadable
from ingest.records import Box
from ingest.ruled import Stroke
from ingest.structure import Rect, Word

#: A soft break inside a word (pdfium hands hyphens at a line's end out as U+0002).
_HYPHEN = "\x02"
_WORD = re.compile(r"[^\s\x00\x02\ufffe]+[\x02\ufffe]?")
_INVISIBLE = 3
_PATH, _IMAGE, _FORM = 2, 3, 5
_MOVE_TO, _CURVE_TO = 2, 1
#: Paths thinner than this are lines, points; shorter ones are dashes and dots.
_THIN, _SHORT = 2.5, 4.0
#: Paths of more points than this are drawings, and a page of more paths a chart or a map.
_MAX_POINTS, _MAX_PATHS = 400, 5_000
_MAX_PIXELS = 25_000_000
#: Pages with more drawing objects than this are charts and maps; their pictures are not counted.
_MAX_OBJECTS = 20_000
_MIN_WORDS = 25
_PICTURE_SHARE = 0.5

# Own prototypes for calls in tight loops: plain integers come back instead of pointer objects (3 x faster).
_text_object = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(
    ctypes.cast(raw.FPDFText_GetTextObject, ctypes.c_void_p).value or 0
)
_page_object = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(
    ctypes.cast(raw.FPDFPage_GetObject, ctypes.c_void_p).value or 0
)
_text_font = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(
    ctypes.cast(raw.FPDFTextObj_GetFont, ctypes.c_void_p).value or 0
)
_text_mode = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
    ctypes.cast(raw.FPDFTextObj_GetTextRenderMode, ctypes.c_void_p).value or 0
)
_object_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
    ctypes.cast(raw.FPDFPageObj_GetType, ctypes.c_void_p).value or 0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One PDF page as its file describes it, in points as shown, origin top left."""

    no: int
    width_pt: float
    height_pt: float
    words: tuple[Word, ...]
    #: Words that are in the text layer but not painted: an OCR layer beneath a scan, or something hidden.
    hidden: tuple[Word, ...]
    pictures: tuple[Rect, ...]
    #: Level and upright lines: what tables may be ruled with.
    strokes: tuple[Stroke, ...]
    #: Drawing objects of any kind; none at all means a blank page.
    objects: int

    @property
    def silent_pictures(self) -> tuple[Rect, ...]:
        """Pictures large enough to say something, in which the text layer has (nearly) no word."""
        area = self.width_pt * self.height_pt
        return tuple(
            rect
            for rect in self.pictures
            if 0.06 * area < (rect.x1 - rect.x0) * (rect.y1 - rect.y0) < 0.85 * area
            and sum(
                rect.x0 <= w.x0 and w.x1 <= rect.x1 and rect.y0 <= w.y0 and w.y1 <= rect.y1
                for w in self.words
            )
            < 5
        )

    @property
    def picture_share(self) -> float:
        """Area of the largest picture, as a share of the page."""
        largest = max(((p.x1 - p.x0) * (p.y1 - p.y0) for p in self.pictures), default=0.0)
        return min(1.0, largest / max(1.0, self.width_pt * self.height_pt))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a page's text layer can be believed, and why, as a sentence for people."""

    needs_eyes: bool
    words: tuple[Word, ...]
    reason: str


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


def judge(sheet: Sheet) -> Verdict:
    """Decide whether the text layer is the page, or the page needs eyes.

    The thresholds are those of the development set: hand-made PDFs pass, scans and broken encodings do not.
    """
    share, count = sheet.picture_share, len(sheet.words)
    if not sheet.objects and not count:
        return Verdict(needs_eyes=False, words=(), reason="The page is blank.")
    if not count and sheet.hidden:
        return _judge_hidden(sheet)
    if not count:
        return Verdict(needs_eyes=True, words=(), reason="The page has no text layer.")
    text = "".join(word.text for word in sheet.words)
    broken = sum(unicodedata.category(c) in {"Co", "Cc", "Cn", "Cs"} or c == "\ufffd" for c in text)
    if broken > 0.15 * len(text):
        reason = (
            f"The text layer is unreadable ({100 * broken // len(text)} % of its characters mean nothing)."
        )
        return Verdict(needs_eyes=True, words=(), reason=reason)
    inside = tuple(word for word in sheet.words if _inside(word, sheet))
    if len(inside) < 0.5 * count:
        return Verdict(needs_eyes=True, words=(), reason="Most of the text layer lies outside the page.")
    if len(inside) < _MIN_WORDS and share >= _PICTURE_SHARE:
        reason = f"{len(inside)} words in the text layer, one picture covers {share:.0%} of the page."
        return Verdict(needs_eyes=True, words=inside, reason=reason)
    if share >= 0.85 and _sane_share(inside) < 0.75:
        return Verdict(needs_eyes=True, words=(), reason="A scan whose own text layer is garbled.")
    note = f" {len(sheet.hidden)} words that are not painted were left out." if sheet.hidden else ""
    return Verdict(needs_eyes=False, words=inside, reason=f"{len(inside)} words in the text layer.{note}")


def _judge_hidden(sheet: Sheet) -> Verdict:
    hidden = tuple(word for word in sheet.hidden if _inside(word, sheet))
    if sheet.picture_share < _PICTURE_SHARE:
        return Verdict(
            needs_eyes=True, words=(), reason=f"None of the {len(hidden)} words in the text layer is painted."
        )
    if _sane_share(hidden) < 0.75:
        return Verdict(needs_eyes=True, words=(), reason="A scan whose own text layer is garbled.")
    reason = f"A scan that carries its own text layer ({len(hidden)} words)."
    return Verdict(needs_eyes=False, words=hidden, reason=reason)


def _sane_share(words: Sequence[Word]) -> float:
    """Share of the Latin words that could be words: vowels in them, letters not mixed with signs."""
    latin = [re.sub(r"^\W+|\W+$", "", word.text) for word in words]
    latin = [
        word
        for word in latin
        if word.isascii() and len(word) > 2 and not re.fullmatch(r"[\d.,:/$%()-]+", word)
    ]
    if len(latin) < 5:
        # Other scripts, or figures: sane where a good part of the words is longer than a speck of dust.
        long = sum(
            len(word.text) >= 4 or any(c.isalpha() and not c.isascii() for c in word.text) for word in words
        )
        return 1.0 if long > 0.3 * len(words) else 0.0
    sane = sum(
        bool(re.fullmatch(r"[A-Za-z]+(['’-][A-Za-z]+)*", w) and re.search("[aeiouyAEIOUY]", w)) for w in latin
    )
    return sane / len(latin)


def _inside(word: Word, sheet: Sheet) -> bool:
    x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
    return 0 <= x <= sheet.width_pt and 0 <= y <= sheet.height_pt


def _read_sheet(document: pdfium.PdfDocument, no: int) -> Sheet:
    try:
        page = document[no - 1]
    except pdfium.PdfiumError as error:
        raise Unreadable(f"Page {no} does not load; export the PDF again at its source.") from error
    try:
        frame = _Frame(page)
        words, hidden = _words(page, frame)
        pictures, objects = _pictures(page, frame)
        return Sheet(
            no=no,
            width_pt=frame.width,
            height_pt=frame.height,
            words=tuple(words),
            hidden=tuple(hidden),
            pictures=tuple(pictures),
            strokes=tuple(_strokes(page, frame)),
            objects=objects,
        )
    finally:
        page.close()


class _Frame:
    """Maps rectangles of the page's user space to points as shown."""

    def __init__(self, page: pdfium.PdfPage) -> None:
        self.left, self.bottom, self.right, self.top = page.get_bbox()
        self.turn = page.get_rotation()
        width, height = abs(self.right - self.left) or 1.0, abs(self.top - self.bottom) or 1.0
        self.width, self.height = (width, height) if self.turn in {0, 180} else (height, width)

    def shown(
        self, left: float, bottom: float, right: float, top: float
    ) -> tuple[float, float, float, float]:
        """Turn (left, bottom, right, top) into (x0, y0, x1, y1), origin top left."""
        if self.turn == 0:
            return left - self.left, self.top - top, right - self.left, self.top - bottom
        if self.turn == 90:
            return bottom - self.bottom, left - self.left, top - self.bottom, right - self.left
        if self.turn == 180:
            return self.right - right, bottom - self.bottom, self.right - left, top - self.bottom
        return self.top - top, self.right - right, self.top - bottom, self.right - left


@dataclass(slots=True)
class _Pen:
    """What a text object sets for all of its glyphs."""

    size: float = 0.0
    bold: bool = False
    turn: int = 0
    painted: bool = True


def _words(page: pdfium.PdfPage, frame: _Frame) -> tuple[list[Word], list[Word]]:
    textpage: Any = raw.FPDFText_LoadPage(page.raw)
    if not textpage:
        return [], []
    try:
        return _read_words(textpage, frame)
    finally:
        raw.FPDFText_ClosePage(textpage)


def _read_words(textpage: Any, frame: _Frame) -> tuple[list[Word], list[Word]]:
    text = _text(textpage)
    handle = ctypes.cast(textpage, ctypes.c_void_p).value
    rect = raw.FS_RECTF()
    reference = ctypes.byref(rect)
    box_of = raw.FPDFText_GetLooseCharBox
    seen, pen = 0, _Pen()
    bold_fonts: dict[int, bool] = {}
    painted: list[Word] = []
    hidden: list[Word] = []
    for match in _WORD.finditer(text):
        first, last = match.start(), match.end() - 1
        owner = _text_object(handle, first) or 0
        if owner != seen:
            seen, pen = owner, _pen(textpage, first, owner, frame.turn, bold_fonts)
        if not box_of(textpage, first, reference):
            continue
        left, bottom, right, top = rect.left, rect.bottom, rect.right, rect.top
        if last > first and text[last] in "\x02\ufffe":
            last -= 1
        if last > first and box_of(textpage, last, reference):
            left, right = min(left, rect.left), max(right, rect.right)
            bottom, top = min(bottom, rect.bottom), max(top, rect.top)
        value = match.group().replace(_HYPHEN, "-").replace("\ufffe", "-")
        x0, y0, x1, y1 = frame.shown(left, bottom, right, top)
        size = pen.size or min(x1 - x0, y1 - y0)
        word = Word(value, x0, y0, x1, y1, size, pen.bold, pen.turn)
        (painted if pen.painted else hidden).append(word)
    return painted, hidden


def _text(textpage: Any) -> str:
    """Return the page's characters, one for each index that pdfium counts."""
    count = raw.FPDFText_CountChars(textpage)
    if count <= 0:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    written = raw.FPDFText_GetText(textpage, 0, count, buffer) - 1
    if written == count:
        text = bytes(buffer)[: 2 * written].decode("utf-16-le", errors="replace")
        if len(text) == count:
            return text
    # pdfium's text and its characters disagree (surrogates, dropped glyphs): ask for each.
    codes = (raw.FPDFText_GetUnicode(textpage, index) for index in range(count))
    return "".join(
        chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else " " for code in codes
    )


def _pen(textpage: Any, index: int, owner: int, page_turn: int, bold_fonts: dict[int, bool]) -> _Pen:
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(textpage, index, ctypes.byref(matrix))
    size = raw.FPDFText_GetFontSize(textpage, index) * (math.hypot(matrix.c, matrix.d) or 1.0)
    font = (_text_font(owner) or 0) if owner else 0
    if font not in bold_fonts:
        bold_fonts[font] = _is_bold(textpage, index)
    angle = math.degrees(math.atan2(matrix.b, matrix.a)) if matrix.b else 180.0 if matrix.a < 0 else 0.0
    # Turned clockwise as shown: the page's own turn takes the text along.
    turn = round((page_turn - angle) / 90) * 90 % 360
    painted = not owner or _text_mode(owner) != _INVISIBLE
    return _Pen(size=abs(size), bold=bold_fonts[font], turn=turn, painted=painted)


def _is_bold(textpage: Any, index: int) -> bool:
    flags = ctypes.c_int()
    buffer = ctypes.create_string_buffer(128)
    length = raw.FPDFText_GetFontInfo(textpage, index, buffer, 128, ctypes.byref(flags))
    name = buffer.raw[: min(length, 128)].lower()
    if any(mark in name for mark in (b"bold", b"black", b"heavy")):
        return True
    return bool(raw.FPDFText_GetFontWeight(textpage, index) >= 600)


def _pictures(page: pdfium.PdfPage, frame: _Frame) -> tuple[list[Rect], int]:
    """Return the pictures painted on the page, clipped to it, and the count of all drawing objects."""
    handle = ctypes.cast(page.raw, ctypes.c_void_p).value
    objects = raw.FPDFPage_CountObjects(page.raw)
    pictures: list[Rect] = []
    edges = [ctypes.c_float() for _ in range(4)]
    references = [ctypes.byref(edge) for edge in edges]
    for index in range(min(objects, _MAX_OBJECTS)):
        thing = _page_object(handle, index)
        if not thing or _object_type(thing) not in {_IMAGE, _FORM}:
            continue
        if _object_type(thing) == _FORM and not _holds_image(thing):
            continue
        if raw.FPDFPageObj_GetBounds(ctypes.cast(thing, raw.FPDF_PAGEOBJECT), *references):
            left, bottom, right, top = (edge.value for edge in edges)
            x0, y0, x1, y1 = frame.shown(left, bottom, right, top)
            x0, y0, x1, y1 = max(0.0, x0), max(0.0, y0), min(frame.width, x1), min(frame.height, y1)
            if x1 - x0 > 8 and y1 - y0 > 8:
                pictures.append(Rect(x0, y0, x1, y1))
    return pictures, objects


def _strokes(page: pdfium.PdfPage, frame: _Frame) -> Iterator[Stroke]:
    """Yield the level and upright lines of the page's paths, filled rectangles by their edges."""
    handle = ctypes.cast(page.raw, ctypes.c_void_p).value
    objects = min(raw.FPDFPage_CountObjects(page.raw), _MAX_OBJECTS)
    things = (_page_object(handle, index) for index in range(objects))
    paths = [thing for thing in things if thing and _object_type(thing) == _PATH]
    if len(paths) > _MAX_PATHS:
        return
    edges = [ctypes.c_float() for _ in range(4)]
    references = [ctypes.byref(edge) for edge in edges]
    for path in paths:
        if not raw.FPDFPageObj_GetBounds(ctypes.cast(path, raw.FPDF_PAGEOBJECT), *references):
            continue
        line = Stroke(*frame.shown(*(edge.value for edge in edges)))
        wide, tall = line.x1 - line.x0, line.y1 - line.y0
        if min(wide, tall) > _THIN:
            yield from _edges(path, frame)
        elif max(wide, tall) > _SHORT:
            yield line


def _edges(path: int, frame: _Frame) -> Iterator[Stroke]:
    """Yield the straight, level or upright edges of a path's outline."""
    handle = ctypes.cast(path, raw.FPDF_PAGEOBJECT)
    count = raw.FPDFPath_CountSegments(handle)
    if not 2 <= count <= _MAX_POINTS:
        return
    matrix = raw.FS_MATRIX()
    raw.FPDFPageObj_GetMatrix(handle, ctypes.byref(matrix))
    x, y = ctypes.c_float(), ctypes.c_float()
    first = last = (0.0, 0.0)
    for index in range(count):
        segment = raw.FPDFPath_GetPathSegment(handle, index)
        raw.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
        point = (
            matrix.a * x.value + matrix.c * y.value + matrix.e,
            matrix.b * x.value + matrix.d * y.value + matrix.f,
        )
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == _MOVE_TO:
            first = point
        elif kind != _CURVE_TO:
            yield from _straight(last, point, frame)
        if raw.FPDFPathSegment_GetClose(segment):
            yield from _straight(point, first, frame)
        last = point


def _straight(a: tuple[float, float], b: tuple[float, float], frame: _Frame) -> Iterator[Stroke]:
    line = Stroke(*frame.shown(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])))
    wide, tall = line.x1 - line.x0, line.y1 - line.y0
    if min(wide, tall) <= _THIN and max(wide, tall) > _SHORT:
        yield line


def _holds_image(form: int) -> bool:
    handle = ctypes.cast(form, raw.FPDF_PAGEOBJECT)
    count = min(raw.FPDFFormObj_CountObjects(handle), 200)
    return any(raw.FPDFPageObj_GetType(raw.FPDFFormObj_GetObject(handle, i)) == _IMAGE for i in range(count))


def render_pdf(path: Path, no: int, *, dpi: int) -> bytes:
    """Render page `no` (from 1) as PNG; a huge page comes out smaller, at most 25 million pixels."""
    return to_png(picture_pdf(path, no, dpi=dpi))


def picture_pdf(path: Path, no: int, *, dpi: float) -> Image.Image:
    """Draw page `no` (from 1); raises Unreadable."""
    with open_pdf(path) as document:
        if not 1 <= no <= len(document):
            raise Unreadable(f"There is no page {no}; the PDF has {len(document)}.")
        try:
            page = document[no - 1]
            width, height = page.get_size()
            scale = dpi / 72
            if width * height * scale * scale > _MAX_PIXELS:
                scale = math.sqrt(_MAX_PIXELS / (width * height))
            picture: Image.Image = page.render(scale=scale).to_pil()
        except (pdfium.PdfiumError, ValueError) as error:
            raise Unreadable(f"Page {no} cannot be drawn; export the PDF again at its source.") from error
        return picture


def to_png(picture: Image.Image) -> bytes:
    """Encode as PNG; level 3 is twice as fast as the default and 4 % larger on page images."""
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def draw(png: bytes, *, marks: Sequence[Box], veils: Sequence[Box]) -> bytes:
    """Highlight `marks` as a pen on paper does and paint `veils` over; boxes in [0, 1] of the page.

    Veils come last, so that no mark shows what they hide.
    """
    if not marks and not veils:
        return png
    with Image.open(BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    ink = Image.new("RGB", picture.size, "white")
    pen = ImageDraw.Draw(ink)
    frames = [_pixels(box, picture.size, margin=3) for box in marks]
    for frame in frames:
        pen.rectangle(frame, fill=(255, 236, 110))
    picture = ImageChops.multiply(picture, ink)
    pen = ImageDraw.Draw(picture)
    for frame in frames:
        pen.rectangle(frame, outline=(240, 120, 0), width=max(2, picture.width // 600))
    for box in veils:
        pen.rectangle(_pixels(box, picture.size, margin=2), fill=(40, 44, 52))
    return to_png(picture)


def _pixels(box: Box, size: tuple[int, int], *, margin: int) -> tuple[int, int, int, int]:
    width, height = size
    x0, x1 = sorted((math.floor(box.x0 * width) - margin, math.ceil(box.x1 * width) + margin))
    y0, y1 = sorted((math.floor(box.y0 * height) - margin, math.ceil(box.y1 * height) + margin))
    return max(0, x0), max(0, y0), min(width - 1, x1), min(height - 1, y1)
