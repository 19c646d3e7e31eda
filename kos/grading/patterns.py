"""Regular expressions that somebody typed, tried with a limit on time.

A pattern can take longer than anybody waits (``(a+)+$``), and Python cannot stop one; so it is
tried in a process of its own, which can be ended.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

LIMIT_SECONDS = 2.0
MOST_MATCHES = 50
# Reads {"text", "patterns"}; writes, for each pattern, the places where it was found.
PROGRAM = """
import itertools, json, re, sys
told = json.load(sys.stdin)
for pattern in told["patterns"]:
    found = re.finditer(pattern, told["text"], re.IGNORECASE)
    spans = [one.span() for one in itertools.islice(found, told["most"])]
    print(json.dumps(spans), flush=True)
"""


def problem_of(pattern: str) -> str:
    """What is wrong with a pattern, or ""."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"the pattern cannot be read: {error}"
    return ""


def search(patterns: Sequence[str], text: str) -> list[list[tuple[int, int]] | None]:
    """Where each pattern is found in ``text``; None for one that cannot be read, or is too slow.

    Patterns behind a slow one are not tried either.
    """
    readable = [pattern for pattern in patterns if not problem_of(pattern)]
    found = iter(_search(readable, text) if readable else ())
    return [None if problem_of(pattern) else next(found) for pattern in patterns]


def _search(patterns: Sequence[str], text: str) -> list[list[tuple[int, int]] | None]:
    told = json.dumps({"text": text, "patterns": [*patterns], "most": MOST_MATCHES})
    # Isolated, and without site packages: it starts in a few hundredths of a second.
    command = [sys.executable, "-I", "-S", "-c", PROGRAM]
    try:
        done = subprocess.run(
            command, input=told, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True
        )
        said = done.stdout
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode()
    lines = said.splitlines()
    found = [[(start, end) for start, end in json.loads(line)] for line in lines]
    return [*found, *[None] * (len(patterns) - len(found))]
