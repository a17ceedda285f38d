"""The cache of page images: bounded, oldest used first out, gone with the document, plain pictures only."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from ingest.page_images import LARGE, SMALL, PageFiles, PageImages
from ingest.records import Document, PictureFormat
from tests.fakes import a_document

pytestmark = pytest.mark.anyio


@dataclass
class Painter:
    """Makes "pictures" of 1,000 bytes and remembers which."""

    made: list[tuple[str, int, int | None]] = field(default_factory=list)

    async def render(
        self,
        path: Path,
        media_type: str,
        page_no: int,
        *,
        pages_dir: Path,
        dpi: int,
        longest: int | None = None,
        form: PictureFormat = "png",
    ) -> bytes:
        await anyio.sleep(0.01)
        self.made.append((path.parent.name, page_no, longest))
        return f"{path.parent.name} {page_no} {longest}".encode().ljust(1000)


@dataclass
class Cupboard:
    files: Path
    painter: Painter
    images: PageImages

    def source(self, document: Document) -> PageFiles:
        folder = self.files / document.id / document.revision
        folder.mkdir(parents=True, exist_ok=True)
        return PageFiles(original=folder / "original.pdf", pages_dir=folder / "pages")

    async def get(self, document: Document, page_no: int) -> bytes:
        return await self.images.plain(document, page_no, source=self.source(document), size="large")

    def kept(self) -> list[Path]:
        return sorted(path for path in self.files.rglob("images-*/*") if path.is_file())


def a_cupboard(folder: Path, *, max_bytes: int) -> Cupboard:
    painter = Painter()
    return Cupboard(folder, painter, PageImages(painter, files=folder, dpi=120, max_bytes=max_bytes))


async def test_a_picture_is_made_once_for_each_page_and_size(tmp_path: Path) -> None:
    cupboard, document = a_cupboard(tmp_path, max_bytes=100_000), a_document()
    source = cupboard.source(document)
    for _ in range(2):
        for size in ("small", "large"):
            await cupboard.images.plain(document, 3, source=source, size=size)  # type: ignore[arg-type]
    assert cupboard.painter.made == [(document.revision, 3, SMALL), (document.revision, 3, LARGE)]


async def test_many_who_want_the_same_page_at_once_wait_for_one_picture(tmp_path: Path) -> None:
    cupboard = a_cupboard(tmp_path, max_bytes=100_000)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(cupboard.get, a_document(), 1)
    assert len(cupboard.painter.made) == 1


async def test_a_full_cache_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    cupboard, document = a_cupboard(tmp_path, max_bytes=5_500), a_document()
    for no in range(1, 6):
        await cupboard.get(document, no)
        age(cupboard, no)
    await cupboard.get(document, 1)
    await cupboard.get(document, 6)
    assert sum(path.stat().st_size for path in cupboard.kept()) <= 5_500
    names = {path.name for path in cupboard.kept()}
    assert {"1-large.webp", "6-large.webp"} <= names
    assert not {"2-large.webp", "3-large.webp"} & names


def age(cupboard: Cupboard, no: int) -> None:
    """Make a picture look as old as its number is low: the clock is too coarse for a quick test."""
    for path in cupboard.kept():
        if path.name.startswith(f"{no}-"):
            os.utime(path, (1_000_000 + no, 1_000_000 + no))


async def test_what_a_process_before_left_counts_too(tmp_path: Path) -> None:
    before, document = a_cupboard(tmp_path, max_bytes=10_000), a_document()
    for no in range(1, 10):
        await before.get(document, no)
    (before.kept()[0].parent / "left.part").write_bytes(b"x" * 5_000)
    after = a_cupboard(tmp_path, max_bytes=10_000)
    await after.get(document, 10)
    assert sum(path.stat().st_size for path in after.kept()) <= 10_000


async def test_a_document_that_went_away_meanwhile_gets_no_folder_again(tmp_path: Path) -> None:
    cupboard, document = a_cupboard(tmp_path, max_bytes=10_000), a_document()
    source = PageFiles(original=tmp_path / document.id / "gone" / "original.pdf", pages_dir=tmp_path)
    assert await cupboard.images.plain(document, 1, source=source, size="large")
    assert cupboard.kept() == []
    assert not (tmp_path / document.id).exists()


async def test_a_new_revision_has_pictures_of_its_own(tmp_path: Path) -> None:
    cupboard, document = a_cupboard(tmp_path, max_bytes=10_000), a_document()
    newer = replace(document, revision="f" * 64)
    assert await cupboard.get(document, 1) != await cupboard.get(newer, 1)


async def test_a_cache_of_no_size_keeps_nothing(tmp_path: Path) -> None:
    cupboard = a_cupboard(tmp_path, max_bytes=0)
    await cupboard.get(a_document(), 1)
    assert cupboard.kept() == []
