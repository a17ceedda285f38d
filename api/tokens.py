"""Tokens of an OpenID provider (JWT), read with joserfc: who signed, for whom, until when, in which groups.

Keys of the provider are fetched once an hour, and sooner for an unknown key id, but at most once a minute: a
stranger who makes up key ids makes nobody fetch. While the provider is down the keys last known stay.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.errors import ProviderDown, Unauthorized
from api.settings import ApiSettings

logger = logging.getLogger(__name__)

_FRESH_S = 3600.0
_AGAIN_S = 60.0
#: Clocks of two machines differ.
_LEEWAY_S = 30
_TIMEOUT_S = 5.0
_MAX_BYTES = 256 * 1024
_MAX_TOKEN_CHARS = 16 * 1024
_WRONG = "The token is not valid here: sign in again."

Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a token speaks for."""

    #: "user-" and a hash of issuer and subject: names a caller without telling who it is.
    id: str
    name: str
    #: As the provider calls them, before any mapping.
    groups: tuple[str, ...]
    tenant: str | None
    expires_at: float


class _Discovered(BaseModel):
    model_config = ConfigDict(extra="ignore")

    issuer: str
    jwks_uri: str


class _Claims(BaseModel):
    model_config = ConfigDict(extra="allow")

    iss: str
    sub: str = Field(min_length=1, max_length=255)
    exp: float


class Tokens:
    """Reads the tokens of one provider."""

    def __init__(
        self, settings: ApiSettings, *, fetch: Fetch | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._fetch, self._clock = settings, fetch or _fetched, clock
        self._turn = anyio.Lock()
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = -_FRESH_S

    async def read(self, token: str) -> Subject:
        """Return whom a token speaks for. Raises Unauthorized, ProviderDown."""
        if len(token) > _MAX_TOKEN_CHARS:
            raise Unauthorized(_WRONG)
        try:
            claims = await self._claims(token)
            plain = _Claims.model_validate(claims)
        except (JoseError, ValidationError, ValueError) as error:
            logger.info("a token was refused: %s", type(error).__name__)
            raise Unauthorized(_WRONG) from error
        tenant = None
        if self._settings.oidc_tenant_claim is not None:
            tenant = claims.get(self._settings.oidc_tenant_claim)
            if not isinstance(tenant, str):
                raise Unauthorized("The token names no tenant.")
        name = claims.get("preferred_username") or claims.get("email") or plain.sub
        return Subject(
            id="user-" + hashlib.sha256(f"{plain.iss}\n{plain.sub}".encode()).hexdigest()[:32],
            name=str(name)[:255],
            groups=_texts(claims.get(self._settings.oidc_groups_claim)),
            tenant=tenant,
            expires_at=plain.exp,
        )

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            decoded = jwt.decode(token, await self._known(), algorithms=list(self._settings.oidc_algorithms))
        except InvalidKeyIdError:
            decoded = jwt.decode(
                token, await self._known(anew=True), algorithms=list(self._settings.oidc_algorithms)
            )
        rules = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._settings.oidc_issuer or ""},
            aud={"essential": True, "value": self._settings.oidc_audience or ""},
            exp={"essential": True},
            sub={"essential": True},
        )
        rules.validate(decoded.claims)
        return decoded.claims

    async def _known(self, *, anew: bool = False) -> KeySet:
        """Return the provider's keys, fetched where they are old or `anew`, within bounds."""
        async with self._turn:
            now = self._clock()
            old = anew or now - self._fetched_at >= _FRESH_S
            if old and now - self._tried_at >= _AGAIN_S:
                self._tried_at = now
                try:
                    self._keys = KeySet.import_key_set(json.loads(await self._key_set()))
                    self._fetched_at = now
                except (JoseError, ProviderDown, ValueError, KeyError, TypeError) as error:
                    logger.warning("the provider's keys were not fetched: %s", error)
            if self._keys is None:
                raise ProviderDown(
                    "The sign-in provider does not answer with its keys; try again in a minute."
                )
            return self._keys

    async def _key_set(self) -> bytes:
        url = self._settings.oidc_jwks_url
        if url is None:
            issuer = self._settings.oidc_issuer or ""
            told = await self._fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            found = _Discovered.model_validate_json(told)
            if found.issuer != issuer:
                raise ProviderDown("The provider calls itself otherwise than PAGEWARDEN_OIDC_ISSUER.")
            url = found.jwks_uri
        return await self._fetch(url)


async def _fetched(url: str) -> bytes:
    """Fetch a small document of the provider; no redirect is followed. Raises ProviderDown."""
    body = bytearray()
    try:
        async with (
            httpx2.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _MAX_BYTES:
                    raise ProviderDown("The provider's answer is too large.")
    except httpx2.HTTPError as error:
        raise ProviderDown(f"The provider does not answer ({type(error).__name__}).") from error
    return bytes(body)


def _texts(claim: object) -> tuple[str, ...]:
    """Read a claim that is a list of names, or one name."""
    many = claim if isinstance(claim, list) else [claim]
    return tuple(one for one in many if isinstance(one, str))[:1000]
