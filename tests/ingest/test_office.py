"""Office files set on pages by a real LibreOffice, and without one."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import docx
import pytest

from ingest import office
from ingest.errors import NeedsProgram, NoPageImage
from ingest.reading import Reader
from ingest.records import Reading
from ingest.settings import IngestSettings
from ingest.sources import DOCX, open_source
from tests.ingest.odd_files import WORDS, slides, word_file

pytestmark = pytest.mark.anyio
SETTINGS = IngestSettings(readers=1, threads=1)
WITHOUT = SETTINGS.model_copy(update={"office": "off"})
wants_office = pytest.mark.skipif(office.program() is None, reason="LibreOffice is not installed here")


async def read(folder: Path, name: str, content: bytes, settings: IngestSettings) -> Reading:
    path = folder / name
    path.write_bytes(content)
    source = open_source(path, name=name, settings=settings)
    return await Reader(settings).read(source, pages_dir=folder / "pages", on_page=lambda *at: None)


@wants_office
async def test_a_word_file_gets_real_pages_boxes_and_an_image(tmp_path: Path) -> None:
    reading = await read(tmp_path, "a.docx", word_file(), SETTINGS)
    (page,) = reading.pages
    assert (page.has_image, page.read_by) == (True, "text-layer")
    assert page.reason.startswith("Set on pages by LibreOffice.")
    assert WORDS in " ".join(element.text for element in page.elements)
    assert all(element.box is not None for element in page.elements)
    png = await Reader(SETTINGS).render(tmp_path / "a.docx", DOCX, 1, pages_dir=tmp_path / "pages", dpi=50)
    assert png.startswith(b"\x89PNG")
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {"office.pdf"}


@wants_office
async def test_a_slide_keeps_its_speakers_notes(tmp_path: Path) -> None:
    reading = await read(tmp_path, "a.pptx", slides(), SETTINGS)
    assert reading.pages[0].elements[-1].text == "Speaker notes: Mention the gate."


@wants_office
async def test_libreoffice_fetches_nothing(tmp_path: Path) -> None:
    asked: list[str] = []

    class Records(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Records)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    page = f'<html><img src="http://127.0.0.1:{server.server_port}/x.png"><p>{WORDS}</p></html>'
    path = tmp_path / "a.doc"
    path.write_text(page)
    await office.convert(path, DOCX, tmp_path / "a.pdf", SETTINGS)
    server.shutdown()
    server.server_close()
    assert (tmp_path / "a.pdf").exists()
    assert asked == []


async def test_without_libreoffice_a_word_file_has_sections_and_says_so(tmp_path: Path) -> None:
    reading = await read(tmp_path, "a.docx", word_file(), WITHOUT)
    (page,) = reading.pages
    assert page.has_image is False
    assert "LibreOffice is not here" in page.reason
    assert [element.kind for element in page.elements] == ["title", "paragraph"]
    with pytest.raises(NoPageImage):
        await Reader(WITHOUT).render(tmp_path / "a.docx", DOCX, 1, pages_dir=tmp_path / "pages", dpi=50)


async def test_without_libreoffice_an_old_file_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(NeedsProgram, match="libreoffice-writer"):
        await read(tmp_path, "a.rtf", b"{\\rtf1 Words}", WITHOUT)


@wants_office
async def test_what_libreoffice_cannot_open_is_read_without_it_or_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office, "program", lambda: "/bin/false")
    reading = await read(tmp_path, "a.docx", word_file(), SETTINGS)
    assert "LibreOffice did not help" in reading.pages[0].reason
    assert docx.Document(str(tmp_path / "a.docx")).paragraphs
