"""One answer from a film and a document: the library is filled and asked by command, both are cited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.api.test_cli import fits, pagewarden
from tests.ingest.films import pattern, slide, write_film

pytestmark = pytest.mark.weights

SAID = """\
1
00:00:00,500 --> 00:00:03,500
We are below the harbour bridge today.

2
00:00:05,000 --> 00:00:08,000
The inspectors found 14 cracked bearings under the harbour bridge.
"""
BUDGET = "# Harbour bridge\n\nReplacing the bearings of the harbour bridge costs 3,200 euros each.\n"
QUESTION = (
    "What do the inspectors say about the bearings of the harbour bridge, and what does replacing the "
    "bearings cost?"
)


def test_one_answer_cites_the_seconds_of_a_film_and_the_page_of_a_document(
    weights_dir: Path, tmp_path: Path
) -> None:
    files, env = tmp_path / "files", {"PAGEWARDEN_WEIGHTS": str(weights_dir), "PAGEWARDEN_WRITER": "quotes"}
    files.mkdir()
    scenes = [(slide("HARBOUR BRIDGE"), 4.0), (pattern(2, size=(640, 360)), 6.0)]
    write_film(files / "inspection.mp4", scenes)
    (files / "inspection.srt").write_text(SAID)
    (files / "budget.md").write_text(BUDGET)
    home = tmp_path / "library"
    added = pagewarden(
        *("add", str(files / "inspection.mp4"), str(files / "budget.md"), "--json"), home=home, **env
    )
    assert added.returncode == 0, added.stderr
    asked = pagewarden("ask", QUESTION, "--json", home=home, **env)
    answer = json.loads(asked.stdout)
    fits("answer", answer)
    cited = {one["name"]: (one["page_no"], one["start_s"], one["end_s"]) for one in answer["citations"]}
    assert cited == {"inspection.mp4": (2, 5.0, 8.0), "budget.md": (1, None, None)}
    assert "14 cracked bearings" in answer["text"]
    assert "3,200 euros" in answer["text"]
