"""What callers are told when something goes wrong: as an RFC 9457 problem, in OpenAI's form, as an exit code.

ApiError               .code .detail
├── Unauthorized       no key, or a wrong one
├── Forbidden          a foreign origin or host name, or a role that is not enough
├── NotFound           absent and not allowed look the same
├── BadRequest         the request does not fit
├── CannotLook         a picture in a question, and no eyes for it
├── Oversized          the request is over a limit
├── BadRow             a line of a file of rows does not fit
├── RateLimited        a limit of the caller is reached     .after_s .rate
├── Busy               the server gives no more answers at once     .after_s
├── KeyReused          an Idempotency-Key came with another request before
├── StillRunning       the first request with an Idempotency-Key is not done
├── SlowBody           the request did not arrive in time
├── ProviderDown       the sign-in provider does not answer
├── PortInUse          somebody listens there already
└── BenchmarkFailed    the harness gave no result that can be believed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from agent.errors import AgentError
from api.slack.errors import SlackError
from api.startup import StartupError
from guardrails.errors import GuardrailsError
from ingest.errors import IngestError

if TYPE_CHECKING:
    from api.limits import Rate


class ApiError(Exception):
    """Base of every error of the doors themselves."""

    code = "internal"

    def __init__(self, detail: str, *, param: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param


class Unauthorized(ApiError):
    """No key, or a wrong one."""

    code = "unauthorized"


class Forbidden(ApiError):
    """A foreign origin or host name, or a role that is not enough."""

    code = "forbidden"


class NotFound(ApiError):
    """Absent and not allowed look the same."""

    code = "not_found"


class BadRequest(ApiError):
    """The request does not fit; trying again changes nothing."""

    code = "bad_request"


class CannotLook(ApiError):
    """A picture in a question, and no eyes for it; trying again changes nothing."""

    code = "cannot_look"


class Oversized(ApiError):
    """The request is over a limit of the settings."""

    code = "too_large"


class BadRow(ApiError):
    """A line of a file of rows does not fit; nothing of the file was used."""

    code = "bad_row"


class RateLimited(ApiError):
    """A limit of the caller is reached; `after_s` says when trying again helps, None: waiting does not."""

    code = "rate_limited"

    def __init__(self, detail: str, *, after_s: int | None = None, rate: Rate | None = None) -> None:
        super().__init__(detail)
        self.after_s, self.rate = after_s, rate


class Busy(ApiError):
    """The server gives no more answers at once; trying again soon helps."""

    code = "busy"

    def __init__(self, detail: str, *, after_s: int) -> None:
        super().__init__(detail)
        self.after_s = after_s


class KeyReused(ApiError):
    """An Idempotency-Key came with another request before."""

    code = "key_reused"


class StillRunning(ApiError):
    """The first request with an Idempotency-Key is not done; trying again later helps."""

    code = "still_running"


class SlowBody(ApiError):
    """The request did not arrive in time."""

    code = "slow_body"


class ProviderDown(ApiError):
    """The sign-in provider does not answer; trying again later helps."""

    code = "provider_down"


class PortInUse(ApiError):
    """Somebody listens there already."""

    code = "port_in_use"


class BenchmarkFailed(ApiError):
    """The harness gave no result that can be believed."""

    code = "benchmark_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one code is told: a short title, its HTTP status, and the exit code of the command line."""

    title: str
    status: int
    exit: int


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "missing": Kind(title="There is no such file", status=422, exit=3),
        "empty": Kind(title="The file is empty", status=422, exit=3),
        "too_large": Kind(title="Too large", status=413, exit=3),
        "unknown_type": Kind(title="No reader for this kind of file", status=415, exit=3),
        "encrypted": Kind(title="The file wants a password", status=422, exit=3),
        "damaged": Kind(title="The file is damaged", status=422, exit=3),
        "too_many_pages": Kind(title="Too many pages", status=413, exit=3),
        "unsafe_archive": Kind(title="The archive is not safe to unpack", status=422, exit=3),
        "unsafe_markup": Kind(title="The markup is not safe to read", status=422, exit=3),
        "timeout": Kind(title="Reading took too long", status=422, exit=3),
        "out_of_memory": Kind(title="Reading wants too much memory", status=422, exit=3),
        "needs_program": Kind(title="A program is missing that reads this kind of file", status=422, exit=3),
        "unreadable": Kind(title="The page cannot be drawn", status=422, exit=3),
        "no_page_image": Kind(title="There is no page image", status=404, exit=3),
        "address_refused": Kind(title="That address is not fetched", status=422, exit=3),
        "not_fetched": Kind(title="The file was not handed out", status=502, exit=3),
        "bad_input": Kind(title="The file could not be read", status=422, exit=3),
        "quarantined": Kind(title="A rail put the file into quarantine", status=422, exit=3),
        "refused": Kind(title="A rail said no", status=422, exit=3),
        "library": Kind(title="The library is at fault", status=500, exit=1),
        "locked": Kind(title="The library is in use by another process", status=503, exit=5),
        "unscreened": Kind(title="The rails came to no decision", status=503, exit=4),
        "index_down": Kind(title="The index server does not answer", status=503, exit=4),
        "incompatible": Kind(title="The library was made by another version", status=500, exit=4),
        "weights_missing": Kind(title="A model file is missing", status=503, exit=4),
        "model": Kind(title="The model server is at fault", status=502, exit=4),
        "model_down": Kind(title="The model server does not answer", status=503, exit=4),
        "no_words": Kind(title="The model said nothing", status=502, exit=4),
        "prompt_too_long": Kind(title="The sources do not fit into the model", status=502, exit=4),
        "model_reply": Kind(title="The model answered something unusable", status=502, exit=4),
        "thread_corrupt": Kind(title="The stored conversation is damaged", status=409, exit=1),
        "policy": Kind(title="The policy is at fault", status=500, exit=2),
        "judge_reply": Kind(title="The judge answered something unusable", status=502, exit=4),
        "telemetry_on": Kind(title="The process is not safe to run", status=500, exit=1),
        "unsafe_checkpoints": Kind(title="The process is not safe to run", status=500, exit=1),
        "startup": Kind(title="The process is not safe to run", status=500, exit=1),
        "fenced": Kind(title="Another worker took over", status=503, exit=4),
        "worker_died": Kind(title="The file ends the process that reads it", status=422, exit=3),
        "cancelled": Kind(title="The job was cancelled", status=409, exit=3),
        "superseded": Kind(title="A newer version of the file came", status=409, exit=3),
        "removed": Kind(title="The document was removed meanwhile", status=409, exit=3),
        "unauthorized": Kind(title="A key is needed", status=401, exit=4),
        "forbidden": Kind(title="Not from here", status=403, exit=3),
        "rate_limited": Kind(title="A limit is reached", status=429, exit=4),
        "busy": Kind(title="The server is busy", status=503, exit=4),
        "key_reused": Kind(title="The Idempotency-Key was used before", status=422, exit=3),
        "still_running": Kind(title="The first request is still running", status=409, exit=4),
        "slow_body": Kind(title="The request came too slowly", status=408, exit=4),
        "provider_down": Kind(title="The sign-in provider does not answer", status=503, exit=4),
        "not_found": Kind(title="Not found", status=404, exit=3),
        "method_not_allowed": Kind(title="Method not allowed", status=405, exit=2),
        "bad_request": Kind(title="The request does not fit", status=400, exit=2),
        "cannot_look": Kind(title="Pictures in questions are not looked at", status=400, exit=2),
        "bad_row": Kind(title="A row does not fit", status=400, exit=2),
        "usage": Kind(title="The command does not fit", status=400, exit=2),
        "benchmark_failed": Kind(title="The benchmark gave no result", status=502, exit=4),
        "port_in_use": Kind(title="The port is in use", status=503, exit=5),
        "server_down": Kind(title="The running server does not answer", status=503, exit=4),
        "slack": Kind(title="Slack does not take part", status=502, exit=4),
        "internal": Kind(title="Something broke inside", status=500, exit=1),
    }
)

