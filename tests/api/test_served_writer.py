"""What the client of a served model is told about its server: by its provider's row and by the settings."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from agent.records import Question
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from api.chat import ChatRequest, Narrowing, question_of
from api.settings import ApiSettings
from api.wiring import served_writer
from ingest.records import Scope
from ingest.served import Call, Message, Traits
from tests.agent.test_ask import PROSE, REPORT
from tests.fakes import FakeLibrary, FakeModel, FakeRails

pytestmark = pytest.mark.anyio

NANO = "nvidia/nemotron-nano-12b-v2-vl"
SCOPE = Scope(tenant="acme", collections=("default",))


def client(**more: Any) -> Any:
    return served_writer(ApiSettings(model_url="http://127.0.0.1:9/v1", **{"model": NANO} | more))


@pytest.mark.parametrize(
    ("provider", "model", "switch"),
    [
        ("vllm", NANO, "words"),
        ("vllm", "meta/llama-3", "none"),  # only one family knows the words
        ("nim", NANO, "words"),
        ("sglang", NANO, "template"),
        ("ollama", NANO, "none"),
        (None, NANO, "words"),  # whose server it is does not matter to the family
        (None, "house/tuned", "none"),
    ],
)
async def test_a_model_is_told_whether_to_think_as_its_server_and_family_want(
    provider: str | None, model: str, switch: str
) -> None:
    made = client(provider=provider, model=model)
    assert made.traits.switch == switch
    assert client(provider=provider, model=model, model_switch="template").traits.switch == "template"


async def test_only_what_a_server_understands_is_sent_to_it() -> None:
    told = {"counts_pieces": True, "tokenizes": True, "tells_load": True}
    assert client(provider="vllm", model_sees_images=True).traits == Traits(
        switch="words", sees_videos=True, **told
    )
    hosted = client(provider="fireworks", model_sees_images=True)
    assert hosted.traits == Traits(switch="words", tells_load=False)
    assert hosted.sees_images
    extra = client(provider="vllm", model_prioritises=True, model_salts=True).traits
    assert (extra.prioritises, extra.salts) == (True, True)


async def test_the_house_may_think_and_a_question_may_say_otherwise() -> None:
    thinks = client(model_reasoning="on")
    assert thinks.will_reason()
    assert not thinks.will_reason("off")
    assert not thinks.will_reason("on", video=True)
    assert not thinks.will_reason("on", schema=True)
    assert not client().will_reason()
    assert client().will_reason("auto")
    assert not client(model="house/tuned").will_reason("on")  # nothing there to switch it on by


class Recorded(FakeModel):
    """Notes with what it was asked."""

    async def stream(self, messages, *, reasoning=None, call=None, **more):  # type: ignore[no-untyped-def]
        self.told = (reasoning, call)
        async with aclosing(super().stream(messages, **more)) as pieces:
            async for piece in pieces:
                yield piece


@pytest.mark.parametrize(("asked", "reasoned"), [(None, False), ("off", False), ("on", True), ("auto", True)])
async def test_a_question_says_whether_to_think_and_the_answer_whether_it_was(
    asked: Any, reasoned: bool
) -> None:
    model = Recorded(says=["The plant opened in 1987 [1]."])
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PROSE])]),
        rails=FakeRails(),
        model=model,
        settings=AgentSettings(),
    )
    answer = await agent.answer(
        Question(text="When did the plant in Marlow open?", scope=SCOPE, reasoning=asked)
    )
    assert model.told == (asked, Call(tenant="acme", purpose="write"))
    assert answer.reasoned == reasoned
    silent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PROSE])]),
        rails=FakeRails(),
        model=None,
        settings=AgentSettings(),
    )
    assert not (await silent.answer(Question(text="When?", scope=SCOPE, reasoning="on"))).reasoned


def test_a_chat_request_may_choose_whether_to_think_and_nothing_else_about_it() -> None:
    body: dict[str, Any] = {"model": "pagewarden", "messages": [{"role": "user", "content": "When?"}]}
    assert read(body).reasoning is None
    assert read(body | {"pagewarden": {"reasoning": "on"}}).reasoning == "on"
    for wrong in ({"reasoning": "hard"}, {"reasoning": "on", "thought_tokens": 9}):
        with pytest.raises(ValueError, match="pagewarden"):
            ChatRequest.model_validate(body | {"pagewarden": wrong})


def read(body: dict[str, Any]) -> Question:
    asked = ChatRequest.model_validate(body)
    return question_of(asked.messages, SCOPE, asked.pagewarden or Narrowing())


def test_a_prompt_that_says_not_to_think_says_it_once() -> None:
    from ingest.turns import with_switch

    said = with_switch(
        [Message(role="system", text="/no_think"), Message(role="user", text="?")], thinks=False
    )
    assert [m.text for m in said] == ["/no_think", "?"]
    said = with_switch([Message(role="system", text="/no_think\nBe brief. /think")], thinks=True)
    assert [m.text for m in said] == ["/think\nBe brief. / think"]
