"""Formats without pages: what a DOCX, PPTX, XLSX, CSV, HTML, Markdown, text or e-mail file says, in order.

unstructured reads them, with two changes. Its sentence splitter is replaced by a blank spaCy pipeline: the
stock one downloads a model at the first text (an 872-page DOCX went from 46 s to 2.5 s, same elements). And
HTML loses what nobody sees (scripts, hidden elements) before it gets there: injections live in those places.
"""

from __future__ import annotations

import copy
import csv
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from lxml import etree, html  # type: ignore[import-untyped]

from ingest.errors import Damaged
from ingest.records import ElementKind
from ingest.sources import DOCX, HTML, PPTX, XLSX, decode

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
}
_SKIPPED = {"Header", "Footer", "PageBreak", "PageNumber", "Image"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A block of a file without pages."""

    kind: ElementKind
    text: str
    #: Heading depth from 1; None where the format does not say.
    level: int | None = None
    #: A table's cells, row by row, all rows equally long; the first `heads` rows head the columns.
    rows: tuple[tuple[str, ...], ...] = ()
    heads: int = 0


def read_pieces(path: Path, media_type: str) -> list[list[Piece]]:
    """Read a file into sections of pieces: one a slide or sheet, one in all for flowing formats.

    What the vendors raise on a broken file is left to the caller, the edge of the child process.
    """
    _use_blank_pipeline()
    elements = _READERS[media_type](path)
    sections: dict[int, list[Piece]] = {}
    paged = media_type in {PPTX, XLSX}
    for element in elements:
        number = (element.metadata.page_number or 1) if paged else 1
        piece = _piece(element, plain=media_type == "text/plain")
        if piece is not None:
            sections.setdefault(number, []).append(piece)
    return [sections[number] for number in sorted(sections)]


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


def _piece(element: Any, *, plain: bool) -> Piece | None:
    if element.category in _SKIPPED:
        return None
    kind = _KINDS.get(element.category, "paragraph")
    text = _clean(element.text or "")
    if kind == "table":
        rows, heads = _grid(element.metadata.text_as_html or "")
        if rows:
            return Piece(kind="table", text=text, rows=rows, heads=heads)
        kind = "paragraph"
    if not text:
        return None
    if kind == "title":
        # Only a depth comes from the file; without one, unstructured guessed from a line's looks.
        depth = element.metadata.category_depth
        if depth is not None:
            return Piece(kind="title", text=text, level=min(6, depth + 1))
        if plain and _looks_like_heading(text):
            return Piece(kind="title", text=text, level=2)
        kind = "paragraph"
    return Piece(kind=kind, text=text)


def _looks_like_heading(text: str) -> bool:
    return len(text) <= 80 and (text.isupper() or bool(re.match(r"(?:\d+\.)*\d+\.?\s+[A-Z]|[#=]", text)))


def _clean(text: str) -> str:
    """Drop control characters; keep line breaks, which e-mail and code mean."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").replace("\x0b", "\n")
    text = "".join(c for c in text if c == "\n" or c.isprintable() or c == "\u00a0")
    return re.sub(r"[ \u00a0]+", " ", re.sub(r"\n{3,}", "\n\n", text)).strip()


