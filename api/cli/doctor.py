"""`pagewarden doctor`: is this machine ready, and if not, what to do about it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from api.cli.edge import console, run
from api.cli.options import AsJson, Home, settings_of

if TYPE_CHECKING:
    from rich.console import Console

    from api.cli.probe import Capability
    from api.settings import ApiSettings

_GB = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at; `fix` is what to do where it is not well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def doctor(context: typer.Context, as_json: AsJson = False, home: Home = None) -> None:
    """Check Python, disk, memory, port, models, OCR and the library; each failure comes with its fix.

    Where a model server is named, ask it what it can do: a few tokens are spent there.
    Leaves with 4 where something is not well.
    """

    async def verb() -> int:
        from api.cli.door import find_server

        settings = settings_of(context, home)
        running = await find_server(settings)
        checks = [check async for check in examine(settings, serving=running.url if running else None)]
        endpoint = await ask_endpoint(settings)
        well = all(check.ok for check in checks) and (endpoint is None or endpoint.writes)
        if as_json:
            import json

            told = {"ok": well, "checks": [asdict(check) for check in checks]}
            if endpoint is not None:
                told["endpoint"] = asdict(endpoint)
            sys.stdout.write(json.dumps(told) + "\n")
            return 0 if well else 4
        out = console(stderr=False)
        for check in checks:
            mark, style = ("ok  ", "green") if check.ok else ("FIX ", "red")
            out.print(mark, style=style, end="")
            out.print(f"{check.name}: {check.detail}", markup=False, highlight=False, soft_wrap=True)
            if not check.ok:
                out.print(f"      {check.fix}", markup=False, highlight=False, soft_wrap=True)
        if endpoint is not None:
            _show(endpoint, out)
        return 0 if well else 4

    run(verb, as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model endpoint, whose it is by its row of providers.toml, and what it was found to do."""

    url: str
    model: str
    provider: str
    #: How we know what the row says, and since when.
    known: str
    notes: str
    capabilities: tuple[Capability, ...]

    @property
    def writes(self) -> bool:
        """Whether answers can come from it at all."""
        return not any(one.can == "no" for one in self.capabilities if one.name in ("/v1/models", "stream"))


async def ask_endpoint(settings: ApiSettings) -> Asked | None:
    """Ask the configured endpoint what it can do; None where none is configured."""
    from api.cli.probe import Endpoint, opened
    from ingest.providers import providers

    name = settings.served_by
    if name is None or not settings.model or settings.writer not in ("auto", "served"):
        return None
    row, url = providers()[name], settings.model_url or ""
    key = settings.model_key.get_secret_value() if settings.model_key else ""
    async with opened() as http:
        endpoint = Endpoint(base_url=url, model=settings.model, key=key, http=http)
        found = tuple([capability async for capability in endpoint.look_at(row)])
    return Asked(
        url=url,
        model=settings.model,
        provider=name,
        known=f"{row.known}, {row.as_of}: {row.source}",
        notes=row.notes,
        capabilities=found,
    )


def _show(endpoint: Asked, out: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{endpoint.model} at {endpoint.url} (provider: {endpoint.provider}; {endpoint.known})",
        title_justify="left",
    )
    for column in ("asked for", "can", "what came", "switched off"):
        table.add_column(column)
    colours = {"yes": "green", "no": "red", "unknown": "yellow"}
    for one in endpoint.capabilities:
        can = Text(one.can, style=colours[one.can])
        table.add_row(Text(one.name), can, Text(one.detail), Text(one.off or "nothing"))
    out.print(table)
    out.print(f"Of this provider: {endpoint.notes}", markup=False, highlight=False)


async def examine(settings: ApiSettings, *, serving: str | None) -> AsyncIterator[Check]:
    """Yield the checks, cheapest first."""
    yield _python()
    yield _modules()
    yield _disk(settings.home)
    yield _memory()
    yield _models(settings)
    yield _ocr()
    yield _writer(settings)
    yield await _policies(settings)
    if serving is not None:
        yield Check(name="server", ok=True, detail=f"running at {serving}, and it owns the library")
        return
    yield _port(settings)
    yield await _library(settings)


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Check(name="python", ok=fits, detail=version, fix="Use Python 3.11, 3.12 or 3.13.")


def _modules() -> Check:
    """Our package `guardrails` and the package guardrails-ai share a module name: one hides the other."""
    import guardrails

    ours = (
        hasattr(guardrails, "__path__") and (Path(next(iter(guardrails.__path__))) / "release.py").is_file()
    )
    return Check(
        name="modules",
        ok=ours,
        detail="the module guardrails is ours"
        if ours
        else "the module guardrails is the package guardrails-ai",
        fix="pip uninstall guardrails-ai, or install pagewarden into an environment of its own.",
    )


