"""The policy in force for a caller: the house's, tightened by all that a file of the operator's lays upon it.

The server says where a caller stands (tenant, collections, channel); nothing that a caller sends is looked
at, so nothing it sends can loosen anything. Files are looked at before each request: what changed is read,
checked and swapped in as a whole, and where it is wrong the old policies stay in force and `fault` says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import reduce
from pathlib import Path
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field

from guardrails.errors import GuardrailsError, PolicyError
from guardrails.names import by_rules
from guardrails.nemo import Rails
from guardrails.ner import by_model
from guardrails.policy import ClassifierRule, HostedRule, Policy, beside, read, tighten, weaknesses
from guardrails.records import Hop, Verdict
from guardrails.vault import Vault
from guardrails.yaml_files import read_as

_LOG = logging.getLogger(__name__)
#: A file younger than this may still be being written: half a list of rules is a valid, looser file.
_SETTLED_S = 0.5
#: Between two tries at files that are wrong.
_RETRIED_S = 2.0
#: Places remembered, and rails kept for them.
_REMEMBERED = 256

Pattern = Annotated[str, Field(min_length=1, max_length=200)]
#: What is known of a file: None where there is none.
_Seen = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a caller stands, as the server knows it."""

    tenant: str
    #: The collections that the caller may read, or the one that is written to.
    collections: tuple[str, ...]
    #: The door: "http", "cli", "ingest", "slack:C0123"; "" is not known, and every channel's rule applies.
    channel: str = ""


class Assignment(BaseModel):
    """One rule of the file: this policy applies too, where all that is named fits (`*`: anything)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: Annotated[str, Field(min_length=1)]
    tenant: Pattern = "*"
    collection: Pattern = "*"
    channel: Pattern = "*"

    def applies(self, place: Place) -> bool:
        """Say whether the place is one that the rule names; case does not matter."""
        return (
            _fits(place.tenant, self.tenant)
            and (self.collection == "*" or any(_fits(one, self.collection) for one in place.collections))
            and (not place.channel or _fits(place.channel, self.channel))
        )


class Assignments(BaseModel):
    """The file `policies.yaml`: which policies apply where, beside the house's, which applies everywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=1, le=1)]
    rules: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Everything as read at one moment."""

    house: Policy
    rules: tuple[tuple[Assignment, Policy], ...]
    files: tuple[Path, ...]
    seen: tuple[_Seen, ...] = ()
    #: Of all policies together: who asks is not known to a model.
    hosted: HostedRule
    #: Rails by the places in `rules` of what applies.
    rails: dict[tuple[int, ...], Rails] = field(default_factory=dict)
    #: The same, with the document's classifier at the evidence.
    warier: dict[tuple[int, ...], Rails] = field(default_factory=dict)

    def applying(self, place: Place) -> tuple[int, ...]:
        return tuple(n for n, (rule, _) in enumerate(self.rules) if rule.applies(place))

    def joined(self, applying: Sequence[int]) -> Policy:
        policy = self.house
        joined = [self.house]
        for number in applying:
            if (other := self.rules[number][1]) not in joined:
                policy = tighten(policy, other)
                joined.append(other)
        return policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Rails as one caller meets them: the policy in force where it stands, and its name on the record."""

    rails: Rails
    who: str
    trace: str = ""
    groups: tuple[str, ...] = ()
    #: Told every verdict, for the trace of the request.
    heard: Callable[[Sequence[Verdict]], object] = lambda verdicts: None

    async def screen(self, hop: Hop, texts: Sequence[str], *, released: str = "") -> tuple[Verdict, ...]:
        """Judge each text; see Rails."""
        verdicts = await self.rails.screen(
            hop, texts, released=released, who=self.who, trace=self.trace, groups=self.groups
        )
        self.heard(verdicts)
        return verdicts

    @property
    def least(self) -> tuple[float, float]:
        """Word support and confidence that a sentence must have at least, each in [0, 1]."""
        rule = self.rails.policy.grounded
        return rule.min_word_support, rule.min_confidence

    def grounded(self, text: str, lack: str) -> Verdict:
        """Put on record what verifying said of a sentence; see Rails."""
        verdict = self.rails.grounded(text, lack, who=self.who, trace=self.trace)
        self.heard([verdict])
        return verdict


