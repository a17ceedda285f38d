"""A real vLLM on this machine's CPU: started on a free port of loopback, ended when the test is done.

The flags are those of the compose file, with the few that a tiny model on a CPU needs laid over them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from ingest.serving import ENVIRONMENT, ModelServer

#: A start takes 30 to 70 s alone on two cores, more beside other work.
_START_S = 400.0
_END_S = 30.0
ON_A_CPU = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_NUM_THREADS": "2",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}
#: Laid over the real flags; of two of one name the last one counts.
TINY = ("--load-format=dummy", "--enforce-eager", "--seed=0", "--max-model-len=8192")


def environment() -> dict[str, str]:
    """Return what vLLM runs with: ours, but nothing that would make it behave for a test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON"))}
    return kept | dict(ENVIRONMENT) | ON_A_CPU


@dataclass
class Running:
    """A server that answers."""

    url: str
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels; raises KeyError where there is none."""
        lines = httpx2.get(f"{self.url}/metrics").text.splitlines()
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name]
        if not values:
            raise KeyError(name)
        return sum(values)

    def engine(self) -> psutil.Process:
        """Return the process that computes, which the one with the port has started."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in below if "EngineCore" in " ".join([child.name(), *child.cmdline()]))

    def ended(self, within_s: float) -> int:
        """Wait for the server to leave by itself and return its exit code."""
        return self.process.wait(timeout=within_s)


@contextmanager
def serve(
    venv: Path, server: ModelServer, model: Path, *, log: Path, over: tuple[str, ...] = ()
) -> Iterator[Running]:
    """Start `vllm serve` and wait until it answers; end it and all it started."""
    port = _free_port()
    words = [*server.command(model=str(model), port=port), *TINY, *over]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(venv / "bin" / "vllm"), "serve", *words],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )
    running = Running(url=f"http://127.0.0.1:{port}", name=server.name, process=process, log=log)
    try:
        _wait(running)
        yield running
    finally:
        _end(process)


def _wait(running: Running) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            break
        try:
            if httpx2.get(f"{running.url}/health", timeout=5.0).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.5)
    tail = "\n".join(running.log.read_text("utf-8", "replace").splitlines()[-25:])
    raise RuntimeError(f"vLLM did not come up (exit code {running.process.poll()}):\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server, then whatever is left of its session: a killed engine leaves children behind."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=_END_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
