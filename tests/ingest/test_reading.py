"""Reading in real child processes: they are killed, starved and crashed here."""

from __future__ import annotations

import os
import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from msoffcrypto.format.ooxml import OOXMLFile
from PIL import Image, ImageDraw, ImageFont

from ingest import child, office
from ingest.errors import Damaged, Encrypted, NoPageImage, TooManyPages, Unreadable
from ingest.reading import READER, Reader
from ingest.records import Page
from ingest.settings import IngestSettings
from ingest.sources import open_source
from tests.ingest.odd_files import archive, mail, workbook
from tests.ingest.tiny_pdf import Sheet, Text, tiny_pdf

pytestmark = pytest.mark.anyio
SETTINGS = IngestSettings(readers=1, threads=1)


async def read(
    folder: Path, name: str, content: bytes, *, settings: IngestSettings = SETTINGS
) -> tuple[list[Page], list[tuple[int, int]]]:
    path = folder / name
    path.write_bytes(content)
    source = open_source(path, name=name, settings=settings)
    told: list[tuple[int, int]] = []
    reader = Reader(settings)
    reading = await reader.read(source, pages_dir=folder / "pages", on_page=lambda *at: told.append(at))
    await reader.close()
    return list(reading.pages), told


def words(count: int) -> bytes:
    return tiny_pdf(
        [Sheet(texts=[Text(x=50, y=700, text=f"Words of page {no}")]) for no in range(1, count + 1)]
    )


def said(page: Page) -> str:
    return " ".join(element.text for element in page.elements)


async def test_an_encrypted_and_a_damaged_pdf_come_back_as_their_errors(tmp_path: Path) -> None:
    with pytest.raises(Encrypted):
        await read(tmp_path, "a.pdf", tiny_pdf([Sheet()], encrypt=True))
    with pytest.raises(Damaged):
        await read(tmp_path, "b.pdf", b"%PDF-1.7\n" + b"garbage" * 90)


async def test_a_document_over_the_page_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(TooManyPages, match="3 pages"):
        await read(tmp_path, "a.pdf", words(3), settings=SETTINGS.model_copy(update={"max_pages": 2}))


async def test_pages_come_in_order_and_progress_is_told_for_each(tmp_path: Path) -> None:
    pages, told = await read(tmp_path, "a.pdf", words(30))
    assert [(page.no, said(page)) for page in pages] == [(no, f"Words of page {no}") for no in range(1, 31)]
    assert told == [(no, 30) for no in range(1, 31)]
    assert {page.read_by for page in pages} == {"text-layer"}


async def test_a_page_on_which_a_child_hangs_is_given_up_with_the_reason() -> None:
    raw = child.Draft(
        no=2,
        width_pt=595,
        height_pt=842,
        read_by="ocr-layout",
        reason="The page has no text layer.",
        known=(),
    )
    reader = Reader(SETTINGS.model_copy(update={"page_timeout_s": 0.5}))
    lost = await reader._look(_sleep, raw)
    assert lost.known is None
    assert lost.reason == "The page has no text layer. By eye it could not be read within 0.5 s."