class Effective:
    """Gives every caller the rails of the strictest policy that applies."""

    def __init__(
        self,
        house: str,
        assignments: Path | None,
        *,
        rails: Callable[[Policy], Rails],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read all files and build the rails of every policy in them. Raises PolicyError.

        `assignments` may be missing until it is there for the first time; from then on it must stay.
        """
        self._name, self._assignments, self._clock = house, assignments, clock
        self._had_assignments = False
        self._first: Rails | None = None
        self._rails = rails
        self._refused: tuple[_Seen, ...] | None = None
        self._again = 0.0
        self._met: dict[Place, Policy] = {}
        self.fault: str | None = None
        #: Whether the shelf holds what was judged by another policy or model: evidence is read by the
        #: document's classifier too until it is judged again.
        self.is_behind = False
        self._held = self._read()

    @property
    def label(self) -> str:
        """The house's policy and how many rules tighten it: "default@1, 2 rules tighten it"."""
        many = len(self._held.rules)
        told = {0: "", 1: ", 1 rule tightens it"}.get(many, f", {many} rules tighten it")
        return self._held.house.label + told

    def policy(self, place: Place) -> Policy:
        """Return the policy in force at a place."""
        held = self._current()
        return held.joined(held.applying(place))

    def rails(self, place: Place) -> Rails:
        """Return the rails of the policy in force at a place; they stay the same for whoever holds them."""
        held = self._current()
        applying = held.applying(place)
        kept = held.rails if not self.is_behind else held.warier
        if applying not in kept:
            if len(kept) >= _REMEMBERED:
                kept.clear()
            policy = held.joined(applying)
            kept[applying] = self._built(_warier(policy) if self.is_behind else policy)
        if place not in self._met:
            self._met[place] = held.joined(applying)
            while len(self._met) > _REMEMBERED:
                del self._met[next(iter(self._met))]
        return kept[applying]

    def rails_for(
        self,
        *,
        tenant: str,
        collections: tuple[str, ...],
        channel: str,
        trace: str = "",
        groups: tuple[str, ...] = (),
        heard: Callable[[Sequence[Verdict]], object] = lambda verdicts: None,
    ) -> Bound:
        """Return the rails for one request of a caller, who goes on record as "tenant/channel"."""
        place = Place(tenant=tenant, collections=collections, channel=channel)
        return Bound(
            rails=self.rails(place), who=f"{tenant}/{channel}", trace=trace, groups=groups, heard=heard
        )

    def vault(self) -> Vault:
        """Return an empty vault for what a model of somebody else's is asked.

        It masks what any policy of the house wants masked: who asks is not known to a model.
        """
        hosted = self._current().hosted
        return Vault(frozenset(hosted.kinds), names=by_model() if hosted.names == "model" else by_rules)

    def sends_pictures(self) -> bool:
        """Say whether a model of somebody else's may see pictures, which cannot be masked."""
        return self._current().hosted.pictures == "send"

    def _current(self) -> _Held:
        """Look whether a file changed; take the change as a whole or not at all."""
        held, seen = self._held, _look(self._held.files)
        if seen == held.seen:
            self.fault = self._refused = None
            return held
        # What was refused is tried again at times: what mends it may be a file that is not looked at yet.
        if (seen == self._refused and self._clock() < self._again) or self._is_fresh(seen):
            return held
        try:
            fresh = self._read()
        except (GuardrailsError, ValueError) as error:
            detail = error.detail if isinstance(error, GuardrailsError) else type(error).__name__
            if detail != self.fault:
                _LOG.error("the policies that were in force stay in force: %s", detail)
            self._refused, self._again, self.fault = seen, self._clock() + _RETRIED_S, detail
            return held
        self._held, self.fault, self._refused = fresh, None, None
        self._tell(fresh)
        return fresh

    def _is_fresh(self, seen: Sequence[_Seen]) -> bool:
        newest = max((one[0] for one in seen if one is not None), default=0) / 1e9
        return 0 <= self._clock() - newest < _SETTLED_S

    def _tell(self, fresh: _Held) -> None:
        """Say what is in force now; a loosening is the operator's right, and never silent."""
        _LOG.info("policies in force: %s", self.label)
        for place, before in self._met.items():
            after = fresh.joined(fresh.applying(place))
            if weaker := weaknesses(after, before):
                _LOG.warning(
                    "the policy of %s/%s is weaker than it was: %s",
                    place.tenant,
                    place.channel,
                    "; ".join(weaker),
                )
        self._met.clear()

    def _read(self) -> _Held:
        """Read everything and build the rails of it. Raises PolicyError."""
        files: tuple[Path, ...] = ()
        for _ in range(3):
            before = _look(files)
            house, own = read(self._name)
            rules, named = self._assigned()
            if (found := (*own, *named)) == files and _look(files) == before:
                break
            files = found
        else:
            raise PolicyError("The policy files changed while they were being read.")
        for hop in get_args(Hop):
            if all(rule.mode == "shadow" for rule in house.hops[hop]):
                raise PolicyError(
                    f"The house's policy {house.label} stops nothing at the hop {hop}: all is in shadow. "
                    "Name one that acts, and put the one in shadow into policies.yaml beside it."
                )
        hosted = reduce(HostedRule.tightened, (policy.hosted for _, policy in rules), house.hosted)
        held = _Held(house=house, rules=rules, files=files, seen=before, hosted=hosted)
        if hosted.names == "model":
            by_model()
        for applying in ((), *((number,) for number in range(len(rules)))):
            held.rails[applying] = self._built(held.joined(applying))
        return held

    def _assigned(self) -> tuple[tuple[tuple[Assignment, Policy], ...], tuple[Path, ...]]:
        path = self._assignments
        if path is None:
            return (), ()
        try:
            written = read_as(Assignments, path, what="file of policies")
        except FileNotFoundError as error:
            if self._had_assignments:
                raise PolicyError(
                    f"{path.name} is gone; to lift its rules, write `rules: []` into it."
                ) from error
            return (), (path,)
        rules, files = [], [path]
        for number, rule in enumerate(written.rules, start=1):
            try:
                policy, own = read(beside(rule.policy, path))
            except PolicyError as error:
                raise PolicyError(f"Rule {number} of {path.name}: {error.detail}") from error
            rules.append((rule, policy))
            files += own
        self._had_assignments = True
        return tuple(rules), tuple(dict.fromkeys(files))

    def _built(self, policy: Policy) -> Rails:
        if self._first is None:
            self._first = self._rails(policy)
            return self._first
        return self._first.under(policy)


def _warier(policy: Policy) -> Policy:
    """Let the document's classifier read the evidence too."""
    evidence = policy.hops["evidence"]
    own = {rule.mode for rule in evidence if isinstance(rule, ClassifierRule)}
    more = [r for r in policy.hops["document"] if isinstance(r, ClassifierRule) and r.mode not in own]
    return policy.model_copy(update={"hops": {**policy.hops, "evidence": (*evidence, *more)}})


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())


def _look(files: Sequence[Path]) -> tuple[_Seen, ...]:
    return tuple(map(_seen, files))


def _seen(path: Path) -> _Seen:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino
