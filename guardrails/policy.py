"""A policy: which rails stand at each hop, and how strict they are. One YAML file each in `policies/`.

Policies are joined by `tighten`, which takes the stricter of the two in every parameter, so that nothing that
applies besides the house's policy can loosen it. `weaknesses` says the same thing the other way round, by an
order written down for each parameter; tests hold the two against each other.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from guardrails.classifier import Head
from guardrails.errors import PolicyError
from guardrails.personal import KINDS, NAMED, Kind, NamesBy, Treatment
from guardrails.rails import BareUrls
from guardrails.records import Hop, Mode
from guardrails.scripts import Script
from guardrails.yaml_files import read_as

_FOLDER = Path(__file__).parent / "policies"
_TREATMENTS: tuple[Treatment, ...] = get_args(Treatment)
_NAMES: tuple[NamesBy, ...] = get_args(NamesBy)
Threshold = Annotated[float, Field(gt=0.0, le=1.0)]
#: From loose to strict.
_BARE_URLS: tuple[BareUrls, ...] = get_args(BareUrls)
#: Says whether its first value is at least as strict as its second.
Order = Callable[[Any, Any], bool]
#: A policy that extends another that extends another …: deeper is a ring.
_DEEPEST = 8
#: Characters of a joined policy's name that are kept; the rest is told by a hash.
_LONGEST = 600


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(set(values)))


#: A list of a file, and its order and repetitions gone: two policies that say the same are equal.
_LISTED, _ONCE = BeforeValidator(_listed), AfterValidator(_once)
Texts = Annotated[tuple[str, ...], _LISTED, _ONCE]


def _covers(ours: Any, theirs: Any) -> bool:
    return set(ours) >= set(theirs)


def _within(ours: Any, theirs: Any) -> bool:
    return set(ours) <= set(theirs)


def _treats(ours: Mapping[Kind, Treatment], theirs: Mapping[Kind, Treatment]) -> bool:
    return all(_TREATMENTS.index(ours[kind]) >= _TREATMENTS.index(theirs[kind]) for kind in theirs)


def _reads(ours: Mapping[Kind, tuple[str, ...]], theirs: Mapping[Kind, tuple[str, ...]]) -> bool:
    return all("*" in theirs[kind] or _within(ours[kind], theirs[kind]) for kind in theirs)


def _common(ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the groups of both; `*` is every group."""
    if "*" in ours:
        return theirs
    return ours if "*" in theirs else tuple(set(ours) & set(theirs))


def _searches(ours: NamesBy, theirs: NamesBy) -> bool:
    return _NAMES.index(ours) >= _NAMES.index(theirs)


def _asks_sooner(ours: float | None, theirs: float | None) -> bool:
    """Compare thresholds of which None is not asked at all."""
    return theirs is None or (ours is not None and ours <= theirs)


def _holds_back(ours: float | None, theirs: float | None) -> bool:
    """Compare sieves of which None holds back everything."""
    return ours is None or (theirs is not None and ours <= theirs)


