"""Pages with what was read drawn on them: frames where the boxes are, tags that hide little."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from ingest.drawing import to_png
from ingest.outlines import COLOURS, outline
from ingest.records import Box, Element, ElementKind, GridCell, Page, Span

BLANK = to_png(Image.new("RGB", (700, 1000), "white"))


def an_element(kind: ElementKind, box: Box | None, *, cells: tuple[GridCell, ...] = ()) -> Element:
    spans = () if box is None else (Span(start=0, end=1, box=box),)
    return Element(kind=kind, text="x", spans=spans, cells=cells)


def drawn(*elements: Element) -> Image.Image:
    page = Page(no=1, width_pt=595, height_pt=842, read_by="text-layer", reason="", elements=elements)
    return Image.open(BytesIO(outline(BLANK, page))).convert("RGB")


@pytest.mark.parametrize("kind", COLOURS)
def test_an_element_is_framed_in_the_colour_of_its_kind(kind: ElementKind) -> None:
    picture = drawn(an_element(kind, Box(x0=0.5, y0=0.5, x1=0.75, y1=0.75)))
    for spot in ((450, 500), (350, 600), (525, 600), (450, 750)):
        assert picture.getpixel(spot) == COLOURS[kind]
    assert picture.height > 1000, "the legend stands below"


def test_cells_of_a_table_are_outlined() -> None:
    cell = GridCell(row=0, col=0, text="x", box=Box(x0=0.3, y0=0.3, x1=0.4, y1=0.4))
    picture = drawn(an_element("table", Box(x0=0.2, y0=0.2, x1=0.8, y1=0.8), cells=(cell,)))
    assert picture.getpixel((245, 300)) != (255, 255, 255)
    assert picture.getpixel((245, 350)) == (255, 255, 255)


@pytest.mark.parametrize(
    "box",
    [
        Box(x0=0, y0=0, x1=1, y1=1),
        Box(x0=1, y0=1, x1=1, y1=1),
        Box(x0=0.5, y0=0.5, x1=0.5, y1=0.5),
        Box(x0=-0.2, y0=-0.2, x1=1.5, y1=1.2),
    ],
)
def test_a_box_at_or_over_the_edge_is_drawn_on_the_page(box: Box) -> None:
    assert drawn(an_element("paragraph", box)).width == 700


def test_an_element_without_a_box_is_counted_and_not_drawn() -> None:
    empty, counted = drawn(), drawn(an_element("paragraph", None))
    whole = (0, 0, 700, 999)
    assert empty.crop(whole).tobytes() == counted.crop(whole).tobytes()
    assert empty.tobytes() != counted.tobytes()
