"""A definition in a question may define only a part of what it asks for."""

from __future__ import annotations

import pytest

from agent.definition import asked_for, defined

DEFINES = "Define unadjusted EBITDA as operating income + depreciation and amortization."
EBITDA = "[operating income]+[depreciation and amortization]"


@pytest.mark.parametrize(
    ("question", "formula"),
    [
        (f"What is the FY2022 unadjusted EBITDA for Acme? {DEFINES}", EBITDA),
        (f"What is the FY2022 unadjusted EBITDA less capex for Acme? {DEFINES}", f"({EBITDA})-[capex]"),
        (f"What is the unadjusted EBITDA margin of Acme? {DEFINES}", None),
        (f"What is unadjusted EBITDA as a share of revenue? {DEFINES}", None),
        (f"What is the cash flow of Acme? {DEFINES}", None),
        (
            "The quick ratio is defined as: cash / current liabilities. What is it?",
            "[cash]/[current liabilities]",
        ),
    ],
)
def test_what_is_asked_is_computed_and_not_the_part_that_was_defined(
    question: str, formula: str | None
) -> None:
    part = defined(question)
    assert part is not None
    assert asked_for(question, part) == formula
