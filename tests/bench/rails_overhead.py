"""What the rails cost: their share of question → evidence over the sample, and memory over many checks.

    python tests/bench/rails_overhead.py [--policy default] [--questions 40] [--checks 5000] [--home FOLDER]

Everything is real: embedder, index, reranker, NeMo, rails. The share is that of the processor's time, which
is steadier than the clock's on a machine that others use; both are printed. The limit is a tenth for rails
without a model, a quarter where the policy has a classifier.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.startup import prepare

prepare()

from agent.settings import AgentSettings  # noqa: E402
from api.house import House  # noqa: E402
from api.sample import questions as sample_questions  # noqa: E402
from api.sample import sample_files  # noqa: E402
from api.settings import ApiSettings  # noqa: E402
from api.wiring import open_house  # noqa: E402
from guardrails.policy import load  # noqa: E402
from guardrails.records import Hop, Verdict  # noqa: E402
from ingest.records import Scope  # noqa: E402

SAMPLE = Path(__file__).parents[2] / "docs" / "sample"
MOST, MOST_WITH_MODEL = 0.10, 0.25
MOST_GROWTH_MB = 20.0
#: What is loaded on first use is loaded after so many checks.
SETTLED = 500


@dataclass
class Metered:
    """The house's rails, with the time that each hop takes."""

    rails: Any
    wall_s: Counter[str] = field(default_factory=Counter)
    processor_s: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    async def screen(self, hop: Hop, texts: list[str], **more: Any) -> tuple[Verdict, ...]:
        """Judge, and note what it took."""
        wall, processor = time.perf_counter(), time.process_time()
        verdicts: tuple[Verdict, ...] = await self.rails.screen(hop, texts, **more)
        self.wall_s[hop] += time.perf_counter() - wall
        self.processor_s[hop] += time.process_time() - processor
        self.calls[hop] += 1
        return verdicts


def resident_mb() -> float:
    """Return what this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def share(house: House, metered: Metered, *, questions: int, scope: Scope) -> tuple[float, float]:
    """Return the rails' share of question → evidence, of the processor's and of the clock's time."""
    agent: Any = house.agent
    asked = [one.question for one in sample_questions(SAMPLE)]
    await agent.search(asked[0], scope=scope, limit=AgentSettings().evidence)  # what is loaded once
    for counter in (metered.wall_s, metered.processor_s, metered.calls):
        counter.clear()
    wall, processor = time.perf_counter(), time.process_time()
    for number in range(questions):
        found = await agent.search(asked[number % len(asked)], scope=scope, limit=AgentSettings().evidence)
        assert found.hits, "evidence is found"
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    for hop, calls in metered.calls.items():
        each = [spent[hop] / questions * 1000 for spent in (metered.wall_s, metered.processor_s)]
        print(f"  {hop:9} {calls:4} calls, {each[0]:6.2f} ms wall and {each[1]:6.2f} ms processor a question")
    whole = [spent / questions * 1000 for spent in (wall, processor)]
    print(f"  question → evidence {whole[0]:.1f} ms wall, {whole[1]:.1f} ms processor")
    return metered.processor_s.total() / processor, metered.wall_s.total() / wall


async def growth(rails: Any, *, checks: int, texts: list[str]) -> float:
    """Return by how many MB the process grew from its five hundredth check to the last."""
    chance, settled = random.Random(7), 0.0
    hops: tuple[Hop, ...] = ("question", "evidence", "finding", "answer", "document")
    for number in range(checks):
        if number == min(SETTLED, checks // 2):
            settled = resident_mb()
        await rails.screen(hops[number % 5], [f"{number} {chance.choice(texts)}" for _ in range(3)])
    return resident_mb() - settled


async def measure(*, policy: str, questions: int, checks: int, home: Path) -> bool:
    """Print the figures; False where the rails take more than they may."""
    settings = ApiSettings(home=home, policy=policy, writer="quotes")
    scope = Scope(tenant=settings.tenant, collections=(settings.collection,))
    names = {rule.rail for rules in load(policy).hops.values() for rule in rules}
    most = MOST_WITH_MODEL if "classifier" in names else MOST
    async with open_house(settings) as house:
        agent: Any = house.agent
        if not await house.shelf.documents(scope=scope):
            for file in sample_files(SAMPLE):
                added = await house.shelf.add(
                    file, name=file.name, tenant=settings.tenant, collection=settings.collection
                )
                assert added.outcome == "added", added
        metered = Metered(
            agent._rails.rails_for(tenant=scope.tenant, collections=scope.collections, channel="")
        )
        agent._rails = metered
        print(f"policy {policy}: {', '.join(sorted(names))}")
        processor, wall = await share(house, metered, questions=questions, scope=scope)
        told = f"{processor:.1%} of the processor's time, {wall:.1%} of the clock's"
        print(f"  rails: {told} (at most {most:.0%})")
        passages = [
            text
            for document in await house.shelf.documents(scope=scope)
            for text in await agent.passages(document.id, 1, scope=scope) or ()
        ]
        grown = await growth(metered.rails, checks=checks, texts=passages)
        print(f"  memory: {grown:+.1f} MB between check {min(SETTLED, checks // 2)} and check {checks}")
    return processor <= most and grown <= MOST_GROWTH_MB


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--policy", default="default")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--checks", type=int, default=5000)
    parser.add_argument("--home", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = measure(
            policy=chosen.policy,
            questions=chosen.questions,
            checks=chosen.checks,
            home=chosen.home or Path(folder),
        )
        raise SystemExit(0 if asyncio.run(run) else 1)
