"""`pagewarden batch`: many files, an outcome for each in a manifest, and where it stopped it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, run
from api.cli.options import Home, Usage, settings_of

if TYPE_CHECKING:
    from api.cli.gather import Given

_DEFAULT = Path("pagewarden-batch.jsonl")


def batch(
    context: typer.Context,
    sources: Annotated[
        list[str], typer.Argument(help="Folders, files, https:// addresses, stores.", metavar="URIS")
    ],
    manifest: Annotated[
        Path, typer.Option(help="An outcome a file, JSON Lines; what is settled there is not done again.")
    ] = _DEFAULT,
    allow_scheme: Annotated[
        list[str] | None, typer.Option(help="Open this scheme too (file, memory): it may reach local files.")
    ] = None,
    home: Home = None,
) -> None:
    """Add many files; killed and called again, it goes on where it was.

    Example: pagewarden batch reports/ --manifest reports.jsonl
    """

    async def verb() -> int:
        import tempfile

        from api.cli.add import shelve
        from api.cli.door import LocalDoor, find_server
        from api.cli.gather import Placing, gathered
        from api.wiring import open_house
        from ingest.batch import Line, Manifest

        settings = settings_of(context, home)
        if await find_server(settings) is not None:
            raise Usage("A server has this library open: end it, or add the files through it (`add`).")
        kept = Manifest(manifest)
        failed = 0
        with tempfile.TemporaryDirectory(prefix="pagewarden-") as folder:
            found = await gathered(
                sources,
                apart=settings.home,
                placing=Placing(),
                folder=Path(folder),
                allowed=frozenset(allow_scheme or ()),
            )
            marks = {given.name: _mark(given) for given in found.files}
            left = [given for given in found.files if not kept.is_done(given.name, marks[given.name])]
            console(stderr=True).print(f"{len(found.files) - len(left)} settled before, {len(left)} to do.")
            async with open_house(settings) as house:
                door = LocalDoor(house, settings)
                told = found.failed
                for at in range(0, len(left), _AT_ONCE):
                    told += await shelve(door, left[at : at + _AT_ONCE], progress=True)
                    for outcome in told:
                        failed += outcome.outcome in ("failed", "quarantined")
                        kept.add(Line(mark=marks.get(outcome.name, outcome.name), **outcome.model_dump()))
                    told = []
        return 3 if failed else 0

    run(verb, as_json=False)


#: Files between two writes of the manifest; what a kill takes from it is found unchanged when it goes on.
_AT_ONCE = 16


def _mark(given: Given) -> str:
    """Name the content of a file by what is cheap to see."""
    try:
        facts = given.path.stat()
    except OSError:
        return "absent"
    return f"{facts.st_size} {facts.st_mtime_ns}"
