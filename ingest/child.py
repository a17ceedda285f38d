"""What runs in a reading child: every call bounds its memory first and imports only what it needs.

Nothing here knows of the event loop, of retries or of other pages: a call may hang, crash or be killed, and
`reading.py` says what becomes of its page.
"""

from __future__ import annotations

import logging
import resource
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.errors import (
    Damaged,
    IngestError,
    NeedsProgram,
    TooLarge,
    TooManyPages,
    Unreadable,
    UnsafeMarkup,
)
from ingest.films import Facts, Heard, Stretch
from ingest.records import Page, PageFlag, PictureFormat, ReadBy
from ingest.ruled import Stroke
from ingest.settings import IngestSettings
from ingest.sources import PDF
from ingest.structure import Block, Rect, Word

if TYPE_CHECKING:
    from ingest.packed import Packed, Room
    from ingest.pages import Sheet

#: CPU seconds of one call, in pages' time: the clock of the parent is stricter while it lives.
_CPU_PAGES = 10
#: Longest side of a picture as kept, pixels.
_MAX_SIDE = 4000
#: How much of a scan's own layer must be what its picture says, and below what share it says something else.
_AGREES, _DIFFERS = 0.75, 0.4
_MAX_HIDDEN = 20_000
#: One letter in a frame is a thing that looks like one, not a word.
_LEAST_LETTERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A page on its way: read, but its headings not yet ranked among the document's."""

    no: int
    width_pt: float
    height_pt: float
    read_by: ReadBy
    reason: str
    flags: tuple[PageFlag, ...] = ()
    #: The code under which the page was lost, or what only eyes could have read of it.
    lost: str | None = None
    blocks: tuple[Block, ...] = ()
    #: What the text layer gave although the page needs eyes; None: the page is done.
    known: tuple[Word, ...] | None = None
    #: Pictures whose words are still to be read, each with a hash of what it shows ("" if unknown).
    pictures: tuple[tuple[Rect, str], ...] = ()
    #: All of its pictures and lines, for laying it out again once they are read.
    frames: tuple[Rect, ...] = ()
    strokes: tuple[Stroke, ...] = ()
    #: What is known comes from a scan's own layer, and is to be compared with its picture first.
    doubted: bool = False
    #: What the file holds for this page and does not show.
    hidden: str = ""

    #: Where eyes looked: every word that stands on the page, and its figures.
    words: tuple[Word, ...] = ()
    figures: tuple[Rect, ...] = ()

    @property
    def wants_eyes(self) -> bool:
        """Whether the page has to be drawn and looked at before it is done."""
        return self.known is not None or bool(self.pictures)


def bound(settings: IngestSettings) -> None:
    """Bound this process in memory, CPU and bytes written; a child outlives no parent by much."""
    logging.disable(logging.WARNING)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime + _CPU_PAGES * settings.page_timeout_s * max(1, settings.threads))
    limits = (
        (resource.RLIMIT_AS, settings.read_memory_bytes),
        (resource.RLIMIT_CPU, cpu + 1),
        (resource.RLIMIT_FSIZE, settings.max_unpacked_bytes),
        (resource.RLIMIT_CORE, 0),
    )
    for limit, most in limits:
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def lost_page(no: int, *, code: str, reason: str) -> Draft:
    """Return what stands for a page that could not be read at all."""
    return Draft(
        no=no,
        width_pt=595,
        height_pt=842,
        read_by="text-layer",
        reason=reason,
        flags=("lost",),
        lost=code,
    )


