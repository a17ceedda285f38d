"""Who is calling, and so what they may read and do: the one `authorize()` of every door.

A key of `keys.py`, a token of the OpenID provider, the single key of the settings, or, where there is none,
this machine alone (the client's address is the socket's, and no header counts). What a route asks of its
caller stands in `POLICY`; a route that is not there opens for nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from api.errors import Forbidden, Unauthorized
from api.house import Shelf
from api.keys import PREFIX, Allowance, Key, Keys, Role
from api.limits import Limits
from api.settings import GROUP, NAME, ApiSettings, is_loopback
from ingest.records import Scope

if TYPE_CHECKING:
    from api.tokens import Subject, Tokens

#: The channel of whatever comes in over HTTP, as policies name it; no header and no field changes it.
HTTP = "http"
#: What a caller is, from least to most.
_RANKS: tuple[Role, ...] = ("reader", "editor", "admin")
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")

#: The least role that each route asks for; None opens it to anybody.
POLICY: Mapping[tuple[str, str], Role | None] = MappingProxyType(
    {
        ("GET", "/"): None,
        ("GET", "/healthz"): None,
        ("GET", "/readyz"): None,
        ("POST", "/mcp"): "reader",
        ("GET", "/metrics"): "admin",
        ("GET", "/v1/models"): "reader",
        ("GET", "/v1/models/{name}"): "reader",
        ("POST", "/v1/chat/completions"): "reader",
        ("POST", "/v1/responses"): "reader",
        ("GET", "/v1/documents"): "reader",
        ("POST", "/v1/documents"): "editor",
        ("GET", "/v1/documents/{document_id}"): "reader",
        ("DELETE", "/v1/documents/{document_id}"): "editor",
        ("GET", "/v1/documents/{document_id}/pages/{page_no}"): "reader",
        ("GET", "/v1/documents/{document_id}/pages/{page_no}/text"): "reader",
        ("GET", "/v1/documents/{document_id}/video"): "reader",
        ("GET", "/v1/jobs"): "reader",
        ("GET", "/v1/jobs/events"): "reader",
        ("GET", "/v1/jobs/{job_id}"): "reader",
        ("POST", "/v1/jobs/{job_id}/cancel"): "editor",
        ("POST", "/v1/jobs/{job_id}/retry"): "editor",
        ("POST", "/v1/search"): "reader",
        ("GET", "/v1/status"): "reader",
        ("GET", "/v1/collections"): "reader",
        ("GET", "/v1/policies"): "reader",
        ("GET", "/v1/usage"): "reader",
        ("GET", "/v1/audit"): "admin",
        ("POST", "/v1/feedback"): "reader",
        ("GET", "/v1/feedback"): "reader",
        ("GET", "/v1/threads"): "reader",
        ("GET", "/v1/threads/{name}"): "reader",
        ("DELETE", "/v1/threads/{name}"): "reader",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A caller: what it may read, what it may do, and the name under which its traces are kept."""

    scope: Scope
    role: Role
    #: "owner", "key-…" or "user-…": no two callers share one.
    id: str
    #: For people.
    name: str
    allowance: Allowance = field(default_factory=Allowance)
    #: Of a key: its own id, which changes with a rotation.
    key_id: str | None = None
    #: Whether it may fill collections that are not there yet.
    anywhere: bool = True
    #: Seconds since the epoch, UTC.
    expires_at: float | None = None

    def at_least(self, role: Role) -> bool:
        """Say whether it may do what `role` may."""
        return _RANKS.index(self.role) >= _RANKS.index(role)


