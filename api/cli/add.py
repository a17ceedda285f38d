"""`pagewarden add`: files and folders onto the shelf, with a word on each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, Usage, settings_of

if TYPE_CHECKING:
    from rich.console import Console

    from api.cli.door import Door
    from api.cli.gather import Given, Placing
    from api.cli.watch import Round
    from api.schemas import OutcomeOut
    from api.settings import ApiSettings

STYLES = {
    "added": "green",
    "updated": "green",
    "unchanged": "dim",
    "quarantined": "yellow",
    "failed": "red",
}
_BAD = ("failed", "quarantined")
#: Files under way at once: two that are read, one that is embedded.
_SIDE_BY_SIDE = 3
#: Where each stage of a file starts, and how much of the file's share of the bar it fills.
_SHARES = {"read": (0.0, 0.5), "embed": (0.5, 0.4), "screen": (0.9, 0.05), "shelve": (0.95, 0.05)}


def add(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders with all below them, https:// addresses, objects of stores (s3://bucket/prefix).",
            metavar="PATHS",
        ),
    ],
    collection: Annotated[str | None, typer.Option(help="Put them into this collection.")] = None,
    groups: Annotated[
        str | None,
        typer.Option(help="Only callers in one of these groups find them (a,b)."),
    ] = None,
    watch: Annotated[
        bool, typer.Option(help="Stay, and keep shelf and folders alike: what is new, changed, gone.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Look so often with --watch, seconds.")] = 2.0,
    allow_scheme: Annotated[
        list[str] | None,
        typer.Option(help="Open this scheme too (file, memory, ftp): it may reach files of this machine."),
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Read documents and put them on the shelf; adding twice changes nothing.

    Leaves with 3 where a file was not taken; the others are shelved all the same.

    Example: pagewarden add reports/ handbook.docx https://example.org/fees.pdf
    """

    async def verb() -> int:
        import re
        import tempfile

        from api.cli.door import open_door
        from api.cli.gather import Placing, gathered, groups_of
        from api.schemas import OutcomesOut
        from api.settings import NAME

        if collection is not None and not re.fullmatch(NAME, collection):
            raise Usage(f"A collection's name fits {NAME}.")
        settings = settings_of(context, home)
        placing = Placing(collection=collection, groups=groups_of(groups))
        if watch:
            return await _watched(settings, sources, placing, every_s=every)
        with tempfile.TemporaryDirectory(prefix="pagewarden-") as folder:
            found = await gathered(
                sources,
                apart=settings.home,
                placing=placing,
                folder=Path(folder),
                allowed=frozenset(allow_scheme or ()),
            )
            for failed in found.failed:
                console(stderr=True).print(line(failed), style="red", markup=False, highlight=False)
            async with open_door(settings) as door:
                outcomes = await shelve(door, found.files, progress=not as_json)
        outcomes += found.failed
        if as_json:
            print_json(OutcomesOut(documents=outcomes))
        return 3 if any(outcome.outcome in _BAD for outcome in outcomes) else 0

    run(verb, as_json=as_json)


async def _watched(settings: ApiSettings, sources: list[str], placing: Placing, *, every_s: float) -> int:
    """Keep folders and shelf alike until somebody ends it."""
    from functools import partial

    from api.cli.door import open_door
    from api.cli.watch import Watch, keep_watching

    folders = [Path(one) for one in sources]
    for folder in folders:
        if not folder.is_dir():
            raise Usage(f"{folder} is no folder: only folders are watched.")
    screen = console(stderr=True)
    async with open_door(settings) as door:
        watches = [Watch(folder, door, home=settings.home, placing=placing) for folder in folders]
        screen.print(f"Watching {', '.join(sources)}    (Ctrl-C ends it)", markup=False, highlight=False)
        await keep_watching(watches, every_s=every_s, told=partial(_told_round, screen))
    return 0


