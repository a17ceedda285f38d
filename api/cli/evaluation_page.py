"""The page of an evaluation: its tables, and the worst answers beside the page that they cited.

One file without scripts or addresses. Pictures of pages are inside it: keep it out of a repository when the
documents are not yours to show.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from ingest.errors import NoPageImage

if TYPE_CHECKING:
    from agent.evaluate import Score
    from agent.records import Citation
    from agent.report import Abstention, Evaluation, Line
    from agent.run import GuardedAgent
    from ingest.records import Box, Scope

#: A page picture is 100 to 300 kB, and this is to be opened in a browser.
_WORST = 24
#: Shown around the cited region, in [0, 1] of the page.
_MARGIN = 0.06
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;color:#1c1f26}
table{border-collapse:collapse}td,th{border:1px solid #cdd2da;padding:.25rem .6rem;text-align:right}
td:first-child,th:first-child{text-align:left}article{border-top:1px solid #cdd2da;padding:1rem 0}
svg{max-width:100%;border:1px solid #cdd2da}b{color:#a32020}small{color:#5d6470}"""


async def page_of(whole: Evaluation, found: Sequence[Score], *, agent: GuardedAgent, scope: Scope) -> str:
    """Return the report as one HTML file."""
    parts = [
        _table(f"Pages found, searched in the {where}", by_type) for where, by_type in whole.retrieval.items()
    ]
    parts += [_table("Answers", whole.answers)] if whole.answers else []
    parts += [_curve(whole.abstention)] if whole.abstention and whole.abstention.risk_coverage else []
    parts += [_questions(whole.questions)] if whole.answers else []
    wrong = [score for score in found if score.right is False][:_WORST]
    parts += [f"<h2>{len(wrong)} of the answers that are wrong or missing</h2>"] if wrong else []
    for score in wrong:
        parts.append(await _article(score, agent=agent, scope=scope))
    body = "\n".join(parts)
    told = ", ".join(f"{escape(str(k))} {escape(str(v))}" for k, v in whole.config.items())
    return (
        f"<!doctype html><meta charset=utf-8><title>Evaluation</title><style>{_STYLE}</style>"
        f"<h1>Evaluation</h1><p><small>{told}</small></p>\n{body}\n"
    )


def _table(title: str, rows: object) -> str:
    assert isinstance(rows, dict), "tables are keyed by type"
    told = {key: row.model_dump(by_alias=True) for key, row in rows.items()}
    names = list(next(iter(told.values())))
    head = _row("th", ["type", *names])
    body = "".join(_row("td", [key, *row.values()]) for key, row in told.items())
    return f"<h2>{escape(title)}</h2><table>{head}{body}</table>"


def _curve(told: Abstention) -> str:
    """Draw risk over coverage as the threshold falls: where answers were given, surest first."""
    wide, high, edge = 480, 240, 36
    dots = [(edge + c * wide, edge + (1 - r) * high) for c, r in told.risk_coverage]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    ticks = "".join(
        f'<text x="{edge + share * wide:.0f}" y="{edge + high + 16}" text-anchor="middle">{share:g}</text>'
        f'<text x="{edge - 6}" y="{edge + (1 - share) * high + 4:.0f}" text-anchor="end">{share:g}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    facts = {
        "abstentions that were right": told.precision,
        "unanswerable that it left": told.recall,
        "answerable that it answered": told.coverage,
        "area under the curve": told.aurc,
    }
    said = ", ".join(f"{name} {_said(value)}" for name, value in facts.items())
    return (
        "<h2>Risk and coverage</h2><p>Share of wrong answers (up) among the surest share of those given "
        f"(right). {escape(said)}.</p>"
        f'<svg viewBox="0 0 {wide + 2 * edge} {high + 2 * edge}" width="{wide + 2 * edge}" role="img" '
        'font-size="11"><title>Risk over coverage</title>'
        f'<path d="M{edge} {edge}V{edge + high}H{edge + wide}" fill="none" stroke="#5d6470"/>{ticks}'
        f'<polyline points="{line}" fill="none" stroke="#1f5fbf" stroke-width="2"/></svg>'
    )


def _questions(lines: Sequence[Line]) -> str:
    """List what became of each question, the least sure answers last."""
    names = ["question", "id", "type", "outcome", "confidence", "seconds", "tokens in", "tokens out"]
    told = sorted(lines, key=lambda line: (line.kind != "answer", -(line.confidence or 0.0)))
    rows = [
        [
            line.question if len(line.question) <= 120 else line.question[:117] + "…",
            line.id,
            line.type,
            _outcome(line),
            line.confidence,
            line.seconds,
            line.tokens_in,
            line.tokens_out,
        ]
        for line in told
    ]
    body = "".join(_row("td", row) for row in rows)
    return f"<h2>Questions</h2><table>{_row('th', names)}{body}</table>"


def _outcome(line: Line) -> str:
    verdict = "right" if line.right else "wrong"
    return verdict if line.kind == "answer" else f"{line.kind}, {line.reason}: {verdict}"


def _row(tag: str, cells: Iterable[object]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(_said(cell))}</{tag}>" for cell in cells) + "</tr>"


def _said(cell: object) -> str:
    if isinstance(cell, tuple | list):
        return " to ".join(_said(one) for one in cell)
    return "-" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell)


async def _article(score: Score, *, agent: GuardedAgent, scope: Scope) -> str:
    answer, gold = score.answer, score.gold
    assert answer is not None, "only answers are wrong"
    said = answer.text if answer.kind == "answer" else f"{answer.text} ({answer.reason})"
    pages = ", ".join(str(no) for no in gold.evidence_pages) or "none"
    rows = [
        f"<h3>{escape(gold.question)}</h3>",
        f"<p><b>{escape(said)}</b><br>wanted: {escape(gold.answer)}</p>",
        f"<p><small>{escape(f'{gold.id}, {gold.type}, {gold.doc}, page {pages}')}</small></p>",
    ]
    cited = next(iter(answer.citations), None)
    if cited is not None:
        try:
            png = await agent.page(cited.document_id, cited.page_no, scope=scope, marks=cited.boxes)
        except NoPageImage:
            png = None  # the quote is all that there is to show
        rows.append(f"<p>{escape(cited.name)}, page {cited.page_no}: “{escape(cited.quote[:400])}”</p>")
        rows += [_crop(png, cited)] if png else []
    return f"<article>{''.join(rows)}</article>"


def _crop(png: bytes, cited: Citation) -> str:
    """Show the region of a page around what was cited; the picture is whole, the window is not."""
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    x0, y0, x1, y1 = _window(cited.boxes)
    across = round((x1 - x0) * width)
    view = f"{x0 * width:.0f} {y0 * height:.0f} {across} {(y1 - y0) * height:.0f}"
    picture = base64.b64encode(png).decode("ascii")
    return (
        f'<svg viewBox="{view}" width="{across}" role="img"><title>{escape(cited.name)}</title>'
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{picture}"/></svg>'
    )


def _window(boxes: Sequence[Box]) -> tuple[float, float, float, float]:
    if not boxes:
        return 0.0, 0.0, 1.0, 1.0
    top, bottom = min(b.y0 for b in boxes) - _MARGIN, max(b.y1 for b in boxes) + _MARGIN
    return 0.0, max(0.0, top), 1.0, min(1.0, bottom)
