"""The one fetcher of addresses that somebody names: judged at connect(), pinned, redirects too.

What a URL *says* decides nothing beyond its form: a name is looked up once, every address that comes back
must be one of the public internet, and the connection goes to one that was judged (DNS that answers otherwise
the second time is never asked). No proxies, no cookies, no credentials. Rules for addresses: the
IANA special-purpose registries as Python's `ipaddress` has them, IPv4 inside IPv6 unwrapped, IPv6 beyond
2000::/3 refused, and Azure's wire server, which lives on a public address.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpcore2

from ingest.errors import AddressRefused, NotFetched, TimedOut, TooLarge

#: Looks a name up: host, port → addresses as text.
Resolve = Callable[[str, int], Awaitable[list[str]]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SILENCE_S = 30.0
_PORTS = {"http": 80, "https": 443}
#: Letters, digits, dots and hyphens; what else a host may hold is an invitation to read it in two ways.
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?\.?")
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: Public as Python (3.11) has the registries, and not: Azure's wire server, protocol assignments, Teredo.
_ODD = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "2001::/23")))
#: Suffixes for what has none in its address: text formats look alike, and only a suffix tells them apart.
_SUFFIXES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/json": ".json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that was fetched."""

    path: Path
    #: The document's key: host and path that were asked for (a running server takes no colons in names).
    name: str


def is_url(text: str) -> bool:
    """Say whether somebody means an address of the web, in whatever spelling."""
    return re.match(r"\s*https?:", text, re.IGNORECASE) is not None


