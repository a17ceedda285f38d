"""`pagewarden benchmark`: the served model on the suite of its card, measured by lmms-eval."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, run
from api.cli.options import AsJson, Usage, settings_of

if TYPE_CHECKING:
    from api.benchmark.door import Behind
    from api.benchmark.suite import Benchmark, Scored
    from api.settings import ApiSettings


def benchmark(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="mmmu, mathvista, ai2d, ocrbench … or smoke; the card's whole suite where none."),
    ] = None,
    python: Annotated[
        Path | None, typer.Option(help="The Python that has lmms-eval; this one where not given.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where lmms-eval keeps answers and results.")] = Path(
        "benchmark"
    ),
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only the first so many of each.")] = None,
    at_once: Annotated[int, typer.Option(min=1, max=256, help="Requests at once.")] = 16,
    tell: Annotated[
        bool, typer.Option("--list", help="List the suite with its datasets and licences, run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the model at PAGEWARDEN_MODEL_URL on public benchmarks, the card's own scores beside it.

    Datasets are fetched from the hub by lmms-eval, under their own licences; `smoke` asks five questions
    about pictures drawn here and wants no network.

    Example: pagewarden benchmark smoke --python ~/lmms/bin/python
    """

    async def verb() -> int:
        from api.benchmark.suite import chosen, suite

        try:
            rows = chosen(names or [])
        except KeyError as error:
            raise Usage(f"There is no benchmark {error.args[0]!r}: {', '.join(suite())}.") from None
        if tell:
            _told([_unrun(name, row) for name, row in rows.items()], as_json=as_json)
            return 0
        settings = settings_of(context, None)
        if not (settings.model_url and settings.model):
            raise Usage("Set PAGEWARDEN_MODEL_URL and PAGEWARDEN_MODEL: that is the model to be measured.")
        scored = [
            await _scored(
                name,
                row,
                settings=settings,
                python=python or Path(sys.executable),
                output=output.absolute() / name,
                limit=limit,
                at_once=at_once,
            )
            for name, row in rows.items()
        ]
        _told(scored, as_json=as_json)
        return 0

    run(verb, as_json=as_json)


async def _scored(
    name: str,
    row: Benchmark,
    *,
    settings: ApiSettings,
    python: Path,
    output: Path,
    limit: int | None,
    at_once: int,
) -> Scored:
    """Run one benchmark through a door of its own. Raises BenchmarkFailed."""
    from api.benchmark import smoke
    from api.benchmark.door import open_door
    from api.benchmark.suite import SMOKE, Harness

    why_not = _impossible(row, settings)
    if why_not:
        return _unrun(name, row, note=why_not)
    harness = Harness(python=python, output=output)
    if name == SMOKE:
        smoke.write(output)
    async with open_door(_behind(settings, row)) as door:
        words = harness.command(
            row,
            base_url=door.base_url,
            model=settings.model or "",
            limit=limit,
            at_once=at_once,
            timeout_s=settings.model_timeout_s,
        )
        await harness.run(words, key=door.key, offline=name == SMOKE)
    score, asked = harness.result(row)
    part = f"the first {limit} of each part" if limit else ""
    note = "; ".join(filter(None, (part, row.differs)))
    return _unrun(name, row, note=note).model_copy(update={"score": round(score, 2), "n": asked})


def _behind(settings: ApiSettings, row: Benchmark) -> Behind:
    from api.benchmark.door import Behind
    from ingest.providers import OTHER, providers

    model = settings.model or ""
    provider = providers()[settings.served_by or OTHER]
    switch = settings.model_switch if settings.model_switch != "auto" else provider.switch_of(model)
    thinks = row.thinks and switch == "words"
    return Behind(
        base_url=settings.model_url or "",
        key=settings.model_key.get_secret_value() if settings.model_key else "",
        timeout_s=settings.model_timeout_s,
        switch=("/think" if thinks else "/no_think") if switch == "words" else "",
        thought_tokens=settings.model_thought_tokens if thinks else 0,
    )


def _impossible(row: Benchmark, settings: ApiSettings) -> str:
    """Say why a benchmark cannot be run; "" where it can."""
    from ingest.providers import OTHER, providers

    provider = providers()[settings.served_by or OTHER]
    if row.task is None:
        return row.differs
    if row.judged:
        return "not run: a model of somebody else's would judge the answers"
    if row.video and provider.video is False:
        return f"not run: {provider.title} takes no video"
    return ""


def _unrun(name: str, row: Benchmark, *, note: str = "") -> Scored:
    from api.benchmark.suite import Scored

    return Scored(
        name=name,
        title=row.title,
        score=None,
        published=row.published,
        n=0,
        dataset=row.dataset,
        licence=row.licence,
        note=note or row.differs,
    )


def _told(scored: list[Scored], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"benchmarks": [one.model_dump() for one in scored]}) + "\n")
        return
    out = console(stderr=False)
    out.print(f"{'':28} score   card  asked", style="bold", highlight=False)
    for one in scored:
        score, card = ("-" if value is None else f"{value:.2f}" for value in (one.score, one.published))
        out.print(f"{one.title:28} {score:>5}  {card:>5}  {one.n or '-':>5}", highlight=False, markup=False)
        out.print(f"  {one.dataset}, licence: {one.licence}", style="dim", highlight=False, markup=False)
        if one.note:
            out.print(f"  {one.note}", style="yellow", highlight=False, markup=False)
