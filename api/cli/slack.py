"""`pagewarden slack`: answers in Slack, without the page and the API; or a try whether it could."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.edge import console, run
from api.cli.options import Home, Usage, settings_of

if TYPE_CHECKING:
    from api.slack.settings import SlackSettings


def slack(
    context: typer.Context,
    check: Annotated[
        str | None,
        typer.Option(
            "--check", metavar="PLACE", help="Post into this channel or to this person (C…, U…), and leave."
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Answer in Slack over Socket Mode; `serve` does the same beside the page. Set-up: docs/slack.md.

    Example: pagewarden slack --check C0123456789
    """

    async def verb() -> int:
        settings, door = settings_of(context, home), slack_settings()
        if door.bot_token is None:
            raise Usage("PAGEWARDEN_SLACK_BOT_TOKEN is not set; docs/slack.md says where it comes from.")
        if check is not None:
            return await _check(door, check)
        if door.app_token is None:
            raise Usage("Without PAGEWARDEN_SLACK_APP_TOKEN events come over HTTP: run `pagewarden serve`.")
        import anyio

        from api.slack.door import open_slack
        from api.wiring import open_house

        screen = console(stderr=True)
        async with open_house(settings) as house, open_slack(house, api=settings, settings=door) as opened:
            for branch in opened.branches.values():
                name = f"{branch.workspace.team}, as {branch.workspace.bot_user}"
                screen.print(f"Answering in {name}    (Ctrl-C ends it)", highlight=False, markup=False)
            if opened.directory.empty:
                place = settings.home / "slack.yaml"
                screen.print(f"Nobody may read anything yet: write {place} (docs/slack.md).", style="yellow")
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    break
        return 0

    run(verb, as_json=False)


def slack_settings() -> SlackSettings:
    """Read the settings of the Slack door. Raises Usage."""
    from pydantic import ValidationError

    from api.slack.settings import SlackSettings

    try:
        return SlackSettings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"PAGEWARDEN_SLACK_{str(step).upper()}: " for step in first["loc"])
        raise Usage(place + first["msg"].removeprefix("Value error, ")) from error


async def _check(settings: SlackSettings, place: str) -> int:
    """Go through every step that an answer needs; say what works and what does not."""
    from api.slack.check import findings

    out = console(stderr=False)
    worst = 0
    async for finding in findings(settings, place):
        mark = "ok " if finding.ok else "BAD"
        out.print(f"{mark}  {finding.what}: {finding.detail}", markup=False, highlight=False)
        worst = worst if finding.ok else 4
    return worst
