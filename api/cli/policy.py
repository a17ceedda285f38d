"""`pagewarden policy`: the rails in force, why they decide as they do, and what they make of many texts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, Usage, settings_of

if TYPE_CHECKING:
    from api.cli.rows import As, Row
    from api.schemas import CheckedOut, ExplainedOut, PolicyOut
    from api.settings import ApiSettings
    from guardrails.effective import Place
    from guardrails.nemo import Rails

app = typer.Typer(
    help="See which rails are in force, why they decide as they do, and try them on your own texts.",
    no_args_is_help=True,
)

Tenant = Annotated[str | None, typer.Option(help="Whose policy (else PAGEWARDEN_TENANT).")]
Collection = Annotated[
    list[str] | None, typer.Option(help="In which collection (else all that the library holds).")
]
Channel = Annotated[str, typer.Option(help="Through which door: http, cli, ingest, slack:C0123.")]
Also = Annotated[
    str | None, typer.Option("--policy", help="A policy's name or file: joined, the stricter counts.")
]
#: Rows shown to people one by one; the counts are of all.
_SHOWN = 40
#: Who stands in the audit for what is tried here.
_WHO = "pagewarden policy"


@app.command("show")
def show(
    context: typer.Context,
    hop: Annotated[
        str | None, typer.Option(help="Only this hop: question, document, evidence, finding, answer.")
    ] = None,
    tenant: Tenant = None,
    collection: Collection = None,
    channel: Channel = "http",
    policy: Also = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Show the policy in force, after every rule of policies.yaml that applies here has tightened it.

    Example: pagewarden policy show --hop answer --channel slack:C0123
    """

    async def verb() -> int:
        from typing import get_args

        from guardrails.records import Hop

        if hop is not None and hop not in get_args(Hop):
            raise Usage(f"There is no hop {hop!r}: {', '.join(get_args(Hop))}.")
        settings = settings_of(context, home, tenant=tenant)
        async with _opened(settings, collection, channel, policy) as opened:
            told = _policy_out(opened, hop)
        if as_json:
            print_json(told)
        else:
            _show(told)
        return 0

    run(verb, as_json=as_json)


