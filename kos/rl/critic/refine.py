"""The critic job: the policy as critic, refined on answers whose right and wrong is known.

The closed loop of Kimi K2 (arXiv:2507.20534, sec. 3.2.2): a round samples answers to prompts with a
verifier, makes pairs of better and worse ones, and teaches the critic the right letter. Agreement
with the verifier is measured on prompts that are never learnt from, before the first round and
after each. Critic and policy are one model, so a round samples with what the last one learnt.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kos.config import Critic
from kos.data import answers as files
from kos.data.answers import GradedAnswer
from kos.data.prompts import read_split
from kos.data.rubrics import RubricTask, UseCase
from kos.engine.base import Engine, SamplingParams, derive
from kos.errors import UserError
from kos.events import Job, Note, Progress, Result, Saved, StepDone
from kos.rl.checkpoints import Checkpoints
from kos.rl.critic.agreement import Agreement, Verdicts, decide, measure
from kos.rl.critic.judgement import Letter
from kos.rl.critic.labelled import Labelled, both_orders, held_out, lessons, pairs_of
from kos.rl.critic.probes import probes_of
from kos.rl.critic.rubrics import RUBRICS, chosen
from kos.rl.critic.verdicts import read_odds
from kos.rl.critic.wording import Messages
from kos.rl.engines import engine_of
from kos.rl.losses.base import CrossEntropy
from kos.rl.metrics import mean
from kos.rl.prompts.base import pick
from kos.rl.verified import answers_of

ADAPTER = "adapter"
# Questions asked in one call: between two calls a stop is heard.
QUESTIONS = 64


def refine(config: Critic, job: Job) -> None:
    """Tune the critic's adapter and save it, promoted or not. Raises UserError."""
    chosen((*config.rubrics, *config.mandatory))
    with engine_of(config, job) as engine:
        _refine(config, job, engine)


def _refine(config: Critic, job: Job, engine: Engine) -> None:
    """All rounds from the checkpoint on, and the adapter with what came of them."""
    checkpoints = Checkpoints(job, config.checkpoint_seconds)
    loop = _Loop(config, job, engine)
    done, memory = checkpoints.load(engine)
    if not done:
        memory = {"before": loop.measured(), "after": {}, "pairs": 0.0}
    for number in range(done + 1, config.iterations + 1):
        learnt = loop.learn(number)
        memory["after"] = loop.measured()
        memory["pairs"] += learnt["pairs"]
        before, after = (Agreement(**memory[when]["agreement"]) for when in ("before", "after"))
        numbers = {
            **after.numbers(),
            **{f"mandatory/{key}": rate for key, rate in memory["after"]["kept"].items()},
            **learnt,
        }
        if before.rate is not None:
            numbers["critic/agreement_before"] = before.rate
        job.emit(StepDone(number, numbers))
        checkpoints.save(engine, number, memory, is_last=number == config.iterations)
    job.emit(Progress("critic", config.iterations, config.iterations, "rounds"))
    _finish(config, job, engine, memory)


def _finish(config: Critic, job: Job, engine: Engine, memory: Mapping[str, Any]) -> None:
    if not memory["pairs"]:
        raise UserError(
            "no round had a prompt with a right and a wrong answer: give the critic prompts of "
            "middling difficulty, more samples, or a smaller margin"
        )
    before, after = (Agreement(**memory[when]["agreement"]) for when in ("before", "after"))
    promotion = decide(
        before,
        after,
        kept_before=memory["before"]["kept"],
        kept_after=memory["after"]["kept"],
        seed=job.seed,
    )
    engine.save_weights(job.folder / ADAPTER)
    summary = {
        "rank": config.lora.rank,
        "alpha": config.lora.alpha,
        **promotion._asdict(),
        "agreement_before": before.rate,
        "agreement": after.rate,
        "agreement_low": after.low,
        "agreement_high": after.high,
        "flips": after.flips,
        "said_a": after.said_a,
        "learnt_pairs": memory["pairs"],
        "held_out_pairs": after.num_pairs,
        "mandatory_before": memory["before"]["kept"],
        "mandatory": memory["after"]["kept"],
    }
    job.emit(Note(promotion.why, "info" if promotion.promoted else "warning"))
    job.emit(Saved("adapter", ADAPTER, summary))
    job.emit(Result(summary))


