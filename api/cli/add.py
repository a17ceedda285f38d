"""`pagewarden add`: files and folders onto the shelf, with a word on each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, Usage, settings_of
from ingest.jobs import SETTLED

if TYPE_CHECKING:
    from rich.console import Console

    from api.cli.door import Door
    from api.cli.gather import Given, Placing
    from api.cli.watch import Round
    from api.schemas import JobOut, OutcomeOut
    from api.settings import ApiSettings

STYLES = {
    "added": "green",
    "updated": "green",
    "unchanged": "dim",
    "quarantined": "yellow",
    "failed": "red",
}
_BAD = ("failed", "quarantined")
#: Between two looks at what changed.
_LOOK_S = 0.2


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

    Leaves with 3 where a file was not taken; the others are shelved all the same. What Ctrl-C stops goes on
    where it was when it is run again.

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
    """Add files as jobs, telling on stderr what becomes of each.

    Outcomes come back in the order of `files`. Stopped half-way, the rest stays in the queue.
    """
    with Board(len(files), silent=not progress, server=door.url is not None) as board:
        await _until_settled(door, files, board)
    return board.outcomes()


async def _until_settled(door: Door, files: Sequence[Given], board: Board) -> None:
    """Enqueue in batches and watch what changes, until nothing is left."""
    import asyncio

    from api.schemas import OutcomeOut

    waiting: dict[str, list[int]] = {}
    since: int | None = None
    for at in range(0, len(files), door.batch):
        batch = files[at : at + door.batch]
        for place, told in enumerate(await door.enqueue(batch), start=at):
            if isinstance(told, OutcomeOut):
                board.finished(place, told)
            elif told.state in SETTLED:
                board.finished(place, outcome_of(told))
            else:
                waiting.setdefault(told.id, []).append(place)
                since = told.changed - 1 if since is None else since
        since = await _look(door, waiting, since, board)
    while waiting:
        await asyncio.sleep(_LOOK_S)
        since = await _look(door, waiting, since, board)


async def _look(door: Door, waiting: dict[str, list[int]], since: int | None, board: Board) -> int | None:
    """Tell what changed; return where to look on from."""
    for job in (await door.jobs(since=since)).jobs if waiting else ():
        since = job.changed
        for place in waiting.get(job.id, ()):
            if job.state in SETTLED:
                board.finished(place, outcome_of(job))
            else:
                board.moved(place, job)
        if job.state in SETTLED:
            waiting.pop(job.id, None)
    return since


def outcome_of(job: JobOut) -> OutcomeOut:
    """Say of a settled job what became of its file."""
    from api.schemas import OutcomeOut

    shelved = job.state == "shelved"
    return OutcomeOut(
        id=job.document_id,
        name=job.name,
        outcome=job.outcome or "failed",
        reason=job.reason,
        detail=job.detail,
        pages=job.pages_done if shelved else 0,
        chunks=job.chunks,
    )


class Board:
    """The progress bar and the lines above it. Parts of a file count, and the bar never goes back."""

    def __init__(self, files: int, *, silent: bool, server: bool) -> None:
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
        self._outcomes: dict[int, OutcomeOut] = {}
        self._files, self._server = files, server
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
        if self._silent:
            return
        summary(self._screen, self.outcomes(), seconds=self._now() - self._began)
        left = self._files - len(self._outcomes)
        if left:
            how = "the server goes on with them" if self._server else "run it again to go on where it stopped"
            self._screen.print(f"Stopped; of {self._files} files {left} are left: {how}.", style="yellow")

    def outcomes(self) -> list[OutcomeOut]:
        """Return the outcomes in the order of the files."""
        return [outcome for _, outcome in sorted(self._outcomes.items())]

    def moved(self, place: int, job: JobOut) -> None:
        """Note how far a file is."""
        self._share[place] = max(self._share.get(place, 0.0), job.share)
        self._read[place] = max(self._read.get(place, 0), job.pages_done)
        pages_per_s = sum(self._read.values()) / max(self._now() - self._began, 1e-3)
        rate = f"waiting for {job.waits_for}" if job.waits_for else f"{pages_per_s:.1f} pages/s"
        done = sum(self._share.values())
        self._bar.update(self._task, description=job.name[-40:], completed=done, rate=rate)

    def finished(self, place: int, outcome: OutcomeOut) -> None:
        """Say what became of a file."""
        self._share[place] = 1.0
        self._outcomes[place] = outcome
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
