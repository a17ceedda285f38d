"""`pagewarden models`: the pinned model files, seen, fetched and checked; and the model servers, started."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import complain, console, run
from api.cli.options import AsJson, Home, Usage, settings_of
from ingest.serving import Role

if TYPE_CHECKING:
    from ingest.serving import ModelServer
    from ingest.weights import Weights

app = typer.Typer(no_args_is_help=True, help="List, fetch and check the model files; start model servers.")


def _weights(context: typer.Context, home: Home) -> Weights:
    from ingest.weights import Weights

    return Weights(settings_of(context, home).weights)


@app.command("list")
def listing(context: typer.Context, as_json: AsJson = False, home: Home = None) -> None:
    """List the model files and whether they are here."""

    async def verb() -> int:
        weights = _weights(context, home)
        files = weights.listing()
        if as_json:
            told = [
                {"name": f.name, "what": f.what, "licence": f.licence, "bytes": f.bytes, "present": f.present}
                for f in files
            ]
            _print({"folder": str(weights.root), "models": told})
            return 0
        out = console(stderr=False)
        out.print(f"In {weights.root}:", markup=False, highlight=False)
        for f in files:
            mark = "here   " if f.present else "missing"
            line = f"  {mark}  {f.bytes / 1e6:7.1f} MB  {f.name}  ({f.what}; {f.licence})"
            out.print(line, markup=False, highlight=False, soft_wrap=True)
        return 0

    run(verb, as_json=as_json)


@app.command("pull")
def pull(
    context: typer.Context,
    only: Annotated[
        list[str] | None,
        typer.Argument(help="A file, or a group: retrieval, speech, writer. All where none is named."),
    ] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Fetch what is missing; goes on where an earlier pull was cut off, offline after that.

    Example: pagewarden models pull retrieval
    """

    async def verb() -> int:
        import anyio

        weights = _weights(context, home)
        names = _chosen(weights, only or [])
        missing = weights.missing(names)
        await anyio.to_thread.run_sync(_pull, weights, names, not as_json)
        if as_json:
            _print({"folder": str(weights.root), "fetched": missing})
        elif not missing:
            console(stderr=True).print("Everything is here already.")
        return 0

    run(verb, as_json=as_json)


@app.command("verify")
def verify(context: typer.Context, as_json: AsJson = False, home: Home = None) -> None:
    """Recompute the sha256 of every file. Leaves with 4 where one is missing or differs."""

    async def verb() -> int:
        import anyio

        found = await anyio.to_thread.run_sync(_weights(context, home).verify)
        if as_json:
            _print({"models": [{"name": name, "finding": finding} for name, finding in found.items()]})
        for name, finding in found.items():
            if not as_json:
                style = "green" if finding == "fits" else "red"
                console(stderr=False).print(f"{finding:8} {name}", style=style, highlight=False)
        if all(finding == "fits" for finding in found.values()):
            return 0
        complain("Run `pagewarden models pull` to fetch what is missing or differs.")
        return 4

    run(verb, as_json=as_json)


@app.command("serve")
def serve(
    role: Annotated[Role, typer.Argument(help="What the server is for.")],
    only_print: Annotated[bool, typer.Option("--print", help="Print the command, start nothing.")] = False,
    precision: Annotated[str | None, typer.Option(help="fp8, bf16 or nvfp4 (vision).")] = None,
    model: Annotated[
        str | None, typer.Option(help="Another repository, or a folder (a fine-tuned checkpoint).")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="The commit of the repository that you have looked at.")
    ] = None,
    gpu_memory: Annotated[float | None, typer.Option(min=0.01, max=0.98, help="Share of the GPU.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; no key is asked for.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
) -> None:
    """Start vLLM (the extra `vllm`, a GPU) with the flags of docker-compose.yml.

    Example: pagewarden models serve vision --print
    """

    async def verb() -> int:
        from ingest.serving import ENVIRONMENT, SERVERS

        server = SERVERS[role]
        repository, commit = _pinned(server, precision=precision, model=model, revision=revision)
        told = server.command(model=repository, revision=commit, gpu_memory=gpu_memory, host=host, port=port)
        # Our own start-up keeps the hub out of this process; the server may fetch what is pinned.
        switches = ["-u", "HF_HUB_OFFLINE", "-u", "TRANSFORMERS_OFFLINE"]
        words = ["env", *switches, *(f"{k}={v}" for k, v in ENVIRONMENT.items()), "vllm", "serve", *told]
        if only_print:
            sys.stdout.write(shlex.join(words) + "\n")
            return 0
        if shutil.which("vllm") is None:
            complain("vLLM is not installed here: pip install 'pagewarden[vllm]', or use docker-compose.yml.")
            return 4
        os.execvp("env", words)

    run(verb, as_json=False)


def _pinned(
    server: ModelServer, *, precision: str | None, model: str | None, revision: str | None
) -> tuple[str, str | None]:
    """Return repository and commit. Raises Usage where code would be run that nobody has looked at."""
    if precision is not None and precision not in server.checkpoints:
        raise Usage(f"{server.role} comes as {', '.join(server.checkpoints)}, not {precision}")
    if model is not None and Path(model).is_dir():
        return model, None
    checkpoint = server.checkpoints[precision] if precision else server.checkpoint
    repository = model or checkpoint.repository
    commit = revision or (checkpoint.revision if model is None else None)
    if commit is None and server.runs_its_code:
        raise Usage(
            f"{repository} brings Python that is run while it loads: look at it and name the commit "
            "with --revision"
        )
    return repository, commit


def _chosen(weights: Weights, only: list[str]) -> list[str]:
    groups = ("retrieval", "speech", "writer")
    names = [name for one in only for name in (weights.names(one) if one in groups else [one])]
    return names or weights.names()


def _pull(weights: Weights, names: list[str], shown: bool) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), disable=not shown) as bar:
        tasks = {name: bar.add_task(name, total=None) for name in weights.missing(names)}

        def on_progress(name: str, done: int, total: int) -> None:
            if name in tasks:
                bar.update(tasks[name], completed=done, total=total)

        weights.pull(names, on_progress)


def _print(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
