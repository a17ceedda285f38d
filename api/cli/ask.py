"""`pagewarden ask`: sentences as they are released, then the pages they stand on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, settings_of
from ingest.records import clock

if TYPE_CHECKING:
    from rich.console import Console

    from api.cli.door import Door
    from api.schemas import AnswerOut, CitationOut

#: As `ingest.turns.Reasoning`, which `--help` need not import.
Thinks = Literal["off", "on", "auto"]


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    doc: Annotated[list[str] | None, typer.Option(help="Ask only this document (name or id).")] = None,
    thread: Annotated[str | None, typer.Option(help="Continue the conversation of this name.")] = None,
    reasoning: Annotated[
        Thinks | None, typer.Option(help="Whether a served model thinks before it writes.")
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Tell how the answer came about.")] = False,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Ask a question; every sentence of the answer is cited to a page.

    Leaves with 0 for an answer and for an honest "not in these documents", with 3 where a rail said no.

    Example: pagewarden ask "How many employees were there in 2024?" --doc report.pdf
    """

    async def verb() -> int:
        from api.cli.door import open_door

        async with open_door(settings_of(context, home)) as door:
            documents = await find(door, doc)
            answer = await told(
                door, question, documents=documents, thread=thread, reasoning=reasoning, quiet=as_json
            )
        if as_json:
            print_json(answer)
        elif trace:
            from api.cli.trace import tell

            tell(console(stderr=False), answer)
        return 3 if answer.kind == "refusal" else 0

    run(verb, as_json=as_json)


async def find(door: Door, names: list[str] | None) -> list[str] | None:
    """Turn names or ids into ids. Raises Usage for an unknown one."""
    from api.cli.options import Usage

    if not names:
        return None
    held = await door.documents()
    wanted = [d.id for name in names for d in held if name in (d.id, d.name)]
    unknown = [name for name in names if not any(name in (d.id, d.name) for d in held)]
    if unknown:
        raise Usage(f"No document is called {unknown[0]!r}; `pagewarden status` lists them.")
    return wanted


async def told(
    door: Door,
    question: str,
    *,
    documents: list[str] | None = None,
    thread: str | None = None,
    reasoning: Thinks | None = None,
    quiet: bool = False,
) -> AnswerOut:
    """Ask, showing sentences on stdout and steps on stderr unless quiet; return the answer."""
    from contextlib import aclosing

    from api.cli.door import SentenceTold, ServerDown, StepTold
    from api.schemas import AnswerOut

    out, steps = console(stderr=False), console(stderr=True)
    answer: AnswerOut | None = None
    asked = door.ask(question, documents=documents, thread=thread, reasoning=reasoning)
    async with aclosing(asked) as events:
        async for event in events:
            if isinstance(event, AnswerOut):
                answer = event
            elif quiet:
                continue
            elif isinstance(event, StepTold):
                steps.print(f"  {event.label}  ({event.ms:.0f} ms)", style="dim", markup=False)
            elif isinstance(event, SentenceTold):
                marks = "".join(f" [{n}]" for n in event.citations)
                out.print(event.text + marks, markup=False, highlight=False)
    if answer is None:
        raise ServerDown("The answer broke off before its end; ask again.")
    if not quiet:
        finish(out, answer, url=door.url)
    return answer


def finish(out: Console, answer: AnswerOut, *, url: str | None) -> None:
    """Print what follows the sentences: why there are none, the sources, what was left out."""
    if answer.kind != "answer":
        style = "bold red" if answer.kind == "refusal" else "bold yellow"
        out.print(f"{answer.text} ({answer.reason})", style=style, markup=False, highlight=False)
    if answer.citations:
        out.print()
    for cited in answer.citations:
        out.print(source(cited, url=url), markup=False, highlight=False)
    if answer.dropped:
        many = "sentence was" if answer.dropped == 1 else "sentences were"
        out.print(f"{answer.dropped} {many} left out: a check or a rail said no.", style="dim")
    sys.stdout.flush()


def place(cited: CitationOut) -> str:
    """Say where it is: the page, or of a film from when to when."""
    if cited.start_s is None or cited.end_s is None:
        return f"page {cited.page_no}"
    return f"{clock(cited.start_s)}-{clock(cited.end_s)} (scene {cited.page_no})"


def source(cited: CitationOut, *, url: str | None) -> str:
    """Write one source: where it is, its region, its words, and how to see it."""
    region = ""
    if cited.boxes:
        x0 = min(box[0] for box in cited.boxes)
        y0 = min(box[1] for box in cited.boxes)
        x1 = max(box[2] for box in cited.boxes)
        y1 = max(box[3] for box in cited.boxes)
        region = f", region {x0:.0%}-{x1:.0%} across, {y0:.0%}-{y1:.0%} down"
    quote = " ".join(cited.quote.split())
    shown = quote if len(quote) <= 160 else quote[:157] + "..."
    line = f'[{cited.n}] {cited.name}, {place(cited)}{region}\n    "{shown}"'
    return line + (f"\n    {url}/?d={cited.document_id}&page={cited.page_no}" if url else "")
