"""The evaluation job: ask several models the same prompts, grade every answer, report.

An answer goes through two journals in the run's folder, once it is given and once it is graded.
A run that is taken up again asks for what the first lacks, grades what the second lacks, and a
judge's rulings are in a third (``kos.grading.cache``): nothing whole is asked or paid for twice.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kos.config import Evaluate
from kos.data.prompts import read_split
from kos.data.rubrics import RubricTask
from kos.errors import UserError
from kos.evals import journal, report
from kos.evals.answering import AtEndpoint
from kos.evals.asked import Asked, LocalModel, Place, ServedModel, messages_of
from kos.evals.flow import in_flight
from kos.evals.report import MODELS
from kos.evals.scores import Mode
from kos.events import ItemGrade, Job, Note, Progress, Result, RolloutDone, Saved
from kos.grading.base import Grading, Submission
from kos.grading.score import raw_score, screening_score

if TYPE_CHECKING:
    from kos.engine.machine import Machine

# Answers being graded at a time; a judge bounds its own requests.
GRADED_AT_ONCE = 64


def evaluate(config: Evaluate, job: Job) -> None:
    """Ask every model and keep ``report/`` with JSON and Markdown.

    Raises UserError when there is nothing to ask or nobody to be asked.
    """
    tasks = read_split(job.inputs["dataset"], config.split)[: config.max_prompts or None]
    answers = asyncio.run(_answers(config, job, tasks))
    _report(config, job, tasks, answers)


async def _answers(config: Evaluate, job: Job, tasks: Sequence[RubricTask]) -> list[RolloutDone]:
    answers: list[RolloutDone] = []
    async with config.grader.open(job) as grading:
        for name, model in _models(config, job, tasks):
            answers += await _Asking(config, job, tasks, name, grading).run(model)
            gc.collect()  # one model in memory at a time
    return answers


def _models(
    config: Evaluate, job: Job, tasks: Sequence[RubricTask]
) -> Iterator[tuple[str, Asked]]:
    """Whom to ask, each opened when its turn comes."""
    names = [name for name in MODELS if name in job.inputs]
    if isinstance(config.answering, AtEndpoint):
        yield config.answering.name, ServedModel.open(config, config.answering, job, tasks)
    elif not names:
        raise UserError("no model to evaluate: choose a base, a trained or an exported one")
    elif "warm_start" in names and "base" not in names:
        raise UserError("a warm start is an adapter: choose the base it belongs to as well")
    else:
        machine = this_machine()
        job.emit(Note(machine.describe()))
        for name in names:
            yield name, LocalModel.open(name, config, job, tasks, machine)


def this_machine() -> Machine:
    """What the models of this process compute with."""
    from kos.engine.machine import probe  # torch, which a served model needs nothing of

    return probe().use()


@dataclass
class _Asking:
    """One model's part of the evaluation."""

    config: Evaluate
    job: Job
    tasks: Sequence[RubricTask]
    name: str
    grading: Grading
    num_given: int = 0

    @cached_property
    def by_id(self) -> dict[str, RubricTask]:
        """The prompts by their id."""
        return {task.id: task for task in self.tasks}

    async def run(self, model: Asked) -> list[RolloutDone]:
        """All its answers, graded, in the order of the prompts."""
        numbers = {task.id: number for number, task in enumerate(self.tasks)}
        graded = {self._place(one, numbers): one for one in journal.read(self._path("graded"))}
        given = {self._place(one, numbers): one for one in journal.read(self._path("given"))}
        if graded:
            # Written down, then told: of the last one the console may not have heard.
            self.job.emit([*graded.values()][-1])
        with journal.append_to(self._path("graded")) as book:
            ungraded = [one for place, one in given.items() if place not in graded]
            self.num_given = len(graded) + len(ungraded)
            stream = self._given(model, ungraded, self._missing({*graded, *given}))
            async with aclosing(in_flight(stream, self._grade, GRADED_AT_ONCE)) as answers:  # type: ignore[type-var]
                async for answer in answers:
                    book.write([answer])
                    self.job.emit(answer)
                    graded[self._place(answer, numbers)] = answer
        self._tell(0)
        return [graded[place] for place in sorted(graded)]

    async def _given(
        self, model: Asked, ungraded: Sequence[RolloutDone], places: Sequence[Place]
    ) -> AsyncIterator[RolloutDone]:
        """What an earlier attempt left ungraded, then the answers that are still missing."""
        for answer in ungraded:
            yield answer
        with journal.append_to(self._path("given")) as book:
            if places:
                async for answer in model.answers(places, self._tell):
                    book.write([answer])
                    self.num_given += 1
                    self._tell(0)
                    yield answer

    async def _grade(self, answer: RolloutDone) -> RolloutDone:
        """The answer with its verdicts and its score; one that failed has nothing to grade."""
        if answer.error:
            return answer
        task = self.by_id[answer.example_id]
        sent = [(one["role"], one["content"]) for one in messages_of(self.config, task)]
        judged = await self.grading.grade(Submission(task, sent, answer.answer))
        items = with_verdicts(judged, answer.items)
        score, screening = raw_score(items), screening_score(items)
        is_screened = score is None and any(item.grader == "screening" for item in items)
        components = {"screening": screening} if is_screened and screening is not None else {}
        return replace(answer, items=items, score=score, components=components)

    def _missing(self, known: set[Place]) -> list[Place]:
        places = (
            Place(number, sample)
            for number in range(len(self.tasks))
            for sample in range(self.config.samples)
        )
        return [place for place in places if place not in known]

    def _place(self, answer: RolloutDone, numbers: dict[str, int]) -> Place:
        return Place(numbers[answer.example_id], answer.sample)

    def _path(self, sort: str) -> Path:
        return self.job.folder / "checkpoint" / f"{self.name}.{sort}.jsonl"

    def _tell(self, num_coming: float) -> None:
        """How many answers there are, and how many of a batch are on their way."""
        total = len(self.tasks) * self.config.samples
        done = min(self.num_given + num_coming, total)
        self.job.emit(Progress(self.name, done, total, "answers"))


def with_verdicts(
    items: Sequence[ItemGrade], played: Sequence[ItemGrade]
) -> tuple[ItemGrade, ...]:
    """The grader's items with the verdicts of the environment that the answer was played in."""
    decided = {item.key: item for item in played if item.met is not None}
    return tuple(decided.get(item.key, item) for item in items)


def _report(
    config: Evaluate, job: Job, tasks: Sequence[RubricTask], answers: Sequence[RolloutDone]
) -> None:
    made = report.build(
        f"Evaluation on the {config.split} split",
        answers,
        {task.id: task for task in tasks},
        mode=Mode(config.scoring, config.length_center, config.length_coefficient),
        samples=config.samples,
        seed=job.seed,
    )
    folder = job.folder / "report"
    folder.mkdir(exist_ok=True)
    (folder / "report.md").write_text(report.to_markdown(made), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(made.to_json(), indent=1), encoding="utf-8")
    job.emit(Saved("report", "report", made.to_json()))
    job.emit(Result({row["model"]: row["value"] for row in made.models}))
