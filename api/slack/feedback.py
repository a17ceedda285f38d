"""Feedback as rows for the evaluation: what was liked, with the pages that it stood on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from api.slack.records import Rating

_MARKS = re.compile(r" \[\d+\]")


def rows_of(ratings: Sequence[Rating]) -> list[str]:
    """Return a line of JSON for each answer that somebody liked and nobody disliked: drafts, to be read.

    An answer without citations (an abstention, a refusal) says nothing about pages and is left out.
    """
    disliked = {one.key for one in ratings if not one.good}
    rows: dict[str, str] = {}
    for one in ratings:
        if not one.good or one.key in disliked or one.key in rows or not one.cited or not one.question:
            continue
        names = list(dict.fromkeys(cited.name for cited in one.cited))
        pages = sorted({cited.page_no for cited in one.cited if cited.name == names[0]})
        row = {
            "id": f"slack-{re.sub(r'[^A-Za-z0-9]+', '-', one.key)}",
            "question": one.question,
            "answer": _MARKS.sub("", one.answer),
            "doc": names[0] if len(names) == 1 else names,
            "evidence_pages": pages if len(names) == 1 else [],
            "type": "text",
            "scope": "corpus",
        }
        rows[one.key] = json.dumps(row, ensure_ascii=False)
    return list(rows.values())
