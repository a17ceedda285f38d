"""What a rail says: one verdict for each text of a hop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

#: The places where text crosses: what a user asks, what is about to be shelved, what was retrieved,
#: what looking said, and each sentence of an answer before it leaves.
Hop = Literal["question", "document", "evidence", "finding", "answer"]
Decision = Literal["allow", "mask", "block"]
#: Whether a rail's word is heeded, or only written down.
Mode = Literal["enforce", "shadow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one rail said about one text, heeded or not."""

    rail: str
    mode: Mode
    decision: Decision
    #: Why, as a code of the rail; "undecided" where it failed; "" for allow.
    code: str
    #: How sure the rail is, higher is worse; None for rails that do not score.
    score: float | None = None
    #: How long the rail took over all texts of the hop, milliseconds.
    ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A rail's decision about one text. Fail closed: what is undecided is blocked with code "undecided"."""

    hop: Hop
    decision: Decision
    #: The rail that decided; None where every rail allowed.
    rail: str | None
    #: Why, as a code of the rail ("override", "hidden_text", "secret", "undecided", …); "" for allow.
    code: str
    #: The text to go on with: the input, the masked text, or "" where it was blocked.
    text: str
    #: The policy and its version, "default@1".
    policy: str
    #: The score of the rail that decided; None where it gives none.
    score: float | None = None
    #: What rails in shadow would have stopped or masked; none of it was done.
    shadow: tuple[Opinion, ...] = ()
    #: What whoever asked may be told, by language ("en"), where it was blocked.
    refusal: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> Iterator[dict[str, object]]:
        """Yield it for the record: what was done, then what each rail in shadow would have done."""
        here: dict[str, object] = {"policy": self.policy, "hop": self.hop}
        modes: list[tuple[str, Verdict | Opinion]] = [("enforced", self)]
        modes += [("shadow", one) for one in self.shadow]
        for mode, one in modes:
            yield here | {
                "mode": mode,
                "rail": one.rail,
                "code": one.code,
                "decision": one.decision,
                "score": one.score,
            }

    @property
    def allowed(self) -> bool:
        """Whether `text` may go on."""
        return self.decision != "block"
