"""What an agent's task is played in: its tools, and what decides its checkpoints.

Two sorts are on this machine: the FHIR sandbox, a record of an invented patient that the agent
reads and writes, and the desk, Kos's own tools over the embedded corpus. A task from elsewhere
whose environment is not here cannot be played.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kos.chat.arguments import validate
from kos.data.rubrics import Checkpoint, Environment, RubricItem, RubricTask
from kos.errors import UserError
from kos.evals.regressions import FORMAT_FAULTS, LOOPS, Said, leaks
from kos.evals.sandbox import checkpoints
from kos.evals.sandbox.cases import BY_NAME, store_of
from kos.evals.sandbox.store import Store
from kos.evals.sandbox.tools import tools_of
from kos.events import ItemGrade, RolloutDone
from kos.harness.calls import Tool
from kos.messages import ToolRecord
from kos.tools.registry import pick_tools

MAX_CHART_CHARS = 1_000_000
GRADER = "calls"
# Shorter words say little about what was looked for.
MIN_WORD_CHARS = 4


class World(Protocol):
    """One task's environment, made for one answer: what the agent writes stays in it."""

    @property
    def tools(self) -> Sequence[Tool]:
        """What the agent may call, in place of every other tool."""

    def grade(self, task: RubricTask, answer: RolloutDone) -> tuple[ItemGrade, ...]:
        """The checkpoints that are decided here."""


def world_of(task: RubricTask) -> World | None:
    """The task's environment; None where it needs none, UserError where it is not here."""
    environment = task.environment
    if environment is None:
        return None
    match environment.data.get("sandbox"):
        case "fhir":
            return Chart(_chart(task.id, environment))
        case "desk":
            return Workplace(pick_tools(environment.tools))
    raise UserError(
        f"{task.id} plays in an environment that is not on this machine "
        f"({', '.join(environment.tools[:3]) or 'no tools named'}); import its results instead."
    )


@dataclass(frozen=True)
class Chart:
    """A patient's record."""

    store: Store

    @property
    def tools(self) -> Sequence[Tool]:
        """Searches in the record, and orders."""
        return tools_of(self.store)

    def grade(self, task: RubricTask, answer: RolloutDone) -> tuple[ItemGrade, ...]:
        """By what was looked up, written and answered."""
        return checkpoints.grade(task.rubric, self.store, answer.tools, answer.answer)


@dataclass(frozen=True)
class Workplace:
    """Kos's own tools; nothing is written."""

    tools: Sequence[Tool]

    def grade(self, task: RubricTask, answer: RolloutDone) -> tuple[ItemGrade, ...]:
        """By the calls that were made."""
        return tuple(
            ItemGrade(item.key, item.text, item.points, met, GRADER, note=why, tags=item.tags)
            for item in task.rubric
            if item.checkpoint is not None and item.checkpoint.kind in CALL_RULES
            for met, why in [self._decide(item, item.checkpoint, answer)]
        )

    def _decide(
        self, item: RubricItem, checkpoint: Checkpoint, answer: RolloutDone
    ) -> tuple[bool, str]:
        declared = {tool.name: tool.declare()["function"]["parameters"] for tool in self.tools}
        match checkpoint.kind:
            case "right_tool":
                return _right_tool(checkpoint.params, answer.tools)
            case "arguments":
                return _arguments(checkpoint.params, answer.tools, declared)
            case "valid_calls":
                return _valid_calls(answer, declared)
        return _clean(answer)


CALL_RULES = ("right_tool", "arguments", "valid_calls", "clean")


def _right_tool(params: Mapping[str, Any], calls: Sequence[ToolRecord]) -> tuple[bool, str]:
    """The tool was called; none at all where none is called for."""
    wanted = str(params.get("tool", ""))
    names = list(dict.fromkeys(record.call.name for record in calls))
    made = f"called {', '.join(names) or 'nothing'}"
    return (wanted in names) if wanted else not names, made


def _arguments(
    params: Mapping[str, Any], calls: Sequence[ToolRecord], declared: Mapping[str, Any]
) -> tuple[bool, str]:
    """A call of the tool looks for what was asked: a word of each text that it requires."""
    tool, wanted = str(params.get("tool", "")), params.get("arguments", {})
    if not tool:
        return True, "no call is called for"
    required = declared.get(tool, {}).get("required", ())
    texts = {name: wanted[name] for name in required if isinstance(wanted.get(name), str)}
    made = [_parsed(record.call.arguments) for record in calls if record.call.name == tool]
    for arguments in made:
        if arguments and all(
            _shares_word(text, str(arguments.get(name, ""))) for name, text in texts.items()
        ):
            return True, json.dumps(arguments)[:200]
    return False, f"looked for {json.dumps(made)[:200]}"


def _valid_calls(answer: RolloutDone, declared: Mapping[str, Any]) -> tuple[bool, str]:
    """Every call that was begun is whole, names a tool and fits its declaration."""
    faults = sorted(FORMAT_FAULTS & Said.of(answer).all_flags)
    if faults:
        return False, ", ".join(faults)
    for record in answer.tools:
        arguments = _parsed(record.call.arguments)
        if record.call.name not in declared or arguments is None:
            return False, f"{record.call.name}: {record.call.arguments[:120]}"
        wrong = validate(arguments, declared[record.call.name])
        if wrong is not None:
            return False, f"{record.call.name} {wrong.path}: {wrong.error}"
    return True, f"{len(answer.tools)} calls"


def _clean(answer: RolloutDone) -> tuple[bool, str]:
    """An answer without a leak, a loop or an open end."""
    said = Said.of(answer)
    found = [
        name
        for name, is_there in (
            ("leak", leaks(said)),
            ("loop", bool(LOOPS & said.all_flags)),
            ("no answer", not said.answer.strip() or "no_final" in said.flags),
        )
        if is_there
    ]
    return not found, ", ".join(found) or "clean"


def _parsed(arguments: str) -> dict[str, Any] | None:
    try:
        found = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _shares_word(wanted: str, found: str) -> bool:
    words = wanted.casefold().split()
    long = [word for word in words if len(word) >= MIN_WORD_CHARS] or words
    return any(word in found.casefold() for word in long)


def _chart(name: str, environment: Environment) -> Store:
    data = environment.data
    size = data.get("size")
    if data.get("case") not in BY_NAME or not isinstance(size, int) or "seed" not in data:
        raise UserError(
            f"{name}: the sandbox has the cases {', '.join(BY_NAME)}, each with a size and a seed; "
            f"found {json.dumps(dict(data))[:120]}"
        )
    if not 0 < size <= MAX_CHART_CHARS:
        raise UserError(f"{name}: a chart of {size} characters; at most {MAX_CHART_CHARS}.")
    return store_of(environment)
