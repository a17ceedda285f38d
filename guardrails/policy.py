"""A policy: which rails stand at each hop, and how strict they are. One YAML file each in `policies/`.

A caller's policy is joined with the house's by `tighten`, which takes the stricter of the two in every
parameter, so that no caller can loosen anything, whatever it sends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml  # type: ignore[import-untyped, unused-ignore]
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from guardrails.classifier import Head
from guardrails.errors import PolicyError
from guardrails.personal import Kind, Treatment
from guardrails.rails import BareUrls
from guardrails.records import Hop

_FOLDER = Path(__file__).parent / "policies"
_TREATMENTS: tuple[Treatment, ...] = get_args(Treatment)
Threshold = Annotated[float, Field(gt=0.0, le=1.0)]
#: From loose to strict.
_BARE_URLS: tuple[BareUrls, ...] = get_args(BareUrls)


class _Rule(BaseModel):
    """One rail at one hop, with its limits. `tightened` returns the stricter of two of a rail."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SizeRule(_Rule):
    """Characters, lines, and the longest run of one letter."""

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

    rail: Literal["hidden_unicode"] = "hidden_unicode"
    max_interleaved: Annotated[int, Field(ge=0)] = 3

    def tightened(self, other: HiddenUnicodeRule) -> HiddenUnicodeRule:
        """Take the smaller limit."""
        return HiddenUnicodeRule(max_interleaved=min(self.max_interleaved, other.max_interleaved))


class OverrideRule(_Rule):
    """The score from which a text is blocked: 1.0 is one strong phrase or two weak ones."""

    rail: Literal["override"] = "override"
    threshold: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0

    def tightened(self, other: OverrideRule) -> OverrideRule:
        """Take the lower threshold."""
        return OverrideRule(threshold=min(self.threshold, other.threshold))


class ExfiltrationRule(_Rule):
    """Links and active markup; `plain` lets a bare address pass that has no room for stolen words."""

    rail: Literal["exfiltration"] = "exfiltration"
    bare_urls: BareUrls = "plain"

    def tightened(self, other: ExfiltrationRule) -> ExfiltrationRule:
        """Take the stricter treatment."""
        return ExfiltrationRule(bare_urls=max(self.bare_urls, other.bare_urls, key=_BARE_URLS.index))


