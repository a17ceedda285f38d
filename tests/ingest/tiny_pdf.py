"""PDFs written by hand for tests: objects, cross-reference table, trailer, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Text:
    """A line of Helvetica (bold where `bold`) with its baseline at (x, y), points from the bottom left."""

    x: float
    y: float
    text: str
    size: float = 11
    bold: bool = False
    #: Counter-clockwise turn of the writing: 0, 90, 180 or 270 degrees.
    turn: int = 0
    invisible: bool = False


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One page of a tiny PDF."""

    texts: Sequence[Text] = ()
    media_box: tuple[float, float, float, float] = (0, 0, 595, 842)
    crop_box: tuple[float, float, float, float] | None = None
    rotate: int = 0
    #: Further content stream operators, drawn after the texts.
    operators: str = ""
    #: The same, drawn before the texts: what they stand on.
    under: str = ""
    extra: str = field(default="")
    #: Further entries of the font dictionary, and of the page's resources.
    fonts: str = ""
    resources: str = ""


_TURNS = {0: "1 0 0 1", 90: "0 1 -1 0", 180: "-1 0 0 -1", 270: "0 -1 1 0"}


def first_more(sheets: int) -> int:
    """Return the number of the first of `more` objects in a tiny PDF of so many sheets."""
    return 5 + 2 * sheets


def stream(entries: str, body: bytes) -> bytes:
    """Write a stream object."""
    return b"<< %s /Length %d >>\nstream\n" % (entries.encode(), len(body)) + body + b"\nendstream"


def tiny_pdf(
    sheets: Sequence[Sheet], *, encrypt: bool = False, more: Sequence[bytes] = (), catalog: str = ""
) -> bytes:
    """Write a PDF; `encrypt` claims a standard security handler with a password that nobody knows.

    `more` are further objects, from number `first_more`; `catalog` are further entries of the catalog.
    """
    objects: list[bytes] = []
    kids = " ".join(f"{5 + 2 * i} 0 R" for i in range(len(sheets)))
    objects.append(f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode())
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(sheets)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>")
    for i, sheet in enumerate(sheets):
        objects.append(_page(sheet, contents=6 + 2 * i))
        objects.append(_stream(sheet))
    objects += more
    trailer = f"/Size {len(objects) + 1} /Root 1 0 R"
    if encrypt:
        secret = "00" * 32
        objects.append(f"<< /Filter /Standard /V 1 /R 2 /O <{secret}> /U <{secret}> /P -4 >>".encode())
        trailer = (
            f"/Size {len(objects) + 1} /Root 1 0 R /Encrypt {len(objects)} 0 R /ID [<{secret}><{secret}>]"
        )
    return _file(objects, trailer)


def _page(sheet: Sheet, *, contents: int) -> bytes:
    box = " ".join(map(str, sheet.media_box))
    crop = f"/CropBox [{' '.join(map(str, sheet.crop_box))}]" if sheet.crop_box else ""
    return (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] {crop} /Rotate {sheet.rotate} {sheet.extra} "
        f"/Contents {contents} 0 R /Resources << /Font << /F1 3 0 R /F2 4 0 R {sheet.fonts} >> "
        f"{sheet.resources} >> >>"
    ).encode()


def _stream(sheet: Sheet) -> bytes:
    lines = []
    for text in sheet.texts:
        escaped = text.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        font, mode = ("F2" if text.bold else "F1"), (3 if text.invisible else 0)
        lines.append(
            f"BT {mode} Tr /{font} {text.size} Tf {_TURNS[text.turn]} {text.x} {text.y} Tm ({escaped}) Tj ET"
        )
    body = (sheet.under + "\n" + "\n".join(lines) + "\n" + sheet.operators).encode("cp1252")
    return stream("", body)


def _file(objects: Sequence[bytes], trailer: str) -> bytes:
    out, offsets = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table
    return out + f"trailer\n<< {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
