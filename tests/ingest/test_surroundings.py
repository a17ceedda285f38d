"""What belongs to a chunk: every part of its table, and its neighbours on the page."""

from __future__ import annotations

from ingest.records import Chunk
from ingest.surroundings import around
from tests.fakes import a_chunk


def rows(*labels: str, heads: tuple[str, ...] = ("2022", "2023")) -> str:
    return "\n".join(
        " | ".join((label, *(f"{head}: {n}" for n, head in enumerate(heads)))) for label in labels
    )


def texts(chunks: list[Chunk], asked: Chunk) -> list[str]:
    return [chunk.text for chunk in around(chunks, asked.id)]


UNIT = a_chunk("In millions.", place=0)
TOP = a_chunk(rows("Sales", "Cost"), place=1, kind="table")
REST = a_chunk(rows("Profit"), page_no=2, place=2, kind="table")
OTHER = a_chunk(rows("Staff", heads=("Women", "Men")), page_no=2, place=3, kind="table")
NOTE = a_chunk("Audited.", page_no=3, place=4)


def test_a_table_comes_whole_over_the_page_with_what_stands_above_it() -> None:
    chunks = [UNIT, TOP, REST, OTHER, NOTE]
    whole = [UNIT.text, TOP.text, REST.text, OTHER.text]
    assert texts(chunks, TOP) == whole
    assert texts(chunks, REST) == whole


def test_a_table_under_other_headers_is_another_table() -> None:
    assert texts([REST, OTHER, NOTE], OTHER) == [REST.text, OTHER.text]


def test_neighbours_of_another_page_do_not_belong() -> None:
    assert texts([OTHER, NOTE], NOTE) == [NOTE.text]


def test_a_table_without_headers_stays_by_itself_and_what_is_not_there_has_nothing_around_it() -> None:
    bare = [a_chunk(f"a{n} | b", place=n, kind="table") for n in range(4)]
    assert texts(bare, bare[3]) == [bare[2].text, bare[3].text]
    assert texts(bare, NOTE) == []
    assert around([], "x") == []


def test_an_endless_table_is_not_pulled_in_whole() -> None:
    parts = [a_chunk(rows(f"Row {n}"), place=n, kind="table") for n in range(100)]
    assert len(around(parts, parts[50].id)) < 15
