"""Verifiers: rules that find a final answer right or wrong (Kimi k1.5).

The final answer is what stands in the last ``\\boxed{...}``, else after the last "answer is" or
"answer:", else the last line that is not blank. A verifier that cannot decide gives None, which
leaves the answer ungraded.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema

from kos.data.rubrics import Verifier
from kos.grading.rules import NUMBER, plain

RELATIVE, ABSOLUTE = 1e-6, 1e-9
MAX_EXPRESSION_CHARS = 400
MAX_POWER = 64
BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
SAID = re.compile(r"\banswer\s*(?:is|:|=)\s*(.+)", re.IGNORECASE)
LETTER = re.compile(r"(?<![A-Za-z])\(?([A-Z])\)?(?![A-Za-z])")
FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


def verify(verifier: Verifier, answer: str) -> bool | None:
    """Whether the visible ``answer`` is right; None for a kind that is kept but not run."""
    rule = RULES.get(verifier.kind)
    return None if rule is None else rule(verifier, answer)


def final_answer(text: str) -> str:
    """What the text gives as its answer, without the way there."""
    for pattern in (BOXED, SAID):
        found = pattern.findall(text)
        if found:
            return str(found[-1]).strip().rstrip(".").strip("*` ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else ""


def _exact(verifier: Verifier, answer: str) -> bool:
    wanted = _folded(verifier.answer)
    return wanted in (_folded(final_answer(answer)), _folded(answer))


def _folded(text: str) -> str:
    return plain(text).casefold().strip(" .")


def _numeric(verifier: Verifier, answer: str) -> bool | None:
    place = 0 if verifier.params.get("take") == "first" else -1
    wanted, found = _number(verifier.answer), _number(final_answer(answer), place)
    if wanted is None:
        return None
    return found is not None and _is_close(found, wanted, verifier.params)


def _number(text: str, place: int = -1) -> float | None:
    """The last number of the text, or the one at ``place``: "54 mL/min/1.73 m2" holds three."""
    found = NUMBER.findall(plain(text))
    return float(found[place].replace(",", "")) if found else None


def _is_close(found: float, wanted: float, params: Mapping[str, Any]) -> bool:
    relative, absolute = params.get("rtol", RELATIVE), params.get("atol", ABSOLUTE)
    return math.isclose(found, wanted, rel_tol=float(relative), abs_tol=float(absolute))


def _choice(verifier: Verifier, answer: str) -> bool:
    letters = LETTER.findall(final_answer(answer))
    return bool(letters) and letters[0] == verifier.answer.strip("() .").upper()


def _regex(verifier: Verifier, answer: str) -> bool:
    return re.search(str(verifier.params["pattern"]), plain(answer), re.IGNORECASE) is not None


def _json_schema(verifier: Verifier, answer: str) -> bool | None:
    schema = verifier.params["schema"]
    if not isinstance(schema, dict):
        return None
    fenced = FENCED.findall(answer)
    try:
        value = json.loads(fenced[-1] if fenced else answer)
    except (ValueError, RecursionError):
        return False
    try:
        return bool(jsonschema.Draft202012Validator(schema).is_valid(value))
    except jsonschema.SchemaError:
        return None


def _expression(verifier: Verifier, answer: str) -> bool | None:
    wanted = _evaluated(verifier.answer)
    if wanted is None:
        return None
    found = _evaluated(final_answer(answer).rpartition("=")[2])
    return found is not None and _is_close(found, wanted, verifier.params)


OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def _evaluated(text: str) -> float | None:
    """The value of an expression of numbers, + - * / ^ and brackets; None for anything else."""
    source = text.replace("^", "**").replace("\u00d7", "*").replace("\u2212", "-").strip()
    if len(source) > MAX_EXPRESSION_CHARS:
        return None
    try:
        value = _value(ast.parse(source, mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError):
        return None
    return value if math.isfinite(value) else None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return -_value(node.operand) if isinstance(node.op, ast.USub) else _value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and (left < 0 or abs(right) > MAX_POWER):
            raise ValueError("a power out of bounds")
        return OPERATORS[type(node.op)](left, right)
    raise ValueError("not an expression of numbers")


RULES: dict[str, Callable[[Verifier, str], bool | None]] = {
    "exact": _exact,
    "numeric": _numeric,
    "choice": _choice,
    "regex": _regex,
    "json_schema": _json_schema,
    "expr": _expression,
}
