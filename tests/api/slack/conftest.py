"""A workspace, a scripted house, and the bot between them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.records import Sentence, Step
from api.settings import ApiSettings
from api.slack.door import SlackDoor, open_slack
from api.slack.settings import SlackSettings
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_house, an_answer, telling
from tests.slack_fake import APP_TOKEN, BOT_TOKEN, SECRET, FakeSlack

Bot = Callable[..., AbstractAsyncContextManager[SlackDoor]]

ANN, BOB, GUS, EXT = "U0ANN", "U0BOB", "U0GUS", "U0EXT"
TALK, DIRECT, OPEN = "C0TALK", "D0ANN", "C0OPEN"
EVERYBODY = "version: 1\nmembers: {collections: [default]}\n"


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    """Return a workspace with two members, a guest and somebody from elsewhere."""
    fake = FakeSlack()
    fake.user(ANN, email="ann@acme.example")
    fake.user(BOB, email="bob@acme.example")
    fake.user(GUS, email="gus@acme.example", guest=True)
    fake.user(EXT, email="ext@acme.example", external=True)
    fake.channel(TALK, ANN, BOB)
    fake.channel(OPEN, ANN, BOB, private=False)
    fake.channel(DIRECT, ANN, im=True)
    async with fake.serve():
        yield fake


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent({})


@pytest.fixture
def shelf() -> FakeShelf:
    return FakeShelf()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the library's folder, with a directory by which every member may read."""
    (tmp_path / "slack.yaml").write_text(EVERYBODY)
    return tmp_path


@pytest.fixture
def bot(slack: FakeSlack, agent: FakeAgent, shelf: FakeShelf, home: Path) -> Bot:
    """Return an opener of the door: `async with bot(stream=False) as door`."""

    @asynccontextmanager
    async def make(
        *, house: Any = None, public_url: str | None = None, **given: Any
    ) -> AsyncIterator[SlackDoor]:
        fast: dict[str, Any] = {
            "pace_s": 0.01,
            "rate": 1000,
            "lease_s": 5.0,
            "crops": 0,
            "signing_secret": SECRET,
        }
        settings = SlackSettings(
            bot_token=BOT_TOKEN,
            app_token=APP_TOKEN,
            api_url=f"{slack.base}/api/",
            **(fast | given),
        )
        api = ApiSettings(home=home, public_url=public_url)
        async with open_slack(house or a_house(agent, shelf), api=api, settings=settings) as door:
            await until(lambda: len(slack.sockets) > 0)
            yield door

    return make


def answering(agent: FakeAgent, question: str, *texts: str, **more: Any) -> str:
    """Script an answer; return its text."""
    cited = more.pop("citations", (a_citation(1),))
    answer = an_answer(*(Sentence(text=text, citations=(1,)) for text in texts), citations=cited, **more)
    agent.script[question] = telling(answer, Step(node="retrieve", label=f"Searched “{question}”", ms=1.0))
    return answer.text


async def until(true: Callable[[], Any], *, patience_s: float = 20.0) -> Any:
    """Wait until something is true and return it."""
    end = time.monotonic() + patience_s
    while not (found := true()):
        assert time.monotonic() < end, "it never came true"
        await anyio.sleep(0.005)
    return found


async def idle(door: SlackDoor, *, patience_s: float = 20.0) -> None:
    """Wait until nothing is open in the book."""
    end = time.monotonic() + patience_s
    while await door.book.open_errands():
        assert time.monotonic() < end, "something in the book is never done"
        await anyio.sleep(0.005)
