"""The calibration job: a judge grades answers that people have judged, and is held against them.

Rulings lie in the run's cache (``kos.grading.cache``): a run that is taken up again pays for
nothing twice. Only verdicts, counts and names of categories are kept, no text.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kos.config import Calibrate
from kos.data.labels import LabelledAnswer, of_json
from kos.data.rubrics import RubricItem, RubricTask
from kos.errors import UserError
from kos.evals import calibration
from kos.evals.calibration import Ruled
from kos.evals.flow import in_flight
from kos.evals.polarity import contradiction, is_absence
from kos.events import ItemGrade, Job, Progress, Result, Saved
from kos.grading.base import Submission
from kos.grading.cache import open_cache
from kos.grading.judge import CACHE, JudgeAtWork
from kos.serving.client import connect

VERDICTS = "verdicts.jsonl"
Group = Sequence[LabelledAnswer]


def calibrate(config: Calibrate, job: Job) -> None:
    """Keep ``calibration/`` with the report and every verdict. UserError without a row."""
    rows = drawn(read_rows(job.inputs["labels"]), config.max_rows, seed=job.seed)
    if not rows:
        raise UserError("the label set is empty: there is nothing to hold the judge against")
    work = _Work(config, job, len(rows))
    asyncio.run(work.run(groups_of(rows, is_whole=config.judge.asks == "rubric")))
    numbers = {row.id: number for number, row in enumerate(rows)}
    ruled = sorted(work.ruled, key=lambda row: numbers[row.id])
    report = {
        "judge": {"name": config.judge.name, **config.judge.model_dump(mode="json")},
        **calibration.measure(ruled, seed=job.seed, draws=config.draws),
        "usage": work.usage.to_json(config),
        "seed": job.seed,
    }
    _keep(job, report, ruled)


def read_rows(path: Path) -> list[LabelledAnswer]:
    """The rows of a label set as the console writes it out, one JSON object a line."""
    with path.open(encoding="utf-8") as file:
        return [of_json(json.loads(line)) for line in file]


def drawn(rows: Sequence[LabelledAnswer], wanted: int, *, seed: int) -> list[LabelledAnswer]:
    """``wanted`` rows with every category and verdict in its share; 0 takes all."""
    if not wanted or wanted >= len(rows):
        return [*rows]
    shuffled = random.Random(seed).sample([*rows], len(rows))  # noqa: S311 - statistics
    shuffled.sort(key=lambda row: (row.category, 2 * sum(row.met) > len(row.met)))
    # Evenly spaced over the sorted rows: each stratum gives its share.
    return [shuffled[number * len(rows) // wanted] for number in range(wanted)]


def groups_of(rows: Sequence[LabelledAnswer], *, is_whole: bool) -> list[Group]:
    """What is asked together: a row by itself, or all criteria of one answer."""
    if not is_whole:
        return [[row] for row in rows]
    groups: dict[tuple[str, str], list[LabelledAnswer]] = defaultdict(list)
    for row in rows:
        groups[row.prompt_id, row.answer].append(row)
    return [*groups.values()]


@dataclass
class Usage:
    """What the judge read and wrote. Seconds are the judge's own, retries included."""

    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cached: int = 0
    decided: int = 0

    def add(self, grade: ItemGrade) -> None:
        """Count one verdict; one that was paid for earlier counts as it did then."""
        self.prompt_tokens += grade.num_prompt_tokens
        self.tokens += grade.num_tokens
        self.seconds += grade.seconds
        self.cached += grade.is_cached
        self.decided += grade.met is not None

    def to_json(self, config: Calibrate) -> dict[str, Any]:
        """With the cost in dollars, None where no price is given."""
        read, wrote = config.prompt_price, config.completion_price
        cost = (self.prompt_tokens * read + self.tokens * wrote) / 1e6 if read or wrote else None
        each = 1000 * cost / self.decided if cost is not None and self.decided else None
        return asdict(self) | {"cost": cost, "cost_per_thousand": each}


@dataclass
class _Work:
    config: Calibrate
    job: Job
    total: int
    ruled: list[Ruled] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    async def run(self, groups: Sequence[Group]) -> None:
        """Ask about every group, so many at a time, and tell how far it is."""
        judge = self.config.judge
        secret = self.job.secret(judge.key) if judge.key else ""
        http = connect(judge.url, key=secret, silence_seconds=judge.timeout_seconds)
        async with http:
            with open_cache(self.job.folder / CACHE) as cache:
                forth = judge.at_work(http, cache, self.job.seed)
                back = judge.at_work(http, cache, self.job.seed, is_reversed=True)
                await self._ask(groups, forth, back)

    async def _ask(self, groups: Sequence[Group], forth: JudgeAtWork, back: JudgeAtWork) -> None:
        async def grade(group: Group) -> list[Ruled]:
            return await self._grade(group, forth, back)

        stream = in_flight(_each(groups), grade, self.config.judge.in_flight)
        async with aclosing(stream) as found:  # type: ignore[type-var]
            async for ruled in found:
                self.ruled += ruled
                self.job.emit(Progress("judge", len(self.ruled), self.total, "rows"))

    async def _grade(self, group: Group, forth: JudgeAtWork, back: JudgeAtWork) -> list[Ruled]:
        submission = submission_of(group)
        grades = {one.key: one for one in await forth.grade(submission)}
        again: dict[str, ItemGrade] = {}
        if len(group) > 1:
            again = {one.key: one for one in await back.grade(submission)}
        for one in (*grades.values(), *again.values()):
            self.usage.add(one)
        return [_ruled(row, grades[row.id], again.get(row.id)) for row in group]


def submission_of(group: Group) -> Submission:
    """One answer with the criteria of all its rows."""
    first = group[0]
    items = [RubricItem(key=row.id, text=row.criterion, points=row.points) for row in group]
    sent = [(str(turn.get("role", "")), _text(turn.get("content"))) for turn in first.messages]
    asked = ({"role": "user", "content": "\n\n".join(text for _, text in sent) or "-"},)
    task = RubricTask.model_validate({"id": first.id, "messages": asked, "rubric": items})
    return Submission(task, sent, first.answer)


def _ruled(row: LabelledAnswer, grade: ItemGrade, again: ItemGrade | None) -> Ruled:
    return Ruled(
        id=row.id,
        prompt_id=row.prompt_id,
        category=row.category,
        num_chars=len(row.answer),
        labels=row.met,
        by=row.by,
        met=grade.met,
        again=None if again is None else again.met,
        lint=contradiction(grade),
        is_absence=row.points < 0 and is_absence(row.criterion),
    )


def _keep(job: Job, report: Mapping[str, Any], ruled: Sequence[Ruled]) -> None:
    folder = job.folder / "calibration"
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps(asdict(row)) + "\n" for row in ruled)
    (folder / VERDICTS).write_text(lines, encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    job.emit(Saved("report", "calibration", report))
    whole = report["all"]
    job.emit(Result({name: (whole[name] or {}).get("value") for name in ("kappa", "macro_f1")}))


def read_verdicts(folder: Path) -> list[Ruled]:
    """What a calibration kept."""
    with (folder / VERDICTS).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [
        Ruled(**row | {"labels": tuple(row["labels"]), "by": tuple(row["by"])}) for row in rows
    ]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content)


async def _each(groups: Sequence[Group]) -> AsyncIterator[Group]:
    for group in groups:
        yield group
