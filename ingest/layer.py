"""A PDF page's text layer: its words, a box around each, and the pen that each was written with.

pdfium's text page is read in bulk; boxes are asked for a word's first and last glyph only, which measured
3 ms a page against 9 for every glyph.
"""

from __future__ import annotations

import ctypes
import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ingest.paint import Frame
from ingest.structure import Word

#: A soft break inside a word (pdfium hands hyphens at a line's end out as U+0002).
_HYPHEN = "\x02"
_WORD = re.compile(r"[^\s\x00\x02\ufffe]+[\x02\ufffe]?")
#: Render modes that paint nothing: neither filled nor stroked (7 only clips).
_INVISIBLE = {3, 7}
_STROKED = {1, 5}
#: Opacity (of 255) below which nobody reads it, and brightness above which only a dark ground shows it.
_FAINT, _PALE = 25, 200

# Own prototypes for calls in tight loops: plain integers come back instead of pointer objects (3 x faster).
_text_object = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(
    ctypes.cast(raw.FPDFText_GetTextObject, ctypes.c_void_p).value or 0
)
_text_font = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(
    ctypes.cast(raw.FPDFTextObj_GetFont, ctypes.c_void_p).value or 0
)
_text_mode = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
    ctypes.cast(raw.FPDFTextObj_GetTextRenderMode, ctypes.c_void_p).value or 0
)
_Colour = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)
_fill_colour = _Colour(ctypes.cast(raw.FPDFPageObj_GetFillColor, ctypes.c_void_p).value or 0)
_stroke_colour = _Colour(ctypes.cast(raw.FPDFPageObj_GetStrokeColor, ctypes.c_void_p).value or 0)


class Written(NamedTuple):
    """A word of the text layer, and what its pen tells about being seen."""

    word: Word
    #: The text object that it is part of (a handle; 0 where pdfium names none).
    owner: int
    #: Never painted, whatever lies around it.
    ghost: bool
    #: White or nearly so: seen on a dark ground only.
    pale: bool
    #: In a script that this machine may have no font for, and the file brings none: a drawing tells nothing.
    foreign: bool


@dataclass(slots=True)
class _Pen:
    """What a text object sets for all of its glyphs."""

    size: float = 0.0
    bold: bool = False
    turn: int = 0
    ghost: bool = False
    pale: bool = False
    embedded: bool = True


def read_words(page: pdfium.PdfPage, frame: Frame) -> list[Written]:
    """Return the words of a page's text layer in the file's order, hidden ones too.

    The handles in them live as long as the page is open.
    """
    textpage: Any = raw.FPDFText_LoadPage(page.raw)
    if not textpage:
        return []
    try:
        return _Layer(textpage, frame).words()
    finally:
        raw.FPDFText_ClosePage(textpage)


class _Layer:
    """An open text page."""

    def __init__(self, textpage: Any, frame: Frame) -> None:
        self._textpage = textpage
        self._frame = frame
        #: Of each font: is it bold, does the file bring it.
        self._fonts: dict[int, tuple[bool, bool]] = {}
        self._channels = (ctypes.c_uint * 4)()
        start = ctypes.addressof(self._channels)
        self._colour = tuple(start + 4 * place for place in range(4))

    def words(self) -> list[Written]:
        textpage, frame = self._textpage, self._frame
        text = _text(textpage)
        handle = ctypes.cast(textpage, ctypes.c_void_p).value
        rect = raw.FS_RECTF()
        reference = ctypes.byref(rect)
        box_of = raw.FPDFText_GetLooseCharBox
        seen, pen = 0, _Pen()
        found: list[Written] = []
        for match in _WORD.finditer(text):
            first, last = match.start(), match.end() - 1
            owner = _text_object(handle, first) or 0
            if owner != seen or not found:
                seen, pen = owner, self._pen(first, owner)
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
            foreign = not pen.embedded and any(
                char > "\u024f" and not "\u2000" <= char <= "\u2bff" for char in value
            )
            found.append(Written(word, owner, pen.ghost, pen.pale, foreign))
        return found

    def _pen(self, index: int, owner: int) -> _Pen:
        textpage = self._textpage
        matrix = raw.FS_MATRIX()
        raw.FPDFText_GetMatrix(textpage, index, ctypes.byref(matrix))
        size = raw.FPDFText_GetFontSize(textpage, index) * (math.hypot(matrix.c, matrix.d) or 1.0)
        font = (_text_font(owner) or 0) if owner else 0
        if font not in self._fonts:
            brought = not font or raw.FPDFFont_GetIsEmbedded(ctypes.cast(font, raw.FPDF_FONT)) == 1
            self._fonts[font] = (_is_bold(textpage, index), brought)
        bold, embedded = self._fonts[font]
        angle = math.degrees(math.atan2(matrix.b, matrix.a)) if matrix.b else 180.0 if matrix.a < 0 else 0.0
        # Turned clockwise as shown: the page's own turn takes the text along.
        turn = round((self._frame.turn - angle) / 90) * 90 % 360
        ghost, pale = self._ink(owner) if owner else (False, False)
        return _Pen(size=abs(size), bold=bold, turn=turn, ghost=ghost, pale=pale, embedded=embedded)

    def _ink(self, owner: int) -> tuple[bool, bool]:
        """Say whether a text object paints nothing at all, and whether it paints in white or nearly so."""
        mode = _text_mode(owner)
        if mode in _INVISIBLE:
            return True, False
        colour = _stroke_colour if mode in _STROKED else _fill_colour
        if not colour(owner, *self._colour):
            return False, True  # a pattern: who knows
        red, green, blue, opacity = self._channels
        return opacity < _FAINT and mode in {0, *_STROKED}, min(red, green, blue) >= _PALE


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


def _is_bold(textpage: Any, index: int) -> bool:
    flags = ctypes.c_int()
    buffer = ctypes.create_string_buffer(128)
    length = raw.FPDFText_GetFontInfo(textpage, index, buffer, 128, ctypes.byref(flags))
    name = buffer.raw[: min(length, 128)].lower()
    if any(mark in name for mark in (b"bold", b"black", b"heavy")):
        return True
    return bool(raw.FPDFText_GetFontWeight(textpage, index) >= 600)
