"""Formats without pages: what a DOCX, PPTX, HTML, Markdown or reStructuredText file says, in order.

unstructured reads them, with three changes. Its sentence splitter is replaced by a blank spaCy pipeline: the
stock one downloads a model at the first text (an 872-page DOCX went from 46 s to 2.5 s, same elements). HTML
loses what nobody sees (scripts, hidden elements) before it gets there: injections live in those places. And
tables of HTML go around it, cell by cell: it drops `rowspan`.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from lxml import etree, html  # type: ignore[import-untyped]

from ingest.charset import decode
from ingest.errors import Damaged, TooLarge
from ingest.listings import guessed_heads, read_csv, read_json, read_json_lines, read_xml
from ingest.records import ElementKind, GridCell
from ingest.sections import Piece, split
from ingest.sources import (
    CSV,
    DOCX,
    EML,
    EPUB,
    HTML,
    JSON,
    JSON_LINES,
    MARKDOWN,
    MSG,
    PPTX,
    RST,
    SVG,
    XLS,
    XLSX,
    XML,
    ZIP,
)

_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])"
)
_UNSEEN = ("script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "head")
_KINDS: dict[str, ElementKind] = {
    "Title": "title",
    "ListItem": "list",
    "Table": "table",
    "Formula": "formula",
    "FigureCaption": "caption",
    "Image": "figure",
}
_SKIPPED = {"Header", "Footer", "PageBreak", "PageNumber"}
#: Pictures of one file whose words are read; smaller ones are icons.
_MAX_PICTURES, _LEAST_SIDE = 40, 48
#: A text longer than that fills more pages than anybody allows.
_MAX_CHARS = 16_000_000
_MAX_SPAN, _MAX_COLUMNS, _MAX_GRID = 1000, 16_384, 4_000_000

#: Reads the lines that stand in a picture; None: there is nobody to read them.
ReadPicture = Callable[[bytes], list[str]]


def read_sections(path: Path, media_type: str, read_picture: ReadPicture | None) -> list[list[Piece]]:
    """Read a file into sections of pieces: one a slide, sheet or chapter, else one a highest heading.

    What the vendors raise on a broken file is left to the caller, the edge of the child process.
    """
    if media_type in {DOCX, PPTX}:
        return _read_office(path, media_type, read_picture)
    if media_type in _OWN_SECTIONS:
        return _OWN_SECTIONS[media_type](path)
    read = _FLOWING.get(media_type, _read_plain)
    return list(split(read(path.read_bytes())))


def _read_office(path: Path, media_type: str, read_picture: ReadPicture | None) -> list[list[Piece]]:
    _use_blank_pipeline()
    reads = _read_docx if media_type == DOCX else _read_pptx
    elements = reads(path, _Pictures(read_picture) if read_picture else None)
    if media_type == DOCX:
        return list(split([piece for element in elements if (piece := _piece(element))]))
    slides: dict[int, list[Piece]] = {}
    for element in elements:
        if piece := _piece(element):
            slides.setdefault(element.metadata.page_number or 1, []).append(piece)
    for no, text in slide_notes(path).items():
        slides.setdefault(no, []).append(Piece(kind="paragraph", text=f"Speaker notes: {text}"))
    return [slides[no] for no in sorted(slides)]


def _use_blank_pipeline() -> None:
    """Give unstructured a sentence splitter that needs no download, and keep it from calling home.

    It reads the switches at import, and a reading child inherits no promise from its parent: hence both here.
    """
    for switch in ("DO_NOT_TRACK", "SCARF_NO_ANALYTICS", "UNSTRUCTURED_DISABLE_NOTICE"):
        os.environ.setdefault(switch, "1")
    import spacy
    import unstructured.nlp.tokenize as tokenize

    if getattr(tokenize._get_nlp, "is_blank", False):
        return
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")

    def blank() -> Any:
        return nlp

    blank.is_blank = True  # type: ignore[attr-defined]
    tokenize._get_nlp = blank  # type: ignore[assignment]


def _piece(element: Any) -> Piece | None:
    if element.category in _SKIPPED:
        return None
    kind = _KINDS.get(element.category, "paragraph")
    if kind == "table":
        cells = grid_cells(element.metadata.text_as_html or "")
        if cells:
            return Piece(kind="table", cells=cells)
        kind = "paragraph"
    text = clean(element.text or "")
    if not text:
        return None
    if kind == "title":
        # Only a depth comes from the file; without one, unstructured guessed from a line's looks.
        depth = element.metadata.category_depth
        if depth is not None:
            return Piece(kind="title", text=text, level=min(6, depth + 1))
        kind = "paragraph"
    return Piece(kind=kind, text=text)


def clean(text: str) -> str:
    """Drop control characters; keep line breaks, which e-mail and code mean."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").replace("\x0b", "\n")
    text = "".join(c for c in text if c == "\n" or c.isprintable() or c == "\u00a0")
    return re.sub(r"[ \u00a0]+", " ", re.sub(r"\n{3,}", "\n\n", text)).strip()


