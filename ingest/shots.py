"""Where the shots of a film begin: from small pictures in the order of time, by how much each differs.

A cut is a jump that stands out of its own second: the threshold follows the motion around it, so that a
still lecture shows its slides and a chase is not cut at every step. What changes slowly (a fade, a slide that
builds up) is seen as two still stretches that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: Size of the small pictures, and how many of them a second has at most.
WIDTH, HEIGHT, RATE = 64, 36, 10.0
#: A cut differs by this much at least (mean over all pixels, in [0, 1]), and by this many times what the
#: second around it does.
LEAST, _TIMES = 0.025, 3.0
_AROUND, _PEAK = 10, 2
#: Below this two neighbours are still; this many of them in a row are a still stretch.
_STILL, _STILL_RUN = 0.006, 5
#: Two still stretches that differ by this much are two shots, however slowly one became the other.
_OTHER = 0.03
#: A shot shorter than this goes on with the next.
_SHORTEST_S = 1.0
#: Below this two shots show the same.
SAME = 0.012

Small = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shot:
    """A stretch of film in one piece, in seconds; `picture` is the place of its small picture."""

    start_s: float
    end_s: float
    picture: int


def differ(one: Small, other: Small) -> float:
    """Return how much two small pictures differ, mean over all pixels, in [0, 1]."""
    return float(np.abs(one.astype(np.int16) - other).mean()) / 255


def cuts(times: Sequence[float], smalls: Sequence[Small]) -> list[float]:
    """Return the seconds at which shots begin, without the first; `times` are those of `smalls`."""
    if len(smalls) < 2:
        return []
    jumps = np.array([0.0, *(differ(a, b) for a, b in pairwise(smalls))])
    hard = [i for i in range(1, len(jumps)) if _stands_out(jumps, i)]
    slow = _slow(jumps, smalls, hard)
    return [times[i] for i in sorted({*hard, *slow})]


def _stands_out(jumps: NDArray[np.float64], at: int) -> bool:
    jump = jumps[at]
    if jump < LEAST or jump < jumps[max(1, at - _PEAK) : at + _PEAK + 1].max():
        return False
    before, after = jumps[max(1, at - _AROUND) : at], jumps[at + 1 : at + 1 + _AROUND]
    # Either side alone would do: a cut from stillness into a chase stands out of the stillness only.
    around = min((float(part.mean()) for part in (before, after) if len(part)), default=0.0)
    both = float(np.concatenate([before, after]).mean()) if len(before) + len(after) else 0.0
    return bool(jump >= _TIMES * both or (jump >= 2 * _TIMES * around and jump >= 2 * LEAST))


def _slow(jumps: NDArray[np.float64], smalls: Sequence[Small], hard: Sequence[int]) -> list[int]:
    """Return where one still stretch became another without a cut: in the middle between them."""
    runs: list[tuple[int, int]] = []
    start = 0
    for i in range(1, len(jumps) + 1):
        if i == len(jumps) or jumps[i] >= _STILL:
            if i - start >= _STILL_RUN:
                runs.append((start, i - 1))
            start = i
    found = []
    for (_, left), (right, _) in pairwise(runs):
        between = any(left < cut <= right for cut in hard)
        if not between and differ(smalls[left], smalls[right]) >= _OTHER:
            found.append((left + right + 1) // 2)
    return found


def shots(
    times: Sequence[float], smalls: Sequence[Small], *, start_s: float, end_s: float, longest_s: float
) -> list[Shot]:
    """Cut a film into shots: short ones joined, those that show the same merged, long ones split evenly."""
    if not smalls:
        return []
    borders = [start_s]
    for cut in cuts(times, smalls):
        if cut - borders[-1] >= _SHORTEST_S or (len(borders) == 1 and cut - borders[-1] >= 0.5):
            borders.append(cut)
        else:
            borders[-1] = cut if len(borders) > 1 else borders[-1]
    if len(borders) > 1 and end_s - borders[-1] < _SHORTEST_S / 2:
        borders.pop()
    found = [
        Shot(start, end, _picture(times, start, end))
        for start, end in zip(borders, [*borders[1:], end_s], strict=True)
    ]
    return [part for shot in _merged(found, smalls, longest_s) for part in _split(shot, times, longest_s)]


def _picture(times: Sequence[float], start_s: float, end_s: float) -> int:
    """Choose what stands for a shot: past its middle, where slides are built up, and well before its end."""
    wanted = start_s + 0.7 * (end_s - start_s)
    inside = [i for i, time in enumerate(times) if start_s <= time < end_s]
    return (
        min(inside, key=lambda i: abs(times[i] - wanted))
        if inside
        else int(np.argmin(np.abs(np.array(times) - wanted)))
    )


def _merged(found: Sequence[Shot], smalls: Sequence[Small], longest_s: float) -> list[Shot]:
    kept: list[Shot] = []
    for shot in found:
        last = kept[-1] if kept else None
        if (
            last is not None
            and shot.end_s - last.start_s <= longest_s
            and differ(smalls[last.picture], smalls[shot.picture]) < SAME
        ):
            kept[-1] = Shot(last.start_s, shot.end_s, last.picture)
        else:
            kept.append(shot)
    return kept


def _split(shot: Shot, times: Sequence[float], longest_s: float) -> list[Shot]:
    length = shot.end_s - shot.start_s
    if length <= longest_s:
        return [shot]
    parts = int(-(-length // longest_s))
    borders = [shot.start_s + length * n / parts for n in range(parts + 1)]
    return [Shot(a, b, _picture(times, a, b)) for a, b in pairwise(borders)]
