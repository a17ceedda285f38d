"""`pagewarden eval`: how good is it, on questions with known answers and pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.edge import console, run
from api.cli.options import Home, Usage, settings_of


def evaluate(
    context: typer.Context,
    questions: Annotated[Path, typer.Argument(help="Questions with gold answers and pages, JSON Lines.")],
    documents: Annotated[Path | None, typer.Option(help="Shelve this folder first.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only the first so many.")] = None,
    ask: Annotated[
        bool, typer.Option(help="Ask for answers, too; without, only the search is scored.")
    ] = True,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the report to this file.")] = None,
    home: Home = None,
) -> None:
    """Score search and answers; no model judges.

    Example: pagewarden eval docs/sample/questions.jsonl --documents docs/sample
    """

    async def verb() -> int:
        from agent.evaluate import evaluate as scored
        from agent.evaluate import evaluation, load
        from agent.run import GuardedAgent
        from api.cli.add import listed, shelve
        from api.cli.door import LocalDoor
        from api.wiring import open_house

        settings = settings_of(context, home)
        if not questions.is_file():
            raise Usage(f"There are no questions at {questions}.")
        screen = console(stderr=True)
        scores = []
        async with open_house(settings) as house:
            door = LocalDoor(house, settings)
            if documents is not None:
                await shelve(door, listed([documents], apart=settings.home), collection=None, progress=True)
            agent = house.agent
            assert isinstance(agent, GuardedAgent), "only a real library is scored"
            scope = await door.scope()
            held = {d.name: d for d in await house.shelf.documents(scope=scope)}
            asked = load(questions)[:limit]
            async for score in scored(agent, asked, held, scope=scope, ask=ask):
                scores.append(score)
                mark = {True: "right", False: "wrong", None: "-"}[score.right]
                line = f"{len(scores):3}/{len(asked)} {mark:5} page rank {score.page_rank}"
                line += f"  {score.gold.question}"
                screen.print(line, markup=False, highlight=False)
        whole = evaluation(scores)
        if as_json is not None:
            as_json.write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
        typer.echo(whole.report.model_dump_json(indent=2, exclude_none=True))
        return 0

    run(verb, as_json=False)
