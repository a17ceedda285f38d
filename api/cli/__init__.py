"""The command line: `main()` and the verbs, one a file.

A verb's file imports typer alone at its top; what the verb needs is imported when it runs, so that `--help`
costs little more than Python itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli import (
    add,
    ask,
    backup,
    batch,
    benchmark,
    doctor,
    evaluate,
    feedback,
    jobs,
    keys,
    mcp,
    models,
    policy,
    read,
    rm,
    search,
    serve,
    slack,
    status,
    threads,
    worker,
)
from api.startup import prepare

app = typer.Typer(
    name="pagewarden",
    help="Answers from your own documents: checked sentence by sentence, cited to the page and the region.",
    epilog="Start here: pagewarden serve --sample    then open http://127.0.0.1:8000",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help="The library's folder (also after the verb, or PAGEWARDEN_HOME).")
    ] = None,
) -> None:
    context.obj = home


app.command("serve")(serve.serve)
app.command("add")(add.add)
app.add_typer(jobs.app, name="jobs")
app.command("read")(read.read)
app.command("ask")(ask.ask)
app.command("search")(search.search)
app.command("status")(status.status)
app.command("rm")(rm.rm)
app.command("threads")(threads.threads)
app.command("slack")(slack.slack)
app.command("feedback")(feedback.feedback)
app.command("worker")(worker.worker)
app.add_typer(models.app, name="models")
app.add_typer(policy.app, name="policy")
app.add_typer(keys.app, name="keys")
app.command("mcp")(mcp.mcp)
app.command("batch")(batch.batch)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("doctor")(doctor.doctor)
app.command("eval")(evaluate.evaluate)
app.command("benchmark")(benchmark.benchmark)


def main() -> None:
    """Run the command line."""
    prepare()
    app()
