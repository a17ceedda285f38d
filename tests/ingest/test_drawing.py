"""Drawing on page images: marks let text through, veils nothing, regions are cut with a margin."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ingest.drawing import cut_out, draw, to_png
from ingest.pages import render_pdf
from ingest.records import Box, Framing
from tests.ingest.tiny_pdf import Sheet, Text, tiny_pdf


def opened(image: bytes) -> Image.Image:
    return Image.open(BytesIO(image)).convert("RGB")


def test_marks_let_the_text_through_and_veils_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(tiny_pdf([Sheet(texts=[Text(x=100, y=400, text="HHHH", size=40)])]))
    plain = render_pdf(path, 1, dpi=72)
    box = Box(x0=0.1, y0=0.4, x1=0.6, y1=0.6)
    marked = opened(draw(plain, marks=[box], veils=[], framing=Framing()))
    veiled = opened(draw(plain, marks=[box], veils=[box], framing=Framing()))
    colours = marked.crop((120, 340, 340, 490)).getcolors(100_000)
    assert colours is not None
    assert (255, 236, 110) in {colour for _, colour in colours}
    assert (0, 0, 0) in {colour for _, colour in colours}
    hidden = veiled.crop((120, 360, 340, 480)).getcolors(100_000)
    assert hidden is not None
    assert len(hidden) == 1
    assert draw(plain, marks=[], veils=[], framing=Framing()) == plain


@pytest.mark.parametrize("edge", [0.0, 0.999, 1.0])
def test_a_region_has_at_least_one_pixel_and_lies_on_the_picture(edge: float) -> None:
    png = to_png(Image.new("RGB", (10, 10)))
    assert opened(cut_out(png, Box(x0=edge, y0=edge, x1=edge, y1=edge))).size == (1, 1)


def test_a_veil_at_the_edge_of_a_cut_region_stays(tmp_path: Path) -> None:
    png = to_png(Image.new("RGB", (200, 200), "white"))
    mark, veil = Box(x0=0.2, y0=0.2, x1=0.5, y1=0.5), Box(x0=0.5, y0=0.2, x1=0.9, y1=0.5)
    cut = opened(draw(png, marks=[mark], veils=[veil], framing=Framing(cut="marks", form="webp")))
    assert cut.size == (72, 72)
    red, green, blue = cut.getpixel((70, 36))  # type: ignore[misc]
    assert max(abs(red - 40), abs(green - 44), abs(blue - 52)) < 12
