"""Films made on the fly: coloured scenes with their own pattern, and tones, so that every time is known."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]


def slide(text: str, *, ground: str = "white", size: tuple[int, int] = (640, 360)) -> Picture:
    """Draw a slide with large words on it."""
    image = Image.new("RGB", size, ground)
    font = ImageFont.load_default(size[1] // 10)
    ImageDraw.Draw(image).multiline_text((size[0] // 12, size[1] // 6), text, fill="black", font=font)
    return np.asarray(image)


def pattern(seed: int, *, size: tuple[int, int] = (320, 180)) -> Picture:
    """Draw large blocks of chance colours: no two seeds look alike."""
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST))


def moving(kind: str, *, seconds: int) -> list[tuple[Picture, float]]:
    """Draw what stands still, a head that talks and is still by turns, or a street that passes by."""
    scenes = []
    for step in range(seconds * 10):
        if kind == "action":
            picture = np.roll(pattern(3), step * 8, axis=1)
        elif kind == "talking":
            picture = _head(mouth=step // 5 % 4 if step // 20 % 2 else 0)
        else:
            picture = slide("Minutes of the\nharbour board", size=(320, 180))
        scenes.append((np.asarray(Image.fromarray(picture).resize((512, 288))), 0.1))
    return scenes


def _head(*, mouth: int) -> Picture:
    image = Image.new("RGB", (320, 180), "slategray")
    pen = ImageDraw.Draw(image)
    pen.rectangle((90, 140, 230, 180), fill="navy")
    pen.ellipse((110, 15, 210, 150), fill="bisque")
    for left in (135, 170):
        pen.ellipse((left, 55, left + 15, 67), fill="black")
    pen.ellipse((130, 105 - 5 * mouth, 190, 115 + 5 * mouth), fill="darkred")
    return np.asarray(image)


def write_film(
    path: Path,
    scenes: Sequence[tuple[Picture, float]],
    *,
    rate: int = 10,
    codec: str = "libx264",
    form: str | None = None,
    rotate: int = 0,
    tone: bool = False,
    options: dict[str, str] | None = None,
) -> list[float]:
    """Write scenes of (picture, seconds) and return the seconds at which they begin."""
    starts, at = [], 0
    with av.open(str(path), "w", format=form, options=options or {}) as film:
        height, width = scenes[0][0].shape[:2]
        stream = film.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "28"}
        sound = film.add_stream("aac", rate=16_000, layout="mono") if tone else None
        for picture, seconds in scenes:
            starts.append(at / rate)
            for _ in range(round(seconds * rate)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = at, Fraction(1, rate)
                at += 1
                film.mux(stream.encode(frame))
        film.mux(stream.encode())
        if sound is not None:
            wave = np.sin(np.arange(int(at / rate * 16_000)) * 0.1).astype(np.float32)[None] * 0.1
            for first in range(0, wave.shape[1], 1024):
                part = av.AudioFrame.from_ndarray(wave[:, first : first + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = 16_000, first, Fraction(1, 16_000)
                film.mux(sound.encode(part))
            film.mux(sound.encode())
    return starts
