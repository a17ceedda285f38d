"""Files that mean harm and files that were hurt: every one ends in a reading or a typed error.

The large ones, and thousands of mutations, are in `tests/bench/hostile.py`.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from ingest.errors import InputError
from ingest.reading import Reader
from ingest.settings import IngestSettings
from ingest.sources import open_source
from tests.bench.hostile import mutated
from tests.ingest.hostile_files import hostile
from tests.ingest.odd_files import WORDS, honest

pytestmark = pytest.mark.anyio
SETTINGS = IngestSettings(readers=1, threads=1, office="off")
#: Seconds or hundreds of megabytes to make or read.
_LARGE = {
    "zeros.zip",
    "members.zip",
    "members.docx",
    "wide.zip",
    "deep.md",
    "spans.html",
    "frames.gif",
    "circle.tiff",
    "cells.csv",
    "cells.xlsx",
    "cells.html",
    "line.txt",
    "lines.txt",
    "records.json",
    "parts.eml",
    "head.eml",
    "pages.pdf",
    "zeros.pdf",
    "words.pdf",
    "paths.pdf",
    "inline.pdf",
    "sheet.pdf",
}


async def answer(reader: Reader, folder: Path, name: str, content: bytes) -> str:
    path = folder / name
    path.write_bytes(content)
    with tempfile.TemporaryDirectory() as pages:
        try:
            source = open_source(path, name=name, settings=SETTINGS)
            reading = await reader.read(source, pages_dir=Path(pages), on_page=lambda *at: None)
        except InputError as error:
            return error.code
    return reading.outcome


async def test_hostile_files_are_answered_by_what_they_are(tmp_path: Path) -> None:
    reader = Reader(SETTINGS)
    wrong = {}
    for name, makes, allowed in hostile():
        if name not in _LARGE and (code := await answer(reader, tmp_path, name, makes())) not in allowed:
            wrong[name] = code
    assert wrong == {}


async def test_every_format_is_read(tmp_path: Path) -> None:
    reader = Reader(SETTINGS)
    pictures = {"a.png", "a.jpg", "a.tiff", "a.webp", "a.gif"}
    for name, content in honest().items():
        if name in pictures:
            continue
        path = tmp_path / name
        path.write_bytes(content)
        source = open_source(path, name=name, settings=SETTINGS)
        reading = await reader.read(source, pages_dir=tmp_path / "p", on_page=lambda *at: None)
        said = " ".join(element.text for page in reading.pages for element in page.elements)
        said += " ".join(e.text for one in reading.attachments for page in one.pages for e in page.elements)
        assert reading.outcome == "ok", name
        assert WORDS in said or "Crane" in said, name


async def test_mutated_files_end_in_a_reading_or_a_typed_error(tmp_path: Path) -> None:
    """Each of these ran its parsers on bytes that nobody meant; anything untyped fails the test."""
    chance, reader = random.Random(7), Reader(SETTINGS)
    files = {
        name: content
        for name, content in honest().items()
        if not name.endswith(("png", "jpg", "tiff", "webp", "gif", "pdf"))
    }
    codes = set()
    for no in range(100):
        name = chance.choice(list(files))
        codes.add(await answer(reader, tmp_path, f"{no}{Path(name).suffix}", mutated(files[name], chance)))
    assert {"ok", "damaged"} <= codes