@dataclass(frozen=True)
class _Loop:
    """The rounds of one job. What a round does depends on its number and the weights alone."""

    config: Critic
    job: Job
    engine: Engine

    def learn(self, number: int) -> dict[str, float]:
        """One round: pairs from answers, then optimiser steps on their verdicts."""
        config, began = self.config, time.monotonic()
        self.job.emit(Progress("critic", number - 1, config.iterations, "rounds"))
        pairs = self.pairs(number)
        if not pairs:
            self.job.emit(Note(f"Round {number} has no right and wrong to learn from.", "warning"))
        losses, norms = [], []
        for epoch in range(1, config.epochs + 1):
            order = pick(len(pairs), len(pairs), step=epoch, seed=derive(self.job.seed, number))
            for start in range(0, len(order), config.batch_size):
                self.job.check()
                batch = [pairs[place] for place in order[start : start + config.batch_size]]
                questions = [
                    one for pair in batch for one in both_orders(pair, self.rubrics(pair))
                ]
                data = lessons(self.engine, questions)
                losses.append(self.engine.forward_backward(data, CrossEntropy()).loss)
                norms.append(self.engine.optim_step(config.adam)["grad_norm"])
        return {
            "loss": mean(losses),
            "grad_norm": mean(norms),
            "pairs": float(len(pairs)),
            "time/train": time.monotonic() - began,
        }

    def measured(self) -> dict[str, Any]:
        """Agreement on the held-out pairs, and the share of probes right by mandatory rubric."""
        asked = [both_orders(pair, self.rubrics(pair)) for pair in self.held_out_pairs]
        letters = self._letters([one.messages for both in asked for one in both])
        verdicts = [
            Verdicts(pair.prompt_id, forth, back)
            for pair, forth, back in zip(
                self.held_out_pairs, letters[::2], letters[1::2], strict=True
            )
        ]
        agreement = measure(verdicts, self.job.seed)
        return {"agreement": agreement.to_json(), "kept": self._kept()}

    def _kept(self) -> dict[str, float]:
        """How often each mandatory rubric's probes were decided rightly, in both orders."""
        probes = probes_of(self.config.mandatory)
        marks: dict[str, list[float]] = {}
        asked = [
            both_orders(
                Labelled(probe.key, [("user", probe.question)], probe.keeps, probe.breaks),
                [RUBRICS[probe.key]],
            )
            for probe in probes
        ]
        letters = self._letters([one.messages for both in asked for one in both])
        for probe, forth, back in zip(probes, letters[::2], letters[1::2], strict=True):
            marks.setdefault(probe.key, []).extend((float(forth == "a"), float(back == "b")))
        return {key: mean(found) for key, found in marks.items()}

    def _letters(self, questions: Sequence[Messages]) -> list[Letter | None]:
        found: list[Letter | None] = []
        for start in range(0, len(questions), QUESTIONS):
            self.job.check()
            odds = read_odds(self.engine, questions[start : start + QUESTIONS])
            found += [one.letter() for one in odds]
        return found

    def rubrics(self, pair: Labelled) -> list[Any]:
        """What the pair is compared by: the same question as the reward's."""
        return [
            rubric
            for rubric in chosen(self.config.rubrics)
            if not rubric.use_cases or pair.use_case in rubric.use_cases
        ]

    def pairs(self, number: int) -> list[Labelled]:
        """What round ``number`` learns from."""
        if self.given is not None:
            names = [name for name in self.given if name not in self.apart]
            groups = [self.given[name] for name in self._picked(names, number)]
        else:
            tasks = [task for task in self.tasks if task.id not in self.apart]
            groups = self._sampled(self._picked(tasks, number), number)
        return self._labelled(groups)

    @cached_property
    def held_out_pairs(self) -> list[Labelled]:
        """What the agreement is measured on: from the policy as it was at the start."""
        path = self.job.folder / "checkpoint" / "held_out.jsonl"
        if self.given is not None:
            groups = [group for name, group in self.given.items() if name in self.apart]
        elif path.exists():
            rows = files.read(path, GradedAnswer)
            groups = [[row for row in rows if row.id == name] for name in _names(rows)]
        else:
            groups = self._sampled([task for task in self.tasks if task.id in self.apart], 0)
            files.write(path, [answer for group in groups for answer in group])
        found = self._labelled(groups)
        if not found:
            raise UserError(
                f"none of the {len(groups)} held-out prompts has a right and a wrong answer, "
                f"{self._apart()} apart, so the critic cannot be measured: give it more prompts, "
                "more samples, or a smaller margin"
            )
        return found

    @cached_property
    def apart(self) -> set[str]:
        """The prompts that nothing is learnt from."""
        names = list(self.given) if self.given is not None else [task.id for task in self.tasks]
        if len(set(names)) < 2:
            raise UserError(
                "a critic needs two prompts at least, one to learn from and one to measure on"
            )
        apart = held_out(names, self.config.holdout, self.job.seed)
        # One is left to learn from, whatever the share.
        return apart if len(apart) < len(set(names)) else set(sorted(apart)[1:])

    @cached_property
    def given(self) -> dict[str, list[GradedAnswer]] | None:
        """The answers of the artifact by prompt; None when prompts are sampled anew."""
        if "answers" not in self.job.inputs:
            return None
        if "dataset" in self.job.inputs:
            raise UserError("give the critic graded answers or a dataset to sample, not both")
        rows = files.read(self.job.inputs["answers"], GradedAnswer)
        return {name: [row for row in rows if row.id == name] for name in _names(rows)}

    @cached_property
    def tasks(self) -> list[RubricTask]:
        """The prompts of the training split."""
        if "dataset" not in self.job.inputs:
            raise UserError("there is nothing to refine on: give graded answers, or a dataset")
        return read_split(self.job.inputs["dataset"], "train")

    @cached_property
    def _use_cases(self) -> dict[str, UseCase]:
        return {} if self.given is not None else {task.id: task.use_case for task in self.tasks}

    def _picked(self, items: Sequence[Any], number: int) -> list[Any]:
        count = min(self.config.prompts, len(items))
        return [items[place] for place in pick(len(items), count, step=number, seed=self.job.seed)]

    def _sampled(self, tasks: Sequence[RubricTask], number: int) -> list[list[GradedAnswer]]:
        params = SamplingParams(
            **self.config.sampling.model_dump(), seed=derive(self.job.seed, number)
        )
        return answers_of(
            self.engine,
            tasks,
            params,
            num_samples=self.config.samples,
            grader=self.config.grader,
            job=self.job,
            system_prompt=self.config.system_prompt,
            on_progress=lambda _tokens, _done: self.job.check(),
        )

    def _labelled(self, groups: Sequence[Sequence[GradedAnswer]]) -> list[Labelled]:
        return [
            pair
            for group in groups
            for pair in pairs_of(
                group,
                margin=self.config.margin,
                limit=self.config.pairs_a_prompt,
                seed=self.job.seed,
                use_case=self._use_cases.get(group[0].id, "other"),
            )
        ]

    def _apart(self) -> str:
        return f"{self.config.margin:g} in score"


def _names(rows: Sequence[GradedAnswer]) -> list[str]:
    return list(dict.fromkeys(row.id for row in rows))
