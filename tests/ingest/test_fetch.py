"""The fetcher: hundreds of spellings of addresses that nobody may reach, and no socket to any of them."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import os
import re
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import httpcore2
import pytest

from ingest.errors import AddressRefused, IngestError, NotFetched, TimedOut, TooLarge
from ingest.fetch import Fetcher, is_public, is_url

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
#: Addresses of this machine, its neighbours, and those that tell a machine its secrets.
INSIDE = (
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
)
INSIDE_V6 = (
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "100::1",
    "64:ff9b:1::1",
    "2001::7f00:1",
    "5f00::1",
)
NAMES = {
    "localhost": ["127.0.0.1", "::1"],
    "localhost.": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "127.0.0.1.nip.io": ["127.0.0.1"],
    "localtest.me": ["127.0.0.1"],
    "intranet": ["10.1.2.3"],
    "mixed.example": [PUBLIC, "127.0.0.1"],
    "mixed6.example": [PUBLIC, "::ffff:10.0.0.1"],
    "odd.example": ["not an address"],
    "public.example": [PUBLIC],
    "other.example": ["1.1.1.1"],
}


def spellings(address: str) -> list[str]:
    """Write an IPv4 address in the ways in which programs have been fooled."""
    value = int(ipaddress.IPv4Address(address))
    a, b, c, d = address.split(".")
    low = int(b) << 16 | int(c) << 8 | int(d)
    high, rest = f"{value >> 16:x}", f"{value & 0xFFFF:x}"
    fullwidth = address.translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})
    return [
        address,
        f"{address}.",
        str(value),
        hex(value),
        hex(value).upper(),
        f"0{value:o}",
        ".".join(f"0{int(part):o}" for part in (a, b, c, d)),
        ".".join(hex(int(part)) for part in (a, b, c, d)),
        f"{a}.{low}",
        f"{a}.{b}.{int(c) << 8 | int(d)}",
        fullwidth,
        address.replace(".", "。"),
        address.replace(".", "%2e"),
        f"[::ffff:{address}]",
        f"[::ffff:{high}:{rest}]",
        f"[0:0:0:0:0:ffff:{high}:{rest}]",
        f"[::{high}:{rest}]",
        f"[64:ff9b::{high}:{rest}]",
        f"[2002:{high}:{rest}::1]",
        f"user:pass@{address}",
        f"{PUBLIC}@{address}",
        f"{address}#@{PUBLIC}",
        f"{address}\\@{PUBLIC}",
        f"{PUBLIC}\\@{address}",
        f"{address}%00.example.org",
        f"{address}\t",
        f"\r\n{address}",
        f"{address}:80",
        f"{address}:8500",
    ]


def forms() -> list[str]:
    hosts = [one for address in INSIDE for one in spellings(address)]
    hosts += [f"[{address}]" for address in INSIDE_V6]
    hosts += [f"[{address}%25eth0]" for address in INSIDE_V6]
    hosts += [name for name in NAMES if name not in {"public.example", "other.example"}]
    urls = [f"http://{host}/latest/meta-data" for host in hosts]
    urls += [f"HTTPS://{host}" for host in hosts[::3]]
    urls += [f"hTTp:/{address}/" for address in INSIDE]
    odd = (
        "file:///etc/passwd",
        "gopher://127.0.0.1",
        "ftp://127.0.0.1",
        "http://",
        "http:127.0.0.1",
        "//127.0.0.1",
    )
    return (
        urls + list(odd) + ["http://[::1", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "dict://x", ""]
    )


FORMS = forms()


async def libc(host: str, port: int) -> list[str]:
    """Look up as a C library does, which reads numbers in every base; no network."""
    if host in NAMES:
        return NAMES[host]
    bare = host.strip("[]")
    try:
        return [str(ipaddress.ip_address(bare))]
    except ValueError:
        pass
    try:
        return [socket.inet_ntoa(socket.inet_aton(bare))]
    except OSError:
        raise socket.gaierror(f"no {host}") from None


@dataclass
class Recorder(httpcore2.AsyncNetworkBackend):
    """Notes who is to be connected to and connects to nobody; some hosts have scripted replies."""

    replies: dict[str, list[bytes]] = field(default_factory=dict)
    connected: list[str] = field(default_factory=list)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.connected.append(host)
        if not self.replies.get(host):
            raise httpcore2.ConnectError("nobody there")
        return httpcore2.AsyncMockStream([self.replies[host].pop(0)])


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


def fetcher(recorder: Recorder, **changes: object) -> Fetcher:
    given = {"max_bytes": 1000, "timeout_s": 5.0, "resolve": libc, "backend": recorder} | changes
    return Fetcher(**given)  # type: ignore[arg-type]


SOCKETS: list[object] = []
sys.addaudithook(lambda event, args: SOCKETS.append(args[1]) if event == "socket.connect" else None)


async def refused(url: str, recorder: Recorder, folder: Path) -> None:
    with pytest.raises((AddressRefused, NotFetched)):
        await fetcher(recorder).fetch(url, folder=folder)


def test_there_are_hundreds_of_forms_and_each_is_another() -> None:
    assert len(set(FORMS)) == len(FORMS) >= 500


async def test_no_form_of_an_inner_address_opens_a_socket(tmp_path: Path) -> None:
    recorder = Recorder()
    SOCKETS.clear()
    for url in FORMS:
        await refused(url, recorder, tmp_path)
    reached = [host for host in recorder.connected if not is_public(ipaddress.ip_address(host))]
    assert reached == []
    assert SOCKETS == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_into_an_inner_address_opens_a_socket(tmp_path: Path, status: int) -> None:
    SOCKETS.clear()
    for url in FORMS:
        if not url.isprintable() or "。" in url or not url.isascii() or not url:
            continue  # h11 refuses such a header; the first hop has them all
        recorder = Recorder(replies={PUBLIC: [reply(status, location=url)]})
        await refused("http://public.example/start", recorder, tmp_path)
        assert {host for host in recorder.connected if not is_public(ipaddress.ip_address(host))} == set(), (
            url
        )
    assert SOCKETS == []


async def test_the_recorder_sees_what_is_allowed_and_it_is_the_judged_number(tmp_path: Path) -> None:
    recorder = Recorder(replies={PUBLIC: [reply(200, b"text", content_type="text/html; charset=utf-8")]})
    found = await fetcher(recorder).fetch("HTTP://Public.Example/a%20b/c?d=e#f", folder=tmp_path)
    assert recorder.connected == [PUBLIC]
    assert found.path.read_bytes() == b"text"
    assert re.fullmatch(r"public\.example/a b/c~[0-9a-f]{8}\.html", found.name)


async def test_a_name_that_answers_otherwise_the_second_time_is_asked_once(tmp_path: Path) -> None:
    answers = [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]]
    asked = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    recorder = Recorder(replies={PUBLIC: [reply(200, b"text")]})
    await fetcher(recorder, resolve=rebinding).fetch("http://turns.example/a.txt", folder=tmp_path)
    assert (len(asked), recorder.connected) == (1, [PUBLIC])
    # A second fetch (or a redirect to itself) judges what comes then.
    with pytest.raises(AddressRefused):
        await fetcher(recorder, resolve=rebinding).fetch("http://turns.example/a.txt", folder=tmp_path)
    assert recorder.connected == [PUBLIC]


@pytest.mark.parametrize("order", list(product([0, 1], repeat=2)))
async def test_one_inner_address_among_public_ones_refuses_the_name(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    pairs = [["1.1.1.1", "2606:4700::1111", "127.0.0.1"], ["::1", "1.1.1.1"]]
    found = pairs[order[0]][:: 1 if order[1] else -1]

    async def mixed(host: str, port: int) -> list[str]:
        return found

    recorder = Recorder()
    with pytest.raises(AddressRefused):
        await fetcher(recorder, resolve=mixed).fetch("https://mixed.example/", folder=tmp_path)
    assert recorder.connected == []


async def test_five_redirects_are_followed_and_six_are_not(tmp_path: Path) -> None:
    for hops, ends in ((5, True), (6, False)):
        onward = [reply(302, location="http://public.example/next") for _ in range(hops)]
        recorder = Recorder(replies={PUBLIC: [*onward, reply(200, b"end")]})
        if ends:
            found = await fetcher(recorder).fetch("http://public.example/a.txt", folder=tmp_path)
            assert (found.path.read_bytes(), found.name) == (b"end", "public.example/a.txt")
        else:
            with pytest.raises(NotFetched, match="more than 5"):
                await fetcher(recorder).fetch("http://public.example/a.txt", folder=tmp_path)


async def test_https_never_leads_on_to_http(tmp_path: Path) -> None:
    recorder = Recorder(replies={PUBLIC: [reply(302, location="http://other.example/")]})
    with pytest.raises(AddressRefused, match="from https on to http"):
        await fetcher(recorder).fetch("https://public.example/", folder=tmp_path)
    assert recorder.connected == [PUBLIC]


@pytest.mark.parametrize("packed", [False, True])
async def test_a_file_over_the_limit_is_refused_also_when_it_comes_packed(
    tmp_path: Path, packed: bool
) -> None:
    body = b"x" * 2_000_000
    sent = reply(200, gzip.compress(body), content_encoding="gzip") if packed else reply(200, body)
    with pytest.raises(TooLarge):
        await fetcher(Recorder(replies={PUBLIC: [sent]})).fetch("http://public.example/", folder=tmp_path)
    small = reply(200, gzip.compress(b"small"), content_encoding="gzip")
    found = await fetcher(Recorder(replies={PUBLIC: [small]})).fetch(
        "http://public.example/", folder=tmp_path
    )
    assert (found.path.read_bytes(), found.name) == (b"small", "public.example/index.html")


@pytest.mark.parametrize(
    "sent",
    [
        reply(404),
        reply(500),
        reply(302),
        reply(200, b"x", content_encoding="br"),
        reply(200, b"not gzip", content_encoding="gzip"),
        reply(200, gzip.compress(b"x" * 500)[:-9], content_encoding="gzip"),
        reply(200, b"ab").replace(b"content-length: 2", b"content-length: 9"),
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
async def test_a_server_at_fault_is_a_typed_error_that_may_pass(tmp_path: Path, sent: bytes) -> None:
    with pytest.raises(NotFetched) as failure:
        await fetcher(Recorder(replies={PUBLIC: [sent]})).fetch("http://public.example/", folder=tmp_path)
    assert failure.value.retryable


async def test_a_server_that_takes_its_time_is_given_up(tmp_path: Path) -> None:
    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return [PUBLIC]

    with pytest.raises(TimedOut):
        await fetcher(Recorder(), resolve=slow, timeout_s=0.05).fetch(
            "http://public.example/", folder=tmp_path
        )


def test_only_public_addresses_are_public() -> None:
    assert [one for one in (*INSIDE, *INSIDE_V6) if is_public(ipaddress.ip_address(one))] == []
    for one in (PUBLIC, "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"):
        assert is_public(ipaddress.ip_address(one)), one


def test_an_address_is_told_from_a_path() -> None:
    assert all(map(is_url, ("https://a", "HTTP://a", " http:a")))
    assert not any(map(is_url, ("http", "a/http://b", "s3://a", "C:\\http")))


async def test_every_error_of_the_fetcher_says_what_to_do(tmp_path: Path) -> None:
    for url in FORMS[::25]:
        with pytest.raises(IngestError) as failure:
            await fetcher(Recorder()).fetch(url, folder=tmp_path)
        assert len(failure.value.detail) > 20
