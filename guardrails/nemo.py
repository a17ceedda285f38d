"""NeMo Guardrails around our rails: one call a hop, whatever the number of texts, and every doubt closes.

NeMo carries a ticket, never the text: Colang and its templates would rewrite some texts, and a call costs
10 ms however little it holds. The ticket's texts are judged inside NeMo's action; what NeMo answers about
the ticket must agree with the verdicts left for it, or every text of the call is blocked as "undecided".
Our own TaskGroup runs the rails side by side because NeMo's `parallel` lets a timed-out rail pass.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import secrets
import time
import warnings
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from guardrails.audit import Audit
from guardrails.classifier import Classifier, FirstLook, Scores, Shipped
from guardrails.errors import PolicyError
from guardrails.guard import GuardModel, Judge
from guardrails.names import by_rules
from guardrails.ner import by_model
from guardrails.policy import (
    ClassifierRule,
    ExfiltrationRule,
    GroundedRule,
    GuardModelRule,
    HiddenUnicodeRule,
    OverrideRule,
    PersonalRule,
    Policy,
    Rule,
    ScriptsRule,
    SecretsRule,
    SizeRule,
    TopicsRule,
)
from guardrails.rails import (
    ALLOW,
    Deterministic,
    Exfiltration,
    HiddenUnicode,
    Override,
    Passage,
    Personal,
    Rail,
    Ruling,
    Secrets,
    Size,
)
from guardrails.records import Hop, Mode, Opinion, Verdict
from guardrails.scripts import Scripts
from guardrails.settings import assert_telemetry_off
from guardrails.topics import Embedder, Topics

_LOG = logging.getLogger(__name__)
_CONFIG = Path(__file__).parent / "config"
#: The flows that a ticket goes through: our two and those of NeMo's that call them.
_FLOWS = frozenset(
    (
        "screen what comes in",
        "screen what goes out",
        "process user input",
        "run dialog rails",
        "run input rails",
        "process bot message",
        "run output rails",
    )
)
_UNDECIDED = Ruling(decision="block", code="undecided")
#: What a call may take beyond its rails' own timeouts: NeMo's part, on a busy machine.
_NEMO_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """One text's ruling and the rail that gave it; None where all allowed or nobody decided."""

    ruling: Ruling
    rail: str | None
    #: What rails in shadow would have done.
    shadow: tuple[Opinion, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Call:
    """The texts behind one ticket, the rails of their hop, and what was decided."""

    rails: Sequence[Rail]
    shadow: Sequence[Rail]
    passages: tuple[Passage, ...]
    decided: list[_Decided] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What NeMo says about a ticket: "passed", "modified" or "blocked", and the ticket as it left."""

    status: str
    content: str


class Engine(Protocol):
    """The part of NeMo that is used; the seam for tests of what happens when it errs."""

    async def check(self, hop: Hop, ticket: str) -> Reply:
        """Run the hop's flow over the ticket."""
        ...


class _NoHistory(dict[str, object]):
    """NeMo keeps every message it ever saw (38 MB after 2,000 checks): this dict forgets."""

    def __setitem__(self, key: str, value: object) -> None:
        """Drop the entry."""


class NemoEngine:
    """The installed NeMo Guardrails, with `screen` as the one action of its flows."""

    def __init__(self, screen: Callable[[str], Awaitable[str]]) -> None:
        assert_telemetry_off()
        with warnings.catch_warnings():
            # NeMo 0.24.1 reads its own deprecated field `nim_base_url` while it is built.
            warnings.simplefilter("ignore", DeprecationWarning)
            if _is_loop_running():
                self._build(screen)
            else:
                # It also opens a loop and never closes it where there is none: lend it one.
                asyncio.run(self._build_inside(screen))

    async def _build_inside(self, screen: Callable[[str], Awaitable[str]]) -> None:
        self._build(screen)

    def _build(self, screen: Callable[[str], Awaitable[str]]) -> None:
        # Imported here: 0.6 s and 45 MB that `--help` must not pay, and only after the assertion.
        from nemoguardrails import LLMRails, RailsConfig
        from nemoguardrails.actions.rail_outcome import RailOutcome, TransformTarget
        from nemoguardrails.rails.llm.options import RailType

        async def outcome(ticket: str = "") -> RailOutcome:
            ballot = await screen(ticket)
            if ballot == ticket:
                return RailOutcome.allow()
            if not ballot:
                return RailOutcome.block()
            return RailOutcome.transform(
                [(TransformTarget.USER_MESSAGE, ballot), (TransformTarget.BOT_MESSAGE, ballot)]
            )

        # NeMo logs what an action raised with its traceback, and a message may quote the text.
        logging.getLogger("nemoguardrails.actions.action_dispatcher").setLevel(logging.CRITICAL)
        self._rails = LLMRails(RailsConfig.from_path(str(_CONFIG)))
        self._rails.events_history_cache = _NoHistory()
        # NeMo loads its whole library, asked for or not, and looks through all of it at every event: these 90
        # flows are a sixth of a call. Were one of them wanted after all, the call would fail and so close.
        flows = self._rails.runtime.flow_configs
        if not flows.keys() >= _FLOWS:
            raise PolicyError(
                "This NeMo Guardrails names its flows otherwise: install the version that is pinned."
            )
        for name in flows.keys() - _FLOWS:
            del flows[name]
        self._rails.register_action(outcome, "screen")
        self._incoming, self._outgoing = RailType.INPUT, RailType.OUTPUT

    async def check(self, hop: Hop, ticket: str) -> Reply:
        """Run the hop's flow over the ticket: answers go out, all else comes in."""
        if hop == "answer":
            messages = [{"role": "user", "content": "-"}, {"role": "assistant", "content": ticket}]
            result = await self._rails.check_async(messages, rail_types=[self._outgoing])
        else:
            result = await self._rails.check_async(
                [{"role": "user", "content": ticket}], rail_types=[self._incoming]
            )
        return Reply(status=str(result.status.value), content=str(result.content))


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Rails:
    """Screens texts under one policy. Build it once; it is safe to use from many tasks at a time."""

    def __init__(
        self,
        policy: Policy,
        *,
        judge: Judge | None = None,
        embedder: Callable[[], Embedder] | None = None,
        scores: Scores | None = None,
        audit: Audit | None = None,
        rail_timeout_s: float = 5.0,
        rails: dict[Hop, Sequence[Rail]] | None = None,
        engine: Callable[[Callable[[str], Awaitable[str]]], Engine] = NemoEngine,
    ) -> None:
        """Build the rails of `policy` (or take `rails` as given) and NeMo around them.

        `embedder` is called when a policy names topics; `scores` stands in for the shipped classifier, one
        for all hops and policies. Raises TelemetryOn, and PolicyError where the policy wants what there is
        not: a guard model without a judge, topics without an embedder.
        """
        shipped = Shipped()
        self._built = partial(_built, judge=judge, embedder=embedder, scores=scores or shipped, sieve=shipped)
        self._shipped = shipped
        self._take(policy, rails)
        self._audit = audit
        self._rail_timeout_s = rail_timeout_s
        self._calls: dict[str, _Call] = {}
        self._engine = engine(self._judge_call)

    def _take(self, policy: Policy, rails: dict[Hop, Sequence[Rail]] | None = None) -> None:
        self.policy = policy
        self._rails = rails or {hop: self._of(rules, "enforce") for hop, rules in policy.hops.items()}
        self._shadow = {hop: self._of(rules, "shadow") for hop, rules in policy.hops.items()}

    def _of(self, rules: Sequence[Rule], mode: Mode) -> Sequence[Rail]:
        return tuple(self._built(rule) for rule in rules if rule.mode == mode and rule.rail != "grounded")

    def stamp(self, hop: Hop) -> str:
        """Name what a verdict of a hop rests on: "default@2 3f2a9c0d1e4b classifier-2".

        Another stamp, another verdict perhaps. Raises ClassifierUnfit where the classifier cannot be told.
        """
        rules = self.policy.hops.get(hop, ())
        models = [self._shipped.version] if any(isinstance(rule, ClassifierRule) for rule in rules) else []
        return " ".join([self.policy.label, self.policy.digest(hop), *models])

    def under(self, policy: Policy) -> Rails:
        """Return rails of another policy around the same NeMo, which takes half a second to build.

        Raises PolicyError where the policy wants what there is not.
        """
        other = copy.copy(self)
        other._take(policy)
        return other

    async def screen(
        self,
        hop: Hop,
        texts: Sequence[str],
        *,
        released: str = "",
        who: str = "",
        trace: str = "",
        groups: Collection[str] = (),
    ) -> tuple[Verdict, ...]:
        """Return one verdict for each text, in order.

        `released` is what the reader of an answer already has, with the blanks that part it from the new
        sentence: rails see both together, the verdict's text is the new sentence alone. `groups` are those of
        whoever will read it. Never raises but
        for cancellation; whatever else happens, what is undecided is blocked.
        """
        if not texts:
            return ()
        verdicts = tuple(self._verdict(hop, _Decided(ruling=_UNDECIDED, rail=None), "") for _ in texts)
        try:
            decided = await self._decide(
                hop, tuple(Passage(text=text, released=released, groups=frozenset(groups)) for text in texts)
            )
            answers = tuple(self._verdict(hop, one, text) for one, text in zip(decided, texts, strict=True))
            if self._audit:
                self._audit.record(texts, answers, who=who, trace=trace)
            verdicts = answers
        except Exception as error:  # the one place: whatever it is, the texts stay where they are
            _LOG.error("%s: %d texts undecided: %s", hop, len(texts), _kinds(error))
        return verdicts

    async def _decide(self, hop: Hop, passages: tuple[Passage, ...]) -> Sequence[_Decided]:
        """Have NeMo judge the passages; believe the verdicts only as far as its answer bears them out."""
        shadow = self._shadow.get(hop, ())
        ticket, call = (
            f"t{secrets.token_hex(16)}",
            _Call(rails=self._rails[hop], shadow=shadow, passages=passages),
        )
        self._calls[ticket] = call
        rails = len(self._rails[hop]) + bool(shadow)
        try:
            async with asyncio.timeout(self._rail_timeout_s * (rails + 1) + _NEMO_TIMEOUT_S):
                reply = await self._engine.check(hop, ticket)
        finally:
            del self._calls[ticket]
        if len(call.decided) != len(passages) or not _agrees(reply, ticket, call.decided):
            _LOG.error("%s: NeMo's %r does not bear out %d verdicts", hop, reply.status, len(call.decided))
            return [_Decided(ruling=_UNDECIDED, rail=None)] * len(passages)
        return call.decided

    async def _judge_call(self, ticket: str) -> str:
        """NeMo's action: judge the ticket's texts, return the ballot that NeMo is to bring back."""
        call = self._calls[ticket]
        async with asyncio.TaskGroup() as group:
            heeded = group.create_task(self._judge(call.rails, call.passages))
            aside = group.create_task(self._opinions(call.shadow, call.passages, "shadow"))
        call.decided = [
            replace(one, shadow=tuple(o for o in opinions if o.decision != "allow"))
            for one, opinions in zip(heeded.result(), aside.result(), strict=True)
        ]
        return _ballot(ticket, call.decided)

    def grounded(self, text: str, lack: str, *, who: str = "", trace: str = "") -> Verdict:
        """Put on record what verifying said of a sentence: `lack` is what it lacks, "" for nothing.

        What cannot be put on record does not stand.
        """
        ruling = Ruling(decision="block", code=lack) if lack else ALLOW
        verdict = self._verdict("answer", _Decided(ruling=ruling, rail="grounded" if lack else None), text)
        try:
            if self._audit:
                self._audit.record([text], [verdict], who=who, trace=trace)
        except OSError as error:
            _LOG.error("grounded: a sentence undecided: %s", type(error).__name__)
            return self._verdict("answer", _Decided(ruling=_UNDECIDED, rail=None), "")
        return verdict

    async def explain(self, hop: Hop, text: str) -> tuple[Opinion, ...]:
        """Ask every rail of a hop about one text, one after the other, and return what each said.

        Rewriting rails see the text as it came. A rail that fails is "undecided", and blocks.
        """
        found: list[Opinion] = []
        modes: tuple[tuple[Mode, Sequence[Rail]], ...] = (
            ("enforce", self._rails[hop]),
            ("shadow", self._shadow.get(hop, ())),
        )
        for mode, rails in modes:
            for rail in rails:
                (opinions,) = await self._opinions([rail], [Passage(text=text)], mode)
                found += opinions
        return tuple(found)

    async def _opinions(
        self, rails: Sequence[Rail], passages: Sequence[Passage], mode: Mode
    ) -> list[tuple[Opinion, ...]]:
        """Return for each passage what each rail says; none can fail, and none is heeded here."""
        tasks = [asyncio.create_task(self._timed(rail, passages)) for rail in rails]
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
        columns = [
            [_opinion(rail, ruling, mode, ms) for ruling in rulings]
            for rail, task in zip(rails, tasks, strict=True)
            for rulings, ms in [
                task.result()
                if not task.cancelled() and task.exception() is None
                else ([_UNDECIDED] * len(passages), self._rail_timeout_s * 1000)
            ]
        ]
        return [tuple(column[place] for column in columns) for place in range(len(passages))]

    async def _timed(self, rail: Rail, passages: Sequence[Passage]) -> tuple[Sequence[Ruling], float]:
        start = time.perf_counter()
        rulings = await self._closing(rail, passages)
        return rulings, (time.perf_counter() - start) * 1000

    async def _judge(self, rails: Sequence[Rail], passages: tuple[Passage, ...]) -> list[_Decided]:
        """Run what blocks side by side, then what rewrites one after another on what is left."""
        blocking = [rail for rail in rails if not rail.rewrites]
        decided = [_Decided(ruling=ALLOW, rail=None)] * len(passages)
        for rail, rulings in zip(blocking, await self._rulings(blocking, passages), strict=True):
            decided = [_first_block(*pair, rail.name) for pair in zip(decided, rulings, strict=True)]
        for rail in rails:
            if rail.rewrites:
                decided = await self._rewritten(rail, decided, passages)
        return decided

    async def _rewritten(
        self, rail: Rail, decided: list[_Decided], passages: tuple[Passage, ...]
    ) -> list[_Decided]:
        """Let one rewriting rail have the texts that still stand, as the last one left them."""
        left = [i for i, one in enumerate(decided) if one.ruling.decision != "block"]
        now = [
            Passage(
                text=decided[i].ruling.text if decided[i].ruling.decision == "mask" else passages[i].text,
                released=passages[i].released,
                groups=passages[i].groups,
            )
            for i in left
        ]
        if not left:
            return decided
        after = list(decided)
        (rulings,) = await self._rulings([rail], now)
        for i, ruling in zip(left, rulings, strict=True):
            if ruling.decision != "allow":
                after[i] = _Decided(ruling=ruling, rail=rail.name)
        return after

    async def _rulings(self, rails: Sequence[Rail], passages: Sequence[Passage]) -> list[Sequence[Ruling]]:
        """Let rails rule side by side, each in its own task: one that cancels that is no caller leaving."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._closing(rail, passages)) for rail in rails]
        if any(task.cancelled() for task in tasks):
            raise RuntimeError("a rail cancelled itself")
        return [task.result() for task in tasks]

    async def _closing(self, rail: Rail, passages: Sequence[Passage]) -> Sequence[Ruling]:
        """Return the rail's rulings; raise if it is late, or says too little or something unheard of."""
        with _Named(rail.name):
            async with asyncio.timeout(self._rail_timeout_s) as limit:
                rulings = await _unless_it_cancels_itself(rail, passages)
            if limit.expired():  # it swallowed its cancellation and ruled too late
                raise TimeoutError
            if len(rulings) != len(passages) or not all(_is_lawful(rail, ruling) for ruling in rulings):
                raise ValueError("rulings out of order")
        return rulings

    def _verdict(self, hop: Hop, decided: _Decided, text: str) -> Verdict:
        ruling = decided.ruling
        left = {"allow": text, "mask": ruling.text, "block": ""}[ruling.decision]
        return Verdict(
            hop=hop,
            decision=ruling.decision,
            rail=decided.rail,
            code=ruling.code,
            text=left,
            policy=self.policy.label,
            score=None if ruling.decision == "allow" else ruling.score,
            shadow=decided.shadow,
            refusal=self.policy.words(ruling.code) if ruling.decision == "block" else {},
        )


def _opinion(rail: Rail, ruling: Ruling, mode: Mode, ms: float) -> Opinion:
    return Opinion(
        rail=rail.name,
        mode=mode,
        decision=ruling.decision,
        code=ruling.code,
        score=ruling.score,
        ms=round(ms, 3),
    )


def _kinds(error: BaseException) -> str:
    """Name what went wrong by type alone; of a group, each of its kinds."""
    if not isinstance(error, BaseExceptionGroup):
        return type(error).__name__
    return ", ".join(sorted({_kinds(one) for one in error.exceptions}))


class _Named:
    """Logs which rail failed and how, by type alone, and lets the failure through."""

    def __init__(self, rail: str) -> None:
        self._rail = rail

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Log a failure."""
        if error is not None and not isinstance(error, asyncio.CancelledError):
            _LOG.error("rail %s failed: %s", self._rail, _kinds(error))


async def _unless_it_cancels_itself(rail: Rail, passages: Sequence[Passage]) -> Sequence[Ruling]:
    """Judge; a CancelledError that nobody asked for is the rail's failure, not the caller leaving."""
    try:
        return await rail.judge(passages)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        raise RuntimeError(f"{rail.name} cancelled itself") from None


def _is_lawful(rail: Rail, ruling: Ruling) -> bool:
    match ruling.decision:
        case "allow":
            return True
        case "block":
            return bool(ruling.code)
        case "mask":
            return rail.rewrites and bool(ruling.code)
        case _:
            return False


def _first_block(decided: _Decided, ruling: Ruling, rail: str) -> _Decided:
    """Keep the first rail's no, in the policy's order."""
    if decided.ruling.decision == "block" or ruling.decision == "allow":
        return decided
    return _Decided(ruling=ruling, rail=rail)


def _ballot(ticket: str, decided: Sequence[_Decided]) -> str:
    """Return what NeMo carries back: the ticket if all passed, "" if none did, else a letter a text."""
    letters = "".join(one.ruling.decision[0] for one in decided)
    match set(letters):
        case only if only == {"a"}:
            return ticket
        case only if only == {"b"}:
            return ""
        case _:
            return f"{ticket}:{letters}"


def _agrees(reply: Reply, ticket: str, decided: Sequence[_Decided]) -> bool:
    """Say whether NeMo's own answer is the one that these verdicts ask for."""
    ballot = _ballot(ticket, decided)
    match reply.status:
        case "passed":
            return ballot == ticket == reply.content
        case "modified":
            return bool(ballot) and ballot != ticket and ballot == reply.content
        case "blocked":
            return not ballot
        case _:
            return False


def _built(
    rule: Rule,
    *,
    judge: Judge | None,
    embedder: Callable[[], Embedder] | None,
    scores: Scores,
    sieve: FirstLook,
) -> Rail:
    """Build the rail that a policy's rule asks for."""
    match rule:
        case SizeRule():
            check = Size(max_chars=rule.max_chars, max_run=rule.max_run, max_lines=rule.max_lines)
            return Deterministic(check)
        case HiddenUnicodeRule():
            return Deterministic(HiddenUnicode(max_interleaved=rule.max_interleaved))
        case OverrideRule():
            return Deterministic(Override(threshold=rule.threshold))
        case ExfiltrationRule():
            return Deterministic(Exfiltration(bare_urls=rule.bare_urls))
        case SecretsRule():
            return Deterministic(Secrets(canaries=rule.canaries, min_entropy=rule.min_entropy))
        case PersonalRule():
            # A model that reads the text is too slow for the event loop.
            reads = rule.names == "model"
            personal = Personal(rule.kinds, groups=rule.groups, names=by_model() if reads else by_rules)
            return Deterministic(personal, inline_chars=0) if reads else Deterministic(personal)
        case GuardModelRule():
            if judge is None:
                raise PolicyError("The policy asks for a guard model, and no model server is set.")
            return GuardModel(judge, allowed=rule.allowed)
        case GroundedRule():
            raise PolicyError("Whether a sentence is grounded is for the agent to say: it has the evidence.")
        case ScriptsRule():
            return Deterministic(Scripts(allowed=rule.allowed, max_foreign=rule.max_foreign))
        case TopicsRule():
            if embedder is None and rule.wants_embedder:
                raise PolicyError(
                    "The policy names topics by example, and there is no embedder to compare with."
                )
            return Topics(
                embedder() if embedder is not None and rule.wants_embedder else None,
                allowed=rule.allowed,
                refused=rule.refused,
                refused_words=rule.refused_words,
                near=rule.near,
                near_refused=rule.near_refused,
            )
        case ClassifierRule():
            return Classifier(
                scores,
                thresholds=rule.thresholds,
                sieve=None if rule.sieve is None else sieve,
                held_from=rule.sieve or 0.0,
            )