def _told_round(screen: Console, seen: Round) -> None:
    for outcome in seen.outcomes:
        screen.print(line(outcome), style=STYLES[outcome.outcome], markup=False, highlight=False)
    for name in seen.removed:
        screen.print(f"{'removed':11} {name}", style="dim", markup=False, highlight=False)
    if seen.waiting is not None:
        screen.print(seen.waiting, style="yellow", markup=False, highlight=False)


async def shelve(door: Door, files: Sequence[Given], *, progress: bool) -> list[OutcomeOut]:
    """Add files, telling on stderr what becomes of each; one is read while another is embedded.

    Outcomes come back in the order of `files`.
    """
    import asyncio
    from functools import partial

    gate = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def one(place: int, given: Given) -> OutcomeOut:
        async with gate:
            told = partial(board.moved, place, given.name)
            outcome = await door.add(
                given.path,
                name=given.name,
                collection=given.collection,
                groups=given.groups,
                on_progress=told,
            )
        board.finished(place, outcome)
        return outcome

    with Board(len(files), silent=not progress) as board:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(place, given)) for place, given in enumerate(files)]
    return [task.result() for task in tasks]


class Board:
    """The progress bar and the lines above it. Parts of a file count, and the bar never goes back."""

    def __init__(self, files: int, *, silent: bool) -> None:
        import time

        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._screen, self._silent, self._now = console(stderr=True), silent, time.monotonic
        self._began = self._now()
        self._share: dict[int, float] = {}
        self._read: dict[int, int] = {}
        self._outcomes: list[OutcomeOut] = []
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("files · {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._screen,
            disable=silent,
            transient=True,
        )
        self._task = self._bar.add_task("Starting", total=files, rate="")

    def __enter__(self) -> Board:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if not self._silent:
            summary(self._screen, self._outcomes, seconds=self._now() - self._began)

    def moved(self, place: int, name: str, stage: str, done: int, total: int) -> None:
        """Note how far a file is."""
        if stage == "wait":
            self._bar.update(self._task, rate="" if done else "waiting for the model server")
            return
        start, width = _SHARES[stage]
        share = start + width * done / max(total, 1)
        self._share[place] = max(self._share.get(place, 0.0), share)
        if stage == "read":
            self._read[place] = done
        rate = sum(self._read.values()) / (self._now() - self._began)
        completed = sum(self._share.values())
        self._bar.update(self._task, description=name[-40:], completed=completed, rate=f"{rate:.1f} pages/s")

    def finished(self, place: int, outcome: OutcomeOut) -> None:
        """Say what became of a file."""
        self._share[place] = 1.0
        self._outcomes.append(outcome)
        self._bar.update(self._task, completed=sum(self._share.values()))
        if not self._silent:
            self._screen.print(line(outcome), style=STYLES[outcome.outcome], markup=False, highlight=False)


def line(outcome: OutcomeOut) -> str:
    """Say what became of one file."""
    if outcome.outcome in _BAD:
        return f"{outcome.outcome:11} {outcome.name}: {outcome.detail or outcome.reason}"
    told = f"\n{'':11} {outcome.detail}" if outcome.detail else ""
    return f"{outcome.outcome:11} {outcome.name} ({outcome.pages} pages, {outcome.chunks} chunks){told}"


def summary(screen: Console, outcomes: list[OutcomeOut], *, seconds: float) -> None:
    """Count the outcomes."""
    counted = {kind: sum(o.outcome == kind for o in outcomes) for kind in STYLES}
    told = ", ".join(f"{n} {kind}" for kind, n in counted.items() if n)
    pages = sum(o.pages for o in outcomes if o.outcome in ("added", "updated"))
    chunks = sum(o.chunks for o in outcomes if o.outcome in ("added", "updated"))
    rate = f", {pages / seconds:.1f} pages/s, {chunks / seconds:.1f} chunks/s" if pages and seconds else ""
    screen.print(f"{told or 'No files there'} in {seconds:.1f} s{rate}", markup=False, highlight=False)
