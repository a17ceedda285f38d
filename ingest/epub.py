"""E-books: the chapters of an EPUB in the order of its spine, each a section.

The package file names every part and the order to read them in; what the spine does not name (covers, style,
fonts, scripts) is not read. The archive was judged before (`archives.judge_document`): no entities, no traps.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from ingest.charset import decode
from ingest.errors import Damaged
from ingest.sections import Piece

_MAX_CHAPTERS = 5000


def read_epub(path: Path, read_html: Callable[[str], list[Piece]]) -> list[list[Piece]]:
    """Read a book's chapters; raises Damaged where it names no chapter that is there."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        chapters = list(dict.fromkeys(_spine(archive)))[:_MAX_CHAPTERS]
        sections = [read_html(decode(archive.read(name))) for name in chapters if name in names]
    if not any(name in names for name in chapters):
        raise Damaged("The book names no chapter that is in it; save it again at its source.")
    return [section for section in sections if section]


def _spine(archive: zipfile.ZipFile) -> Iterator[str]:
    """Name the chapters' files in reading order."""
    try:
        container = _tree(archive.read("META-INF/container.xml"))
        place = next(one.get("full-path") for one in container.iter() if _local(one.tag) == "rootfile")
        package = _tree(archive.read(str(place)))
    except (KeyError, StopIteration) as error:
        raise Damaged("The book's table of parts is missing; save it again at its source.") from error
    parts = {one.get("id"): one.get("href") for one in package.iter() if _local(one.tag) == "item"}
    folder = posixpath.dirname(str(place))
    for one in package.iter():
        href = parts.get(one.get("idref")) if _local(one.tag) == "itemref" else None
        if href:
            yield posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0])))


def _tree(content: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(
            re.sub(r"<!DOCTYPE[^>\[]*>|<\?xml[^>]*\?>", "", decode(content)).strip()
        )
    except ElementTree.ParseError as error:
        raise Damaged("The book's table of parts is broken; save it again at its source.") from error


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
