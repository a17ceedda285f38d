"""What stands in the margin: what runs is dropped, what says something stays."""

from __future__ import annotations

import pytest

from ingest.structure import Word, finish, lay_out

WIDTH, HEIGHT = 600.0, 800.0


def line(text: str, x: float, y: float, *, size: float = 10, bold: bool = False) -> list[Word]:
    words, at = [], x
    for token in text.split(" "):
        end = at + len(token) * size / 2
        words.append(Word(token, at, y, end, y + 1.2 * size, size, bold))
        at = end + size / 4
    return words


def body(y: float = 120, lines: int = 40) -> list[Word]:
    return [w for i in range(lines) for w in line(f"l{i} " + "word " * 17 + "more", 50, y + 13 * i)]


def read(*pages: list[Word]) -> list[str]:
    """Return what is kept of each page, less its body."""
    kept = finish([lay_out(words, width=WIDTH, height=HEIGHT) for words in pages])
    return [" / ".join(e.text for e in page if not e.text.startswith("l0 ")) for page in kept]


@pytest.mark.parametrize(
    "number", ["7", "- 7 -", "Page 7 of 12", "vii", "XIV", "[7]", "7 / 12", "A-3", "Seite 7", "第7页"]
)
@pytest.mark.parametrize("y", [30, 770])
def test_a_page_number_goes_from_a_single_page(number: str, y: float) -> None:
    assert read(body() + line(number, 290, y)) == [""]


@pytest.mark.parametrize(
    "stamp",
    [
        "Downloaded from http://journal.example.org/ on July 12, 2017",
        "Download date: 28 Dec 2018",
        "Digitized by Somebody",
        "Authorized licensed use limited to: A University. Restrictions apply.",
        "www.example.com",
    ],
)
@pytest.mark.parametrize("y", [20, 775])
def test_a_stamp_goes_from_a_single_page(stamp: str, y: float) -> None:
    assert read(body() + line(stamp, 100, y, size=8)) == [""]


@pytest.mark.parametrize(
    "text",
    [
        "© 2020 The Company. All rights reserved.",
        "Journal of Things, Vol. 12, No. 3, pp. 4-18",
        "doi: 10.1136/tc.2003.006676",
    ],
)
def test_small_lines_of_the_publisher_go(text: str) -> None:
    assert read(body() + line(text, 100, 770, size=8)) == [""]
    # Set like the body they are the body's.
    assert read(body() + line(text, 100, 770)) == [text]


def test_a_running_title_goes_with_the_number_beside_it() -> None:
    assert read(body() + line("Advocacy in Action", 50, 20, size=8) + line("447", 530, 20, size=8)) == [""]
    spread = line("208", 40, 770) + line("Global Study on Aid", 200, 770) + line("209", 550, 770)
    assert read(body() + spread) == [""]


def test_a_stamp_up_the_side_goes_and_a_label_up_the_side_stays() -> None:
    stamp = [
        Word("arXiv:2401.01234v1", 15, 400, 35, 560, 20, turn=270),
        Word("[cs.CL]", 15, 300, 35, 390, 20, turn=270),
    ]
    assert read(body() + stamp) == [""]
    assert read([*body(), Word("Temperature", 15, 400, 25, 460, 10, turn=270)]) == ["Temperature"]


@pytest.mark.parametrize(
    "kept",
    [
        # A letterhead, the date of a letter, a title, a year, the last line of a page.
        line("ACME Ltd, 12 Main Street, Springfield", 50, 30, size=8),
        line("January 10th 1864", 400, 60),
        line("The Annual Report", 150, 40, size=22, bold=True),
        line("2024", 280, 40, size=12),
        line("signed by both of the parties.", 50, 745),
        line("3 Results", 50, 60, bold=True),
    ],
    ids=lambda words: words[0].text,
)
def test_what_says_something_stays_on_a_single_page(kept: list[Word]) -> None:
    assert read(body() + kept) == [" ".join(w.text for w in kept)]


def test_contents_with_page_numbers_stay() -> None:
    words = []
    for i in range(12):
        words += line(f"Chapter {i} of the book", 50, 40 + 30 * i) + line(str(3 + 7 * i), 540, 40 + 30 * i)
    assert "Chapter 0 of the book" in read(words)[0]


def test_the_header_of_a_table_at_the_top_stays() -> None:
    words = line("Year", 50, 40) + line("2022", 300, 40) + line("2023", 400, 40)
    for i in range(8):
        words += line(f"Line {i}", 50, 70 + 14 * i) + line(f"{i}1,0", 300, 70 + 14 * i)
        words += line(f"{i}2,0", 400, 70 + 14 * i)
    assert "2022" in read(words + body(y=300, lines=20))[0]


def test_numbers_that_count_the_pages_go_with_their_titles() -> None:
    pages = [
        body() + line(f"{title} {no}" if no % 2 else f"{no} {title}", 50, 770, size=8)
        for no, title in enumerate(("Safety", "Care", "Cleaning", "Repair", "Parts"), start=11)
    ]
    assert read(*pages) == [""] * 5


def test_numbers_that_do_not_count_stay() -> None:
    pages = [body() + line(f"Exhibit {no}", 50, 30) for no in (31, 45, 12, 90)]
    assert read(*pages) == ["Exhibit 31", "Exhibit 45", "Exhibit 12", "Exhibit 90"]


def test_words_of_the_body_that_repeat_on_a_few_pages_stay() -> None:
    pages = [body(y=61, lines=45) for _ in range(12)]
    for page in pages[:3]:
        page += line("Model answer", 50, 48)
    assert read(*pages)[0] == "Model answer"


def test_a_title_stays_where_its_words_run_on_the_pages_after() -> None:
    first = line("Trade in Europe", 100, 40, size=24, bold=True) + body()
    rest = [line("Trade in Europe", 50, 30, size=8) + body() for _ in range(4)]
    assert read(first, *rest) == ["Trade in Europe", "", "", "", ""]


def test_a_page_of_nothing_but_a_number_keeps_it() -> None:
    assert read(line("42", 290, 770)) == ["42"]
