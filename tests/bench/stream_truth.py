"""Cut and damage recorded streams everywhere, and count which are taken for whole.

Usage: python tests/bench/stream_truth.py     (about two minutes on two cores; ends with 1 if any is)
"""

from __future__ import annotations

import asyncio
import sys
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.stream_damage import WHOLE_EVENTS, cuts, damages, dressings, flips, outcomes, recordings


async def main() -> int:
    """Print a table for each recording."""
    wrong = total = 0
    for recording in recordings():
        told = await outcomes(
            recording,
            chain(cuts(recording), damages(recording), flips(recording, count=400), dressings(recording)),
        )
        print(f"\n{recording.name} ({len(recording.raw)} bytes)")
        heads = ("cases", "refused", "rightly whole", "WRONGLY whole", "lost")
        print(f"  {'damage':28}" + "".join(f"{head:>15}" for head in heads))
        kinds = sorted(told.refused | told.complete | told.wrong | told.lost)
        for kind in kinds:
            row = [counts[kind] for counts in (told.refused, told.complete, told.wrong, told.lost)]
            note = "  no reader can tell without counts" if row[2] and kind in WHOLE_EVENTS else ""
            print(f"  {kind:28}" + "".join(f"{n:15}" for n in (sum(row), *row)) + note)
            total += sum(row)
            wrong += row[3] + (row[2] if recording.counted or kind not in WHOLE_EVENTS else 0)
    print(f"\n{total} streams; {wrong} judged wrongly (0 of {total}: below {3 / total:.3%} with 95 %)")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
