"""`pagewarden threads`: the conversations that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, settings_of

if TYPE_CHECKING:
    from pydantic import BaseModel


def threads(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Show this conversation; without, list all.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """List, show or delete the conversations of `ask --thread`.

    Example: pagewarden threads pumps --delete
    """

    async def verb() -> int:
        from api.cli.door import open_door
        from api.cli.options import Usage
        from api.errors import NotFound
        from api.schemas import RemovedOut, ThreadsOut

        if delete and name is None:
            raise Usage("Name the conversation to delete; `pagewarden threads` lists them.")
        out = console(stderr=False)
        async with open_door(settings_of(context, home)) as door:
            if name is None:
                names = await door.threads()
                return _told(ThreadsOut(threads=names), "\n".join(names) or "None yet.", as_json=as_json)
            if delete and await door.forget(name):
                return _told(RemovedOut(removed=[name]), f"Deleted {name}.", as_json=as_json)
            shown = await door.thread(name)
        if not shown.turns:
            raise NotFound(f"There is no conversation called {name!r}; `pagewarden threads` lists them.")
        if as_json:
            print_json(shown)
            return 0
        for turn in shown.turns:
            out.print(f"{'You' if turn.role == 'user' else 'Pagewarden'}: {turn.text}", markup=False)
        return 0

    run(verb, as_json=as_json)


def _told(shape: BaseModel, text: str, *, as_json: bool) -> int:
    if as_json:
        print_json(shape)
    else:
        console(stderr=False).print(text, markup=False, highlight=False)
    return 0
