"""What people may read: `slack.yaml`, by confirmed e-mail address; whoever is not in it may read nothing.

Another source (groups of an identity provider) takes its place by satisfying `Directory`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from api.settings import NAME
from api.slack.records import ChannelWishes, Person
from guardrails.errors import PolicyError
from guardrails.yaml_files import read_as

logger = logging.getLogger(__name__)

#: Stands for every collection that the tenant has, but for what people dropped into conversations.
ALL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Collections and groups of a reader; ALL among the collections stands for every one."""

    collections: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def __and__(self, other: Rights) -> Rights:
        """Return what both may read: a document of a group is only for who shares that very group."""
        if ALL in self.collections and ALL in other.collections:
            shared = self.collections | other.collections
        elif ALL in self.collections:
            shared = other.collections
        elif ALL in other.collections:
            shared = self.collections
        else:
            shared = self.collections & other.collections
        return Rights(collections=shared, groups=self.groups & other.groups)

    def __or__(self, other: Rights) -> Rights:
        """Return what either may read."""
        return Rights(collections=self.collections | other.collections, groups=self.groups | other.groups)


NOTHING = Rights()


class Directory(Protocol):
    """Who may read what."""

    async def rights(self, person: Person) -> Rights | None:
        """Return what somebody may read; None: not known to us."""
        ...

    async def least(self, *, outsiders: bool) -> Rights:
        """Return what every full member may read; with `outsiders`, every guest and external person too."""
        ...


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Collection = Annotated[str, Field(pattern=rf"{NAME}|^\*$")]


class Row(_Strict):
    """Collections and groups, as written in the file."""

    collections: tuple[Collection, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def rights(self) -> Rights:
        """Return them as rights."""
        return Rights(collections=frozenset(self.collections), groups=frozenset(self.groups))


class PersonRow(Row):
    """What whoever has this address may read: one address, or all of a domain ("*@acme.example")."""

    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]


class ChannelRow(_Strict):
    """How a channel is answered."""

    collections: tuple[Collection, ...] = ()
    language: Annotated[str | None, Field(pattern=r"^[a-z]{2,3}$")] = None
    tone: Literal["full", "brief"] | None = None
    auto: Annotated[float | None, Field(gt=0, le=1)] = None
    follow: Literal["questions", "mention"] | None = None
    crops: bool | None = None


class People(_Strict):
    """The file `slack.yaml`."""

    version: Annotated[int, Field(ge=1, le=1)]
    #: What every full member of the workspace may read, known by address or not; None: only who is named.
    members: Row | None = None
    people: tuple[PersonRow, ...] = ()
    guests: Row | None = None
    external: Row | None = None
    #: Addresses that may use `/pagewarden` in every channel.
    managers: tuple[str, ...] = ()
    #: Who counts as the audience of a public channel: every member of the workspace, who may read it at any
    #: time, or those who are in it.
    public: Literal["workspace", "members"] = "workspace"
    channels: Mapping[str, ChannelRow] = Field(default_factory=dict)


class FileDirectory:
    """The directory in a file, read anew when it changes; one that is wrong leaves the old one in force."""

    def __init__(self, path: Path) -> None:
        """Read the file, where there is one. Raises PolicyError."""
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._held = People(version=1)
        self.fault: str | None = None
        self._look()
        if self.fault is not None:
            raise PolicyError(self.fault)

    @property
    def empty(self) -> bool:
        """Whether nobody may read anything."""
        held = self._look()
        return not (held.members or held.people or held.guests or held.external)

    @property
    def public(self) -> Literal["workspace", "members"]:
        """Who counts as the audience of a public channel."""
        return self._look().public

    def manages(self, person: Person) -> bool:
        """Say whether somebody may arrange every channel."""
        known = [one.casefold() for one in self._look().managers]
        return person.standing == "member" and person.email is not None and person.email in known

    def channel(self, channel: str) -> ChannelWishes:
        """Return what the file says of a channel."""
        row = self._look().channels.get(channel)
        if row is None:
            return ChannelWishes()
        return ChannelWishes(**row.model_dump())

    async def rights(self, person: Person) -> Rights | None:
        """Return what somebody may read; None: not known to us."""
        held = self._look()
        match person.standing:
            case "gone" | "bot":
                return None
            case "external":
                return held.external.rights if held.external else None
            case "guest":
                # A guest has the rights of its own address, never those of a whole domain.
                own = [row for row in held.people if person.email == row.email.casefold()]
                rows: list[Row] = [*([held.guests] if held.guests else []), *own]
            case "member":
                fitting = [row for row in held.people if _fits(person.email, row.email)]
                rows = [*([held.members] if held.members else []), *fitting]
        if not rows:
            return None
        found = NOTHING
        for row in rows:
            found |= row.rights
        return found

    async def least(self, *, outsiders: bool) -> Rights:
        """Return what every full member may read; with `outsiders`, every guest and external person too."""
        held = self._look()
        rows = [held.members, *([held.guests, held.external] if outsiders else [])]
        found = rows[0].rights if rows[0] else NOTHING
        for row in rows[1:]:
            found &= row.rights if row else NOTHING
        return found

    def _look(self) -> People:
        try:
            told = self._path.stat()
            seen = (told.st_mtime_ns, told.st_size)
        except OSError:
            seen = None
        if seen == self._seen:
            return self._held
        if seen is None:
            # Who takes the file away takes the rights away.
            self._held, self._seen, self.fault = People(version=1), None, None
            return self._held
        try:
            self._held, self.fault = read_as(People, self._path, what="directory of people"), None
        except (PolicyError, FileNotFoundError) as error:
            self.fault = str(error)
            logger.error("what people may read in Slack stays as it was: %s", error)
        self._seen = seen
        return self._held


def _fits(email: str | None, pattern: str) -> bool:
    return email is not None and fnmatchcase(email, pattern.casefold())
