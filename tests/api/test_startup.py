"""The switches of dependencies: each is set before the import that reads it, and each assertion can fail."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from api.startup import READ_AT_IMPORT, SWITCHES, StartupError, confirm, prepare


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process that is not a test's: no CI, no PYTEST_*, none of our switches."""
    hidden = {"CI", *SWITCHES}
    plain = {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("package", sorted(READ_AT_IMPORT))
def test_a_package_that_read_its_switch_too_early_stops_the_start(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, sys)
    for name in READ_AT_IMPORT[package]:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StartupError, match=package):
        prepare()


@pytest.mark.parametrize("name", sorted(SWITCHES))
def test_a_switch_that_is_changed_after_the_start_is_noticed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for switch, value in SWITCHES.items():
        monkeypatch.setenv(switch, value)
    confirm()
    monkeypatch.setenv(name, "changed")
    with pytest.raises(StartupError, match=name):
        confirm()


@pytest.mark.parametrize("name", sorted(SWITCHES))
def test_the_start_overrules_what_the_environment_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in READ_AT_IMPORT:
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setenv(name, "something else")
    prepare()
    assert os.environ[name] == SWITCHES[name]


def test_langgraph_that_believes_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import langgraph.checkpoint.serde._msgpack as serde

    for switch, value in SWITCHES.items():
        monkeypatch.setenv(switch, value)
    monkeypatch.setattr(serde, "STRICT_MSGPACK_ENABLED", False)
    with pytest.raises(StartupError, match="LangGraph"):
        confirm()


_FORGED = (
    "import ormsgpack\n"
    "from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer\n"
    "inner = ormsgpack.packb(('subprocess', 'getoutput', 'echo pw''ned'))\n"
    "row = ormsgpack.packb(ormsgpack.Ext(0, inner))\n"
    "print(JsonPlusSerializer().loads_typed(('msgpack', row)))\n"
)


def test_a_forged_row_runs_nothing_after_the_start() -> None:
    forged = python("from api.startup import prepare, confirm; prepare()\n" + _FORGED + "confirm()\n")
    assert forged.returncode == 0, forged.stderr
    assert forged.stdout.strip() != "pwned"


def test_without_the_start_the_same_row_runs_code() -> None:
    assert python(_FORGED).stdout.strip() == "pwned", "the trap is gone: the assertion may go, too"


def test_a_plain_process_looks_no_name_up() -> None:
    watched = python(
        "from api.startup import prepare; prepare()\n"
        "import sys, threading\n"
        "looked = []\n"
        "watch = lambda name, args: looked.append(args[0]) if name == 'socket.getaddrinfo' else None\n"
        "sys.addaudithook(watch)\n"
        "from guardrails.nemo import Rails\n"
        "from guardrails.policy import load\n"
        "import asyncio\n"
        "asyncio.run(Rails(load('default')).screen('question', ['How many?']))\n"
        "import time; time.sleep(0.3)\n"
        "print(looked)\n"
    )
    assert watched.stdout.strip().splitlines()[-1] == "[]", watched.stdout + watched.stderr
