"""Files that mean harm, made here: bombs, traps and endless things, each with the codes that may answer it.

"ok" and "partial" are answers too where a file is only odd: a reading that ends, in bounds, is no failure.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO

from tests.ingest.odd_files import (
    archive,
    book,
    lying_directory,
    mail,
    picture,
    png_header,
    slides,
    word_file,
    workbook,
)

#: A hostile file: its name, what makes it, and the outcomes or codes that may answer it.
Hostile = tuple[str, Callable[[], bytes], set[str]]

_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "haha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><x>&j;</x>"
).encode()
_OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><x>&e;</x>'
_BLOWUP = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "'
    + b"a" * 100_000
    + b'">]><x>'
    + b"&a;" * 50_000
    + b"</x>"
)
_TRAVERSALS = (
    "../a",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\a",
    "\\a",
    "C:\\a",
    "c:a",
    "a/../../b",
    "a\\..\\..\\b",
    "./../a",
)


def replaced(content: bytes, members: Mapping[str, bytes]) -> bytes:
    """Return an archive with some of its members replaced."""
    with zipfile.ZipFile(BytesIO(content)) as inner:
        kept = {name: inner.read(name) for name in inner.namelist()}
    return archive(kept | dict(members))


def pdf(objects: Mapping[int, bytes], *, root: int = 1) -> bytes:
    """Write a PDF of raw objects; the reader finds them without a table."""
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (no, content) for no, content in objects.items())
    return b"%PDF-1.7\n" + body + b"trailer\n<</Root %d 0 R/Size %d>>\n%%%%EOF\n" % (root, max(objects) + 1)


def stream(content: bytes, *, extra: bytes = b"/Filter/FlateDecode") -> bytes:
    """Write a PDF stream, packed."""
    packed = zlib.compress(content, 9)
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (extra, len(packed), packed)


def one_page(
    content: bytes, *, box: bytes = b"0 0 595 842", more: Mapping[int, bytes] | None = None
) -> bytes:
    """Write a PDF of one page with this content stream."""
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>" % box,
        4: content,
        5: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    }
    return pdf(objects | dict(more or {}))


def million_pages() -> bytes:
    """Write a PDF whose page tree names one page a million times."""
    objects = {1: b"<</Type/Catalog/Pages 2 0 R>>"}
    for level in range(6):
        kids = b"%d 0 R " % (level + 3) * 10
        objects[level + 2] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, 10 ** (6 - level))
    objects[8] = b"<</Type/Page/Parent 7 0 R/MediaBox[0 0 99 99]>>"
    return pdf(objects)


def nested_outlines(depth: int = 20_000) -> bytes:
    """Write a PDF whose outline nests, with a page that reads."""
    more = {
        no: b"<</Title(x)/First %d 0 R/Parent %d 0 R>>" % (no + 1, no - 1) for no in range(10, 10 + depth)
    }
    more[1] = b"<</Type/Catalog/Pages 2 0 R/Outlines 10 0 R>>"
    return one_page(stream(b"BT /F 12 Tf 50 700 Td (Words here) Tj ET"), more=more)


def deep_page_tree(depth: int = 5_000) -> bytes:
    """Write a PDF whose page tree is one long branch."""
    objects = {1: b"<</Type/Catalog/Pages 2 0 R>>"}
    objects |= {no: b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % (no + 1) for no in range(2, depth)}
    objects[depth] = b"<</Type/Page/MediaBox[0 0 99 99]>>"
    return pdf(objects)


def endless_frames(frames: int = 1_000_000) -> bytes:
    """Write a GIF of a million frames."""
    head = b"GIF89a" + struct.pack("<HHBBB", 60, 60, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b";"


def circling_tiff() -> bytes:
    """Write a TIFF whose second directory is its first."""
    buffer = bytearray(picture("TIFF", size=(60, 60)))
    at = struct.unpack_from("<I", buffer, 4)[0]
    count = struct.unpack_from("<H", buffer, at)[0]
    struct.pack_into("<I", buffer, at + 2 + 12 * count, at)
    return bytes(buffer)


def special_members() -> Iterator[tuple[str, bytes]]:
    """Write archives with links and devices inside."""
    for name, mode in (("link", 0o120777), ("device", 0o020666), ("block", 0o060666), ("pipe", 0o010666)):
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w") as out:
            entry = zipfile.ZipInfo("entry")
            entry.external_attr = mode << 16
            out.writestr(entry, "/etc/passwd")
        yield name, buffer.getvalue()


def nested_zips(depth: int, *, wide: int = 1) -> bytes:
    """Write a ZIP of ZIPs of ZIPs."""
    content = archive({"a.txt": b"words at the bottom"})
    for _ in range(depth):
        content = archive({f"{no}.zip": content for no in range(wide)})
    return content


def many_members(count: int = 30_000) -> bytes:
    """Write a ZIP of very many empty files."""
    return archive({f"{no}.txt": b"" for no in range(count)}, pack=0)


def wide_sheet(rows: int, cols: int) -> bytes:
    """Write an XLSX with one giant sheet, by hand: openpyxl would take minutes."""
    cells = b"".join(b"<c><v>%d</v></c>" % col for col in range(cols))
    lines = b"".join(b"<row>%s</row>" % cells for _ in range(rows))
    sheet = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
    return replaced(workbook(), {"xl/worksheets/sheet1.xml": sheet % lines})


def many_parts(count: int = 100_000) -> bytes:
    """Write a mail of very many parts."""
    return b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * count + b"--b--\n"


def deep_mail(depth: int = 5_000) -> bytes:
    """Write a mail whose parts nest."""
    parts = (b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (no, no) for no in range(depth))
    return b"Subject: x\n" + b"".join(parts) + b"\nx\n"


def _archives() -> Iterator[Hostile]:
    for no, name in enumerate(_TRAVERSALS):
        for outer in ("zip", "docx"):
            parts = (
                {name: b"x"}
                if outer == "zip"
                else {"[Content_Types].xml": b"<T/>", "word/d.xml": b"<w/>", name: b"x"}
            )
            yield f"traversal{no}.{outer}", lambda parts=parts: archive(parts), {"unsafe_archive"}  # type: ignore[misc]
    for name, content in special_members():
        yield f"{name}.zip", lambda content=content: content, {"unsafe_archive"}  # type: ignore[misc]
    yield "zeros.zip", lambda: archive({"a.txt": b"\x00" * 300_000_000}), {"unsafe_archive"}
    yield (
        "zeros.docx",
        lambda: replaced(word_file(), {"word/document.xml": b"<" * 99_000_000}),
        {"unsafe_archive"},
    )
    yield (
        "lying.docx",
        lambda: lying_directory(replaced(word_file(), {"word/a.xml": b" " * 15_000_000}), 9),
        {"damaged", "unsafe_archive", "ok"},
    )
    yield "members.zip", many_members, {"unsafe_archive"}
    yield (
        "members.docx",
        lambda: replaced(word_file(), {f"word/{n}.xml": b"" for n in range(21_000)}),
        {"unsafe_archive"},
    )
    yield "deep.zip", lambda: nested_zips(9), {"partial"}
    yield "wide.zip", lambda: nested_zips(3, wide=12), {"partial", "unsafe_archive"}
    yield (
        "archive-inside.docx",
        lambda: replaced(word_file(), {"word/a.zip": nested_zips(1)}),
        {"unsafe_archive"},
    )
    yield "macros.docx", lambda: replaced(word_file(), {"word/vbaProject.bin": b"\xd0\xcf" * 500}), {"ok"}


def _markup() -> Iterator[Hostile]:
    for kind, content in (("laughs", _LAUGHS), ("outside", _OUTSIDE), ("blowup", _BLOWUP)):
        for suffix in ("xml", "svg", "html"):
            yield f"{kind}.{suffix}", lambda content=content: content, {"unsafe_markup"}  # type: ignore[misc]
        for name, makes, part in (
            ("docx", word_file, "word/document.xml"),
            ("pptx", slides, "ppt/slides/slide1.xml"),
            ("xlsx", workbook, "xl/worksheets/sheet1.xml"),
            ("epub", book, "OPS/text/a.xhtml"),
        ):
            yield (
                f"{kind}.{name}",
                lambda makes=makes, part=part, content=content: replaced(makes(), {part: content}),  # type: ignore[misc]
                {"unsafe_markup"},
            )
    yield "deep.xml", lambda: b"<a>" * 100_000 + b"</a>" * 100_000, {"unsafe_markup"}
    yield "deep.html", lambda: b"<div>" * 100_000 + b"words", {"unsafe_markup", "damaged", "ok"}
    yield "deep.json", lambda: b"[" * 100_000 + b"]" * 100_000, {"unsafe_markup"}
    yield "deep-objects.json", lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {"unsafe_markup"}
    yield "deep.md", lambda: b"> " * 20_000 + b"words", {"unsafe_markup", "damaged", "ok", "timeout"}
    yield (
        "deep.docx",
        lambda: replaced(word_file(), {"word/document.xml": _deep_word()}),
        {"ok", "damaged", "unsafe_markup"},
    )
    yield (
        "spans.html",
        lambda: (
            b"<table>" + b"<tr><td rowspan=65535 colspan=1000>x</td><td>y</td></tr>" * 20_000 + b"</table>"
        ),
        {"ok", "too_large", "too_many_pages"},
    )


def _deep_word() -> bytes:
    space = b'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    return (
        b"<w:document %s><w:body>" % space
        + b"<w:sdt><w:sdtContent>" * 5_000
        + b"</w:sdtContent></w:sdt>" * 5_000
        + b"</w:body></w:document>"
    )


def _large() -> Iterator[Hostile]:
    yield "pixels.png", lambda: png_header(100_000, 100_000), {"too_large"}
    yield "pixels-below-the-limit.png", lambda: png_header(8_900, 8_900), {"damaged"}
    yield "frames.gif", endless_frames, {"ok"}
    yield "circle.tiff", circling_tiff, {"ok", "damaged", "too_many_pages"}
    yield (
        "cells.csv",
        lambda: (b",".join(b"%d" % n for n in range(100)) + b"\n") * 20_000,
        {"too_large", "too_many_pages"},
    )
    yield "cells.xlsx", lambda: wide_sheet(11_000, 100), {"too_large", "too_many_pages", "unsafe_archive"}
    yield (
        "cells.html",
        lambda: b"<table>" + b"<tr>" + b"<td>1</td>" * 100 + b"</tr>" * 10_000 + b"</table>",
        {"ok", "too_large", "too_many_pages"},
    )
    yield "line.txt", lambda: b"x" * 30_000_000, {"too_large"}
    yield "lines.txt", lambda: b"a\n\n" * 3_000_000, {"ok", "too_many_pages"}
    yield "records.json", lambda: b"[" + b",".join([b'{"a":1}'] * 400_000) + b"]", {"ok", "too_many_pages"}
    yield "parts.eml", many_parts, {"unsafe_markup"}
    yield "deep.eml", deep_mail, {"unsafe_markup", "ok"}
    yield "head.eml", lambda: b"Subject: " + b"x" * 9_000_000 + b"\n\nwords", {"ok", "too_many_pages"}


def _pdfs() -> Iterator[Hostile]:
    yield "pages.pdf", million_pages, {"too_many_pages", "damaged"}
    yield "tree.pdf", deep_page_tree, {"ok", "damaged"}
    yield "outlines.pdf", nested_outlines, {"ok"}
    yield (
        "zeros.pdf",
        lambda: one_page(stream(b" " * 400_000_000)),
        {"ok", "timeout", "out_of_memory", "damaged"},
    )
    yield (
        "words.pdf",
        lambda: one_page(stream(b"BT /F 1 Tf (word ) Tj ET " * 1_000_000)),
        {"ok", "timeout", "out_of_memory", "damaged"},
    )
    yield (
        "paths.pdf",
        lambda: one_page(stream(b"0 0 m 9 9 l S " * 2_000_000)),
        {"ok", "timeout", "out_of_memory", "damaged"},
    )
    yield (
        "inline.pdf",
        lambda: one_page(stream(b"BI /W 99999 /H 99999 /BPC 8 /CS /RGB ID " + b"x" * 1000)),
        {"ok", "damaged", "timeout"},
    )
    yield (
        "sheet.pdf",
        lambda: one_page(stream(b"BT /F 12 Tf (Words) Tj ET"), box=b"0 0 9e9 9e9"),
        {"ok", "damaged", "partial"},
    )
    yield (
        "predictor.pdf",
        lambda: one_page(
            stream(
                b"x" * 99,
                extra=b"/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 2147483647/Colors 32>>",
            )
        ),
        {"ok", "damaged"},
    )
    yield (
        "itself.pdf",
        lambda: pdf({1: b"<</Type/Catalog/Pages 1 0 R/Kids[1 0 R]/Count 9>>"}),
        {"ok", "damaged"},
    )
    yield "no-root.pdf", lambda: b"%PDF-1.7\ntrailer<<>>\n%%EOF", {"damaged"}


def hostile() -> Iterator[Hostile]:
    """Yield every hostile file."""
    yield from _archives()
    yield from _markup()
    yield from _large()
    yield from _pdfs()
    yield "mail-of-zips.eml", lambda: mail({"a.zip": nested_zips(6)}), {"partial"}
