"""Settings of the rails: read once at an entry point and passed down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from guardrails.errors import TelemetryOn


class GuardrailsSettings(BaseSettings):
    """Every field has a laptop default; each is an environment variable `PAGEWARDEN_GUARDRAILS_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="PAGEWARDEN_GUARDRAILS_", frozen=True, extra="ignore")

    rail_timeout_s: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Longest that one rail may take over the texts of one hop; then the texts are blocked."""
    policies: Path | None = None
    """Which policies apply to which tenant, collection and channel; None: `policies.yaml` in the home."""
    audit: Path | None = None
    """Append every verdict to this JSON Lines file (hashes, never texts); None keeps no record."""


class _Switches(BaseSettings):
    """The two switches as NeMo Guardrails reads them: names in capitals, "1" or "true"."""

    model_config = SettingsConfigDict(case_sensitive=True, frozen=True, extra="ignore")

    NEMO_GUARDRAILS_NO_USAGE_STATS: str = "0"
    DO_NOT_TRACK: str = "0"


def assert_telemetry_off() -> None:
    """Raise TelemetryOn unless both switches are set in the environment.

    NeMo Guardrails 0.24.1 reads them when rails are built and otherwise looks up NVIDIA's host; with CI or
    PYTEST_CURRENT_TEST set it keeps quiet, so a test without this assertion would prove nothing.
    """
    switches = _Switches()
    on = [name for name, value in switches.model_dump().items() if str(value).lower() not in ("1", "true")]
    if on:
        raise TelemetryOn(f"Set {' and '.join(f'{name}=1' for name in on)} before the rails are built.")
