"""How much a caller may have: requests a minute, tokens and pages a day, bytes on the shelf, answers at once.

By caller (key or person), by the `user` that a client names, and by tenant. Requests are counted in windows
by the library `limits`, in this process or in a store that many share; what is counted by the day stands in
the ledger. A token is four bytes of what was asked and answered: the models' own differ by model.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from api.errors import Busy, RateLimited
from api.house import Shelf
from api.ledger import Ledger, Used
from api.settings import ApiSettings

if TYPE_CHECKING:
    from limits.aio.strategies import FixedWindowRateLimiter

    from api.auth import Identity

_BYTES_A_TOKEN = 4
_WINDOW_S = 60


def tokens_of(*texts: str) -> int:
    """Count the tokens of texts, as the house counts them."""
    return sum(math.ceil(len(text.encode("utf-8", "surrogatepass")) / _BYTES_A_TOKEN) for text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a caller has left of its requests, told with every answer."""

    limit: int
    left: int
    #: Seconds until the window ends.
    reset_s: int

    def headers(self) -> dict[str, str]:
        """Return the RateLimit fields (draft 11) and OpenAI's own."""
        return {
            "ratelimit-policy": f'"requests";q={self.limit};w={_WINDOW_S}',
            "ratelimit": f'"requests";r={self.left};t={self.reset_s}',
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.left),
            "x-ratelimit-reset-requests": f"{self.reset_s}s",
        }


@dataclass(slots=True, eq=False)
class Slot:
    """A place among the answers that are given at once; release it, more than once if need be."""

    _held: Counter[str]
    _who: str
    _open: bool = field(default=True, init=False)

    def release(self) -> None:
        """Give the place back."""
        if self._open:
            self._open = False
            self._held[self._who] -= 1
            if not self._held[self._who]:
                del self._held[self._who]


class Limits:
    """The limits of one house; it counts what this process does and reads what the ledger holds."""

    def __init__(self, settings: ApiSettings, ledger: Ledger, shelf: Shelf) -> None:
        self._settings, self._ledger, self._shelf = settings, ledger, shelf
        self._windows: FixedWindowRateLimiter | None = None
        self._held: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """Number the answers that are being given."""
        return self._held.total()

    async def request(self, who: Identity) -> Rate | None:
        """Count one request of a caller; return the tightest of its limits. Raises RateLimited."""
        settings = self._settings
        each = who.allowance.requests_a_minute or settings.requests_a_minute
        told = await self._hit("caller", who.id, each)
        whole = await self._hit("tenant", who.scope.tenant, settings.tenant_requests_a_minute)
        return min((rate for rate in (told, whole) if rate is not None), key=lambda r: r.left, default=None)

    async def question(self, who: Identity, *, user: str | None = None) -> Slot:
        """Let a caller ask: it has tokens left and a place is free. Raises RateLimited, Busy."""
        settings, allowed = self._settings, who.allowance
        if user is not None:
            await self._hit("user", f"{who.id}/{user}", settings.user_requests_a_minute)
        each = allowed.tokens_a_day or settings.tokens_a_day
        await self._day("tokens", each, who.scope.tenant, who.id)
        await self._day("tokens", settings.tenant_tokens_a_day, who.scope.tenant, None)
        most = allowed.streams or settings.streams_each
        if most is not None and self._held[who.id] >= most:
            raise RateLimited(
                f"You have {most} answers under way, the most at once: wait for one.", after_s=1
            )
        if self.open >= settings.max_streams:
            raise Busy(
                "As many answers are under way as this server gives at once: try again soon.", after_s=2
            )
        self._held[who.id] += 1
        return Slot(self._held, who.id)

    async def answered(self, who: Identity, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Note what an answer came to."""
        used = Used(
            day=self._ledger.today,
            who=who.id,
            requests=1,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
        )
        await self._ledger.note(who.scope.tenant, used)

    async def adding(self, who: Identity, *, size: int) -> None:
        """Let a caller add `size` bytes. Raises RateLimited."""
        settings, allowed, tenant = self._settings, who.allowance, who.scope.tenant
        await self._day("pages", allowed.pages_a_day or settings.pages_a_day, tenant, who.id)
        await self._day("pages", settings.tenant_pages_a_day, tenant, None)
        most = min(
            (n for n in (allowed.storage_bytes, settings.tenant_storage_bytes) if n is not None), default=None
        )
        if most is not None and await self._shelf.stored(tenant=tenant) + size > most:
            raise RateLimited(f"The shelf would hold more than {most} bytes: remove documents first.")

    async def added(self, who: Identity, *, pages: int) -> None:
        """Note the pages that were added."""
        used = Used(day=self._ledger.today, who=who.id, requests=1, pages=pages)
        await self._ledger.note(who.scope.tenant, used)

    async def _hit(self, kind: str, name: str, limit: int | None) -> Rate | None:
        if limit is None:
            return None
        from limits import RateLimitItemPerMinute

        windows = self._counting()
        item = RateLimitItemPerMinute(limit)
        fits = await windows.hit(item, kind, name)
        stats = await windows.get_window_stats(item, kind, name)
        reset_s = max(1, math.ceil(stats.reset_time - time.time()))
        rate = Rate(limit=limit, left=stats.remaining, reset_s=reset_s)
        if not fits:
            whose = {"caller": "You have", "tenant": "Your tenant has", "user": "This user has"}[kind]
            raise RateLimited(
                f"{whose} {limit} requests a minute: wait {reset_s} s.", after_s=reset_s, rate=rate
            )
        return rate

    async def _day(self, what: str, limit: int | None, tenant: str, who: str | None) -> None:
        if limit is None:
            return
        used = await self._ledger.used_today(tenant, who)
        if (used.tokens if what == "tokens" else used.pages) >= limit:
            whose = "Your tenant has" if who is None else "You have"
            raise RateLimited(
                f"{whose} {limit} {what} a day, and they are used up.", after_s=_until_midnight()
            )

    def _counting(self) -> FixedWindowRateLimiter:
        if self._windows is None:
            from limits.aio.strategies import FixedWindowRateLimiter
            from limits.storage import storage_from_string

            storage = storage_from_string(f"async+{self._settings.limits_store}")
            self._windows = FixedWindowRateLimiter(storage)
        return self._windows


def _until_midnight() -> int:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return math.ceil((midnight - now).total_seconds())
