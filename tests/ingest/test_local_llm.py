"""The local model's child process: it comes up, says why when it does not, and never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import psutil
import pytest
from pydantic import BaseModel

from ingest.errors import ModelDown, WeightsMissing
from ingest.local_llm import LocalLlm
from ingest.served import Message, ServedModel

pytestmark = pytest.mark.anyio

#: Children that stand in for llama.cpp; each reads its order first, as the real one does.
TELLS_ITS_ADDRESS = "import json, sys; sys.stdin.readline(); print(json.dumps({'base_url': 'http://x/v1'}), flush=True); sys.stdin.read()"  # noqa: E501
DIES = "import sys; sys.stdin.readline(); print('GGML_ASSERT: out of memory', file=sys.stderr); sys.exit(7)"
DIES_AT_ONCE = "raise SystemExit('no such library')"
SAYS_NOTHING = "import sys; sys.stdin.read()"
BABBLES = "import sys; sys.stdin.readline(); print('hello', flush=True); sys.stdin.read()"
DEAF = "import json, time; print(json.dumps({'base_url': 'http://x/v1'}), flush=True); time.sleep(600)"
SHOUTS = "import sys; sys.stderr.write('x' * 5_000_000); " + TELLS_ITS_ADDRESS
ECHOES_ITS_ORDER = "import json, sys; order = json.loads(sys.stdin.readline()); print(json.dumps({'base_url': json.dumps(order)}), flush=True); sys.stdin.read()"  # noqa: E501


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF")
    return path


def llm(gguf: Path, child: str, *, start_timeout_s: float = 20.0) -> LocalLlm:
    return LocalLlm(
        gguf,
        threads=2,
        context_tokens=2048,
        start_timeout_s=start_timeout_s,
        command=(sys.executable, "-c", child),
    )


async def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="pagewarden models pull"):
        await LocalLlm(tmp_path / "none.gguf", threads=1, context_tokens=2048).__aenter__()


async def test_the_address_is_what_the_child_tells(gguf: Path) -> None:
    model = llm(gguf, TELLS_ITS_ADDRESS)
    async with model:
        assert (model.base_url, model.model, model.running) == ("http://x/v1", "tiny", True)
    assert not model.running


async def test_the_order_goes_by_standard_input_with_a_key_of_this_start(gguf: Path) -> None:
    async with llm(gguf, ECHOES_ITS_ORDER) as first, llm(gguf, ECHOES_ITS_ORDER) as second:
        order = json.loads(first.base_url)
        assert order["gguf"] == str(gguf)
        assert (order["threads"], order["context_tokens"], order["parent"]) == (2, 2048, os.getpid())
        assert order["api_key"] == first.api_key != second.api_key


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (DIES, "ended with code 7 .*GGML_ASSERT: out of memory"),
        (DIES_AT_ONCE, "no such library"),
        (BABBLES, "told no address"),
    ],
)
async def test_a_child_that_does_not_come_up_is_down_with_its_last_words(
    gguf: Path, child: str, words: str
) -> None:
    model = llm(gguf, child)
    with pytest.raises(ModelDown, match=words):
        await model.__aenter__()
    assert not model.running


async def test_a_child_that_never_says_anything_is_ended(gguf: Path) -> None:
    model = llm(gguf, SAYS_NOTHING, start_timeout_s=0.3)
    with pytest.raises(ModelDown, match="was not ready"):
        await model.__aenter__()
    assert not model.running


async def test_a_child_that_shouts_does_not_block(gguf: Path) -> None:
    async with llm(gguf, SHOUTS) as model:
        assert model.running


async def test_a_child_that_does_not_listen_is_killed(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.local_llm._STOP_TIMEOUT_S", 0.2)
    model = llm(gguf, DEAF)
    async with model:
        assert model.running
    assert not model.running


async def test_a_cancelled_start_leaves_no_child(gguf: Path) -> None:
    model = llm(gguf, SAYS_NOTHING)
    with anyio.move_on_after(0.3):
        await model.__aenter__()
    assert not model.running


async def test_a_file_that_is_no_model_is_down(gguf: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
    with pytest.raises(ModelDown, match="tiny"):
        await LocalLlm(gguf, threads=1, context_tokens=2048, start_timeout_s=60).__aenter__()


PARENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from ingest.local_llm import LocalLlm
CHILD = '''
import sys, os
sys.path.insert(0, {root!r})
import ingest.local_llm as local
class Server:
    listening_address = "http://127.0.0.1:1"
local._serve = lambda order: Server()
local.main()
'''
async def main():
    llm = LocalLlm(Path({gguf!r}), threads=1, context_tokens=2048, command=(sys.executable, "-c", CHILD))
    async with llm:
        print(llm._child.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def test_the_child_dies_with_a_killed_parent(gguf: Path) -> None:
    script = PARENT.format(root=str(Path(__file__).parents[2]), gguf=str(gguf))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        assert parent.wait(timeout=30) == -signal.SIGKILL
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive


class YesOrNo(BaseModel):
    """The smallest useful reply."""

    answer: str


@pytest.mark.slow
@pytest.mark.weights
async def test_the_real_model_streams_and_keeps_to_a_schema(writer_gguf: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
    async with LocalLlm(writer_gguf, threads=1, context_tokens=2048) as llm:
        model = ServedModel(
            base_url=llm.base_url,
            model=llm.model,
            api_key=llm.api_key,
            writes_as="local",
            context_tokens=2048,
        )
        await model.ready()
        ask = [Message(role="user", text="Is Paris the capital of France? Answer yes or no.")]
        text = "".join([piece async for piece in model.stream(ask, max_tokens=16)])
        assert "yes" in text.lower()
        reply = await model.reply(ask, schema=YesOrNo, max_tokens=24)
        assert "yes" in reply.answer.lower()
        await model.close()
