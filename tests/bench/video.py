"""How well films are found and answered from: known questions with the seconds that hold their answer.

    PAGEWARDEN_DATA=… python tests/bench/video.py HOME [--write docs/benchmarks]

Films are read as they are by everybody without a served model: subtitles, else whisper-tiny.en; OCR of key
frames. A question is asked with its film selected ("the clip" means nothing over a shelf), and once over all
films to see what that costs. A hit overlaps the span that holds the answer; in films of a few scenes that is
soon said, so the start and how much of the span it covers are told too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from api.startup import prepare

prepare()  # its switches stand before anything that reads them is imported

from pydantic import Field  # noqa: E402

from agent.evaluate import is_right  # noqa: E402
from agent.questions import Gold  # noqa: E402
from agent.records import Answer, Question  # noqa: E402
from api.house import House  # noqa: E402
from api.settings import ApiSettings  # noqa: E402
from api.wiring import open_house  # noqa: E402
from ingest.records import Hit, Scope, clock  # noqa: E402

#: Films whose seconds are known by how they were made.
CONSTRUCTED = "lecture_"
_KNOW = """\
Read by OCR and whisper-tiny.en, answered by quotes. A hit overlaps the span, which in a film of one or three
scenes is soon said: the start tells more. "Unseen" are declined with the words that only eyes could tell."""
_SCOPE = Scope(tenant="default", collections=("default",))


class FilmGold(Gold):
    """A question about a film."""

    #: Seconds from and to which the answer is said or shown; None where nothing answers.
    evidence_time: tuple[float, float] | None = None
    modality: str = ""
    split: str = Field(default="dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, what was found for it and what was answered."""

    gold: FilmGold
    hits: Sequence[Hit]
    #: Found with all films on the shelf.
    among_all: Sequence[Hit]
    answer: Answer

    @property
    def kind(self) -> str:
        """Say how it came out."""
        if self.answer.kind != "answer":
            return "declined" if self.gold.answerable else "right"
        return "right" if is_right(self.gold, self.answer) else "wrong"


def overlaps(hit: Hit, span: tuple[float, float]) -> bool:
    """Tell whether a passage lasts into a span, and not only up to it."""
    start_s, end_s = hit.chunk.start_s, hit.chunk.end_s
    return start_s is not None and end_s is not None and min(end_s, span[1]) > max(start_s, span[0])


def found(gold: FilmGold, hits: Sequence[Hit]) -> Hit | None:
    """Return the first of three hits that stands in the film and overlaps the span."""
    span = gold.evidence_time
    own = (hit for hit in hits[:3] if hit.document_name == gold.doc)
    return next((hit for hit in own if span is not None and overlaps(hit, span)), None)


def start_error_s(gold: FilmGold, hit: Hit) -> float:
    """Return by how much the passage begins before or after the span does."""
    assert gold.evidence_time is not None
    assert hit.chunk.start_s is not None
    return abs(hit.chunk.start_s - gold.evidence_time[0])


async def shelve(house: House, paths: Sequence[Path]) -> dict[str, str]:
    """Shelve every film and say what became of it; a file that cannot be read says why."""
    told = {}
    for path in paths:
        outcome = await house.shelf.add(path, name=path.name, tenant="default", collection="default")
        why = f" ({outcome.detail})" if outcome.detail else ""
        told[path.name] = f"{outcome.outcome}, {outcome.pages} scenes, {outcome.chunks} passages{why}"
    return told


async def ask(house: House, golds: Sequence[FilmGold]) -> list[Asked]:
    """Ask every question, with its film selected and over all of them."""
    ids = {document.name: document.id for document in await house.shelf.documents(scope=_SCOPE)}
    asked = []
    for gold in golds:
        own = Scope(tenant="default", collections=("default",), documents=tuple(ids[n] for n in gold.docs))
        asked.append(
            Asked(
                gold=gold,
                hits=(await house.agent.search(gold.question, scope=own, limit=3)).hits,
                among_all=(await house.agent.search(gold.question, scope=_SCOPE, limit=3)).hits,
                answer=await _answered(house, Question(text=gold.question, scope=own)),
            )
        )
    return asked


