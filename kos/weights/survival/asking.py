"""Asking base, ideal and each format's model the same held-out prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from kos.config.survival import Survival
from kos.data.rubrics import RubricTask
from kos.engine.models import Chat
from kos.events import Job, Progress
from kos.grading.score import grade, unit_score
from kos.weights import behaviour, models
from kos.weights.activations import Calibration
from kos.weights.behaviour import Line, Prompt
from kos.weights.folders import loadable
from kos.weights.formats.base import Activations, ExportFormat
from kos.weights.source import Source
from kos.weights.survival.measure import without_inputs
from kos.weights.text import Checkpoint


@dataclass
class Asking:
    """The ideal model in memory, and what it and the base said; one more model at a time."""

    config: Survival
    job: Job
    source: Source
    chat: Chat
    tasks: Mapping[str, RubricTask]
    asked: list[Prompt]
    ideal: Any
    lines: list[Line]
    # The ideal's own greedy answers; none where they are not asked for.
    greedy: list[list[int]] = field(default_factory=list)

    @classmethod
    def open(
        cls, config: Survival, job: Job, source: Source, tasks: Sequence[RubricTask]
    ) -> Asking:
        """Load base and ideal and ask them. Raises UserError without a usable prompt."""
        chat = Chat.load(source.model.folder)
        asked = behaviour.prompts(
            chat, tasks, system_prompt=config.system_prompt, max_tokens=config.max_tokens
        )[: config.prompts]
        job.emit(Progress("ask base and ideal", 0, 1, "models"))
        ideal = _build(source, models.plain(source))
        base = _build(source, models.plain(Source(source.model)))
        lines = behaviour.begin(base, ideal, asked)
        by_id = {task.id: task for task in tasks}
        found = cls(config, job, source, chat, by_id, asked, ideal, lines)
        if config.greedy_tokens:
            found.greedy = found._greedy(ideal)
        job.emit(Progress("ask base and ideal", 1, 1, "models"))
        return found

    def format(self, format: ExportFormat, seen: Calibration | None) -> dict[str, Any]:
        """The numbers of an export to ``format``, beside those of the base in that format."""
        format = without_inputs(format)
        activations = self._activations(seen) if format.needs == "moments" else {}
        seed = self.job.seed

        def stored(source: Source) -> dict[str, Tensor]:
            return models.stored(source, format, activations=activations, seed=seed)

        lines = self._with_own_base(format, lambda: stored(Source(self.source.model)))
        return self._numbers(format.kind, lines, _build(self.source, stored(self.source)))

    def folder(self, folder: Path) -> dict[str, Any]:
        """The numbers of an export that lies on disk, as a line of the report."""
        checkpoint = Checkpoint(loadable(folder))
        model = models.build(checkpoint.config, models.of_folder(checkpoint), _device())
        numbers = self._numbers("export", self.lines, model)
        return {"kind": "export", "label": folder.name, "behaviour": numbers}

    def ideal_numbers(self) -> dict[str, Any]:
        """Base and ideal: likelihoods, gain, how far apart, and the rubric's score if asked."""
        shown = behaviour.summarise(self.lines, seed=self.job.seed)
        names = ("num_prompts", "num_tokens", "nll_base", "nll_ideal", "kl_base", "gain")
        told = {name: shown[name] for name in names}
        if self.config.rubric and self.greedy:
            told["rubric"] = self._score(self.greedy)
        return told

    def _with_own_base(
        self, format: ExportFormat, stored: Callable[[], dict[str, Tensor]]
    ) -> list[Line]:
        if _keeps_base(format, self.source):
            return [replace(line, nll_own=line.nll_base) for line in self.lines]
        base = _build(self.source, stored())
        return behaviour.with_own_base(self.lines, base, self.asked)

    def _numbers(self, what: str, lines: Sequence[Line], model: Any) -> dict[str, Any]:
        def tell(done: int) -> None:
            self.job.emit(Progress(f"ask {what}", done, len(self.asked), "prompts"))

        found = behaviour.compare(lines, self.ideal, model, self.asked, on_prompt=tell)
        shown = behaviour.summarise(found, seed=self.job.seed)
        if self.greedy:
            parted = behaviour.part(self.chat, model, self.asked, self.greedy)
            shown["parity"] = behaviour.parity(parted)
            if self.config.rubric:
                shown["rubric"] = self._score(self._greedy(model))
        return shown

    def _greedy(self, model: Any) -> list[list[int]]:
        return behaviour.greedy(model, self.chat, self.asked, max_tokens=self.config.greedy_tokens)

    def _score(self, answers: Sequence[Sequence[int]]) -> float | None:
        """The mean of the rubrics' own checks; None where no item has one."""
        scores = []
        for prompt, answer in zip(self.asked, answers, strict=True):
            task = self.tasks[prompt.id]
            found = unit_score(grade(task, self.chat.decode(list(answer))))
            if found is not None:
                scores.append(found)
        return fmean(scores) if scores else None

    def _activations(self, seen: Calibration | None) -> dict[str, Activations]:
        found = {} if seen is None else {name: seen.of(name) for name in self.source.model}
        return {name: one for name, one in found.items() if one is not None}


def _build(source: Source, weights: Mapping[str, Tensor]) -> Any:
    return models.build(source.model.config, weights, _device())


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _keeps_base(format: ExportFormat, source: Source) -> bool:
    """Whether the base in this format is the base itself, so it need not be asked again."""
    packed = {name for name, weight in source.model.items() if weight.is_int4}
    return format.from_codes and bool(packed) and packed <= {*models.quantised_by(source, format)}
