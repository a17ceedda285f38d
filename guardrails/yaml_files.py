"""A YAML file read as a pydantic model, so that whatever is wrong in it is told with its line.

A key that stands twice is an error: YAML would take the last one in silence, and the first may have been the
stricter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import yaml  # type: ignore[import-untyped, unused-ignore]
from pydantic import BaseModel, ValidationError

from guardrails.errors import PolicyError

#: The one in C reads a policy in a millisecond, the other in twenty.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Model = TypeVar("Model", bound=BaseModel)


def read_as(model: type[Model], path: Path, *, what: str) -> Model:
    """Return the file as a `model`. Raises PolicyError, which names the line, and FileNotFoundError."""
    try:
        loader = _LOADER(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        content = None if root is None else loader.construct_document(root)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise PolicyError(f"The {what} {path.name} cannot be read: {error}") from error
    for line, key in _twice(root):
        raise PolicyError(f"The {what} {path.name} is wrong at line {line}: {key!r} stands there again.")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or what
        told = first["msg"].removeprefix("Value error, ")
        line = _line(root, first["loc"])
        raise PolicyError(f"The {what} {path.name} is wrong at line {line}, {place}: {told}") from error


def _line(node: yaml.Node | None, place: tuple[int | str, ...]) -> int:
    """Return the line, from 1, of the deepest part of `place` that is written in the file."""
    line = 1 if node is None else int(node.start_mark.line) + 1
    for step in place:
        inner = _inner(node, step)
        if inner is None:
            # Steps that pydantic adds (which of several shapes it tried) stand nowhere in the file.
            continue
        key, node = inner
        line = int(key.start_mark.line) + 1
    return line


def _inner(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _twice(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Yield (line, key) of every key that stands for the second time in its mapping."""
    if isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twice(value)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                yield int(key.start_mark.line) + 1, str(key.value)
            seen.add(str(key.value))
            yield from _twice(value)
