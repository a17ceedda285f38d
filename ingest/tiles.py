"""How Nemotron Nano 2 VL cuts a page image into tiles, and which raster of a page pays.

An image becomes a grid of 512-pixel tiles, the one whose ratio is nearest, each tile 256 tokens; more than
one tile brings a thumbnail of the whole, and each image two marks. The ratio matters, not the pixels: a US
Letter page costs 3,330 tokens as it is and 1,794 with a strip of white beside it, at the same dots an inch
that A4 gets. The rule is that of the model's own processor (vLLM 0.32, `internvl.py`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

SIDE = 512
TOKENS_PER_TILE = 256
#: `<img>` and `</img>`.
_MARKS = 2
MAX_TILES = 12

#: A grid this large shows body text of 8 points 14 pixels high on A4.
_USUAL_TILES = 6
#: Pages whose usual writing is smaller than this, points, are shown on the full grid: 124 dots an inch leave
#: such letters less than 11 pixels.
_SMALL_PRINT = 6.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """The image to make of a page: the page itself in the top left corner, white beside and below it."""

    width: int
    height: int
    #: Pixels of the page in it.
    page_width: int
    page_height: int
    #: Tiles across and down.
    grid: tuple[int, int]

    @property
    def tokens(self) -> int:
        return _cost(self.grid)


def image_tokens(width: int, height: int, *, max_tiles: int = MAX_TILES) -> int:
    """Count the prompt tokens of an image of that many pixels."""
    return _cost(grid(width, height, max_tiles=max_tiles))


def grid(width: int, height: int, *, max_tiles: int = MAX_TILES) -> tuple[int, int]:
    """Return tiles across and down: the nearest ratio; of equals the larger that the pixels half fill."""
    best, least = (1, 1), float("inf")
    for across, down in _grids(max_tiles):
        distance = abs(width / height - across / down)
        if distance < least:
            best, least = (across, down), distance
        elif distance == least and width * height > 0.5 * SIDE * SIDE * across * down:
            best = (across, down)
    return best


@lru_cache(maxsize=256)
def choose_raster(width_pt: float, height_pt: float, *, print_pt: float | None = None) -> Raster:
    """Choose the image of a page of that size whose usual writing is `print_pt` high (None: not known).

    Six tiles where they do (1,794 tokens), padded to them where the page's own ratio would cost double; the
    full grid for small print. The page fills its image on one side at least, so that no pixel is sent for
    the server to throw away.
    """
    budget = MAX_TILES if print_pt is not None and print_pt < _SMALL_PRINT else _USUAL_TILES
    rasters = [_fitted(width_pt, height_pt, shape) for shape in _grids(budget)]
    kept = [one for one in rasters if grid(one.width, one.height) == one.grid]
    return max(kept, key=lambda one: (one.page_width * one.page_height, -one.tokens, one.width))


def png_tokens(png: bytes) -> int:
    """Count the prompt tokens of a PNG by the size that its header names."""
    return image_tokens(*struct.unpack(">II", png[16:24]))


def _cost(shape: tuple[int, int]) -> int:
    tiles = shape[0] * shape[1]
    return TOKENS_PER_TILE * (tiles + (tiles > 1)) + _MARKS


@lru_cache
def _grids(most: int) -> tuple[tuple[int, int], ...]:
    """Return every grid of at most so many tiles, the smaller first."""
    shapes = [(i, j) for i in range(1, most + 1) for j in range(1, most // i + 1)]
    # The processor sorts a set, so that the order among equals is not defined; no two of them share a ratio
    # but those that differ in size.
    return tuple(sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)))


def _fitted(width_pt: float, height_pt: float, shape: tuple[int, int]) -> Raster:
    """Fit a page into the pixels of a grid; white is added no further than the grid is still chosen."""
    across, down = shape[0] * SIDE, shape[1] * SIDE
    scale = min(across / width_pt, down / height_pt)
    page_width = max(1, min(across, round(width_pt * scale)))
    page_height = max(1, min(down, round(height_pt * scale)))
    width, height = page_width, page_height
    while grid(width, height) != shape and (width < across or height < down):
        # Sixteenths of a tile: fine enough, and a page needs at most a few dozen steps.
        width, height = min(across, width + 32 * (width < across)), min(down, height + 32 * (height < down))
    return Raster(width=width, height=height, page_width=page_width, page_height=page_height, grid=shape)
