"""Follow-ups by rules: what is carried over, what is replaced, and what stands alone."""

from __future__ import annotations

import pytest

from agent.history import leans, whole

PLANT = "When did the plant in Marlow open?"
SPENDING = "What was capital spending in 2024?"
OFFSET = "At which offset does the journal header store the size of a sector?"


@pytest.mark.parametrize(
    ("last", "asked", "meant"),
    [
        (PLANT, "How many people does it employ?", "How many people does the plant in Marlow employ?"),
        (PLANT, "Who works there?", "Who works at the plant in Marlow?"),
        (PLANT, "What about its revenue?", "What is the revenue of the plant in Marlow?"),
        (PLANT, "What about the plant in Ashby?", "When did the plant in Ashby open?"),
        (SPENDING, "And in 2023?", "What was capital spending in 2023?"),
        (SPENDING, "No, I meant revenue", "What was revenue in 2024?"),
        (SPENDING, "Where does it say that?", SPENDING),
        (SPENDING, "Are you sure?", SPENDING),
        (OFFSET, "And the log header?", "At which offset does the log header store the size of a sector?"),
        (OFFSET, "and the page size?", "At which offset does the journal header store the page size?"),
        ("What is the size of serial type 5?", "And serial type 6?", "What is the size of serial type 6?"),
        ("What is the size of serial type 5?", "What about 3?", "What is the size of serial type 3?"),
        ("What is the maximum page size?", "And the minimum?", "What is the minimum page size?"),
        ("What was the revenue of Acme in FY2022?", "And Beta?", "What was the revenue of Beta in FY2022?"),
        (
            "What was the revenue of Acme in FY2022?",
            "What about their net income?",
            "What is the net income of Acme in FY2022?",
        ),
        ("What is the default of MAX_ROWS?", "And MAX_COLUMNS?", "What is the default of MAX_COLUMNS?"),
        ("What is the bound on the number of rows?", "And on columns?", "What is the bound on columns?"),
        ("What is the bound on columns?", "What about arguments?", "What is the bound on arguments?"),
        ("At which offset is the text encoding?", "No, the cookie", "At which offset is the cookie?"),
        (
            "What is the size of the page number in the frame header?",
            "At which offset is the salt in it?",
            "At which offset is the salt in the frame header?",
        ),
        ("What is WAL mode?", "Does it work over a network?", "Does WAL mode work over a network?"),
        ("What is the limit of rows?", "Can it be raised?", "Can the limit of rows be raised?"),
    ],
)
def test_a_follow_up_takes_what_it_lacks_from_the_last_question(last: str, asked: str, meant: str) -> None:
    assert leans(asked)
    assert whole(asked, [(last, "")]) == meant


@pytest.mark.parametrize(
    "asked",
    [
        "How large is the header?",
        "What is the maximum number of columns?",
        "Is it possible to raise the limit of attached databases?",
        "If a page is full, what happens to it?",
        "What does this document say about page caches?",
        "Which films did Ada make after she left the studio in Marlow?",
    ],
)
def test_a_whole_question_stays_as_it_is(asked: str) -> None:
    assert whole(asked, [("Who founded the observatory of Gotham?", "Ada Lovelace.")]) == asked


def test_a_pronoun_may_mean_the_answer() -> None:
    before = [("Which company had the largest revenue?", "Acme had the largest revenue. [1]")]
    assert whole("Where is its seat?", before) == "Where is the seat of Acme?"


def test_two_things_at_once_are_the_last_two() -> None:
    before = [("What is the weight of pump A?", ""), ("What is the weight of pump B?", "")]
    meant = "What is the difference between the weight of pump A and the weight of pump B?"
    assert whole("What is the difference between the two?", before) == meant


def test_a_topic_is_taken_up_again() -> None:
    before = [("How large is the log header?", ""), ("When did the plant in Marlow open?", "")]
    asked = "Back to the log header: at which offset does it store the salt?"
    assert whole(asked, before) == "At which offset does the log header store the salt?"


def test_what_no_rule_knows_has_the_words_of_both() -> None:
    meant = whole("And how so?", [("Why did the bridge in Ashby fall?", "")])
    assert "bridge" in meant
    assert "how so" in meant.lower()
