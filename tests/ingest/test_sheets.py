from __future__ import annotations

import datetime as dt
from pathlib import Path

import openpyxl
import pytest

from ingest import sheets
from ingest.errors import TooLarge


def test_each_sheet_is_a_section_and_merged_cells_span(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Prices"
    for row in (["Item", "Price"], ["Nut", 3.0], ["Bolt", 0.125]):
        book.active.append(row)
    book.active["B3"].number_format = "0.0%"
    book.active["D6"] = "far away"
    more = book.create_sheet("More")
    more.append([dt.datetime(2024, 5, 1), True, "x"])
    more.append(["a", "b", "c"])
    more.merge_cells("A2:B2")
    hidden = book.create_sheet("Hidden")
    hidden.append(["nobody sees this"])
    hidden.sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    prices, extra = sheets.read_xlsx(tmp_path / "a.xlsx")
    assert [piece.kind for piece in prices] == ["title", "table", "paragraph"]
    assert [cell.text for cell in prices[1].cells] == ["Item", "Price", "Nut", "3", "Bolt", "12.5%"]
    assert [cell.header for cell in prices[1].cells[:3]] == [True, True, False]
    assert [(cell.text, cell.colspan) for cell in extra[1].cells] == [
        ("2024-05-01", 1),
        ("true", 1),
        ("x", 1),
        ("a", 2),
        ("c", 1),
    ]


def test_a_large_sheet_is_streamed_and_a_huge_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = openpyxl.Workbook()
    for no in range(300):
        book.active.append([f"row {no}", no])
    book.save(tmp_path / "a.xlsx")
    monkeypatch.setattr(sheets, "_STREAMED_FROM", 100)
    ((_, table),) = sheets.read_xlsx(tmp_path / "a.xlsx")
    assert len(table.cells) == 600
    monkeypatch.setattr(sheets, "_MAX_CELLS", 500)
    with pytest.raises(TooLarge, match="500 cells"):
        sheets.read_xlsx(tmp_path / "a.xlsx")
