"""`pagewarden search`: passages without an answer."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.edge import complain, console, print_json, run
from api.cli.options import AsJson, Home, settings_of


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option(min=1, max=50, help="Most passages.")] = 8,
    doc: Annotated[list[str] | None, typer.Option(help="Search only this document (name or id).")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Find passages and say where they stand; no model writes.

    Example: pagewarden search "capital expenditures" --limit 3
    """

    async def verb() -> int:
        from api.cli.ask import find, source
        from api.cli.door import open_door

        async with open_door(settings_of(context, home)) as door:
            found = await door.search(query, limit=limit, documents=await find(door, doc))
            url = door.url
        if as_json:
            print_json(found)
        if found.reason is not None:
            complain(f"A rail said no: {found.reason}.")
            return 3
        if not as_json:
            out = console(stderr=False)
            for hit in found.hits:
                out.print(f"{source(hit, url=url)}  ({hit.score:.2f})", markup=False, highlight=False)
            if not found.hits:
                out.print("Nothing found.")
        return 0

    run(verb, as_json=as_json)
