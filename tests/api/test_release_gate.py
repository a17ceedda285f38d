"""The release gate at the socket: nothing that a rail stops, all else byte for byte, and never late."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn

from tests.agent.crossings import PlainEngine
from tests.api.gate_streams import (
    Gate,
    Sent,
    Stage,
    Story,
    check,
    check_nothing_leaked,
    content_of,
    story,
    unmarked,
)
from tests.api.gate_streams import chunks_of as events_of
from tests.fakes import FakeRails

pytestmark = pytest.mark.anyio

STREAMS = [150, pytest.param(10_000, marks=pytest.mark.soak)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("home"), engine=PlainEngine)


@pytest.mark.parametrize("streams", STREAMS)
async def test_nothing_that_is_stopped_reaches_the_socket(streams: int, stage: Stage) -> None:
    gate = Gate()
    for seed in range(streams):
        told = story(seed)
        stage.prepare(told)
        check(told, await stage.tell(), gate)
    print(gate)
    assert gate.blocked > streams // 3
    assert gate.masked > streams // 20
    by_rails = sum(n for reason, n in gate.reasons.items() if reason.startswith("rail_"))
    assert by_rails >= 0.9 * sum(gate.reasons.values()), "it was the gate that stopped them"


@pytest.mark.parametrize("streams", [60, pytest.param(2_000, marks=pytest.mark.soak)])
async def test_a_caller_who_leaves_has_read_a_beginning_and_nothing_else(streams: int, stage: Stage) -> None:
    gate = Gate()
    for seed in range(streams):
        told = story(seed + 500_000)
        stage.prepare(told)
        stage.model.closed, stage.model.position = False, 0
        sent = await stage.tell(leave_after=random.Random(seed).randint(1, 25))
        wire = b"".join(one.body for one in sent)
        check_nothing_leaked(told, wire)
        text = unmarked(content_of(events_of(wire)))
        assert told.expected.startswith(text) or not told.expected
        done = wire.endswith(b"data: [DONE]\n\n")
        gate.left += not done
        assert stage.model.closed or not stage.model.position
    print(gate.left, "of", streams, "left before the end")
    assert gate.left > streams // 3


async def test_without_its_rails_the_gate_is_seen_to_leak(tmp_path: Path) -> None:
    stage = Stage(tmp_path, engine=PlainEngine)
    stage.agent._rails = FakeRails()
    leaky = [seed for seed in range(30) if any(one.left is None for one in story(seed).said)]
    for seed in leaky:
        stage.prepare(told := story(seed))
        sent = await stage.tell()
        with pytest.raises(AssertionError):
            check(told, sent, Gate())
    assert len(leaky) > 10


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, str]]:
    """Serve the app with the real NeMo on a socket of this machine."""
    stage = Stage(tmp_path_factory.mktemp("home"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(stage.app, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield stage, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("streams", [15, pytest.param(500, marks=pytest.mark.soak)])
def test_the_same_holds_for_bytes_read_from_a_real_socket(streams: int, served: tuple[Stage, str]) -> None:
    stage, address = served
    gate = Gate()
    with httpx2.Client(base_url=address, timeout=60) as http:
        for seed in range(streams):
            told: Story = story(seed + 900_000)
            stage.prepare(told)
            asked = {
                "model": "pagewarden",
                "stream": True,
                "messages": [{"role": "user", "content": "How many kilograms does the pump weigh?"}],
            }
            with http.stream("POST", "/v1/chat/completions", json=asked) as response:
                wire = b"".join(response.iter_raw())
            check(told, [Sent(wire, 0)], gate)
    print(gate)
