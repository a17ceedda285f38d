"""The splitter of the release gate: whole sentences, wherever the stream was cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.release import sentences


async def _streamed(pieces: Sequence[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


def split(pieces: Sequence[str], *, max_chars: int = 400) -> list[str]:
    async def gather() -> list[str]:
        return [s async for s in sentences(_streamed(pieces), max_chars=max_chars)]

    return asyncio.run(gather())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\n ", []),
        ("No stop at all", ["No stop at all"]),
        ("It rose 3.5 % to $1.2 million. It fell.", ["It rose 3.5 % to $1.2 million.", "It fell."]),
        (
            "It rose [1]. It fell.[2] It stood. [3] Done.",
            ["It rose [1].", "It fell.[2]", "It stood. [3]", "Done."],
        ),
        ("Both [1][2]. One. [1, 2] End", ["Both [1][2].", "One. [1, 2]", "End"]),
        ("The U.S. Army grew, e.g. by 3. It paid.", ["The U.S. Army grew, e.g. by 3.", "It paid."]),
        ("In the U.S. The firm grew.", ["In the U.S.", "The firm grew."]),
        ("See No. 5, Fig. 3 and p. 9. Then stop.", ["See No. 5, Fig. 3 and p. 9.", "Then stop."]),
        ("He said no. Then he left.", ["He said no.", "Then he left."]),
        ("Dr. J. R. Smith wrote it. Yes!", ["Dr. J. R. Smith wrote it.", "Yes!"]),
        ("- one [1]\n- two\n1. Three.\n2. Four", ["- one [1]", "- two", "1. Three.", "2. Four"]),
        ('He said "Stop." [1] And left.', ['He said "Stop." [1]', "And left."]),
        (
            "See example.com/a.b or 10.1.2. Fine?! Well… Good",
            ["See example.com/a.b or 10.1.2.", "Fine?!", "Well…", "Good"],
        ),
        ("今日は。[1] 元気？はい", ["今日は。[1]", "元気？", "はい"]),
    ],
)
def test_a_text_becomes_these_sentences(text: str, expected: list[str]) -> None:
    assert split([text]) == expected
    assert split(list(text)) == expected


def test_a_run_too_long_is_cut_at_a_blank_and_never_inside_a_marker() -> None:
    assert split(["word " * 5 + "end [1, 2] tail"], max_chars=32) == [
        "word word word word word end",
        "[1, 2] tail",
    ]
    assert split(["x" * 25], max_chars=10) == ["x" * 10, "x" * 10, "x" * 5]


def test_a_sentence_is_released_before_the_next_one_is_complete() -> None:
    async def first() -> str:
        async def endless() -> AsyncIterator[str]:
            yield "It rose [1]. The "
            yield "next sentence "
            await asyncio.Event().wait()

        stream = sentences(endless(), max_chars=400)
        return await asyncio.wait_for(anext(stream), timeout=10)

    assert asyncio.run(first()) == "It rose [1]."


_TEXTS = st.lists(
    st.sampled_from(
        [
            "Revenue",
            "U.S.",
            "e.g.",
            "No.",
            "5",
            "3.5",
            "[1]",
            "[1, 2]",
            "[",
            "]",
            ".",
            "!",
            "?",
            "…",
            "\n",
            "\n\n",
            " ",
            "Fig.",
            "a",
            "The",
            "Inc.",
            "1.",
            '"',
            ")",
            "。",
            "word " * 9,
            "x" * 30,
            "\t",
            "v.2",
            "[12",
        ]
    ),
    max_size=40,
).map("".join)


@given(_TEXTS, st.data())
def test_sentences_do_not_depend_on_where_the_stream_was_cut(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert split(pieces, max_chars=60) == split([text], max_chars=60) == split(list(text), max_chars=60)


@given(st.one_of(_TEXTS, st.text(max_size=200)))
def test_nothing_is_lost_and_nothing_is_too_long(text: str) -> None:
    found = split([text], max_chars=50)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(0 < len(sentence) <= 50 for sentence in found)
