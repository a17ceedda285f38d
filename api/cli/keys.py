"""`pagewarden keys`: who may call, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, Usage, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from api.keys import Key, Keys
    from api.schemas import KeyOut

app = typer.Typer(help="API keys: made, listed, rotated, revoked.", no_args_is_help=True)

_DAY_S = 86_400.0
Which = Annotated[str, typer.Argument(help="The key's name or id; `pagewarden keys list` names them.")]


@app.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for: 'open-webui', 'alice'.")],
    role: Annotated[
        str, typer.Option(help="reader, editor (adds and removes documents) or admin.")
    ] = "reader",
    tenant: Annotated[str | None, typer.Option(help="Whose library; as PAGEWARDEN_TENANT says.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group it is in; say it again for more.")] = None,
    collection: Annotated[
        list[str] | None, typer.Option(help="A collection it may read; say it again for more; all without.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="It works this long; for ever without.")] = None,
    requests_a_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens_a_day: Annotated[int | None, typer.Option(min=1)] = None,
    pages_a_day: Annotated[int | None, typer.Option(min=1)] = None,
    storage_bytes: Annotated[int | None, typer.Option(min=1)] = None,
    streams: Annotated[int | None, typer.Option(min=1)] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Make a key and print it, this once.

    Example: pagewarden keys create open-webui --group staff --days 90
    """

    async def verb() -> int:
        from api.keys import Allowance

        settings = settings_of(context, home)
        whose = tenant or settings.tenant
        _judge(name, role, whose, group or (), collection or ())
        allowance = Allowance(
            requests_a_minute=requests_a_minute,
            tokens_a_day=tokens_a_day,
            pages_a_day=pages_a_day,
            storage_bytes=storage_bytes,
            streams=streams,
        )
        key, token = await _keys(settings.home).create(
            name=name,
            tenant=whose,
            role=role,  # type: ignore[arg-type]
            groups=group or (),
            collections=collection,
            allowance=allowance,
            lasts_s=None if days is None else days * _DAY_S,
        )
        _tell(key, token, as_json=as_json)
        return 0

    run(verb, as_json=as_json)


@app.command("list")
def listing(context: typer.Context, as_json: AsJson = False, home: Home = None) -> None:
    """List the keys, without themselves: only hashes are kept.

    Example: pagewarden keys list
    """

    async def verb() -> int:
        import time

        from api.schemas import KeysOut

        keys = await _keys(settings_of(context, home).home).all()
        if as_json:
            print_json(KeysOut(keys=[_shown(key) for key in keys]))
            return 0
        from rich.table import Table

        table = Table("id", "name", "tenant", "role", "groups", "collections", "works")
        for key in keys:
            collections = "all" if key.collections is None else ", ".join(key.collections)
            works = "yes" if key.works(time.time()) else "no"
            table.add_row(key.id, key.name, key.tenant, key.role, ", ".join(key.groups), collections, works)
        console(stderr=False).print(table)
        return 0

    run(verb, as_json=as_json)


@app.command("rotate")
def rotate(
    context: typer.Context,
    which: Which,
    grace_h: Annotated[float, typer.Option(min=0, help="The old one works this many hours more.")] = 24.0,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Make a new key in the place of an old one, and print it.

    Example: pagewarden keys rotate open-webui --grace-h 1
    """

    async def verb() -> int:
        key, token = await _keys(settings_of(context, home).home).rotate(which, grace_s=grace_h * 3600)
        _tell(key, token, as_json=as_json)
        return 0

    run(verb, as_json=as_json)


@app.command("revoke")
def revoke(context: typer.Context, which: Which, as_json: AsJson = False, home: Home = None) -> None:
    """End a key: the next request with it fails, and answers that it reads are cut off.

    Example: pagewarden keys revoke open-webui
    """

    async def verb() -> int:
        key = await _keys(settings_of(context, home).home).revoke(which)
        if as_json:
            print_json(_shown(key))
        else:
            console(stderr=True).print(f"{key.name} opens nothing any more.", markup=False)
        return 0

    run(verb, as_json=as_json)


@app.command("suspend")
def suspend(
    context: typer.Context,
    who: Annotated[str, typer.Argument(help="key-ID, or user-ID of a token, as usage and audit name it.")],
    undo: Annotated[bool, typer.Option("--undo", help="Let it in again.")] = False,
    home: Home = None,
) -> None:
    """Shut a caller out at once, until --undo.

    Example: pagewarden keys suspend key-0123456789abcdef
    """

    async def verb() -> int:
        if not who.startswith(("key-", "user-")):
            raise Usage("Say key-ID or user-ID.")
        await _keys(settings_of(context, home).home).suspend(who, suspended=not undo)
        return 0

    run(verb, as_json=False)


def _judge(
    name: str, role: str, tenant: str, groups: list[str] | tuple[()], places: list[str] | tuple[()]
) -> None:
    import re

    from api.settings import GROUP, NAME

    if role not in ("reader", "editor", "admin"):
        raise Usage("--role is reader, editor or admin.")
    if not re.fullmatch(GROUP, name):
        raise Usage("A key's name has no commas and no control characters, and at most 128 characters.")
    for word in (tenant, *places):
        if not re.fullmatch(NAME, word):
            raise Usage(f"'{word}' is no name of a tenant or collection: lower case, digits, '_', '.', '-'.")
    if not all(re.fullmatch(GROUP, group) for group in groups):
        raise Usage("A group's name has no commas and no control characters, and at most 128 characters.")


def _keys(home: Path) -> Keys:
    from api.keys import Keys

    return Keys(home / "keys.sqlite")


def _shown(key: Key, token: str | None = None) -> KeyOut:
    from dataclasses import asdict

    from api.schemas import KeyOut

    return KeyOut.model_validate(asdict(key) | {"key": token})


def _tell(key: Key, token: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_shown(key, token))
        return
    print(token)
    console(stderr=True).print(
        f"{key.name}: {key.role} of {key.tenant}. Keep it now: it is not shown again.", markup=False
    )
