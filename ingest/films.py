"""What reading children tell of a film: its facts, its shots, its words."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.records import Cue


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a film says of itself."""

    #: Seconds; None where it does not say.
    duration_s: float | None
    #: As shown, after rotation; 0 x 0 for sound alone.
    width: int
    height: int
    has_sound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some shots in a row, their key frames written, and where to go on."""

    shots: tuple[tuple[float, float], ...]
    #: None: the film is over.
    next_s: float | None
    #: Why it ends before it should; None where it does not.
    broken: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Words of a window of sound, and where to go on; None: there is no more."""

    cues: tuple[Cue, ...]
    next_s: float | None
