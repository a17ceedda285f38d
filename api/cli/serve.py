"""`pagewarden serve`: the page and the API, on loopback unless told otherwise."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, print_json, run
from api.cli.options import AsJson, Home, Usage, settings_of

if TYPE_CHECKING:
    import asyncio

    from fastapi import APIRouter
    from uvicorn import Server

    from api.house import House
    from api.schemas import StatusOut
    from api.settings import ApiSettings

#: Between two looks whether the shelf is judged by the policy and the model in force.
_LOOKED_EACH_S = 30.0


def serve(
    context: typer.Context,
    sample: Annotated[bool, typer.Option("--sample", help="Shelve the sample library and try it.")] = False,
    sample_dir: Annotated[Path | None, typer.Option(help="Take the sample from this folder.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Leave before listening.")] = False,
    host: Annotated[str | None, typer.Option(help="Listen here; anything but loopback wants a key.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    as_json: AsJson = False,
    home: Home = None,
) -> None:
    """Serve the page at / and the OpenAI-compatible API at /v1.

    Example: pagewarden serve --sample
    """

    async def verb() -> int:
        from api.wiring import open_house

        settings = settings_of(context, home, host=host, port=port)
        if settings.log == "json":
            from api.logs import log_json

            log_json(sys.stderr)
        folder = _sample_folder(sample_dir) if sample or sample_dir else None
        with _listening(settings, once=once) as listener:
            async with open_house(settings) as house, _slack(house, settings, once=once) as doors:
                if folder is not None:
                    await _shelve_sample(house, settings, folder, quiet=as_json)
                if settings.work == "inside":
                    house.work()
                told = await _status(house, settings)
                if as_json:
                    print_json(told)
                demonstration = _ask_demo(house, settings, folder, quiet=as_json)
                if listener is None:
                    await demonstration
                else:
                    await _stay_up(house, settings, listener, told, doors=doors, meanwhile=demonstration)
        return 0

    run(verb, as_json=as_json)


def _sample_folder(given: Path | None) -> Path:
    from api.sample import sample_folder

    folder = given or sample_folder()
    if folder is None or not folder.is_dir():
        raise Usage("The sample library is not here; name its folder with --sample-dir.")
    return folder


async def _shelve_sample(house: House, settings: ApiSettings, folder: Path, *, quiet: bool) -> None:
    """Shelve the sample library."""
    from api.cli.add import shelve
    from api.cli.door import LocalDoor
    from api.cli.gather import Given
    from api.sample import sample_files

    files = [Given(path=path, name=path.relative_to(folder).as_posix()) for path in sample_files(folder)]
    console(stderr=True).print("The sample library", style="bold")
    await shelve(LocalDoor(house, settings), files, progress=not quiet)


async def _ask_demo(house: House, settings: ApiSettings, folder: Path | None, *, quiet: bool) -> None:
    """Ask the sample's demonstration questions, if it was shelved."""
    from api.cli.ask import told
    from api.cli.door import LocalDoor
    from api.sample import questions

    door = LocalDoor(house, settings)
    screen = console(stderr=True)
    for asked in questions(folder) if folder else ():
        if asked.demo:
            screen.print(f"\n{asked.question}", style="bold", markup=False, highlight=False)
            await told(door, asked.question, quiet=quiet)


async def _status(house: House, settings: ApiSettings) -> StatusOut:
    from api.cli.door import LocalDoor

    return await LocalDoor(house, settings).status()


@contextlib.asynccontextmanager
async def _slack(house: House, settings: ApiSettings, *, once: bool) -> AsyncGenerator[list[APIRouter]]:
    """Open the Slack door where there are tokens for it. Raises Usage, SlackError."""
    from api.cli.slack import slack_settings

    slack = slack_settings()
    if slack.bot_token is None or once:
        yield []
        return
    from api.slack.door import open_slack
    from api.slack.http import router_of

    async with open_slack(house, api=settings, settings=slack) as door:
        yield [router_of(door.app)] if slack.signing_secret is not None else []


