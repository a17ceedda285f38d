"""Settings of the Slack door; without a bot token the door stays shut."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SlackSettings(BaseSettings):
    """Every field is an environment variable `PAGEWARDEN_SLACK_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="PAGEWARDEN_SLACK_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    bot_token: SecretStr | None = None
    """The bot's token (`xoxb-…`); with it `serve` opens the Slack door too."""
    app_token: SecretStr | None = None
    """The app-level token (`xapp-…`) for Socket Mode: no public address is needed."""
    signing_secret: SecretStr | None = None
    """The signing secret for events over HTTP (`/slack/events`)."""
    api_url: str = "https://slack.com/api/"
    """Where Slack's Web API is."""
    sign_in_url: str | None = None
    """Where people sign in whom we do not know; None: they are told to ask their administrator."""
    stream: bool = True
    """Write answers with Slack's own streaming where the workspace has it, else by editing a message."""
    at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """Answers that are written at the same time by one process."""
    per_workspace: Annotated[int, Field(ge=1, le=64)] = 3
    """Of these, the most for one workspace, over all processes."""
    pace_s: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Shortest time between two changes of one message, seconds."""
    rate: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Share of Slack's published rates that this process takes; 0.5 where two share a workspace."""
    answer_s: Annotated[float, Field(gt=0)] = 180.0
    """Longest time for one answer, seconds; then the asker gets an apology."""
    lease_s: Annotated[float, Field(gt=0)] = 30.0
    """Time after which the question of a process that died is taken over, seconds."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often a question is taken up before it is closed with an apology."""
    crops: Annotated[int, Field(ge=0, le=5)] = 2
    """Cited regions shown as pictures below an answer, where everyone there may see them."""
    fold_chars: Annotated[int, Field(ge=300, le=11_000)] = 2_800
    """Longer answers are folded: the rest opens with a button."""
    keep_days: Annotated[int, Field(ge=1)] = 30
    """How long questions and answers are remembered for follow-ups and buttons; feedback stays."""
    max_audience: Annotated[int, Field(ge=1)] = 500
    """In a larger channel nobody is looked up: only what every kind of person may read is told there."""

    @model_validator(mode="after")
    def _whole(self) -> SlackSettings:
        if self.bot_token is not None and self.app_token is None and self.signing_secret is None:
            raise ValueError(
                "PAGEWARDEN_SLACK_BOT_TOKEN is set, but no way for Slack to reach us: set "
                "PAGEWARDEN_SLACK_APP_TOKEN (Socket Mode) or PAGEWARDEN_SLACK_SIGNING_SECRET (HTTP)"
            )
        if self.bot_token is None and (self.app_token or self.signing_secret):
            raise ValueError("PAGEWARDEN_SLACK_BOT_TOKEN is missing: the bot cannot answer without it")
        return self

    def is_slacks(self, url: str) -> bool:
        """Say whether an address that came with an event is Slack's own, so that it may be called."""
        ours, given = urlsplit(self.api_url), urlsplit(url)
        if (given.scheme, given.netloc) == (ours.scheme, ours.netloc):
            return True
        return given.scheme == "https" and (given.hostname or "").endswith(".slack.com")