async def _answered(house: House, question: Question) -> Answer:
    events = [event async for event in house.agent.ask(question)]
    return next(event for event in reversed(events) if isinstance(event, Answer))


def tell(read: dict[str, str], asked: Sequence[Asked]) -> str:
    """Write what was measured as Markdown."""
    spanned = [one for one in asked if one.gold.evidence_time is not None]
    hits = [(one, hit) for one in spanned if (hit := found(one.gold, one.hits)) is not None]
    errors = [
        start_error_s(one.gold, hit) for one, hit in hits if (one.gold.doc or "").startswith(CONSTRUCTED)
    ]
    among_all = sum(found(one.gold, one.among_all) is not None for one in spanned)
    rows = ["| film | read |", "|---|---|", *(f"| {name} | {what} |" for name, what in read.items())]
    rows += ["", f"Span hit@3 with the film selected: {len(hits)} of {len(spanned)}"]
    rows += [f"({len(hits) / len(spanned):.2f}); over all films: {among_all} of {len(spanned)}."]
    rows += [f"Median error of the start on films made with known seconds: {median(errors):.2f} s"]
    rows += [f"({len(errors)} questions, worst {max(errors):.2f} s).", "", _KNOW, ""]
    return "\n".join([*rows, *_by_kind(asked)]) + "\n"


def _by_kind(asked: Sequence[Asked]) -> list[str]:
    kinds: dict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        kinds[one.gold.modality if one.gold.answerable else "unanswerable"].append(one)
    rows = ["| kind | questions | span hit@3 | right | wrong | declined | of these unseen |"]
    rows.append("|---|---:|---:|---:|---:|---:|---:|")
    for kind, some in sorted(kinds.items()):
        ends = [one.kind for one in some]
        hits = sum(found(one.gold, one.hits) is not None for one in some) if kind != "unanswerable" else "–"
        counts = " | ".join(str(ends.count(end)) for end in ("right", "wrong", "declined"))
        unseen = sum(one.answer.reason == "cannot_see" for one in some)
        rows.append(f"| {kind} | {len(some)} | {hits} | {counts} | {unseen} |")
    return rows


def _print(one: Asked) -> None:
    span = one.gold.evidence_time
    hit = found(one.gold, one.hits)
    print(f"{one.kind:9}{one.gold.id} {one.gold.modality} {span}  {one.gold.question}\n  G {one.gold.answer}")
    print(f"  A {one.answer.kind} {one.answer.text[:300]!r}")
    for cited in one.answer.citations:
        print(f"    cites scene {cited.page_no} {cited.start_s} to {cited.end_s}: {cited.quote[:100]!r}")
    for shown in one.hits:
        at = f"{clock(shown.chunk.start_s or 0)}-{clock(shown.chunk.end_s or 0)}"
        print(f"    {'*' if shown is hit else ' '} {shown.score:.2f} {at} {shown.chunk.text[:110]!r}")


async def run(home: Path, films: Sequence[Path], golds: Sequence[FilmGold]) -> str:
    """Shelve, ask and tell."""
    async with open_house(ApiSettings(home=home, writer="quotes")) as house:
        read = await shelve(house, films)
        asked = await ask(house, golds)
    for one in asked:
        _print(one)
    return tell(read, asked)


def main() -> None:
    """Measure the films of PAGEWARDEN_DATA."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    data = Path(os.environ["PAGEWARDEN_DATA"]) / "video"
    lines = (data / "questions.jsonl").read_text("utf-8").splitlines()
    golds = [FilmGold.model_validate(json.loads(line)) for line in lines]
    told = asyncio.run(run(options.home, sorted((data / "documents").iterdir()), golds))
    print(told)
    if options.write is not None:
        (options.write / "video.md").write_text(f"# Films: found and answered\n\n{told}", "utf-8")


if __name__ == "__main__":
    main()