def plain_text(text: str) -> list[Piece]:
    """Cut plain text at its empty lines: prose in hard lines is joined, headings and lists told by looks."""
    pieces: list[Piece] = []
    for block in re.split(r"\n[^\S\n]*\n\s*", text.replace("\r\n", "\n").replace("\r", "\n")):
        kept = "".join(c if c == "\n" or c.isprintable() else " " for c in block).strip()
        lines = [line.rstrip() for line in kept.split("\n")]
        if not kept:
            continue
        if len(lines) == 1 and _looks_like_heading(kept):
            pieces.append(Piece(kind="title", text=kept, level=2))
        elif all(re.match(r"\s*(?:[-*•+]|\d{1,3}[.)])\s", line) for line in lines):
            pieces.append(Piece(kind="list", text="\n".join(line.strip() for line in lines)))
        else:
            pieces.append(Piece(kind="paragraph", text=" ".join(lines) if _is_wrapped(lines) else kept))
    return pieces


def _looks_like_heading(text: str) -> bool:
    return len(text) <= 80 and bool(
        (text.isupper() and len(text) > 3) or re.match(r"(?:\d+\.)*\d+\.?\s+[A-Z]|[#=]", text)
    )


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Say whether lines are prose that somebody's editor broke at its margin."""
    full = lines[:-1]
    letters = sum(c.isalpha() or c.isspace() for line in full for c in line)
    return (
        bool(full)
        and all(45 <= len(line) <= 120 and not line[0].isspace() for line in full)
        and letters >= 0.8 * sum(map(len, full))
    )


def grid_cells(table: str) -> tuple[GridCell, ...]:
    """Parse an HTML table into its cells; () where it is empty."""
    return _cells(html.fragment_fromstring(table, create_parent="div")) if table else ()


def _cells(table: Any) -> tuple[GridCell, ...]:
    placed: list[GridCell] = []
    taken: dict[int, int] = {}
    heads = row = steps = 0
    for line in table.iter("tr"):
        col, tags, found = 0, set(), []
        for cell in line:
            if cell.tag not in {"td", "th"}:
                continue
            while taken.get(col, -1) >= row:
                col += 1
            if col >= _MAX_COLUMNS:
                break
            tags.add(cell.tag)
            rowspan, colspan = _span(cell, "rowspan"), _span(cell, "colspan")
            text = " ".join(clean(" ".join(cell.itertext())).split())
            found.append(
                GridCell(
                    row=row, col=col, rowspan=rowspan, colspan=colspan, text=text, header=cell.tag == "th"
                )
            )
            for covered in range(col, col + colspan) if rowspan > 1 else ():
                taken[covered] = row + rowspan - 1
            col += colspan
        steps += col
        if steps > _MAX_GRID:
            raise TooLarge("A table of the page spans millions of cells; split it and add the parts.")
        if any(cell.text for cell in found):
            heads += row == heads and tags == {"th"}
            placed += found
            row += 1
    return _headed(placed, row, heads)


def _headed(cells: Sequence[GridCell], rows: int, heads: int) -> tuple[GridCell, ...]:
    """Clip spans to the grid, and where no row of it is marked as a header guess whether the first is one."""
    clipped = [replace(cell, rowspan=min(cell.rowspan, rows - cell.row)) for cell in cells]
    if heads >= rows:
        return tuple(replace(cell, header=False) for cell in clipped)
    if heads or any(cell.header for cell in clipped):
        return tuple(clipped)
    width = max((cell.col + cell.colspan for cell in clipped), default=0)
    first = [[""] * width for _ in range(min(rows, 2))]
    for cell in clipped:
        if cell.row < len(first):
            first[cell.row][cell.col] = cell.text
    guessed = guessed_heads(first)
    return tuple(replace(cell, header=cell.row < guessed) for cell in clipped)


def _span(cell: Any, name: str) -> int:
    value = (cell.get(name) or "1").strip()
    return min(_MAX_SPAN, max(1, int(value))) if value.isdecimal() and len(value) < 6 else 1


def read_html(text: str) -> list[Piece]:
    """Read what a page of HTML shows, in order."""
    root = _visible(text)
    token = secrets.token_hex(8)
    tables = list(_taken_out(root, token))
    return list(_with_tables(_partitioned(str(html.tostring(root, encoding="unicode"))), tables, token))


