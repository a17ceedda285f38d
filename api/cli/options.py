"""The options that every verb has, and the settings they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from api.settings import ApiSettings

Home = Annotated[Path | None, typer.Option(help="The library's folder (or PAGEWARDEN_HOME).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]


class Usage(Exception):
    """What was asked for does not fit; the sentence says why."""

    code = "usage"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def settings_of(context: typer.Context, home: Path | None, **given: Any) -> ApiSettings:
    """Read the settings, with what the command line says on top. Raises Usage."""
    from pydantic import ValidationError

    from api.settings import ApiSettings

    chosen = home or context.obj
    named = {name: value for name, value in given.items() if value is not None}
    if chosen is not None:
        named["home"] = chosen.expanduser().absolute()
    try:
        return ApiSettings(**named)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        raise Usage(f"{place}: {told}" if place else told) from error
