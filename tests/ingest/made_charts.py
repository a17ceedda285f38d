"""Charts drawn for tests, with the words that stand in them: what OCR would read at its best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ingest.words import Word

INK = (60, 60, 70)


@dataclass(slots=True)
class Sheet:
    """A picture being drawn, and its words."""

    width: int = 900
    height: int = 600
    words: list[Word] = field(default_factory=list)
    image: Image.Image = field(init=False)
    pen: ImageDraw.ImageDraw = field(init=False)

    def __post_init__(self) -> None:
        self.image = Image.new("RGB", (self.width, self.height), "white")
        self.pen = ImageDraw.Draw(self.image)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        return np.asarray(self.image)

    def png(self) -> bytes:
        buffer = BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: int = 18,
        anchor: str = "lm",
        fill: tuple[int, int, int] = INK,
        read: bool = True,
    ) -> None:
        """Write a line; each word is read with its box, unless it is to be overseen."""
        font = ImageFont.load_default(size)
        left, _, right, _ = self.pen.textbbox((x, y), text, font=font, anchor=anchor)
        at = left
        for token in text.split(" "):
            end = self.pen.textbbox((at, y), token, font=font, anchor="lm")[2]
            self.pen.text((at, y), token, font=font, anchor="lm", fill=fill)
            if read and token:
                self.words.append(Word(token, at - 1, y - 0.6 * size, end + 1, y + 0.6 * size, 0.96 * size))
            at = end + self.pen.textlength(" ", font=font)
        assert right >= left

    def slanted(self, text: str, x: float, y: float, *, size: int = 18) -> None:
        """Hang a word below an axis, running up to (x, y) at 45 degrees."""
        font = ImageFont.load_default(size)
        wide = round(self.pen.textlength(text, font=font))
        tile = Image.new("RGBA", (wide, round(1.3 * size)), (255, 255, 255, 0))
        ImageDraw.Draw(tile).text((0, 0), text, font=font, fill=INK)
        turned = tile.rotate(45, expand=True)
        left, top = round(x - turned.width), round(y)
        self.image.paste(turned, (left, top), turned)
        self.words.append(Word(text, left, top, left + turned.width, top + turned.height, float(size)))


def column(sheet: Sheet, texts: Sequence[str], *, x: float = 90, top: float = 110, foot: float = 480) -> None:
    """Draw a vertical axis, its labels given from the top, with a grid line each."""
    step = (foot - top) / (len(texts) - 1)
    for place, text in enumerate(texts):
        y = top + place * step
        sheet.pen.line([(x + 8, y), (860, y)], fill=(220, 220, 225))
        sheet.write(text, x, y, anchor="rm")


def row(
    sheet: Sheet, texts: Sequence[str], *, y: float = 510, left: float = 140, right: float = 820
) -> list[float]:
    """Write labels below an axis; returns their middles."""
    step = (right - left) / (len(texts) - 1)
    places = [left + step * place for place in range(len(texts))]
    for x, text in zip(places, texts, strict=True):
        sheet.write(text, x, y, anchor="mm")
    return places


def legend(
    sheet: Sheet, entries: Sequence[tuple[str, tuple[int, int, int]]], *, y: float = 70, left: float = 140
) -> None:
    """Draw a legend in one row: a patch and a label each."""
    font = ImageFont.load_default(18)
    x = left
    for label, colour in entries:
        sheet.pen.rectangle([x, y - 8, x + 16, y + 8], fill=colour)
        sheet.write(label, x + 24, y)
        x += 24 + sheet.pen.textlength(label, font=font) + 36
