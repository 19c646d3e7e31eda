"""Going round in circles with tools: the same call, or the same result, again and again."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby

from kos.messages import ToolRecord

# kimi-cli reminds the model at 3, 5 and 8 equal calls and stops it at 12.
REMINDED_AT = (3, 5, 8)
STOPPED_AT = 12
SAME_RESULTS = 4


def longest_streak(calls: Iterable[tuple[str, str]]) -> int:
    """The longest run of equal calls, (name, arguments as JSON text); key order does not count."""
    return _longest((name, canonical(arguments)) for name, arguments in calls)


def is_action_loop(tools: Sequence[ToolRecord]) -> bool:
    """Whether a call was made three times running, or four calls running brought the same."""
    equal = longest_streak((record.call.name, record.call.arguments) for record in tools)
    same = _longest(record.observation for record in tools if not record.is_error)
    return equal >= REMINDED_AT[0] or same >= SAME_RESULTS


def canonical(arguments: str) -> str:
    """The arguments with sorted keys; a text that is no JSON stands for itself."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except ValueError:
        return arguments.strip()


def _longest(steps: Iterable[Hashable]) -> int:
    return max((len(list(group)) for _, group in groupby(steps)), default=0)