@contextlib.contextmanager
def _listening(settings: ApiSettings, *, once: bool) -> Iterator[socket.socket | None]:
    """Take the port before anything is loaded. Raises PortInUse."""
    from api.errors import PortInUse

    if once:
        yield None
        return
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Usage(f"{settings.host} is no address to listen on: {error.strerror}.") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            raise PortInUse(
                f"{settings.host}:{settings.port} is taken ({error.strerror}); stop what listens there, "
                "or choose another port with --port."
            ) from error
        yield listener


async def _stay_up(
    house: House,
    settings: ApiSettings,
    listener: socket.socket,
    told: StatusOut,
    *,
    doors: Sequence[APIRouter],
    meanwhile: Coroutine[None, None, None],
) -> None:
    """Serve until a signal says stop, and do `meanwhile` once the door is open."""
    import asyncio

    from api.app import create_app
    from api.cli.door import Running, announce, withdraw
    from api.settings import is_loopback

    port = listener.getsockname()[1]
    shown = settings.host if is_loopback(settings.host) else "127.0.0.1"
    url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    running = Running(url=url, pid=os.getpid(), instance=secrets.token_hex(16))
    server = _server(create_app(house, settings=settings, instance=running.instance, doors=doors))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    announce(settings.home, running)
    warming = asyncio.create_task(_warm(house, meanwhile))
    warming.add_done_callback(_say_if_cold)
    judging = asyncio.create_task(_judge_again(house))
    try:
        _say_hello(told, settings, url)
        await server.serve(sockets=[listener])
    finally:
        withdraw(settings.home, running)
        for task in (warming, judging):
            task.cancel()
        await asyncio.gather(warming, judging, return_exceptions=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _judge_again(house: House) -> None:
    """Look now and then whether policy or model changed, and judge the shelf again where they did."""
    import asyncio
    import logging

    from ingest.errors import IngestError

    while house.rescreen is not None:
        try:
            told = await house.rescreen(lambda name, became: None)
        except IngestError as error:
            logging.getLogger(__name__).error("the shelf could not be judged again: %s", error.detail)
        else:
            if told.passed or told.added or told.quarantined:
                logging.getLogger(__name__).info("the shelf was judged again: %s", told)
        await asyncio.sleep(_LOOKED_EACH_S)


async def _warm(house: House, meanwhile: Coroutine[None, None, None]) -> None:
    await house.warm()
    await meanwhile


def _server(app: object) -> Server:
    import uvicorn

    class Quiet(uvicorn.Server):
        """uvicorn without its own signals: it would raise SIGTERM again before the house is closed."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Quiet(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            lifespan="off",
            log_level="warning",
            access_log=False,
            # Nobody's X-Forwarded-For decides who is on loopback.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


def _say_if_cold(warming: asyncio.Task[None]) -> None:
    if not warming.cancelled() and (error := warming.exception()) is not None:
        from api.cli.edge import complain
        from api.errors import problem_of

        complain(f"The local model did not start: {problem_of(error).detail}")


def _say_hello(told: StatusOut, settings: ApiSettings, url: str) -> None:
    from rich.markup import escape

    screen = console(stderr=True)
    writer = told.model or "quotes, no model"
    screen.print(f"\n[bold green]Pagewarden[/] is up at [bold]{url}[/]    (Ctrl-C ends it)", highlight=False)
    lines = [
        f"Library   {settings.home}",
        f"Holds     {told.documents} documents, {told.pages} pages",
        f"Eyes      {told.vision}",
        f"Writer    {writer}",
        f"Reads     {', '.join(told.languages)}",
    ]
    lines += [f"Off       {lack.what}\n          {lack.how}" for lack in told.off]
    screen.print(escape("\n".join(lines)), highlight=False)
