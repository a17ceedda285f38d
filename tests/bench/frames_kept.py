"""What a minute of film costs a vision model, pruned by the server and pruned here, and the frames kept.

    python tests/bench/frames_kept.py [--film FILE …] [--picture docs/video/frames-kept.png]

The clips are drawn: a slide that stands, a head that talks and is still by turns, a street that passes by.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ingest import video
from ingest.clips import FPS, FRAME_TOKENS, MOST_FRAMES, frames_of, video_tokens
from ingest.contact import Frame, contact_sheet
from ingest.settings import IngestSettings
from ingest.sources import open_source
from ingest.watching import MOST_PICTURES
from tests.ingest.films import moving, write_film

KINDS = ("still", "talking", "action")
SECONDS = 20
#: Marks around a picture.
_MARKS = 2
_SHOWN = 8
_RATES = (0.0, 0.5, 0.75, 0.9)

Kept = list[tuple[float, bytes]]


def kept_of(path: Path, media_type: str, seconds: float) -> Kept:
    """Return the frames of a film's beginning in which something changed, however many."""
    return video.frames(path, media_type, start_s=0, end_s=seconds, most=frames_of(seconds))


def row(name: str, seconds: float, kept: Sequence[tuple[float, bytes]]) -> str:
    """Tell of a clip: its frames, those kept, and tokens a minute; a scene of a minute sends 12 at most."""
    frames = frames_of(seconds)
    a_minute = len(kept) * 60 / seconds
    cost = round(min(a_minute, MOST_PICTURES) * (FRAME_TOKENS + _MARKS))
    whole = round(a_minute * (FRAME_TOKENS + _MARKS))
    saved = 1 - len(kept) / frames
    return f"| {name} | {frames} | {len(kept)} | {saved:.0%} | {whole:,} | {cost:,} |"


def pruned_by_server() -> list[str]:
    """Tell what the formula says of a minute."""
    rows = ["| pruning rate | visual tokens a minute |", "|---:|---:|"]
    return [*rows, *(f"| {q} | {video_tokens(frames_of(60), pruning_rate=q):,} |" for q in _RATES)]


def cells(name: str, kept: Kept) -> list[Frame]:
    """Show the first frames of a clip; those left out are grey."""
    shown = []
    for no in range(_SHOWN):
        at_s = no / FPS
        picture = next((jpeg for time_s, jpeg in kept if abs(time_s - at_s) < 0.05), None)
        text = "kept" if picture else "left out: no patch changed"
        shown.append(Frame(picture=picture, title=f"{name}   {at_s:.1f} s", text=text))
    return shown


def main() -> None:
    """Measure, and draw where asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--film", type=Path, nargs="*", default=[])
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    print("\n".join(pruned_by_server()))
    print("\n| clip | frames | kept | saved | tokens a minute, all kept | as sent, 12 a scene |")
    print("|---|---:|---:|---:|---:|---:|")
    sheet: list[Frame] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            path = Path(folder) / f"{kind}.mp4"
            write_film(path, moving(kind, seconds=SECONDS))
            kept = kept_of(path, "video/mp4", SECONDS)
            print(row(f"{kind} (drawn)", SECONDS, kept))
            sheet += cells(kind, kept)
    for path in options.film:
        source = open_source(path, name=path.name, settings=IngestSettings())
        seconds = min(video.facts(path, source.media_type).duration_s or 0.0, MOST_FRAMES / FPS)
        print(row(path.name, seconds, kept_of(path, source.media_type, seconds)))
    if options.picture is not None:
        options.picture.write_bytes(contact_sheet(sheet))


if __name__ == "__main__":
    main()
