"""From an event of Slack's to the acknowledgement, the first sign, the first step and the first sentence.

    python tests/bench/slack_times.py [--questions 30] [--slack-ms 100] [--json]

The agent sleeps known times and says known words; the door, Bolt, the SDK and the SQLite book are the real
ones, and Slack is the one of `tests/slack_fake.py`, with a fixed time for each call of its Web API. What is
over the known times is ours: it is printed beside them. Every way of telling an answer is measured, and the
acknowledgement once more while as many answers as may be written at once hang.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
from aiohttp import web
from pydantic import SecretStr

from agent.records import Answer, Event, Question, Released, Sentence, Step
from api.settings import ApiSettings
from api.slack.door import SlackDoor, open_slack
from api.slack.settings import SlackSettings
from tests.fakes import FakeAgent, a_citation, a_house, an_answer
from tests.slack_fake import (
    APP_TOKEN,
    BOT,
    BOT_TOKEN,
    SECRET,
    FakeSlack,
    Message,
    everything,
    posted,
    shown,
    signed,
)

ASKER, CHANNEL = "U0ANN", "C0TALK"
STEP, FIRST, SECOND = "Searched the shelf", "There are 12 pumps.", "Two are spare."
#: How long the hanging model hangs; no run waits for it.
_HANGS_S = 60.0
_PATIENCE_S = 30.0
#: The moments, in the order in which they must come.
MOMENTS = ("ack", "sign", "step", "sentence", "whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """When the stub says what, in seconds after it was asked."""

    step_s: float = 0.2
    sentence_s: float = 1.0
    whole_s: float = 1.5

    def known(self, moment: str) -> float:
        """Return the part of a moment that is the stub's."""
        return {"step": self.step_s, "sentence": self.sentence_s, "whole": self.whole_s}.get(moment, 0.0)


class SlowAgent(FakeAgent):
    """Says one step and two sentences at known times; "hang" is never answered."""

    def __init__(self, latency: Latency) -> None:
        super().__init__({})
        self.latency = latency
        self.answer: Answer = an_answer(
            Sentence(text=FIRST, citations=(1,)),
            Sentence(text=SECOND, citations=(1,)),
            citations=(a_citation(1),),
        )

    async def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """Tell it at its times."""
        self.asked.append(question)
        if "hang" in question.text:
            await asyncio.sleep(_HANGS_S)
        began = time.monotonic()
        due = self.latency
        one, two = self.answer.sentences
        for at, event in (
            (due.step_s, Step(node="retrieve", label=STEP, ms=due.step_s * 1000)),
            (due.sentence_s, Released(sentence=one, new_citations=self.answer.citations)),
            (due.whole_s, Released(sentence=two, new_citations=())),
        ):
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            yield event
        yield self.answer


