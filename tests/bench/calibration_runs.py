"""Questions answered with no threshold, three ways: as they are, of another document, without their pages.

Each run is a file that goes on where it was broken off; the order is a hash's, so that a part is a fair part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.evaluate import Score, evaluate, evaluate_without_gold
from agent.questions import Gold, load
from agent.resume import Kept
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from api.cli.door import LocalDoor
from api.settings import ApiSettings
from api.wiring import open_house
from ingest.library import Shelves
from tests.bench.remembered import Remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question as answered with no threshold."""

    id: str
    doc: str
    answerable: bool
    #: None where nothing was written that stands.
    signs: dict[str, float] | None
    right: bool
    #: Whether it cites a page that holds the answer.
    placed: bool


def order(id_: str) -> str:
    """Shuffle by a hash, so that a run broken off is a fair part of the whole."""
    return hashlib.sha256(f"calibrate/{id_}".encode()).hexdigest()


def moved(gold: Gold, names: Sequence[str]) -> Gold:
    """Ask the question of a document that is not its own."""
    others = [name for name in names if name not in gold.docs]
    other = others[int(order(gold.id), 16) % len(others)]
    changes = {"id": f"{gold.id}@{other}", "doc": other, "scope": "document", "evidence_pages": ()}
    return gold.without_answer().model_copy(update=changes)


async def collect(questions: Path, home: Path, runs: Path, *, model: str, most: int) -> None:
    """Ask everything that was not asked before, the three ways by turns."""
    writer = {"none": "quotes"}.get(model, model)
    settings = ApiSettings(home=home, writer=writer)  # type: ignore[arg-type]
    async with open_house(settings) as house:
        bold = house.agent
        assert isinstance(bold, GuardedAgent)
        bold._settings = AgentSettings(min_confidence=0.0)
        shelves = bold.library
        assert isinstance(shelves, Shelves)
        assert shelves._reranker is not None
        shelves._reranker = Remembered(shelves._reranker, runs / "logits.sqlite")
        scope = await LocalDoor(house, settings).scope()
        held = {d.name: d for d in await house.shelf.documents(scope=scope)}
        golds = [gold for gold in load(questions) if all(doc in held for doc in gold.docs)]
        golds.sort(key=lambda gold: order(gold.id))
        own, away, hidden = (
            Kept(runs / f"{name}.jsonl", run={"way": name, "model": model})
            for name in ("own", "moved", "hidden")
        )
        able = [gold for gold in golds if gold.answerable and gold.places]
        for i, gold in enumerate(golds):
            unranked = gold.model_copy(update={"evidence_pages": ()})  # ranking pages would tell nothing here
            async for score in evaluate(bold, [unranked], held, scope=scope, ask=True, known=own.scores):
                own.add(score)
                print(len(own.scores), score.right, score.gold.question[:80], flush=True)
            if i < min(most, len(able)) and i % 2 == 0:
                # Rules alone stop nearly all of the strays: one in eight keeps an eye on that.
                strays = [moved(able[i], sorted(held))] if i % 8 == 0 else []
                async for score in evaluate(bold, strays, held, scope=scope, ask=True, known=away.scores):
                    away.add(score)
                async for score in evaluate_without_gold(
                    bold, [able[i]], held, scope=scope, known=hidden.scores
                ):
                    hidden.add(score)


def rows(runs: Path, questions: Path) -> list[Row]:
    """Read what was collected; which pages hold the answers stands in `questions`."""
    golds = {gold.id: gold for gold in load(questions)}
    found = []
    for path in sorted(runs.glob("*.jsonl")):
        head = path.read_text("utf-8").partition("\n")[0]
        run = json.loads(head)["run"]
        found += [_row(score, path.stem, golds) for score in Kept(path, run=run).scores.values()]
    return found


def _row(score: Score, of: str, golds: Mapping[str, Gold]) -> Row:
    answer = score.answer
    assert answer is not None
    checked = [
        step.facts["signs"] for step in answer.steps if step.node == "verify" and "signs" in step.facts
    ]
    shown = checked[0] if checked and answer.kind == "answer" else None
    cited = {(citation.name, citation.page_no) for citation in answer.citations}
    doc = score.gold.docs[0] if score.gold.docs else ""
    return Row(
        id=f"{of}/{score.gold.id}",
        doc=doc,
        answerable=score.gold.answerable,
        signs=shown,  # type: ignore[arg-type]
        right=bool(score.right) and answer.kind == "answer",
        placed=score.gold.answerable and bool(cited & golds[score.gold.id].places),
    )
