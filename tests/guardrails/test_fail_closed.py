"""Whatever fails in a rail or behind it: a refusal each time, the operator told why, the caller not."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import get_args

import pytest
from pydantic import BaseModel

from agent.records import Question, Turn
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from guardrails.errors import PolicyError
from guardrails.guard import Reply
from guardrails.nemo import Rails
from guardrails.policy import Policy, load
from guardrails.rails import ALLOW, Passage, Ruling
from guardrails.records import Hop
from ingest.served import Message, Patience, ServedModel
from ingest.vision import Finding
from tests.fakes import SCOPE, FakeLibrary, FakeModel, a_chunk, a_document

pytestmark = pytest.mark.anyio
HOPS: tuple[Hop, ...] = get_args(Hop)
SECRET = "walrus"

REPORT = a_document("report.pdf")
PROSE = a_chunk("The plant in Marlow opened in 1987.", document=REPORT)
FIGURE = a_chunk("Figure 3: sales of the plant", document=REPORT, place=2, kind="figure")
Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


# --- a judge behind an endpoint, and what an endpoint can do


async def _says(writer: asyncio.StreamWriter, body: bytes, *, status: str = "200 OK") -> None:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def _completion(content: str) -> bytes:
    told = Completion(choices=[Choice(message=Said(content=content))])
    return told.model_dump_json().encode()


class Said(BaseModel):
    """A message of a completion."""

    role: str = "assistant"
    content: str


class Choice(BaseModel):
    """A choice of a completion."""

    index: int = 0
    message: Said
    finish_reason: str = "stop"


class Completion(BaseModel):
    """A completion in OpenAI's dialect."""

    id: str = "one"
    object: str = "chat.completion"
    created: int = 1
    model: str = "guard"
    choices: list[Choice]


async def slow(writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await asyncio.sleep(30)


async def slow_first_byte(writer: asyncio.StreamWriter) -> None:
    """Send the head, and the body much later."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(30)


async def dripping(writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, so that no read ever times out."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def hanging_up(writer: asyncio.StreamWriter) -> None:
    """Close in the middle of the body."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\n{")


async def garbage(writer: asyncio.StreamWriter) -> None:
    """Speak no HTTP."""
    writer.write(bytes(random.Random(7).randbytes(400)))


ENDPOINTS: dict[str, Answering] = {
    "slow": slow,
    "slow first byte": slow_first_byte,
    "dripping": dripping,
    "hanging up": hanging_up,
    "garbage": garbage,
    "500": lambda w: _says(w, b"Internal walrus", status="500 Internal Server Error"),
    "404": lambda w: _says(w, b"{}", status="404 Not Found"),
    "redirect": lambda w: _says(w, b"", status="302 Found"),
    "empty": lambda w: _says(w, b""),
    "no JSON": lambda w: _says(w, b"<html>walrus</html>"),
    "other JSON": lambda w: _says(w, b'{"safe": true}'),
    "no choices": lambda w: _says(w, b'{"id":"1","object":"chat.completion","model":"g","choices":[]}'),
    "empty reply": lambda w: _says(w, _completion("")),
    "prose": lambda w: _says(w, _completion("The text is safe.")),
    "array": lambda w: _says(w, _completion("[]")),
    "half": lambda w: _says(w, _completion('{"safety": "safe", "categ')),
    "unknown word": lambda w: _says(w, _completion('{"safety": "perhaps", "categories": []}')),
    "says both": lambda w: _says(w, _completion('{"safety": "safe", "categories": ["S4"]}')),
    "unsafe without a reason": lambda w: _says(w, _completion('{"safety": "unsafe", "categories": []}')),
}


@dataclass
class ServedJudge:
    """A judge over the house's own client."""

    model: ServedModel

    async def ask(self, prompt: str, schema: dict[str, object]) -> str:
        """Ask the served model."""
        messages = [Message(role="user", text=prompt)]
        return (await self.model.reply(messages, schema=Reply, max_tokens=100)).model_dump_json()


