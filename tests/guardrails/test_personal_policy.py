"""Who may read which kind, what a hosted model may see, and that joining two policies loosens neither."""

from __future__ import annotations

import builtins
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from guardrails import ner
from guardrails.effective import Effective
from guardrails.errors import PolicyError
from guardrails.nemo import Rails
from guardrails.personal import KINDS, NAMED, Kind, Treatment
from guardrails.policy import HostedRule, PersonalRule, Policy, load, tighten, weaknesses
from guardrails.rails import Passage, Personal
from guardrails.records import Hop

pytestmark = pytest.mark.anyio

SIZE = {"rail": "size"}
GROUPS = ["hr", "legal", "board"]


def _policy(rule: Mapping[str, Any], **more: Any) -> Policy:
    hops: dict[str, Any] = {hop: [SIZE] for hop in get_args(Hop)} | {"answer": [SIZE, rule]}
    return Policy.model_validate({"name": "some", "version": 1, "hops": hops, **more})


def _write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    os.utime(path, (0, 0))
    assert stat.S_ISREG(path.stat().st_mode)
    return path


async def test_a_group_that_may_read_a_kind_reads_it_and_nobody_else_does() -> None:
    rule = {"rail": "personal", "kinds": {"email": "mask", "card": "block"}, "groups": {"email": ["hr"]}}
    rails = Rails(_policy(rule))
    text = "Mail jane@example.org."
    (hr,) = await rails.screen("answer", [text], groups=("staff", "hr"))
    (staff,) = await rails.screen("answer", [text], groups=("staff",))
    (nobody,) = await rails.screen("answer", [text])
    (card,) = await rails.screen("answer", ["Card 4111 1111 1111 1111"], groups=("hr",))
    assert (hr.text, staff.text, nobody.text) == (text, "Mail [e-mail].", "Mail [e-mail].")
    assert card.decision == "block"


async def test_the_groups_are_those_of_the_callers_scope() -> None:
    rule = {"rail": "personal", "kinds": {"email": "mask"}, "groups": {"email": ["hr"]}}
    effective = Effective("default", None, rails=lambda _: Rails(_policy(rule)))
    place = {"tenant": "acme", "collections": ("a",), "channel": "http"}
    for groups, left in ((("hr",), "a@b.org"), ((), "[e-mail]")):
        (verdict,) = await effective.rails_for(**place, groups=groups).screen("answer", ["a@b.org"])  # type: ignore[arg-type]
        assert verdict.text == left


@pytest.mark.parametrize(
    "rule",
    [
        {"kinds": {"email": "hide"}},
        {"kinds": {"shoe size": "mask"}},
        {"kinds": {"email": "mask"}, "groups": {"email": ["*"]}},
        {"kinds": {"email": "mask"}, "groups": {"shoe size": ["hr"]}},
        {"kinds": {"email": "mask"}, "groups": "hr"},
        {"kinds": {"email": "mask"}, "names": "guess"},
        {"groups": {"email": ["hr"]}},
    ],
)
def test_a_rule_that_says_something_unheard_of_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _policy({"rail": "personal", **rule})


RULES = st.builds(
    lambda kinds, groups, names: PersonalRule.model_validate(
        {
            "kinds": kinds,
            "groups": {kind: tuple(allowed) for kind, allowed in groups.items() if kind in kinds},
            "names": names,
        }
    ),
    st.dictionaries(st.sampled_from(KINDS), st.sampled_from(["mask", "block"])),
    st.dictionaries(st.sampled_from(KINDS), st.sets(st.sampled_from(GROUPS))),
    st.sampled_from(["rules", "model"]),
)


def _treatment(rule: PersonalRule, kind: Kind, groups: set[str]) -> int:
    order: tuple[Treatment, ...] = get_args(Treatment)
    return 0 if groups & set(rule.groups[kind]) else order.index(rule.kinds[kind])


@given(RULES, RULES, st.sampled_from(KINDS), st.sets(st.sampled_from(GROUPS)))
def test_no_caller_reads_more_under_two_rules_than_under_either(
    rule: PersonalRule, other: PersonalRule, kind: Kind, groups: set[str]
) -> None:
    joined = rule.tightened(other)
    assert _treatment(joined, kind, groups) >= max(
        _treatment(rule, kind, groups), _treatment(other, kind, groups)
    )
    assert joined == other.tightened(rule)
    assert joined.tightened(rule) == joined
    assert PersonalRule.model_validate(joined.model_dump()) == joined


HOSTED = st.builds(
    HostedRule,
    kinds=st.lists(st.sampled_from(KINDS)).map(tuple),
    names=st.sampled_from(["rules", "model"]),
    pictures=st.sampled_from(["send", "withhold"]),
)


