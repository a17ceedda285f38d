"""How often a method of Slack may be called: below the published rates, and silent where Slack says wait.

A bucket of a quarter of the minute's requests, refilled at three quarters of the rate, never lets more than
the rate through in any minute. After a 429 nothing is sent to that method until its `Retry-After` is over.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import anyio

from api.slack.errors import Busy

#: Requests a minute and workspace: docs.slack.dev/apis/web-api/rate-limits, November 2026.
RATES: Mapping[str, int] = MappingProxyType(
    {
        "chat.startStream": 20,
        "chat.stopStream": 20,
        "chat.appendStream": 100,
        "chat.postMessage": 60,
        "chat.postEphemeral": 100,
        "users.info": 100,
        "users.list": 20,
        "conversations.members": 100,
        "views.open": 100,
        "files.getUploadURLExternal": 100,
        "files.completeUploadExternal": 100,
    }
)
#: Of every method that is not named.
OTHERS = 50
#: Below it a clock need not move at all.
_TICK_S = 0.001


class Pace:
    """The rates of one workspace, as one process sees them."""

    def __init__(
        self,
        *,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._share, self._clock, self._sleep = share, clock, sleep
        #: Per method: tokens left, when they were counted, and until when Slack wants silence.
        self._tokens: dict[str, tuple[float, float]] = {}
        self._silent_until: dict[str, float] = {}

    async def turn(self, method: str, *, patient: bool) -> None:
        """Wait for a turn. Raises Busy where it is not there at once and the caller is not patient."""
        while (wait_s := self._take(method)) > 0:
            if not patient:
                raise Busy(f"It is not yet time for another {method}.", retry_after_s=wait_s)
            await self._sleep(max(wait_s, _TICK_S))

    def silence(self, method: str, *, for_s: float) -> None:
        """Send nothing to a method for a while."""
        until = self._clock() + for_s
        self._silent_until[method] = max(until, self._silent_until.get(method, 0.0))

    def _take(self, method: str) -> float:
        """Take a token; return 0, or the seconds until there may be one."""
        now = self._clock()
        if (silent := self._silent_until.get(method, 0.0)) > now:
            return silent - now
        rate = RATES.get(method, OTHERS) * self._share
        most, per_s = max(1.0, rate / 4), rate * 0.75 / 60
        left, at = self._tokens.get(method, (most, now))
        left = min(most, left + (now - at) * per_s)
        if left < 1:
            self._tokens[method] = (left, now)
            return (1 - left) / per_s
        self._tokens[method] = (left - 1, now)
        return 0.0
