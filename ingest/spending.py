"""What model calls cost, by tenant and purpose: counts and seconds, never a word of what was said."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Protocol

from ingest.reply_stream import Usage
from ingest.turns import Call, Purpose

#: Tenants counted by name. Names come from configured keys, but a counter must not grow without end.
_MOST_TENANTS = 10_000
#: Where the tenants beyond that are counted together.
OTHERS = "(others)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What one tenant spent for one purpose; a single call is a Spend with `calls=1`."""

    tenant: str
    purpose: Purpose
    calls: int = 0
    #: Calls that got no answer, the cancelled ones among them.
    failed: int = 0
    #: Calls that were answered with another's request.
    shared: int = 0
    #: Requests that reached for the server: calls not shared, retries and repeated questions.
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    #: Requests for which the server told no token counts: refused, broken off or left early.
    uncounted: int = 0
    images: int = 0
    #: Seconds of the server's attention, summed over requests, not of waiting for a turn.
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class Bill:
    """What a call has cost so far."""

    call: Call
    images: int
    requests: int = 0
    counted: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    failed: bool = field(default=True)

    def count(self, usage: Usage | None) -> None:
        """Add the tokens that the server told for one request."""
        if usage is not None:
            self.counted += 1
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens

    def spend(self) -> Spend:
        """Return it as one call."""
        return Spend(
            tenant=self.call.tenant,
            purpose=self.call.purpose,
            calls=1,
            failed=int(self.failed),
            requests=self.requests,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            uncounted=self.requests - self.counted,
            images=self.images,
            seconds=self.seconds,
        )


_ADDED = tuple(one.name for one in fields(Spend) if one.name not in {"tenant", "purpose"})


class Ledger(Protocol):
    """Takes note of every call."""

    def note(self, spend: Spend) -> None:
        """Add one call."""
        ...


class Spending:
    """A Ledger in memory."""

    def __init__(self, *, most_tenants: int = _MOST_TENANTS) -> None:
        self._most_tenants = most_tenants
        self._held: dict[tuple[str, Purpose], Spend] = {}
        self._tenants: set[str] = set()

    def note(self, spend: Spend) -> None:
        """Add one call to its tenant and purpose."""
        tenant = self._named(spend.tenant)
        key = tenant, spend.purpose
        held = self._held.get(key, Spend(tenant=tenant, purpose=spend.purpose))
        self._held[key] = replace(
            held, **{name: getattr(held, name) + getattr(spend, name) for name in _ADDED}
        )

    def snapshot(self) -> tuple[Spend, ...]:
        """Return what was spent so far, ordered by tenant and purpose."""
        return tuple(self._held[key] for key in sorted(self._held))

    def _named(self, tenant: str) -> str:
        if tenant not in self._tenants:
            if len(self._tenants) >= self._most_tenants:
                return OTHERS
            self._tenants.add(tenant)
        return tenant
