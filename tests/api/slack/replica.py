"""One replica in a process of its own, to be killed: a scripted agent of known slowness behind the real door.

Usage: python -m tests.api.slack.replica HOME API_URL LEASE_S STREAM PAUSE_S
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from agent.records import Event, Question, Sentence, Step
from api.settings import ApiSettings
from api.slack.door import open_slack
from api.slack.settings import SlackSettings
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_document, a_house, an_answer, telling
from tests.slack_fake import APP_TOKEN, BOT_TOKEN


class EchoAgent(FakeAgent):
    """Answers each question with sentences that repeat it."""

    async def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """Tell three sentences, slowly."""
        said = [Sentence(text=f"{question.text} {part}.", citations=(1,)) for part in ("one", "two", "three")]
        answer = an_answer(*said, citations=(a_citation(1),))
        for event in telling(answer, Step(node="retrieve", label="Searched", ms=1.0)):
            await asyncio.sleep(self.pause_s)
            yield event


def told(question: str) -> str:
    """Return what the agent answers to a question."""
    return " ".join(f"{question} {part}. [1]" for part in ("one", "two", "three"))


async def main(home: Path, api_url: str, lease_s: float, stream: bool, pause_s: float) -> None:
    """Open the door and stay until killed."""
    settings = SlackSettings(
        bot_token=BOT_TOKEN, app_token=APP_TOKEN, api_url=api_url, lease_s=lease_s, stream=stream,
        pace_s=0.02, rate=1000, crops=0, at_once=8, per_workspace=16, attempts=10,
    )  # fmt: skip
    house = a_house(EchoAgent({}, pause_s=pause_s), FakeShelf(a_document(tenant="default")))
    async with open_slack(house, api=ApiSettings(home=home), settings=settings):
        print("up", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    _, place, url, lease, streams, pause = sys.argv
    asyncio.run(main(Path(place), url, float(lease), streams == "1", float(pause)))
