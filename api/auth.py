"""Who is calling, and so what they may read: the one `authorize()` of every route.

One key, one tenant. Without a key only this machine may call; the client's address is the socket's,
and no header counts.
"""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Depends, Request

from api.errors import Unauthorized
from api.house import Shelf
from api.settings import ApiSettings, is_loopback
from ingest.records import Scope

#: The channel of whatever comes in over HTTP, as policies name it; no header and no field changes it.
HTTP = "http"


async def authorize(request: Request) -> Scope:
    """Turn the caller into a scope. Raises Unauthorized; the reason never says whether a key was close."""
    settings: ApiSettings = request.app.state.settings
    shelf: Shelf = request.app.state.house.shelf
    if settings.api_key is None:
        client = request.client.host if request.client else ""
        if not is_loopback(client):
            raise Unauthorized("This server has no key, so only its own machine may call it.")
    elif not _matches(request.headers.get("authorization", ""), settings.api_key.get_secret_value()):
        raise Unauthorized("Send the header 'Authorization: Bearer KEY' with the key of this server.")
    held = await shelf.collections(tenant=settings.tenant)
    return Scope(tenant=settings.tenant, collections=tuple(sorted({settings.collection, *held})))


def _matches(header: str, key: str) -> bool:
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), key.encode())


Caller = Annotated[Scope, Depends(authorize)]
