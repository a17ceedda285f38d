"""What can go wrong while answering; abstentions and refusals are answers, never one of these.

AgentError             .code .retryable .detail
├── WriterDown         the model server failed mid-answer (retryable)
├── ThreadCorrupt      a stored thread does not load as plain values
└── UnsafeCheckpoints  stored threads could run code: the process was started wrongly
"""

from __future__ import annotations


class AgentError(Exception):
    """Base of every error this package raises on purpose."""

    code = "agent"
    retryable = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class WriterDown(AgentError):
    """The model server failed before the answer was complete."""

    code = "model_down"
    retryable = True


class ThreadCorrupt(AgentError):
    """A stored thread does not load as plain values; nothing of it was run."""

    code = "thread_corrupt"


class UnsafeCheckpoints(AgentError):
    """LangGraph was imported without strict mode: a stored conversation could run code."""

    code = "unsafe_checkpoints"
