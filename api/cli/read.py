"""`pagewarden read`: what reading makes of one file, told or drawn; nothing is shelved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import complain, console, print_json, run
from api.cli.options import AsJson, Usage

if TYPE_CHECKING:
    from ingest.reading import Reader
    from ingest.records import Page, Reading
    from ingest.sources import Source

#: Resolution of the drawn pages: small print is legible, a page is some 300 kB.
_DPI = 120


def read(
    file: Annotated[Path, typer.Argument(help="The file to read.")],
    into: Annotated[
        Path | None,
        typer.Argument(help="With --show: the folder for the pictures (else NAME-pages here)."),
    ] = None,
    page: Annotated[int | None, typer.Option(min=1, help="Only this page.")] = None,
    password: Annotated[str | None, typer.Option(help="What opens an encrypted file.")] = None,
    show: Annotated[
        bool,
        typer.Option("--show", help="Draw every element's box and kind on the page; of a film, its scenes."),
    ] = False,
    within: Annotated[
        float, typer.Option(min=1, help="Seconds it may take; what is left by then is named, not read.")
    ] = 50.0,
    full: Annotated[bool, typer.Option("--full", help="Print long texts and tables whole.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read a file and say what is on each page, by whom it was read and why so.

    Elements come in reading order, tables cell by cell. Nothing is shelved, and no library is needed.
    Leaves with 0 where the file was read, also in part; else the reason has a name (encrypted, damaged, …).

    Example: pagewarden read report.pdf --page 3 --show
    """

    async def verb() -> int:
        from api.errors import Problem
        from api.schemas import failed_out, reading_out
        from ingest.errors import InputError

        if into is not None and not show:
            raise Usage(f"There is one file at a time ({file}); a folder goes with --show.")
        try:
            asked = _Asked(page_no=page, password=password, within_s=within)
            reading, drawn = await _read(file, asked, _folder(file, into) if show else None, silent=as_json)
        except InputError as error:
            if as_json:
                print_json(failed_out(error.code, error.detail))
            problem = Problem(code=error.code, detail=error.detail)
            complain(f"{problem.kind.title}: {problem.detail}")
            return problem.kind.exit
        if as_json:
            print_json(reading_out(reading))
        else:
            from api.cli.report import tell

            tell(reading, console(stderr=False), full=full)
        for path in drawn:
            # JSON stays alone on stdout.
            console(stderr=as_json).print(str(path), markup=False, highlight=False)
        return 0

    run(verb, as_json=as_json)


def _folder(file: Path, into: Path | None) -> Path:
    return into if into is not None else Path(f"{file.name}-pages")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """How a file is to be read."""

    page_no: int | None
    password: str | None
    within_s: float


async def _read(file: Path, asked: _Asked, into: Path | None, *, silent: bool) -> tuple[Reading, list[Path]]:
    """Read the file, and draw it into `into`. Raises InputError, Usage."""
    import tempfile
    from dataclasses import replace
    from functools import partial

    import anyio.to_thread

    from api.settings import ApiSettings
    from api.wiring import film_ears
    from ingest.reading import Reader
    from ingest.settings import IngestSettings
    from ingest.sources import open_source

    settings = IngestSettings()
    ears = film_ears(ApiSettings(), settings)
    source = await anyio.to_thread.run_sync(partial(open_source, file, name=file.name, settings=settings))
    reader = Reader(settings, ears=ears)
    with tempfile.TemporaryDirectory(prefix="pagewarden-") as folder, _progress(silent=silent) as on_page:
        pages_dir = Path(folder)
        reading = await reader.read(
            source,
            pages_dir=pages_dir,
            on_page=on_page,
            only_page=asked.page_no,
            password=asked.password,
            within_s=asked.within_s,
        )
        if asked.page_no is not None:
            kept = tuple(page for page in reading.pages if page.no == asked.page_no)
            if not kept:
                raise Usage(f"{source.name} has no page {asked.page_no}.")
            reading = replace(reading, pages=kept)
        drawn = [] if into is None else await _draw(reader, source, reading.pages, pages_dir, into)
    return reading, drawn


async def _draw(
    reader: Reader, source: Source, pages: Sequence[Page], pages_dir: Path, into: Path
) -> list[Path]:
    """Write each page with its elements drawn on it, and return the files."""
    import anyio
    import anyio.to_thread

    from ingest.errors import NoPageImage, Unreadable
    from ingest.outlines import outline

    if any(page.start_s is not None for page in pages):
        return await _film_sheets(pages, pages_dir, into)
    shown = [page for page in pages if page.has_image]
    if not shown:
        complain("There is nothing to draw: this kind of file has no page images.")
        return []
    await anyio.Path(into).mkdir(parents=True, exist_ok=True)
    # A file that wanted a password lies open there.
    unlocked = pages_dir / "unlocked"
    file = unlocked if await anyio.Path(unlocked).is_file() else source.path
    drawn: list[Path] = []
    for page in shown:
        try:
            image = await reader.render(
                file, source.media_type, page.no, pages_dir=pages_dir, dpi=_DPI, longest=2400
            )
        except (Unreadable, NoPageImage) as error:
            complain(f"Page {page.no}: {error.detail}")
            continue
        path = into / f"{page.no}.png"
        await anyio.Path(path).write_bytes(await anyio.to_thread.run_sync(outline, image, page))
        drawn.append(path)
    return drawn


async def _film_sheets(pages: Sequence[Page], pages_dir: Path, into: Path) -> list[Path]:
    """Write a film's scenes as sheets of small pictures with times and words, and return the files."""
    import anyio
    import anyio.to_thread

    from ingest.contact import MOST, contact_sheet, frame_of

    await anyio.Path(into).mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    for first in range(0, len(pages), MOST):
        frames = []
        for page in pages[first : first + MOST]:
            file = anyio.Path(pages_dir / f"{page.no}.jpg")
            frames.append(frame_of(page, await file.read_bytes() if page.has_image else None))
        path = into / f"scenes-{len(drawn) + 1}.png"
        await anyio.Path(path).write_bytes(await anyio.to_thread.run_sync(contact_sheet, frames))
        drawn.append(path)
    return drawn


@contextmanager
def _progress(*, silent: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr while pages are read."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("Reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pages"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), disable=silent, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
