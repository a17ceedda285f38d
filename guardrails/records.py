"""What a rail says: one verdict for each text of a hop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: The places where text crosses: what a user asks, what is about to be shelved, what was retrieved,
#: what looking said, and each sentence of an answer before it leaves.
Hop = Literal["question", "document", "evidence", "finding", "answer"]
Decision = Literal["allow", "mask", "block"]


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

    @property
    def allowed(self) -> bool:
        """Whether `text` may go on."""
        return self.decision != "block"