class WatchedSlack(FakeSlack):
    """A workspace that takes its time for each call, and notes when each message showed what."""

    def __init__(self, *, call_s: float) -> None:
        super().__init__()
        self.call_s = call_s
        #: (when, thread, all its words) of each of our messages, after each call that may have changed one.
        self.changes: list[tuple[float, str, str]] = []

    async def _api(self, request: web.Request) -> web.StreamResponse:
        # Half of the way there, half of the way back: what people see changes between the two.
        await asyncio.sleep(self.call_s / 2)
        reply = await super()._api(request)
        now = time.monotonic()
        if request.match_info["method"].startswith("chat."):
            ours = (one for held in self.messages.values() for one in held if one.user == BOT)
            self.changes += [(now, one.thread_ts, everything(one)) for one in ours]
        await asyncio.sleep(self.call_s / 2)
        return reply

    def first(self, asked: Message, words: str) -> float | None:
        """Return when an answer to a message first showed some words."""
        return next((at for at, thread, text in self.changes if thread == asked.ts and words in text), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in and out."""

    name: str
    #: With Slack's own streaming, else by editing the message.
    stream: bool
    #: Signed and posted, but handed to the door without a web server between; else over Socket Mode.
    over_http: bool = False


WAYS = (
    Way(name="socket, streamed", stream=True),
    Way(name="socket, edited", stream=False),
    Way(name="HTTP, streamed", stream=True, over_http=True),
)


@asynccontextmanager
async def opened(
    agent: FakeAgent, *, call_s: float, given: Mapping[str, Any]
) -> AsyncGenerator[tuple[WatchedSlack, SlackDoor]]:
    """Open a workspace and the door to it, in a folder that goes away."""
    slack = WatchedSlack(call_s=call_s)
    slack.user(ASKER, email="ann@acme.example")
    slack.channel(CHANNEL, ASKER)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "slack.yaml").write_text("version: 1\nmembers: {collections: [default]}\n")
        async with slack.serve():
            settings = SlackSettings(
                bot_token=SecretStr(BOT_TOKEN),
                app_token=SecretStr(APP_TOKEN),
                signing_secret=SecretStr(SECRET),
                api_url=f"{slack.base}/api/",
                crops=0,
                # Questions come here faster than people ask; the rates are measured elsewhere.
                rate=1000,
                **given,
            )
            async with open_slack(a_house(agent), api=ApiSettings(home=home), settings=settings) as door:
                await _until(lambda: slack.sockets)
                yield slack, door


async def deliver(slack: FakeSlack, door: SlackDoor, message: Message, *, over_http: bool) -> float:
    """Deliver the mention of a message; return the seconds to its acknowledgement."""
    event = slack.events(message)[0]
    if not over_http:
        delivery = await slack.deliver(event)
        assert delivery.acked_after_s is not None, "an event was not acknowledged"
        return delivery.acked_after_s
    body, kind = posted(event)
    began = time.monotonic()
    status, _, _ = await door.app.receive(body, signed(body) | {"content-type": kind})
    assert status == 200, status
    return time.monotonic() - began


async def one_question(slack: WatchedSlack, door: SlackDoor, number: int, *, way: Way) -> dict[str, float]:
    """Ask once; return each moment in seconds after the event was sent."""
    slack.changes.clear()
    message = slack.said(ASKER, CHANNEL, f"<@{BOT}> Pumps {number}?")
    began = time.monotonic()
    told = {"ack": await deliver(slack, door, message, over_http=way.over_http)}
    await _until(lambda: slack.first(message, SECOND))
    for moment, words in (("sign", "Looking"), ("step", STEP), ("sentence", FIRST), ("whole", SECOND)):
        at = slack.first(message, words)
        assert at is not None, f"{way.name}: the {moment} was never shown"
        told[moment] = at - began
    end = time.monotonic() + _PATIENCE_S
    while await door.book.open_errands():
        assert time.monotonic() < end, "a question is never done"
        await anyio.sleep(0.01)
    (answer,) = slack.answers(message)
    assert shown(answer) == f"{FIRST} [1] {SECOND} [1]", shown(answer)
    return told


async def measured(
    way: Way, *, questions: int, latency: Latency, call_s: float, pace_s: float = 1.0
) -> list[dict[str, float]]:
    """Ask one question after the other; the first is for warming up and is not told."""
    given = {"stream": way.stream, "pace_s": pace_s}
    async with opened(SlowAgent(latency), call_s=call_s, given=given) as (slack, door):
        return [await one_question(slack, door, n, way=way) for n in range(questions + 1)][1:]


async def while_all_hang(*, events: int, call_s: float) -> list[float]:
    """Return the seconds to the acknowledgement of events while every answer under way hangs."""
    agent = SlowAgent(Latency())
    async with opened(agent, call_s=call_s, given={"per_workspace": 4, "at_once": 4}) as (slack, door):
        for n in range(4):
            await slack.ask(ASKER, CHANNEL, f"<@{BOT}> hang {n}?")
        await _until(lambda: len(agent.asked) == 4)
        acks = []
        for n in range(events):
            message = slack.said(ASKER, CHANNEL, f"<@{BOT}> hang, event {n}?")
            acks.append(await deliver(slack, door, message, over_http=bool(n % 2)))
        assert len(agent.asked) == 4, "none of them ended meanwhile"
        assert await door.book.open_errands() == 4 + events, "none of the events was lost"
        return acks


def table(found: Mapping[str, list[dict[str, float]]], *, latency: Latency) -> str:
    """Lay out the moments: median, 95th percentile and maximum in ms, and the median less the stub's part."""
    lines = ["| way | moment | known | p50 | p95 | max | ours, p50 |", "|---|---|---|---|---|---|---|"]
    for name, runs in found.items():
        for moment in MOMENTS:
            values = sorted(run[moment] * 1000 for run in runs)
            known = latency.known(moment) * 1000
            middle = statistics.median(values)
            cells = (known, middle, percentile(values, 95), values[-1], middle - known)
            lines.append(f"| {name} | {moment} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |")
    return "\n".join(lines)


def percentile(ordered: list[float], percent: float) -> float:
    """Return the value that so many percent do not exceed (nearest rank)."""
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


async def _until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it never came true"
        await anyio.sleep(0.005)


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--slack-ms", type=float, default=100.0, help="time of one call of Slack's Web API")
    parser.add_argument("--pace-s", type=float, default=1.0, help="PAGEWARDEN_SLACK_PACE_S")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    latency, call_s = Latency(), given.slack_ms / 1000
    found = {
        way.name: await measured(
            way, questions=given.questions, latency=latency, call_s=call_s, pace_s=given.pace_s
        )
        for way in WAYS
    }
    acks = sorted(1000 * one for one in await while_all_hang(events=given.questions, call_s=call_s))
    if given.json:
        told = {"latency": asdict(latency), "slack_ms": given.slack_ms, "runs": found, "hanging_ms": acks}
        print(json.dumps(told, indent=1))
        return
    print(f"{given.questions} questions a way, {given.slack_ms:.0f} ms a call of Slack's, milliseconds\n")
    print(table(found, latency=latency))
    print(
        f"\nack while all answers hang: p50 {statistics.median(acks):.0f}, max {acks[-1]:.0f}, n={len(acks)}"
    )


if __name__ == "__main__":
    asyncio.run(main())
