"""The local writing model: llama.cpp's own OpenAI-compatible server in a child process, on loopback.

A child, because an assertion in llama.cpp aborts the process it is in, and the index must not go along.
The child dies with its parent, whatever kills that: the kernel is asked to (Linux), and the end of its
standard input says so everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import signal
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest.errors import ModelDown, WeightsMissing

if TYPE_CHECKING:
    from xllamacpp import Server

_PR_SET_PDEATHSIG = 1
_LAST_LINES = 12
_STOP_TIMEOUT_S = 5.0


class _Order(BaseModel):
    """What the parent wants: one JSON line on the child's standard input (a key has no place in argv)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gguf: Path
    name: str
    threads: Annotated[int, Field(ge=1)]
    context_tokens: Annotated[int, Field(ge=256)]
    api_key: str
    parent: int


class _Address(BaseModel):
    """What the child answers on its standard output once it listens and the model is loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str


class LocalLlm:
    """A running local model: `async with LocalLlm(...) as llm` gives `base_url`, `model` and `api_key`.

    Raises WeightsMissing where `gguf` is absent and ModelDown, with the child's last words, where it does
    not come up. Loading takes 1.4 s from a warm page cache and up to 15 s from a cold one.
    """

    def __init__(
        self,
        gguf: Path,
        *,
        threads: int,
        context_tokens: int,
        start_timeout_s: float = 180.0,
        command: Sequence[str] = (sys.executable, "-m", "ingest.local_llm"),
    ) -> None:
        self.model = gguf.stem
        #: Made anew for each start, so that no web page or neighbour on this machine can use the port.
        self.api_key = secrets.token_urlsafe(24)
        self.base_url = ""
        self._gguf = gguf
        self._threads = threads
        self._context_tokens = context_tokens
        self._start_timeout_s = start_timeout_s
        self._command = tuple(command)
        self._words: deque[str] = deque(maxlen=_LAST_LINES)
        self._child: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if not self._gguf.is_file():
            raise WeightsMissing(f"The model file {self._gguf} is not there; run `pagewarden models pull`.")
        # A session of its own: Ctrl-C goes to us, and we end the child after the answers it serves.
        self._child = child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._listener = asyncio.create_task(self._listen(child))
        try:
            async with asyncio.timeout(self._start_timeout_s):
                self.base_url = await self._start(child)
        except TimeoutError:
            await self._stop()
            raise ModelDown(self._complaint(f"was not ready within {self._start_timeout_s:.0f} s")) from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return self._child is not None and self._child.returncode is None

    async def _start(self, child: asyncio.subprocess.Process) -> str:
        """Tell the child its order and wait until it tells its address."""
        assert child.stdin is not None
        assert child.stdout is not None
        order = _Order(
            gguf=self._gguf.absolute(),
            name=self.model,
            threads=self._threads,
            context_tokens=self._context_tokens,
            api_key=self.api_key,
            parent=os.getpid(),
        )
        with contextlib.suppress(ConnectionError):
            child.stdin.write(order.model_dump_json().encode() + b"\n")
            await child.stdin.drain()
        line = await child.stdout.readline()
        if not line:
            await child.wait()
            if self._listener is not None:
                await self._listener
            raise ModelDown(self._complaint(f"ended with code {child.returncode} instead of starting"))
        try:
            return _Address.model_validate_json(line).base_url
        except ValidationError as error:
            raise ModelDown(self._complaint("told no address")) from error

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        """Keep the last lines of what the child says, and never let its pipe fill up."""
        assert child.stderr is not None
        while block := await child.stderr.read(1 << 16):
            lines = block.decode("utf-8", "replace").splitlines()
            self._words.extend(line.strip()[:200] for line in lines if line.strip())

    async def _stop(self) -> None:
        child = self._child
        if child is None:
            return
        # Shielded: a cancelled start must not leave the child behind.
        with anyio.CancelScope(shield=True):
            if child.stdin is not None:
                child.stdin.close()
            try:
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()
            if self._listener is not None:
                await self._listener

    def _complaint(self, what: str) -> str:
        words = " | ".join(self._words) or "it said nothing"
        return (
            f"The local model {self.model} {what} ({words}); free some memory or check the file with "
            "`pagewarden models verify`. Without it, answers are quoted instead of written."
        )


def main() -> None:
    """Be the child: serve until the parent is gone."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # llama.cpp prints to standard output too, which is the parent's ear
    order = _Order.model_validate_json(sys.stdin.buffer.readline())
    _die_with(order.parent)
    server = _serve(order)
    told.write(json.dumps({"base_url": f"{server.listening_address}/v1"}) + "\n")
    told.flush()
    threading.Event().wait()


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it was gone before the kernel was asked
    threading.Thread(target=_watch_input, daemon=True).start()


def _watch_input() -> None:
    while sys.stdin.buffer.read(1 << 12):
        pass
    os._exit(0)


def _serve(order: _Order) -> Server:
    """Load the model and return its server, which runs on threads of its own as long as the object lives."""
    # Read by OpenMP when it is loaded. Spinning at its barriers, two threads beside one busy neighbour make
    # 0.7 tokens/s; waiting, 17 (2 cores, 2026-11-23). One thread alone makes 15.
    os.putenv("OMP_WAIT_POLICY", "passive")
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(order.gguf)
    wanted.model_alias = {order.name}
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = 0
    wanted.api_keys = [order.api_key]
    wanted.cors_origins = ""
    wanted.n_ctx = order.context_tokens
    wanted.n_parallel = 1  # two slots on two cores are slower than one after the other
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = order.threads
    wanted.cache_ram_mib = 0  # else up to 8 GB of old prompts
    wanted.n_gpu_layers = 0
    wanted.ui = False
    wanted.endpoint_slots = False
    wanted.offline = True
    wanted.verbosity = 1
    return xllamacpp.Server(wanted)


if __name__ == "__main__":
    main()
