"""What a PDF page paints: its pictures, its lines, and whether a word of its text layer is to be seen at all.

Whether text is seen is not guessed from its colour, its mode or what lies above it: the page is drawn, words
in whose place nothing shows (or something else may) are switched off, and it is drawn again. What leaves the
drawing as it was is not painted: white on white, clipped, masked, transparent, behind a picture or in a layer
that is off, all alike. A first drawing costs 4 to 6 ms a page at 72 dpi, about what its text costs.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from numpy.typing import NDArray

from ingest.ink import changed, is_light, overlaps, shows
from ingest.ruled import Stroke
from ingest.structure import Rect, Word

_TEXT, _PATH, _IMAGE, _FORM = 1, 2, 3, 5
_MOVE_TO, _CURVE_TO = 2, 1
#: Paths thinner than this are lines, points; shorter ones are dashes and dots.
_THIN, _SHORT = 2.5, 4.0
#: Paths of more points than this are drawings, and a page of more paths a chart or a map.
_MAX_POINTS, _MAX_PATHS = 400, 5_000
#: Pages with more drawing objects than this are charts and maps; their pictures are not counted.
_MAX_OBJECTS = 20_000
#: A drawing for comparison has at most this many pixels; one with a picture of more is not made.
_COMPARED, _LARGEST_PICTURE = 3_000_000, 60_000_000
#: Text objects without words that are looked through for the double of a hidden one.
_MAX_DOUBLES = 500
#: Fewer letters in doubt than this are not worth a second drawing: a page number, a footnote mark.
_TELLING = 5
#: Annotations that can lie over text: all but links (2), pop-ups (16) and highlights of it (9 to 12).
_HARMLESS_NOTES = {1, 2, 9, 10, 11, 12, 16}

_page_object = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(
    ctypes.cast(raw.FPDFPage_GetObject, ctypes.c_void_p).value or 0
)
_object_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(
    ctypes.cast(raw.FPDFPageObj_GetType, ctypes.c_void_p).value or 0
)


class Frame:
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

    def holds(self, word: Word) -> bool:
        """Say whether the middle of a word lies on the page."""
        return 0 <= (word.x0 + word.x1) / 2 <= self.width and 0 <= (word.y0 + word.y1) / 2 <= self.height


class Painting:
    """A page's drawing objects, walked once."""

    def __init__(self, page: pdfium.PdfPage, frame: Frame) -> None:
        self._page = page
        self._frame = frame
        #: Drawing objects of any kind; none at all means a blank page.
        self.objects: int = raw.FPDFPage_CountObjects(page.raw)
        handle = ctypes.cast(page.raw, ctypes.c_void_p).value
        texts: list[int] = []
        paths: list[int] = []
        images: list[int] = []
        for index in range(min(self.objects, _MAX_OBJECTS)):
            thing = _page_object(handle, index)
            kind = _object_type(thing) if thing else 0
            if kind == _TEXT:
                texts.append(thing)
            elif kind == _PATH:
                paths.append(thing)
            elif kind == _IMAGE or (kind == _FORM and _image_of(thing)):
                images.append(thing)
        self._texts = texts
        self._paths = paths if len(paths) <= _MAX_PATHS else []
        self._images = images
        self._pictures: list[tuple[Rect, str]] | None = None
        self._edges = [ctypes.c_float() for _ in range(4)]
        self._references = [ctypes.byref(edge) for edge in self._edges]

    def _bounds(self, thing: int) -> tuple[float, float, float, float] | None:
        if not raw.FPDFPageObj_GetBounds(ctypes.cast(thing, raw.FPDF_PAGEOBJECT), *self._references):
            return None
        left, bottom, right, top = (edge.value for edge in self._edges)
        return self._frame.shown(left, bottom, right, top)

    def pictures(self) -> list[tuple[Rect, str]]:
        """Return the pictures on the page, clipped to it, each with a hash of what it shows (or "")."""
        if self._pictures is not None:
            return self._pictures
        frame = self._frame
        found: list[tuple[Rect, str]] = []
        for thing in self._images:
            bounds = self._bounds(thing)
            if bounds is None:
                continue
            x0, y0, x1, y1 = bounds
            rect = Rect(max(0.0, x0), max(0.0, y0), min(frame.width, x1), min(frame.height, y1))
            if rect.x1 - rect.x0 > 8 and rect.y1 - rect.y0 > 8:
                large = (rect.x1 - rect.x0) * (rect.y1 - rect.y0) > 0.06 * frame.width * frame.height
                found.append((rect, _digest(thing) if large else ""))
        self._pictures = found
        return found

    def strokes(self) -> Iterator[Stroke]:
        """Yield the level and upright lines of the page's paths, filled rectangles by their edges."""
        for path in self._paths:
            bounds = self._bounds(path)
            if bounds is None:
                continue
            wide, tall = bounds[2] - bounds[0], bounds[3] - bounds[1]
            if min(wide, tall) > _THIN:
                yield from _edges(path, self._frame)
            elif max(wide, tall) > _SHORT:
                yield Stroke(*bounds)

    def unseen(self, words: Sequence[Word], owners: Sequence[int], pale: Sequence[bool]) -> list[bool] | None:
        """Say of each word whether the page as drawn owes it nothing; None where it cannot be drawn.

        `owners` are the text objects that the words are part of, `pale` those that are white or nearly so.
        """
        if not words:
            return []
        if self._too_large():
            return None
        boxes = np.array([word[1:5] for word in words], np.float32)
        plain, first = self._drawn(72)
        crossing = overlaps(boxes, int(self._frame.width), int(self._frame.height))
        doubted = ~shows(plain, boxes * first) | np.array(pale, bool) | self._beneath(boxes) | crossing
        letters = np.array([sum(map(str.isalnum, word.text)) for word in words])
        doubted &= (letters > 0) & (np.array(owners) != 0)
        unseen = [False] * len(words)
        if letters[doubted].sum() < _TELLING:
            return unseen
        sharp, scale = self._drawn(144)
        for group in _apart(boxes, owners, doubted):
            without, _ = self._drawn(144, hiding={owners[i] for i in group})
            for place, seen in zip(group, changed(sharp, without, boxes[group] * scale), strict=True):
                # White letters over other words on paper only spoil them, however much they change.
                spoils = pale[place] and crossing[place] and is_light(plain, boxes[place] * first)
                unseen[place] = not seen or spoils
        return self._without_shadows(unseen, owners)

    def _without_shadows(self, unseen: list[bool], owners: Sequence[int]) -> list[bool]:
        """Clear words that are the shadow of a text object that pdfium took for their double."""
        missing = set(self._texts) - set(owners)
        dark = {owner for owner, hidden in zip(owners, unseen, strict=True) if hidden}
        if not missing or not dark:
            return unseen
        doubles = [bounds for thing in list(missing)[:_MAX_DOUBLES] if (bounds := self._bounds(thing))]
        shadows = {
            owner
            for owner in dark
            if (own := self._bounds(owner))
            and any(max(abs(a - b) for a, b in zip(own, other, strict=True)) < 3 for other in doubles)
        }
        return [hidden and owner not in shadows for hidden, owner in zip(unseen, owners, strict=True)]

    def inked(self, words: Sequence[Word]) -> list[bool]:
        """Say of each word whether anything shows in its place, whatever it is."""
        if not words or self._too_large():
            return [True] * len(words)
        plain, scale = self._drawn(72)
        boxes = np.array([word[1:5] for word in words], np.float32) * scale
        return [bool(ink) for ink in shows(plain, boxes)]

    def _beneath(self, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Say which words lie in a picture or under a note: there something else shows in their place."""
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        under = np.zeros(len(boxes), bool)
        for rect in [*(tuple(rect) for rect, _ in self.pictures()), *self._notes()]:
            under |= ((middles >= rect[:2]) & (middles <= rect[2:4])).all(axis=1)
        return under

    def _notes(self) -> Iterator[tuple[float, float, float, float]]:
        rect = raw.FS_RECTF()
        for index in range(min(raw.FPDFPage_GetAnnotCount(self._page.raw), 500)):
            note = raw.FPDFPage_GetAnnot(self._page.raw, index)
            if not note:
                continue
            if raw.FPDFAnnot_GetSubtype(note) not in _HARMLESS_NOTES and raw.FPDFAnnot_GetRect(
                note, ctypes.byref(rect)
            ):
                yield self._frame.shown(rect.left, rect.bottom, rect.right, rect.top)
            raw.FPDFPage_CloseAnnot(note)

    def _too_large(self) -> bool:
        width, height = ctypes.c_uint(), ctypes.c_uint()
        for thing in self._images:
            image = _image_of(thing)
            raw.FPDFImageObj_GetImagePixelSize(image, ctypes.byref(width), ctypes.byref(height))
            if width.value * height.value > _LARGEST_PICTURE:
                return True
        return False

    def _drawn(self, dpi: int, hiding: set[int] | None = None) -> tuple[NDArray[np.uint8], float]:
        """Draw the page in grey, some text objects switched off; returns it with pixels a point."""
        scale = min(dpi / 72, math.sqrt(_COMPARED / (self._frame.width * self._frame.height)))
        things = [ctypes.cast(owner, raw.FPDF_PAGEOBJECT) for owner in hiding or ()]
        for thing in things:
            raw.FPDFPageObj_SetIsActive(thing, False)
        try:
            bitmap = self._page.render(scale=scale, grayscale=True)
        finally:
            for thing in things:
                raw.FPDFPageObj_SetIsActive(thing, True)
        pixels = bitmap.to_numpy().reshape(bitmap.height, bitmap.width).copy()
        bitmap.close()
        return pixels, scale


def _apart(boxes: NDArray[np.float32], owners: Sequence[int], doubted: NDArray[np.bool_]) -> list[list[int]]:
    """Group the doubted words so that none of a group lies over another text object's: at most four groups.

    Switched off together, a word that shows would vouch for the hidden one in its place.
    """
    places = [int(place) for place in np.flatnonzero(doubted)]
    groups: dict[int, int] = {}
    for place in places:
        box = boxes[place]
        near = np.array(places)[
            (np.minimum(boxes[places, 2], box[2]) > np.maximum(boxes[places, 0], box[0]) + 0.5)
            & (np.minimum(boxes[places, 3], box[3]) > np.maximum(boxes[places, 1], box[1]) + 0.5)
        ]
        taken = {groups.get(owners[i]) for i in near.tolist() if owners[i] != owners[place]}
        groups.setdefault(owners[place], next((g for g in range(4) if g not in taken), 3))
    return [members for group in range(4) if (members := [i for i in places if groups[owners[i]] == group])]


def _image_of(thing: int) -> Any:
    """Return an object as a picture, or the first picture in a form; None where there is none."""
    handle = ctypes.cast(thing, raw.FPDF_PAGEOBJECT)
    if _object_type(thing) == _IMAGE:
        return handle
    for index in range(min(raw.FPDFFormObj_CountObjects(handle), 200)):
        part = raw.FPDFFormObj_GetObject(handle, index)
        if raw.FPDFPageObj_GetType(part) == _IMAGE:
            return part
    return None


def _digest(thing: int) -> str:
    """Hash a picture's data as the file holds it; "" for a form of many parts."""
    if _object_type(thing) != _IMAGE:
        return ""
    handle = ctypes.cast(thing, raw.FPDF_PAGEOBJECT)
    length = raw.FPDFImageObj_GetImageDataRaw(handle, None, 0)
    if not 0 < length <= 32_000_000:
        return ""
    data = ctypes.create_string_buffer(length)
    raw.FPDFImageObj_GetImageDataRaw(handle, data, length)
    return hashlib.blake2b(data.raw, digest_size=16).hexdigest()


def _edges(path: int, frame: Frame) -> Iterator[Stroke]:
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


def _straight(a: tuple[float, float], b: tuple[float, float], frame: Frame) -> Iterator[Stroke]:
    line = Stroke(*frame.shown(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])))
    wide, tall = line.x1 - line.x0, line.y1 - line.y0
    if min(wide, tall) <= _THIN and max(wide, tall) > _SHORT:
        yield line
