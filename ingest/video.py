"""Films by PyAV: shots with their key frames, subtitles and sound, stretch by stretch in a reading child.

A stretch is a minute of film and what follows up to the next cut, so memory is bounded and a kill costs one
stretch. Every frame of it is decoded, ten a second are compared. The container's format is named on opening,
from the file's own first bytes: FFmpeg would otherwise follow playlists to other files and addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray
from PIL import Image

from ingest import shots
from ingest.clips import FPS, MOST_FRAMES, changing, spread
from ingest.errors import Damaged, Empty
from ingest.films import Facts, Stretch
from ingest.records import Cue

#: FFmpeg's name of each container; none of these opens other files.
_FORMATS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/x-msvideo": "avi",
    "video/x-flv": "flv",
    "video/mp2t": "mpegts",
    "video/mpeg": "mpeg",
    "video/ogg": "ogg",
    "video/x-ms-wmv": "asf",
}
#: Longest side of a key frame as kept, pixels, and how many frames a second may become one.
_SIDE, _KEPT_RATE = 1280, 2.0
_STRETCH_S = 60.0
#: Side of a tile of the vision model, and the size in which frames are compared, pixels.
_TILE, _COMPARED = 512, (128, 72)
SAMPLE_RATE = 16_000
#: By this much a film may end before it says, seconds and share.
_SHORT_S, _SHORT = 2.0, 0.01


@dataclass(slots=True)
class _Look:
    """What was decoded of a stretch."""

    times: list[float] = field(default_factory=list)
    smalls: list[shots.Small] = field(default_factory=list)
    #: Frames that may become key frames, as JPEG.
    kept: list[tuple[float, bytes]] = field(default_factory=list)
    end_s: float = 0.0
    over: bool = False
    broken: str | None = None


@contextmanager
def _opened(path: Path, media_type: str) -> Iterator[Any]:
    try:
        film = av.open(
            str(path),
            format=_FORMATS[media_type],
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise Damaged(
            "The film does not open: its index is cut off or broken. Export it again at its source."
        ) from error
    with film:
        yield film


def facts(path: Path, media_type: str) -> Facts:
    """Say how long a film is and what it holds; raises Damaged, Empty."""
    with _opened(path, media_type) as film:
        picture, sound = film.streams.best("video"), film.streams.best("audio")
        if picture is None and sound is None:
            raise Empty("The film holds neither picture nor sound.")
        width = height = 0
        if picture is not None:
            frame = next(_frames(film, picture), None)
            if frame is None and sound is None:
                raise Empty("The film holds no frame; export it again at its source.")
            if frame is not None:
                width, height = _upright(frame, _ratio(picture)).size
        return Facts(
            duration_s=_duration_s(film, picture or sound),
            width=width,
            height=height,
            has_sound=sound is not None,
        )


def _duration_s(film: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return film.duration / av.time_base if film.duration else None


def _start_s(film: Any) -> float:
    """Return what the clock of the film shows at its beginning: players count from there."""
    return film.start_time / av.time_base if film.start_time else 0.0


def _frames(film: Any, stream: Any) -> Iterator[Any]:
    """Decode until the film ends; a frame that is damaged is left out, a film that breaks off raises."""
    for packet in film.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def read_stretch(
    path: Path,
    media_type: str,
    *,
    from_s: float,
    first_no: int,
    pages_dir: Path,
    longest_s: float,
    threads: int,
) -> Stretch:
    """Find the shots of the next minute and more.

    The key frame of each is written as `<no>.jpg`, and as `<no>.small` for comparing.
    """
    with _opened(path, media_type) as film:
        stream = film.streams.best("video")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        look = _look(film, stream, from_s, longest_s)
        said_s = _duration_s(film, stream)
    found = shots.shots(look.times, look.smalls, start_s=from_s, end_s=look.end_s, longest_s=longest_s)
    if not look.over and len(found) > 1 and found[-1].end_s - found[-1].start_s < longest_s / 2:
        # It may go on in the next stretch.
        found.pop()
    for no, shot in enumerate(found, start=first_no):
        (pages_dir / f"{no}.small").write_bytes(look.smalls[shot.picture].tobytes())
        (pages_dir / f"{no}.jpg").write_bytes(_nearest(look.kept, look.times[shot.picture], shot))
    broken = look.broken
    if look.over and broken is None and said_s is not None:
        missing = said_s - look.end_s
        if missing > max(_SHORT_S, _SHORT * said_s):
            broken = "The film breaks off"
    spans = tuple((shot.start_s, shot.end_s) for shot in found)
    return Stretch(shots=spans, next_s=None if look.over or not found else found[-1].end_s, broken=broken)


def _nearest(kept: Sequence[tuple[float, bytes]], wanted_s: float, shot: shots.Shot) -> bytes:
    inside = [one for one in kept if shot.start_s <= one[0] < shot.end_s]
    return min(inside or kept, key=lambda one: abs(one[0] - wanted_s))[1]


def _look(film: Any, stream: Any, from_s: float, longest_s: float) -> _Look:
    look, begins_s = _Look(end_s=from_s), _start_s(film)
    _seek(film, stream, from_s, begins_s)
    step_s, ratio = 1 / float(stream.average_rate or 25), _ratio(stream)
    ahead_s = _STRETCH_S + longest_s
    at_s = -1.0
    try:
        for frame in _frames(film, stream):
            at_s = frame.time - begins_s if frame.pts is not None else max(at_s + step_s, 0.0)
            if at_s < from_s - step_s / 2:
                continue
            if at_s - from_s >= ahead_s:
                return look
            _take(look, frame, max(at_s, 0.0), ratio)
            look.end_s = max(look.end_s, at_s + step_s)
    except av.error.FFmpegError as error:
        look.broken = f"The film cannot be read further ({error.strerror})"
    look.over = True
    return look


def _seek(film: Any, stream: Any, to_s: float, begins_s: float) -> None:
    if to_s <= 0:
        return
    try:
        film.seek(int((to_s + begins_s) / stream.time_base), stream=stream, backward=True)
    except av.error.FFmpegError:
        # No index and no way back: it is read from the beginning, which the caller skips.
        film.seek(0)


def _take(look: _Look, frame: Any, at_s: float, ratio: float) -> None:
    # A little less than the step, so that a rate of exactly that is taken whole.
    if look.times and at_s - look.times[-1] < 0.95 / shots.RATE:
        return
    small = frame.reformat(width=shots.WIDTH, height=shots.HEIGHT, format="rgb24", interpolation="AREA")
    look.times.append(at_s)
    look.smalls.append(small.to_ndarray())
    if not look.kept or at_s - look.kept[-1][0] >= 0.95 / _KEPT_RATE or _jumped(look.smalls):
        look.kept.append((at_s, _jpeg(frame, ratio)))


def _jumped(smalls: Sequence[shots.Small]) -> bool:
    return len(smalls) > 1 and shots.differ(smalls[-2], smalls[-1]) > shots.LEAST


def _ratio(stream: Any) -> float:
    """Return how much wider than high a pixel is shown."""
    return float(stream.sample_aspect_ratio or 1) or 1.0


def _jpeg(frame: Any, ratio: float) -> bytes:
    out = BytesIO()
    _upright(frame, ratio).save(out, "JPEG", quality=88)
    return out.getvalue()


def _upright(frame: Any, ratio: float) -> Image.Image:
    """Return a frame as it is shown: turned, with square pixels, at most `_SIDE` on its longer side."""
    width, height = round(frame.width * ratio), frame.height
    scale = min(1.0, _SIDE / max(width, height))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    picture: Image.Image = frame.reformat(width=size[0], height=size[1], format="rgb24").to_image()
    turn = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
    quarter = turn.get(round(frame.rotation) % 360)
    return picture if quarter is None else picture.transpose(quarter)


def subtitles(path: Path, media_type: str) -> tuple[Cue, ...]:
    """Return the text of the film's first subtitles, English ones first; () where it has none."""
    with _opened(path, media_type) as film:
        texts = [one for one in film.streams.subtitles if one.codec_context is not None]
        texts = [one for one in texts if one.codec_context.name not in _PICTURES]
        if not texts:
            return ()
        chosen = min(texts, key=lambda one: (one.language not in ("eng", "en"), one.index))
        begins_s, cues = _start_s(film), []
        try:
            for packet in film.demux(chosen):
                if packet.pts is None:
                    continue
                start_s = float(packet.pts * packet.time_base) - begins_s
                end_s = start_s + float((packet.duration or 0) * packet.time_base)
                for one in packet.decode():
                    cues.append(Cue(start_s=start_s, end_s=end_s, text=_plain(one)))
        except av.error.FFmpegError:
            # What came before it breaks off is kept; the picture says where that is.
            pass
    return tuple(cue for cue in cues if cue.text)


