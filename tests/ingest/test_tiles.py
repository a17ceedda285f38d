"""What page images cost Nemotron Nano 2 VL, and which raster pays: the table of its own processor."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ingest.tiles import MAX_TILES, choose_raster, grid, image_tokens, png_tokens

#: Pixels, and tokens at 12, 6, 4 and 1 tiles at most: measured with vLLM 0.32 and read in its processor.
COSTS = {
    (1240, 1754): (1794, 1794, 770, 258),  # A4 at 150 dots an inch
    (827, 1169): (1794, 1794, 770, 258),  # at 100
    (1754, 1240): (3330, 1794, 1282, 258),
    (1275, 1650): (3330, 1794, 1282, 258),  # US Letter
    (1650, 1275): (3330, 1794, 1282, 258),
    (1920, 1080): (2306, 770, 770, 258),
    (1280, 720): (770, 770, 770, 258),
    (1024, 2048): (2306, 770, 770, 258),
    (1024, 1024): (1282, 1282, 1282, 258),
    (512, 512): (258, 258, 258, 258),
}
A4, LETTER, SLIDE = (595.0, 842.0), (612.0, 792.0), (960.0, 540.0)


@pytest.mark.parametrize("size", COSTS)
def test_an_image_costs_what_the_processor_takes_for_it(size: tuple[int, int]) -> None:
    assert tuple(image_tokens(*size, max_tiles=most) for most in (12, 6, 4, 1)) == COSTS[size]


def test_eight_a4_pages_cost_what_was_measured() -> None:
    # 14,383 prompt tokens were counted by the server, text and turns included.
    assert 0 < 14_383 - 8 * image_tokens(1240, 1754) < 64


#: Page in points, tokens of the raster chosen, and of the page drawn as it is.
CHOSEN = [
    (A4, 1794, 1794),
    ((A4[1], A4[0]), 1794, 3330),
    (LETTER, 1794, 3330),
    ((LETTER[1], LETTER[0]), 1794, 3330),
    ((612.0, 1008.0), 1794, 1794),  # US Legal
    (SLIDE, 1794, 2306),
    ((842.0, 1191.0), 1794, 1794),  # A3
]


@pytest.mark.parametrize(("page", "tokens", "as_it_is"), CHOSEN)
def test_a_page_is_padded_where_its_own_ratio_costs_more(
    page: tuple[float, float], tokens: int, as_it_is: int
) -> None:
    raster = choose_raster(*page)
    assert image_tokens(raster.width, raster.height) == raster.tokens == tokens
    assert image_tokens(round(page[0] * 2), round(page[1] * 2)) == as_it_is


def test_letter_keeps_the_detail_that_a4_has() -> None:
    dots = [choose_raster(*page).page_width / page[0] * 72 for page in (A4, LETTER)]
    assert dots == pytest.approx([124, 120], abs=1)


def test_small_print_is_shown_on_the_full_grid() -> None:
    raster = choose_raster(*LETTER, print_pt=5.5)
    assert (raster.grid, raster.tokens) == ((3, 4), 3330)
    assert raster.page_width / LETTER[0] * 72 == pytest.approx(181, abs=1)


@settings(deadline=None)
@given(st.floats(20, 5000), st.floats(20, 5000), st.sampled_from([None, 5.0, 12.0]))
def test_every_page_gets_the_grid_that_was_chosen_for_it(
    width: float, height: float, print_pt: float | None
) -> None:
    raster = choose_raster(width, height, print_pt=print_pt)
    assert grid(raster.width, raster.height) == raster.grid
    assert raster.grid[0] * raster.grid[1] <= MAX_TILES
    assert 1 <= raster.page_width <= raster.width <= raster.grid[0] * 512
    assert 1 <= raster.page_height <= raster.height <= raster.grid[1] * 512


def test_a_pngs_cost_is_read_from_its_head() -> None:
    buffer = BytesIO()
    Image.new("L", (1275, 1650)).save(buffer, "PNG")
    assert png_tokens(buffer.getvalue()) == 3330
