"""Manifest, check and guide agree: no scope that is not explained, none that is not wanted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.slack.check import SCOPES
from api.slack.directory import People
from api.slack.settings import SlackSettings

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "slack.md").read_text("utf-8")


@pytest.fixture
def manifest() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docs" / "ops" / "slack-manifest.yaml").read_text("utf-8")))


def test_the_manifest_asks_for_what_the_check_checks(manifest: dict[str, Any]) -> None:
    assert set(manifest["oauth_config"]["scopes"]) == {"bot"}, "nothing is done in anybody's name"
    assert sorted(manifest["oauth_config"]["scopes"]["bot"]) == sorted(SCOPES)


def test_the_guide_explains_each_scope_once_and_no_other() -> None:
    section = GUIDE.partition("## Each scope")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    explained = [scope for row in rows for scope in re.findall(r"`([^`]+)`", row)]
    assert sorted(explained) == sorted([*SCOPES, "connections:write"])


def test_the_commands_and_the_shortcut_are_those_that_are_listened_to(manifest: dict[str, Any]) -> None:
    source = (ROOT / "api" / "slack" / "reception.py").read_text("utf-8")
    features = manifest["features"]
    assert [one["command"] for one in features["slash_commands"]] == ["/ask", "/pagewarden"]
    assert [one["callback_id"] for one in features["shortcuts"]] == ["ask_about"]
    assert '"/ask"' in source
    assert '"ask_about"' in source


def test_each_event_that_is_asked_for_has_the_scope_that_slack_wants_for_it(manifest: dict[str, Any]) -> None:
    wants = {
        "app_mention": "app_mentions:read",
        "message.im": "im:history",
        "message.channels": "channels:history",
        "message.groups": "groups:history",
        "agent_session_stopped": "assistant:write",
        "user_change": "users:read",
    }
    events = manifest["settings"]["event_subscriptions"]["bot_events"]
    assert {wants[event] for event in events} <= set(SCOPES)


def test_the_guides_slack_yaml_is_one() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)
    people = People.model_validate(yaml.safe_load(example))
    assert people.channels["C0123"].auto == 0.8


def test_every_setting_that_the_guide_names_is_there() -> None:
    named = set(re.findall(r"PAGEWARDEN_SLACK_([A-Z_]+[A-Z])", GUIDE))
    assert named
    assert {name.lower() for name in named} <= set(SlackSettings.model_fields)


def test_every_picture_of_the_guide_is_there_and_every_picture_is_in_it() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(slack/([^)]+)\)", GUIDE)
    assert sorted(shown) == sorted(path.name for path in (ROOT / "docs" / "slack").iterdir())
