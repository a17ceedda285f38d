"""Accents drawn as glyphs of their own: which letter they stand on."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.glyphs import FILL, with_accents

Boxes = dict[int, tuple[float, float, float, float]]


def typed(text: str, over: dict[int, int]) -> tuple[str, Boxes]:
    """Set a text by typewriter, 6 points a character; `over`: the accent at a place stands over another's."""
    boxes: Boxes = {}
    x = 0.0
    for place, sign in enumerate(text):
        if place not in over and sign != " ":
            boxes[place] = (x, 0.0, x + 6, 8.0)
        x += 0 if place in over or _is_made_up(text, place, over) else 6
    for place, letter in over.items():
        left, _, right, _ = boxes[letter]
        boxes[place] = (left + 1, 6.0, right - 1, 9.0)
    return text, boxes


def _is_made_up(text: str, place: int, over: dict[int, int]) -> bool:
    """Say whether a blank stands in the text only, beside an accent, not on the page."""
    return text[place] == " " and (place + 1 in over or place - 1 in over)


@pytest.mark.parametrize(
    ("text", "over", "read"),
    [
        ("Min´ac", {3: 4}, "Minác"),
        ("Jan Min ´ ac", {8: 1}, "Ján Minac"),
        ("Ili ´ c and more", {4: 6}, "Ilić and more"),
        ("na¨ıve", {2: 3}, "naïve"),
        ("fran¸cais", {4: 5}, "français"),
    ],
)
def test_an_accent_goes_to_the_letter_that_it_stands_over(text: str, over: dict[int, int], read: str) -> None:
    set_text, boxes = typed(text, over)
    found = with_accents(set_text, boxes.get)
    assert len(found) == len(text)
    assert found.replace(FILL, "") == read


def test_an_accent_over_nothing_stays() -> None:
    text, boxes = typed("5´ 3", {})
    boxes[1] = (300.0, 6.0, 304.0, 9.0)
    assert with_accents(text, boxes.get) == text


@given(st.text("ab ´ˇ¨", max_size=12))
def test_letters_are_neither_lost_nor_made(text: str) -> None:
    boxes = {i: (6.0 * i, 0.0, 6.0 * i + 6, 8.0) for i, c in enumerate(text) if c != " "}
    found = with_accents(text, boxes.get)
    assert len(found) == len(text)
    bare = [c for c in unicodedata.normalize("NFD", found) if c in "ab"]
    assert bare == [c for c in text if c in "ab"]