@asynccontextmanager
async def endpoint(answering: Answering | None) -> AsyncIterator[str]:
    """Serve on loopback what `answering` says; None: the address of nobody."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if line == b"\r\n":
                    break
            if answering is not None:
                await answering(writer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if answering is None:
        server.close()
        await server.wait_closed()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.close()


def judged_policy(*hops: Hop) -> Policy:
    """Return the default policy with a guard model at these hops."""
    plain = load("default").model_dump()
    for hop in hops:
        plain["hops"][hop] = [*plain["hops"][hop], {"rail": "guard_model"}]
    return Policy.model_validate(plain)


@asynccontextmanager
async def judged_rails(name: str, *hops: Hop) -> AsyncIterator[Rails]:
    """Build rails whose judge sits behind a faulty endpoint."""
    async with endpoint(ENDPOINTS.get(name)) as url:
        patience = Patience.of(0.15)
        model = ServedModel(base_url=url, model="guard", context_tokens=4096, patience=patience)
        try:
            yield Rails(judged_policy(*hops), judge=ServedJudge(model), rail_timeout_s=0.4)
        finally:
            await model.close()


@pytest.mark.parametrize("name", ["refused", *ENDPOINTS])
async def test_an_endpoint_at_fault_refuses_at_every_hop(name: str, caplog: pytest.LogCaptureFixture) -> None:
    # A word that says both is a no of its own; all else is undecided.
    code = "unsafe" if name in ("says both", "unsafe without a reason") else "undecided"
    async with judged_rails(name, *HOPS) as rails:
        for hop in HOPS:
            verdicts = await rails.screen(hop, [f"one {SECRET}", f"two {SECRET}"])
            assert [(v.decision, v.code, v.text) for v in verdicts] == [("block", code, "")] * 2
    if code == "undecided":
        told = [r.getMessage() for r in caplog.records if r.name == "guardrails.nemo"]
        assert sum("rail guard_model failed: " in line for line in told) == len(HOPS)
        assert not any(line.endswith("ExceptionGroup") for line in told), "the operator is told which failure"
    assert SECRET not in "".join(r.getMessage() for r in caplog.records if r.levelno >= logging.INFO)


def test_an_endpoint_that_is_not_set_starts_no_house() -> None:
    with pytest.raises(PolicyError, match="no model server is set"):
        Rails(judged_policy("question"))


# --- what the caller is told


def a_question() -> Question:
    history = (Turn(role="user", text="Hello there"), Turn(role="assistant", text="It is old."))
    return Question(text="When did the plant in Marlow open?", scope=SCOPE, history=history)


@pytest.mark.parametrize("name", ["refused", "slow", "garbage", "500", "empty"])
@pytest.mark.parametrize("hop", ["question", "evidence", "answer"])
@pytest.mark.parametrize("writes_as", [None, "served"])
async def test_the_caller_reads_a_refusal_that_names_nothing(
    hop: Hop, name: str, writes_as: str | None
) -> None:
    model = FakeModel(says=["The plant in Marlow opened in 1987 [1]."]) if writes_as else None
    async with judged_rails(name, hop) as rails:
        agent = GuardedAgent(
            library=FakeLibrary(shelf=[(REPORT, [PROSE])]),
            rails=rails,
            model=model,
            settings=AgentSettings(min_confidence=0.0),
        )
        answer = await agent.answer(a_question())
        assert (answer.kind, answer.reason, answer.sentences) == ("refusal", "undecided", ())
        timed = [replace(step, ms=0.0) for step in answer.steps]
        told = repr(replace(answer, trace_id="", steps=timed)).casefold()  # figures by chance are no code
        for detail in ("guard_model", "judge", "127.0.0.1", "timeout", "exception", "error", "500"):
            assert detail not in told
        found = await agent.search("When did the plant in Marlow open?", scope=SCOPE, limit=4)
        assert found.hits == () or hop == "answer"


async def test_a_finding_that_nobody_could_judge_is_no_finding() -> None:
    finding = Finding(outcome="found", text=f"Words in the picture: {SECRET} 410")
    model = FakeModel(says=["NOT FOUND"])
    async with judged_rails("slow", "finding") as rails:
        library = FakeLibrary(shelf=[(REPORT, [FIGURE])], finding=finding)
        agent = GuardedAgent(
            library=library, rails=rails, model=model, settings=AgentSettings(min_confidence=0.0)
        )
        answer = await agent.answer(
            Question(text="What are the sales of the plant in the figure?", scope=SCOPE)
        )
    assert library.looked
    assert SECRET not in repr(answer) + repr(model.asked)


# --- every rail, every order, late and cancelled


@dataclass
class Troubled:
    """A rail that hangs, cancels itself, raises, says too little, or lets pass."""

    name: str
    rewrites: bool
    trouble: str = ""
    codes: frozenset[str] = frozenset({"no"})
    entered: asyncio.Event = field(default_factory=asyncio.Event)

    async def judge(self, passages: Sequence[Passage]) -> Sequence[Ruling]:
        """Rule, or be in trouble."""
        self.entered.set()
        match self.trouble:
            case "late":
                await asyncio.sleep(60)
            case "cancels itself":
                raise asyncio.CancelledError
            case "cancels its task":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(60)
            case "raises":
                raise RuntimeError(SECRET)
            case "system exit in a thread":
                await asyncio.to_thread(_raise)
            case "one ruling too few":
                return [ALLOW] * (len(passages) - 1)
            case "one ruling too many":
                return [ALLOW] * (len(passages) + 1)
            case "swallows cancellation":
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)
        return [ALLOW] * len(passages)


def _raise() -> None:
    raise MemoryError(SECRET)


TROUBLES = (
    "late",
    "cancels itself",
    "cancels its task",
    "raises",
    "system exit in a thread",
    "one ruling too few",
    "one ruling too many",
    "swallows cancellation",
)
ORDERS = [6, pytest.param(1000, marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def stage() -> tuple[Rails, dict[Hop, Sequence[Troubled]]]:
    """Real NeMo around rails that each case sets anew."""
    cast: dict[Hop, Sequence[Troubled]] = {hop: () for hop in HOPS}
    return Rails(load("default"), rails=cast, rail_timeout_s=0.02), cast  # type: ignore[arg-type]


@pytest.mark.parametrize("orders", ORDERS)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_rail_in_trouble_is_never_passed_in_any_order(
    trouble: str, orders: int, stage: tuple[Rails, dict[Hop, Sequence[Troubled]]]
) -> None:
    rails, cast = stage
    tried = 0
    for hop in HOPS:
        shapes = [(rule.rail, rule.rail == "personal") for rule in load("default").hops[hop]]
        cases = list(itertools.product(range(len(shapes)), itertools.permutations(range(len(shapes)))))
        for troubled, order in random.Random(7).sample(cases, min(orders, len(cases))):
            cast[hop] = [
                Troubled(*shapes[place], trouble=trouble if place == troubled else "") for place in order
            ]
            verdicts = await rails.screen(hop, ["one", "two"])
            assert [(v.decision, v.code) for v in verdicts] == [("block", "undecided")] * 2, (hop, order)
            tried += 1
    print(f"{trouble}: {tried} orders, none passed")
    assert rails._calls == {}


@pytest.mark.parametrize("orders", ORDERS)
async def test_a_caller_who_cancels_gets_no_verdict_whichever_rail_hangs(
    orders: int, stage: tuple[Rails, dict[Hop, Sequence[Troubled]]]
) -> None:
    _, cast = stage
    rails = Rails(load("default"), rails=cast, rail_timeout_s=60)  # type: ignore[arg-type]
    tried = 0
    for hop in HOPS:
        shapes = [(rule.rail, rule.rail == "personal") for rule in load("default").hops[hop]]
        cases = list(itertools.product(range(len(shapes)), itertools.permutations(range(len(shapes)))))
        for hanging, order in random.Random(7).sample(cases, min(orders, len(cases))):
            made = {place: Troubled(*shapes[place], trouble="late" * (place == hanging)) for place in order}
            cast[hop] = [made[place] for place in order]
            task = asyncio.create_task(rails.screen(hop, ["one", "two"]))
            await made[hanging].entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            tried += 1
    print(f"cancelled {tried} times, no verdict")
    assert rails._calls == {}