#: Subtitles that are pictures: OCR of key frames reads what is drawn into the film, not these.
_PICTURES = {"dvd_subtitle", "dvdsub", "hdmv_pgs_subtitle", "pgssub", "dvb_subtitle", "dvbsub", "xsub"}


def _plain(line: Any) -> str:
    """Return a subtitle's words without its markup (FFmpeg hands all of them on as ASS)."""
    said = getattr(line, "dialogue", b"") or getattr(line, "text", b"")
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join(words.replace("\\N", " ").split())


def sound(path: Path, media_type: str, *, from_s: float, to_s: float) -> NDArray[np.float32]:
    """Return the sound of a stretch: (samples,) float32 in [-1, 1], one channel, 16 kHz, gaps silent."""
    heard = np.zeros(int((to_s - from_s) * SAMPLE_RATE), dtype=np.float32)
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    last = 0
    with _opened(path, media_type) as film:
        stream, begins_s = film.streams.best("audio"), _start_s(film)
        _seek(film, stream, max(0.0, from_s - 1), begins_s)
        try:
            for frame in _frames(film, stream):
                if frame.pts is not None and frame.time - begins_s >= to_s:
                    break
                for piece in resampler.resample(frame):
                    last = max(last, _lay(heard, piece, from_s + begins_s))
        except (av.error.FFmpegError, ValueError):
            # What was heard until there is kept.
            pass
    return heard[:last]