def _threads(settings: IngestSettings) -> int:
    """Share the threads out among the children."""
    return max(1, settings.threads // settings.readers)


def count_pages(path: Path, settings: IngestSettings) -> int:
    bound(settings)
    from ingest import pages

    return pages.count_pages(path)


def read_range(path: Path, first: int, last: int, settings: IngestSettings) -> list[Draft]:
    bound(settings)
    from ingest.pages import Sheet, read_sheets

    raws: list[Draft] = []
    for no, sheet in enumerate(read_sheets(path, first, last), start=first):
        if isinstance(sheet, Sheet):
            raws.append(_raw(sheet))
        else:
            raws.append(lost_page(no, code="damaged", reason=sheet.detail))
    return raws


def _raw(sheet: Sheet) -> Draft:
    from ingest.decide import judge

    verdict = judge(sheet)
    shape = partial(
        Draft,
        no=sheet.no,
        width_pt=sheet.width_pt,
        height_pt=sheet.height_pt,
        read_by=verdict.reader,
        reason=verdict.reason,
        flags=verdict.flags,
        hidden=verdict.hidden,
    )
    if verdict.needs_eyes:
        # Laid out although eyes come next: if they fail, what the text layer says is kept.
        return shape(known=verdict.words, blocks=_laid_out(sheet, verdict.words) if verdict.words else ())
    blocks = _laid_out(sheet, verdict.words)
    if verdict.doubted:
        return shape(known=verdict.words, blocks=blocks, doubted=True)
    silent = sheet.silent_pictures
    if silent:
        return shape(
            known=verdict.words,
            pictures=silent,
            blocks=blocks,
            frames=sheet.pictures,
            strokes=sheet.strokes,
        )
    return _told(shape(blocks=blocks))


def _told(draft: Draft) -> Draft:
    """Flag a page that was read and holds no word."""
    if any(block.element.text.strip() for block in draft.blocks) or "no_text" in draft.flags:
        return draft
    return replace(draft, flags=(*draft.flags, "no_text"))


def _laid_out(sheet: Sheet, words: Sequence[Word]) -> tuple[Block, ...]:
    from ingest.structure import lay_out

    return tuple(
        lay_out(
            words,
            width=sheet.width_pt,
            height=sheet.height_pt,
            pictures=sheet.pictures,
            strokes=sheet.strokes,
        )
    )


def want_eyes() -> None:
    """Raise NeedsProgram where OCR is not installed."""
    if find_spec("rapidocr") is None or find_spec("onnxruntime") is None:
        raise NeedsProgram("Only OCR can read it, which is not installed: pip install 'pagewarden[local]'.")


def look_at_page(path: Path, raw: Draft, settings: IngestSettings) -> Draft:
    bound(settings)
    want_eyes()
    from ingest.pages import render_pdf

    if raw.pictures and all(_memory_key(rect, digest) in _READ for rect, digest in raw.pictures):
        return _with_pictures(b"", raw, settings)
    png = render_pdf(path, raw.no, dpi=settings.ocr_dpi)
    if raw.pictures:
        return _with_pictures(png, raw, settings)
    if raw.doubted:
        return _compared(png, raw, settings)
    return _looked(png, raw, settings)


def look_at_image(file: Path, raw: Draft, settings: IngestSettings) -> Draft:
    bound(settings)
    want_eyes()
    return _looked(file.read_bytes(), raw, settings, is_picture=True)


def look_at_frame(file: Path, raw: Draft, settings: IngestSettings) -> Draft:
    """Read the words of a film's key frame; what looks like a chart in it passes too fast to be measured."""
    bound(settings)
    want_eyes()
    from ingest.ocr import scan, scan_blocks

    seen = scan(file.read_bytes(), width_pt=raw.width_pt, height_pt=raw.height_pt, threads=_threads(settings))
    letters = sum(letter.isalnum() for word in seen.words for letter in word.text)
    if letters < _LEAST_LETTERS:
        return replace(raw, known=None, blocks=(), words=(), reason=f"{raw.reason} OCR found no words.")
    blocks = scan_blocks(seen, width_pt=raw.width_pt, height_pt=raw.height_pt)
    words = len(seen.words)
    note = f"{raw.reason} OCR read {words} words." if words else f"{raw.reason} OCR found no words."
    return replace(raw, known=None, blocks=tuple(blocks), words=seen.words, reason=note)


def _compared(png: bytes, raw: Draft, settings: IngestSettings) -> Draft:
    """Believe a scan's own layer where it says what its picture says; read the picture where it does not."""
    from ingest.ocr import agreement

    known = raw.known or ()
    share = agreement(png, known, width_pt=raw.width_pt, height_pt=raw.height_pt, threads=_threads(settings))
    if share >= _AGREES:
        note = f"{raw.reason} It agrees with the picture in {share:.0%} of the letters that were compared."
        return replace(raw, known=None, doubted=False, reason=note)
    note = (
        f"{raw.reason} It agrees with the picture in {share:.0%} of the letters only, so it was not believed."
    )
    anew = replace(raw, known=(), doubted=False, read_by="ocr-layout", reason=note, blocks=())
    if share < _DIFFERS:
        text = " ".join(word.text for word in known)[:_MAX_HIDDEN]
        anew = replace(
            anew, flags=(*(f for f in raw.flags if f != "hidden_text"), "hidden_text"), hidden=text
        )
    return _looked(png, anew, settings)


def _looked(png: bytes, raw: Draft, settings: IngestSettings, *, is_picture: bool = False) -> Draft:
    """Read a whole page by eye; words of its text layer stand for what OCR read in their places."""
    from ingest.ocr import scan, scan_blocks
    from ingest.structure import Rect, stands_in

    seen = scan(png, width_pt=raw.width_pt, height_pt=raw.height_pt, threads=_threads(settings))
    known = raw.known or ()
    places = [Rect(w.x0, w.y0, w.x1, w.y1) for w in known]
    new = [word for word in seen.words if not any(stands_in(word, place) for place in places)]
    both = replace(seen, words=(*known, *new))
    blocks = scan_blocks(both, width_pt=raw.width_pt, height_pt=raw.height_pt)
    note = f"{raw.reason} OCR read {len(new)} words." if new else f"{raw.reason} OCR found no words."
    figures = tuple(rect for name, rect in seen.regions if name == "figure")
    charts = _charts(png, raw, both.words, figures, settings, is_picture=is_picture)
    done = replace(raw, blocks=(*blocks, *charts), known=None, words=both.words, figures=figures)
    return _told(replace(done, reason=note))


def _charts(
    png: bytes,
    raw: Draft,
    words: Sequence[Word],
    figures: Sequence[Rect],
    settings: IngestSettings,
    *,
    is_picture: bool,
) -> list[Block]:
    """Read what is drawn as charts: a picture as a whole where it is one, else the figures of a page."""
    from ingest.charts import charted
    from ingest.ocr import read_piece
    from ingest.structure import Block, Rect

    whole = [Rect(0, 0, raw.width_pt, raw.height_pt)] if is_picture else []
    read = partial(
        charted,
        png,
        words,
        width=raw.width_pt,
        height=raw.height_pt,
        again=partial(read_piece, threads=_threads(settings)),
    )
    found: list[Block] = []
    for region in (*whole, *figures):
        element = read(region)
        if element is not None:
            found.append(Block(element=element, size=1.0))
            if region in whole:
                break
    return found


def _with_pictures(png: bytes, raw: Draft, settings: IngestSettings) -> Draft:
    """Add the words that stand in a page's pictures to their figures."""
    from ingest.structure import lay_out

    found = {rect: _picture_words(png, raw, rect, digest, settings) for rect, digest in raw.pictures}
    blocks = lay_out(
        raw.known or (),
        width=raw.width_pt,
        height=raw.height_pt,
        pictures=raw.frames or list(found),
        picture_words=found,
        strokes=raw.strokes,
    )
    count = sum(map(len, found.values()))
    note = f"{raw.reason} OCR read {count} words in {len(found)} pictures." if count else raw.reason
    words = (*(raw.known or ()), *(word for inside in found.values() for word in inside))
    drawn = _charts(png, raw, words, list(found), settings, is_picture=False) if png else []
    done = replace(raw, blocks=(*blocks, *drawn), known=None, pictures=(), frames=(), strokes=(), words=words)
    return _told(replace(done, reason=note))


#: Words of pictures by what they show, from their own corners: a logo on every page is read once.
_READ: OrderedDict[str, tuple[Word, ...]] = OrderedDict()
_MAX_READ = 256


def _memory_key(rect: Rect, digest: str) -> str:
    return f"{digest} {rect.x1 - rect.x0:.0f} {rect.y1 - rect.y0:.0f}" if digest else ""


def _picture_words(png: bytes, raw: Draft, rect: Rect, digest: str, settings: IngestSettings) -> list[Word]:
    key = _memory_key(rect, digest)
    if key in _READ:
        _READ.move_to_end(key)
    else:
        words = _read_crop(png, raw, rect, settings)
        if not key:
            return _moved(words, rect)
        _READ[key] = words
        while len(_READ) > _MAX_READ:
            _READ.popitem(last=False)
    return _moved(_READ[key], rect)


def _moved(words: Sequence[Word], rect: Rect) -> list[Word]:
    return [
        w._replace(x0=w.x0 + rect.x0, y0=w.y0 + rect.y0, x1=w.x1 + rect.x0, y1=w.y1 + rect.y0) for w in words
    ]


def _read_crop(png: bytes, raw: Draft, rect: Rect, settings: IngestSettings) -> tuple[Word, ...]:
    from PIL import Image

    from ingest.drawing import to_png
    from ingest.ocr import scan

    with Image.open(BytesIO(png)) as page:
        across, down = page.width / raw.width_pt, page.height / raw.height_pt
        crop = page.crop(
            (int(rect.x0 * across), int(rect.y0 * down), int(rect.x1 * across), int(rect.y1 * down))
        )
        width, height = rect.x1 - rect.x0, rect.y1 - rect.y0
        seen = scan(to_png(crop), width_pt=width, height_pt=height, threads=_threads(settings), regions=False)
    return seen.words


def normalise(path: Path, pages_dir: Path, settings: IngestSettings) -> list[tuple[float, float]]:
    """Write a picture's frames as upright PNGs and return their sizes in points."""
    bound(settings)
    import pi_heif
    from PIL import Image, ImageOps, ImageSequence

    from ingest.drawing import to_png
    from ingest.sources import judge_size

    pi_heif.register_heif_opener()
    sizes: list[tuple[float, float]] = []
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Only TIFF has pages; the frames of a WebP or GIF are an animation.
            frames = ImageSequence.Iterator(image) if image.format == "TIFF" else iter([image])
            for no, frame in enumerate(frames, start=1):
                if no > settings.max_pages:
                    raise TooManyPages(f"The picture has more than {settings.max_pages} pages; split it.")
                judge_size(*frame.size)
                dpi = float(frame.info.get("dpi", (0, 0))[0]) or 150.0
                upright = ImageOps.exif_transpose(frame)
                picture = Image.new("RGB", upright.size, "white")
                picture.paste(upright.convert("RGBA"), mask=upright.convert("RGBA").getchannel("A"))
                points = 72 / (dpi if 50 <= dpi <= 1200 else 150.0)
                sizes.append((picture.width * points, picture.height * points))
                picture.thumbnail((_MAX_SIDE, _MAX_SIDE))
                (pages_dir / f"{no}.png").write_bytes(to_png(picture))
    except Image.DecompressionBombError as error:
        raise TooLarge("The picture has far too many pixels; scale it down and add it again.") from error
    except (OSError, ValueError, SyntaxError, EOFError, ZeroDivisionError, RuntimeError) as error:
        raise Damaged("The picture is cut off or broken; export it again at its source.") from error
    return sizes


def film_facts(path: Path, media_type: str, settings: IngestSettings) -> Facts:
    bound(settings)
    from ingest import video

    with _edge():
        return video.facts(path, media_type)


def film_stretch(
    path: Path, media_type: str, from_s: float, first_no: int, pages_dir: Path, settings: IngestSettings
) -> Stretch:
    """Find the next shots of a film and write their key frames."""
    bound(settings)
    from ingest import video

    with _edge():
        return video.read_stretch(
            path,
            media_type,
            from_s=from_s,
            first_no=first_no,
            pages_dir=pages_dir,
            longest_s=settings.scene_s,
            threads=_threads(settings),
        )


def film_subtitles(path: Path, media_type: str, settings: IngestSettings) -> Heard:
    bound(settings)
    from ingest import video

    with _edge():
        return Heard(cues=video.subtitles(path, media_type), next_s=None)


def film_words(path: Path, media_type: str, from_s: float, folder: Path, settings: IngestSettings) -> Heard:
    """Write down what is said in the next minutes, by the local weights in `folder`."""
    bound(settings)
    from ingest import speech

    with _edge():
        sound, next_s = _window(path, media_type, from_s)
        cues = speech.words(sound, folder=folder, threads=settings.threads, from_s=from_s)
        return Heard(cues=cues, next_s=next_s)


def film_wav(
    path: Path, media_type: str, from_s: float, settings: IngestSettings
) -> tuple[bytes, float | None]:
    """Return the sound of the next minutes as WAV, and where to go on."""
    bound(settings)
    from ingest import speech

    with _edge():
        sound, next_s = _window(path, media_type, from_s)
        return speech.wav(sound), next_s


def film_shot(
    path: Path, media_type: str, start_s: float, end_s: float, most: int, settings: IngestSettings
) -> tuple[bytes, tuple[tuple[float, bytes], ...]]:
    """Cut a scene for a vision model: as a clip where `most` is 0, else as so many frames."""
    bound(settings)
    from ingest import video

    with _edge():
        if not most:
            return video.clip(path, media_type, start_s=start_s, end_s=end_s), ()
        found = video.frames(path, media_type, start_s=start_s, end_s=end_s, most=most)
        return b"", tuple(found)


def _window(path: Path, media_type: str, from_s: float) -> tuple[Any, float | None]:
    from ingest import speech, video

    longest_s = speech.WINDOW_S
    sound = video.sound(path, media_type, from_s=from_s, to_s=from_s + longest_s + 1)
    taken_s = speech.border_s(sound, longest_s=longest_s)
    ended = len(sound) <= longest_s * video.SAMPLE_RATE
    return sound[: int(taken_s * video.SAMPLE_RATE)], None if ended else from_s + taken_s


def read_sections(path: Path, media_type: str, reason: str, settings: IngestSettings) -> list[Page]:
    """Read a format without pages: one page a section."""
    bound(settings)
    from ingest.sections import paged

    with _edge():
        from ingest.elements import read_sections

        sections = read_sections(path, media_type, _picture_reader(settings))
        return paged(sections, max_pages=settings.max_pages, reason=reason)


def _picture_reader(settings: IngestSettings) -> Callable[[bytes], list[str]] | None:
    """Return what reads the words in an office file's pictures; None without the extra `local`."""
    if not (find_spec("rapidocr") and find_spec("onnxruntime")):
        return None
    from ingest import ocr

    return partial(ocr.picture_words, threads=_threads(settings))


def slide_notes(path: Path, settings: IngestSettings) -> dict[int, str]:
    """Return the speaker notes of a PPTX by the number of the slide."""
    bound(settings)
    with _edge():
        from ingest import elements

        return elements.slide_notes(path)


def unlock(path: Path, media_type: str, password: str, to: Path, settings: IngestSettings) -> None:
    """Write a file that wants a password without it to `to`."""
    bound(settings)
    with _edge():
        if media_type == PDF:
            from ingest.pages import unlock_pdf

            unlock_pdf(path, password, to)
        else:
            from ingest.locked import unlock_office

            unlock_office(path, password, to)


def is_locked(path: Path, settings: IngestSettings) -> bool:
    """Say whether an office file from before 2007 wants a password."""
    bound(settings)
    with _edge():
        from ingest import locked

        return locked.is_locked(path)


def unpack(
    path: Path, media_type: str, folder: Path, room: Room, password: str | None, settings: IngestSettings
) -> list[Packed]:
    """Write what is packed in a file into `folder`."""
    bound(settings)
    with _edge():
        from ingest import packed

        return packed.unpack(path, media_type, folder, room, password)


@contextmanager
def _edge() -> Iterator[None]:
    """Give whatever a parser raises a name of ours."""
    try:
        yield
    except (IngestError, MemoryError):
        raise
    except RecursionError as error:
        raise UnsafeMarkup("The file nests deeper than any honest one; do not trust it.") from error
    except Exception as error:  # the edge of a process: parsers of twenty formats raise whatever they like
        raise Damaged(
            f"The file does not open as what it is ({type(error).__name__}); save it again at its source."
        ) from error


def render(
    file: Path,
    page_no: int | None,
    dpi: int,
    longest: int | None,
    form: PictureFormat,
    settings: IngestSettings,
) -> bytes:
    """Make the plain picture of a PDF's page, or of the picture `file` where `page_no` is None."""
    bound(settings)
    if page_no is not None:
        from ingest.pages import render_pdf

        return render_pdf(file, page_no, dpi=dpi, longest=longest, form=form)
    from PIL import Image

    from ingest.drawing import encode

    try:
        with Image.open(file) as picture:
            if longest is not None:
                picture.thumbnail((longest, longest))
            return encode(picture, form)
    except OSError as error:
        raise Unreadable("The page's image is not there; add the document again.") from error


def picture_words(png: bytes, settings: IngestSettings) -> list[str]:
    bound(settings)
    from ingest import ocr

    return ocr.picture_words(png, _threads(settings))
