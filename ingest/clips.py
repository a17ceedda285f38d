"""What showing a stretch of film to a vision model costs in tokens, and which frames need not be shown.

Nemotron Nano 2 VL takes one tile a frame. With Efficient Video Sampling the server keeps of all patches only
the share that changed most from one frame to the next (`--video-pruning-rate`, arXiv 2510.14624); where a
server has none of it, frames in which no patch changed are left out here and the rest go with their times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Tokens of a frame, frames a second and most frames of a clip (what the model was trained on).
FRAME_TOKENS, FPS, MOST_FRAMES = 256, 2.0, 128
#: Tokens of the words around a frame ("Frame 12 sampled at 5.50 seconds: <img>…</img>"), at most.
_FRAME_WORDS = 24
#: Patches across and down in which two frames are compared, how much a patch must differ to have changed
#: (mean over its pixels, in [0, 1]), and how many patches make a frame another one.
_ACROSS, _DOWN, _CHANGED, _LEAST_PATCHES = 16, 9, 0.05, 2


def frames_of(seconds: float) -> int:
    """Count the frames that a server takes of a clip: two a second, 1 to 128."""
    return max(1, min(MOST_FRAMES, int(seconds * FPS)))


def video_tokens(frames: int, *, pruning_rate: float) -> int:
    """Count the visual tokens of a clip: max(256, T·256·(1−q)), whole (vLLM 0.32, `evs.py`)."""
    return max(FRAME_TOKENS, int(frames * FRAME_TOKENS * (1 - pruning_rate)))


def clip_tokens(seconds: float, *, pruning_rate: float) -> int:
    """Bound what a clip takes of a prompt, the words around its frames included."""
    frames = frames_of(seconds)
    return video_tokens(frames, pruning_rate=pruning_rate) + frames * _FRAME_WORDS


def changing(frames: Sequence[NDArray[np.uint8]]) -> list[int]:
    """Return the places of the frames that show something new: the first, and each that differs from the
    last one kept in at least two patches.

    Frames are (height, width, 3), all alike, height divisible by 9 and width by 16.
    """
    kept = [0] if frames else []
    for place in range(1, len(frames)):
        if _patches_changed(frames[kept[-1]], frames[place]) >= _LEAST_PATCHES:
            kept.append(place)
    return kept


def spread(kept: Sequence[int], *, most: int) -> list[int]:
    """Return at most `most` of the places, evenly, the first and the last among them."""
    if len(kept) <= most:
        return list(kept)
    return [kept[round(n * (len(kept) - 1) / (most - 1))] for n in range(most)] if most > 1 else [kept[0]]


def _patches_changed(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    apart = np.abs(one.astype(np.int16) - other).mean(axis=2) / 255
    height, width = apart.shape
    patches = apart.reshape(_DOWN, height // _DOWN, _ACROSS, width // _ACROSS).mean(axis=(1, 3))
    return int((patches > _CHANGED).sum())
