"""Reading a page image by OCR and layout: PP-OCRv6 finds the words, PP-PicoDet (CDLA) the regions.

Both run on ONNX Runtime. Neither understands a picture: the words that stand in it are all they see. A page
that lies on its side or head is turned before it is read, one that leans is laid out upright.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import lru_cache
from io import BytesIO
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingest.records import Box, Element
from ingest.structure import Block, Rect, Word, lay_out, lay_out_regions, stands_in

#: Below this the recogniser guesses (its own default).
_LEAST_SCORE = 0.5
#: Lines read above this stand upright: upside down they score .5 to .7, upright .95 and more.
_SURE = 0.8
#: Lines that tell which way up a page lies, and most lines of a page that are tried the other way up.
_PROBES, _MAX_DOUBTED = 6, 30
#: Lines of a scan's own layer that are compared with its picture.
_COMPARED_LINES = 24
#: Lines that lean more than this are meant to (a watermark, a stamp), radians.
_MAX_SKEW = 0.2


#: A region with this many words that cover this share of it is text, whatever the layout model says.
_MANY_WORDS, _WRITTEN_FULL = 40, 0.3
#: Share of a figure's words, and of its grid's places, from which on it is a table.
_MOSTLY = 0.85


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What eyes found on a page image, in points of the page as shown."""

    words: tuple[Word, ...]
    #: Regions by the layout model's names: text, title, figure, table, header, footer, ...
    regions: tuple[tuple[str, Rect], ...] = ()
    #: By how much the writing leans clockwise, radians.
    skew: float = 0.0


class _Line(NamedTuple):
    """A line as read, in pixels of the image that was read."""

    text: str
    #: (4, 2): where it begins above, ends above, ends below, begins below, as its crop was cut.
    corners: NDArray[np.float32]
    #: Each character but spaces, with its middle as a share of the line.
    places: tuple[tuple[str, float], ...]
    #: Whether the crop was read the other way up.
    flipped: bool
    #: How sure the recogniser was, in [0, 1].
    sure: float


class _Turned(Exception):
    """The page lies on its side or head: by so many quarter turns to the left it stands upright."""

    def __init__(self, quarters: int) -> None:
        super().__init__(f"turn it by {quarters} quarters")
        self.quarters = quarters