def _grid(table: str) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Parse an HTML table into equal rows and the count of its header rows; ((), 0) where it is empty."""
    if not table:
        return (), 0
    root = html.fragment_fromstring(table, create_parent=True)
    rows: list[list[str]] = []
    heads = 0
    for line in root.iter("tr"):
        cells: list[str] = []
        tags: set[str] = set()
        for cell in line:
            if cell.tag in {"td", "th"}:
                tags.add(cell.tag)
                cells += [_cell_text(cell)] + [""] * (_span(cell) - 1)
        if any(cells):
            heads += len(rows) == heads and tags == {"th"}
            rows.append(cells)
    width = max((len(row) for row in rows), default=0)
    kept = [i for i in range(width) if any(i < len(row) and row[i] for row in rows)]
    grid = tuple(tuple(row[i] if i < len(row) else "" for i in kept) for row in rows)
    return grid, min(heads or _guessed_heads(grid), max(0, len(grid) - 1))


def _cell_text(cell: Any) -> str:
    return " ".join(_clean(" ".join(cell.itertext())).split())


def _span(cell: Any) -> int:
    value = cell.get("colspan") or "1"
    return min(50, max(1, int(value))) if value.isdigit() else 1


def _guessed_heads(grid: Sequence[Sequence[str]]) -> int:
    """Say whether the first row heads the columns: words (or years) above, all of them short."""
    if len(grid) < 2 or len(grid[0]) < 2:
        return 0
    first = [cell for cell in grid[0] if cell]
    wordy = all(not _is_number(cell) and len(cell) <= 60 for cell in first)
    return int(wordy and len(first) >= max(2, len(grid[0]) - 1))


def _is_number(text: str) -> bool:
    plain = re.sub(r"[\s,.$€£%()+-]", "", text)
    return plain.isdigit() and not re.fullmatch(r"(?:19|20)\d\d", text.strip())


def visible_html(text: str) -> str:
    """Return the page without what nobody sees: scripts, comments, hidden elements, embedded documents."""
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, no_network=True, huge_tree=False)
    try:
        root = html.document_fromstring(text or "<p></p>", parser=parser)
    except (etree.ParserError, ValueError) as error:
        raise Damaged("The page holds no HTML that could be read; save it again from the browser.") from error
    for table in root.iter("table"):
        _expand(table)
    title = (root.findtext(".//title") or "").strip()
    for element in list(root.iter()):
        if _is_unseen(element) and element.getparent() is not None:
            element.drop_tree()
    body = root.find(".//body")
    if title and body is not None and body.find(".//h1") is None:
        heading = html.Element("h1")
        heading.text = title
        body.insert(0, heading)
    return str(html.tostring(root, encoding="unicode"))


def _expand(table: Any) -> None:
    """Repeat cells that stand for several rows in each of them, so that every row is complete.

    unstructured drops `rowspan`, and the cells of the next rows slide to the left.
    """
    if table.find(".//table") is not None:
        return
    hanging: dict[int, tuple[int, Any]] = {}
    for line in table.iter("tr"):
        column, cells = 0, [cell for cell in line if cell.tag in {"td", "th"}]
        for cell in [*cells, None]:
            while column in hanging:
                left, source = hanging.pop(column)
                twin = copy.deepcopy(source)
                twin.attrib.pop("rowspan", None)
                line.append(twin) if cell is None else cell.addprevious(twin)
                if left > 1:
                    hanging[column] = (left - 1, source)
                    column += 1
                    continue
                column += 1
            if cell is None:
                break
            rows = cell.get("rowspan") or "1"
            if rows.isdigit() and 1 < int(rows) <= 1000:
                hanging[column] = (int(rows) - 1, cell)
            column += 1
            for _ in range(_span(cell) - 1):
                cell.addnext(html.Element(cell.tag))
                column += 1
            cell.attrib.pop("colspan", None)


def _is_unseen(element: Any) -> bool:
    if not isinstance(element.tag, str) or element.tag in _UNSEEN:
        return True
    if "hidden" in element.attrib or element.get("aria-hidden") == "true":
        return True
    if element.tag == "input":
        return True
    return bool(_HIDDEN_STYLE.search((element.get("style") or "").lower()))


def _read_docx(path: Path) -> list[Any]:
    from unstructured.partition.docx import partition_docx

    return list(partition_docx(filename=str(path), languages=[""], include_page_breaks=False))


def _read_pptx(path: Path) -> list[Any]:
    from unstructured.partition.pptx import partition_pptx

    return list(partition_pptx(filename=str(path), languages=[""], include_page_breaks=False))


def _read_xlsx(path: Path) -> list[Any]:
    from unstructured.partition.xlsx import partition_xlsx

    return list(partition_xlsx(filename=str(path), languages=[""], include_header=False))


def _read_csv(path: Path) -> list[Any]:
    from unstructured.partition.csv import partition_csv

    # pandas wants equal rows; ragged and oddly encoded files are put straight here.
    text = decode(path.read_bytes())
    rows = list(csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text)))
    width = max((len(row) for row in rows), default=0)
    even = StringIO()
    csv.writer(even).writerows([*row, *[""] * (width - len(row))] for row in rows if row)
    return list(partition_csv(file=BytesIO(even.getvalue().encode()), languages=[""], include_header=False))


def _delimiter(text: str) -> str:
    lines = text.splitlines()[:20]
    return max(
        ",;\t|", key=lambda mark: (min((line.count(mark) for line in lines if line), default=0), mark == ",")
    )


def _read_html(path: Path) -> list[Any]:
    return _partition_html(visible_html(decode(path.read_bytes())))


def _partition_html(text: str) -> list[Any]:
    from unstructured.partition.html import partition_html

    return list(partition_html(text=text, languages=[""], image_alt_mode=None))


def _read_md(path: Path) -> list[Any]:
    import markdown  # type: ignore[import-untyped]

    text = decode(path.read_bytes())
    page = markdown.markdown(text, extensions=["tables", "fenced_code", "sane_lists"])
    return _partition_html(visible_html(f"<body>{page}</body>"))


def _read_text(path: Path) -> list[Any]:
    from unstructured.partition.text import partition_text

    return list(partition_text(text=decode(path.read_bytes()), languages=[""]))


def _read_eml(path: Path) -> list[Any]:
    from unstructured.documents.elements import Text, Title
    from unstructured.partition.email import partition_email

    content = path.read_bytes()
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in content[:200]:
        content = decode(content).encode()
    elements = list(partition_email(file=BytesIO(content), languages=[""], process_attachments=False))
    if not elements:
        return []
    about = elements[0].metadata
    heading: list[Any] = [Title(about.subject)] if about.subject else []
    if heading:
        heading[0].metadata.category_depth = 0
    for name, value in (("From", about.sent_from), ("To", about.sent_to), ("Date", about.last_modified)):
        if value:
            heading.append(Text(f"{name}: {', '.join(value) if isinstance(value, list) else value}"))
    return heading + elements


_READERS: dict[str, Callable[[Path], list[Any]]] = {
    DOCX: _read_docx,
    PPTX: _read_pptx,
    XLSX: _read_xlsx,
    HTML: _read_html,
    "text/csv": _read_csv,
    "text/tab-separated-values": _read_csv,
    "text/markdown": _read_md,
    "text/plain": _read_text,
    "message/rfc822": _read_eml,
}
