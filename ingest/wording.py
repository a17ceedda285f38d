"""What of a question is searched for: not how its answer is to be written, and with what a measure stands on.

A page that holds the figures of a ratio rarely names it: the quick ratio is asked for, current assets and
current liabilities are printed. The lines below are those of any textbook of accounting.
"""

from __future__ import annotations

import re

#: A sentence that says how to answer, not what.
_MANNER = re.compile(
    r"""^\W*(?:(?:please|kindly|directly|also)\b[\s,]*)*
    (?: (?:answer|round|respond|reply|express|report|return|write|state|base|use|give|provide|format)\b
      | if\b.*\b(?:state|say|answer|write|respond)\b
      | (?:the|your)\ answer\ (?:shall|should|must)\b
      | (?:do|we\ do)\ not\ count\b )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
#: An example of the form wanted: `, e.g., ["a", "b"]`.
_EXAMPLE = re.compile(r"""[\s,(]*(?:e\.\s?g\.|for example|like|such as)[\s,:]*\[[^\]]*\]\)?""", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z\"'(])")

_BALANCE = "consolidated balance sheets"
_INCOME = "consolidated statements of income operations"
_CASH = "consolidated statements of cash flows"
_PROPERTY = "property plant and equipment net"
_SPENT = "purchases of property plant and equipment capital expenditures investing activities"
#: Measure → the lines that it is computed from, and the statement that prints them.
_MEASURES: tuple[tuple[str, str], ...] = (
    (
        r"quick ratio|acid[- ]test",
        f"total current assets cash receivables inventories total current liabilities {_BALANCE}",
    ),
    (
        r"current ratio|working capital|liquidity ratio",
        f"total current assets total current liabilities {_BALANCE}",
    ),
    (r"gross (?:profit )?margins?|gross profit", f"net sales revenue cost of sales gross profit {_INCOME}"),
    (r"operating (?:profit )?margins?|operating income margin", f"operating income total revenue {_INCOME}"),
    (r"(?:net|profit) (?:profit |income )?margins?", f"net income total revenue {_INCOME}"),
    (r"effective tax rate", "provision for income taxes income before income taxes effective tax rate"),
    (r"ebitda\w*", f"operating income depreciation and amortization {_CASH}"),
    (r"capex|capital expenditures?|capital intensi\w+", f"{_SPENT} {_CASH}"),
    (r"free cash flow", f"net cash provided by operating activities {_SPENT} {_CASH}"),
    (r"fixed[- ]asset turnover|pp&e", f"{_PROPERTY} revenue {_BALANCE}"),
    (r"(?<!fixed )(?<!fixed-)asset turnover", f"total assets revenue {_BALANCE}"),
    (r"return on assets|\broa\b", f"net income total assets {_BALANCE}"),
    (r"return on equity|\broe\b", f"net income total shareholders equity {_BALANCE}"),
    (r"inventory turnover|days inventory|\bdio\b", f"inventories cost of sales {_BALANCE}"),
    (r"days sales outstanding|receivables? turnover|\bdso\b", f"accounts receivable net revenue {_BALANCE}"),
    (
        r"days payable|payables? turnover|\bdpo\b",
        f"accounts payable cost of goods sold inventories {_BALANCE}",
    ),
    (
        r"cash conversion cycle|\bccc\b",
        f"inventories accounts receivable accounts payable cost of goods sold {_BALANCE}",
    ),
    (
        r"debt[- ]to[- ]equity|leverage ratio|debt ratio",
        f"total debt long-term debt total shareholders equity {_BALANCE}",
    ),
    (r"interest coverage", f"operating income interest expense {_INCOME}"),
    (r"dividend payout|payout ratio|retention ratio", f"cash dividends paid net income {_CASH}"),
    (r"earnings per share|\beps\b", f"net income per share diluted {_INCOME}"),
)
_COMPILED = tuple(
    (re.compile(rf"\b(?:{pattern})(?!\w)", re.IGNORECASE), lines) for pattern, lines in _MEASURES
)


def focused(question: str) -> str:
    """Return `question` without its sentences on how to answer; itself where nothing else is left."""
    sentences = _SENTENCE.split(_EXAMPLE.sub("", question).strip())
    kept = [sentence for n, sentence in enumerate(sentences) if n == 0 or not _MANNER.match(sentence)]
    return " ".join(kept).strip() or question


def underlying(question: str) -> str:
    """Return the lines that the measures named in `question` stand on, "" where it names none."""
    found = (lines for pattern, lines in _COMPILED if pattern.search(question))
    return " ".join(dict.fromkeys(word for lines in found for word in lines.split()))
