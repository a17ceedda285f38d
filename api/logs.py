"""Logs as JSON Lines: what happened, with ids and numbers as fields; no text and no question among them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

#: What `extra=` may put into a line; everything else that a record carries stays out.
FIELDS = (
    "request_id",
    "trace_id",
    "who",
    "method",
    "route",
    "status",
    "ms",
    "kind",
    "reason",
    "sentences",
    "dropped",
)


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def log_json(stream: TextIO) -> None:
    """Send everything that this process logs to `stream`, as lines of JSON."""
    writing = logging.StreamHandler(stream)
    writing.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[writing], force=True)
    # They tell whole addresses, queries included.
    for name in ("httpx", "httpx2", "httpcore2", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
