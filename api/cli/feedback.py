"""`pagewarden feedback`: what people in Slack thought of answers, to read or to take into the evaluation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, run
from api.cli.options import Home, settings_of

if TYPE_CHECKING:
    from api.slack.records import Rating


def feedback(
    context: typer.Context,
    bad: Annotated[bool, typer.Option("--bad", help="Only what was not liked.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the answers that were liked as rows for `pagewarden eval`.")
    ] = None,
    home: Home = None,
) -> None:
    """List the feedback from Slack, latest first, or export what was liked as evaluation rows.

    Example: pagewarden feedback --export liked.jsonl && pagewarden eval liked.jsonl
    """

    async def verb() -> int:
        from api.slack.book import SqliteBook
        from api.slack.feedback import rows_of
        from api.slack.names import BOOK

        path = settings_of(context, home).home / BOOK
        if not path.is_file():
            console(stderr=False).print("No feedback yet.")
            return 0
        book = SqliteBook.open(path)
        try:
            ratings = [one for one in await book.ratings() if not (bad and one.good)]
        finally:
            await book.close()
        if export is not None:
            rows = rows_of(ratings)
            export.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
            console(stderr=False).print(f"{len(rows)} rows in {export}. Read them before you trust them.")
            return 0
        _list(ratings)
        return 0

    run(verb, as_json=False)


def _list(ratings: list[Rating]) -> None:
    out = console(stderr=False)
    for one in ratings:
        at = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%d %H:%M")
        out.print(f"{'good' if one.good else 'BAD '}  {at}  {one.question}", markup=False, highlight=False)
        out.print(f"      {one.answer[:300]}", markup=False, highlight=False)
        if one.reason:
            out.print(f"      why: {one.reason}", markup=False, highlight=False)
    if not ratings:
        out.print("No feedback yet.")
