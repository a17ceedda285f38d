"""The engine is killed in the middle of many answers: none of them may look like a whole one.

Each of two servers dies under 25 streams at once, which is 50 answers cut: a start takes a minute or more, so
the cuts share their deaths. vLLM ends such streams with a clean `[DONE]` and leaves with code 0.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from ingest.errors import ModelDown
from ingest.served import Message, ServedModel, Traits
from ingest.serving import SERVERS
from tests.contract.conftest import SMALL
from tests.contract.vllm_cpu import tiny_models
from tests.contract.vllm_cpu.server import Running, serve

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.slow]

ASK = [Message(role="user", text="Tell everything about the harbour.")]
STREAMS = 25


async def letters(server: Running) -> list[int]:
    asked = {"model": server.name, "prompt": "abcdefghijklmnopqrstuvwxyz", "add_special_tokens": False}
    async with httpx2.AsyncClient(timeout=60.0) as http:
        return list((await http.post(f"{server.url}/tokenize", json=asked)).json()["tokens"])


@asynccontextmanager
async def client(server: Running, spoken: list[int]) -> AsyncIterator[ServedModel]:
    model = ServedModel(
        base_url=server.base_url,
        model=server.name,
        context_tokens=8192,
        traits=Traits(switch="words"),
        timeout_s=300.0,
        # Letters only: noise is mostly half characters, which are held back until they are whole.
        extra={"ignore_eos": True, "allowed_token_ids": spoken},
    )
    try:
        yield model
    finally:
        await model.close()


class Listener:
    """Reads one long answer and says how it ended."""

    def __init__(self, server: Running, spoken: list[int], least: int) -> None:
        self._server, self._spoken, self._least = server, spoken, least
        #: Set once so many pieces have come.
        self.heard = asyncio.Event()

    async def listen(self) -> str:
        pieces_heard = 0
        try:
            async with (
                client(self._server, self._spoken) as model,
                aclosing(model.stream(ASK, max_tokens=7500)) as pieces,
            ):
                async for _ in pieces:
                    pieces_heard += 1
                    if pieces_heard == self._least:
                        self.heard.set()
        except ModelDown as error:
            return error.detail
        return "whole"


@pytest.mark.parametrize("least", [1, 40])
async def test_no_answer_cut_by_a_dying_engine_passes_for_whole(
    vllm_venv: Path, tmp_path: Path, least: int
) -> None:
    model = tiny_models.nano_vl(tmp_path / "model", tile=64)
    over = (*SMALL, f"--max-num-seqs={STREAMS}")
    with serve(vllm_venv, SERVERS["vision"], model, log=tmp_path / "log", over=over) as running:
        spoken = await letters(running)
        listeners = [Listener(running, spoken, least) for _ in range(STREAMS)]
        tasks = [asyncio.create_task(listener.listen()) for listener in listeners]
        async with asyncio.timeout(300.0):
            await asyncio.gather(*(listener.heard.wait() for listener in listeners))
        running.engine().send_signal(signal.SIGKILL)
        endings = await asyncio.gather(*tasks)
        assert [ending for ending in endings if ending == "whole"] == []
        assert all("ask again" in ending or "broke off" in ending for ending in endings)
        async with client(running, spoken) as late:
            with pytest.raises(ModelDown):
                await late.ready()
        # Why compose says `restart: always`: on-failure would leave it lying.
        assert running.ended(within_s=60.0) == 0
