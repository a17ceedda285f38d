"""Run by the vLLM environment: parse command lines with vLLM's own parser and checks, print what came out.

stdin: a JSON list of argument lists (what follows `vllm serve`). stdout: a JSON list of {"error": …} or
{"flags": {name: value}}.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser


def parsed(words: list[str]) -> dict[str, object]:
    parser = make_arg_parser(FlexibleArgumentParser())
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = parser.parse_args(words)
            validate_parsed_serve_args(args)
    except SystemExit:
        return {"error": said.getvalue().strip().splitlines()[-1]}
    except (ValueError, TypeError) as error:
        return {"error": str(error)}
    return {"flags": json.loads(json.dumps(vars(args), default=str))}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answers = [parsed(words) for words in asked]
    sys.stdout.write("\n" + json.dumps(answers) + "\n")
