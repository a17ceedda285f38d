"""What code answers from charts: every rule right, and nothing where chart or question leaves a doubt."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.chart_answers import answered
from agent.chart_parts import parts_of
from agent.charts import Chart, read_charts
from agent.colours import labels_in, named_in
from agent.countries import known_name
from agent.state import Source
from ingest.records import Chunk, Scope

FIRST = """Chart: Households with heat pumps, 2020
Vertical axis, left, numbers: 40% · 30% · 20% · 10% · 0%
Horizontal axis, bottom, labels: Norway · Chile · …nited Kingdom · Japan
Legend: Strong support = #2c6e35 · Weak support = #b7d8b0 · No support = #c0392b"""
SECOND = """Chart: Heat pumps by town
Vertical axis, left, numbers: 20% · 10% · 0%
Horizontal axis, bottom, labels: Jnited Kingdom · Norway · Italy
Written in colour: Old town = #c15065 · New town = #2c8465
Bar: Oslo · 64%
Bar: Rome · 41%
Bar: New Oslo · 12%"""


def charts(
    *texts: str, chosen: Sequence[str] | None = ("a", "b", "c"), question: str = ""
) -> dict[int, Chart]:
    sources = [
        Source(
            n=n,
            chunk=Chunk(
                id=name, document_id=name, revision="r", page_no=1, kind="figure", text=text, spans=()
            ),
            name=f"{name}.png",
            score=1.0,
            text=text,
        )
        for n, (name, text) in enumerate(zip("abc", texts, strict=False), start=1)
    ]
    documents = tuple(chosen[: len(texts)]) if chosen is not None else None
    return read_charts(sources, Scope(tenant="t", collections=("c",), documents=documents), question)


def told(question: str, *texts: str) -> str | None:
    said = answered(question, charts(*(texts or (FIRST, SECOND))))
    return said.text if said else None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (
            "What is the spatially highest labeled tick on the vertical axis in the first chart?",
            "The highest labelled tick on the vertical axis of the first chart is 40%.",
        ),
        (
            "What is the rightmost labelled tick on the horizontal axis in the second chart?",
            "The rightmost labelled tick on the horizontal axis of the second chart is Italy.",
        ),
        (
            "What is the lowest label on the y-axis of the first chart?",
            "The lowest labelled tick on the vertical axis of the first chart is 0%.",
        ),
        (
            "What share of the town of Rome has heat pumps in the second chart?",
            "In the second chart, Rome is 41%.",
        ),
        (
            "How many labeled ticks are there on the vertical axis in the first chart?",
            "The vertical axis of the first chart has 5 labelled ticks.",
        ),
        (
            "How many labeled countries are there on the horizontal axis in the first chart?",
            "The horizontal axis of the first chart has 4 labelled countries.",
        ),
        (
            "What is difference between consecutive numerical tick values on the vertical axis in the first "
            "chart?",
            "Consecutive ticks on the vertical axis of the first chart differ by 10%.",
        ),
        (
            "What is the difference between the maximum and minimum values of the tick labels on the "
            "vertical axis in the second chart?",
            "The largest and the smallest tick on the vertical axis of the second chart differ by 20%.",
        ),
        ("What is the title of the second chart?", "The title of the second chart is “Heat pumps by town”."),
        (
            "What is the dark green label in the legend of the first chart?",
            "In the first chart, dark green stands for “Strong support”.",
        ),
        (
            "What does the color red represent in the second chart?",
            "In the second chart, red stands for “Old town”.",
        ),
        (
            "How many of the same tick values are there on the vertical axis in the second chart and the "
            "first chart?",
            "The second and the first chart have 3 tick values in common on the vertical axes.",
        ),
        (
            "How many of the same labels are there on the horizontal axis in the first chart and the second "
            "chart?",
            "The first and the second chart have 2 labels in common on the horizontal axes.",
        ),
        (
            "Which town has the highest share of heat pumps in the second chart?",
            "In the second chart, Oslo has the highest value, 64%.",
        ),
        (
            "What is the percentage of heat pumps in New Oslo in the second chart?",
            "In the second chart, New Oslo is 12%.",
        ),
        (
            "What does the horizontal axis of the first chart represent?\nNote that this is a choice.\n"
            "A. Years\nB. Countries\nC. Prices",
            "The horizontal axis of the first chart represents B, “Countries”.",
        ),
        (
            "1. What is the title of the second chart?\nNote that it must be written.\n2. How many labeled "
            "ticks are there on the vertical axis in the second chart?\nYour answer format: first; second",
            "The title of the second chart is “Heat pumps by town”; the vertical axis of the second chart "
            "has 3 labelled ticks.",
        ),
    ],
)
def test_what_is_printed_is_answered(question: str, answer: str) -> None:
    assert told(question) == answer


