"""How many requests a model server gets at once, and who goes first.

Too few leave it idle, too many queue up inside it, where a person's question then waits behind a batch. So
the queue is kept here: people go ahead of batches, and batches only fill what people leave of the width that
`Width` finds. People are held back by a hard bound alone.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import log
from typing import Literal

from ingest.turns import Urgency

Outcome = Literal["well", "overloaded", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a server says of itself."""

    running: float
    waiting: float
    #: Requests that were thrown out of memory again, ever: more of them means thrashing.
    preempted: float = 0.0


_GAUGE = re.compile(
    r"^vllm:(num_requests_running|num_requests_waiting|num_preemptions(?:_total)?)"
    r"(?:\{[^}]*\})? ([-+.\deE]+)",
    re.M,
)


def read_load(metrics: str) -> Load | None:
    """Read vLLM's `/metrics`, summed over its engines; None where they are another server's."""
    found: dict[str, float] = {}
    for name, value in _GAUGE.findall(metrics):
        found[name] = found.get(name, 0.0) + float(value)
    if not {"num_requests_running", "num_requests_waiting"} <= found.keys():
        return None
    return Load(
        running=found["num_requests_running"],
        waiting=found["num_requests_waiting"],
        preempted=found.get("num_preemptions_total", found.get("num_preemptions", 0.0)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Epoch:
    """What a stretch of requests at one width took, on average."""

    width: float
    seconds: float

    @property
    def throughput(self) -> float:
        return self.width / self.seconds


#: Requests that an epoch lasts at least, growing and grown. The mean of 24 is known to 5 % where single ones
#: vary by 25 %.
_GROWING_EPOCH, _EPOCH = 8, 24
#: Epochs remembered, and how fast they lose weight.
_REMEMBERED, _FADING = 24, 0.92
#: How the width grows while growing pays, alone and with people, and the share of a growth that must come
#: back as throughput.
_GROWTH, _GROWTH_WITH_PEOPLE, _PAYS = 2.0, 1.5, 0.5
#: How the width goes on where every epoch so far queued, by how often in a row, or where none did.
_SHRINK, _WIDEN = (0.85, 0.7, 0.5), 1.35
#: Requests that are let queue inside the server: fewer and it idles between an answer and the next question.
_QUEUED, _QUEUED_WITH_PEOPLE = 2.5, 0.75
#: A narrower width is tried every so many epochs, which tells an idle server from a full one; it is tried
#: more often with people, for whom the queue inside the server must be short.
_NARROW_EVERY, _NARROW_EVERY_WITH_PEOPLE, _NARROW = 12, 5, 0.85
#: Steps of the search for the knee, and how much it is held to where it was (the squared error of one epoch
#: is about 0.0025).
_STEP, _HOLD = 1.03, 0.02
#: What an overloaded or thrashing server leaves of the width.
_BACK_OFF = 0.7


class Width:
    """Finds how many requests at once fill a server, from how long they take.

    Up to a knee requests take as long as ever; beyond it they queue, and take longer in proportion to their
    number. First the width grows for as long as that pays. Then the knee is fitted to the mean times of the
    last epochs at their widths: pooled, because no single mean is good enough to steer by (a step of one in
    sixteen is 6 %, the mean of 24 is known to 5 %). A server that tells its load is believed instead.
    """

    def __init__(self, *, least: int, first: int, most: int) -> None:
        self.width = float(min(max(first, least), most))
        self.epoch = 0
        #: Whether somebody waits for answers, which makes a queue inside the server dearer.
        self.people = False
        self._least, self._most = least, most
        self._seconds: list[float] = []
        self._busy: list[int] = []
        self._history: deque[_Epoch] = deque(maxlen=_REMEMBERED)
        self._growing = True
        self._knee = self.width
        self._since_narrow = self._shrunk = 0
        self._preempted = 0.0
        self._told = self._filled = False

    def done(self, *, epoch: int, seconds: float, busy: int) -> None:
        """Count a request of an epoch; `busy` is how many ran when it was sent."""
        if epoch != self.epoch or self._told:
            return
        self._seconds.append(seconds)
        self._busy.append(busy)
        short = self._growing and not self.people
        if len(self._seconds) >= (
            max(_GROWING_EPOCH, self.width) if short else max(_EPOCH, 1.5 * self.width)
        ):
            self._judge()

    def overloaded(self, *, epoch: int) -> None:
        """Back off after a refusal, once for all that were sent in the same epoch."""
        if epoch == self.epoch:
            self._growing = False
            self._knee = self.width * _BACK_OFF
            self._history.clear()
            self._set(self._knee)

    def untold(self) -> None:
        """Go by the time that requests take: the server tells its load no more."""
        self._told = False

    def told(self, load: Load, *, busy: int) -> None:
        """Believe a server that tells its queue: one waiting request keeps it full, more only wait."""
        self._told = True
        thrashing, self._preempted = load.preempted > self._preempted > 0, load.preempted
        if thrashing:
            self._set(self.width * _BACK_OFF)
        elif load.waiting > 1:
            self._filled = True
            # The asking request has not been sent, so it is not among those that the server counts.
            self._set(min(self.width, busy - load.waiting))
        elif load.waiting < 1 and busy >= int(self.width):
            self._set(self.width + (1 if self._filled else self.width / 2))

    def _judge(self) -> None:
        now = _Epoch(width=sum(self._busy) / len(self._busy), seconds=sum(self._seconds) / len(self._seconds))
        if now.width < 0.8 * int(self.width):
            self._set(self.width)  # too little was asked for to learn from
            return
        pays = not self._history or _paid(self._history[-1], now)
        self._history.append(now)
        if self._growing and pays and self.width < self._most:
            self._set(self.width * (_GROWTH_WITH_PEOPLE if self.people else _GROWTH))
            return
        if self._growing:
            self._growing, self._knee = False, min(epoch.width for epoch in list(self._history)[-2:])
        self._knee = self._fitted()
        self._set(self._next())

    def _next(self) -> float:
        self._since_narrow += 1
        if self._since_narrow >= (_NARROW_EVERY_WITH_PEOPLE if self.people else _NARROW_EVERY):
            self._since_narrow = 0
            return self._knee * _NARROW
        widths = [epoch.width for epoch in self._history]
        if self._knee >= 0.98 * max(widths):
            return max(widths) * _WIDEN
        if self._knee <= 1.05 * min(widths):
            self._shrunk += 1
            return min(widths) * _SHRINK[min(self._shrunk, len(_SHRINK)) - 1]
        self._shrunk = 0
        return self._knee + (_QUEUED_WITH_PEOPLE if self.people else _QUEUED)

    def _fitted(self) -> float:
        """Return the knee that explains the epochs best: least squares of the logarithms, newest heaviest."""
        knees, knee = [], float(self._least)
        while knee < self._most:
            knees.append(knee)
            knee *= _STEP
        return min([*knees, float(self._most)], key=self._error)

    def _error(self, knee: float) -> float:
        total = mean = square = 0.0
        for age, epoch in enumerate(reversed(self._history)):
            unqueued = log(epoch.seconds) - max(0.0, log(epoch.width / knee))
            weight = _FADING**age
            total += weight
            mean += weight * unqueued
            square += weight * unqueued**2
        return square - mean**2 / total + _HOLD * log(knee / self._knee) ** 2

    def _set(self, width: float) -> None:
        """Begin an epoch at a width."""
        self.width = min(max(width, self._least), self._most)
        self.epoch += 1
        self._seconds, self._busy = [], []


def _paid(narrow: _Epoch, wide: _Epoch) -> bool:
    """Say whether the wider width got more done: at least half as much more as it is wider."""
    if wide.width <= narrow.width * 1.02:
        return False
    return log(wide.throughput / narrow.throughput) >= _PAYS * log(wide.width / narrow.width)


#: How often a server is asked for its load, and for how long one that tells none is not asked again.
_LOOK_EVERY_S, _NO_LOOK_S = 1.0, 60.0
#: For how long after a person's last request the queue inside the server is kept short.
_PEOPLE_S = 30.0


class Turn:
    """Leave to send one request."""

    def __init__(self, *, urgency: Urgency, epoch: int, busy: int, since: float) -> None:
        self.urgency = urgency
        self.epoch = epoch
        self.busy = busy
        self.since = since
        #: What became of it; the sender says so.
        self.outcome: Outcome = "lost"
        #: For how long a batch shall not be sent more, where the server said so.
        self.pause_s = 0.0


class Pace:
    """Gives turns: to people at once, in order, and to batches as the server has room.

    `look` asks the server for its load; it returns None where there is nothing to be had.
    """

    def __init__(
        self,
        *,
        least: int = 1,
        first: int = 16,
        most: int = 64,
        look: Callable[[], Awaitable[Load | None]] | None = None,
    ) -> None:
        self.width = Width(least=least, first=first, most=most)
        self._most = most
        self._look = look
        self._look_at = 0.0
        self._busy: dict[Urgency, int] = {"person": 0, "batch": 0}
        self._waiting: dict[Urgency, deque[asyncio.Future[None]]] = {"person": deque(), "batch": deque()}
        self._person_at = float("-inf")
        self._not_before = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> int:
        """Requests under way."""
        return sum(self._busy.values())

    @property
    def waiting(self) -> int:
        """Callers that wait for a turn."""
        return sum(not place.done() for places in self._waiting.values() for place in places)

    @asynccontextmanager
    async def turn(self, urgency: Urgency) -> AsyncGenerator[Turn]:
        """Wait for leave to send a request, and hold it for as long as the request lasts."""
        await self._enter(urgency)
        turn = Turn(urgency=urgency, epoch=self.width.epoch, busy=self.busy, since=_now())
        try:
            if urgency == "batch":
                await self._see_load()
                turn.since = _now()
            yield turn
        finally:
            self._leave(turn)

    async def _enter(self, urgency: Urgency) -> None:
        if urgency == "person":
            self._person_at = _now()
        if not self._queue(urgency) and self._room(urgency):
            self._busy[urgency] += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[urgency].append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._busy[urgency] -= 1  # the turn came in the same moment
                self._wake()
            raise

    def _leave(self, turn: Turn) -> None:
        self._busy[turn.urgency] -= 1
        if turn.urgency == "person":
            self._person_at = _now()
        if turn.outcome == "overloaded":
            self.width.overloaded(epoch=turn.epoch)
            self._not_before = max(self._not_before, _now() + turn.pause_s)
        elif turn.outcome == "well" and turn.urgency == "batch":
            self.width.people = _now() - self._person_at < _PEOPLE_S
            self.width.done(epoch=turn.epoch, seconds=_now() - turn.since, busy=turn.busy)
        self._wake()

    def _room(self, urgency: Urgency) -> bool:
        if urgency == "person":
            return self._busy["person"] < self._most
        return self.busy < int(self.width.width) and not self._queue("person") and not self._held()

    def _queue(self, urgency: Urgency) -> bool:
        return any(not place.cancelled() for place in self._waiting[urgency])

    def _held(self) -> bool:
        """Whether batches keep still because the server asked for it; if so, set the alarm."""
        left = self._not_before - _now()
        if left <= 0:
            return False
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(left, self._ring)
        return True

    def _ring(self) -> None:
        self._alarm = None
        self._wake()

    def _wake(self) -> None:
        for urgency in ("person", "batch"):
            waiting = self._waiting[urgency]
            while waiting and (waiting[0].cancelled() or self._room(urgency)):
                place = waiting.popleft()
                if not place.cancelled():
                    self._busy[urgency] += 1
                    place.set_result(None)

    async def _see_load(self) -> None:
        if self._look is None or _now() < self._look_at:
            return
        self._look_at = _now() + _NO_LOOK_S  # nobody else looks meanwhile
        busy = self.busy
        load = await self._look()
        if load is None:
            self.width.untold()
            return
        self._look_at = _now() + _LOOK_EVERY_S
        self.width.told(load, busy=busy)
        self._wake()


def _now() -> float:
    return asyncio.get_running_loop().time()
