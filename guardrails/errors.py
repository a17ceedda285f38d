"""What can go wrong with rails themselves; a "no" is a verdict, never one of these.

GuardrailsError        .code .retryable .detail
├── PolicyError        a policy file is missing, unreadable or names an unknown rail
├── TelemetryOn        a dependency would phone home: its switches are not set
├── JudgeReply         the served guard model answered something that does not fit its schema
└── ClassifierUnfit    the classifier's file is missing or altered, or what runs it is not installed
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


class TelemetryOn(GuardrailsError):
    """NeMo Guardrails would look up its usage-statistics host."""

    code = "telemetry_on"


class JudgeReply(GuardrailsError):
    """The served guard model answered something that does not fit its schema."""

    code = "judge_reply"


class ClassifierUnfit(GuardrailsError):
    """The classifier's file is missing or altered, or what runs it is not installed."""

    code = "classifier_unfit"
