"""The measuring itself: made pages are what they say, and a growth that is known comes out as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.decide import judge
from ingest.pages import Sheet, count_pages, read_sheets
from tests.bench.made_pages import DIFFICULT, a_document
from tests.bench.read_speed import Took, exponent, tell


def test_a_made_document_has_its_pages_and_every_page_its_text_layer(tmp_path: Path) -> None:
    path = tmp_path / "made.pdf"
    path.write_bytes(a_document(12))
    assert count_pages(path) == 12
    sheets = [sheet for sheet in read_sheets(path, 1, 12) if isinstance(sheet, Sheet)]
    assert len({" ".join(word.text for word in sheet.words) for sheet in sheets}) == 12
    assert not any(judge(sheet).needs_eyes for sheet in sheets)
    assert a_document(12) == a_document(12), "the seed decides"


@pytest.mark.parametrize("name", DIFFICULT)
def test_a_difficult_page_is_one_page_and_only_the_scan_needs_eyes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "page.pdf"
    path.write_bytes(DIFFICULT[name]())
    (sheet,) = read_sheets(path, 1, 1)
    assert isinstance(sheet, Sheet)
    assert judge(sheet).needs_eyes is (name == "noisy-scan")
    wide = sheet.width_pt > sheet.height_pt
    assert wide is (name == "turned-table")
    if wide:
        assert {word.turn for word in sheet.words} == {0}, "it reads upright as shown"


@pytest.mark.parametrize("power", [1.0, 1.5])
def test_the_growth_that_is_there_is_the_growth_that_is_told(power: float) -> None:
    growth = [took("pagewarden", pages, pages**power) for pages in (10, 100, 1000) for _ in range(3)]
    assert exponent(growth, lambda run: run.seconds) == pytest.approx(power)


def test_a_ratio_above_one_says_that_ours_is_faster() -> None:
    runs = [
        took("pagewarden", 100, 2.0),
        took("pypdfium2 text", 100, 1.0),
        took("unstructured fast", 100, 8.0),
    ]
    told = tell(runs, [took("pagewarden", n, n) for n in (10, 100)], rounds=1)
    assert "| pypdfium2 text | 100.0 (100.0-100.0) | 0.50 |" in told
    assert "| unstructured fast | 12.5 (12.5-12.5) | 4.00 |" in told


def took(contender: str, pages: int, seconds: float) -> Took:
    return Took(
        contender=contender,
        document="made",
        pages=pages,
        seconds=seconds,
        cpu_s=seconds,
        own_mb=1,
        children_mb=1,
        version="1",
        by_eye=0,
    )
