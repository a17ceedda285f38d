"""The first thing every entry point runs: switches that libraries read once, set before they are imported.

Each of them was measured to fail silently when set late: LangGraph reads its msgpack switch at import (a
forged row of a thread otherwise runs code), unstructured phones home while it is imported, NeMo Guardrails at
its first use.
This is the one file that writes to the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import MappingProxyType

#: What the environment must say, whatever it said before.
SWITCHES: Mapping[str, str] = MappingProxyType(
    {
        "DO_NOT_TRACK": "1",
        "NEMO_GUARDRAILS_NO_USAGE_STATS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "LANGGRAPH_STRICT_MSGPACK": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "SCARF_NO_ANALYTICS": "true",
        "ANONYMIZED_TELEMETRY": "false",
        "LANGSMITH_TRACING": "false",
        "LANGSMITH_TRACING_V2": "false",
        "LANGCHAIN_TRACING": "false",
        "LANGCHAIN_TRACING_V2": "false",
    }
)

#: Packages that read a switch while they are imported: too late to set it afterwards.
READ_AT_IMPORT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "langgraph": ("LANGGRAPH_STRICT_MSGPACK",),
        "unstructured": ("DO_NOT_TRACK", "SCARF_NO_ANALYTICS"),
        # 1.32 leaves a device id and a database of events in the home directory while it is imported.
        "onnxruntime": ("ORT_DISABLE_TELEMETRY",),
        "huggingface_hub": ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE"),
        "ray": ("RAY_USAGE_STATS_ENABLED",),
    }
)


class StartupError(RuntimeError):
    """The process is not safe to go on with; the sentence says what was imported or changed too early."""

    code = "startup"
    retryable = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def prepare() -> None:
    """Set every switch. Raises StartupError where a package has read its switch before it was set."""
    for package, names in READ_AT_IMPORT.items():
        unset = [name for name in names if os.environ.get(name) != SWITCHES[name]]
        if package in sys.modules and unset:
            raise StartupError(
                f"{package} was imported before {', '.join(unset)} was set; call api.startup.prepare() first"
            )
    os.environ.update(SWITCHES)


def confirm() -> None:
    """Assert, with everything imported, that the switches stand and that LangGraph believes them."""
    changed = [name for name, value in SWITCHES.items() if os.environ.get(name) != value]
    if changed:
        raise StartupError(
            f"{', '.join(changed)} changed after the start; something in this process resets it"
        )
    serde = sys.modules.get("langgraph.checkpoint.serde._msgpack")
    if serde is not None and getattr(serde, "STRICT_MSGPACK_ENABLED", None) is not True:
        raise StartupError("LangGraph would run code from a stored thread: its strict msgpack switch is off")
