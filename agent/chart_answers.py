"""What code answers from a chart: ticks, titles, colours, printed values, counts and what two charts share.

A rule fires only where the whole sentence is understood and the chart leaves one answer; all parts of a
question are answered, or none. The answer is made again from the cited evidence alone before it is shown
(`proven_charts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent import chart_labels, chart_scales, chart_values
from agent.chart_parts import Part, parts_of
from agent.chart_said import Rule, Said
from agent.charts import Chart, read_charts
from agent.records import Question
from agent.state import Drafted, Source

_RULES: tuple[Rule, ...] = (
    chart_scales.extreme,
    chart_scales.count,
    chart_scales.step,
    chart_scales.span,
    chart_labels.title,
    chart_labels.colour,
    chart_labels.legend,
    chart_scales.bar_end,
    chart_scales.axis_label,
    chart_labels.common,
    chart_values.most,
    chart_values.value_of,
    chart_values.difference,
    chart_scales.chosen,
)


def from_charts(question: Question, sources: Sequence[Source]) -> Drafted | None:
    """Answer a question from the charts among the evidence; None where a part stays open."""
    charts = read_charts(sources, question.scope, question.text)
    said = answered(question.text, charts)
    if said is None:
        return None
    evidence = [n for place in said.places for n in charts[place].evidence]
    return {"text": said.text, "evidence": list(dict.fromkeys(evidence)), "charts": list(said.lines)}


def proven_charts(draft: Drafted, cited: Sequence[Source], question: Question) -> bool:
    """Say whether the cited evidence alone gives this very sentence again."""
    said = answered(question.text, read_charts(cited, question.scope, question.text))
    return said is not None and said.text == draft["text"]


def answered(question: str, charts: Mapping[int, Chart]) -> Said | None:
    """Return the answer to all parts of a question in one sentence; None where one stays open."""
    parts = parts_of(question)
    said = [_said(part, charts) for part in parts] if charts else []
    whole = [one for one in said if one is not None]
    if not whole or len(whole) < len(parts):
        return None
    text = "; ".join(one.text for one in whole)
    places = dict.fromkeys(place for one in whole for place in one.places)
    lines = dict.fromkeys(line for one in whole for line in one.lines)
    return Said(text=f"{text[0].upper()}{text[1:]}.", places=tuple(places), lines=tuple(lines))


def _said(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    for rule in _RULES:
        said = rule(part, charts)
        if said is not None:
            return said
    return None