class Doorkeeper:
    """Turns what a caller shows into an identity; one for HTTP, MCP and whatever else comes in."""

    def __init__(self, settings: ApiSettings, shelf: Shelf, keys: Keys, tokens: Tokens | None) -> None:
        self._settings, self._shelf, self.keys, self._tokens = settings, shelf, keys, tokens

    async def admit(self, header: str, *, peer: str) -> Identity:
        """Judge an Authorization header and the socket's address.

        Raises Unauthorized, which never says whether a key was close, and ProviderDown.
        """
        scheme, _, given = header.partition(" ")
        token = given.strip() if scheme.lower() == "bearer" else ""
        if token.startswith(PREFIX):
            key = await self.keys.opened_by(token)
            if key is None:
                raise Unauthorized("This key opens nothing here: it is unknown, revoked, or past its time.")
            return await self.by_key(key)
        if self._tokens is not None and _JWT.fullmatch(token):
            return await self._by_subject(await self._tokens.read(token))
        own = self._settings.api_key
        if own is not None:
            if not (token and hmac.compare_digest(token.encode(), own.get_secret_value().encode())):
                raise Unauthorized("Send the header 'Authorization: Bearer KEY' with the key of this server.")
        elif not is_loopback(peer):
            raise Unauthorized("This server has no key, so only its own machine may call it.")
        return await self.owner()

    async def owner(self) -> Identity:
        """Return whoever runs the house."""
        settings = self._settings
        scope = await self.scope(settings.tenant, groups=settings.groups, collections=None, owner="")
        return Identity(scope=scope, role="admin", id="owner", name="owner")

    async def by_key(self, key: Key) -> Identity:
        """Return whom a key speaks for."""
        who = f"key-{key.first}"
        return Identity(
            scope=await self.scope(key.tenant, groups=key.groups, collections=key.collections, owner=who),
            role=key.role,
            id=who,
            name=key.name,
            allowance=key.allowance,
            key_id=key.id,
            anywhere=key.collections is None,
            expires_at=key.expires_at,
        )

    async def _by_subject(self, subject: Subject) -> Identity:
        settings = self._settings
        tenant = settings.tenant if subject.tenant is None else subject.tenant
        if not re.fullmatch(NAME, tenant) or await self.keys.is_suspended(subject.id):
            raise Unauthorized("This account opens nothing here.")
        role: Role = "reader"
        if not settings.oidc_editors.isdisjoint(subject.groups):
            role = "editor"
        if not settings.oidc_admins.isdisjoint(subject.groups):
            role = "admin"
        named = settings.oidc_groups
        groups = subject.groups if named is None else [named[g] for g in subject.groups if g in named]
        fitting = tuple(sorted({group for group in groups if re.fullmatch(GROUP, group)}))
        return Identity(
            scope=await self.scope(tenant, groups=fitting, collections=None, owner=subject.id),
            role=role,
            id=subject.id,
            name=subject.name,
            expires_at=subject.expires_at,
        )

    async def still(self, identity: Identity) -> bool:
        """Say whether a caller that was let in would be let in now."""
        if identity.expires_at is not None and identity.expires_at <= time.time():
            return False
        if identity.key_id is not None:
            return await self.keys.by_id(identity.key_id) is not None
        return identity.id == "owner" or not await self.keys.is_suspended(identity.id)

    def owners_word(self, who: str) -> str:
        """Return what the owner's passes are bound to besides the secret: another key, and they end."""
        own = self._settings.api_key
        return own.get_secret_value() if own is not None and who == "owner" else ""

    @property
    def keyless(self) -> bool:
        """Whether this machine may call without a key."""
        return self._settings.api_key is None

    async def scope(
        self, tenant: str, *, groups: tuple[str, ...], collections: tuple[str, ...] | None, owner: str
    ) -> Scope:
        """Return what a caller of a tenant may read; None for collections: all that there are now."""
        if collections is None:
            held = await self._shelf.collections(tenant=tenant)
            collections = tuple(sorted({self._settings.collection, *held}))
        return Scope(tenant=tenant, collections=collections, groups=groups, owner=owner)


def open_doorkeeper(settings: ApiSettings, shelf: Shelf) -> Doorkeeper:
    """Return the doorkeeper of a house; joserfc is imported only where a provider is named."""
    tokens: Tokens | None = None
    if settings.oidc_issuer is not None:
        from api.tokens import Tokens

        tokens = Tokens(settings)
    return Doorkeeper(settings, shelf, Keys(settings.home / "keys.sqlite"), tokens)


async def authorize(request: Request) -> Identity:
    """Turn the caller into an identity and judge it by the route. Raises Unauthorized, Forbidden.

    The role is judged before anything is looked up, so a no says nothing about what is there.
    """
    door: Doorkeeper = request.app.state.doorkeeper
    identity = await door.admit(request.headers.get("authorization", ""), peer=peer_of(request))
    # A plain ASGI route, which has no parameters, names itself by the path alone.
    route = request.scope.get("route")
    path = request.scope["path"] if route is None else route.path
    asked = (request.method, path.replace(":path}", "}"))
    if asked not in POLICY:
        raise Forbidden("This address is closed.")
    wanted = POLICY[asked]
    if wanted is not None and not identity.at_least(wanted):
        raise Forbidden(f"This is for {wanted}s; your key is a {identity.role}'s.")
    request.state.identity = identity
    limits: Limits = request.app.state.limits
    request.state.rate = await limits.request(identity)
    return identity


def peer_of(request: Request) -> str:
    """Return the address at the other end of the socket."""
    return request.client.host if request.client else ""


def digest(*parts: str) -> str:
    """Return a short name that tells nothing of its parts."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


Who = Annotated[Identity, Depends(authorize)]


async def _scope_of(identity: Who) -> Scope:
    return identity.scope


Caller = Annotated[Scope, Depends(_scope_of)]
