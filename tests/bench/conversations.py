"""Ten conversations and ten comparisons over the sample library, written down as they come.

    python tests/bench/conversations.py HOME --writer quotes --writer local [--write docs/conversations.md]

HOME holds `docs/sample`. What is expected of a turn is a pattern that its answer must hold, read from the
documents beforehand (`conversations.json`); what lacks it is marked wrong and stays in.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any, Literal, cast

from agent.records import Answer, Question
from api.house import House
from api.settings import ApiSettings
from api.wiring import open_house
from ingest.records import Scope

ASKED = Path(__file__).with_suffix(".json")
WRITERS = {"quotes": "Quoting, without a model", "local": "The local model"}
Wanted = dict[str, Any]


def right(wanted: Wanted, answer: Answer) -> bool:
    """Say whether an answer is of the kind and has the patterns that are expected."""
    kind = wanted.get("kind", "answer")
    cited = wanted.get("cites")
    return (
        answer.kind == kind
        and all(re.search(pattern, answer.text) for pattern in wanted.get("has", []))
        and (cited is None or any(c.name == cited for c in answer.citations))
    )


def shown(wanted: Wanted, answer: Answer) -> list[str]:
    """Write a turn down as it came."""
    meant = next((s.facts.get("queries") for s in answer.steps if s.node == "plan"), None)
    lines = [f"**{wanted['ask']}**", ""]
    if meant and meant != [wanted["ask"]]:
        lines += [f"*searched for:* {'; '.join(cast(list[str], meant))}", ""]
    note = "" if answer.kind == "answer" else f" ({answer.kind}: `{answer.reason}`)"
    text = " ".join(answer.text.split())
    lines += [f"> {_escaped(text)}{note}", ""]
    for cited in answer.citations:
        quote = " ".join(cited.quote.split())
        quote = quote if len(quote) <= 110 else quote[:107] + "…"
        lines.append(f"- [{cited.n}] {cited.name}, page {cited.page_no}: “{_escaped(quote)}”")
    lines += [""] if answer.citations else []
    if not right(wanted, answer):
        lines += [f"**Wrong:** expected {_expected(wanted)}.", ""]
    return lines


def _expected(wanted: Wanted) -> str:
    if kind := wanted.get("kind"):
        return f"an {kind}" if kind == "abstention" else f"a {kind}"
    return " and ".join(f"`{pattern}`" for pattern in wanted["has"])


def _escaped(text: str) -> str:
    return re.sub(r"([*_<>|`])", r"\\\1", text)


async def ask(house: House, wanted: Wanted, scope: Scope, thread: str | None) -> Answer:
    """Ask one turn and wait for its answer."""
    async for event in house.agent.ask(Question(text=wanted["ask"], scope=scope, thread_id=thread)):
        if isinstance(event, Answer):
            return event
    raise AssertionError("ask yields an Answer")


async def transcript(home: Path, writer: Literal["quotes", "local"]) -> list[str]:
    """Hold every conversation and return what was said, with the count of what was right."""
    asked = json.loads(ASKED.read_text("utf-8"))
    lines: list[str] = []
    counts: dict[str, list[bool]] = {"turns of conversations": [], "comparisons": []}
    async with open_house(ApiSettings(home=home, writer=writer)) as house:
        scope = Scope(tenant="default", collections=("default",))
        for n, talk in enumerate(asked["conversations"], start=1):
            thread = f"talk-{n}-{int(time.time())}"
            lines += [f"### {n}. {talk['title']}", ""]
            for wanted in talk["turns"]:
                answer = await ask(house, wanted, scope, thread)
                counts["turns of conversations"].append(right(wanted, answer))
                lines += shown(wanted, answer)
            await house.agent.forget(thread, scope=scope)
        lines += ["### Comparisons", ""]
        for wanted in asked["comparisons"]:
            answer = await ask(house, wanted, scope, None)
            counts["comparisons"].append(right(wanted, answer))
            lines += shown(wanted, answer)
    told = ", ".join(f"{sum(rights)} of {len(rights)} {name}" for name, rights in counts.items())
    print(f"{writer}: right {told}")
    return [f"## {WRITERS[writer]}", "", f"As expected: {told}.", "", *lines]


def main() -> None:
    """Hold the conversations and write them down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("home", type=Path)
    parser.add_argument("--writer", choices=sorted(WRITERS), action="append")
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    lines = [
        "# Conversations",
        "",
        "Ten conversations and ten comparisons over the [sample library](sample/), written down by",
        "`python tests/bench/conversations.py HOME --write docs/conversations.md` exactly as they came.",
        "What was expected was read from the documents before; what is wrong is marked and stays in.",
        "",
    ]
    for writer in asked.writer or list(WRITERS):
        lines += asyncio.run(transcript(asked.home, writer))
    text = "\n".join(lines).rstrip() + "\n"
    if asked.write:
        asked.write.write_text(text, "utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
