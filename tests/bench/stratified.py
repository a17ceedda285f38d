"""Choose a fixed part of a file of questions, each type with its share, by a seeded rule.

`python tests/bench/stratified.py QUESTIONS.jsonl 48 > ids.txt`, for `pagewarden eval --ids`. Types get
places by largest remainder, one at least; within a type the places are shared by scope; who takes them is
decided by the sha256 of the seed and the id, so that nobody chose.
"""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.questions import Gold, load

_SEED = "48"


def drawn(golds: Sequence[Gold], n: int) -> list[str]:
    """Return `n` ids in the order of their draw within each (type, scope)."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for gold in golds:
        groups[gold.type, gold.scope].append(gold.id)
    places = _shared({key: len(ids) for key, ids in groups.items()}, n)
    return sorted(id_ for key, ids in groups.items() for id_ in sorted(ids, key=_draw)[: places[key]])


def _shared(sizes: Mapping[tuple[str, str], int], n: int) -> dict[tuple[str, str], int]:
    """Share `n` places by size: one each, the rest by largest remainder (n is at least the groups)."""
    total = sum(sizes.values())
    exact = {key: n * size / total for key, size in sizes.items()}
    places = {key: max(1, int(share)) for key, share in exact.items()}
    by_remainder = sorted(sizes, key=lambda key: (places[key] - exact[key], key))
    for key in by_remainder[: max(0, n - sum(places.values()))]:
        places[key] += 1
    for key in reversed(by_remainder):
        if sum(places.values()) > n and places[key] > 1:
            places[key] -= 1
    return places


def _draw(id_: str) -> str:
    return hashlib.sha256(f"{_SEED}/{id_}".encode()).hexdigest()


if __name__ == "__main__":
    wanted = int(sys.argv[2])
    print(f"# stratified.py, seed {_SEED}: {wanted} ids by (type, scope), those of least sha256(seed/id)")
    print("\n".join(drawn(load(Path(sys.argv[1])), wanted)))
