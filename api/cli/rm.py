"""`pagewarden rm`: documents off the shelf."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, settings_of


def rm(
    context: typer.Context,
    documents: Annotated[list[str], typer.Argument(help="Names or ids; `pagewarden status` lists them.")],
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Take documents off the shelf; they are gone from old answers too.

    Example: pagewarden rm old-report.pdf
    """

    async def verb() -> int:
        from api.cli.door import open_door
        from api.errors import NotFound
        from api.schemas import RemovedOut

        async with open_door(settings_of(context, home)) as door:
            held = {d.name: d.id for d in await door.documents()}
            wanted = [held.get(name, name) for name in documents]
            # One by one and told at the end: what is gone is gone, also where a later one is not there.
            removed = [one for one in wanted if await door.remove(one)]
        if not removed:
            raise NotFound("There is no such document; `pagewarden status` lists them.")
        if as_json:
            print_json(RemovedOut(removed=removed))
        else:
            console(stderr=True).print(f"Removed {len(removed)} of {len(wanted)}.")
        return 0 if len(removed) == len(wanted) else 3

    run(verb, as_json=as_json)