@pytest.mark.parametrize(
    "question",
    [
        "What is the leftmost labeled tick on the horizontal axis in the third chart?",
        "What does the color green represent in the first chart?",
        "What does the dashed red line represent in the second chart?",
        "What is the general trend of the line from left to right in the first chart?",
        "Which town has the highest rainfall in March in the second chart?",
        "What is the percentage of heat pumps in Turin in the second chart?",
        "1. What is the title of the first chart?\n2. What is the trend in the second chart?",
        "Firstly extract the title of the first chart. Then how many words has it?",
        "1. What is the title of the first chart?\n2. What is the title of the second chart?\n"
        "Now the final answer is the number of words they share.",
        "What is the spatially highest labeled tick on the vertical axis, and which bar reaches it?",
        "What does the horizontal axis of the first chart represent?\nA. Countries of birth\nB. Countries",
    ],
)
def test_what_is_not_certain_is_left_alone(question: str) -> None:
    assert told(question) is None


def test_without_an_order_no_chart_is_the_second() -> None:
    assert charts(FIRST, SECOND, chosen=None) == {}
    assert charts(FIRST, chosen=None) == {}


def test_without_an_order_a_chart_is_meant_by_its_title() -> None:
    question = "Which town has the highest share of heat pumps in the chart Heat pumps by town?"
    assert [chart.title for chart in charts(FIRST, SECOND, chosen=None, question=question).values()] == [
        "Heat pumps by town"
    ]


def test_the_order_is_that_of_the_chosen_documents() -> None:
    found = charts(FIRST, SECOND, chosen=("b", "a"))
    assert [found[place].title for place in (1, 2)] == [
        "Heat pumps by town",
        "Households with heat pumps, 2020",
    ]


def test_two_axes_that_differ_are_no_axis() -> None:
    two = f"{FIRST}\nVertical axis, left, numbers: 9 · 6 · 3"
    question = "What is the spatially highest labeled tick on the vertical axis in the chart?"
    assert told(question, two) is None
    assert told(question, FIRST) == "The highest labelled tick on the vertical axis of the chart is 40%."


def test_a_tick_that_the_edge_cuts_off_is_counted_and_not_told() -> None:
    cut = "Chart.\nHorizontal axis, bottom, labels: …ited Kingdom · Norway · Italy"
    assert told("What is the leftmost labeled tick on the horizontal axis in the chart?", cut) is None
    assert told("How many labeled ticks are there on the horizontal axis in the chart?", cut) is not None


@given(
    first=st.integers(-50, 50),
    step=st.integers(1, 50),
    count=st.integers(3, 9),
    shift=st.integers(-5, 5),
    stride=st.integers(1, 3),
)
def test_ticks_in_common_are_those_in_both(
    first: int, step: int, count: int, shift: int, stride: int
) -> None:
    ours = [first + step * i for i in range(count)]
    theirs = [first + step * (shift + stride * i) for i in range(count)]
    texts = [
        "Chart.\nVertical axis, left, numbers: " + " · ".join(map(str, reversed(v))) for v in (ours, theirs)
    ]
    said = told(
        "How many of the same tick values are there on the vertical axis in the first chart and the second "
        "chart?",
        *texts,
    )
    shared = len(set(ours) & set(theirs))
    assert said == f"The first and the second chart have {shared} tick values in common on the vertical axes."


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("…nited Kingdom", "united kingdom"),
        ("Inited Kingdom", "united kingdom"),
        ("hited Kingdom", "united kingdom"),
        ("…nited St...", "united states"),
        ("Austria", "austria"),
        ("Ire", ""),
        ("Birmingham", ""),
        ("…land", ""),
    ],
)
def test_a_country_is_known_again_where_it_can_be_only_one(said: str, meant: str) -> None:
    assert known_name(said) == meant


def test_a_colour_is_a_label_only_where_one_alone_is_called_so() -> None:
    keys = [("a", "#2c6e35"), ("b", "#b7d8b0"), ("c", "#c0392b"), ("d", "#1f77b4")]
    assert labels_in(("", "red"), keys) == "c"
    assert labels_in(("dark", "green"), keys) == "a"
    assert labels_in(("light", "green"), keys) == "b"
    assert labels_in(("", "green"), keys) is None
    assert labels_in(("", "yellow"), keys) is None
    assert named_in("the red and the blue line") is None


def test_parts_are_told_from_how_to_answer() -> None:
    parts = parts_of(
        "The first chart is <image>. Question: 1. What is A in the first chart?\nNote that it is short. Omit "
        "units.\n2. What is B?\nA. one\nB. two\nNow that you have got the answers for the two questions. "
        "Your answer format"
    )
    assert [(part.text, part.options, part.places) for part in parts] == [
        ("What is A in the first chart", (), (1,)),
        ("What is B", (("A", "one"), ("B", "two")), ()),
    ]
