"""`POST /mcp`: judges the caller as every other route does, then hands the request to the MCP server.

The SDK is imported at the first request; without the extra `mcp` the door says so.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send

from api.asking import links_for
from api.auth import Doorkeeper, Identity, authorize
from api.errors import NotFound

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context, MCPServer

    from api.answers import Links


class McpDoor:
    """The route as an ASGI app."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._server: MCPServer[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises Unauthorized, Forbidden, RateLimited, NotFound."""
        await authorize(Request(scope, receive))
        if find_spec("mcp") is None:
            raise NotFound("MCP is not installed here: pip install 'pagewarden[mcp]'.")
        from api.mcp import answer_http

        await answer_http(self._built(), scope, receive, send)

    def _built(self) -> MCPServer[Any]:
        if self._server is None:
            from api.mcp import Desk, tools

            state = self._app.state
            self._server = tools(
                Desk(house=state.house, limits=state.limits, identify=_admitted, links=self._links)
            )
        return self._server

    async def _links(self, who: Identity) -> Links:
        state = self._app.state
        door: Doorkeeper = state.doorkeeper
        base = state.settings.public_url or f"http://{state.settings.host}:{state.settings.port}"
        return await links_for(door, who, base=base, lasts_s=state.settings.page_link_s)


async def _admitted(ctx: Context[Any, Any]) -> Identity:
    """Return whom the request was admitted as."""
    identity: Identity = ctx.request_context.request.state.identity  # type: ignore[union-attr]
    return identity
