"""What belongs to a chunk: the rest of its table, else the passages before and after it.

A long table is cut into several chunks, each row with its headers, and may go on over the page; its parts
are told by standing next to each other under the same headers. What is directly above a table stays with it:
there stand its title and its unit ("in millions").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.records import Chunk

#: Share of headers that two neighbouring parts of one table have in common.
_SAME_TABLE = 0.6
#: A table cut into more parts than that is not pulled in whole.
_MAX_PARTS = 8
_HEADER = re.compile(r"\| ([^|\n]*?): ")


def around(chunks: Sequence[Chunk], chunk_id: str) -> list[Chunk]:
    """Return what belongs to one of `chunks` (in reading order), itself included, in reading order.

    [] where it is not among them.
    """
    at = next((place for place, chunk in enumerate(chunks) if chunk.id == chunk_id), None)
    if at is None:
        return []
    first, last = _parts(chunks, at) if chunks[at].kind == "table" else (at, at)
    before = chunks[first - 1 : first] if first > 0 else []
    above = [one for one in before if one.page_no == chunks[first].page_no]
    after = [one for one in chunks[last + 1 : last + 2] if one.page_no == chunks[last].page_no]
    return [*above, *chunks[first : last + 1], *after]


def _parts(chunks: Sequence[Chunk], at: int) -> tuple[int, int]:
    """Return the places of the first and the last part of the table that `chunks[at]` is a part of."""
    first = last = at
    while first > 0 and last - first < _MAX_PARTS and _goes_on(chunks[first - 1], chunks[first]):
        first -= 1
    while last + 1 < len(chunks) and last - first < _MAX_PARTS and _goes_on(chunks[last], chunks[last + 1]):
        last += 1
    return first, last


def _goes_on(one: Chunk, following: Chunk) -> bool:
    """Say whether two neighbours are parts of one table."""
    if one.kind != "table" or following.kind != "table" or following.page_no - one.page_no > 1:
        return False
    ours, theirs = _headers(one), _headers(following)
    if not ours or not theirs:
        return False
    return len(ours & theirs) / len(ours | theirs) >= _SAME_TABLE


def _headers(table: Chunk) -> set[str]:
    return {match.group(1).strip() for match in _HEADER.finditer(table.text)} - {""}
