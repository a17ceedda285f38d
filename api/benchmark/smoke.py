"""Five pictures that anybody can read, drawn when they are wanted: they prove the wiring, not the model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from api.benchmark.suite import TASKS

_SIZE = (640, 480)
_INK, _PAPER = "black", "white"


def write(folder: Path) -> Path:
    """Write pictures, items and task into `folder`; return the folder that lmms-eval is to include."""
    task = folder / "task"
    task.mkdir(parents=True, exist_ok=True)
    rows = []
    for n, (draw, question, answer) in enumerate(_ITEMS, start=1):
        image = Image.new("RGB", _SIZE, _PAPER)
        draw(ImageDraw.Draw(image))
        path = task / f"{n}.png"
        image.save(path)
        rows.append({"picture": str(path), "question": question, "answer": answer})
    items = task / "items.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    shutil.copy(TASKS / "drawn.py", task)
    text = (TASKS / "smoke.yaml").read_text("utf-8")
    (task / "smoke.yaml").write_text(text.replace("ITEMS", json.dumps(str(items))), "utf-8")
    return task


def _write(draw: ImageDraw.ImageDraw, x: float, y: float, text: str, *, size: int = 32) -> None:
    draw.text((x, y), text, fill=_INK, font=ImageFont.load_default(size))


def _invoice(draw: ImageDraw.ImageDraw) -> None:
    _write(draw, 60, 60, "INVOICE", size=48)
    _write(draw, 60, 150, "Number: 4711")
    _write(draw, 60, 210, "Total: 86.50 euros")


def _bars(draw: ImageDraw.ImageDraw) -> None:
    for n, (name, value) in enumerate((("North", 31), ("South", 42), ("West", 18))):
        left = 100 + 170 * n
        draw.rectangle((left, 380 - 7 * value, left + 90, 380), fill="steelblue")
        _write(draw, left + 20, 335 - 7 * value, str(value))
        _write(draw, left, 395, name)


def _table(draw: ImageDraw.ImageDraw) -> None:
    rows = (("Item", "Price"), ("Bolt", "0.20"), ("Valve", "7.50"), ("Hose", "3.10"))
    for n, (item, price) in enumerate(rows):
        draw.rectangle((80, 60 + 80 * n, 560, 140 + 80 * n), outline=_INK)
        _write(draw, 110, 80 + 80 * n, item)
        _write(draw, 400, 80 + 80 * n, price)


def _arrow(draw: ImageDraw.ImageDraw) -> None:
    for left, name in ((60, "Pump"), (400, "Tank")):
        draw.rectangle((left, 180, left + 180, 300), outline=_INK, width=4)
        _write(draw, left + 45, 220, name)
    draw.line((240, 240, 385, 240), fill=_INK, width=5)
    draw.polygon(((400, 240), (375, 225), (375, 255)), fill=_INK)


def _boxes(draw: ImageDraw.ImageDraw) -> None:
    for n, name in enumerate(("Standard", "Express", "Freight")):
        top = 100 + 110 * n
        draw.rectangle((90, top, 140, top + 50), outline=_INK, width=4)
        _write(draw, 180, top + 8, name)
    draw.line((95, 215, 135, 255), fill=_INK, width=6)
    draw.line((135, 215, 95, 255), fill=_INK, width=6)


_ITEMS: tuple[tuple[Callable[[ImageDraw.ImageDraw], None], str, str], ...] = (
    (_invoice, "What is the number of the invoice?", "4711"),
    (_bars, "Which value has South?", "42"),
    (_table, "What does a valve cost?", "7.50"),
    (_arrow, "Where does the pump pump to?", "Tank"),
    (_boxes, "Which box is crossed?", "Express"),
)
