"""`pagewarden backup` and `pagewarden restore`: the library in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.edge import console, run
from api.cli.options import Home, Usage, settings_of


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it; what is there is replaced at the end.")],
    home: Home = None,
) -> None:
    """Write the library (documents, index, registry, conversations, policies) to one file.

    No server may have the library open. A Qdrant server's points are not in: snapshot its collection too.

    Example: pagewarden backup library.tar
    """

    async def verb() -> int:
        from api.wiring import back_up

        settings = settings_of(context, home)
        if file.absolute().is_relative_to(settings.home):
            raise Usage("Write the backup outside of the library that it saves.")
        if not file.absolute().parent.is_dir():
            raise Usage(f"There is no folder {file.parent}.")
        files = await back_up(settings, file.absolute())
        console(stderr=True).print(f"{files} files are in {file}.", markup=False, highlight=False)
        return 0

    run(verb, as_json=False)


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `pagewarden backup` wrote.")],
    check: Annotated[bool, typer.Option(help="Only say whether it is whole; change nothing.")] = False,
    home: Home = None,
) -> None:
    """Put the library that a backup holds in the place of this one, whole or not at all.

    Example: pagewarden restore library.tar
    """

    async def verb() -> int:
        import asyncio

        from api.wiring import restore_home
        from ingest.backup import verify

        settings = settings_of(context, home)
        if check:
            files = len((await asyncio.to_thread(verify, file)).files)
            told = f"{file} is whole: {files} files."
        else:
            files = await restore_home(settings, file)
            told = f"{files} files are in {settings.home}."
        console(stderr=True).print(told, markup=False, highlight=False)
        return 0

    run(verb, as_json=False)
