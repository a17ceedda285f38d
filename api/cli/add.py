"""`pagewarden add`: files and folders onto the shelf, with a word on each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, Usage, settings_of

if TYPE_CHECKING:
    from rich.console import Console

    from api.cli.door import Door
    from api.schemas import OutcomeOut

STYLES = {
    "added": "green",
    "updated": "green",
    "unchanged": "dim",
    "quarantined": "yellow",
    "failed": "red",
}
_BAD = ("failed", "quarantined")
#: Where each stage of a file starts, and how much of the file's share of the bar it fills.
_SHARES = {"read": (0.0, 0.5), "embed": (0.5, 0.4), "screen": (0.9, 0.05), "shelve": (0.95, 0.05)}


def add(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders with all below them.")],
    collection: Annotated[str | None, typer.Option(help="Put them into this collection.")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Read documents and put them on the shelf; adding twice changes nothing.

    Leaves with 3 where a file was not taken; the others are shelved all the same.

    Example: pagewarden add reports/ handbook.docx
    """

    async def verb() -> int:
        import re

        from api.cli.door import open_door
        from api.schemas import OutcomesOut
        from api.settings import NAME

        if collection is not None and not re.fullmatch(NAME, collection):
            raise Usage(f"A collection's name fits {NAME}.")
        settings = settings_of(context, home)
        files = listed(paths, apart=settings.home)
        async with open_door(settings) as door:
            outcomes = await shelve(door, files, collection=collection, progress=not as_json)
        if as_json:
            print_json(OutcomesOut(documents=outcomes))
        return 3 if any(outcome.outcome in _BAD for outcome in outcomes) else 0

    run(verb, as_json=as_json)


def listed(paths: list[Path], *, apart: Path) -> list[tuple[Path, str]]:
    """Return (file, name) pairs: a name is the path below the folder that was given, or the file's own.

    Hidden files and the library's own folder are left out. A path that is not there stays in, to be told.
    """
    pairs: list[tuple[Path, str]] = []
    for path in paths:
        if not path.is_dir():
            pairs.append((path, path.name))
            continue
        for file in sorted(path.rglob("*")):
            below = file.relative_to(path)
            hidden = any(step.startswith(".") for step in below.parts)
            if file.is_file() and not hidden and not file.absolute().is_relative_to(apart):
                pairs.append((file, below.as_posix()))
    return pairs


async def shelve(
    door: Door, files: list[tuple[Path, str]], *, collection: str | None, progress: bool
) -> list[OutcomeOut]:
    """Add files one after the other, telling on stderr what becomes of each."""
    import time

    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    screen = console(stderr=True)
    outcomes: list[OutcomeOut] = []
    began, pages = time.monotonic(), 0
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files · {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, disable=not progress, transient=True) as bar:
        # Parts of a file count, so that a long document moves the bar too; it never goes back.
        task = bar.add_task("Starting", total=len(files), rate="")
        for place, (path, name) in enumerate(files):
            bar.update(task, description=name[-40:])

            def on_progress(
                stage: str, done: int, total: int, *, place: int = place, before: int = pages
            ) -> None:
                start, width = _SHARES[stage]
                bar.update(task, completed=place + start + width * done / max(total, 1))
                if stage == "read":
                    bar.update(task, rate=f"{(before + done) / (time.monotonic() - began):.1f} pages/s")

            outcome = await door.add(path, name=name, collection=collection, on_progress=on_progress)
            outcomes.append(outcome)
            pages += outcome.pages
            bar.update(task, completed=place + 1)
            if progress:
                screen.print(line(outcome), style=STYLES[outcome.outcome], markup=False, highlight=False)
    if progress:
        summary(screen, outcomes, seconds=time.monotonic() - began)
    return outcomes


def line(outcome: OutcomeOut) -> str:
    """Say what became of one file."""
    if outcome.outcome in _BAD:
        return f"{outcome.outcome:11} {outcome.name}: {outcome.detail or outcome.reason}"
    return f"{outcome.outcome:11} {outcome.name} ({outcome.pages} pages, {outcome.chunks} chunks)"


def summary(screen: Console, outcomes: list[OutcomeOut], *, seconds: float) -> None:
    """Count the outcomes."""
    counted = {kind: sum(o.outcome == kind for o in outcomes) for kind in STYLES}
    told = ", ".join(f"{n} {kind}" for kind, n in counted.items() if n)
    pages = sum(o.pages for o in outcomes if o.outcome in ("added", "updated"))
    rate = f", {pages / seconds:.1f} pages/s" if pages and seconds else ""
    screen.print(f"{told or 'No files there'} in {seconds:.1f} s{rate}", markup=False, highlight=False)
