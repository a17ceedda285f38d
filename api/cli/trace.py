"""How an answer came about, as a story for people: one line a step, its details below it.

Everything is told that the steps carry; a sentence that was left out is told by its reason only, because its
words have passed no rail.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rich.console import Console

    from api.schemas import AnswerOut, StepOut

#: Hits told of each search.
_MOST_HITS = 5


def tell(out: Console, answer: AnswerOut) -> None:
    """Print the story; lines wrap to the terminal, however narrow."""
    spent = sum(step.ms for step in answer.steps)
    out.print(f"\nHow this came about ({seconds(spent)})", style="bold", highlight=False)
    for n, step in enumerate(answer.steps, start=1):
        _print(out, f"{step.label}  {seconds(step.ms)}", lead=f"{n:>3}. ")
        for line in (*details(step), *ruled(step)):
            _print(out, line, lead="     - ", style="dim")


def _print(out: Console, text: str, *, lead: str, style: str = "") -> None:
    width = max(out.width, len(lead) + 20)
    for line in textwrap.wrap(
        text, width, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
    ):
        out.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def details(step: StepOut) -> Iterator[str]:
    """Yield the details of a step, one sentence each."""
    facts = step.facts
    match step.node:
        case "plan" if "queries" in facts:
            if facts.get("leans"):
                yield f"it leans on earlier turns and means: {facts['standalone']}"
            if len(asked := _texts(facts["queries"])) > 1:
                yield from asked
        case "retrieve":
            hits = cast("Sequence[Mapping[str, object]]", facts.get("hits", []))
            yield from (hit(one) for one in hits[:_MOST_HITS])
            if len(hits) > _MOST_HITS:
                yield f"and {len(hits) - _MOST_HITS} more"
        case "screen_evidence":
            yield from dict.fromkeys(_texts(facts.get("kept", [])))
            yield from (f"stopped by a rail: {code}" for code in _texts(facts.get("verdicts", [])))
        case "look":
            yield from _texts(facts.get("looked_at", []))
        case "release" if "kept" in facts:
            marks = "".join(f" [{n}]" for n in cast("Sequence[int]", facts.get("citations", [])))
            yield f"{facts['kept']}{marks}"
        case "screen_question" if facts.get("earlier_turns"):
            yield f"with {facts['earlier_turns']} earlier turns"
        case "verify" if "confidence" in facts:
            signs = cast("Mapping[str, float]", facts.get("signs", {}))
            yield "its signs: " + ", ".join(
                f"{name.replace('_', ' ')} {one:.2f}" for name, one in signs.items()
            )


def ruled(step: StepOut) -> Iterator[str]:
    """Yield what rails said of the step's texts, but for what they let pass."""
    for said in cast("Sequence[Mapping[str, object]]", step.facts.get("rails", [])):
        if said["decision"] != "allow":
            many = "a text" if said["texts"] == 1 else f"{said['texts']} texts"
            done = "would have been " if said["mode"] == "shadow" else ""
            by = said["rail"] or "no rail that decided"
            verb = {"mask": "masked", "block": "stopped"}[str(said["decision"])]
            yield f"{many} of the {said['hop']} {done}{verb} by {by} ({said['code']}, {said['policy']})"


def hit(found: Mapping[str, object]) -> str:
    """Say where a hit stands and which leg gave it what."""
    legs = {"dense": "meaning", "sparse": "words", "rerank": "reread"}
    scores = [f"{word} {found[leg]:.2f}" for leg, word in legs.items() if leg in found]
    more = f" ({', '.join(scores)})" if scores else ""
    return f"{found['name']}, page {found['page_no']}: {found['score']:.2f}{more}"


def seconds(ms: float) -> str:
    """Write a time for people."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def _texts(value: object) -> list[str]:
    return [str(one) for one in cast("Sequence[object]", value)]
