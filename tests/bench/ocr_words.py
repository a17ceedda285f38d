"""Word accuracy of OCR on pages whose text is known: born-digital pages made into pictures, then spoilt.

    PAGEWARDEN_DATA=… python tests/bench/ocr_words.py [--pages 12] [--seed 1] [--conditions "150" "150 skew"]

A condition is a resolution and, after it, what was done to the picture: `noise`, `skew` (1.5 degrees), `head`
(upside down), `side` (on its side), `jpeg` (quality 30), `grey` (pale print). Words are compared as bags:
recall is the share of the text layer's words that OCR found, precision the share of OCR's words that stand
there. `rows` is the share of neighbours on a line of the layer that are neighbours in what was laid out.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from ingest.decide import judge
from ingest.ocr import scan, scan_blocks
from ingest.pages import Sheet, count_pages, read_sheets, render_pdf, to_png
from ingest.structure import Word

CONDITIONS = (
    *("75", "100", "120", "150", "175", "200", "250"),
    *("150 noise", "150 skew", "150 skew noise", "150 head", "150 side", "150 jpeg", "150 grey", "100 noise"),
)
_LEAST_WORDS = 80


def known_pages(folder: Path, count: int, seed: int) -> Iterator[tuple[Path, Sheet]]:
    """Yield pages whose text layer is all of the page: plenty of words, no picture, nothing hidden."""
    places = [
        (path, no)
        for kind in ("e2e-docqa", "parsing")
        for path in sorted((folder / kind / "documents").glob("*.pdf"))
        for no in range(1, count_pages(path) + 1)
    ]
    random.Random(seed).shuffle(places)
    seen = Counter[Path]()
    for path, no in places:
        sheet = next(read_sheets(path, no, no))
        if seen[path] >= 2 or not isinstance(sheet, Sheet):
            continue
        verdict = judge(sheet)
        if verdict.reader != "text-layer" or verdict.flags or sheet.pictures:
            continue
        if len(sheet.words) < _LEAST_WORDS or any(word.turn for word in sheet.words):
            continue
        seen[path] += 1
        count -= 1
        yield path, sheet
        if not count:
            return


def spoilt(png: bytes, deeds: Iterable[str]) -> bytes:
    """Do to a page image what scanners and fax machines do."""
    with Image.open(BytesIO(png)) as opened:
        picture = opened.convert("RGB")
    for deed in deeds:
        if deed == "noise":
            rng = np.random.default_rng(1)
            pixels = np.asarray(picture).astype(np.float32) + rng.normal(
                0, 28, (picture.height, picture.width, 1)
            )
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        elif deed == "skew":
            picture = picture.rotate(1.5, Image.Resampling.BICUBIC, fillcolor="white")
        elif deed in {"head", "side"}:
            picture = picture.rotate(180 if deed == "head" else 90, expand=True)
        elif deed == "jpeg":
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=30)
            picture = Image.open(buffer).convert("RGB")
        elif deed == "grey":
            picture = picture.point(lambda value: 150 + value * 105 // 255)
        else:
            sys.exit(f"nobody knows how to do {deed!r} to a page")
    return to_png(picture)


def plain(text: str) -> list[str]:
    """Cut a text into words without the signs around them."""
    stripped = (re.sub(r"^\W+|\W+$", "", token) for token in text.replace("’", "'").split())
    return [token for token in stripped if token]


def neighbours(words: Iterable[Word]) -> Counter[tuple[str, str]]:
    return Counter(
        (a.text, b.text)
        for a, b in pairwise(words)
        if abs((a.y0 + a.y1) - (b.y0 + b.y1)) < a.size and b.x0 > a.x0 and b.x0 - a.x1 < 0.6 * a.size
    )


def measure(
    condition: str, pages: list[tuple[Path, Sheet]], *, threads: int
) -> tuple[float, float, float, float]:
    dpi, *deeds = condition.split()
    found = expected = right = 0
    pairs = kept = 0
    spent = 0.0
    for path, sheet in pages:
        png = spoilt(render_pdf(path, sheet.no, dpi=int(dpi)), deeds)
        width, height = sheet.width_pt, sheet.height_pt
        if "side" in deeds:
            width, height = height, width
        started = time.perf_counter()
        seen = scan(png, width_pt=width, height_pt=height, threads=threads)
        spent += time.perf_counter() - started
        truth = Counter(plain(" ".join(word.text for word in sheet.words)))
        read = Counter(plain(" ".join(word.text for word in seen.words)))
        right += (truth & read).total()
        found += read.total()
        expected += truth.total()
        said = " ".join(
            block.element.text for block in scan_blocks(seen, width_pt=width, height_pt=height)
        ).split()
        wanted = neighbours(sheet.words)
        pairs += wanted.total()
        kept += (wanted & Counter(pairwise(said))).total()
    return right / expected, right / max(1, found), kept / max(1, pairs), spent / len(pages)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--conditions", nargs="*", default=CONDITIONS)
    wishes = parser.parse_args()
    if "PAGEWARDEN_DATA" not in os.environ:
        sys.exit("PAGEWARDEN_DATA names no folder: the pages to read are not there")
    pages = list(known_pages(Path(os.environ["PAGEWARDEN_DATA"]), wishes.pages, wishes.seed))
    words = sum(len(sheet.words) for _, sheet in pages)
    print(f"{len(pages)} pages of {len({path for path, _ in pages})} documents, {words} words")
    print(f"{'condition':18} recall  precision  rows   s/page")
    scan(to_png(Image.new("RGB", (200, 200), "white")), width_pt=100, height_pt=100, threads=wishes.threads)
    for condition in wishes.conditions:
        recall, precision, rows, seconds = measure(condition, pages, threads=wishes.threads)
        print(f"{condition:18} {recall:6.3f}  {precision:9.3f}  {rows:5.3f}  {seconds:6.2f}", flush=True)


if __name__ == "__main__":
    main()
