"""Coverage: no untrusted text crosses an edge of the graph without a verdict, and the proof can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.threads import Threads
from guardrails.policy import load
from guardrails.records import Hop
from tests.agent.crossings import Site, Watch, WatchedRails, call_sites, run

pytestmark = pytest.mark.anyio

#: Runs within which a hole must show; the quick ones and those of `make soak`.
ENOUGH = 400
RUNS = [120, pytest.param(1000, marks=pytest.mark.soak)]
RAILS = [(hop, rule.rail) for hop, rules in load("default").hops.items() for rule in rules]
SITES = sorted(call_sites(), key=str)


@pytest.mark.parametrize("runs", RUNS)
async def test_every_text_that_crosses_has_its_verdicts(runs: int, tmp_path: Path) -> None:
    watch = Watch(WatchedRails())
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        tally = await run(runs, watch, threads=threads)
    print(tally)
    print(f"nodes: {dict(tally.nodes)}")
    print(f"crossings: {sum(watch.crossed.values())}, {dict(watch.crossed)}")
    print(f"verdicts: {dict(watch.rails.verdicts)}")
    print(f"call sites: { {str(site): n for site, n in watch.rails.sites.items()} }")
    assert watch.holes == []
    assert set(SITES) <= set(watch.rails.sites), "every call of the rails was made"
    kinds = {kind for kind, _ in watch.crossed}
    assert kinds >= {"question", "told", "plan", "chunk", "heading", "name", "finding", "released sentence"}
    blocked = {verdict.split()[0] for verdict in watch.rails.verdicts if verdict.endswith("block")}
    assert blocked >= {"question", "evidence", "finding", "answer"}, "the rails had something to stop"


@pytest.mark.parametrize("site", SITES, ids=str)
async def test_a_call_of_the_rails_that_is_left_out_is_found(site: Site, tmp_path: Path) -> None:
    watch = Watch(WatchedRails(skipping=site))
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        tally = await run(ENOUGH, watch, threads=threads, first_hole=True)
    assert watch.holes, f"{tally.runs} runs without {site} show no hole"


@pytest.mark.parametrize(("hop", "rail"), RAILS)
async def test_a_rail_that_is_left_out_of_a_hop_is_found(hop: Hop, rail: str) -> None:
    watch = Watch(WatchedRails(without=(hop, rail)))
    tally = await run(ENOUGH, watch, first_hole=True)
    assert watch.holes, f"{tally.runs} runs without {rail} at {hop} show no hole"
