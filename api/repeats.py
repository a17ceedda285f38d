"""`Idempotency-Key`: a request that is sent again is not done again, and gets the answer of the first time.

The key is the caller's own: two callers with one key have two requests.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import anyio
from fastapi import Request, Response

from api.auth import Identity
from api.errors import BadRequest
from api.ledger import Kept, Ledger

_FORM = re.compile(r"[\x21-\x7e]{1,255}")


async def once(
    request: Request, who: Identity, body: str, work: Callable[[], Awaitable[Response]]
) -> Response:
    """Do `work` unless it was done for this key; `body` names what was sent.

    Raises BadRequest, KeyReused, StillRunning.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return await work()
    if not _FORM.fullmatch(key):
        raise BadRequest("An Idempotency-Key has 1 to 255 visible ASCII characters.")
    ledger: Ledger = request.app.state.ledger
    route = request.scope["route"].path
    kept = await ledger.begin(who.id, route, key, body)
    if kept is not None:
        headers = {"idempotent-replayed": "true"}
        return Response(kept.body, status_code=kept.status, media_type=kept.media_type, headers=headers)
    made: Kept | None = None
    try:
        response = await work()
        if response.status_code < 500:
            made = Kept(
                status=response.status_code, body=bytes(response.body), media_type=response.media_type or ""
            )
        return response
    finally:
        with anyio.CancelScope(shield=True):
            await ledger.finish(who.id, route, key, made)
