"""A film at a glance: its scenes' key frames in rows, each with its seconds and the words in it.

For people who want to see what reading made of a film. Pillow draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from ingest.drawing import to_png
from ingest.records import Page, clock

#: Scenes on one sheet, side by side and in all.
_COLUMNS, MOST = 4, 40
_WIDTH, _HEIGHT, _LINES, _GAP = 320, 180, 5, 12
_INK, _SOFT, _PAPER, _EMPTY = (30, 30, 30), (100, 100, 100), (255, 255, 255), (225, 225, 225)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A picture on a sheet; without one a grey field stands there."""

    picture: bytes | None
    title: str
    text: str


def frame_of(page: Page, picture: bytes | None) -> Frame:
    """Tell a scene: its seconds, and what is said in it before what is shown."""
    ordered = sorted(page.elements, key=lambda element: element.kind != "speech")
    words = " ".join(" ".join(element.text.split()) for element in ordered)
    title = f"{page.no}   {clock(page.start_s or 0.0)}-{clock(page.end_s or 0.0)}"
    return Frame(picture=picture, title=title, text=words or page.reason if page.lost else words)


def contact_sheet(frames: Sequence[Frame]) -> bytes:
    """Draw at most `MOST` frames as one PNG."""
    font = ImageFont.load_default(13)
    line = 17
    down = _HEIGHT + (_LINES + 1) * line + 2 * _GAP
    columns = min(_COLUMNS, max(1, len(frames)))
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * (_WIDTH + _GAP) + _GAP, rows * down + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, frame in enumerate(frames):
        left = _GAP + place % columns * (_WIDTH + _GAP)
        top = _GAP + place // columns * down
        pen.rectangle((left, top, left + _WIDTH - 1, top + _HEIGHT - 1), fill=_EMPTY)
        if frame.picture is not None:
            with Image.open(BytesIO(frame.picture)) as opened:
                small = opened.convert("RGB")
            small.thumbnail((_WIDTH, _HEIGHT))
            sheet.paste(small, (left + (_WIDTH - small.width) // 2, top + (_HEIGHT - small.height) // 2))
        pen.text((left, top + _HEIGHT + 4), frame.title, fill=_INK, font=font)
        lines = wrap(frame.text, 48)
        if len(lines) > _LINES:
            lines = [*lines[: _LINES - 1], lines[_LINES - 1][:45] + "…"]
        for no, words in enumerate(lines, start=1):
            pen.text((left, top + _HEIGHT + 4 + no * line), words, fill=_SOFT, font=font)
    return to_png(sheet)
