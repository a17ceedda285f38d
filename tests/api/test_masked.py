"""A model of somebody else's: what it is asked holds nobody's data, and what it says is whole again."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from agent.records import Question, Step
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from agent.threads import Threads
from api.masked import COPY_THEM, MaskedModel
from api.settings import ApiSettings
from api.wiring import _asked
from guardrails.errors import PolicyError
from guardrails.personal import KINDS
from guardrails.vault import Vault
from ingest.errors import ModelReply
from ingest.served import Message, ServedModel
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document
from tests.model_server import model_server, said

pytestmark = pytest.mark.anyio

SECRET = ("ada@berg.example", "212-555-0198", "DE89 3704 0044 0532 0130 00")
PROMPT = [
    Message(role="system", text="You answer from sources."),
    Message(role="user", text=f"Mail {SECRET[0]}, ring {SECRET[1]}, pay {SECRET[2]}. Again: {SECRET[0]}."),
]


class Hosting:
    """What policies say, scripted."""

    def __init__(self, *, pictures: bool = True) -> None:
        self.pictures = pictures
        self.vaults: list[Vault] = []

    def vault(self) -> Vault:
        """Return a vault of all kinds."""
        self.vaults.append(Vault(frozenset(KINDS) - {"person", "organisation"}))
        return self.vaults[-1]

    def sends_pictures(self) -> bool:
        """Say what was scripted."""
        return self.pictures


class Told(BaseModel):
    sentence: str = Field(max_length=40)
    parts: list[dict[str, str]] = []
    source: int = 0


def seen(model: FakeModel) -> str:
    return "\n".join(message.text for asked in model.asked for message in asked)


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def heard(model: MaskedModel, messages: Sequence[Message] = PROMPT) -> str:
    async with aclosing(model.stream(messages, max_tokens=10)) as pieces:
        return "".join([piece async for piece in pieces])


async def test_the_model_sees_marks_and_its_stream_is_whole_again_wherever_it_is_cut() -> None:
    inner = FakeModel(says=["Write to [em", "ail", " 1] or [phone 1", "] [1], not [phone 2]."])
    told = await heard(MaskedModel(inner, Hosting()))
    assert told == "Write to ada@berg.example or 212-555-0198 [1], not [phone 2]."
    assert not [value for value in SECRET if value in seen(inner)]
    assert inner.asked[0][1].text == "Mail [email 1], ring [phone 1], pay [iban 1]. Again: [email 1]."
    assert inner.asked[0][0].text == PROMPT[0].text + COPY_THEM


async def test_a_request_without_personal_data_is_asked_as_it_is() -> None:
    inner = FakeModel(says=["340 litres [1]."])
    plain = [PROMPT[0], Message(role="user", text="How many litres?")]
    assert await heard(MaskedModel(inner, Hosting()), plain) == "340 litres [1]."
    assert list(inner.asked[0]) == plain


async def test_every_request_has_a_vault_of_its_own() -> None:
    hosting = Hosting()
    model = MaskedModel(FakeModel(says=["[email 1]"]), hosting)
    assert await heard(model) == SECRET[0]
    other = [Message(role="user", text="Mail eve@other.example")]
    assert await heard(model, other) == "eve@other.example"
    assert await heard(model, [Message(role="user", text="Nothing")]) == "[email 1]"
    assert len({id(vault) for vault in hosting.vaults}) == 3


async def test_a_reply_by_schema_is_restored_in_every_text_of_it() -> None:
    inner = FakeModel(
        replies=[
            {"sentence": "Ring [phone 1].", "parts": [{"a": "[email 1]", "b": "[Email 1]"}], "source": 2}
        ]
    )
    reply = await MaskedModel(inner, Hosting()).reply(PROMPT, schema=Told, max_tokens=10)
    assert reply == Told(
        sentence="Ring 212-555-0198.", parts=[{"a": "ada@berg.example", "b": "[Email 1]"}], source=2
    )


async def test_a_reply_that_no_longer_fits_is_an_error_that_quotes_nobody() -> None:
    inner = FakeModel(replies=[{"sentence": "[email 1] [email 1] [phone 1]"}])
    with pytest.raises(ModelReply) as caught:
        await MaskedModel(inner, Hosting()).reply(PROMPT, schema=Told, max_tokens=10)
    told = "".join(traceback.format_exception(caught.value))
    assert not [value for value in SECRET if value in told]


async def test_a_failing_model_fails_as_before_and_a_caller_who_leaves_closes_it() -> None:
    with pytest.raises(ModelReply):
        await heard(MaskedModel(FakeModel(says=["Write ", ModelReply("gone")]), Hosting()))
    inner = FakeModel(says=["one ", "two ", "three"])
    async with aclosing(MaskedModel(inner, Hosting()).stream(PROMPT, max_tokens=10)) as pieces:
        async for _ in pieces:
            break
    assert inner.closed


async def test_pictures_that_a_policy_withholds_are_not_sent() -> None:
    inner = FakeModel(says=["A cat."], sees_images=True)
    picture = [Message(role="user", text="What is it?", images=(b"\x89PNG",))]
    with pytest.raises(ModelReply, match="withholds pictures"):
        await heard(MaskedModel(inner, Hosting(pictures=False)), picture)
    assert inner.asked == []
    assert await heard(MaskedModel(inner, Hosting()), picture) == "A cat."


async def test_nothing_of_it_is_on_the_wire() -> None:
    async with model_server(said("Ring [phone 1] [1].")) as server:
        served = ServedModel(base_url=server.url, model="nano", context_tokens=4096)
        try:
            assert await heard(MaskedModel(served, Hosting())) == "Ring 212-555-0198 [1]."
        finally:
            await served.close()
    wire = json.dumps(server.asked) + json.dumps(server.headers)
    assert "[phone 1]" in wire
    assert not [value for value in SECRET if value in wire]


async def test_an_answer_is_checked_and_told_with_its_values_and_nothing_of_the_vault_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    report = a_document()
    plant = a_chunk(
        "The desk of the Marlow plant answers at ada@berg.example. It employs 240 people.", document=report
    )
    inner = FakeModel(says=["The plant in Marlow employs 240 people [1]."])
    steps: list[str] = []
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        agent = GuardedAgent(
            library=FakeLibrary(shelf=[(report, [plant])]),
            rails=FakeRails(),
            model=MaskedModel(inner, Hosting()),
            settings=AgentSettings(min_confidence=0.0),
            threads=threads,
        )
        asked = Question(text="How many people does the plant in Marlow employ?", scope=SCOPE, thread_id="t")
        async with aclosing(agent.ask(asked)) as events:
            steps = [f"{event.label} {event.facts}" async for event in events if isinstance(event, Step)]
        kept = _bytes(tmp_path)
        inner.says = ["The desk of the Marlow plant answers at [email 1] [1]."]
        told = await agent.answer(
            Question(text="Where does the desk of the Marlow plant answer?", scope=SCOPE)
        )
    assert told.text == "The desk of the Marlow plant answers at ada@berg.example. [1]"
    assert "ada@berg.example" not in seen(inner)
    assert "[email 1]" in seen(inner)
    for traces in (kept.decode("latin-1"), caplog.text, "\n".join(steps)):
        assert "ada@berg" not in traces
        assert "[email 1]" not in traces
    assert b"240 people" in kept


def _settings(**more: object) -> ApiSettings:
    return ApiSettings.model_validate(
        {"model_url": "https://api.fireworks.ai/inference/v1", "model": "nano", "writer": "served"} | more
    )


@pytest.mark.parametrize(
    ("more", "masked"),
    [
        ({}, True),
        ({"model_url": "https://llm.example.org/v1"}, True),
        ({"model_url": "http://10.0.0.7:8000/v1"}, False),
        ({"model_url": "http://vision:8000/v1"}, False),
        ({"model_url": "http://10.0.0.7:8000/v1", "provider": "nim"}, True),
        ({"model_url": "http://10.0.0.7:8000/v1", "model_is_ours": False}, True),
        ({"model_is_ours": True}, False),
    ],
)
def test_who_is_asked_through_a_mask_is_told_by_provider_address_or_the_operator(
    more: dict[str, object], masked: bool
) -> None:
    model = _asked(_settings(**more), FakeModel(), Hosting())  # type: ignore[arg-type]
    assert isinstance(model, MaskedModel) is masked
    assert _asked(_settings(**more), None, Hosting()) is None
    local = FakeModel(writes_as="local")
    assert _asked(_settings(**more), local, Hosting()) is local  # type: ignore[arg-type, comparison-overlap]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"model_sees_images": True}, "PAGEWARDEN_MODEL_SEES_IMAGES"),
        ({"parser_url": "https://integrate.api.nvidia.com/v1"}, "PAGEWARDEN_PARSER_URL"),
    ],
)
def test_a_house_whose_pictures_would_leave_it_is_not_opened_where_a_policy_withholds_them(
    more: dict[str, object], named: str
) -> None:
    with pytest.raises(PolicyError, match=named):
        _asked(_settings(**more), FakeModel(), Hosting(pictures=False))  # type: ignore[arg-type]
    assert _asked(_settings(**more), FakeModel(), Hosting())  # type: ignore[arg-type]
    ours = _settings(**(more | {"model_is_ours": True, "parser_url": "http://127.0.0.1:8001/v1"}))
    assert _asked(ours, FakeModel(), Hosting(pictures=False))  # type: ignore[arg-type]
