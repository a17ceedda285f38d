"""Ink: where a drawn page shows something, asked for many boxes at once. Pixels in, booleans out.

Boxes are (n, 4) float32 in pixels of the picture; pictures are (height, width) uint8, 255 is white.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Grey levels between neighbours that an eye takes for an edge; smooth scans stay below.
_EDGE = 14
#: Grey levels by which a drawing must change where a word is taken away; below that nobody reads it.
_CHANGE = 20
#: Share of a box that must change: words measured .15 and more, white ones over black ones .03.
_LEAST_CHANGE = 0.06
#: Share of a box that is edge where a word stands: thin type at 72 dpi measured .15 and more.
_LEAST_EDGE = 0.02


def shows(picture: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which boxes have an edge in them."""
    grey = picture.astype(np.int16)
    edge = np.zeros(picture.shape, bool)
    edge[:, 1:] |= np.abs(np.diff(grey, axis=1)) > _EDGE
    edge[1:] |= np.abs(np.diff(grey, axis=0)) > _EDGE
    sums, areas = _sums(edge, boxes)
    enough: NDArray[np.bool_] = sums >= np.maximum(1, _LEAST_EDGE * areas)
    return enough


def changed(
    before: NDArray[np.uint8], after: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Say in which boxes two drawings of a page differ visibly; what reaches in from aside does not count."""
    differs = np.abs(before.astype(np.int16) - after) > _CHANGE
    inner = boxes.copy()
    margin = np.minimum(1.5, 0.15 * (boxes[:, 2:] - boxes[:, :2]))
    inner[:, :2] += margin
    inner[:, 2:] -= margin
    sums, areas = _sums(differs, inner)
    visible: NDArray[np.bool_] = sums > _LEAST_CHANGE * areas
    return visible


def overlaps(boxes: NDArray[np.float32], width: int, height: int) -> NDArray[np.bool_]:
    """Say which boxes (in points, drawn in a little) share a good part of their place with another."""
    shrunk = boxes.copy()
    margin = 0.2 * (boxes[:, 3] - boxes[:, 1])
    shrunk[:, 1] += margin
    shrunk[:, 3] -= margin
    corners = _corners(shrunk, (height, width))
    count = np.zeros((height + 2, width + 2), np.int32)
    x0, y0, x1, y1 = corners
    np.add.at(count, (y0, x0), 1)
    np.add.at(count, (y1, x1), 1)
    np.add.at(count, (y0, x1), -1)
    np.add.at(count, (y1, x0), -1)
    covered = count.cumsum(axis=0).cumsum(axis=1)[:height, :width]
    sums, areas = _sums(covered > 1, shrunk)
    return sums > 0.3 * areas


def _corners(boxes: NDArray[np.float32], shape: tuple[int, int]) -> tuple[NDArray[np.intp], ...]:
    """Round boxes outwards to whole pixels, at least one wide, inside the picture."""
    height, width = shape
    x0 = np.clip(np.floor(boxes[:, 0]), 0, width - 1).astype(np.intp)
    y0 = np.clip(np.floor(boxes[:, 1]), 0, height - 1).astype(np.intp)
    x1 = np.clip(np.ceil(boxes[:, 2]), x0 + 1, width).astype(np.intp)
    y1 = np.clip(np.ceil(boxes[:, 3]), y0 + 1, height).astype(np.intp)
    return x0, y0, x1, y1


def _sums(mask: NDArray[np.bool_], boxes: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the true pixels in each box, and all of them."""
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    total[1:, 1:] = mask.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    x0, y0, x1, y1 = _corners(boxes, (mask.shape[0], mask.shape[1]))
    inside = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
    return inside, (x1 - x0) * (y1 - y0)
