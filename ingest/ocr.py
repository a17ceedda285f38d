"""Reading a page image by OCR and layout: PP-OCRv6 finds the words, PP-PicoDet (CDLA) the regions.

Both run on ONNX Runtime. Neither understands a picture: the words that stand in it are all they see. Lines
come in whichever way up the image lies; it is read again the right way up where most of it stands on its
side or head.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ingest.records import Box, Element
from ingest.structure import Block, Rect, Word, lay_out, lay_out_regions, stands_in

#: Below this the recogniser guesses (its own default).
_LEAST_SCORE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What eyes found on a page image, in points of the page as shown."""

    words: tuple[Word, ...]
    #: Regions by the layout model's names: text, title, figure, table, header, footer, ...
    regions: tuple[tuple[str, Rect], ...] = ()


@lru_cache(maxsize=2)
def _reader(threads: int) -> Any:
    """Load the OCR models once in a process (0.8 s, 300 MB)."""
    from rapidocr import RapidOCR

    class Reader(RapidOCR):
        """Remembers how many lines stood on their heads: the answer itself does not tell."""

        upside_down = 0.0

        def cls_and_rotate(self, img: list[NDArray[np.uint8]]) -> Any:
            images, result = super().cls_and_rotate(img)
            labels = [label for label, score in result.cls_res or () if score > 0.8]
            self.upside_down = labels.count("180") / len(labels) if labels else 0.0
            return images, result

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
    with Image.open(BytesIO(png)) as opened:
        pixels = np.asarray(opened.convert("RGB"))[:, :, ::-1]
    words = _read_words(np.ascontiguousarray(pixels), threads)
    across, down = width_pt / pixels.shape[1], height_pt / pixels.shape[0]
    scaled = [
        w._replace(x0=w.x0 * across, y0=w.y0 * down, x1=w.x1 * across, y1=w.y1 * down, size=w.size * down)
        for w in words
    ]
    found: list[tuple[str, Rect]] = []
    if regions and words:
        result = _layout(threads)(np.ascontiguousarray(pixels))
        for (x0, y0, x1, y1), name in zip(result.boxes or [], result.class_names or [], strict=False):
            found.append((name, Rect(x0 * across, y0 * down, x1 * across, y1 * down)))
    return Scan(words=tuple(_even_sizes(scaled)), regions=tuple(found))


def _read_words(pixels: NDArray[np.uint8], threads: int) -> list[Word]:
    """Read an image and, where it lies on its side or head, once more the right way up."""
    reader = _reader(threads)
    height, width = pixels.shape[:2]
    result = reader(pixels)
    if result.boxes is None or not len(result.boxes):
        return []
    upside_down = reader.upside_down > 0.6
    if _is_tall(result):
        # The reader turns tall crops to the left; writing that then stands on its head reads upwards.
        turned = _words_of(reader(np.ascontiguousarray(np.rot90(pixels, 3 if upside_down else 1))))
        if upside_down:
            return [
                w._replace(x0=w.y0, y0=height - w.x1, x1=w.y1, y1=height - w.x0, turn=270) for w in turned
            ]
        return [w._replace(x0=width - w.y1, y0=w.x0, x1=width - w.y0, y1=w.x1, turn=90) for w in turned]
    if upside_down:
        turned = _words_of(reader(np.ascontiguousarray(np.rot90(pixels, 2))))
        return [
            w._replace(x0=width - w.x1, y0=height - w.y1, x1=width - w.x0, y1=height - w.y0, turn=180)
            for w in turned
        ]
    return _words_of(result)


def _is_tall(result: Any) -> bool:
    """Say whether most lines of more than two characters run down or up the image."""
    boxes = np.asarray(result.boxes)
    sides = boxes.max(axis=1) - boxes.min(axis=1)
    long = np.array([len(text) >= 3 for text in result.txts])
    tall = (sides[:, 1] > 1.5 * sides[:, 0]) & long
    return bool(long.sum() >= 4 and tall.sum() > 0.6 * long.sum())


def _words_of(result: Any) -> list[Word]:
    """Turn the reader's lines into words, in pixels of the image that it read."""
    words: list[Word] = []
    if result.boxes is None:
        return words
    parts = (
        result.word_results
        if len(result.word_results or ()) == len(result.txts)
        else [None] * len(result.txts)
    )
    for box, text, pieces in zip(result.boxes, result.txts, parts, strict=True):
        (x0, y0), (x1, y1) = np.min(box, axis=0), np.max(box, axis=0)
        if y1 - y0 > 1.5 * (x1 - x0) and len(text) >= 3:
            words.append(
                Word(text, float(x0), float(y0), float(x1), float(y1), 0.8 * float(x1 - x0), turn=270)
            )
            continue
        size = 0.8 * float(np.linalg.norm(box[3] - box[0]))
        words += _line_words(text, pieces, (float(x0), float(y0), float(x1), float(y1)), size)
    return words


def _line_words(text: str, pieces: Any, rect: tuple[float, float, float, float], size: float) -> list[Word]:
    """Cut a line at the spaces of its text; the word boxes give the x, the line the y."""
    x0, y0, x1, y1 = rect
    tokens = text.split()
    if len(tokens) <= 1 or not pieces:
        return [Word(text.strip(), x0, y0, x1, y1, size)]
    words: list[Word] = []
    queue = [(str(piece[0]).replace(" ", ""), piece[2]) for piece in pieces]
    for token in tokens:
        taken, edges = "", []
        while queue and len(taken) < len(token) and token.startswith(taken + queue[0][0]):
            piece, box = queue.pop(0)
            taken += piece
            edges += [float(point[0]) for point in box]
        if taken != token:
            return [Word(text.strip(), x0, y0, x1, y1, size)]
        words.append(Word(token, min(edges), y0, max(edges), y1, size))
    return words


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
    """Turn a scan into blocks: titles where the layout says so, figures with the words that stand in them."""
    area = width_pt * height_pt
    regions = [(name, r) for name, r in seen.regions if (r.x1 - r.x0) * (r.y1 - r.y0) < 0.6 * area]
    pictures = {
        rect: [w for w in seen.words if stands_in(w, rect)] for name, rect in regions if name == "figure"
    }
    inside = {id(word) for words in pictures.values() for word in words}
    outside = [word for word in seen.words if id(word) not in inside]
    tables = _apart([rect for name, rect in regions if name == "table"])
    blocks = lay_out_regions(outside, tables, width=width_pt, height=height_pt, pictures=pictures)
    titles = [rect for name, rect in seen.regions if name == "title"]
    return [_titled(block, titles, width_pt, height_pt) for block in blocks]


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
