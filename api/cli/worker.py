"""`pagewarden worker`: a process that only reads what comes in, as many of them as you like."""

from __future__ import annotations

import typer

from api.cli.edge import console, run
from api.cli.options import Home, Usage, settings_of


def worker(context: typer.Context, home: Home = None) -> None:
    """Run jobs beside a server that has `PAGEWARDEN_WORK=apart` (with a Qdrant server).

    SIGTERM and Ctrl-C stop it gracefully: what is half read goes on elsewhere where it was.

    Example: PAGEWARDEN_QDRANT_URL=http://127.0.0.1:6333 pagewarden worker
    """

    async def verb() -> int:
        import asyncio
        import signal

        settings = settings_of(context, home)
        if settings.qdrant_url is None:
            raise Usage(
                "A worker of its own wants a Qdrant server (PAGEWARDEN_QDRANT_URL); without one the index "
                "belongs to one process, and `pagewarden serve` reads what comes in."
            )
        from api.wiring import open_house

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with open_house(settings) as house:
            house.work()
            console(stderr=True).print("Working    (Ctrl-C ends it)", highlight=False)
            await stop.wait()
        return 0

    run(verb, as_json=False)
