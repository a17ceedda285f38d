"""Topics and scripts: what a question is about and how it is written; where neither is known, it stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from guardrails.errors import PolicyError
from guardrails.nemo import Rails
from guardrails.policy import Policy, load, tighten
from guardrails.rails import Passage
from guardrails.records import Hop
from guardrails.scripts import Scripts
from guardrails.topics import Topics

pytestmark = pytest.mark.anyio
AXES = ("pump", "tide", "stock", "poem")


@dataclass
class AxisEmbedder:
    """Embeds by which of four words a text holds; an error in its place is raised."""

    fails: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.fails is not None:
            raise self.fails
        self.asked += texts
        rows = [[float(word in text.lower()) for word in AXES] + [0.1] for text in texts]
        vectors = np.array(rows, dtype=np.float32)
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def topics(embedder: AxisEmbedder | None = None, **rule: object) -> Topics:
    given: dict[str, object] = {
        "allowed": (),
        "refused": (),
        "refused_words": (),
        "near": 0.6,
        "near_refused": 0.7,
    }
    return Topics(embedder or AxisEmbedder(), **(given | rule))  # type: ignore[arg-type]


async def said(rail: Topics, *texts: str) -> list[str]:
    return [ruling.code for ruling in await rail.judge([Passage(text=text) for text in texts])]


async def test_a_question_near_to_no_allowed_topic_is_declined() -> None:
    rail = topics(allowed=(("How heavy is the pump?", "When is high tide?"),))
    codes = await said(rail, "What does the pump weigh?", "Is the tide high?", "Write me a poem, please.")
    assert codes == ["", "", "off_topic"]


async def test_a_question_must_be_near_to_each_list_of_joined_policies() -> None:
    rail = topics(allowed=(("the pump in hall 7",), ("the tide at the pier",)), near=0.6)
    codes = await said(rail, "What about the pump?", "How do pump and tide go together?")
    assert codes == ["off_topic", ""]


async def test_what_is_near_to_a_refused_topic_is_declined_also_when_it_is_allowed() -> None:
    rail = topics(allowed=(("pump and stock",),), refused=("Which stock shall I buy?",), near=0.5)
    assert await said(rail, "Which stock is best?", "Which pump is best?") == ["off_topic", ""]


async def test_refused_words_want_no_embedder_and_are_whole_words() -> None:
    rail = topics(AxisEmbedder(fails=RuntimeError()), refused_words=("Betting odds",))
    codes = await said(rail, "What are the BETTING  odds?", "betting", "alphabetting odds are fine here")
    assert codes == ["off_topic", "", ""]


async def test_a_word_or_two_name_no_topic() -> None:
    embedder = AxisEmbedder()
    assert await said(topics(embedder, allowed=(("the pump",),)), "And 2023?", "") == ["", ""]
    assert embedder.asked == []


async def test_the_examples_are_embedded_once() -> None:
    embedder = AxisEmbedder()
    rail = topics(embedder, allowed=(("the pump",),))
    await said(rail, "What does the pump weigh?")
    await said(rail, "What does the pump cost?")
    assert embedder.asked.count("the pump") == 1


def _with_topics(**rule: object) -> Policy:
    hops = {"question": [{"rail": "topics", **rule}]}
    return tighten(
        load("default"),
        Policy.model_validate({"name": "t", "version": 1, "extends": "default", "hops": hops}),
    )


async def test_an_embedder_that_fails_closes_the_hop() -> None:
    rails = Rails(
        _with_topics(allowed=["the pump"]), embedder=lambda: AxisEmbedder(fails=RuntimeError("the text"))
    )
    (verdict,) = await rails.screen("question", ["What does the pump weigh?"])
    assert (verdict.decision, verdict.code) == ("block", "undecided")


def test_topics_without_an_embedder_stop_the_start_and_words_alone_do_not() -> None:
    with pytest.raises(PolicyError, match="no embedder"):
        Rails(_with_topics(allowed=["the pump"]))
    Rails(_with_topics(refused_words=["roulette"]))


async def test_the_rails_decline_with_the_policys_words_and_a_score() -> None:
    rails = Rails(_with_topics(allowed=["the pump"]), embedder=AxisEmbedder)
    (verdict,) = await rails.screen("question", ["Write me a poem about nothing."])
    assert (verdict.rail, verdict.code) == ("topics", "off_topic")
    assert verdict.score is not None
    assert 0.4 < verdict.score <= 1
    assert verdict.refusal["en"] == load("default").words("off_topic")["en"]


@pytest.mark.parametrize("hop", ["question"])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("What does the pump weigh?", ""),
        ("¿Cuánto pesa la bomba?", ""),
        ("Сколько весит насос?", "language"),
        ("ポンプの重さは?", "language"),
        ("What does насос mean in the pump manual of 2024?", ""),
        ("2024: 17 %, 3 €", ""),
        ("", ""),
        ("Ｗｈａｔ ｄｏｅｓ ｉｔ ｗｅｉｇｈ", ""),
    ],
)
def test_a_script_that_is_not_allowed_is_declined(hop: Hop, text: str, code: str) -> None:
    assert Scripts(allowed=("Latin",), max_foreign=0.2).look(Passage(text=text)).code == code


def test_scripts_of_two_policies_that_share_none_let_only_signs_pass() -> None:
    rail = Scripts(allowed=(), max_foreign=0.0)
    assert [rail.look(Passage(text=text)).code for text in ("a", "17 %")] == ["language", ""]
