"""What every test stands on: no network beyond loopback, no telemetry, and where the model files are.

The environment is set before anything is imported, as the start-up does it: LangGraph reads its msgpack
switch at import, and NeMo Guardrails looks up a telemetry host at its first use.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

os.environ.update(
    {
        "DO_NOT_TRACK": "1",
        "NEMO_GUARDRAILS_NO_USAGE_STATS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "LANGGRAPH_STRICT_MSGPACK": "true",
        "LANGSMITH_TRACING": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }
)

import pytest

RETRIEVAL = (
    "bge-small-en-v1.5-int8/model.onnx",
    "bge-small-en-v1.5-int8/tokenizer.json",
    "ms-marco-minilm-l12-int8/model.onnx",
    "ms-marco-minilm-l12-int8/tokenizer.json",
)
WRITER = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"


class OutboundRefused(RuntimeError):
    """A test reached for the network beyond this machine."""


def _is_local(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse_outbound(patch: pytest.MonkeyPatch) -> None:
    look_up, connect, connect_ex = socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex

    def judge(host: object) -> None:
        if not _is_local(host):
            raise OutboundRefused(f"tests stay on this machine; refused {host!r}")

    def guarded_look_up(host, *args, **kwargs):  # type: ignore[no-untyped-def]
        judge(host)
        return look_up(host, *args, **kwargs)

    def guarded_connect(self, address):  # type: ignore[no-untyped-def]
        if self.family != getattr(socket, "AF_UNIX", None):
            judge(address[0])
        return connect(self, address)

    def guarded_connect_ex(self, address):  # type: ignore[no-untyped-def]
        if self.family != getattr(socket, "AF_UNIX", None):
            judge(address[0])
        return connect_ex(self, address)

    patch.setattr(socket, "getaddrinfo", guarded_look_up)
    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse name look-ups and connections that leave this machine (session-wide: hypothesis likes it so)."""
    with pytest.MonkeyPatch.context() as patch:
        _refuse_outbound(patch)
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run `async def` tests marked `pytest.mark.anyio` on asyncio, which the product runs on."""
    return "asyncio"


def _weights_root() -> Path:
    named = os.environ.get("PAGEWARDEN_WEIGHTS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache / "pagewarden" / "weights"


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Return the folder with the pinned retrieval models, laid out by the names of weights.toml."""
    root = _weights_root()
    missing = [name for name in RETRIEVAL if not (root / name).is_file()]
    if missing:
        pytest.skip(f"model files missing in {root}: {', '.join(missing)}; run `make weights`")
    return root


@pytest.fixture(scope="session")
def writer_gguf() -> Path:
    """Return the local writing model (1.1 GB: `pagewarden models pull` brings it, `make test` does not)."""
    path = _weights_root() / WRITER
    if not path.is_file():
        pytest.skip(f"{path} is not here; run `pagewarden models pull`")
    return path
