"""What a judge is asked, in our own words, and how its reply is read.

The item comes last, behind conversation and answer, so that a server which caches prefixes reads
them once for all items. The rules are HealthBench's four (openai/simple-evals,
healthbench_eval.py) and two that audits of judges ask for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from kos.data.rubrics import RubricItem
from kos.digests import text_digest
from kos.grading.base import Submission

SYSTEM = "You grade answers to health questions. You decide only what you are asked to decide."
RULES = """\
Rules:
- Grade the last assistant turn alone; the rest is context.
- A criterion with several parts is met only when every part is.
- A list after "such as", "for example" or "including" need not be complete.
- A criterion with negative points names a fault: it is met when the answer commits the fault, \
whatever else is good about it. Naming a fault to warn of it is not committing it.
- What the answer plainly implies counts. Advice under a condition does not meet a criterion that \
asks for it at once.
- Say first why, then decide."""
ONE = """\
Is this criterion met?
{item}

Reply with one JSON object and nothing else:
{{"explanation": "<one or two sentences>", "criteria_met": true or false}}"""
ALL = """\
Decide each of these criteria by itself:
{items}

Reply with one JSON object and nothing else; give every key once:
{{"verdicts": [{{"key": "<key>", "explanation": "<one sentence>", "criteria_met": true or false}}]}}"""
TRUTH = "What is right, as the authors of the task have it:"

# Of a reply that could not be read, so much is shown to the judge again.
MAX_ECHO = 2000


class Ruling(NamedTuple):
    """What a judge decided, and why."""

    met: bool
    explanation: str


class UnreadableError(ValueError):
    """The reply is not what was asked for."""


def ask_one(submission: Submission, item: RubricItem) -> list[dict[str, str]]:
    """The messages that ask about one item."""
    return _messages(submission, ONE.format(item=_line(item)))


def ask_all(
    submission: Submission, items: Sequence[tuple[str, RubricItem]]
) -> list[dict[str, str]]:
    """The messages that ask about several items under short keys."""
    lines = "\n".join(f"{key}: {_line(item)}" for key, item in items)
    return _messages(submission, ALL.format(items=lines))


def ask_again(
    messages: Sequence[dict[str, str]], reply: str, problem: str
) -> list[dict[str, str]]:
    """The messages after a reply that could not be read."""
    reminder = f"That could not be read: {problem}. Reply with the JSON object alone."
    return [
        *messages,
        {"role": "assistant", "content": reply[:MAX_ECHO]},
        {"role": "user", "content": reminder},
    ]


def read_one(reply: str) -> Ruling:
    """The decision in a reply; raises UnreadableError. Only JSON's own true and false count."""
    return _ruling(read_object(reply))


def read_all(reply: str, keys: Sequence[str]) -> dict[str, Ruling]:
    """The decisions by key; a key that is missing, unknown or given twice is left out."""
    verdicts = read_object(reply).get("verdicts")
    if not isinstance(verdicts, list):
        raise UnreadableError("the reply has no list of verdicts")
    found: dict[str, list[Ruling]] = {key: [] for key in keys}
    for verdict in verdicts:
        key = verdict.get("key") if isinstance(verdict, dict) else None
        # No key of ours is anything but a text, and a list cannot be looked up.
        if isinstance(key, str) and key in found:
            found[key].append(_ruling(verdict))
    return {key: rulings[0] for key, rulings in found.items() if len(rulings) == 1}


def version() -> str:
    """Changes with every word that a judge reads."""
    return text_digest(SYSTEM, RULES, ONE, ALL, TRUTH)[:8]


def _messages(submission: Submission, question: str) -> list[dict[str, str]]:
    turns = [f"{role}: {text}" for role, text in submission.messages]
    conversation = "\n\n".join([*turns, f"assistant: {submission.answer}"])
    body = f"<conversation>\n{conversation}\n</conversation>\n\n{RULES}\n\n{question}"
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": body}]


def text_of(item: RubricItem) -> str:
    """The criterion, with the ground truth of a checkpoint that a judge decides."""
    truth = item.checkpoint.ground_truth if item.checkpoint is not None else ""
    return f"{item.text}\n{TRUTH} {truth}" if truth else item.text


def _line(item: RubricItem) -> str:
    return f"[{item.points:g} points] {text_of(item)}"


def read_object(reply: str) -> dict[str, Any]:
    """The outermost JSON object of a reply that may wrap it in a fence or in words."""
    reply = reply.rpartition("</think>")[2]
    start, end = reply.find("{"), reply.rfind("}")
    try:
        found = json.loads(reply[start : end + 1])
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"the reply is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise UnreadableError("the reply is no JSON object")
    return found


def _ruling(found: dict[str, Any]) -> Ruling:
    met = found.get("criteria_met")
    if not isinstance(met, bool):
        raise UnreadableError(f"criteria_met is {met!r}, neither true nor false")
    # Kept in databases that take neither half a character nor a NUL.
    said = str(found.get("explanation") or "").replace("\0", "\ufffd")
    return Ruling(met, said.encode(errors="replace").decode())