@given(RULES, RULES, HOSTED, HOSTED)
@settings(deadline=None)
def test_weaknesses_finds_none_in_a_joined_policy(
    rule: PersonalRule, other: PersonalRule, hosted: HostedRule, others: HostedRule
) -> None:
    ours = _policy(rule.model_dump(), hosted=hosted.model_dump())
    theirs = _policy(other.model_dump(), hosted=others.model_dump())
    joined = tighten(ours, theirs)
    assert weaknesses(joined, ours) == weaknesses(joined, theirs) == []
    assert set(joined.hosted.kinds) == set(hosted.kinds) | set(others.kinds)


def test_weaknesses_names_a_group_a_kind_and_a_picture_that_became_free() -> None:
    strict = _policy(
        {"rail": "personal", "kinds": {"email": "mask", "person": "mask"}}, hosted={"pictures": "withhold"}
    )
    loose = _policy(
        {
            "rail": "personal",
            "kinds": {"email": "mask", "person": "mask"},
            "groups": {"email": ["hr"]},
            "names": "rules",
        },
        hosted={"kinds": ["email"]},
    )
    assert [found.partition(":")[0] for found in weaknesses(loose, strict)] == [
        "hosted.kinds",
        "hosted.pictures",
        "answer.personal.groups",
        "answer.personal.names",
    ]
    assert weaknesses(strict, loose) == []


def test_the_shipped_policies_need_no_model_of_names() -> None:
    for name in ("default", "strict"):
        policy = load(name)
        assert policy.hosted.names == "rules"
        assert not set(policy.hosted.kinds) & set(NAMED)
        assert all(
            r.names == "rules" for rules in policy.hops.values() for r in rules if r.rail == "personal"
        )
    assert load("strict").hosted.pictures == "withhold"


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the model of names away, were it installed."""
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name == "spacy":
            raise ImportError(name)
        return real(name, *rest, **more)

    ner.by_model.cache_clear()
    monkeypatch.setattr(builtins, "__import__", absent)


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("kind", NAMED)
def test_a_policy_that_asks_for_names_is_refused_where_the_model_is_missing(kind: Kind) -> None:
    with pytest.raises(PolicyError, match=r"pagewarden\[ner\]"):
        Rails(_policy({"rail": "personal", "kinds": {kind: "mask"}}))


@pytest.mark.usefixtures("no_model")
async def test_names_by_rules_need_no_model_and_are_asked_for_in_so_many_words() -> None:
    rails = Rails(_policy({"rail": "personal", "kinds": {"person": "mask"}, "names": "rules"}))
    (verdict,) = await rails.screen("answer", ["Ask Dr. Jane Roe [1]."])
    assert verdict.text == "Ask Dr. [person] [1]."


@pytest.mark.usefixtures("no_model")
def test_names_for_a_hosted_model_are_refused_when_the_policy_is_read_not_when_it_is_needed(
    tmp_path: Path,
) -> None:
    path = _write(tmp_path / "p.yaml", "name: p\nversion: 1\nextends: default\nhosted: {kinds: [person]}\n")
    with pytest.raises(PolicyError, match=r"pagewarden\[ner\]"):
        Effective(str(path), None, rails=Rails)


def test_a_hosted_model_is_asked_under_the_strictest_of_all_policies(tmp_path: Path) -> None:
    _write(tmp_path / "names.yaml", _hosting("names", "{kinds: [person], names: rules}"))
    _write(tmp_path / "blind.yaml", _hosting("blind", "{pictures: withhold}"))
    rules = _write(
        tmp_path / "policies.yaml",
        "version: 1\nrules:\n  - {policy: names.yaml, tenant: acme}\n"
        "  - {policy: blind.yaml, tenant: other}\n",
    )
    effective = Effective("default", rules, rails=Rails)
    assert effective.vault().mask(["Dr. Jane Roe, jane@example.org"]) == ["Dr. [person 1], [email 1]"]
    assert not effective.sends_pictures()
    assert Effective("default", None, rails=Rails).sends_pictures()


def _hosting(name: str, hosted: str) -> str:
    return f"name: {name}\nversion: 1\nextends: default\nhosted: {hosted}\n"


def test_a_kind_that_is_blocked_blocks_though_a_masked_kind_claims_the_same_words() -> None:
    rail = Personal({"national_id": "mask", "phone": "block"})
    assert rail.look(Passage(text="Phone: 811218-9876")).decision == "block"
    assert Personal({"national_id": "mask"}).look(Passage(text="Phone: 811218-9876")).decision == "mask"