#: The errors that carry a sentence for people; anything else is told as "internal" without its text.
Told = (ApiError, AgentError, GuardrailsError, IngestError, SlackError, StartupError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that went wrong, ready to be told at any door."""

    code: str
    detail: str
    request_id: str = ""
    param: str | None = None
    #: Seconds after which trying again helps.
    after_s: int | None = None

    @property
    def kind(self) -> Kind:
        """Return how this code is told; an unknown one is internal."""
        return KINDS.get(self.code, KINDS["internal"])

    def as_problem(self) -> dict[str, object]:
        """Return the RFC 9457 document."""
        told: dict[str, object] = {
            "type": f"urn:pagewarden:problem:{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "code": self.code,
        }
        return told | ({"request_id": self.request_id} if self.request_id else {})

    def as_openai(self) -> dict[str, object]:
        """Return OpenAI's error body."""
        status = self.kind.status
        named = {
            400: "invalid_request_error",
            401: "authentication_error",
            403: "permission_error",
            429: "rate_limit_error",
        }
        fallback = "server_error" if status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": self.detail,
                "type": named.get(status, fallback),
                "param": self.param,
                "code": self.code,
            }
        }


def alone(error: BaseException) -> BaseException:
    """Return the error inside groups of one; any other as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def problem_of(error: BaseException, *, request_id: str = "") -> Problem:
    """Turn any error into what may be told: ours with their sentence, others with nothing of theirs."""
    error = alone(error)
    if isinstance(error, Told):
        code = error.code if error.code in KINDS else "internal"
        return Problem(
            code=code,
            detail=error.detail,
            request_id=request_id,
            param=getattr(error, "param", None),
            after_s=getattr(error, "after_s", None),
        )
    detail = "Something broke inside; nothing was changed half-way."
    if request_id:
        detail += f" The log names it as {request_id}."
    return Problem(code="internal", detail=detail, request_id=request_id)
