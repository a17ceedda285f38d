"""`pagewarden jobs`: what is on its way, what failed and why, stopping and trying again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, settings_of

if TYPE_CHECKING:
    from api.schemas import JobOut

app = typer.Typer(help="What is on its way, what failed and why.", no_args_is_help=True)

STYLES = {"shelved": "green", "failed": "red", "quarantined": "yellow", "cancelled": "dim"}
JobId = Annotated[str, typer.Argument(help="The job's id; `pagewarden jobs list` names it.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Most jobs told.")]


@app.command("list")
def list_jobs(
    context: typer.Context,
    failed: Annotated[bool, typer.Option("--failed", help="Only what did not reach the shelf.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """List jobs, those that changed last first.

    Example: pagewarden jobs list --failed
    """

    async def verb() -> int:
        from api.cli.door import open_door
        from ingest.jobs import JobState

        states: tuple[JobState, ...] = ("failed", "quarantined") if failed else ()
        async with open_door(settings_of(context, home)) as door:
            told = await door.jobs(states=states, limit=limit)
        if as_json:
            print_json(told)
            return 0
        screen = console(stderr=False)
        for job in told.jobs:
            screen.print(line(job), style=STYLES.get(job.state, ""), markup=False, highlight=False)
        counted = ", ".join(f"{n} {state}" for state, n in told.counts.items())
        screen.print(counted or "No jobs.", markup=False, highlight=False)
        return 0

    run(verb, as_json=as_json)


@app.command("show")
def show(context: typer.Context, job: JobId, as_json: AsJson = False, home: Home = None) -> None:
    """Tell all of one job.

    Example: pagewarden jobs show 1b1a3ee0-e03b-597a-b039-6ce588c124a9
    """
    _one(context, job, None, as_json=as_json, home=home)


@app.command("cancel")
def cancel(context: typer.Context, job: JobId, as_json: AsJson = False, home: Home = None) -> None:
    """Stop a job; what is on the shelf stays there."""
    _one(context, job, "cancel", as_json=as_json, home=home)


@app.command("retry")
def retry(context: typer.Context, job: JobId, as_json: AsJson = False, home: Home = None) -> None:
    """Try a job again that did not reach the shelf; `serve` or the next `add` runs it."""
    _one(context, job, "retry", as_json=as_json, home=home)


def _one(
    context: typer.Context, job_id: str, how: Literal["cancel", "retry"] | None, *, as_json: bool, home: Home
) -> None:
    async def verb() -> int:
        from api.cli.door import open_door
        from api.errors import NotFound

        async with open_door(settings_of(context, home)) as door:
            job = await (door.job(job_id) if how is None else door.change_job(job_id, how))
        if job is None:
            raise NotFound("There is no such job; `pagewarden jobs list` names them.")
        if as_json:
            print_json(job)
        else:
            console(stderr=False).print(line(job, whole=True), markup=False, highlight=False)
        return 0

    run(verb, as_json=as_json)


def line(job: JobOut, *, whole: bool = False) -> str:
    """Say how one job stands."""
    pages = f"{job.pages_done} of {job.pages_total} pages" if job.pages_total else ""
    rate = f"{job.pages_per_s:.1f} pages/s" if job.pages_per_s and job.settled_at is None else ""
    left = f"{job.eta_s:.0f} s left" if job.eta_s is not None else ""
    waits = f"waits for {job.waits_for}" if job.waits_for else ""
    page = f"page {job.page_no}" if job.page_no else ""
    why = f"{job.reason or ''} {page}".strip() if job.state in ("failed", "quarantined") else ""
    told = ", ".join(filter(None, (pages, rate, left, waits, why)))
    detail = f"\n{'':12}{job.detail}" if job.detail else ""
    rest = f"\n{'':12}document {job.document_id} in {job.collection}" if whole else ""
    return f"{job.state:12}{job.name}  {job.id}{detail if whole or why else ''}" + (
        f"\n{'':12}{told}{rest}" if told or rest else ""
    )
