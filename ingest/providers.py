"""Where a served model can live, and what it can and cannot do there: the rows of providers.toml.

A row never switches something on: that is the operator's word. What a row says is missing is switched off and
named, so that a request which cannot work is not sent and the answer says what it could not do.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, TypeAdapter, field_validator

from ingest.turns import Switch

#: The row for an address that no other row knows.
OTHER = "other"

#: Ends of names that no public server has (RFC 6762, RFC 8375, ICANN on .internal).
_OUR_ENDINGS = (".local", ".localhost", ".internal", ".lan", ".home.arpa")


class Provider(BaseModel):
    """One row; what the fields mean stands atop providers.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    base_url: str
    #: Ends of host names that give the provider away.
    hosts: tuple[str, ...] = ()
    #: Ports of this machine that do.
    ports: tuple[int, ...] = ()
    model: str
    schema_field: Annotated[Literal["response_format", "none"], Field(alias="schema")]
    #: None where the served model decides.
    images: bool | None = None
    video: bool | None = None
    images_beside_video: bool = False
    max_images: Annotated[int, Field(ge=0)]
    #: Longest answer, tokens; None is the context's.
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    reasoning: Literal["on", "off", "model"]
    switch: Literal["system", "template", "none"]
    media_kwargs: Literal["server", "request", "none"]
    image_tokens: Literal["tiles", "tokenize", "unknown"]
    #: The server is the provider's: what is sent there leaves the house, whatever its address.
    hosted: bool = False
    #: Prometheus metrics beside the API.
    metrics: bool = False
    #: A stream tells the tokens of each piece.
    pieces: bool = False
    known: Literal["measured", "documented", "told", "assumed"]
    as_of: date
    source: str
    notes: str

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        TypeAdapter(HttpUrl).validate_python(value)
        return value

    def switch_of(self, model: str) -> Switch:
        """Say how a model is told there whether to think: words only to the family that knows them."""
        if self.switch == "template":
            return "template"
        return "words" if self.switch == "system" and _is_nemotron(model) else "none"

    def counts_tiles(self, model: str) -> bool:
        """Say whether a picture's tokens are those of its tiles: told of the host, or known of the family."""
        return self.image_tokens == "tiles" or _is_nemotron(model)


def _is_nemotron(model: str) -> bool:
    return "nemotron" in model.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """Something that is not done with this provider, and why."""

    what: str
    why: str


@cache
def providers() -> Mapping[str, Provider]:
    """Read the rows, by name. Raises ValidationError where one does not hold."""
    table = tomllib.loads(Path(__file__).with_name("providers.toml").read_text("utf-8"))
    return MappingProxyType({name: Provider.model_validate(row) for name, row in table.items()})


def name_of(url: str) -> str:
    """Tell the provider by its address; OTHER where the address tells nothing."""
    where = urlsplit(url)
    host = (where.hostname or "").lower()
    for name, row in providers().items():
        if any(host == end or host.endswith("." + end) for end in row.hosts):
            return name
        if host in ("127.0.0.1", "localhost", "::1") and where.port in row.ports:
            return name
    return OTHER


def is_elsewhere(url: str, name: str) -> bool:
    """Say whether a server is somebody else's: by its provider's row, else unless its address is ours.

    Names are not looked up: one without a dot is a neighbour of the same network, as in a compose file.
    """
    host = (urlsplit(url).hostname or "").lower()
    if providers()[name].hosted:
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        ours = host == "localhost" or (bool(host) and "." not in host) or host.endswith(_OUR_ENDINGS)
        return not ours
    return not (address.is_private or address.is_loopback or address.is_link_local)


def switched_off(name: str) -> list[Off]:
    """Name what the row of a provider rules out."""
    row = providers()[name]
    off = []
    if row.images is False:
        off.append(Off(what="images", why=f"{row.title} takes none"))
    if row.video is False:
        off.append(Off(what="video", why=f"{row.title} takes none; scenes go as single images"))
    elif row.video and not row.images_beside_video:
        off.append(Off(what="images beside a video", why=f"{row.title} takes one kind of media a request"))
    if row.schema_field == "none":
        off.append(Off(what="schema", why=f"{row.title} enforces none; replies are checked and asked again"))
    if row.image_tokens == "unknown":
        off.append(Off(what="counting image tokens", why="their price there is not known"))
    return off
