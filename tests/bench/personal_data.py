"""How much personal data is found, and how much that is nobody's is taken for it.

    PAGEWARDEN_DATA=... python tests/bench/personal_data.py [--names rules|model]
        [--documents [--every N] [--list KIND]]

Rows of guard/personal_data.jsonl with an even index chose the rules; the odd ones were not looked at. A span
counts as found where half of its characters are (`overlap`), where a find has its very ends (`exact`), and
character by character; a find is right where half of it lies in spans of its kind. `any kind` asks only
whether it would have been masked at all. Intervals are Wilson's, 95 %. With `--documents`: finds in the text
of the sample library and of the documents in e2e-docqa, per 1,000 words; `--list` shows those of one kind.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pypdfium2

from guardrails import personal
from guardrails.names import Names, by_rules
from guardrails.ner import by_model
from guardrails.personal import KINDS, Found, Kind

ROOT = Path(__file__).resolve().parents[2]
#: Which kind of ours a type of the rows is; the types that are missing here are nobody's by themselves.
KIND_OF: dict[str, Kind] = {
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "US_DRIVER_LICENSE": "driving_licence",
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IP_ADDRESS": "ip",
    "STREET_ADDRESS": "address",
    "ZIP_CODE": "address",
    "PERSON": "person",
    "ORGANIZATION": "organisation",
}
#: What a find of a kind may also lie in: an address goes on to its town, a birth date is a date.
ALSO: dict[Kind, set[str]] = {"address": {"GPE"}, "birth_date": {"DATE_TIME"}}
GROUPS: dict[str, set[Kind]] = {
    "proved by a checksum": {"card", "iban", "national_id"},
    "proved by shape, plan or word": {
        "us_ssn", "driving_licence", "passport", "email", "phone", "ip", "birth_date",
    },
    "addresses": {"address"},
    "people": {"person"},
    "organisations": {"organisation"},
}  # fmt: skip


class Span(TypedDict):
    type: str
    start: int
    end: int
    value: str


class Row(TypedDict):
    text: str
    spans: list[Span]


@dataclass(slots=True)
class Count:
    """Of spans, or of finds: how many, how many right, and the same of their characters."""

    n: int = 0
    right: int = 0
    exact: int = 0
    any_kind: int = 0
    chars: int = 0
    right_chars: int = 0

    def add(self, other: Count) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Tally:
    """Both counts, by type of the rows and by kind of ours."""

    spans: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    finds: dict[Kind, Count] = field(default_factory=lambda: defaultdict(Count))


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    if not n:
        return 0.0, 1.0
    z, share = 1.96, right / n
    middle, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def overlap(start: int, end: int, others: Iterable[tuple[int, int]]) -> int:
    """Count the characters of a span that lie in any of the others."""
    return len({place for a, b in others for place in range(max(a, start), min(b, end))})


def measured(rows: list[Row], names: Names) -> Tally:
    """Count over rows."""
    tally = Tally()
    for row in rows:
        found = personal.find(row["text"], frozenset(KINDS), names=names)
        for span in row["spans"]:
            if kind := KIND_OF.get(span["type"]):
                tally.spans[span["type"]].add(_span(span, kind, found))
        for find in found:
            tally.finds[find.kind].add(_find(find, row["spans"]))
    return tally


def _span(span: Span, kind: Kind, found: list[Found]) -> Count:
    start, end = span["start"], span["end"]
    ours = [(one.start, one.end) for one in found if one.kind == kind]
    chars, covered = end - start, overlap(start, end, ours)
    masked = overlap(start, end, [(one.start, one.end) for one in found])
    return Count(
        n=1,
        right=int(2 * covered >= chars),
        exact=int((start, end) in ours),
        any_kind=int(2 * masked >= chars),
        chars=chars,
        right_chars=covered,
    )


def _find(find: Found, spans: list[Span]) -> Count:
    wanted = {name for name, kind in KIND_OF.items() if kind == find.kind} | ALSO.get(find.kind, set())
    chars = find.end - find.start
    covered = overlap(find.start, find.end, [(s["start"], s["end"]) for s in spans if s["type"] in wanted])
    return Count(n=1, right=int(2 * covered >= chars), chars=chars, right_chars=covered)


def _shares(count: Count, names: Iterable[str]) -> str:
    low, high = wilson(count.right, count.n)
    chars = f"{count.right_chars / count.chars:.3f}" if count.chars else "–"
    more = "".join(f" {getattr(count, name) / count.n:.3f} |" for name in names)
    return f"{count.n} | {count.right / count.n:.3f} ({low:.3f}–{high:.3f}) |{more} {chars} |"


def _pooled(counts: Iterable[Count]) -> Count:
    total = Count()
    for count in counts:
        total.add(count)
    return total


def tables(tally: Tally) -> Iterator[str]:
    """Write recall by type and group, then precision by kind and group."""
    yield "| recall of | n | overlap (95 %) | exact | any kind | characters |\n|---|---|---|---|---|---|"
    for group, kinds in GROUPS.items():
        types = [name for name, kind in KIND_OF.items() if kind in kinds and name in tally.spans]
        if total := _pooled(tally.spans[name] for name in types) if types else None:
            yield f"| **{group}** | {_shares(total, ('exact', 'any_kind'))}"
        for name in types if len(types) > 1 else ():
            yield f"| {name} | {_shares(tally.spans[name], ('exact', 'any_kind'))}"
    yield "\n| precision of | n | overlap (95 %) | characters |\n|---|---|---|---|"
    for group, kinds in GROUPS.items():
        present = [kind for kind in KINDS if kind in kinds and kind in tally.finds]
        if present:
            yield f"| **{group}** | {_shares(_pooled(tally.finds[kind] for kind in present), ())}"
        for kind in present if len(present) > 1 else ():
            yield f"| {kind} | {_shares(tally.finds[kind], ())}"


def pages(folder: Path, *, every: int) -> Iterator[tuple[str, str]]:
    """Yield the text of every so manyth page of the PDFs in a folder, with where it is from."""
    for path in sorted(folder.rglob("*.pdf")):
        document = pypdfium2.PdfDocument(path)
        try:
            for number in range(0, len(document), every):
                text = document[number].get_textpage().get_text_range().replace("\r\n", "\n")
                yield f"{path.name} p. {number + 1}", text
        finally:
            document.close()


def documents(folders: Iterable[Path], names: Names, *, listed: str | None, every: int) -> Iterator[str]:
    """Count the finds in documents by kind, per 1,000 words."""
    yield "| documents | words | " + " | ".join(KINDS) + " | s |\n|---|---|" + "---|" * (len(KINDS) + 1)
    for folder in folders:
        words, counts, start = 0, dict.fromkeys(KINDS, 0), time.perf_counter()
        for where, text in pages(folder, every=every):
            words += len(text.split())
            for find in personal.find(text, frozenset(KINDS), names=names):
                counts[find.kind] += 1
                if find.kind == listed:
                    around = text[max(0, find.start - 30) : find.end + 20]
                    print(where, repr(text[find.start : find.end]), repr(around), sep="\t", file=sys.stderr)
        seconds = time.perf_counter() - start
        told = " | ".join(f"{count} ({1000 * count / words:.3f})" for count in counts.values())
        yield f"| {folder.name} | {words:,} | {told} | {seconds:.0f} |"


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", choices=["rules", "model"], default="rules")
    parser.add_argument("--documents", action="store_true")
    parser.add_argument("--list", choices=KINDS)
    parser.add_argument("--every", type=int, default=1, help="of the documents' pages")
    options = parser.parse_args()
    if not (base := os.environ.get("PAGEWARDEN_DATA")):
        sys.exit("PAGEWARDEN_DATA is not set: there is nothing to measure with")
    names = by_model() if options.names == "model" else by_rules
    if options.documents:
        folders = [ROOT / "docs" / "sample", Path(base) / "e2e-docqa" / "documents"]
        print("\n".join(documents(folders, names, listed=options.list, every=options.every)))
        return
    lines = (Path(base) / "guard" / "personal_data.jsonl").read_text("utf-8").splitlines()
    rows: list[Row] = [json.loads(line) for line in lines]
    for half, told in ((0, "even rows: the rules were chosen on these"), (1, "odd rows: not looked at")):
        start = time.perf_counter()
        tally = measured(rows[half::2], names)
        print(f"\n### {told} ({len(rows[half::2])} texts, {time.perf_counter() - start:.1f} s)\n")
        print("\n".join(tables(tally)))


if __name__ == "__main__":
    main()
