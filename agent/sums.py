"""Arithmetic over cells, in code and exact: no model adds, and nothing here is a float.

A `Sum` keeps its operands as printed, so that anybody (`verify` does) can compute it again. `op` is a name of
`NAMED`, or a formula over the operands in order, `=(a+b)/c`.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Callable, Sequence
from decimal import Decimal, DivisionByZero, InvalidOperation, localcontext

from agent.figures import decimals_of, figure, plain, rounded_to
from agent.state import Operand, Sum

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_MAX_OPERANDS = len(string.ascii_lowercase)


def _change(values: Sequence[Decimal]) -> Decimal:
    first, last = values
    return (last - first) / abs(first) * 100


def _difference(values: Sequence[Decimal]) -> Decimal:
    first, last = values
    return last - first


def _share(values: Sequence[Decimal]) -> Decimal:
    part, whole = values
    return part / whole * 100


def _ratio(values: Sequence[Decimal]) -> Decimal:
    over, under = values
    return over / under


#: Operands in order: first, last (of a difference or change); part, whole; over, under.
NAMED: dict[str, Callable[[Sequence[Decimal]], Decimal]] = {
    "value": lambda values: values[0],
    "difference": _difference,
    "change": _change,
    "share": _share,
    "ratio": _ratio,
    "sum": lambda values: sum(values, Decimal(0)),
    "mean": lambda values: sum(values, Decimal(0)) / len(values),
    "max": max,
    "min": min,
    "count": lambda values: Decimal(len(values)),
}


def worth(op: str, operands: Sequence[Operand]) -> Decimal | None:
    """Compute `op` over the operands as printed; None where it has no value (a division by zero)."""
    if op == "count":
        return Decimal(len(operands))
    figures = [figure(operand["value"]) for operand in operands]
    values = [one.amount.scaleb(one.scale) for one in figures if one is not None]
    if not values or len(values) < len(figures) or len(values) > _MAX_OPERANDS:
        return None
    try:
        with localcontext() as exact:
            exact.prec = 50
            if op.startswith("="):
                return _evaluated(op[1:], values)
            return NAMED[op](values)
    except (ValueError, KeyError, DivisionByZero, InvalidOperation, SyntaxError):
        return None


def again(made: Sum) -> bool:
    """Compute a sum again: does its result say what its operands yield, in number, unit and direction?"""
    value = worth(made["op"], made["operands"])
    if value is None:
        return False
    printed = _NUMBER.search(made["result"])
    if printed is None:
        return False
    said = Decimal(printed.group().replace(",", ""))
    low = made["result"].casefold()
    if re.search(r"\b(?:decrease|decline|drop|fall)", low):
        value = -value
        if value <= 0:
            return False
    elif re.search(r"\b(?:increase|rise|growth)", low) and value <= 0:
        return False
    if made["op"] in ("change", "share") and "%" not in made["result"]:
        return False
    in_percent = made["op"].startswith("=") or all("%" in o["value"] for o in made["operands"])
    if "percentage point" in low and not in_percent:
        return False
    return rounded_to(value, decimals_of(printed.group())) == said


def shown(value: Decimal, *, decimals: int, unit: str = "", money: str = "") -> str:
    """Write a computed figure: "$ 1,234 million", "3.4%", "0.69"."""
    sign = "-" if rounded_to(value, decimals) < 0 else ""
    number = plain(abs(value), decimals=decimals)
    joined = unit if unit.startswith("%") else f" {unit}" if unit else ""
    return f"{sign}{money}{number}{joined}"


def _evaluated(formula: str, values: Sequence[Decimal]) -> Decimal:
    """Evaluate + - * / and whole numbers over letters; anything else raises ValueError."""
    names = dict(zip(string.ascii_lowercase, values, strict=False))
    return _node(ast.parse(formula, mode="eval").body, names)


def _node(node: ast.expr, names: dict[str, Decimal]) -> Decimal:
    match node:
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Constant(value=int() as number):
            return Decimal(number)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_node(inner, names)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _node(left, names) + _node(right, names)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _node(left, names) - _node(right, names)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _node(left, names) * _node(right, names)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _node(left, names) / _node(right, names)
        case ast.Call(func=ast.Name(id="abs"), args=[inner]):
            return abs(_node(inner, names))
    raise ValueError(f"no formula over operands: {ast.dump(node)}")
