"""`pagewarden eval`: how good is it, on questions with known answers and pages."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.edge import console, run
from api.cli.options import Home, Usage, settings_of

if TYPE_CHECKING:
    from agent.evaluate import Score
    from agent.questions import Gold
    from agent.report import Evaluation
    from agent.run import GuardedAgent
    from api.cli.gather import Given
    from api.house import House
    from api.settings import ApiSettings
    from ingest.records import Document, Scope

#: Compared question by question where an earlier run is given.
_COMPARED = ("hit@1", "hit@5", "match")


def evaluate(
    context: typer.Context,
    questions: Annotated[
        Path | None, typer.Argument(help="Questions with gold answers and pages, JSON Lines.")
    ] = None,
    documents: Annotated[
        Path | None, typer.Option(help="Shelve this folder first, into a library kept for it alone.")
    ] = None,
    beir: Annotated[
        Path | None, typer.Option(help="A BEIR folder instead: corpus.jsonl[.gz], queries.jsonl, qrels/.")
    ] = None,
    retrieval_only: Annotated[bool, typer.Option(help="Score the search alone; nothing is asked.")] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help='Who writes: "none" quotes, "local", or the name of a model at PAGEWARDEN_MODEL_URL.'
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only the first so many.")] = None,
    ids: Annotated[
        Path | None, typer.Option(help="Ask only the questions that this file names, one id a line.")
    ] = None,
    without_gold: Annotated[
        bool,
        typer.Option(help="Hide the pages that hold each answer: only an abstention is right then."),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(help="Append each score to this file, and go on from what it holds already."),
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the report to this file.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page for people: the tables, the worst answers, their crops.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare with an earlier run's --json file, question by question.")
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option(help='A TOML file of floors, "retrieval.document.all.hit@5" = 0.88; exit 1 below.'),
    ] = None,
    home: Home = None,
) -> None:
    """Score search and answers; no model judges.

    Example: pagewarden eval docs/sample/questions.jsonl --documents docs/sample --json run.json
    """

    async def verb() -> int:
        settings = _chosen(
            settings_of(context, home), documents or beir, model=model, own_home=home is not None
        )
        floors = _floors(gate)
        earlier = _earlier(against)
        asked, texts = _asked(questions, beir, ids=ids)
        course = _Course(
            asked=asked[:limit],
            ask=not (retrieval_only or beir is not None),
            without_gold=without_gold,
            resume=resume,
            apart=frozenset(path.resolve() for path in (questions, ids, gate, resume) if path is not None),
        )
        if without_gold and not course.ask:
            raise Usage("--without-gold is about answers: leave --retrieval-only and --beir out.")
        whole = await _scored(settings, course, documents=documents, texts=texts, page=html)
        if as_json is not None:
            as_json.write_text(whole.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8")
        _told(whole)
        if earlier is not None:
            _compared(whole, earlier)
        return _gated(whole, floors)

    run(verb, as_json=False)


def _chosen(settings: ApiSettings, source: Path | None, *, model: str | None, own_home: bool) -> ApiSettings:
    """Give a folder of documents a library of its own, and say who writes."""
    import hashlib

    changes: dict[str, Any] = {}
    if source is not None and not own_home:
        if not source.is_dir():
            raise Usage(f"There is no folder {source}.")
        key = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:12]
        changes["home"] = settings.home / "evaluations" / f"{source.resolve().name}-{key}"
    if model is not None:
        changes |= {"writer": {"none": "quotes", "local": "local"}.get(model, "served")}
        if changes["writer"] == "served":
            if not settings.model_url:
                raise Usage(f"Set PAGEWARDEN_MODEL_URL to the server of {model!r}; or say none, or local.")
            changes["model"] = model
    return settings.model_copy(update=changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """What is asked, and how."""

    asked: list[Gold]
    ask: bool
    without_gold: bool = False
    resume: Path | None = None
    #: The evaluation's own files: beside the documents they would give the answers away.
    apart: frozenset[Path] = frozenset()


def _asked(
    questions: Path | None, beir: Path | None, *, ids: Path | None = None
) -> tuple[list[Gold], dict[str, str]]:
    from agent.questions import chosen, load, load_beir

    if (questions is None) is (beir is None):
        raise Usage("Name a file of questions, or a BEIR folder with --beir.")
    if beir is not None:
        golds, texts = load_beir(beir)
        return (chosen(golds, ids) if ids else golds), texts
    assert questions is not None
    if not questions.is_file():
        raise Usage(f"There are no questions at {questions}.")
    golds = load(questions)
    return (chosen(golds, ids) if ids else golds), {}


async def _scored(
    settings: ApiSettings,
    course: _Course,
    *,
    documents: Path | None,
    texts: Mapping[str, str],
    page: Path | None,
) -> Evaluation:
    from agent.report import evaluation
    from agent.run import GuardedAgent
    from api.cli.add import shelve
    from api.cli.door import LocalDoor
    from api.cli.gather import Given, listed
    from api.wiring import open_house

    # The agent is scored itself, not one that is watched.
    bare = settings.model_copy(update={"metrics": False, "otlp_url": None})
    async with open_house(bare) as house:
        door = LocalDoor(house, settings)
        if documents is not None:
            files = [
                Given(path=path, name=name)
                for path, name in listed([documents], apart=settings.home)
                if path.resolve() not in course.apart
            ]
            await shelve(door, files, progress=True)
        if texts:
            await _shelve_texts(door, texts)
        agent = house.agent
        assert isinstance(agent, GuardedAgent), "only a real library is scored"
        scope = await door.scope()
        held = {d.name: d for d in await house.shelf.documents(scope=scope)}
        if not held:
            raise Usage("The library is empty; say --documents FOLDER, or add some first.")
        config = _config(house, course, documents=len(held))
        found = await _found(agent, course, held, scope=scope, run=config)
        whole = evaluation(found, config=config)
        if page is not None:
            import anyio

            from api.cli.evaluation_page import page_of

            told = await page_of(whole, found, agent=agent, scope=scope)
            await anyio.Path(page).write_text(told, encoding="utf-8")
    return whole


def _config(house: House, course: _Course, *, documents: int) -> dict[str, str | int | float | bool | None]:
    has = house.capabilities
    return {
        "documents": documents,
        "asked": course.ask,
        "without_gold": course.without_gold,
        "questions": len(course.asked),
        "reasoning": has.reasoning,
        "model": has.model,
        "vision": has.vision,
        "profile": has.profile,
    }


async def _found(
    agent: GuardedAgent,
    course: _Course,
    held: Mapping[str, Document],
    *,
    scope: Scope,
    run: Mapping[str, object],
) -> list[Score]:
    """Score question by question, telling each; with a file to go on from, keep each."""
    from agent.evaluate import evaluate as scored
    from agent.evaluate import evaluate_without_gold
    from agent.resume import Kept

    screen = console(stderr=True)
    # How many are asked may grow from run to run; who answers, and from what, may not change.
    kept = (
        Kept(course.resume, run={k: v for k, v in run.items() if k != "questions"}) if course.resume else None
    )
    known = dict(kept.scores) if kept else {}
    if course.without_gold:
        scores = evaluate_without_gold(agent, course.asked, held, scope=scope, known=known)
    else:
        scores = scored(agent, course.asked, held, scope=scope, ask=course.ask, known=known)
    found: list[Score] = []
    async for score in scores:
        found.append(score)
        if kept is not None:
            kept.add(score)
        mark = {True: "right", False: "wrong", None: "-"}[score.right]
        screen.print(
            f"{len(found):3}/{len(course.asked)} {mark:5} {score.gold.question}",
            markup=False,
            highlight=False,
        )
    return found


async def _shelve_texts(door: Any, texts: Mapping[str, str]) -> None:
    """Add texts as files of a folder that is gone afterwards; those already there are left alone."""
    import asyncio
    import tempfile

    from api.cli.add import shelve

    there = {document.name for document in await door.documents()}
    new = {name: text for name, text in texts.items() if name not in there}
    with tempfile.TemporaryDirectory() as folder:
        files = await asyncio.to_thread(_written, Path(folder), new)
        if files:
            await shelve(door, files, progress=True)


def _written(folder: Path, texts: Mapping[str, str]) -> list[Given]:
    from api.cli.gather import Given

    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [Given(path=folder / name, name=name) for name in texts]


def _told(whole: Evaluation) -> None:
    """Print the tables."""
    from rich.table import Table

    screen = console(stderr=False)
    for where, by_type in whole.retrieval.items():
        table = Table(title=f"Pages found, searched in the {where}", title_justify="left")
        for name in ("type", "n", "hit@1", "hit@5", "95 %", "recall@10", "nDCG@10"):
            table.add_column(name, justify="left" if name == "type" else "right")
        for key, one in by_type.items():
            low, high = one.hit_5_interval or (one.hit_5, one.hit_5)
            figures = (one.hit_1, one.hit_5, one.recall_10, one.ndcg_10)
            told = [f"{figure:.3f}" for figure in figures]
            table.add_row(key, str(one.n), *told[:2], f"{low:.2f}-{high:.2f}", *told[2:])
        screen.print(table)
    if whole.answers:
        table = Table(title="Answers", title_justify="left")
        names = (
            "type",
            "n",
            "match",
            "abstained",
            "right if answered",
            "cites right",
            "pages cited",
            "support",
        )
        for name in names:
            table.add_column(name, justify="left" if name == "type" else "right")
        for key, answers in whole.answers.items():
            rates = (
                answers.match,
                answers.abstained,
                answers.match_when_answered,
                answers.citation_precision,
                answers.citation_recall,
                answers.support,
            )
            table.add_row(key, str(answers.n), *("-" if rate is None else f"{rate:.3f}" for rate in rates))
        screen.print(table)
    if whole.abstention is not None:
        rest = whole.abstention.model_dump(exclude={"risk_coverage"})
        screen.print("Abstention: " + ", ".join(f"{k} {'-' if v is None else v}" for k, v in rest.items()))
    screen.print("Milliseconds: " + ", ".join(f"{k} {v:g}" for k, v in whole.latency_ms.items()))


def _earlier(path: Path | None) -> Evaluation | None:
    if path is None:
        return None
    from pydantic import ValidationError

    from agent.report import Evaluation

    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise Usage(f"{path} is no report of `pagewarden eval --json`.") from error


def _compared(ours: Evaluation, theirs: Evaluation) -> None:
    from agent.report import values
    from agent.scores import difference

    for metric in _COMPARED:
        found = difference(values(ours, metric), values(theirs, metric))
        if found is not None:
            n, delta, (low, high) = found
            surely = "" if low <= 0 <= high else "  (differs)"
            typer.echo(
                f"{metric}: {delta:+.3f} on {n} common questions, 95 % {low:+.3f} to {high:+.3f}{surely}"
            )


def _floors(path: Path | None) -> dict[str, float]:
    """Read the gate: dotted names of the report and the least (or, below `[most]`, the most) they may be."""
    if path is None:
        return {}
    try:
        rows = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Usage(f"The gate {path} cannot be read: {error}.") from error
    most = rows.pop("most", {})
    if not isinstance(most, dict) or not (rows or most):
        raise Usage(f'The gate {path} names nothing; write "retrieval.document.all.hit@5" = 0.88.')
    bounds = {**rows, **{f"most {name}": value for name, value in most.items()}}
    wrong = [
        name
        for name, value in bounds.items()
        if isinstance(value, bool) or not isinstance(value, int | float)
    ]
    if wrong:
        raise Usage(f"The gate {path} wants a number for {wrong[0]!r} (names with dots go in quotes).")
    return {name: float(value) for name, value in bounds.items()}


def _gated(whole: Evaluation, floors: Mapping[str, float]) -> int:
    """Return 1 where a figure is beyond its bound, or missing: a gate that measures nothing is no gate."""
    report = whole.model_dump(by_alias=True)
    failed = 0
    for name, bound in floors.items():
        at_most, path = name.startswith("most "), name.removeprefix("most ")
        value: Any = report
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        fits = isinstance(value, int | float) and (value <= bound if at_most else value >= bound)
        if not fits:
            failed += 1
            typer.echo(
                f"gate: {path} is {value}, {'at most' if at_most else 'at least'} {bound:g} is wanted",
                err=True,
            )
    return 1 if failed else 0