class _Rule(BaseModel):
    """One rail at one hop, with its limits. `tightened` returns the stricter of two of a rail."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    #: Its parameters and which way each is strict; a rule without one of its own would compare as equal.
    orders: ClassVar[Mapping[str, Order]]

    mode: Mode = "enforce"
    """"shadow": decide and write it down, but do not act on it."""

    def blocks_from(self, code: str) -> float | None:
        """Return the score from which it blocks (with `code`, where it did); None for no such score."""
        return getattr(self, "threshold", None)


class SizeRule(_Rule):
    """Characters, lines, and the longest run of one letter."""

    orders = {"max_chars": operator.le, "max_run": operator.le, "max_lines": operator.le}

    rail: Literal["size"] = "size"
    max_chars: Annotated[int, Field(ge=1)] = 8_000
    max_run: Annotated[int, Field(ge=8)] = 200
    max_lines: Annotated[int, Field(ge=1)] = 2_000

    def tightened(self, other: SizeRule) -> SizeRule:
        """Take the smaller of each limit."""
        return SizeRule(
            max_chars=min(self.max_chars, other.max_chars),
            max_run=min(self.max_run, other.max_run),
            max_lines=min(self.max_lines, other.max_lines),
        )


class HiddenUnicodeRule(_Rule):
    """Zero-width characters between Latin letters that are let pass (a PDF leaves a few)."""

    orders = {"max_interleaved": operator.le}

    rail: Literal["hidden_unicode"] = "hidden_unicode"
    max_interleaved: Annotated[int, Field(ge=0)] = 3

    def tightened(self, other: HiddenUnicodeRule) -> HiddenUnicodeRule:
        """Take the smaller limit."""
        return HiddenUnicodeRule(max_interleaved=min(self.max_interleaved, other.max_interleaved))


class OverrideRule(_Rule):
    """The score from which a text is blocked: 1.0 is one strong phrase or two weak ones."""

    orders = {"threshold": operator.le}

    rail: Literal["override"] = "override"
    threshold: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0

    def tightened(self, other: OverrideRule) -> OverrideRule:
        """Take the lower threshold."""
        return OverrideRule(threshold=min(self.threshold, other.threshold))


class ExfiltrationRule(_Rule):
    """Links and active markup; `plain` lets a bare address pass that has no room for stolen words."""

    orders = {"bare_urls": lambda ours, theirs: _BARE_URLS.index(ours) >= _BARE_URLS.index(theirs)}

    rail: Literal["exfiltration"] = "exfiltration"
    bare_urls: BareUrls = "plain"

    def tightened(self, other: ExfiltrationRule) -> ExfiltrationRule:
        """Take the stricter treatment."""
        return ExfiltrationRule(bare_urls=max(self.bare_urls, other.bare_urls, key=_BARE_URLS.index))


class SecretsRule(_Rule):
    """Keys and tokens; `canaries` are words that must never leave (six letters or digits at least)."""

    orders = {"canaries": _covers, "min_entropy": operator.le}

    rail: Literal["secrets"] = "secrets"
    canaries: Texts = ()
    min_entropy: Annotated[float, Field(ge=1.0, le=6.0)] = 3.0

    @field_validator("canaries")
    @classmethod
    def _telling(cls, canaries: tuple[str, ...]) -> tuple[str, ...]:
        if any(sum(map(str.isalnum, canary)) < 6 for canary in canaries):
            raise ValueError("a canary needs six letters or digits, or ordinary text would trip it")
        return canaries

    def tightened(self, other: SecretsRule) -> SecretsRule:
        """Take all canaries and the lower entropy."""
        return SecretsRule(
            canaries=self.canaries + other.canaries, min_entropy=min(self.min_entropy, other.min_entropy)
        )


class PersonalRule(_Rule):
    """What becomes of each kind of personal data; a kind that is not named is let pass.

    `groups` names by kind who may read it all the same. `names` says how people and organisations are found:
    by a model (an extra), or by rules, which find fewer.
    """

    orders = {"kinds": _treats, "groups": _reads, "names": _searches}

    rail: Literal["personal"] = "personal"
    kinds: dict[Kind, Treatment]
    groups: Annotated[dict[Kind, tuple[str, ...]], Field(validate_default=True)] = {}
    """Written out in full when read: `*` is everybody, for a kind that is let pass."""
    names: Annotated[NamesBy, Field(validate_default=True)] = "model"
    """"rules" when read where no names are looked for."""

    @field_validator("kinds")
    @classmethod
    def _all(cls, kinds: dict[Kind, Treatment]) -> dict[Kind, Treatment]:
        return {kind: kinds.get(kind, "allow") for kind in KINDS}

    @field_validator("groups", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {kind: tuple(names) if isinstance(names, list) else names for kind, names in value.items()}

    @field_validator("groups")
    @classmethod
    def _full(cls, groups: dict[Kind, tuple[str, ...]], info: ValidationInfo) -> dict[Kind, tuple[str, ...]]:
        kinds: dict[Kind, Treatment] = info.data.get("kinds", {})
        if any("*" in groups.get(kind, ()) for kind, treatment in kinds.items() if treatment != "allow"):
            raise ValueError("what everybody may read is allowed: name it so under kinds")
        return {
            kind: ("*",) if treatment == "allow" else tuple(sorted(set(groups.get(kind, ()))))
            for kind, treatment in kinds.items()
        }

    @field_validator("names")
    @classmethod
    def _asked(cls, names: NamesBy, info: ValidationInfo) -> NamesBy:
        kinds: dict[Kind, Treatment] = info.data.get("kinds", {})
        return names if any(kinds.get(kind, "allow") != "allow" for kind in NAMED) else "rules"

    def tightened(self, other: PersonalRule) -> PersonalRule:
        """Take the stricter treatment of each kind, and let it pass only for whom both let it pass."""
        kinds: dict[Kind, Treatment] = {
            kind: max(treatment, other.kinds[kind], key=_TREATMENTS.index)
            for kind, treatment in self.kinds.items()
        }
        return PersonalRule(
            kinds=kinds,
            groups={kind: _common(self.groups[kind], other.groups[kind]) for kind in kinds},
            names=max(self.names, other.names, key=_NAMES.index),
        )


class HostedRule(BaseModel):
    """What a model of somebody else's does not get to see: masked before, put back into its reply.

    A picture cannot be masked. "send" leaves it to the operator, who chose a server that looks at pages;
    with "withhold" such a server is refused when the house opens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    orders: ClassVar[Mapping[str, Order]] = {"kinds": _covers, "names": _searches, "pictures": operator.ge}

    kinds: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind not in NAMED)
    names: Annotated[NamesBy, Field(validate_default=True)] = "model"
    pictures: Literal["send", "withhold"] = "send"

    @field_validator("kinds")
    @classmethod
    def _sorted(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        return tuple(kind for kind in KINDS if kind in kinds)

    @field_validator("names")
    @classmethod
    def _asked(cls, names: NamesBy, info: ValidationInfo) -> NamesBy:
        return names if set(NAMED) & set(info.data.get("kinds", ())) else "rules"

    def tightened(self, other: HostedRule) -> HostedRule:
        """Mask what either masks."""
        return HostedRule(
            kinds=self.kinds + other.kinds,
            names=max(self.names, other.names, key=_NAMES.index),
            pictures=max(self.pictures, other.pictures),
        )


class GuardModelRule(_Rule):
    """A served guard model reads the text; `allowed` names categories of `guard.py` that it may find."""

    orders = {"allowed": _within}

    rail: Literal["guard_model"] = "guard_model"
    allowed: Texts = ()

    def tightened(self, other: GuardModelRule) -> GuardModelRule:
        """Let pass only what both let pass."""
        return GuardModelRule(allowed=tuple(set(self.allowed) & set(other.allowed)))


class ClassifierRule(_Rule):
    """The probability from which each head of our classifier blocks; one that is not named is not asked."""

    orders = {
        "injection": _asks_sooner,
        "harmful": _asks_sooner,
        "planted": _asks_sooner,
        "sieve": _holds_back,
    }

    rail: Literal["classifier"] = "classifier"
    injection: Threshold | None = None
    harmful: Threshold | None = None
    planted: Threshold | None = None
    sieve: Threshold | None = None
    """A first look that costs little decides what `planted` reads: texts that score so much there, or more.
    Without it `planted` reads everything, which is stricter and slower."""

    @model_validator(mode="after")
    def _asks(self) -> ClassifierRule:
        if not self.thresholds:
            raise ValueError("name a threshold for one head at least")
        if self.sieve is not None and self.planted is None:
            raise ValueError("a sieve is for `planted` only; name its threshold too")
        return self

    @property
    def thresholds(self) -> dict[Head, float]:
        """Return the heads that are asked, each with its threshold."""
        heads: dict[Head, float | None] = {
            "injection": self.injection,
            "harmful": self.harmful,
            "planted": self.planted,
        }
        return {head: threshold for head, threshold in heads.items() if threshold is not None}

    def tightened(self, other: ClassifierRule) -> ClassifierRule:
        """Ask every head that either asks, at the lower threshold; what one reads all of is read all of."""
        ours, theirs = self.thresholds, other.thresholds
        heads = {head: min(ours.get(head, 1.0), theirs.get(head, 1.0)) for head in ours | theirs}
        sieves = (self.sieve, other.sieve)
        sieve = None if None in sieves else min(one for one in sieves if one is not None)
        return ClassifierRule.model_validate(heads | {"sieve": sieve})

    def blocks_from(self, code: str) -> float | None:
        """Return the threshold of the head that blocked, or of the only one there is."""
        heads = list(self.thresholds.items())
        return next((one for head, one in heads if head == code or len(heads) == 1), None)


class TopicsRule(_Rule):
    """What may be asked about, by example: questions, or short descriptions of a topic.

    A question is off topic when nothing of `allowed` is as near to it as `near`, or something of `refused` is
    as near as `near_refused`: cosines of the library's embedder. `refused_words` want no embedder.
    """

    orders = {
        "allowed": lambda ours, theirs: all(any(set(a) <= set(b) for a in ours) for b in theirs),
        "refused": _covers,
        "refused_words": _covers,
        "near": operator.ge,
        "near_refused": operator.le,
    }

    rail: Literal["topics"] = "topics"
    allowed: tuple[tuple[str, ...], ...] = ()
    """In a file one list of examples; joined policies keep one list each, and all must be met."""
    refused: Texts = ()
    refused_words: Texts = ()
    near: Annotated[float, Field(ge=0, le=1)] = 0.55
    """Six examples keep 33 of 36 questions about filings, decline 3 of 4 others (`tests/bench/topics.py`)."""
    near_refused: Annotated[float, Field(ge=0, le=1)] = 0.65
    """Of what people ask about other things, one in a hundred is as near."""

    @field_validator("allowed", mode="before")
    @classmethod
    def _grouped(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        if value and all(isinstance(one, str) for one in value):
            return (tuple(value),)
        return tuple(tuple(one) if isinstance(one, list) else one for one in value)

    @field_validator("allowed")
    @classmethod
    def _sorted(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        if not all(groups):
            raise ValueError("an empty list of allowed topics would refuse every question")
        return tuple(sorted({tuple(sorted(set(group))) for group in groups}))

    @model_validator(mode="after")
    def _telling(self) -> TopicsRule:
        texts = [*(text for group in self.allowed for text in group), *self.refused, *self.refused_words]
        if not texts:
            raise ValueError("topics without allowed, refused or refused_words would stop nothing")
        if any(len(text.strip()) < 3 for text in texts):
            raise ValueError("a topic needs three characters at least")
        return self

    def blocks_from(self, code: str) -> float | None:
        """Return the distance from the nearest allowed example; None where only refusals are named."""
        return 1.0 - self.near if self.allowed else None

    @property
    def wants_embedder(self) -> bool:
        """Whether words alone cannot decide it."""
        return bool(self.allowed or self.refused)

    def tightened(self, other: TopicsRule) -> TopicsRule:
        """Take every list of either, and the stricter distances."""
        return TopicsRule(
            allowed=self.allowed + other.allowed,
            refused=self.refused + other.refused,
            refused_words=self.refused_words + other.refused_words,
            near=max(self.near, other.near),
            near_refused=min(self.near_refused, other.near_refused),
        )


class ScriptsRule(_Rule):
    """The scripts in which a text may be written; `max_foreign` is the share of letters of any other.

    A script tells Russian from English and Japanese from Chinese, not German from English: languages of one
    script are not told apart.
    """

    orders = {"allowed": _within, "max_foreign": operator.le}

    rail: Literal["scripts"] = "scripts"
    allowed: Annotated[tuple[Script, ...], _LISTED, _ONCE]
    max_foreign: Annotated[float, Field(ge=0, le=1)] = 0.2

    def blocks_from(self, code: str) -> float | None:
        """Return the share of foreign letters."""
        return self.max_foreign

    def tightened(self, other: ScriptsRule) -> ScriptsRule:
        """Let pass only the scripts that both let pass."""
        return ScriptsRule(
            allowed=tuple(set(self.allowed) & set(other.allowed)),
            max_foreign=min(self.max_foreign, other.max_foreign),
        )


class GroundedRule(_Rule):
    """How well a sentence must stand on what it cites, beside what the settings ask: the higher counts.

    Judged by the agent, which holds the evidence; a text alone cannot be judged by it.
    """

    orders = {"min_word_support": operator.ge, "min_confidence": operator.ge}

    rail: Literal["grounded"] = "grounded"
    min_word_support: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a sentence's content words that its evidence must hold."""
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How sure a sentence must be to be shown."""

    def tightened(self, other: GroundedRule) -> GroundedRule:
        """Take the higher of each."""
        return GroundedRule(
            min_word_support=max(self.min_word_support, other.min_word_support),
            min_confidence=max(self.min_confidence, other.min_confidence),
        )


Rule = Annotated[
    SizeRule
    | HiddenUnicodeRule
    | OverrideRule
    | ExfiltrationRule
    | SecretsRule
    | PersonalRule
    | GuardModelRule
    | TopicsRule
    | ScriptsRule
    | GroundedRule
    | ClassifierRule,
    Field(discriminator="rail"),
]


#: A refusal's words by code; "default" stands for every code that is not named.
Wording = dict[
    Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")], Annotated[str, Field(min_length=1, max_length=600)]
]


class Policy(BaseModel):
    """The rails of every hop: all five are named, because a hop without rails would let all pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_@+.-]{0,999}$")]
    version: Annotated[int, Field(ge=1)]
    extends: str | None = None
    """A policy (a name of ours, or a file beside this one) that this one tightens."""
    mode: Mode = "enforce"
    """"shadow": every rail of this policy decides and is written down, and nothing of it is done."""
    hops: dict[Hop, tuple[Rule, ...]] = {}
    hosted: HostedRule = HostedRule()
    """What is masked before a model of somebody else's sees it."""
    refusal: dict[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], Wording] = {}
    """What whoever asked is told, by language and code: {en: {default: …, off_topic: …}}."""

    @model_validator(mode="before")
    @classmethod
    def _shadowed(cls, content: object) -> object:
        """Hand the policy's shadow down to its rules."""
        if not isinstance(content, dict) or content.get("mode") != "shadow":
            return content
        hops = content.get("hops")
        if not isinstance(hops, dict):
            return content
        return content | {"hops": {hop: _in_shadow(rules) for hop, rules in hops.items()}}

    @model_validator(mode="after")
    def _complete(self) -> Policy:
        missing = set(get_args(Hop)) - set(self.hops)
        if missing and not self.extends:
            raise ValueError(f"no rails for {', '.join(sorted(missing))}")
        for hop, rules in self.hops.items():
            if any(rule.rail == "grounded" and (hop != "answer" or rule.mode != "enforce") for rule in rules):
                raise ValueError(f"{hop}: grounded stands at the answer, where evidence is, and acts")
            if all(rule.rail == "grounded" for rule in rules) and not self.extends:
                raise ValueError(f"{hop}: at least one rail that reads texts")
            if not rules or len({(rule.rail, rule.mode) for rule in rules}) != len(rules):
                raise ValueError(f"{hop}: at least one rail, and each one once")
        return self

    @property
    def label(self) -> str:
        """The name and version as verdicts and the audit carry them: "default@1"."""
        return f"{self.name}@{self.version}"

    def digest(self, hop: Hop) -> str:
        """Return what tells the rules of a hop from any others, whatever the file calls its version."""
        written = [rule.model_dump_json() for rule in self.hops.get(hop, ())]
        return hashlib.sha256("\n".join(written).encode()).hexdigest()[:12]

    @property
    def grounded(self) -> GroundedRule:
        """How well a sentence must stand on its evidence."""
        return next((rule for rule in self.hops.get("answer", ()) if rule.rail == "grounded"), GroundedRule())

    def words(self, code: str) -> dict[str, str]:
        """Return what may be told of a refusal with this code, by language."""
        found = {language: told.get(code, told.get("default", "")) for language, told in self.refusal.items()}
        return {language: text for language, text in found.items() if text}


def _in_shadow(rules: object) -> object:
    if not isinstance(rules, list | tuple):
        return rules
    return [rule | {"mode": "shadow"} if isinstance(rule, dict) else rule for rule in rules]


def load(name_or_path: str | Path) -> Policy:
    """Read a policy by its name in `policies/`, or from a YAML file. Raises PolicyError."""
    return read(name_or_path)[0]


def read(name_or_path: str | Path, *, depth: int = 0) -> tuple[Policy, tuple[Path, ...]]:
    """Read a policy and say which files it stands in, its own first. Raises PolicyError."""
    path = _path(name_or_path)
    try:
        policy = read_as(Policy, path, what="policy")
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.stem for p in _FOLDER.glob("*.yaml")))
        raise PolicyError(f"There is no policy {str(name_or_path)!r}; known policies: {known}.") from error
    if policy.extends is None:
        return policy, (path,)
    if depth >= _DEEPEST:
        raise PolicyError(f"The policy {path.name} extends itself.")
    base, files = read(beside(policy.extends, path), depth=depth + 1)
    joined = tighten(base, policy)
    return joined.model_copy(update={"name": policy.name, "version": policy.version}), (path, *files)