def _lay(heard: NDArray[np.float32], piece: Any, begins_s: float) -> int:
    """Lay a piece of sound in its place and return where it ends."""
    samples = piece.to_ndarray().reshape(-1)
    at = round((float(piece.pts * piece.time_base) - begins_s) * SAMPLE_RATE)
    if at < 0:
        samples, at = samples[-at:], 0
    room = heard[at : at + len(samples)]
    room[:] = samples[: len(room)]
    return min(len(heard), at + len(samples))


def clip(path: Path, media_type: str, *, start_s: float, end_s: float) -> bytes:
    """Cut a stretch as an MP4 of two frames a second, each within a tile of the model, without sound."""
    out = BytesIO()
    with av.open(out, "w", format="mp4") as made:
        stream: Any = made.add_stream("libx264", rate=int(FPS), options={"preset": "veryfast", "crf": "23"})
        stream.pix_fmt = "yuv420p"
        sized = False
        for no, (_, picture) in enumerate(_sampled(path, media_type, start_s, end_s)):
            even = picture.resize((picture.width // 2 * 2, picture.height // 2 * 2))
            if not sized:
                stream.width, stream.height, sized = even.width, even.height, True
            frame = av.VideoFrame.from_ndarray(np.asarray(even), format="rgb24")
            frame.pts, frame.time_base = no, Fraction(1, int(FPS))
            made.mux(stream.encode(frame))
        if not sized:
            raise Damaged("The stretch holds no frame.")
        made.mux(stream.encode())
    return out.getvalue()


def frames(
    path: Path, media_type: str, *, start_s: float, end_s: float, most: int
) -> list[tuple[float, bytes]]:
    """Return the frames of a stretch in which something changed, with their seconds from its beginning.

    Each is a JPEG padded to one tile of the model: wider ones would cost three.
    """
    sampled = list(_sampled(path, media_type, start_s, end_s))
    compared = [np.asarray(picture.resize(_COMPARED)) for _, picture in sampled]
    kept = []
    for place in spread(changing(compared), most=most):
        at_s, picture = sampled[place]
        tile = Image.new("RGB", (_TILE, _TILE))
        tile.paste(picture, ((_TILE - picture.width) // 2, (_TILE - picture.height) // 2))
        out = BytesIO()
        tile.save(out, "JPEG", quality=88)
        kept.append((at_s - start_s, out.getvalue()))
    return kept


def _sampled(
    path: Path, media_type: str, start_s: float, end_s: float
) -> Iterator[tuple[float, Image.Image]]:
    """Decode two frames a second of a stretch, each within a tile."""
    with _opened(path, media_type) as film:
        stream, begins_s = film.streams.best("video"), _start_s(film)
        ratio, next_s, taken = _ratio(stream), start_s, 0
        _seek(film, stream, start_s, begins_s)
        try:
            for frame in _frames(film, stream):
                at_s = (frame.time or 0.0) - begins_s
                if at_s >= end_s or taken == MOST_FRAMES:
                    return
                if at_s >= next_s - 0.02:
                    picture = _upright(frame, ratio)
                    picture.thumbnail((_TILE, _TILE))
                    yield at_s, picture
                    next_s, taken = next_s + 1 / FPS, taken + 1
        except av.error.FFmpegError:
            # What came before it breaks off is shown.
            return
