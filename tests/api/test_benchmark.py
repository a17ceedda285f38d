"""`pagewarden benchmark`: a score is believed only where every question was answered; the key stays here."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from api.benchmark import smoke
from api.benchmark.door import Behind, asked, open_door
from api.benchmark.suite import SMOKE, Harness, chosen, suite
from api.errors import BenchmarkFailed
from tests.model_server import model_server, refusal, said

NANO = "nvidia/nemotron-nano-12b-v2-vl"
#: Asks each item once through the door it is given, as lmms-eval would, and writes what lmms-eval writes.
HARNESS = """#!{python}
import json, os, pathlib, sys, urllib.request
told = dict(word[2:].split("=", 1) for word in sys.argv[3:] if "=" in word)
model = dict(pair.split("=", 1) for pair in told["model_args"].split(","))
out = pathlib.Path(told["output_path"]); out.mkdir(parents=True, exist_ok=True)
assert os.environ["OPENAI_API_KEY"] and os.environ["OPENAI_API_KEY"] not in " ".join(sys.argv)
answers = []
for line in (out / "task" / "items.jsonl").read_text().splitlines():
    turn = {{"role": "user", "content": json.loads(line)["question"]}}
    body = {{"model": model["model"], "messages": [turn]}}
    request = urllib.request.Request(model["base_url"] + "/chat/completions", json.dumps(body).encode(),
        {{"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}})
    try:
        reply = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
    except Exception as error:
        reply = "[LMMS_EVAL_REQUEST_FAILED after 1 retries] " + str(error)
    answers.append((reply, json.loads(line)["answer"]))
score = sum(reply == answer for reply, answer in answers) / len(answers)
results = {{"results": {{told["tasks"]: {{"exact_match,none": score}}}},
           "n-samples": {{told["tasks"]: {{"effective": len(answers)}}}}}}
(out / "20260101_results.json").write_text(json.dumps(results))
with open(out / ("20260101_samples_" + told["tasks"] + ".jsonl"), "w") as lines:
    for reply, answer in answers:
        lines.write(json.dumps({{"resps": [[reply]], "target": answer}}) + "\\n")
"""


@pytest.fixture
def harness(tmp_path: Path) -> Path:
    path = tmp_path / "python"
    path.write_text(HARNESS.format(python=sys.executable), "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def benchmark(*words: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", "benchmark", *words, f"--output={folder / 'out'}"],
        env={**os.environ, **{f"PAGEWARDEN_{name}": value for name, value in env.items()}},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_suite_is_the_cards_nine_and_names_what_it_cannot_run(tmp_path: Path) -> None:
    told = benchmark("--list", "--json", folder=tmp_path)
    rows = {one["name"]: one for one in json.loads(told.stdout)["benchmarks"]}
    assert len(rows) == 9
    assert SMOKE not in rows
    assert all(row["published"] and row["score"] is None for row in rows.values())
    assert "not run" in rows["ocr-reasoning"]["note"]
    assert [row.published for row in suite().values() if row.thinks] == [68.0, 76.9]


def test_an_unknown_benchmark_and_a_missing_model_say_what_to_do(tmp_path: Path) -> None:
    assert "mmmu" in benchmark("nonsense", folder=tmp_path).stderr
    assert "PAGEWARDEN_MODEL_URL" in benchmark("smoke", folder=tmp_path).stderr


def test_the_pictures_of_our_own_items_are_drawn_and_named(tmp_path: Path) -> None:
    task = smoke.write(tmp_path)
    rows = [json.loads(line) for line in (task / "items.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 5
    for row in rows:
        with Image.open(row["picture"]) as image:
            assert len(image.getcolors(100_000) or []) > 2, "an empty picture answers nothing"
    text = (task / "smoke.yaml").read_text("utf-8")
    assert "ITEMS" not in text
    assert str(task / "items.jsonl") in text


@pytest.mark.anyio
async def test_every_question_goes_through_the_door_and_comes_back_as_a_score(
    tmp_path: Path, harness: Path
) -> None:
    async with model_server(*map(said, ("4711", "42", "9", "Tank", "Express"))) as server:
        told = await _run(harness, tmp_path, server.url)
    assert told.returncode == 0, told.stderr
    (row,) = json.loads(told.stdout)["benchmarks"]
    assert (row["score"], row["n"], row["published"]) == (80.0, 5, None)
    assert len(server.asked) == 5
    assert all(request["messages"][0]["content"] == "/no_think" for request in server.asked)


@pytest.mark.anyio
async def test_a_request_that_failed_is_no_wrong_answer_but_no_score(tmp_path: Path, harness: Path) -> None:
    script = [said("4711"), said("42"), refusal(503), said("Tank"), said("Express")]
    async with model_server(*script) as server:
        told = await _run(harness, tmp_path, server.url)
    assert told.returncode == 4
    assert json.loads(told.stdout)["code"] == "benchmark_failed"
    assert "1 of 5 requests failed" in told.stderr


def test_a_harness_that_is_not_there_or_breaks_is_named(tmp_path: Path) -> None:
    env = {"MODEL_URL": "http://127.0.0.1:9/v1", "MODEL": NANO}
    told = benchmark("smoke", f"--python={tmp_path / 'none'}", folder=tmp_path, **env)
    assert (told.returncode, "does not run" in told.stderr) == (4, True)
    told = benchmark("smoke", "--python=/bin/false", folder=tmp_path, **env)
    assert (told.returncode, "pip install" in told.stderr) == (4, True)


@pytest.mark.parametrize(
    "results",
    ["{", "{}", '{"results": {"pagewarden_smoke": {}}, "n-samples": {}}', '{"results": []}'],
)
def test_results_that_hold_no_score_give_none(tmp_path: Path, results: str) -> None:
    (tmp_path / "1_results.json").write_text(results, "utf-8")
    with pytest.raises(BenchmarkFailed):
        Harness(python=Path("/bin/true"), output=tmp_path).result(suite()[SMOKE])
    with pytest.raises(BenchmarkFailed, match="no results"):
        Harness(python=Path("/bin/true"), output=tmp_path / "empty").result(suite()[SMOKE])


@pytest.mark.anyio
async def test_the_door_opens_to_its_own_key_alone_and_keeps_the_servers() -> None:
    async with model_server(said("Tank")) as server:
        behind = Behind(base_url=server.url, key="secret", timeout_s=5, switch="/think", thought_tokens=100)
        async with open_door(behind) as door, httpx2.AsyncClient() as client:
            url = f"{door.base_url}/chat/completions"
            body: dict[str, Any] = {"model": NANO, "messages": [], "max_tokens": 16}
            assert (await client.post(url, json=body)).status_code == 401
            headers = {"authorization": f"Bearer {door.key}"}
            told = await client.post(url, json=body, headers=headers)
            assert told.json()["choices"][0]["message"]["content"] == "Tank"
    (request,) = server.asked
    assert request["messages"] == [{"role": "system", "content": "/think"}]
    assert request["max_tokens"] == 116
    assert "secret" not in told.text


def test_a_model_without_a_switch_is_asked_as_the_harness_asks() -> None:
    behind = Behind(base_url="http://127.0.0.1:9/v1", key="", timeout_s=5, switch="", thought_tokens=0)
    body = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 16}
    assert asked(body, behind) == body


def test_names_choose_rows() -> None:
    assert list(chosen(["ai2d", SMOKE])) == ["ai2d", SMOKE]
    with pytest.raises(KeyError):
        chosen(["none"])


async def _run(harness: Path, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    import asyncio

    return await asyncio.to_thread(
        benchmark,
        "smoke",
        f"--python={harness}",
        "--json",
        folder=folder,
        MODEL_URL=url,
        MODEL=NANO,
    )