def beside(name_or_path: str, path: Path) -> str | Path:
    """Return a policy's file as named in the file `path`: relative to its folder."""
    return path.parent / name_or_path if name_or_path.endswith((".yaml", ".yml")) else name_or_path


def _path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    if not str(name_or_path).replace("_", "").replace("-", "").isalnum():
        raise PolicyError(f"{str(name_or_path)!r} is neither a policy's name nor a .yaml file.")
    return _FOLDER / f"{name_or_path}.yaml"


def tighten(policy: Policy, other: Policy) -> Policy:
    """Join two policies: every rail of either, each at the stricter of its limits.

    The result blocks whatever either blocks: a further policy may add, never take away. What only decides in
    shadow is kept beside what acts, and never takes its place. Of two wordings the second one's is told.
    """
    if policy == other:
        return policy
    hops = {
        hop: _joined(policy.hops.get(hop, ()), other.hops.get(hop, ()))
        for hop in get_args(Hop)
        if hop in policy.hops or hop in other.hops
    }
    languages = dict.fromkeys((*policy.refusal, *other.refusal))
    refusal = {one: policy.refusal.get(one, {}) | other.refusal.get(one, {}) for one in languages}
    name = f"{policy.label}+{other.name}"
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}+{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return Policy(
        name=name,
        version=other.version,
        hops=hops,
        hosted=policy.hosted.tightened(other.hosted),
        refusal=refusal,
    )


def weaknesses(policy: Policy, other: Policy) -> list[str]:
    """Name every place where `policy` is weaker than `other`: "question.override.threshold: 1.0, not 0.5".

    Only what acts counts: a rail in shadow stops nothing.
    """
    found = [
        f"hosted.{name}: {getattr(policy.hosted, name)}, not {getattr(other.hosted, name)}"
        for name, is_as_strict in HostedRule.orders.items()
        if not is_as_strict(getattr(policy.hosted, name), getattr(other.hosted, name))
    ]
    for hop, rules in other.hops.items():
        ours = {rule.rail: rule for rule in policy.hops.get(hop, ()) if rule.mode == "enforce"}
        for rule in rules:
            mine = ours.get(rule.rail)
            if rule.mode != "enforce":
                continue
            if mine is None:
                found.append(f"{hop}.{rule.rail}: not there")
                continue
            found += [
                f"{hop}.{rule.rail}.{name}: {getattr(mine, name)}, not {getattr(rule, name)}"
                for name, is_as_strict in rule.orders.items()
                if not is_as_strict(getattr(mine, name), getattr(rule, name))
            ]
    return found


def is_at_least_as_strict(policy: Policy, other: Policy) -> bool:
    """Say whether `policy` stops whatever `other` stops, by comparing every parameter of every rail."""
    return not weaknesses(policy, other)


def _joined(rules: tuple[Rule, ...], others: tuple[Rule, ...]) -> tuple[Rule, ...]:
    theirs = {(rule.rail, rule.mode): rule for rule in others}
    ours = tuple(
        _in_mode(_stricter(rule, theirs.pop((rule.rail, rule.mode), None)), rule.mode) for rule in rules
    )
    return ours + tuple(theirs.values())


AnyRule = TypeVar("AnyRule", bound=_Rule)


def _in_mode(rule: AnyRule, mode: Mode) -> AnyRule:
    return rule if rule.mode == mode else rule.model_copy(update={"mode": mode})


def _stricter(rule: Rule, other: Rule | None) -> Rule:
    if other is None:
        return rule
    if type(rule) is not type(other):
        raise PolicyError(f"two different rails under one name: {rule.rail}")
    return rule.tightened(other)  # type: ignore[arg-type]
