"""`pagewarden status`: what the house has, holds and lacks."""

from __future__ import annotations

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, settings_of


def status(context: typer.Context, as_json: AsJson = False, home: Home = None) -> None:
    """Say what the library has, holds and lacks, and list its documents."""

    async def verb() -> int:
        from rich.table import Table

        from api.cli.door import open_door

        settings = settings_of(context, home)
        async with open_door(settings) as door:
            told, held, url = await door.status(), await door.documents(), door.url
        if as_json:
            print_json(told)
            return 0
        out = console(stderr=False)
        serving = f"served at {url}" if url else "not being served (pagewarden serve)"
        lines = [
            f"Library   {settings.home}, {serving}",
            f"Holds     {told.documents} documents, {told.pages} pages, {told.chunks} chunks",
            f"Eyes      {told.vision}",
            f"Writer    {told.model or 'quotes, no model'}",
            f"Reads     {', '.join(told.languages)}",
            *(f"Off       {lack.what}\n          {lack.how}" for lack in told.off),
        ]
        out.print("\n".join(lines), markup=False, highlight=False)
        if held:
            table = Table("Document", "Pages", "Chunks", "Collection", "Id", box=None, pad_edge=False)
            for d in held:
                table.add_row(d.name, str(d.pages), str(d.chunks), d.collection, d.id)
            out.print(table)
        return 0

    run(verb, as_json=as_json)
