"""Two ways to say one amount compare equal; one number with two scales, units or days does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import words
from agent.quantities import misread, missing


def stands(sentence: str, held: str, context: str = "") -> bool:
    figures = words.numbers(sentence)
    return not missing(sentence, held, figures) and not misread(
        sentence, held, figures, context=context or held
    )


SAME = [
    ("Revenue was $1.2 billion.", "Revenue: $1,200 million"),
    ("Revenue was 1,200 million dollars.", "Revenue of $1.2 billion"),
    ("Revenue was $300M.", "Revenue of $300 million"),
    ("The margin was 5%.", "margin 0.05"),
    ("The margin was 5 percent.", "a margin of 5 %"),
    ("It was signed on May 3, 2023.", "signed 2023-05-03"),
    ("It was signed on 3 May 2023.", "signed on May 3, 2023"),
    ("It was signed on 3 May 2023.", "signed 05/03/2023"),
    ("A page holds 64 KiB.", "a page of 65,536 bytes"),
    ("The limit is 2 MB.", "a limit of 2,000 kB"),
    ("It waits 2 minutes.", "it waits 120 seconds"),
    ("It has two parts and 12 doors.", "2 parts; twelve doors"),
    ("The loss was 1,284.", "Net loss | (1,284)"),
    ("Net sales were 51,761 million.", "Net sales | 2022: 51,761 (in millions)"),
]
OTHER = [
    ("Revenue was $1.2 billion.", "Revenue of $1.2 million"),
    ("Revenue was $1.3 billion.", "Revenue: $1,200 million"),
    ("Revenue was $1.2.", "Revenue of $1.2 billion"),
    ("The margin was 5%.", "a margin of 5 bytes"),
    ("The price was $20.", "the price was €20"),
    ("It was signed on May 3, 2023.", "signed on May 5, 2023, by 3 people"),
    ("It was signed on May 3, 2023.", "signed on June 3, 2023"),
    ("A page holds 64 KiB.", "a page of 64 bytes"),
    ("It waits 2 minutes.", "it waits 2 hours"),
    ("Net sales were 51,761 million.", "Net sales | 2022: 51,761 (in thousands)"),
]


@pytest.mark.parametrize(("sentence", "held"), SAME)
def test_one_amount_said_in_two_ways_stands(sentence: str, held: str) -> None:
    assert stands(sentence, held)


@pytest.mark.parametrize(("sentence", "held"), OTHER)
def test_another_scale_unit_or_day_does_not(sentence: str, held: str) -> None:
    assert not stands(sentence, held)


@given(st.text(alphabet="0123456789 ,.%$()-abcdkMB/:", max_size=60))
def test_whatever_a_text_says_it_says_itself(text: str) -> None:
    assert stands(text, text)
