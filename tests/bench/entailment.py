"""Does a model's judgement pay? Right sentences and tampered ones beside the passage they came from.

`python tests/bench/entailment.py HOME [--pairs 40]` (HOME holds the sample library) asks the model of the
settings (the local one unless PAGEWARDEN_MODEL_URL is set). Told for all, and for those that the rules of
`agent/support.py` let pass, which is where a judgement is asked for.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent import words
from api.startup import prepare

if TYPE_CHECKING:
    from ingest.records import Chunk

#: A word and what says the opposite.
_OPPOSITES = {
    "larger": "smaller",
    "greater": "less",
    "more": "fewer",
    "first": "last",
    "before": "after",
    "always": "never",
    "maximum": "minimum",
    "read": "written",
    "signed": "unsigned",
    "increases": "decreases",
    "beginning": "end",
    "must": "need not",
    "can": "cannot",
    "is": "is not",
}


def claims(chunk: Chunk) -> Iterator[tuple[str, str, bool]]:
    """Yield (way, sentence, right) for one chunk: a sentence as it stands, and tampered with in one way."""
    fitting = [s for s in words.sentences(chunk.text) if 8 <= len(s.split()) <= 30 and s.endswith(".")]
    if not fitting:
        return
    sentence = min(fitting, key=_drawn)
    yield "right", sentence, True
    tampered = dict(_tampered(sentence, fitting))
    if tampered:
        way = min(tampered, key=lambda one: _drawn(one + sentence))
        yield way, tampered[way], False


def _tampered(sentence: str, others: list[str]) -> Iterator[tuple[str, str]]:
    if number := re.search(r"\b\d+\b", sentence):
        changed = str(int(number.group()) + 1)
        yield "number", sentence[: number.start()] + changed + sentence[number.end() :]
    for word, opposite in _OPPOSITES.items():
        if found := re.search(rf"\b{word}\b", sentence):
            yield "opposite", sentence[: found.start()] + opposite + sentence[found.end() :]
            break
    head, verb, _ = sentence.partition(" is ")
    for other in others:
        other_head, other_verb, rest = other.partition(" is ")
        if verb and other_verb and other_head != head:
            yield "swapped", f"{head} is {rest}"
            break


def _drawn(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def measure(home: Path, *, pairs: int) -> None:
    """Judge the pairs one by one and print what came out."""
    from agent.entail import Pair, judge
    from agent.run import GuardedAgent
    from agent.state import Source
    from agent.support import lack
    from api.cli.door import LocalDoor
    from api.settings import ApiSettings
    from api.wiring import open_house

    settings = ApiSettings(home=home)
    async with open_house(settings) as house:
        agent = house.agent
        assert isinstance(agent, GuardedAgent)
        assert agent.model is not None, "no model to measure"
        scope = await LocalDoor(house, settings).scope()
        found: list[tuple[str, str, bool, Source]] = []
        for document in await house.shelf.documents(scope=scope):
            for page_no in range(1, document.pages + 1):
                for chunk in await agent.library.on_page(document.id, page_no, scope=scope):
                    source = Source(n=1, chunk=chunk, name=document.name, score=1.0, text=chunk.text)
                    if chunk.kind == "paragraph":
                        found += [(*claim, source) for claim in claims(chunk)]
        found.sort(key=lambda one: _drawn(one[1]))
        tally: Counter[tuple[str, bool, str]] = Counter()
        start = time.perf_counter()
        for n, (way, sentence, _, source) in enumerate(found[:pairs], start=1):
            stopped = lack(sentence, [source], question="", around=[source], least=0.6, least_short=0.7)
            pair = Pair(claim=sentence, question="What does the document say?", cited=(source,))
            (verdict,) = await judge(agent.model, [pair], tenant="")
            tally[way, bool(stopped), verdict or "undecided"] += 1
            print(f"{n:3} {way:9} rules {stopped or '-':16} model {verdict}", flush=True)
        _tell(tally, seconds=(time.perf_counter() - start) / max(1, tally.total()), model=agent.model.name)


def _tell(tally: Counter[tuple[str, bool, str]], *, seconds: float, model: str) -> None:
    print(f"{model}: {seconds:.1f} s a pair")
    for name, wanted in (("all", {True, False}), ("those that the rules let pass", {False})):
        some = {(way, verdict): 0 for way, stopped, verdict in tally if stopped in wanted}
        for (way, stopped, verdict), n in tally.items():
            if stopped in wanted:
                some[way, verdict] += n
        right = sum(n for (way, _), n in some.items() if way == "right")
        wrong = sum(n for (way, _), n in some.items() if way != "right")
        kept = some.get(("right", "supported"), 0)
        fooled = sum(n for (way, verdict), n in some.items() if way != "right" and verdict == "supported")
        print(
            f"{name}: {right} right, {wrong} tampered; supported {kept} right and {fooled} tampered; "
            f"precision {kept / max(1, kept + fooled):.2f} (without it {right / max(1, right + wrong):.2f}), "
            f"recall {kept / max(1, right):.2f}"
        )
        for way in sorted({way for way, _ in some}):
            told = {verdict: n for (one, verdict), n in some.items() if one == way}
            print(f"  {way:9} {told}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--pairs", type=int, default=40)
    chosen = parser.parse_args()
    prepare()  # before anything that imports LangGraph
    anyio.run(lambda: measure(chosen.home, pairs=chosen.pairs))


if __name__ == "__main__":
    main()
