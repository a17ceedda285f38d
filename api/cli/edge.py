"""The process edge of the command line: runs a verb, turns errors into a sentence and an exit code.

0 ok, 1 internal, 2 usage, 3 refused or failed input, 4 something missing, 5 locked or port in use, 141 nobody
reads on.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import typer

from api.cli.options import Usage

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

logger = logging.getLogger(__name__)


def run(verb: Callable[[], Awaitable[int]], *, as_json: bool) -> None:
    """Run a verb to its exit code and leave with it."""
    import anyio

    try:
        code = anyio.run(verb)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # Whoever read us (`head`) has enough; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None
    except Exception as error:
        raise typer.Exit(_told(error, as_json=as_json)) from None
    raise typer.Exit(code)


def _told(error: Exception, *, as_json: bool) -> int:
    from api.errors import Problem, problem_of

    problem = Problem(code=error.code, detail=error.detail) if isinstance(error, Usage) else problem_of(error)
    if problem.code == "internal":
        # A broken inside is shown whole: this is the operator's own terminal.
        logging.basicConfig(stream=sys.stderr)
        logger.error("the command broke", exc_info=error)
    if as_json:
        sys.stdout.write(json.dumps(problem.as_problem(), ensure_ascii=False) + "\n")
    complain(f"{problem.kind.title}: {problem.detail}")
    return problem.kind.exit


def complain(text: str) -> None:
    """Say on stderr what went wrong."""
    console(stderr=True).print(text, style="red", markup=False, highlight=False)


def console(*, stderr: bool) -> Console:
    """Return the terminal for people: stderr for progress, stdout for what was asked for."""
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=not sys.stdout.isatty())


def print_json(told: BaseModel) -> None:
    """Print the one JSON document of a verb."""
    sys.stdout.write(told.model_dump_json() + "\n")