def is_public(address: Address) -> bool:
    """Say whether an address is one of the public internet, whatever IPv4 address hides in it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
        if address not in _PUBLIC_V6 or address.scope_id is not None:
            return False
    odd = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not odd and not any(address in network for network in _ODD)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address inside: mapped, compatible, NAT64 or 6to4."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


async def look_up(host: str, port: int) -> list[str]:
    """Ask the system's resolver for every address of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class _Judged(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that it has judged, and to nothing else."""

    def __init__(self, resolve: Resolve, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._resolve, self._backend = resolve, backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's own signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Look `host` up, judge all of its addresses, and connect to one by number."""
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise NotFetched(f"The name {host!r} is not found; check the address.") from error
        if not found:
            raise NotFetched(f"The name {host!r} has no address; check it.")
        # One that is not public among them is refused whole: no honest name has such a pair.
        judged = [_judge(one, host=host) for one in found]
        fault: Exception | None = None
        for address in judged:
            try:
                return await self._backend.connect_tcp(str(address), port, timeout=timeout)
            except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
                fault = error
        assert fault is not None
        raise fault

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's own signature)
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: no address of the web is a file."""
        raise AddressRefused("A socket in the file system is no address of the web.")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _judge(text: str, *, host: str) -> Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise AddressRefused(f"{host!r} leads to no address that can be judged.") from error
    if not is_public(address):
        raise AddressRefused(
            f"{host!r} leads to an address that is not on the public internet: download the file where you "
            "may, and add that."
        )
    return address


class Fetcher:
    """Fetches files from the web, each within a size and a time."""

    def __init__(
        self,
        *,
        max_bytes: int,
        timeout_s: float,
        resolve: Resolve = look_up,
        backend: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._max_bytes, self._timeout_s = max_bytes, timeout_s
        self._network = _Judged(resolve, backend or httpcore2.AnyIOBackend())

    async def fetch(self, url: str, *, folder: Path) -> Fetched:
        """Fetch `url` into a new file in `folder`.

        Raises AddressRefused, TooLarge, TimedOut, and NotFetched where the server is at fault.
        """
        first = target = _checked(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                for _ in range(MAX_REDIRECTS + 1):
                    path = folder / hashlib.sha256(target.encode()).hexdigest()[:16]
                    moved = await self._get(target, path)
                    if not isinstance(moved, str):
                        return Fetched(path=path, name=_name(first, moved.get("content-type", "")))
                    target = _redirected(target, moved)
        except TimeoutError as error:
            raise TimedOut(
                f"Fetching took longer than {self._timeout_s:g} s (PAGEWARDEN_INGEST_FETCH_TIMEOUT_S)."
            ) from error
        except httpcore2.TimeoutException as error:
            raise NotFetched("The server fell silent; try again later.") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, ssl.SSLError, OSError) as error:
            raise NotFetched("The server does not answer as a web server does; try again later.") from error
        raise NotFetched(f"The address leads on more than {MAX_REDIRECTS} times; name where it ends.")

    async def _get(self, url: str, path: Path) -> dict[str, str] | str:
        """Write one reply to `path` and return its headers, or return where it leads on to."""
        headers = [("Accept", "*/*"), ("Accept-Encoding", "gzip"), ("User-Agent", "pagewarden")]
        limits = {name: min(_SILENCE_S, self._timeout_s) for name in ("connect", "read", "write", "pool")}
        # A pool a request: nothing that was judged for one host is used for another.
        async with (
            httpcore2.AsyncConnectionPool(ssl_context=_tls(), network_backend=self._network) as pool,
            pool.stream("GET", url, headers=headers, extensions={"timeout": limits}) as reply,
        ):
            told = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in reply.headers}
            if reply.status in _REDIRECTS:
                return told.get("location", "")
            if reply.status != 200:
                raise NotFetched(f"The server answers {reply.status} instead of a file.")
            await self._write(reply.aiter_stream(), path, encoding=told.get("content-encoding", ""))
            return told

    async def _write(self, pieces: AsyncIterator[bytes], path: Path, *, encoding: str) -> None:
        if encoding.lower() not in ("", "identity", "gzip"):
            raise NotFetched(f"The server packs its reply as {encoding!r}, which was not asked for.")
        unpacking = zlib.decompressobj(31) if encoding.lower() == "gzip" else None
        left = self._max_bytes
        try:
            with await asyncio.to_thread(path.open, "wb") as file:
                async for piece in pieces:
                    # One byte more than is left: that it is there is what tells of too much.
                    plain = unpacking.decompress(piece, left + 1) if unpacking else piece
                    left -= len(plain)
                    if left < 0:
                        raise TooLarge(
                            f"The file is over the limit of {self._max_bytes} bytes "
                            "(PAGEWARDEN_INGEST_MAX_BYTES)."
                        )
                    file.write(plain)
        except zlib.error as error:
            raise NotFetched("The server's reply does not unpack; try again later.") from error
        if unpacking is not None and not unpacking.eof:
            raise NotFetched("The server's reply was cut short; try again later.")


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _checked(url: str) -> str:
    """Return the address in its one plain form, or refuse one that readers read in different ways."""
    refused = AddressRefused(f"{url[:80]!r} is no plain address: write https://host/path.")
    if not url.isprintable() or re.search(r"[\s\\<>\"]", url) or len(url) > 4096:
        raise refused
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise refused from error
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or "@" in parts.netloc or port == 0:
        raise refused
    if "[" in parts.netloc:
        # A zone names an interface of this machine.
        if "%" in host or not re.fullmatch(r"[0-9a-f:.]+", host):
            raise refused
        host = f"[{host}]"
    else:
        host = _plain_host(host, refused)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    place = host if port in (None, _PORTS[scheme]) else f"{host}:{port}"
    return f"{scheme}://{place}{path}" + (f"?{query}" if query else "")


def _plain_host(host: str, refused: AddressRefused) -> str:
    try:
        plain = host.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise refused from error
    if not _HOST.fullmatch(plain):
        raise refused
    return plain


def _redirected(target: str, location: str) -> str:
    if not location:
        raise NotFetched("The server says that the file moved, and not where to.")
    try:
        onward = _checked(urljoin(target, location))
    except ValueError as error:
        raise AddressRefused(
            "The server says that the file moved, and the new address is no address."
        ) from error
    if target.startswith("https:") and onward.startswith("http:"):
        raise AddressRefused("The address leads from https on to http, which anybody may change on the way.")
    return onward


def _name(url: str, content_type: str) -> str:
    """Make the document's key of its address; a query is told by eight digits of its hash."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    place = PurePosixPath(path if not path.endswith("/") else f"{path}index.html")
    suffix = place.suffix or _SUFFIXES.get(content_type.partition(";")[0].strip().lower(), "")
    query = f"~{hashlib.sha256(parts.query.encode()).hexdigest()[:8]}" if parts.query else ""
    stem = place.name.removesuffix(place.suffix)
    folder = "" if place.parent == PurePosixPath("/") else str(place.parent)
    return f"{parts.netloc}{folder}/{stem}{query}{suffix}"
