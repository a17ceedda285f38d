"""`pagewarden mcp`: the library as tools for an assistant on this machine, over stdin and stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from api.cli.edge import run
from api.cli.options import Home, Usage, settings_of

if TYPE_CHECKING:
    from api.settings import ApiSettings


def mcp(context: typer.Context, home: Home = None) -> None:
    """Speak MCP over stdin and stdout; PAGEWARDEN_CALLER_KEY says as whom, else as the owner.

    Example: claude mcp add pagewarden -- pagewarden mcp
    """

    async def verb() -> int:
        from importlib.util import find_spec

        from api.cli.door import find_server

        if find_spec("mcp") is None:
            raise Usage("MCP is not installed here: pip install 'pagewarden[mcp]'.")
        settings = settings_of(context, home)
        running = await find_server(settings)
        if running is None:
            await _alone(settings)
            return 0
        from api.mcp import bridge_stdio

        key = settings.caller_key or settings.api_key
        await bridge_stdio(running.url, None if key is None else key.get_secret_value())
        return 0

    run(verb, as_json=False)


async def _alone(settings: ApiSettings) -> None:
    """Open the library here; the key is looked at anew for every call."""
    from api.asking import links_for
    from api.auth import Identity, open_doorkeeper
    from api.ledger import Ledger
    from api.limits import Limits
    from api.mcp import Desk, speak_stdio, tools
    from api.wiring import open_house

    async with open_house(settings) as house:
        door = open_doorkeeper(settings, house.shelf)
        limits = Limits(settings, Ledger(settings.home / "ledger.sqlite"), house.shelf)

        async def identify(ctx: Any) -> Identity:
            if settings.caller_key is None:
                return await door.owner()
            key = settings.caller_key.get_secret_value()
            who = await door.admit(f"Bearer {key}", peer="127.0.0.1")
            await limits.request(who)
            return who

        async def links(who: Identity) -> Any:
            base = settings.public_url or f"http://127.0.0.1:{settings.port}"
            return await links_for(door, who, base=base, lasts_s=settings.page_link_s)

        await speak_stdio(tools(Desk(house=house, limits=limits, identify=identify, links=links)))