async def test_ranges_that_fail_are_read_page_by_page(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(words(3))
    source = open_source(path, name="a.pdf", settings=SETTINGS)
    reader = Fragile(SETTINGS)
    reading = await reader.read(source, pages_dir=tmp_path, on_page=lambda done, total: None)
    pages = reading.pages
    assert (reading.outcome, reading.reason) == ("partial", "damaged")
    assert [said(page) for page in pages] == ["Words of page 1", "", "Words of page 3"]
    assert pages[1].reason == "The page ended the process that read it."


async def test_a_file_whose_every_page_fails_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(words(20))
    source = open_source(path, name="a.pdf", settings=SETTINGS)
    with pytest.raises(Damaged, match="like 5 before it"):
        await Fragile(SETTINGS, bad=range(1, 21)).read(
            source, pages_dir=tmp_path, on_page=lambda done, total: None
        )


async def test_a_child_that_wants_too_much_memory_fails_alone() -> None:
    reader = Reader(SETTINGS.model_copy(update={"read_memory_bytes": 600 * 1024 * 1024}))
    raw = child.Draft(no=1, width_pt=1, height_pt=1, read_by="ocr-layout", reason="A scan.", known=())
    lost = await reader._look(_starve, raw)
    assert "needs more memory" in lost.reason


async def test_a_broken_office_file_is_damaged(tmp_path: Path) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<nonsense")
    with pytest.raises(Damaged, match="save it again"):
        await read(tmp_path, "a.docx", buffer.getvalue())


async def test_a_format_without_pages_has_sections_and_no_image(tmp_path: Path) -> None:
    pages, told = await read(tmp_path, "a.csv", b"name,price\nNut,3\nBolt,4\n")
    (page,) = pages
    assert (page.read_by, page.has_image, page.elements[0].box) == ("file", False, None)
    assert page.elements[0].text == "name | price\nNut | price: 3\nBolt | price: 4"
    assert [cell.text for cell in page.elements[0].cells[:2]] == ["name", "price"]
    assert told == [(1, 1)]
    with pytest.raises(NoPageImage):
        await Reader(SETTINGS).render(
            tmp_path / "a.csv", "text/csv", 1, pages_dir=tmp_path / "pages", dpi=120
        )


async def test_a_page_that_is_not_there_cannot_be_shown(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(words(1))
    with pytest.raises(Unreadable):
        await Reader(SETTINGS).render(tmp_path / "a.pdf", "application/pdf", 7, pages_dir=tmp_path, dpi=72)
    with pytest.raises(Unreadable, match="not there"):
        await Reader(SETTINGS).render(tmp_path / "a.png", "image/png", 7, pages_dir=tmp_path, dpi=72)


async def test_what_is_packed_in_a_file_is_read_with_it(tmp_path: Path) -> None:
    inner = mail({"fees.csv": b"permit,fee\nBerth,12\n", "broken.pdf": b"%PDF-1.7 nothing"})
    path = tmp_path / "a.zip"
    path.write_bytes(archive({"in/mail.eml": inner, "b.txt": b"Plain words."}))
    source = open_source(path, name="a.zip", settings=SETTINGS)
    reading = await Reader(SETTINGS).read(source, pages_dir=tmp_path / "p", on_page=lambda *at: None)
    assert (reading.outcome, reading.reason) == ("partial", "damaged")
    message, text = reading.attachments
    assert (message.name, text.name, said(text.pages[0])) == ("in/mail.eml", "b.txt", "Plain words.")
    assert [(one.name, one.outcome, one.reason) for one in message.attachments] == [
        ("fees.csv", "ok", None),
        ("broken.pdf", "failed", "damaged"),
    ]


async def test_a_password_opens_what_is_locked(tmp_path: Path) -> None:
    plain, locked = tmp_path / "plain.xlsx", tmp_path / "a.xlsx"
    plain.write_bytes(workbook())
    with plain.open("rb") as file, locked.open("wb") as out:
        OOXMLFile(file).encrypt("open sesame", out)
    source = open_source(locked, name="a.xlsx", settings=SETTINGS)
    reader = Reader(SETTINGS)
    for password in (None, "wrong"):
        with pytest.raises(Encrypted, match="password"):
            await reader.read(source, pages_dir=tmp_path, on_page=lambda *at: None, password=password)
    reading = await reader.read(source, pages_dir=tmp_path, on_page=lambda *at: None, password="open sesame")
    assert "Berth" in said(reading.pages[0])


async def test_a_file_whose_time_is_over_keeps_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(words(60))
    source = open_source(path, name="a.pdf", settings=SETTINGS)
    reading = await Late(SETTINGS).read(source, pages_dir=tmp_path, on_page=lambda *at: None, within_s=6.0)
    assert (reading.outcome, reading.reason) == ("partial", "timeout")
    assert said(reading.pages[0]) == "Words of page 1"
    assert [page.no for page in reading.pages if page.lost] == list(range(25, 61))
    assert "time for the whole file" in reading.pages[30].reason


async def test_a_file_of_which_no_page_is_read_fails_with_the_pages_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(words(2))
    source = open_source(path, name="a.pdf", settings=SETTINGS)
    with pytest.raises(Damaged, match="No page could be read"):
        await Fragile(SETTINGS, bad=range(1, 3)).read(source, pages_dir=tmp_path, on_page=lambda *at: None)


async def test_a_page_is_shown_in_the_size_and_format_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(words(1))
    image = await Reader(SETTINGS).render(
        tmp_path / "a.pdf", "application/pdf", 1, pages_dir=tmp_path, dpi=72, longest=300, form="webp"
    )
    shown = Image.open(BytesIO(image))
    assert (shown.format, max(shown.size)) == ("WEBP", 300)


async def test_a_picture_is_one_scanned_page(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="the extra `local` is not installed")
    picture = Image.new("RGB", (900, 300), "white")
    ImageDraw.Draw(picture).text((40, 100), "Harbour office", fill="black", font=ImageFont.load_default(48))
    buffer = BytesIO()
    picture.save(buffer, "PNG", dpi=(150, 150))
    (page,), told = await read(tmp_path, "scan.png", buffer.getvalue())
    assert (page.read_by, said(page), told) == ("ocr-layout", "Harbour office", [(1, 1)])
    assert page.width_pt == pytest.approx(432, abs=1)
    assert "OCR read 2 words" in page.reason


async def test_a_picture_that_is_cut_off_is_damaged(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.effect_noise((300, 300), 90).save(buffer, "PNG")
    with pytest.raises(Damaged, match="cut off"):
        await read(tmp_path, "scan.png", buffer.getvalue()[:9000])


def test_the_readers_version_tells_how_office_files_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Reader(SETTINGS.model_copy(update={"office": "off"})).version == READER == "reader-3"
    monkeypatch.setattr(office, "program", lambda: "/usr/bin/soffice")
    assert Reader(SETTINGS).version == "reader-3+office"


class Late(Reader):
    """A reader that has no time left after the first pages."""

    async def _in_child(self, call, *, seconds):  # type: ignore[no-untyped-def]
        if call.func is child.read_range and call.args[1] > 1:
            call = _sleep
        return await super()._in_child(call, seconds=seconds)


class Fragile(Reader):
    """A reader whose child dies on some pages."""

    def __init__(self, settings: IngestSettings, bad: range = range(2, 3)) -> None:
        super().__init__(settings)
        self.bad = bad

    async def _in_child(self, call, *, seconds):  # type: ignore[no-untyped-def]
        if call.func is child.read_range and any(call.args[1] <= no <= call.args[2] for no in self.bad):
            call = _die
        return await super()._in_child(call, seconds=seconds)


def _die() -> None:
    os._exit(9)


def _sleep() -> child.Draft:
    time.sleep(60)
    raise AssertionError


def _starve() -> child.Draft:
    child.bound(IngestSettings(read_memory_bytes=600 * 1024 * 1024))
    return bytearray(8 * 1024**3)  # type: ignore[return-value]
