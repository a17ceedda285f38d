"""What can go wrong between Slack and us.

SlackError        .code .retryable .detail, and Slack's own word for it
├── Busy          over the rate: wait `retry_after_s` (retryable)
├── Uncertain     the connection broke after we spoke: Slack may have heard us (retryable)
└── LeaseLost     another process took the errand over: leave it alone
"""

from __future__ import annotations


class SlackError(Exception):
    """Slack said no; `word` is its own code ("channel_not_found")."""

    code = "slack"
    retryable = False

    def __init__(self, detail: str, *, word: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.word = word


class Busy(SlackError):
    """Too many requests; nothing was done."""

    retryable = True

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail, word="ratelimited")
        self.retry_after_s = retry_after_s


class Uncertain(SlackError):
    """No reply came back: it may have been done or not, so it is looked up before it is repeated."""

    retryable = True


class LeaseLost(SlackError):
    """Another process has taken the errand over."""