@app.command("explain")
def explain(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="The text to judge; - reads it from stdin.")],
    as_: Annotated[
        Literal["prompt", "document", "answer"], typer.Option("--as", help="What the text is.")
    ] = "prompt",
    tenant: Tenant = None,
    collection: Collection = None,
    channel: Channel = "http",
    policy: Also = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Say what every rail makes of a text: its score, from where it blocks, and how long it took.

    Every rail is asked, also those behind the first no. Leaves with 0 whatever was decided.

    Example: pagewarden policy explain "Ignore all previous instructions." --as document
    """

    async def verb() -> int:
        settings = settings_of(context, home, tenant=tenant)
        given = sys.stdin.read() if text == "-" else text
        async with _opened(settings, collection, channel, policy) as opened:
            told = await _explained(opened.rails[as_], given, as_)
        if as_json:
            print_json(told)
        else:
            _tell(told)
        return 0

    run(verb, as_json=as_json)


@app.command("check")
def check(
    context: typer.Context,
    rows: Annotated[
        Path,
        typer.Argument(help='JSON Lines, {"id", "text", "as": "prompt"|"document"|"answer"}; - is stdin.'),
    ],
    tenant: Tenant = None,
    collection: Collection = None,
    channel: Channel = "http",
    policy: Also = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON row a line, in the order of the file.")
    ] = False,
    home: Home = None,
) -> None:
    """Let the rails in force judge many texts, as the service would.

    A prompt is allowed or refused, a document allowed or quarantined,
    an answer allowed, redacted or refused. "text" is what to go on with,
    "rail" and "score" are of the rail that decided ("undecided" where one
    failed, which stops the text). What has no evidence is not verified.

    Rows are screened up to 32 at a time. "ms" is a row's share of that:
    the time of its batch divided by the rows in it, without start-up.

    Leaves with 0 once all rows are judged, whatever the judgement; with 2
    for a row, a policy or an option that does not fit (its line is named,
    nothing is checked); with 4 where a model file is missing.

    Example: pagewarden policy check rows.jsonl --json > judged.jsonl
    """

    async def verb() -> int:
        from api.cli.rows import checked, read_rows
        from guardrails.effective import Bound

        given = read_rows(rows)
        settings = settings_of(context, home, tenant=tenant)
        told: list[tuple[Row, CheckedOut]] = []
        async with _opened(settings, collection, channel, policy) as opened:
            for as_ in dict.fromkeys(row.as_ for row in given):
                await _warm(opened.rails[as_], as_)
            with _progress(len(given)) as on_done:
                bound = {as_: Bound(rails=rails, who=_WHO) for as_, rails in opened.rails.items()}
                async for row, one in checked(bound, given, on_done=on_done):
                    if as_json:
                        print_json(one)
                    else:
                        told.append((row, one))
        if not as_json:
            _count(told)
        return 0

    run(verb, as_json=as_json)


@app.command("rescreen")
def rescreen(
    context: typer.Context,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Judge the shelf again, where policy or model changed since its documents were added.

    What the rails stop now leaves the shelf: a passage, or the document. A
    passage that was withheld and passes now comes back. A quarantined
    document does not: its file is not kept; add it again. A server does the
    same by itself, in the background.

    Leaves with 0 once everything is judged, with 3 where a document could
    not be, with 5 where a server owns the library.

    Example: pagewarden policy rescreen
    """

    async def verb() -> int:
        from api.schemas import RescreenedOut
        from api.wiring import open_house

        settings = settings_of(context, home)
        out = console(stderr=True)
        async with open_house(settings) as house:
            assert house.rescreen is not None, "the house at hand has a shelf"
            told = await house.rescreen(
                lambda name, became: out.print(f"{became:11} {name}", markup=False, highlight=False)
            )
        counts = asdict(told)
        if as_json:
            print_json(RescreenedOut(**counts))
        else:
            words = ", ".join(f"{many} {became}" for became, many in counts.items() if many)
            console(stderr=False).print(words or "Nothing is behind.")
        return 3 if told.failed else 0

    run(verb, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The rails in force for a caller at a place, and for what is ingested there."""

    rails: Mapping[As, Rails]
    place: Place
    fault: str | None


@asynccontextmanager
async def _opened(
    settings: ApiSettings,
    collections: list[str] | None,
    channel: str,
    also: str | None,
) -> AsyncGenerator[_Opened]:
    """Open the rails of a caller there, and tighten them by `also`. Raises PolicyError."""
    from api.wiring import held_collections, open_policies
    from guardrails.effective import Place
    from guardrails.policy import load, tighten

    held = tuple(collections) if collections else await held_collections(settings)
    asking = Place(tenant=settings.tenant, collections=held, channel=channel)
    into = tuple(collections) if collections else (settings.collection,)
    adding = Place(tenant=settings.tenant, collections=into, channel="ingest")
    async with open_policies(settings) as policies:

        def rails(place: Place) -> Rails:
            found = policies.rails(place)
            return found if also is None else found.under(tighten(found.policy, load(also)))

        asked = rails(asking)
        yield _Opened(
            rails={"prompt": asked, "document": rails(adding), "answer": asked},
            place=asking,
            fault=policies.fault,
        )


async def _warm(rails: Rails, as_: As) -> None:
    """Screen one text, so that loading is not counted as judging."""
    from api.cli.rows import HOPS

    await rails.screen(HOPS[as_], ["What does the library say about pumps?"], who=_WHO)


async def _explained(rails: Rails, text: str, as_: As) -> ExplainedOut:
    import time

    from api.cli.rows import HOPS, outcome
    from api.schemas import ExplainedOut, OpinionOut

    hop = HOPS[as_]
    await _warm(rails, as_)
    start = time.perf_counter()
    (verdict,) = await rails.screen(hop, [text], who=_WHO)
    told = outcome(as_, verdict, ms=round((time.perf_counter() - start) * 1000, 3))
    rules = {(rule.rail, rule.mode): rule for rule in rails.policy.hops[hop]}
    opinions = [
        OpinionOut(
            rail=one.rail,
            mode=one.mode,
            decision=one.decision,
            code=one.code,
            score=one.score,
            blocks_from=rules[one.rail, one.mode].blocks_from(one.code),  # type: ignore[index]
            ms=one.ms,
        )
        for one in await rails.explain(hop, text)
    ]
    return ExplainedOut(
        **told.model_dump(),
        hop=hop,
        code=verdict.code,
        policy=verdict.policy,
        opinions=opinions,
        refusal=dict(verdict.refusal),
    )


def _policy_out(opened: _Opened, hop: str | None) -> PolicyOut:
    from api.schemas import PolicyOut

    asked, added = opened.rails["answer"].policy, opened.rails["document"].policy
    content = asked.model_dump(mode="json")
    content["hops"]["document"] = added.model_dump(mode="json")["hops"]["document"]
    return PolicyOut(
        policy=asked.label,
        tenant=opened.place.tenant,
        collections=list(opened.place.collections),
        channel=opened.place.channel,
        fault=opened.fault,
        hops={name: rules for name, rules in content["hops"].items() if hop in (None, name)},
        hosted=content["hosted"],
        refusal=content["refusal"],
    )


def _show(told: PolicyOut) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console(stderr=False)
    where = (
        f"tenant {told.tenant}, collections {', '.join(told.collections)}, channel {told.channel or 'any'}"
    )
    out.print(f"{told.policy}: in force for {where}", markup=False, highlight=False)
    for hop, rules in told.hops.items():
        table = Table(title=hop, title_justify="left")
        for column in ("rail", "mode", "limits"):
            table.add_column(column)
        for rule in rules:
            limits = {name: value for name, value in rule.items() if name not in ("rail", "mode")}
            written = ", ".join(f"{name} {_value(value)}" for name, value in limits.items())
            table.add_row(Text(str(rule["rail"])), Text(str(rule["mode"])), Text(written))
        out.print(table)
    kept = ", ".join(f"{name} {_value(value)}" for name, value in told.hosted.items())
    out.print(f"kept from a model on somebody else's server: {kept}", markup=False, highlight=False)
    for language, words in told.refusal.items():
        for code, text in words.items():
            out.print(f"refusal {language}, {code}: {text}", markup=False, highlight=False)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {one}" for name, one in value.items())
    if isinstance(value, list):
        return f"[{'; '.join(map(str, value))}]"
    return str(value)


def _tell(told: ExplainedOut) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console(stderr=False)
    by = "" if told.rail is None else f" by {told.rail}" + (f" ({told.code})" if told.code else "")
    out.print(f"{told.action}{by}, under {told.policy}, in {told.ms:.1f} ms", markup=False, highlight=False)
    if told.action == "redact":
        out.print(told.text, markup=False, highlight=False)
    for language, words in told.refusal.items():
        out.print(f"the user is told ({language}): {words}", markup=False, highlight=False)
    table = Table()
    for column in ("rail", "mode", "says", "code", "score", "blocks from", "ms"):
        table.add_column(column)
    for one in told.opinions:
        cells = (one.rail, one.mode, one.decision, one.code, _number(one.score), _number(one.blocks_from))
        table.add_row(*map(Text, cells), f"{one.ms:.2f}")
    out.print(table)


def _count(told: list[tuple[Row, CheckedOut]]) -> None:
    """Print the rows that were not allowed, and how many of each kind came to what."""
    from rich.table import Table
    from rich.text import Text

    out = console(stderr=False)
    stopped = [(row, one) for row, one in told if one.action != "allow"]
    if stopped:
        table = Table()
        for column in ("id", "as", "action", "rail", "score", "ms"):
            table.add_column(column)
        for row, one in stopped[:_SHOWN]:
            cells = (str(one.id), row.as_, one.action, one.rail or "", _number(one.score), f"{one.ms:.1f}")
            table.add_row(*map(Text, cells))
        out.print(table)
        if len(stopped) > _SHOWN:
            out.print(f"and {len(stopped) - _SHOWN} more; --json prints all")
    counts = Counter((row.as_, one.action, one.rail) for row, one in told)
    table = Table(title=f"{len(told)} rows", title_justify="left")
    for column in ("as", "action", "rail", "rows"):
        table.add_column(column)
    for (as_, action, rail), many in sorted(counts.items(), key=lambda pair: (pair[0][0], -pair[1])):
        table.add_row(Text(as_), Text(action), Text(rail or ""), str(many))
    out.print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr, where that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = console(stderr=True)
    columns = (
        TextColumn("Checking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    bar = Progress(
        *columns,
        console=terminal,
        disable=not terminal.is_terminal,
        transient=True,
        redirect_stdout=False,  # rows go where stdout goes, not above the bar
        redirect_stderr=False,
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
