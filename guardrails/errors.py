"""What can go wrong with rails themselves; a "no" is a verdict, never one of these.

GuardrailsError        .code .retryable .detail
└── PolicyError        a policy file is missing, unreadable or names an unknown rail
"""

from __future__ import annotations


class GuardrailsError(Exception):
    """Base of every error this package raises on purpose."""

    code = "guardrails"
    retryable = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class PolicyError(GuardrailsError):
    """A policy file is at fault."""

    code = "policy"
