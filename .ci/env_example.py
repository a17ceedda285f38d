"""Print .env.example: every setting with its default and the words of its docstring.

Usage: python .ci/env_example.py > .env.example     (`make env-example`)
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from agent.settings import AgentSettings
from api.settings import ApiSettings
from api.slack.settings import SlackSettings
from guardrails.settings import GuardrailsSettings
from ingest.settings import IngestSettings

HEAD = """\
# Every setting, with its default. Copy to .env, or set in the environment; unset what you do not change.
# docker-compose.yml reads .env; the command line reads the environment.
"""


SECTIONS = (ApiSettings, SlackSettings, IngestSettings, AgentSettings, GuardrailsSettings)


def words(settings: type[BaseSettings]) -> dict[str, str]:
    """Return the docstring below each field."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, doc in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(doc, ast.Expr)
        ):
            found[field.target.id] = " ".join(ast.literal_eval(doc.value).split())
    return found


def shown(value: Any) -> str:
    """Write a default as the environment would hold it; nothing for None and for what is computed."""
    if value is None or repr(value) == "PydanticUndefined" or isinstance(value, SecretStr):
        return ""
    if isinstance(value, tuple | frozenset):
        return json.dumps(sorted(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def section(settings: type[BaseSettings]) -> str:
    """Print one settings class; fields that read somebody else's variable are left out."""
    prefix, told = settings.model_config["env_prefix"], words(settings)
    lines = [f"\n# {(settings.__module__.partition('.')[0])}"]
    for name, field in settings.model_fields.items():
        if field.validation_alias is None:
            lines.append(f"# {told.get(name, '')}")
            lines.append(f"#{prefix}{name.upper()}={shown(field.default)}")
    return "\n".join(lines)


def main() -> None:
    """Print all of it."""
    print(HEAD + "\n".join(map(section, SECTIONS)))


if __name__ == "__main__":
    main()
