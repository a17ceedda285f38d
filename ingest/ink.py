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
#: Grey level of paper.
_LIGHT = 170
#: Share of a box that must change: words measured .10 and more, one sign of a word in pieces .008.
_LEAST_CHANGE = 0.004
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


def is_light(picture: NDArray[np.uint8], box: NDArray[np.float32]) -> bool:
    """Say whether one box lies on light ground."""
    ((x0, y0, x1, y1),) = _corners(box[None], (picture.shape[0], picture.shape[1]))
    return bool(np.median(picture[y0:y1, x0:x1]) >= _LIGHT)


def overlaps(boxes: NDArray[np.float32], width: int, height: int) -> NDArray[np.bool_]:
    """Say which boxes (in points, drawn in a little) share a good part of their place with another."""
    shrunk = boxes.copy()
    margin = 0.2 * (boxes[:, 3] - boxes[:, 1])
    shrunk[:, 1] += margin
    shrunk[:, 3] -= margin
    count = np.zeros((height, width), np.uint8)
    for x0, y0, x1, y1 in _corners(shrunk, (height, width)):
        count[y0:y1, x0:x1] += 1
    sums, areas = _sums(count > 1, shrunk)
    shared: NDArray[np.bool_] = sums > 0.3 * areas
    return shared


def _corners(boxes: NDArray[np.float32], shape: tuple[int, int]) -> list[list[int]]:
    """Round boxes outwards to whole pixels, at least one wide, inside the picture."""
    height, width = shape
    x0 = np.clip(np.floor(boxes[:, 0]), 0, width - 1)
    y0 = np.clip(np.floor(boxes[:, 1]), 0, height - 1)
    x1 = np.clip(np.ceil(boxes[:, 2]), x0 + 1, width)
    y1 = np.clip(np.ceil(boxes[:, 3]), y0 + 1, height)
    corners: list[list[int]] = np.stack([x0, y0, x1, y1], axis=1).astype(int).tolist()
    return corners


def _sums(mask: NDArray[np.bool_], boxes: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count the true pixels in each box, and all of them; slices beat integral images fivefold."""
    corners = _corners(boxes, (mask.shape[0], mask.shape[1]))
    inside = [np.count_nonzero(mask[y0:y1, x0:x1]) for x0, y0, x1, y1 in corners]
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in corners]
    return np.array(inside, np.intp), np.array(areas, np.intp)
