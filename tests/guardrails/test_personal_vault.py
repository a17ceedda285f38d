"""Reversible masks: what went in comes out again, and nothing of it is seen in between."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from guardrails import personal
from guardrails.vault import Vault

pytestmark = pytest.mark.anyio

ALL = frozenset(personal.KINDS)
VALUES = [
    "jane@example.org",
    "joe.bloggs@example.com",
    "212-555-0198",
    "+49 30 901820",
    "DE89 3704 0044 0532 0130 00",
    "4111 1111 1111 1111",
    "123-45-6789",
    "192.168.1.20",
    "12345678Z",
    "12 Elm Street, Springfield, IL 62701",
]
WORDS = [
    "Mail", "[email 1]", "[phone 2]", "[1]", "[", "]", "[ema", "il 1]", "\u00e9\U0001f600", "\n", " ", ".",
    ", ", "Revenue was 12,345", "Mr. John Smith", "<source n=\"1\">",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from([*VALUES, *WORDS]), max_size=10).map(" ".join)


@given(st.lists(TEXTS, max_size=4))
def test_what_is_masked_and_restored_is_what_it_was(texts: list[str]) -> None:
    vault = Vault(ALL)
    assert [vault.restore(text) for text in vault.mask(texts)] == texts


@given(st.lists(TEXTS, max_size=4))
def test_no_value_that_was_found_is_left_in_any_text(texts: list[str]) -> None:
    found = {t[f.start : f.end] for t in texts for f in personal.find(t, ALL)}
    masked = "\n".join(Vault(ALL).mask(texts))
    assert [
        value for value in found if len(value) > 3 and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", masked)
    ] == []


def test_a_number_that_is_named_once_is_masked_wherever_it_stands() -> None:
    masked = Vault(ALL).mask(["Phone: 5550198", "She wrote 5550198 down; 55501987 is no phone."])
    assert masked == ["Phone: [phone 1]", "She wrote [phone 1] down; 55501987 is no phone."]


def test_the_same_value_gets_the_same_placeholder_and_another_one_another() -> None:
    (masked,) = Vault(ALL).mask(["a@b.org, c@d.org, a@b.org"])
    assert masked == "[email 1], [email 2], [email 1]"


def test_a_placeholder_that_stands_in_a_document_is_given_to_nobody() -> None:
    vault = Vault(ALL)
    assert vault.mask(["Write [email 1].", "Mail a@b.org"]) == ["Write [email 1].", "Mail [email 2]"]
    assert vault.restore("[email 1] [email 2]") == "[email 1] a@b.org"


@pytest.mark.parametrize(
    "said", ["[Email 1]", "[email 01]", "[email1]", "email 1", "[email 9]", "[ email 1]"]
)
def test_what_the_model_garbles_stays_masked(said: str) -> None:
    vault = Vault(ALL)
    vault.mask(["Mail a@b.org"])
    assert vault.restore(said) == said


async def _streamed(vault: Vault, pieces: Sequence[str]) -> list[str]:
    async def stream() -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    async with aclosing(vault.restored(stream())) as restored:
        return [piece async for piece in restored]


@given(TEXTS, st.lists(st.integers(0, 200), max_size=12))
def test_a_stream_is_restored_wherever_its_pieces_end(text: str, cuts: list[int]) -> None:
    vault = Vault(ALL)
    (masked,) = vault.mask([text])
    places = sorted({0, len(masked), *(cut for cut in cuts if cut < len(masked))})
    pieces = [masked[a:b] for a, b in pairwise(places)]
    assert "".join(asyncio.run(_streamed(vault, pieces))) == text


async def test_only_what_may_become_a_placeholder_is_held_back() -> None:
    vault = Vault(ALL)
    vault.mask(["Mail a@b.org"])
    assert await _streamed(vault, ["See [1] and [", "2] or [em", "ail 1] now [emu", "] [email"]) == [
        "See [1] and ",
        "[2] or ",
        "a@b.org now [emu",
        "] ",
        "[email",
    ]


def test_a_vault_tells_nothing_and_goes_nowhere() -> None:
    vault = Vault(ALL)
    assert not vault
    vault.mask(["Mail jane@example.org or ring 212-555-0198"])
    assert vault
    assert f"{vault!r} {vault} {[vault]}" == "Vault(2 values) Vault(2 values) [Vault(2 values)]"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy, JsonPlusSerializer().dumps_typed):
        with pytest.raises(TypeError):
            leave(vault)
    assert not hasattr(vault, "__dict__")


def test_kinds_that_the_policy_does_not_name_are_sent_as_they_are() -> None:
    vault = Vault(frozenset({"email"}))
    assert vault.mask(["jane@example.org 212-555-0198"]) == ["[email 1] 212-555-0198"]
