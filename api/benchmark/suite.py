"""The rows of suite.toml, lmms-eval's command line, and what is believed of its results.

lmms-eval writes a failed request down as an answer of the model, and scores it as a wrong one. So the samples
are read as well: one failed request, and there is no score.
"""

from __future__ import annotations

import asyncio
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.errors import BenchmarkFailed

SMOKE = "smoke"
TASKS = Path(__file__).with_name("task")
#: What lmms-eval 0.7.3 puts in the place of an answer where the request failed.
_FAILED = "[LMMS_EVAL_"
_TOLD_CHARS = 600


class Benchmark(BaseModel):
    """One row; what the fields mean stands atop suite.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    task: str | None = None
    metric: str = ""
    scale: Literal[1, 100] = 100
    published: Annotated[float, Field(ge=0, le=100)] | None = None
    thinks: bool = False
    dataset: str
    licence: str
    #: A model of somebody's judges the answers: lmms-eval wants its key in OPENAI_API_KEY.
    judged: bool = False
    video: bool = False
    differs: str = ""


class Scored(BaseModel):
    """A benchmark's score beside the card's."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    #: Percent; None where it was not run.
    score: float | None
    published: float | None
    #: Questions asked.
    n: int
    dataset: str
    licence: str
    note: str


@cache
def suite() -> Mapping[str, Benchmark]:
    """Read the rows, by name; with the five items of our own that prove the wiring."""
    rows = tomllib.loads(Path(__file__).with_name("suite.toml").read_text("utf-8"))
    smoke = Benchmark(
        title="Wiring, five items of our own",
        task="pagewarden_smoke",
        metric="exact_match",
        dataset="drawn when it is run",
        licence="as this project",
    )
    return MappingProxyType(
        {name: Benchmark.model_validate(row) for name, row in rows.items()} | {SMOKE: smoke}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """An installed lmms-eval: the Python that has it, and where its results go."""

    python: Path
    output: Path

    def command(
        self, row: Benchmark, *, base_url: str, model: str, limit: int | None, at_once: int, timeout_s: float
    ) -> list[str]:
        """Return the command that runs one benchmark; no key is in it."""
        said = f"model={model},base_url={base_url},num_concurrent={at_once},timeout={timeout_s:.0f}"
        words = [str(self.python), "-m", "lmms_eval", "--model=openai", f"--model_args={said}"]
        words += [f"--tasks={row.task}", "--batch_size=1", f"--output_path={self.output}", "--log_samples"]
        words += [f"--include_path={self.output / 'task'}"] if row.task == "pagewarden_smoke" else []
        return words + ([f"--limit={limit}"] if limit else [])

    async def run(self, words: Sequence[str], *, key: str, offline: bool) -> None:
        """Run it, its own progress on stderr. Raises BenchmarkFailed."""
        env = {**os.environ, "OPENAI_API_KEY": key, "PYTHONWARNINGS": "ignore"}
        if not offline:
            # Our own start-up keeps the hub out of this process; the harness fetches datasets.
            for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
                env.pop(name, None)
        try:
            child = await asyncio.create_subprocess_exec(*words, env=env, stdout=asyncio.subprocess.DEVNULL)
        except OSError as error:
            raise BenchmarkFailed(
                f"{self.python} does not run ({error.strerror}). Name the Python of lmms-eval: --python."
            ) from error
        try:
            code = await child.wait()
        finally:
            if child.returncode is None:
                child.terminate()
                await child.wait()
        if code != 0:
            raise BenchmarkFailed(
                f"lmms-eval left with {code}; what it said stands above. It is installed with: "
                "pip install 'lmms-eval>=0.7.3'"
            )

    def result(self, row: Benchmark) -> tuple[float, int]:
        """Return the score in percent and the number of questions. Raises BenchmarkFailed."""
        files = sorted(self.output.rglob("*_results.json"), key=lambda path: path.stat().st_mtime)
        if not files:
            raise BenchmarkFailed(f"lmms-eval wrote no results into {self.output}.")
        try:
            told = json.loads(files[-1].read_text("utf-8"))
            found = told["results"][row.task]
            score = float(next(found[name] for name in found if name.partition(",")[0] == row.metric))
            asked = int(told["n-samples"][row.task]["effective"])
        except (ValueError, KeyError, StopIteration, TypeError) as error:
            raise BenchmarkFailed(f"{files[-1]} holds no {row.metric} of {row.task}.") from error
        failed = sum(_failed(path) for path in self.output.rglob(f"*samples_{row.task}.jsonl"))
        if failed:
            raise BenchmarkFailed(
                f"{failed} of {asked} requests failed and were scored as wrong answers: the score of "
                f"{row.title} says nothing. See that the server stands the load (--at-once)."
            )
        return score * row.scale, asked


def _failed(samples: Path) -> int:
    """Count the answers that are none."""
    with samples.open(encoding="utf-8") as lines:
        return sum(_FAILED in json.dumps(json.loads(line).get("resps", "")) for line in lines)


def chosen(names: Sequence[str]) -> dict[str, Benchmark]:
    """Return the rows of that name, the card's where none is named. Raises KeyError for an unknown one."""
    rows = suite()
    wanted = names or [name for name in rows if name != SMOKE]
    return {name: rows[name] for name in wanted}
