"""Random PDFs whose every word has a box that is known from how it was written.

Fonts have widths and heights of our own making (every glyph 600 wide, 800 up and 200 down, Chinese 1000
wide), so no font file is needed and a box is plain arithmetic. Latin is Courier, whose glyphs are that wide.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ingest.pages import Sheet as PdfSheet
from ingest.pages import read_sheets
from ingest.records import Box
from ingest.structure import lay_out
from tests.ingest.tiny_pdf import Sheet, first_more, stream, tiny_pdf

_LATIN = (
    "harbour",
    "quay",
    "tide",
    "lantern",
    "of",
    "the",
    "1,204",
    "37%",
    "(net)",
    "cargo-list",
    "£12.50",
    "Zürich",
)
_HEBREW = ("שלום", "ספינה", "נמל", "ים", "ארץ", "מים")
_CHINESE = ("港口", "船長", "燈塔", "潮汐表", "貨物清單", "年度報告")
_UP, _DOWN = 0.8, 0.2


@dataclass(frozen=True, kw_only=True)
class Known:
    """A word and where it stands, in [0, 1] of the page as shown."""

    text: str
    box: Box


@dataclass(frozen=True, kw_only=True)
class _Script:
    font: str
    words: Sequence[str]
    #: Width of a glyph in ems.
    wide: float
    right_to_left: bool = False

    def code(self, text: str) -> bytes:
        """Return the operand that shows a text."""
        if self.font == "F3":
            body = text.encode("cp1252")
            for sign in (b"\\", b"(", b")"):
                body = body.replace(sign, b"\\" + sign)
            return b"(" + body + b")"
        order = reversed(text) if self.right_to_left else text
        return b"<" + b"".join(b"%04X" % ord(char) for char in order) + b">"


SCRIPTS = {
    "latin": _Script(font="F3", words=_LATIN, wide=0.6),
    "hebrew": _Script(font="F4", words=_HEBREW, wide=0.6, right_to_left=True),
    "chinese": _Script(font="F5", words=_CHINESE, wide=1.0),
}


@dataclass(frozen=True, kw_only=True)
class _Frame:
    media: tuple[float, float, float, float]
    crop: tuple[float, float, float, float]
    rotate: int

    def shown(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """Turn a rectangle of user space (y upwards) into the page as shown, each corner by itself."""
        left, bottom, right, top = self.crop
        points = []
        for x, y in ((x0, y0), (x1, y1)):
            u, v = (x - left) / (right - left), (top - y) / (top - bottom)
            for _ in range(self.rotate // 90):  # a quarter clockwise
                u, v = 1 - v, u
            points.append((u, v))
        (a, b), (c, d) = points
        return Box(x0=min(a, c), y0=min(b, d), x1=max(a, c), y1=max(b, d))


def boxed_pdf(seed: int) -> tuple[bytes, list[list[Known]]]:
    """Write a PDF of one to three pages from a seed; return it with the words of each page."""
    rng = random.Random(seed)
    pages = [_page(rng) for _ in range(rng.randint(1, 3))]
    first = first_more(len(pages))
    fonts = f"/F3 {first} 0 R /F4 {first + 1} 0 R /F5 {first + 2} 0 R"
    sheets = [sheet(fonts=fonts) for sheet, _ in pages]
    return tiny_pdf(sheets, more=_fonts(first)), [known for _, known in pages]


def _page(rng: random.Random) -> tuple[partial[Sheet], list[Known]]:
    frame = _frame(rng)
    script = SCRIPTS[rng.choice(("latin", "latin", "hebrew", "chinese"))]
    left, bottom, right, top = frame.crop
    columns = rng.choice((1, 2, 3))
    size = rng.choice((8.0, 9.0, 10.0, 12.0))
    gutter, margin = 3 * size, 24.0
    wide = (right - left - 2 * margin - (columns - 1) * gutter) / columns
    operators: list[str] = []
    known: list[Known] = []
    for column in range(columns):
        x = left + margin + column * (wide + gutter)
        for row in range(rng.randint(4, 9)):
            y = top - margin - size - row * 1.4 * size
            if y < bottom + margin:
                break
            line, boxes = _line(rng, script, x, y, wide, size)
            operators.append(line)
            known += [Known(text=text, box=frame.shown(*rect)) for text, rect in boxes]
    extra = f"/UserUnit {rng.choice((1, 1, 2))}"
    return partial(
        Sheet,
        operators="\n".join(operators),
        media_box=frame.media,
        crop_box=frame.crop if frame.crop != frame.media else None,
        rotate=frame.rotate,
        extra=extra,
    ), known


def _frame(rng: random.Random) -> _Frame:
    width, height = rng.choice(((595, 842), (612, 792), (842, 595), (420, 595)))
    x, y = rng.choice(((0, 0), (0, 0), (-120, 35), (1000, -400), (17.5, 33.25)))
    media = (x, y, x + width, y + height)
    crop = media
    if rng.random() < 0.4:
        crop = (
            x + rng.randint(5, 60),
            y + rng.randint(5, 60),
            x + width - 20,
            y + height - rng.randint(5, 40),
        )
    return _Frame(media=media, crop=crop, rotate=rng.choice((0, 90, 180, 270)))


def _line(
    rng: random.Random, script: _Script, x: float, y: float, wide: float, size: float
) -> tuple[str, list[tuple[str, tuple[float, float, float, float]]]]:
    glyph, boxes, shown = script.wide * size, [], b""
    at = x
    while True:
        text = rng.choice(script.words)
        if at + len(text) * glyph > x + wide:
            break
        boxes.append((text, (at, y - _DOWN * size, at + len(text) * glyph, y + _UP * size)))
        shown += script.code(text) + b" Tj " + script.code(" ") + b" Tj "
        at += (len(text) + 1) * glyph
    if script.right_to_left:
        boxes.reverse()
    return f"BT /{script.font} {size} Tf {x} {y} Td {shown.decode('cp1252')} ET", boxes


def _fonts(first: int) -> list[bytes]:
    """Return a Latin, a Hebrew and a Chinese font, and what they are made of."""
    widths = " ".join(["600"] * 224)
    metrics = "/FontBBox [0 -200 1000 800] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80"
    names = ("Courier", "Made-Hebrew", "Made-Chinese")
    latin, hebrew, chinese = (
        f"<< /Type /FontDescriptor /FontName /{name} /Flags 33 {metrics} >>".encode() for name in names
    )
    described = first + 3
    unicode = b"1 begincodespacerange <0000> <FFFF> endcodespacerange "
    unicode += b"1 beginbfrange <0000> <FFFF> <0000> endbfrange"
    head = b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def /CMapType 2 def "
    return [
        (
            "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding /FirstChar 32 "
            f"/LastChar 255 /Widths [{widths}] /FontDescriptor {described} 0 R >>"
        ).encode(),
        _composite("Made-Hebrew", first + 6, first + 8),
        _composite("Made-Chinese", first + 7, first + 8),
        latin,
        hebrew,
        chinese,
        _descendant("Made-Hebrew", 600, described + 1),
        _descendant("Made-Chinese", 1000, described + 2),
        stream("", head + unicode + b" endcmap CMapName currentdict /CMap defineresource pop end end"),
    ]


def _composite(name: str, descendant: int, unicode: int) -> bytes:
    return (
        f"<< /Type /Font /Subtype /Type0 /BaseFont /{name} /Encoding /Identity-H "
        f"/DescendantFonts [{descendant} 0 R] /ToUnicode {unicode} 0 R >>"
    ).encode()


def _descendant(name: str, wide: int, descriptor: int) -> bytes:
    return (
        f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{name} /DW {wide} "
        f"/FontDescriptor {descriptor} 0 R "
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>"
    ).encode()


@dataclass(frozen=True, kw_only=True)
class Trip:
    """How boxes came back."""

    #: Words that the reader found, and the overlap (intersection over union) of each known word with its own.
    words: int
    overlaps: list[float]
    #: Stretches of text with a box to cite, and those where reading the box again gives something else.
    cited: int
    misread: list[tuple[str, str]]


def round_trip(path: Path, known: Sequence[Sequence[Known]]) -> Trip:
    """Read a PDF; compare its boxes with the known ones, and its citations with what their boxes hold."""
    overlaps: list[float] = []
    misread: list[tuple[str, str]] = []
    words = cited = 0
    for sheet, expected in zip(read_sheets(path, 1, len(known)), known, strict=True):
        assert isinstance(sheet, PdfSheet)
        width, height = sheet.width_pt, sheet.height_pt
        found = [
            (w.text, Box(x0=w.x0 / width, y0=w.y0 / height, x1=w.x1 / width, y1=w.y1 / height))
            for w in sheet.words
        ]
        words += len(found)
        overlaps += [
            max((_overlap(one.box, box) for text, box in found if text == one.text), default=0.0)
            for one in expected
        ]
        for block in lay_out(sheet.words, width=width, height=height):
            for span in block.element.spans:
                cited += 1
                said = block.element.text[span.start : span.end]
                again = " ".join(text for text, box in found if _stands_in(box, span.box))
                if sorted(said.split()) != sorted(again.split()):
                    misread.append((said, again))
    return Trip(words=words, overlaps=overlaps, cited=cited, misread=misread)


def _overlap(a: Box, b: Box) -> float:
    wide, tall = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    if wide <= 0 or tall <= 0:
        return 0.0
    both = wide * tall
    return both / ((a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - both)


def _stands_in(box: Box, rect: Box) -> bool:
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return rect.x0 <= x <= rect.x1 and rect.y0 <= y <= rect.y1
