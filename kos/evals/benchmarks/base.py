"""What a benchmark is: its tasks or the file they come in, its settings, its own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from kos.data.rubrics import RubricTask
from kos.errors import UserError
from kos.evals.scores import Mode
from kos.evals.statistics import wilson
from kos.events import RolloutDone
from kos.registry import Choice, Registry

# The tag that tells a task's benchmark; its value is the benchmark's kind.
TAG = "benchmark"
Answers = Mapping[str, Sequence[RolloutDone]]


class Needed(NamedTuple):
    """A file that is imported. ``importer`` is the format Kos reads it as, ``rows`` how many
    it has as published: together they recognise a dataset that was made of it.
    """

    file: str
    uri: str
    licence: str
    importer: str
    rows: int


class Figure(NamedTuple):
    """One of a benchmark's own numbers. ``low`` and ``high`` are 95 %, None where there is no
    interval; ``n`` counts what the number is of.
    """

    model: str
    name: str
    part: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str = "share"
    note: str = ""


class Benchmark(Choice):
    """Something to evaluate on."""

    measures: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[Needed | None] = None
    # The benchmark's name in ``kos.evals.references``; "" where nothing was published.
    reference: ClassVar[str] = ""
    # Whether it is human labels to hold a judge against, rather than prompts to ask.
    is_of_labels: ClassVar[bool] = False

    def settings(self) -> dict[str, Any]:
        """The fields of ``kos.config.Evaluate`` that it prescribes, as JSON."""
        raise NotImplementedError

    def tasks(self, seed: int = 0) -> list[RubricTask]:
        """Its tasks; equal seeds give equal tasks. UserError where they must be imported."""
        needed = self.needs
        assert needed is not None
        raise UserError(
            f"{type(self).label()} does not ship with Kos ({needed.licence}). Get {needed.file} "
            f"from {needed.uri} and import it under Datasets."
        )

    def figures(
        self, tasks: Mapping[str, RubricTask], answers: Answers, mode: Mode
    ) -> list[Figure]:
        """Its own numbers, beyond the score; ``answers`` by model, in the order of asking."""
        return []


BENCHMARKS: Registry[Benchmark] = Registry("benchmark")


def find(kind: str) -> Benchmark:
    """The benchmark called ``kind`` at its defaults; UserError names the ones there are."""
    if kind not in BENCHMARKS:
        known = ", ".join(cls.model_fields["kind"].default for cls in BENCHMARKS)
        raise UserError(f"There is no benchmark {kind!r}. There are: {known}.")
    return BENCHMARKS[kind](kind=kind)


def benchmark_of(tasks: Sequence[RubricTask]) -> Benchmark | None:
    """Whose tasks these are: by their tag, or by the format they were imported from.

    HealthBench's three files have one format; they are told apart by the number of rows.
    """
    kinds = {task.tag_value(TAG) for task in tasks}
    if len(kinds) == 1 and (kind := kinds.pop()) in BENCHMARKS:
        return find(kind)
    importers = {task.provenance.importer for task in tasks if task.provenance is not None}
    if len(importers) != 1:
        return None
    importer = importers.pop()
    of_format = [cls for cls in BENCHMARKS if cls.needs and cls.needs.importer == importer]
    exact = [cls for cls in of_format if cls.needs and cls.needs.rows == len(tasks)]
    found = exact or (of_format if len(of_format) == 1 else [])
    return find(found[0].model_fields["kind"].default) if found else None


def tagged(kind: str, part: str, *tags: str) -> tuple[str, ...]:
    """The tags of an embedded task: whose it is, and the part that reports slice by."""
    return (f"{TAG}:{kind}", f"part:{part}", *tags)


def passes(answer: RolloutDone) -> bool | None:
    """Whether every item that can be won was won and none committed; None while one is ungraded.

    An answer that failed did not pass: a benchmark counts what it asked.
    """
    if answer.error:
        return False
    if not answer.items or any(item.met is None for item in answer.items):
        return None
    return all(item.met is (item.points > 0) for item in answer.items)


def rate(
    model: str, name: str, part: str, outcomes: Sequence[bool | None], *, note: str = ""
) -> Figure:
    """A share with its Wilson interval; outcomes that are not known are left out and told."""
    known = [one for one in outcomes if one is not None]
    missing = len(outcomes) - len(known)
    note = "; ".join(word for word in (note, f"{missing} ungraded" if missing else "") if word)
    if not known:
        return Figure(model, name, part, None, None, None, 0, note=note)
    low, high = wilson(sum(known), len(known))
    return Figure(model, name, part, sum(known) / len(known), low, high, len(known), note=note)


def pass_rates(tasks: Mapping[str, RubricTask], answers: Answers, name: str) -> list[Figure]:
    """How many answers pass, by model: in all, then by part."""
    found = []
    for model, group in answers.items():
        found.append(rate(model, name, "all", [passes(one) for one in group]))
        for part, inside in by_part(tasks, group).items():
            found.append(rate(model, name, part, [passes(one) for one in inside]))
    return found


def by_part(
    tasks: Mapping[str, RubricTask], group: Sequence[RolloutDone]
) -> dict[str, list[RolloutDone]]:
    """Answers by the part their task belongs to, in the order of the tasks."""
    parts = dict.fromkeys(part for task in tasks.values() if (part := task.tag_value("part")))
    found: dict[str, list[RolloutDone]] = {part: [] for part in parts}
    for answer in group:
        if part := tasks[answer.example_id].tag_value("part"):
            found[part].append(answer)
    return {part: inside for part, inside in found.items() if inside}