@lru_cache(maxsize=2)
def _reader(threads: int) -> Any:
    """Load the OCR models once in a process (0.8 s, 300 MB)."""
    from rapidocr import RapidOCR
    from rapidocr.ch_ppocr_cls import TextClsOutput

    class Reader(RapidOCR):
        """Finds out which way up a page lies by reading it, not by the classifier that comes along.

        That one squeezes lines to four times their height; it stood half the wide lines of a clean page on
        their heads: word recall .53 instead of 1.00.
        """

        #: The page was turned already: read it as it is.
        upright = False
        tall = 0.0

        def crop_text_regions(self, img: NDArray[np.uint8], det_boxes: NDArray[np.float32]) -> Any:
            self.tall = _share_of_tall(det_boxes)
            return super().crop_text_regions(img, det_boxes)

        def cls_and_rotate(self, img: list[NDArray[np.uint8]]) -> Any:
            quarters = 0 if self.upright else self._quarters(img)
            if quarters:
                raise _Turned(quarters)
            return img, TextClsOutput()

        def _quarters(self, crops: list[NDArray[np.uint8]]) -> int:
            """Tell by the widest lines how the page lies; tall ones were turned left when cut out."""
            widest = sorted(crops, key=lambda crop: crop.shape[1])[-_PROBES:]
            as_is = np.mean(super().recognize_txt(widest).scores)
            side = self.tall > 0.6 and len(crops) >= 4
            if as_is >= _SURE:
                return 1 if side else 0
            flipped = np.mean(super().recognize_txt([np.rot90(crop, 2) for crop in widest]).scores)
            if flipped > as_is + 0.05:
                return 3 if side else 2
            return 1 if side else 0

        def recognize_txt(self, img: list[NDArray[np.uint8]]) -> Any:
            """Read every line, those that make no sense also the other way up."""
            read: Any = super().recognize_txt(img)
            doubted = [place for place, score in enumerate(read.scores) if score < _SURE][:_MAX_DOUBTED]
            if not doubted:
                return read
            again: Any = super().recognize_txt([np.rot90(img[place], 2) for place in doubted])
            texts, scores, results = list(read.txts), list(read.scores), list(read.word_results)
            for place, text, score, result in zip(
                doubted, again.txts, again.scores, again.word_results, strict=True
            ):
                if text.strip() and score > scores[place] + 0.1:
                    result.flipped = True
                    texts[place], scores[place], results[place] = text, score, result
            return replace(read, txts=tuple(texts), scores=tuple(scores), word_results=tuple(results))

        def calc_word_boxes(self, img: Any, dt_boxes: Any, rec_res: Any) -> Any:
            """Give each line its characters with their places instead of whole pixels."""
            return tuple(
                (_places(result), getattr(result, "flipped", False)) for result in rec_res.word_results
            )

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return Reader(
        params={
            "Global.log_level": "error",
            "Global.max_side_len": 2600,
            "Global.return_word_box": True,
            "Global.text_score": _LEAST_SCORE,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _share_of_tall(boxes: NDArray[np.float32]) -> float:
    """Return the share of the lines' length that runs down or up the page."""
    across, down = _sides(np.asarray(boxes))
    tall = down > 1.5 * across
    return float(down[tall].sum() / max(1.0, np.maximum(across, down).sum()))


def _sides(boxes: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1), np.linalg.norm(
        boxes[:, 3] - boxes[:, 0], axis=1
    )


def _places(result: Any) -> tuple[tuple[str, float], ...]:
    length = max(float(result.line_txt_len), 1.0)
    return tuple(
        (char, (column + 0.5) / length)
        for word, columns in zip(result.words, result.word_cols, strict=True)
        for char, column in zip(word, columns, strict=False)
    )


@lru_cache(maxsize=2)
def _layout(threads: int) -> Any:
    logging.getLogger("rapid_layout").setLevel(logging.ERROR)
    from rapid_layout import ModelType, RapidLayout

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("rapid_layout"):
            logging.getLogger(name).setLevel(logging.ERROR)
    threads_cfg = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
    return RapidLayout(model_type=ModelType.PP_LAYOUT_CDLA, engine_cfg=threads_cfg)


def scan(png: bytes, *, width_pt: float, height_pt: float, threads: int, regions: bool = True) -> Scan:
    """Read the words of a page image, whichever way up it lies, and the regions around them."""
    pixels = _pixels(png)
    words, skew = _read_words(pixels, threads)
    across, down = width_pt / pixels.shape[1], height_pt / pixels.shape[0]
    scaled = [
        w._replace(x0=w.x0 * across, y0=w.y0 * down, x1=w.x1 * across, y1=w.y1 * down, size=w.size * down)
        for w in words
    ]
    found: list[tuple[str, Rect]] = []
    if regions and words:
        result = _layout(threads)(pixels)
        for (x0, y0, x1, y1), name in zip(result.boxes or [], result.class_names or [], strict=False):
            found.append((name, Rect(x0 * across, y0 * down, x1 * across, y1 * down)))
    return Scan(words=tuple(_even_sizes(scaled)), regions=tuple(found), skew=skew)


def _pixels(png: bytes) -> NDArray[np.uint8]:
    """Return a picture as the models want it: (height, width, blue green red)."""
    with Image.open(BytesIO(png)) as opened:
        return np.ascontiguousarray(np.asarray(opened.convert("RGB"))[:, :, ::-1])


def _read_words(pixels: NDArray[np.uint8], threads: int) -> tuple[list[Word], float]:
    """Read an image, turned upright where it lies on its side or head; also say how far the writing leans."""
    reader = _reader(threads)
    height, width = pixels.shape[:2]
    reader.upright = False
    try:
        lines = _lines(reader(pixels))
        return [word for line in lines for word in _words_of(line)], _skew(lines)
    except _Turned as turned:
        quarters = turned.quarters
    reader.upright = True
    lines = _lines(reader(np.ascontiguousarray(np.rot90(pixels, quarters))))
    words = [word for line in lines for word in _words_of(line)]
    if quarters == 2:
        back = [
            w._replace(x0=width - w.x1, y0=height - w.y1, x1=width - w.x0, y1=height - w.y0) for w in words
        ]
    elif quarters == 1:
        back = [w._replace(x0=width - w.y1, y0=w.x0, x1=width - w.y0, y1=w.x1) for w in words]
    else:
        back = [w._replace(x0=w.y0, y0=height - w.x1, x1=w.y1, y1=height - w.x0) for w in words]
    return [w._replace(turn=(w.turn + 90 * quarters) % 360) for w in back], _skew(lines)


def _lines(result: Any) -> list[_Line]:
    if result.boxes is None:
        return []
    return [
        _Line(text.strip(), np.asarray(box, np.float32), places, flipped, float(sure))
        for box, text, (places, flipped), sure in zip(
            result.boxes, result.txts, result.word_results, result.scores, strict=True
        )
        if text.strip()
    ]


def _skew(lines: Sequence[_Line]) -> float:
    """Return how far long lines lean clockwise, radians; less than a fifth of a degree is none."""
    angles: list[tuple[float, float]] = []
    for line in lines:
        along = line.corners[1] - line.corners[0]
        if along[0] > 6 * np.linalg.norm(line.corners[3] - line.corners[0]):
            angles.append((float(np.arctan2(along[1], along[0])), float(along[0])))
    half, passed = sum(length for _, length in angles) / 2, 0.0
    for angle, length in sorted(angles):
        passed += length
        if passed >= half and abs(angle) < _MAX_SKEW:
            return angle if abs(angle) > 0.0035 else 0.0
    return 0.0


def _words_of(line: _Line) -> list[Word]:
    """Cut a line at the spaces of its text, each word where its characters were read."""
    across, down = (float(side[0]) for side in _sides(line.corners[None]))
    if down > 1.5 * across and len(line.text) >= 3:
        (x0, y0), (x1, y1) = line.corners.min(axis=0), line.corners.max(axis=0)
        turn = 270 if line.flipped else 90
        return [
            Word(
                line.text,
                float(x0),
                float(y0),
                float(x1),
                float(y1),
                0.8 * float(x1 - x0),
                turn=turn,
                sure=line.sure,
            )
        ]
    begin, end, below, start = line.corners
    words: list[Word] = []
    for token, a, b in _tokens(line):
        if line.flipped:
            a, b = 1 - b, 1 - a
        quad = np.stack(
            [
                begin + a * (end - begin),
                begin + b * (end - begin),
                start + a * (below - start),
                start + b * (below - start),
            ]
        )
        (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
        words.append(
            Word(
                token,
                float(x0),
                float(y0),
                float(x1),
                float(y1),
                0.8 * down,
                turn=180 if line.flipped else 0,
                sure=line.sure,
            )
        )
    return words


def _tokens(line: _Line) -> list[tuple[str, float, float]]:
    """Return the words of a line with their beginnings and ends, as shares of its length."""
    tokens = line.text.split()
    middles = [place for _, place in line.places]
    if len(tokens) == 1:
        return [(line.text, 0.0, 1.0)]
    if len(middles) != sum(map(len, tokens)):
        # The reader lost count: characters of even width.
        count = len(line.text)
        middles = [(i + 0.5) / count for i, char in enumerate(line.text) if not char.isspace()]
    half = (middles[-1] - middles[0]) / max(1, len(line.text) - 1) / 2
    found: list[tuple[str, float, float]] = []
    place = 0
    for token in tokens:
        first, last = middles[place], middles[place + len(token) - 1]
        place += len(token)
        begin = max(first - half, found[-1][2] if found else 0.0)
        found.append((token, min(begin, first), min(1.0, last + half)))
    return found


def _even_sizes(words: Sequence[Word]) -> list[Word]:
    """Give lines of nearly the usual height that height: OCR boxes breathe, and headings are told by size."""
    if not words:
        return []
    usual = median(word.size for word in words for _ in range(max(1, len(word.text))))
    steps = [round(2 * np.log(max(word.size, 0.1) / usual) / np.log(1.35)) / 2 for word in words]
    return [
        word._replace(size=usual if abs(word.size / usual - 1) < 0.28 else float(usual * 1.35**step))
        for word, step in zip(words, steps, strict=True)
    ]


def scan_blocks(seen: Scan, *, width_pt: float, height_pt: float) -> list[Block]:
    """Turn a scan into blocks: titles where the layout says so, figures with the words that stand in them.

    A page that leans is laid out upright; boxes come back as they lie on the page.
    """
    upright = _Leaning(seen.skew, width_pt, height_pt)
    area = width_pt * height_pt
    words = [upright.set_up(word) for word in seen.words]
    regions = [(name, r) for name, r in seen.regions if (r.x1 - r.x0) * (r.y1 - r.y0) < 0.6 * area]
    figures = {rect: [w for w in words if stands_in(w, rect)] for name, rect in regions if name == "figure"}
    grids = [rect for rect, inner in figures.items() if _is_grid(inner, width_pt, height_pt)]
    pictures = {
        rect: inner
        for rect, inner in figures.items()
        if rect not in grids and not _is_written_full(rect, inner)
    }
    inside = {id(word) for words in pictures.values() for word in words}
    outside = [word for word in words if id(word) not in inside]
    tables = _apart([*(rect for name, rect in regions if name == "table"), *grids])
    blocks = lay_out_regions(outside, tables, width=width_pt, height=height_pt, pictures=pictures)
    titles = [rect for name, rect in seen.regions if name == "title"]
    return [upright.lay_back(_titled(block, titles, width_pt, height_pt)) for block in blocks]


def _is_written_full(rect: Rect, words: Sequence[Word]) -> bool:
    """Say whether what the layout takes for a figure is lines of text: labels leave most of a figure free."""
    written = sum((w.x1 - w.x0) * (w.y1 - w.y0) for w in words)
    return len(words) >= _MANY_WORDS and written > _WRITTEN_FULL * (rect.x1 - rect.x0) * (rect.y1 - rect.y0)


def _is_grid(words: Sequence[Word], width: float, height: float) -> bool:
    """Say whether the words in a figure fill the grid of one table: a chart leaves gaps in it."""
    blocks = [block.element for block in lay_out(words, width=width, height=height)]
    tables = [element for element in blocks if element.kind == "table"]
    if len(tables) != 1 or len(tables[0].text) < _MOSTLY * sum(len(element.text) for element in blocks):
        return False
    cells = tables[0].cells
    rows, columns = max(cell.row for cell in cells) + 1, max(cell.col for cell in cells) + 1
    return rows >= 3 and columns >= 2 and len(cells) >= _MOSTLY * rows * columns


class _Leaning:
    """Turns what leans upright about the middle of the page, and boxes back to where they lie."""

    def __init__(self, skew: float, width: float, height: float) -> None:
        self._skew = skew
        self._width, self._height = width, height

    def _turned(self, x: float, y: float, angle: float) -> tuple[float, float]:
        x, y = x - self._width / 2, y - self._height / 2
        cos, sin = np.cos(angle), np.sin(angle)
        return float(x * cos - y * sin) + self._width / 2, float(x * sin + y * cos) + self._height / 2

    def set_up(self, word: Word) -> Word:
        if not self._skew:
            return word
        x, y = self._turned((word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2, -self._skew)
        wide, tall = (word.x1 - word.x0) / 2, (word.y1 - word.y0) / 2
        return word._replace(x0=x - wide, y0=y - tall, x1=x + wide, y1=y + tall)

    def lay_back(self, block: Block) -> Block:
        if not self._skew:
            return block
        element = block.element
        spans = tuple(replace(span, box=self._box(span.box)) for span in element.spans)
        cells = tuple(replace(cell, box=self._box(cell.box) if cell.box else None) for cell in element.cells)
        return replace(block, element=replace(element, spans=spans, cells=cells))

    def _box(self, box: Box) -> Box:
        corners = [
            self._turned(x * self._width, y * self._height, self._skew)
            for x in (box.x0, box.x1)
            for y in (box.y0, box.y1)
        ]
        across, down = zip(*corners, strict=True)
        return Box(
            x0=max(0.0, min(across) / self._width),
            y0=max(0.0, min(down) / self._height),
            x1=min(1.0, max(across) / self._width),
            y1=min(1.0, max(down) / self._height),
        )


def _apart(rects: Sequence[Rect]) -> list[Rect]:
    """Drop regions that overlap one already kept: a word belongs to one table."""
    kept: list[Rect] = []
    for rect in rects:
        if not any(
            min(rect.x1, k.x1) > max(rect.x0, k.x0) and min(rect.y1, k.y1) > max(rect.y0, k.y0) for k in kept
        ):
            kept.append(rect)
    return kept


def _titled(block: Block, titles: Sequence[Rect], width: float, height: float) -> Block:
    element = block.element
    if element.kind != "paragraph" or len(element.spans) > 3 or len(element.text) > 160:
        return block
    around = Box.around([span.box for span in element.spans])
    x, y = (around.x0 + around.x1) / 2 * width, (around.y0 + around.y1) / 2 * height
    if any(rect.x0 <= x <= rect.x1 and rect.y0 <= y <= rect.y1 for rect in titles):
        return replace(block, element=replace(element, kind="title"))
    return block


def read_scan(png: bytes, *, threads: int = 2) -> tuple[Element, ...]:
    """Read a page image into elements in reading order; boxes in [0, 1] of the image."""
    with Image.open(BytesIO(png)) as opened:
        width, height = (float(side) for side in opened.size)
    seen = scan(png, width_pt=width, height_pt=height, threads=threads)
    return tuple(block.element for block in scan_blocks(seen, width_pt=width, height_pt=height))


def picture_words(png: bytes, threads: int) -> list[str]:
    """Return the lines that stand in a picture, in reading order (runs in a child process)."""
    with Image.open(BytesIO(png)) as opened:
        width, height = (float(side) for side in opened.size)
    seen = scan(png, width_pt=width, height_pt=height, threads=threads, regions=False)
    return [block.element.text for block in lay_out(seen.words, width=width, height=height)]


def read_piece(piece: NDArray[np.uint8], *, threads: int) -> tuple[str, float]:
    """Read one line cut from a picture (red green blue) once more; say how sure, in [0, 1]."""
    if piece.size == 0:
        return "", 0.0
    read = _reader(threads).recognize_txt([np.ascontiguousarray(piece[:, :, ::-1])])
    return str(read.txts[0]).strip(), float(read.scores[0])


def agreement(png: bytes, words: Sequence[Word], *, width_pt: float, height_pt: float, threads: int) -> float:
    """Say what share of a text layer's letters its picture has too, from lines read all over the page.

    Only the recogniser runs, on at most two dozen places where the layer says that lines stand.
    """
    pixels = _pixels(png)
    across, down = pixels.shape[1] / width_pt, pixels.shape[0] / height_pt
    runs = [run for run in _runs(words) if sum(len(word.text) for word in run) >= 4]
    step = max(1, -(-len(runs) // _COMPARED_LINES))
    crops: list[NDArray[np.uint8]] = []
    texts: list[str] = []
    for run in runs[::step]:
        x0, x1 = min(w.x0 for w in run) * across, max(w.x1 for w in run) * across
        y0, y1 = min(w.y0 for w in run) * down, max(w.y1 for w in run) * down
        margin = 0.15 * (y1 - y0)
        crop = pixels[
            int(max(0, y0 - margin)) : int(y1 + margin) + 1, int(max(0, x0 - margin)) : int(x1 + margin) + 1
        ]
        if min(crop.shape[:2]) >= 4:
            turn = run[0].turn // 90
            crops.append(np.ascontiguousarray(np.rot90(crop, turn)))
            texts.append("".join(word.text for word in run))
    if not crops:
        return 1.0
    read = _reader(threads).recognize_txt(crops).txts
    same = sum(len(text) * _alike(text, seen) for text, seen in zip(texts, read, strict=True))
    return float(same / sum(map(len, texts)))


def _runs(words: Sequence[Word]) -> list[list[Word]]:
    """Group the words that follow each other on a line, at most eight together."""
    runs: list[list[Word]] = []
    for word in words:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and len(runs[-1]) < 8
            and last.turn == word.turn == 0
            and min(last.y1, word.y1) - max(last.y0, word.y0)
            > 0.6 * min(last.y1 - last.y0, word.y1 - word.y0)
            and -0.3 * word.size < word.x0 - last.x1 < 1.5 * word.size
        ):
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


def _alike(text: str, seen: str) -> float:
    """Return the similarity of two lines, spaces and case aside."""
    a, b = "".join(text.lower().split()), "".join(seen.lower().split())
    return SequenceMatcher(None, a, b, autojunk=False).ratio()
