"""API keys: who they are, what they may read, until when; in SQLite beside the library.

A key is 256 random bits, so its sha256 is all that is kept and no slow hash is needed. The file is read at
every request: what one process revokes, another refuses at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from api.errors import BadRequest, NotFound
from api.store import Store

Role = Literal["reader", "editor", "admin"]

#: What every key begins with, so that scanners of leaked secrets and people know it.
PREFIX = "pw_"
_FORM = re.compile(r"pw_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_SCHEMA = 1
_TABLES = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL, tenant TEXT NOT NULL, role TEXT NOT NULL,
    groups TEXT NOT NULL, collections TEXT, allowance TEXT NOT NULL, created_at REAL NOT NULL,
    expires_at REAL, ended_at REAL, follows TEXT
) STRICT;
CREATE TABLE suspended (who TEXT PRIMARY KEY) STRICT;
CREATE TABLE secrets (purpose TEXT PRIMARY KEY, secret BLOB NOT NULL) STRICT;
"""
_KEY = "id, name, tenant, role, groups, collections, allowance, created_at, expires_at, ended_at, follows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much one caller may have; None: as much as the settings say."""

    requests_a_minute: int | None = None
    #: Words and word parts of questions and answers, as the house counts them (see `limits.py`).
    tokens_a_day: int | None = None
    #: Pages added.
    pages_a_day: int | None = None
    #: Bytes held by the tenant's documents together.
    storage_bytes: int | None = None
    #: Answers streamed at once.
    streams: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is kept: everything but itself."""

    id: str
    name: str
    tenant: str
    role: Role
    groups: tuple[str, ...]
    #: None: every collection of the tenant, and new ones.
    collections: tuple[str, ...] | None
    allowance: Allowance = field(default_factory=Allowance)
    #: Seconds since the epoch, UTC, as are the next two.
    created_at: float
    expires_at: float | None = None
    #: When it was revoked, or will be after a rotation.
    ended_at: float | None = None
    #: The first of the keys that it came from by rotation.
    follows: str | None = None
    suspended: bool = False

    @property
    def first(self) -> str:
        """The id under which traces are kept, the same after a rotation."""
        return self.follows or self.id

    def works(self, now: float) -> bool:
        """Say whether it opens anything at `now`."""
        ends = [at for at in (self.expires_at, self.ended_at) if at is not None]
        return not self.suspended and all(now < at for at in ends)


class Keys:
    """The keys of one home. It holds no connection: whatever changed them last is what counts."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = Store(path, _TABLES, version=_SCHEMA), clock

    async def create(
        self,
        *,
        name: str,
        tenant: str,
        role: Role,
        groups: Sequence[str] = (),
        collections: Sequence[str] | None = None,
        allowance: Allowance | None = None,
        lasts_s: float | None = None,
    ) -> tuple[Key, str]:
        """Make a key; the second is the key itself, told this once. Raises BadRequest for a taken name."""
        now = self._clock()
        key = Key(
            id=secrets.token_hex(8),
            name=name,
            tenant=tenant,
            role=role,
            groups=tuple(sorted(set(groups))),
            collections=None if collections is None else tuple(sorted(set(collections))),
            allowance=allowance or Allowance(),
            created_at=now,
            expires_at=None if lasts_s is None else now + lasts_s,
        )
        return key, await self._store.write(lambda c: self._insert(c, key))

    async def rotate(self, id_or_name: str, *, grace_s: float) -> tuple[Key, str]:
        """Make a key like an old one, which works for `grace_s` more. Raises NotFound."""
        now = self._clock()

        def renew(connection: sqlite3.Connection) -> tuple[Key, str]:
            old = _found(connection, id_or_name, now)
            lasts = None if old.expires_at is None else now + (old.expires_at - old.created_at)
            fresh = Key(
                **{f.name: getattr(old, f.name) for f in fields(Key)}
                | {"id": secrets.token_hex(8), "created_at": now, "expires_at": lasts, "follows": old.first}
            )
            connection.execute("UPDATE keys SET ended_at = ? WHERE id = ?", (now + grace_s, old.id))
            return fresh, self._insert(connection, fresh, replaces=old.id)

        return await self._store.write(renew)

    async def revoke(self, id_or_name: str) -> Key:
        """End a key now. Raises NotFound."""
        now = self._clock()

        def end(connection: sqlite3.Connection) -> Key:
            key = _found(connection, id_or_name, now)
            connection.execute("UPDATE keys SET ended_at = ? WHERE id = ?", (now, key.id))
            return key

        return await self._store.write(end)

    async def suspend(self, who: str, *, suspended: bool) -> None:
        """Shut a caller out, or let it in again: "key-ID" or "user-ID", as usage and audit name it."""
        query = (
            "INSERT OR IGNORE INTO suspended VALUES (?)"
            if suspended
            else "DELETE FROM suspended WHERE who = ?"
        )
        await self._store.write(lambda c: c.execute(query, (who,)))

    async def is_suspended(self, who: str) -> bool:
        """Say whether a caller is shut out."""
        query = "SELECT 1 FROM suspended WHERE who = ?"
        return bool(await self._store.read(lambda c: c.execute(query, (who,)).fetchone(), None))

    async def all(self) -> list[Key]:
        """List the keys, the newest first; revoked ones too."""
        query = f"SELECT {_KEY}, {_SUSPENDED} FROM keys ORDER BY created_at DESC, id"
        return await self._store.read(lambda c: [_key(row) for row in c.execute(query).fetchall()], [])

    async def opened_by(self, token: str) -> Key | None:
        """Return the key that `token` is, if it works now."""
        form = _FORM.fullmatch(token)
        if form is None:
            return None
        query = f"SELECT {_KEY}, {_SUSPENDED}, hash FROM keys WHERE id = ?"
        row = await self._store.read(lambda c: c.execute(query, (form[1],)).fetchone(), None)
        # Compared also where there is no such key, so that the time does not tell.
        kept = row[-1] if row else bytes(32)
        fits = hmac.compare_digest(kept, _hash(token))
        key = _key(row) if row and fits else None
        return key if key is not None and key.works(self._clock()) else None

    async def by_id(self, key_id: str) -> Key | None:
        """Return a key that works now: for what was signed in its name, never for a caller."""
        query = f"SELECT {_KEY}, {_SUSPENDED} FROM keys WHERE id = ?"
        row = await self._store.read(lambda c: c.execute(query, (key_id,)).fetchone(), None)
        key = _key(row) if row else None
        return key if key is not None and key.works(self._clock()) else None

    async def secret(self, purpose: str) -> bytes:
        """Return 256 bits that only this home knows, made at the first use."""
        query = "SELECT secret FROM secrets WHERE purpose = ?"
        # Looked at first: strangers with forged passes queue for no lock.
        known = await self._store.read(lambda c: c.execute(query, (purpose,)).fetchone(), None)
        if known is not None:
            return bytes(known[0])

        def kept(connection: sqlite3.Connection) -> bytes:
            connection.execute(
                "INSERT OR IGNORE INTO secrets VALUES (?, ?)", (purpose, secrets.token_bytes(32))
            )
            return bytes(connection.execute(query, (purpose,)).fetchone()[0])

        return await self._store.write(kept)

    def _insert(self, connection: sqlite3.Connection, key: Key, *, replaces: str = "") -> str:
        now = self._clock()
        same = connection.execute(f"SELECT {_KEY}, 0 FROM keys WHERE name = ?", (key.name,))
        if any(one.works(now) and one.id != replaces for one in map(_key, same)):
            raise BadRequest(f"There is a key named '{key.name}' already: rotate it, or choose another name.")
        token = f"{PREFIX}{key.id}_{secrets.token_urlsafe(32)}"
        told = {f.name: getattr(key.allowance, f.name) for f in fields(Allowance)}
        connection.execute(
            f"INSERT INTO keys ({_KEY}, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key.id,
                key.name,
                key.tenant,
                key.role,
                json.dumps(key.groups),
                None if key.collections is None else json.dumps(key.collections),
                json.dumps(told),
                key.created_at,
                key.expires_at,
                key.ended_at,
                key.follows,
                _hash(token),
            ),
        )
        return token


_SUSPENDED = "EXISTS (SELECT 1 FROM suspended WHERE who IN ('key-' || id, 'key-' || coalesce(follows, id)))"


def _found(connection: sqlite3.Connection, id_or_name: str, now: float) -> Key:
    query = f"SELECT {_KEY}, {_SUSPENDED} FROM keys WHERE id = ? OR name = ? ORDER BY created_at DESC"
    rows = [_key(row) for row in connection.execute(query, (id_or_name, id_or_name))]
    alive = [key for key in rows if key.ended_at is None or key.ended_at > now]
    if not alive:
        raise NotFound(f"There is no working key '{id_or_name}'; `pagewarden keys list` names them.")
    return alive[0]


def _key(row: Sequence[object]) -> Key:
    values = dict(zip([*_KEY.split(", "), "suspended"], row, strict=False))
    collections = values["collections"]
    odd = {
        "groups": tuple(json.loads(str(values["groups"]))),
        "collections": None if collections is None else tuple(json.loads(str(collections))),
        "allowance": Allowance(**json.loads(str(values["allowance"]))),
        "suspended": bool(values["suspended"]),
    }
    return Key(**values | odd)  # type: ignore[arg-type]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
