"""Small files of every format, made here: honest ones to read, and the makings of hostile ones."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from email.message import EmailMessage
from io import BytesIO

import docx
import openpyxl
import pptx
from PIL import Image, ImageDraw, ImageFont
from pptx.util import Inches

from tests.ingest.tiny_pdf import Sheet, Text, tiny_pdf

WORDS = "Harbour permits are signed before noon."


def archive(members: Mapping[str, bytes], *, pack: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Pack members as a ZIP."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", pack) as out:
        for name, content in members.items():
            out.writestr(zipfile.ZipInfo(name), content, compress_type=pack)
    return buffer.getvalue()


def mail(attachments: Mapping[str, bytes] | None = None, *, subject: str = "Permits") -> bytes:
    """Write a mail with files on it."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ada@example.org", "bob@example.org", subject
    message.set_content(WORDS)
    for name, content in (attachments or {}).items():
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def book(*, extra: bytes = b"") -> bytes:
    """Write an e-book of two chapters whose spine turns their order round."""
    page = b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "x.dtd">%s'
    page += b"<html><body><h1>%s</h1><p>%s</p></body></html>"
    package = b"""<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"><manifest>
      <item id="a" href="text/a.xhtml"/><item id="b" href="text/b%20b.xhtml"/></manifest>
      <spine><itemref idref="b"/><itemref idref="a"/></spine></package>"""
    container = b'<container><rootfiles><rootfile full-path="OPS/p.opf"/></rootfiles></container>'
    return archive(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": container,
            "OPS/p.opf": package,
            "OPS/text/a.xhtml": page % (extra, b"Second", WORDS.encode()),
            "OPS/text/b b.xhtml": page % (b"", b"First", b"It begins here."),
        }
    )


def picture(kind: str, *, size: tuple[int, int] = (420, 90)) -> bytes:
    """Draw words as a picture."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((12, 24), "Harbour office", fill="black", font=ImageFont.load_default(36))
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def word_file() -> bytes:
    """Write a DOCX."""
    document = docx.Document()
    document.add_heading("Permits", level=1)
    document.add_paragraph(WORDS)
    buffer = BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def slides() -> bytes:
    """Write a PPTX with a speaker's notes."""
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Permits"
    slide.shapes.add_textbox(Inches(1), Inches(2), Inches(5), Inches(1)).text_frame.text = WORDS
    slide.notes_slide.notes_text_frame.text = "Mention the gate."
    buffer = BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def workbook() -> bytes:
    """Write an XLSX."""
    file = openpyxl.Workbook()
    for row in (["Permit", "Fee"], ["Berth", 12], ["Crane", 40]):
        file.active.append(row)
    buffer = BytesIO()
    file.save(buffer)
    return buffer.getvalue()


def honest() -> dict[str, bytes]:
    """Return a small file of every format that is read without LibreOffice, by name."""
    return {
        "a.pdf": tiny_pdf([Sheet(texts=[Text(x=50, y=700, text=WORDS)])]),
        "a.png": picture("PNG"),
        "a.jpg": picture("JPEG"),
        "a.tiff": picture("TIFF"),
        "a.webp": picture("WEBP"),
        "a.gif": picture("GIF"),
        "a.docx": word_file(),
        "a.pptx": slides(),
        "a.xlsx": workbook(),
        "a.html": f"<h1>Permits</h1><p>{WORDS}</p>".encode(),
        "a.xml": f"<permits><row><name>Berth</name><note>{WORDS}</note></row></permits>".encode(),
        "a.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><text>{WORDS}</text></svg>'.encode(),
        "a.md": f"# Permits\n\n{WORDS}\n".encode(),
        "a.rst": f"Permits\n=======\n\n{WORDS}\n".encode(),
        "a.txt": WORDS.encode(),
        "a.csv": b"permit,fee\nBerth,12\nCrane,40\n",
        "a.tsv": b"permit\tfee\nBerth\t12\nCrane\t40\n",
        "a.json": b'[{"permit": "Berth", "fee": 12}, {"permit": "Crane", "fee": 40}]',
        "a.jsonl": b'{"permit": "Berth", "fee": 12}\n{"permit": "Crane", "fee": 40}\n',
        "a.eml": mail({"fees.csv": b"permit,fee\nBerth,12\n"}),
        "a.epub": book(),
        "a.zip": archive({"in/a.txt": WORDS.encode(), "b.csv": b"a,b\n1,2\n"}),
    }


def png_header(width: int, height: int) -> bytes:
    """Write a PNG that claims a size and holds nothing."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def part(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", ihdr)
        + part(b"IDAT", zlib.compress(b"\x00" * 1000))
        + part(b"IEND", b"")
    )


def lying_directory(content: bytes, claims: int) -> bytes:
    """Make every member of a ZIP claim to unpack to `claims` bytes."""
    raw = bytearray(content)
    at = raw.find(b"PK\x01\x02")
    while at >= 0:
        raw[at + 24 : at + 28] = struct.pack("<I", claims)
        at = raw.find(b"PK\x01\x02", at + 4)
    return bytes(raw)
