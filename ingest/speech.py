"""What is said in a film, by Whisper (tiny.en) in a reading child: words with their times.

Sound is read in windows of five minutes that end in their quietest moment, so that memory is bounded and no
word is cut. Silence is left out first (Silero, which comes with the package): Whisper invents words for it.
"""

from __future__ import annotations

import wave
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.records import Cue

#: The folder of the pinned weights.
MODEL = "whisper-tiny.en"
FILES = tuple(f"{MODEL}/{name}" for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"))
_RATE = 16_000
#: Seconds of sound that are in memory at once.
WINDOW_S = 300.0
#: Seconds before the end of a window in which its quietest moment is looked for, and how long that is.
_SEARCHED_S, _QUIET_S = 20.0, 0.2
_LONGEST_WORD_S = 0.9


@lru_cache(maxsize=1)
def _model(folder: Path, threads: int) -> Any:
    """Load the model once in a process (0.5 s, 200 MB)."""
    from faster_whisper import WhisperModel

    return WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
    )


def border_s(sound: NDArray[np.float32], *, longest_s: float) -> float:
    """Return how many seconds of `sound` to take: all, or up to the quietest moment near `longest_s`."""
    if len(sound) <= longest_s * _RATE:
        return len(sound) / _RATE
    size = int(_QUIET_S * _RATE)
    first = int((longest_s - _SEARCHED_S) * _RATE) // size
    last = int(longest_s * _RATE) // size
    loud = [float(np.square(sound[at * size : (at + 1) * size]).mean()) for at in range(first, last)]
    return (first + int(np.argmin(loud)) + 0.5) * _QUIET_S


def words(sound: NDArray[np.float32], *, folder: Path, threads: int, from_s: float) -> tuple[Cue, ...]:
    """Write down (samples,) float32 at 16 kHz word by word; times are those of the film."""
    if not len(sound):
        return ()
    segments, _ = _model(folder, threads).transcribe(
        sound,
        language="en",
        beam_size=5,
        word_timestamps=True,
        vad_filter=True,
        # What was misheard once is not to lead the rest astray.
        condition_on_previous_text=False,
    )
    heard: list[Cue] = []
    for word in (word for segment in segments for word in segment.words or ()):
        text, start_s, end_s = str(word.word), from_s + float(word.start), from_s + float(word.end)
        if heard and not text.startswith(" "):
            # "69" and ",898" are one word.
            heard[-1] = Cue(start_s=heard[-1].start_s, end_s=end_s, text=heard[-1].text + text.strip())
        elif text.strip():
            # The first word after a pause is often said to begin with the pause.
            heard.append(Cue(start_s=max(start_s, end_s - _LONGEST_WORD_S), end_s=end_s, text=text.strip()))
    return tuple(heard)


def wav(sound: NDArray[np.float32]) -> bytes:
    """Pack (samples,) float32 at 16 kHz as a WAV of 16 bits; b"" for nothing."""
    if not len(sound):
        return b""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()
