"""Passes: signed addresses that show one page to whoever holds them, for a while, and open nothing else.

Clients put links of citations into pages that send no key. A pass names its caller, not a permission: at
every use the caller is looked up again and the page is read through its scope as it is then.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, ValidationError

from api.auth import Doorkeeper, Identity
from api.errors import Unauthorized
from ingest.records import Scope

#: The query field that holds a pass.
FIELD = "pass"
_PURPOSE = "page links"
_MAX_CHARS = 4096
_WRONG = "This link is past its time or was never made here: ask again for a new one."

#: Makes the pass for (document id, page).
Seal = Callable[[str, int], str]


class _Pass(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    document: str
    page: int
    until: float
    #: "owner", "key-…" or "user-…".
    who: str
    #: Of a key: its id. Of a token's subject: what it said.
    key: str | None = None
    tenant: str = ""
    groups: list[str] = []


async def sealer(door: Doorkeeper, identity: Identity, *, lasts_s: float) -> Seal:
    """Return what makes passes in the name of a caller."""
    secret = await door.keys.secret(_PURPOSE)
    until = min(time.time() + lasts_s, identity.expires_at or float("inf"))

    def seal(document_id: str, page_no: int) -> str:
        made = _Pass(
            document=document_id,
            page=page_no,
            until=round(until),
            who=identity.id,
            key=identity.key_id,
            tenant=identity.scope.tenant,
            groups=list(identity.scope.groups) if identity.id.startswith("user-") else [],
        )
        body = made.model_dump_json(exclude_defaults=True).encode()
        return f"{_text(body)}.{_text(_mac(secret, body, door.owners_word(made.who)))}"

    return seal


async def admit(door: Doorkeeper, given: str, *, document_id: str, page_no: int) -> Identity:
    """Return in whose name a pass shows this page. Raises Unauthorized."""
    body, _, mac = given[:_MAX_CHARS].partition(".")
    try:
        raw = _bytes(body)
        told = _Pass.model_validate_json(raw)
        sealed = _bytes(mac)
    except (NotBase64, ValidationError, ValueError) as error:
        raise Unauthorized(_WRONG) from error
    secret = await door.keys.secret(_PURPOSE)
    genuine = hmac.compare_digest(sealed, _mac(secret, raw, door.owners_word(told.who)))
    if not genuine or (told.document, told.page) != (document_id, page_no) or told.until < time.time():
        raise Unauthorized(_WRONG)
    identity = await _whose(door, told)
    if identity is None:
        raise Unauthorized(_WRONG)
    # It shows one page: whatever else the caller may read is out of its reach.
    return replace(identity, role="reader", scope=replace(identity.scope, documents=(document_id,)))


async def _whose(door: Doorkeeper, told: _Pass) -> Identity | None:
    if told.who == "owner":
        return await door.owner()
    if told.key is not None:
        key = await door.keys.by_id(told.key)
        return None if key is None else await door.by_key(key)
    if await door.keys.is_suspended(told.who):
        return None
    scope: Scope = await door.scope(told.tenant, groups=tuple(told.groups), collections=None, owner=told.who)
    return Identity(scope=scope, role="reader", id=told.who, name="")


def _mac(secret: bytes, body: bytes, word: str) -> bytes:
    return hmac.new(secret, json.dumps([body.decode(), word]).encode(), hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