def _disk(home: Path) -> Check:
    import shutil

    there = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    return Check(
        name="disk",
        ok=free > 2 * _GB,
        detail=f"{free / _GB:.1f} GB free for {home}",
        fix="Make room (2 GB at least), or choose another folder with --home.",
    )


def _memory() -> Check:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) * 1024
    except (OSError, StopIteration, ValueError):
        return Check(name="memory", ok=True, detail="not told by this system")
    return Check(
        name="memory",
        ok=free > 1.5 * _GB,
        detail=f"{free / _GB:.1f} GB available",
        fix="Close something: reading and searching want 1.5 GB, the local model 2 GB more.",
    )


def _models(settings: ApiSettings) -> Check:
    from ingest.weights import Weights

    weights = Weights(settings.weights)
    missing = weights.missing(weights.names("retrieval"))
    return Check(
        name="models",
        ok=not missing,
        detail=f"missing: {', '.join(missing)}" if missing else f"complete in {settings.weights}",
        fix="pagewarden models pull retrieval",
    )


async def _policies(settings: ApiSettings) -> Check:
    """Read the policy files as they are now: a running server keeps the old ones where these are wrong."""
    from api.wiring import open_policies
    from guardrails.errors import GuardrailsError
    from ingest.errors import IngestError

    try:
        async with open_policies(settings) as policies:
            return Check(name="policies", ok=True, detail=policies.label)
    except (GuardrailsError, IngestError) as error:
        fix = "Correct the file; until then a running server keeps the policies it has, and none starts."
        return Check(name="policies", ok=False, detail=error.detail, fix=fix)


def _ocr() -> Check:
    return _found("ocr", ("rapidocr", "rapid_layout", "onnxruntime"), "pip install 'pagewarden[local]'")


def _found(name: str, packages: tuple[str, ...], fix: str) -> Check:
    from importlib.util import find_spec

    missing = [package for package in packages if find_spec(package) is None]
    detail = f"missing: {', '.join(missing)}" if missing else ", ".join(packages)
    return Check(name=name, ok=not missing, detail=detail, fix=fix)


def _writer(settings: ApiSettings) -> Check:
    from ingest.weights import Weights

    if settings.writer in ("auto", "served") and settings.model_url and settings.model:
        return _answers(settings.model_url, settings.model)
    if settings.writer == "quotes":
        return Check(name="writer", ok=True, detail="quotes, as asked for")
    weights = Weights(settings.weights)
    missing = weights.missing(weights.names("writer"))
    if missing and settings.writer == "auto":
        return Check(
            name="writer", ok=True, detail="quotes; for composed answers: pagewarden models pull writer"
        )
    if missing:
        fix = "pagewarden models pull writer"
        return Check(name="writer", ok=False, detail=f"missing: {', '.join(missing)}", fix=fix)
    if sys.platform == "linux" and not _loads("libgomp.so.1"):
        # llama.cpp's wheel leaves it to the system, and bare containers do without.
        fix = "Install OpenMP (Debian: apt-get install libgomp1), or set PAGEWARDEN_WRITER=quotes."
        return Check(name="writer", ok=False, detail="libgomp is not on this system", fix=fix)
    return _found("writer", ("xllamacpp",), "pip install 'pagewarden[local]', or PAGEWARDEN_WRITER=quotes")


def _loads(library: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _answers(url: str, model: str) -> Check:
    import httpx2

    try:
        httpx2.get(f"{url.rstrip('/')}/models", timeout=5.0)
    except httpx2.HTTPError as error:
        fix = "Start the model server, or correct PAGEWARDEN_MODEL_URL."
        return Check(
            name="writer", ok=False, detail=f"{url} does not answer ({type(error).__name__})", fix=fix
        )
    return Check(name="writer", ok=True, detail=f"{model} at {url}")


def _port(settings: ApiSettings) -> Check:
    import socket

    with socket.socket() as probe:
        taken = probe.connect_ex((settings.host, settings.port)) == 0
    return Check(
        name="port",
        ok=not taken,
        detail=f"{settings.host}:{settings.port} is {'taken' if taken else 'free'}",
        fix="Stop what listens there, or use `pagewarden serve --port`.",
    )


async def _library(settings: ApiSettings) -> Check:
    """Open the index for a moment: only its owner can say whether it is locked."""
    from ingest.errors import IngestError

    if not (settings.home / "index").is_dir():
        return Check(name="library", ok=True, detail=f"none yet in {settings.home}; the first `add` makes it")
    from api.wiring import try_library

    try:
        await try_library(settings)
    except IngestError as error:
        fix = "End the other process (its id is in the message or in `ps`), then try again."
        return Check(name="library", ok=False, detail=error.detail, fix=fix)
    return Check(name="library", ok=True, detail=str(settings.home))