class SecretsRule(_Rule):
    """Keys and tokens; `canaries` are words that must never leave (six letters or digits at least)."""

    rail: Literal["secrets"] = "secrets"
    canaries: tuple[str, ...] = ()
    min_entropy: Annotated[float, Field(ge=1.0, le=6.0)] = 3.0

    @field_validator("canaries", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("canaries")
    @classmethod
    def _telling(cls, canaries: tuple[str, ...]) -> tuple[str, ...]:
        if any(sum(map(str.isalnum, canary)) < 6 for canary in canaries):
            raise ValueError("a canary needs six letters or digits, or ordinary text would trip it")
        return tuple(sorted(set(canaries)))

    def tightened(self, other: SecretsRule) -> SecretsRule:
        """Take all canaries and the lower entropy."""
        return SecretsRule(
            canaries=self.canaries + other.canaries, min_entropy=min(self.min_entropy, other.min_entropy)
        )


class PersonalRule(_Rule):
    """What becomes of each kind of personal data; a kind that is not named is let pass."""

    rail: Literal["personal"] = "personal"
    kinds: dict[Kind, Treatment]

    @field_validator("kinds")
    @classmethod
    def _all(cls, kinds: dict[Kind, Treatment]) -> dict[Kind, Treatment]:
        return {kind: kinds.get(kind, "allow") for kind in get_args(Kind)}

    def tightened(self, other: PersonalRule) -> PersonalRule:
        """Take the stricter treatment of each kind."""
        kinds: dict[Kind, Treatment] = {
            kind: max(treatment, other.kinds[kind], key=_TREATMENTS.index)
            for kind, treatment in self.kinds.items()
        }
        return PersonalRule(kinds=kinds)


class GuardModelRule(_Rule):
    """A served guard model reads the text; `allowed` names categories of `guard.py` that it may find."""

    rail: Literal["guard_model"] = "guard_model"
    allowed: tuple[str, ...] = ()

    @field_validator("allowed", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("allowed")
    @classmethod
    def _sorted(cls, allowed: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(allowed)))

    def tightened(self, other: GuardModelRule) -> GuardModelRule:
        """Let pass only what both let pass."""
        return GuardModelRule(allowed=tuple(set(self.allowed) & set(other.allowed)))


class ClassifierRule(_Rule):
    """The probability from which each head of our classifier blocks; one that is not named is not asked."""

    rail: Literal["classifier"] = "classifier"
    injection: Threshold | None = None
    harmful: Threshold | None = None
    planted: Threshold | None = None

    @model_validator(mode="after")
    def _asks(self) -> ClassifierRule:
        if not self.thresholds:
            raise ValueError("name a threshold for one head at least")
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
        """Ask every head that either asks, at the lower threshold."""
        ours, theirs = self.thresholds, other.thresholds
        heads = {head: min(ours.get(head, 1.0), theirs.get(head, 1.0)) for head in ours | theirs}
        return ClassifierRule.model_validate(heads)


Rule = Annotated[
    SizeRule
    | HiddenUnicodeRule
    | OverrideRule
    | ExfiltrationRule
    | SecretsRule
    | PersonalRule
    | GuardModelRule
    | ClassifierRule,
    Field(discriminator="rail"),
]


class Policy(BaseModel):
    """The rails of every hop. A hop that is not named has no rails, so all five must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_@+.-]{0,999}$")]
    version: Annotated[int, Field(ge=1)]
    hops: dict[Hop, tuple[Rule, ...]]

    @model_validator(mode="after")
    def _complete(self) -> Policy:
        if missing := set(get_args(Hop)) - set(self.hops):
            raise ValueError(f"no rails for {', '.join(sorted(missing))}")
        for hop, rules in self.hops.items():
            if not rules or len({rule.rail for rule in rules}) != len(rules):
                raise ValueError(f"{hop}: at least one rail, and each one once")
        return self

    @property
    def label(self) -> str:
        """The name and version as verdicts and the audit carry them: "default@1"."""
        return f"{self.name}@{self.version}"


def load(name_or_path: str | Path) -> Policy:
    """Read a policy by its name in `policies/`, or from a YAML file. Raises PolicyError."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if not str(name_or_path).replace("_", "").replace("-", "").isalnum():
            raise PolicyError(f"{str(name_or_path)!r} is neither a policy's name nor a .yaml file.")
        path = _FOLDER / f"{name_or_path}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Policy.model_validate(content)
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.stem for p in _FOLDER.glob("*.yaml")))
        raise PolicyError(f"There is no policy {str(name_or_path)!r}; known policies: {known}.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"The policy {path.name} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "policy"
        raise PolicyError(f"The policy {path.name} is wrong at {place}: {first['msg']}") from error


def tighten(policy: Policy, other: Policy) -> Policy:
    """Join two policies: every rail of either, each at the stricter of its limits.

    The result blocks whatever either blocks: a caller's policy may add, never take away.
    """
    if policy == other:
        return policy
    hops = {hop: _joined(policy.hops[hop], other.hops[hop]) for hop in policy.hops}
    return Policy(name=f"{policy.label}+{other.name}", version=other.version, hops=hops)


def _joined(rules: tuple[Rule, ...], others: tuple[Rule, ...]) -> tuple[Rule, ...]:
    theirs = {rule.rail: rule for rule in others}
    ours = tuple(_stricter(rule, theirs.pop(rule.rail, None)) for rule in rules)
    return ours + tuple(theirs.values())


def _stricter(rule: Rule, other: Rule | None) -> Rule:
    match rule, other:
        case _, None:
            return rule
        case SizeRule(), SizeRule():
            return rule.tightened(other)
        case HiddenUnicodeRule(), HiddenUnicodeRule():
            return rule.tightened(other)
        case OverrideRule(), OverrideRule():
            return rule.tightened(other)
        case ExfiltrationRule(), ExfiltrationRule():
            return rule.tightened(other)
        case SecretsRule(), SecretsRule():
            return rule.tightened(other)
        case PersonalRule(), PersonalRule():
            return rule.tightened(other)
        case GuardModelRule(), GuardModelRule():
            return rule.tightened(other)
        case ClassifierRule(), ClassifierRule():
            return rule.tightened(other)
        case _:
            raise PolicyError(f"two different rails under one name: {rule.rail}")
