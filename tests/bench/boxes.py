"""Box round trip on many random PDFs: `python -m tests.bench.boxes [--count 1000] [--seed 0]`.

Rotation, crop boxes, media boxes with odd origins, one to three columns, mixed page sizes, UserUnit; Latin,
Hebrew and Chinese. Prints the overlap of word boxes with the known ones, and how many citations say what was
cited when their box is read again. Exits with 1 where a word falls below .9 or a citation differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import mean

from tests.ingest.boxed_pdf import boxed_pdf, round_trip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    wishes = parser.parse_args()
    overlaps: list[float] = []
    misread: list[tuple[int, str, str]] = []
    pages = cited = extra = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pdf"
        for seed in range(wishes.seed, wishes.seed + wishes.count):
            pdf, known = boxed_pdf(seed)
            path.write_bytes(pdf)
            trip = round_trip(path, known)
            pages += len(known)
            overlaps += trip.overlaps
            extra += trip.words - len(trip.overlaps)
            cited += trip.cited
            misread += [(seed, *pair) for pair in trip.misread]
    print(
        f"{wishes.count} files, {pages} pages, {len(overlaps)} words, {extra:+d} words found over those known"
    )
    print(f"overlap of word boxes: min {min(overlaps):.3f}, mean {mean(overlaps):.4f}")
    print(f"citations read again: {cited - len(misread)} of {cited} equal")
    for seed, said, again in misread[:10]:
        print(f"  seed {seed}: cited {said!r}, the box holds {again!r}")
    sys.exit(bool(misread) or min(overlaps) < 0.9 or extra != 0)


if __name__ == "__main__":
    main()
