"""Print the requirements of one lock that another lock does not have: what the tests add to the product.

Usage: python .ci/split_lock.py requirements.lock all.lock > tests/requirements.lock
"""

from __future__ import annotations

import sys
from pathlib import Path


def blocks(lock: Path) -> list[str]:
    """Return the requirements of a lock, each with its hash lines."""
    text = lock.read_text("utf-8").replace("\\\n", "\\\0")
    return [line.replace("\0", "\n") for line in text.splitlines() if line and not line.startswith("#")]


def main() -> None:
    """Print what the second lock has beyond the first."""
    known = {block.split()[0] for block in blocks(Path(sys.argv[1]))}
    fresh = [block for block in blocks(Path(sys.argv[2])) if block.split()[0] not in known]
    sys.stdout.write("\n".join(fresh) + "\n")


if __name__ == "__main__":
    main()
