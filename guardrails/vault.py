"""Masks that can be taken off again: what a model of somebody else's gets to see, and how its reply is read.

The same value always gets the same placeholder ("[phone 2]"), so that the model can still tell people and
numbers apart. A vault lives as long as one request to the model and never leaves the process: it prints no
value and refuses to be copied or stored. What the model garbles is not recognised, and stays masked.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NoReturn

from guardrails import personal
from guardrails.names import Names, by_rules
from guardrails.nearby import put
from guardrails.personal import Kind

#: What a kind is called in a placeholder, for a model to read.
WORDS: dict[Kind, str] = {
    "email": "email",
    "phone": "phone",
    "iban": "iban",
    "card": "card",
    "us_ssn": "security number",
    "ip": "ip address",
    "national_id": "identity number",
    "passport": "passport",
    "driving_licence": "driving licence",
    "birth_date": "birth date",
    "address": "address",
    "person": "person",
    "organisation": "organisation",
}

#: A value this long is masked wherever it stands, also where nothing beside it tells what it is.
_TELLING = 4

_MARK = re.compile(r"\[[a-z ]{2,20} \d+\]")


class Vault:
    """Holds what was masked in one request, by placeholder."""

    __slots__ = ("_counts", "_kinds", "_marks", "_names", "_values")

    def __init__(self, kinds: AbstractSet[Kind], *, names: Names = by_rules) -> None:
        self._kinds, self._names = kinds, names
        self._values: dict[str, str] = {}
        self._marks: dict[tuple[Kind, str], str] = {}
        self._counts: Counter[Kind] = Counter()

    def __repr__(self) -> str:
        """Tell how much it holds, and nothing of it."""
        return f"Vault({len(self._values)} values)"

    def __bool__(self) -> bool:
        """Say whether it holds anything."""
        return bool(self._values)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied, which is how checkpoints, child processes and traces are made."""
        raise TypeError("a vault stays where it is")

    def mask(self, texts: Iterable[str]) -> list[str]:
        """Return the texts with a numbered placeholder in the place of each find.

        All texts of a request go in at once: no placeholder is chosen that any of them already holds.
        """
        texts = list(texts)
        held = {mark for text in texts for mark in _MARK.findall(text)}
        found = [personal.find(text, self._kinds, names=self._names) for text in texts]
        for text, finds in zip(texts, found, strict=True):
            for one in finds:
                self._keep(one.kind, text[one.start : one.end], held)
        # A number that is called a phone in one place is one in the others too.
        known = {value: mark for (_, value), mark in self._marks.items() if len(value) >= _TELLING}
        again = _any_of(known)
        return [
            self._hidden(
                text, finds, {m.span(): known[m.group()] for m in again.finditer(text)} if again else {}
            )
            for text, finds in zip(texts, found, strict=True)
        ]

    def _hidden(
        self, text: str, finds: Sequence[personal.Found], again: Mapping[tuple[int, int], str]
    ) -> str:
        spans = [(one.start, one.end, self._marks[one.kind, text[one.start : one.end]]) for one in finds]
        ends = [one.end for one in finds]
        for (start, end), mark in again.items():
            after = bisect_right(ends, start)
            if after == len(finds) or finds[after].start >= end:
                spans.append((start, end, mark))
        return put(text, sorted(spans))

    def restore(self, text: str) -> str:
        """Return a text with the values put back."""
        return _MARK.sub(lambda match: self._values.get(match.group(), match.group()), text)

    async def restored(self, pieces: AsyncIterator[str]) -> AsyncGenerator[str, None]:
        """Put the values back into a stream, wherever its pieces end; what may become one is held back."""
        waiting = ""
        async for piece in pieces:
            waiting += piece
            at = self._unsure(waiting)
            if told := self.restore(waiting[:at]):
                yield told
            waiting = waiting[at:]
        if waiting:
            yield self.restore(waiting)

    def _unsure(self, text: str) -> int:
        """Return where the end of a text begins that may be the beginning of a placeholder."""
        at = text.rfind("[")
        may_be = at >= 0 and any(key.startswith(text[at:]) and key != text[at:] for key in self._values)
        return at if may_be else len(text)

    def _keep(self, kind: Kind, value: str, held: AbstractSet[str]) -> None:
        """Give a value its mark, unless it has one."""
        if (kind, value) in self._marks:
            return
        while True:
            self._counts[kind] += 1
            mark = f"[{WORDS[kind]} {self._counts[kind]}]"
            if mark not in held:
                break
        self._marks[kind, value] = mark
        self._values[mark] = value


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern of the texts as whole words, longest first; None for no text."""
    longest = sorted(texts, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)") if longest else None
