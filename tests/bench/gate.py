"""Does the gate turn red? `pagewarden eval` on the sample library as it is, and with three regressions.

`python tests/bench/gate.py [--home HOME]`; without a home the sample is shelved into one (about a minute). A
broken prompt is a scripted model that does what such a model does; a dropped leg and checks that are off are
settings. Exit code 0 where the gate is green as it is and red for each of the three.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent import words
from agent.questions import Gold, load
from tests.model_server import Answer, Exchange, completion, model_server, said, sized

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "docs" / "sample"
FILES = sorted(path for path in SAMPLE.glob("sqlite-*"))
#: What a model makes up beside its answer: no number or name in it, so that words alone can stop it.
_INVENTED = "The engineers keep a spare copy in the green cupboard below the stairs"
_RAMBLING = "As far as I know that is widely discussed among experienced engineers everywhere."
_CHECKS_OFF = {
    "PAGEWARDEN_AGENT_MIN_WORD_SUPPORT": "0",
    "PAGEWARDEN_AGENT_MIN_SHORT_SUPPORT": "0",
    "PAGEWARDEN_AGENT_MIN_CONFIDENCE": "0",
    "PAGEWARDEN_AGENT_ENTAILMENT": "off",
}
_LEG_DROPPED = {"PAGEWARDEN_INGEST_SPARSE_WEIGHT": "0", "PAGEWARDEN_INGEST_RERANKED": "0"}
_SOURCE = re.compile(r'<source (?:n="(\d+)" )?[^>]*>\n(.*?)\n</source>', re.S)
_PAIR = re.compile(r'<pair n="(\d+)">.*?\nClaim: (.*?)\n</pair>', re.S)


def scripted(golds: list[Gold], *, broken: bool) -> Answer:
    """Return a model that answers the questions of `golds` from the sources that it is shown, and invents."""
    by_question = {gold.question: gold for gold in golds}

    async def answer(exchange: Exchange) -> None:
        asked = exchange.body["messages"][-1]["content"]
        text = asked if isinstance(asked, str) else "".join(part.get("text", "") for part in asked)
        if "response_format" in exchange.body:
            await sized(completion(_verdicts(text)))(exchange)
        elif broken:
            await said(_RAMBLING)(exchange)
        else:
            await said(_written(text, by_question))(exchange)

    return answer


def _written(text: str, golds: Mapping[str, Gold]) -> str:
    """Quote the line that holds the answer, with its number; then invent something, with the same number."""
    question = text.rpartition("Question: ")[2].strip()
    gold = golds.get(question)
    wanted = words.numbers(gold.answer) | words.content(gold.answer) if gold and gold.answerable else set()
    best: tuple[float, str, str] = (0.0, "", "")
    for number, body in _SOURCE.findall(text):
        for line in words.sentences(body):
            holds = words.numbers(line) | words.content(line)
            if wanted and wanted <= holds:
                fit = words.cover(words.content(question), words.content(line))
                best = max(best, (fit + 0.01, line, number or "1"))
    if not best[1]:
        return "NOT FOUND"
    return f"{best[1]} [{best[2]}].\n{_INVENTED} [{best[2]}]."


def _verdicts(text: str) -> str:
    """Judge pairs as a good model would; any other schema gets nothing of use."""
    each = [
        f'{{"pair": {n}, "verdict": "{"not_stated" if _INVENTED in claim else "supported"}"}}'
        for n, claim in _PAIR.findall(text)
    ]
    return f'{{"verdicts": [{", ".join(each)}]}}'


def command(home: Path, *more: str) -> list[str]:
    """Return the command line of one run with the gate."""
    questions, gate = SAMPLE / "questions.jsonl", Path(__file__).with_name("gate.toml")
    base = [sys.executable, "-m", "api", "eval", str(questions), "--home", str(home), "--gate", str(gate)]
    return [*base, *more]


async def run(home: Path, name: str, *, broken: bool = False, env: Mapping[str, str] | None = None) -> int:
    """Run the evaluation against a scripted model; print and return its exit code."""
    async with model_server(scripted(load(SAMPLE / "questions.jsonl"), broken=broken)) as server:
        own = {"PAGEWARDEN_MODEL_URL": server.url, "PYTHONPATH": str(ROOT), **(env or {})}
        process = await asyncio.create_subprocess_exec(
            *command(home, "--model", "nano"),
            env=os.environ | own,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    told = [line for line in err.decode().splitlines() if line.startswith("gate:")]
    print(f"{name}: exit code {process.returncode}", *told, sep="\n  ", flush=True)
    if process.returncode not in (0, 1):
        print(out.decode()[-2000:], err.decode()[-2000:], sep="\n")
    return process.returncode or 0


async def all_of_them(home: Path) -> bool:
    """Say whether the gate is green as it is and red for each regression."""
    green = await run(home, "as it is")
    red = [
        await run(home, "a broken prompt", broken=True),
        await run(home, "a dropped leg", env=_LEG_DROPPED),
        await run(home, "checks off", env=_CHECKS_OFF),
    ]
    return green == 0 and red == [1, 1, 1]


def main() -> int:
    """Shelve the sample unless a home is named, then run all four."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = chosen.home or Path(folder) / "home"
        if chosen.home is None:
            adding = [sys.executable, "-m", "api", "add", *map(str, FILES), "--home", str(home)]
            subprocess.run(adding, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        return 0 if asyncio.run(all_of_them(home)) else 1


if __name__ == "__main__":
    sys.exit(main())