def _taken_out(root: Any, token: str) -> Iterator[tuple[GridCell, ...]]:
    """Put a mark in the place of each table; what only lays a page out becomes plain blocks."""
    number = 0
    for table in reversed(list(root.iter("table"))):
        cells = () if table.find(".//table") is not None else _cells(table)
        if max((cell.row for cell in cells), default=0) and max(cell.col for cell in cells):
            mark = html.Element("p")
            mark.text = f"{token}x{number}x"
            mark.tail = table.tail
            table.getparent().replace(table, mark)
            number += 1
            yield cells
            continue
        for part in [table, *table.iter("thead", "tbody", "tfoot", "tr", "td", "th")]:
            part.tag = "div"


def _with_tables(
    pieces: Sequence[Piece], tables: Sequence[tuple[GridCell, ...]], token: str
) -> Iterator[Piece]:
    mark = re.compile(rf"{token}x(\d+)x")
    for piece in pieces:
        texts = mark.split(piece.text)
        for place, text in enumerate(texts):
            if place % 2:
                yield Piece(kind="table", cells=tables[int(text)])
            elif text.strip():
                yield piece if len(texts) == 1 else Piece(kind="paragraph", text=text.strip())


def _partitioned(page: str) -> list[Piece]:
    _use_blank_pipeline()
    from unstructured.partition.html import partition_html

    elements = partition_html(text=page, languages=[""], image_alt_mode=None)
    # What a picture is said to show (`alt`) is not what the page shows.
    seen = (element for element in elements if element.category != "Image")
    return [piece for element in seen if (piece := _piece(element))]


def visible_html(text: str) -> str:
    """Return the page as HTML without what nobody sees."""
    return str(html.tostring(_visible(text), encoding="unicode"))


def _visible(text: str) -> Any:
    """Parse a page without what nobody sees: scripts, comments, hidden elements, embedded documents."""
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
    try:
        root = html.document_fromstring(text or "<p></p>", parser=parser)
    except (etree.ParserError, ValueError) as error:
        raise Damaged("The page holds no HTML that could be read; save it again from the browser.") from error
    title = (root.findtext(".//title") or "").strip()
    for element in list(root.iter()):
        if _is_unseen(element) and element.getparent() is not None:
            element.drop_tree()
    body = root.find(".//body")
    if title and body is not None and body.find(".//h1") is None:
        heading = html.Element("h1")
        heading.text = title
        body.insert(0, heading)
    return root


def _is_unseen(element: Any) -> bool:
    if not isinstance(element.tag, str) or element.tag in _UNSEEN:
        return True
    if "hidden" in element.attrib or element.get("aria-hidden") == "true":
        return True
    if element.tag == "input":
        return True
    return bool(_HIDDEN_STYLE.search((element.get("style") or "").lower()))


class _Pictures:
    """Reads the words of a file's pictures as unstructured meets them: each once, not too many, no icons."""

    def __init__(self, read: ReadPicture) -> None:
        self.read = read
        self.seen: set[str] = set()

    def words(self, content: bytes) -> str:
        """Return a picture's words; "" for a picture that is small, known, broken or one too many."""
        from PIL import Image, UnidentifiedImageError

        from ingest.sources import MAX_PIXELS

        digest = hashlib.sha256(content).hexdigest()
        if digest in self.seen or len(self.seen) >= _MAX_PICTURES:
            return ""
        self.seen.add(digest)
        try:
            with Image.open(BytesIO(content)) as picture:
                if min(picture.size) < _LEAST_SIDE or picture.width * picture.height > MAX_PIXELS:
                    return ""
                picture.thumbnail((2600, 2600))
                png = BytesIO()
                picture.convert("RGB").save(png, "PNG", compress_level=1)
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
            return ""
        return "\n".join(self.read(png.getvalue()))


def _read_docx(path: Path, pictures: _Pictures | None) -> list[Any]:
    from unstructured.documents.elements import Image
    from unstructured.partition.docx import partition_docx, register_picture_partitioner

    class Words:
        """Says the words in a paragraph's pictures where the pictures stand."""

        @classmethod
        def iter_elements(cls, paragraph: Any, opts: Any) -> Iterator[Any]:
            """Yield one element a picture that has words."""
            for place in paragraph._p.xpath(".//a:blip/@r:embed") if pictures else ():
                part = paragraph.part.related_parts.get(place)
                words = pictures.words(part.blob) if pictures and part is not None else ""
                if words:
                    yield Image(words)

    register_picture_partitioner(Words)
    return list(
        partition_docx(filename=str(path), languages=[""], include_page_breaks=False, strategy="hi_res")
    )


