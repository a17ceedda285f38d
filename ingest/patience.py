"""How long a model server is waited for, when it is asked again, and when it is left alone for a while.

Retries have a budget (a fifth of the requests and a few more): a server that refuses everything then sees
1.2 requests for each question instead of three, which is what keeps an outage from becoming a storm.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from ingest.errors import ModelDown


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds allowed for each phase of a request, and how often it may be repeated."""

    connect_s: float = 5.0
    #: Until the first piece of a stream; it covers the server's queue and its reading of the prompt.
    first_s: float = 120.0
    #: Between two pieces of a stream. Pieces, not bytes: keep-alive comments and a byte a second don't count.
    between_s: float = 60.0
    #: A whole reply, which comes in one piece.
    reply_s: float = 120.0
    #: A whole stream.
    total_s: float = 600.0
    #: Requests beyond the first that one call may cost.
    retries: int = 2
    #: Retries that one request earns.
    retry_share: float = 0.2
    #: The first pause before a retry; it doubles.
    pause_s: float = 0.25
    #: Longest pause before a retry; a server that asks for more is down for this call.
    longest_pause_s: float = 20.0
    #: Failures in a row after which the server is left alone, and the first and longest time for that.
    break_after: int = 5
    break_s: float = 1.0
    longest_break_s: float = 30.0

    @classmethod
    def of(cls, timeout_s: float) -> Patience:
        """Make the patience of one overall timeout."""
        usual = cls()
        return cls(
            connect_s=min(usual.connect_s, timeout_s),
            first_s=timeout_s,
            between_s=min(usual.between_s, timeout_s),
            reply_s=timeout_s,
            total_s=max(usual.total_s, timeout_s),
        )


#: Retries in hand at the start, so that the very first request may be repeated, and the most kept.
_IN_HAND, _MOST_IN_HAND = 2.0, 10.0


class Retries:
    """The budget of retries of one server."""

    def __init__(self, patience: Patience, *, chance: Callable[[], float] = random.random) -> None:
        self._patience = patience
        self._chance = chance
        self._left = _IN_HAND

    def earn(self) -> None:
        """Count a call."""
        self._left = min(_MOST_IN_HAND, self._left + self._patience.retry_share)

    def pause_s(self, down: ModelDown, *, tried: int) -> float | None:
        """Return how long to pause before asking again, or None where the failure is final.

        A server that fell silent is busy or hanging, and more of the same makes it worse. A connection that
        broke after the request was sent may have been broken by the request: that one is repeated once.
        """
        most = {"unreachable": self._patience.retries, "overloaded": self._patience.retries, "broken": 1}
        if tried > min(most.get(down.fault, 0), self._patience.retries) or self._left < 1:
            return None
        pause = self._pause_s(down, tried)
        if pause > self._patience.longest_pause_s:
            return None
        self._left -= 1
        return pause

    def _pause_s(self, down: ModelDown, tried: int) -> float:
        """Jitter upwards of what the server asked for, and downwards of our own doubling pause."""
        if down.retry_in_s is not None:
            return down.retry_in_s + self._chance() * max(self._patience.pause_s, down.retry_in_s / 4)
        return min(
            self._patience.longest_pause_s,
            self._patience.pause_s * 2.0 ** (tried - 1) * (0.5 + self._chance()),
        )


class Breaker:
    """Leaves a server alone after `break_after` failures in a row, longer each time it stays down.

    After the pause one caller may `probe`; the others keep being turned away until it told the outcome.
    """

    def __init__(self, patience: Patience, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._failures = 0.0
        self._pauses = 0
        self._until = 0.0
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether the server is left alone, or was and has not proved itself since."""
        return self._pauses > 0

    def wait_s(self) -> float:
        """Return for how long callers are turned away; 0 where the breaker is closed or wants a probe."""
        if not self.open:
            return 0.0
        return max(self._until - self._clock(), self._patience.break_s if self._probing else 0.0)

    def probing(self) -> None:
        """Let one caller through to find out."""
        self._probing = True

    def gave_up(self) -> None:
        """Forget a probe that was cancelled."""
        self._probing = False

    def well(self) -> None:
        """Count a sign of life: any whole answer, a refusal among them."""
        self._failures, self._pauses = 0.0, 0
        self._probing = False

    def failed(self, weight: float = 1.0) -> None:
        """Count a failure, or a part of one; a failed probe opens the breaker again, for longer."""
        if self.open and not self._probing:
            return  # it was sent before
        self._failures += weight
        if self._failures >= self._patience.break_after or self._probing:
            self._probing = False
            pause = min(self._patience.longest_break_s, self._patience.break_s * 2**self._pauses)
            self._until = self._clock() + pause
            self._pauses += 1