def _read_pptx(path: Path, pictures: _Pictures | None) -> list[Any]:
    from unstructured.documents.elements import ElementMetadata, Image
    from unstructured.partition.pptx import partition_pptx, register_picture_partitioner

    class Words:
        """Says the words in a slide's pictures."""

        @classmethod
        def iter_elements(cls, picture: Any, opts: Any) -> Iterator[Any]:
            """Yield one element for a picture that has words."""
            try:
                words = pictures.words(picture.image.blob) if pictures else ""
            except (ValueError, KeyError, AttributeError):
                return  # linked, not embedded
            if words:
                yield Image(words, metadata=ElementMetadata(page_number=opts.page_number))

    register_picture_partitioner(Words)
    return list(
        partition_pptx(
            filename=str(path),
            languages=[""],
            include_page_breaks=False,
            include_slide_notes=False,
            strategy="hi_res",
        )
    )


def slide_notes(path: Path) -> dict[int, str]:
    """Return what a speaker notes below the slides of a PPTX, by the slide's number."""
    from pptx import Presentation

    notes: dict[int, str] = {}
    for no, slide in enumerate(Presentation(str(path)).slides, start=1):
        frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if frame is not None and (text := clean(frame.text)):
            notes[no] = text
    return notes


def _read_plain(content: bytes) -> list[Piece]:
    return plain_text(_decoded(content))


def _read_md(content: bytes) -> list[Piece]:
    import markdown  # type: ignore[import-untyped]

    page = markdown.markdown(_decoded(content), extensions=["tables", "fenced_code", "sane_lists"])
    return read_html(f"<body>{page}</body>")


def _read_rst(content: bytes) -> list[Piece]:
    from docutils.core import publish_string

    # No file is included and no raw markup taken over; what is wrong with the text stays in it, unreported.
    page = publish_string(
        _decoded(content),
        writer="html5",
        settings_overrides={
            "file_insertion_enabled": False,
            "raw_enabled": False,
            "report_level": 5,
            "halt_level": 5,
            "_disable_config": True,
            "embed_stylesheet": False,
            "stylesheet_path": "",
            "output_encoding": "unicode",
            "doctitle_xform": False,
            "line_length_limit": 100_000,
        },
    )
    return read_html(page if isinstance(page, str) else page.decode())


def _read_epub(path: Path) -> list[list[Piece]]:
    from ingest.epub import read_epub

    return read_epub(path, read_html)


def _read_eml(path: Path) -> list[list[Piece]]:
    from ingest.mail import read_eml

    return read_eml(path, read_html)


def _read_msg(path: Path) -> list[list[Piece]]:
    from ingest.mail import read_msg

    return read_msg(path, read_html)


def _read_xlsx(path: Path) -> list[list[Piece]]:
    from ingest.sheets import read_xlsx

    return read_xlsx(path)


def _read_xls(path: Path) -> list[list[Piece]]:
    from ingest.sheets import read_xls

    return read_xls(path)


def _read_zip(path: Path) -> list[list[Piece]]:
    """Say what is in an archive: the files themselves are documents of their own."""
    from ingest.packed import listing

    names = listing(path)
    if not names:
        return []
    return [
        [Piece(kind="paragraph", text="Files in this archive:"), Piece(kind="list", text="\n".join(names))]
    ]


def _text(path: Path) -> str:
    return _decoded(path.read_bytes())


def _decoded(content: bytes) -> str:
    text = decode(content)
    if len(text) > _MAX_CHARS:
        raise TooLarge(f"The text has over {_MAX_CHARS} characters; split it and add the parts.")
    return text


_OWN_SECTIONS: dict[str, Callable[[Path], list[list[Piece]]]] = {
    CSV: lambda path: read_csv(_text(path)),
    "text/tab-separated-values": lambda path: read_csv(_text(path)),
    EML: _read_eml,
    EPUB: _read_epub,
    JSON: lambda path: read_json(_text(path)),
    JSON_LINES: lambda path: read_json_lines(_text(path)),
    MSG: _read_msg,
    SVG: lambda path: read_xml(_text(path), attributes=False),
    XLS: _read_xls,
    XLSX: _read_xlsx,
    XML: lambda path: read_xml(_text(path)),
    ZIP: _read_zip,
}
_FLOWING: dict[str, Callable[[bytes], list[Piece]]] = {
    HTML: lambda content: read_html(_decoded(content)),
    MARKDOWN: _read_md,
    RST: _read_rst,
}
