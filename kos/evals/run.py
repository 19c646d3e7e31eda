"""The evaluation job: ask several models the same prompts, grade every answer, report."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import peft
from pydantic import TypeAdapter

from kos.chat.parse import split_thinking
from kos.config import Evaluate
from kos.data.prompts import conversation, read_split
from kos.data.rubrics import RubricTask
from kos.engine.base import Sampled, SamplingParams
from kos.engine.machine import Machine, probe
from kos.engine.models import Chat, load_model
from kos.engine.sampling import Sampler, derive
from kos.errors import UserError
from kos.evals import report
from kos.evals.detectors import flags
from kos.evals.report import MODELS
from kos.events import Job, Note, Progress, Result, RolloutDone, Saved, to_json
from kos.files import replace_when_whole
from kos.grading.score import grade, raw_score, screening_score
from kos.weights.folders import loadable

# Prompts asked in one go: a stopped evaluation goes on after the last whole batch.
BATCH = 64
ANSWERS: TypeAdapter[list[RolloutDone]] = TypeAdapter(list[RolloutDone])


@dataclass(frozen=True)
class Asked:
    """A model that can be asked: its chat template, its sampler, and the room it has."""

    name: str
    chat: Chat
    sampler: Sampler
    room: int

    @classmethod
    def open(cls, name: str, job: Job, machine: Machine) -> Asked:
        """Load the model that the run's inputs call ``name``."""
        is_adapter = name == "warm_start"
        folder = loadable(job.inputs["base" if is_adapter else name])
        model = load_model(folder, machine)
        if is_adapter:
            adapted = peft.PeftModel.from_pretrained(model, job.inputs[name])
            model = adapted.merge_and_unload().eval()
        chat = Chat.load(folder)
        room = getattr(model.config, "max_position_embeddings", 1 << 20)
        return cls(name, chat, Sampler(model, chat.end_ids), room)


def evaluate(config: Evaluate, job: Job) -> None:
    """Ask every model among the inputs and keep ``report/`` with JSON and Markdown.

    Raises UserError when there is nothing to ask or nobody to be asked.
    """
    tasks = _tasks(config, job.inputs["dataset"])
    names = [name for name in MODELS if name in job.inputs]
    if not names:
        raise UserError("no model to evaluate: choose a base, a trained or an exported one")
    if "warm_start" in names and "base" not in names:
        raise UserError("a warm start is an adapter: choose the base it belongs to as well")
    machine = probe().use()
    job.emit(Note(machine.describe()))
    answers: list[RolloutDone] = []
    for name in names:
        answers += _answers(config, job, name, tasks, machine)
    _report(config, job, tasks, answers)


def _tasks(config: Evaluate, path: Path) -> list[RubricTask]:
    return read_split(path, config.split)[: config.max_prompts or None]


def _answers(
    config: Evaluate, job: Job, name: str, tasks: Sequence[RubricTask], machine: Machine
) -> list[RolloutDone]:
    """All answers of one model; batches of an earlier attempt are taken from its checkpoint."""
    kept = job.folder / "checkpoint" / f"{name}.json"
    answers = ANSWERS.validate_json(kept.read_bytes()) if kept.exists() else []
    num_asked = len(answers) // config.samples
    if num_asked < len(tasks):
        asked = Asked.open(name, job, machine)
        for start in range(num_asked, len(tasks), BATCH):
            for answer in _ask(
                config, job, asked, tasks[start : start + BATCH], start, len(tasks)
            ):
                job.emit(answer)
                answers.append(answer)
            _keep(kept, answers)
        del asked
        gc.collect()
    job.emit(Progress(name, len(tasks), len(tasks), "prompts"))
    return answers


def _keep(path: Path, answers: Sequence[RolloutDone]) -> None:
    with replace_when_whole(path) as file:
        file.write(json.dumps([to_json(answer) for answer in answers]).encode())


def _ask(
    config: Evaluate,
    job: Job,
    asked: Asked,
    tasks: Sequence[RubricTask],
    start: int,
    total: int,
) -> Iterator[RolloutDone]:
    """Graded answers to ``tasks``, prompt by prompt, sample by sample."""
    prompts = [asked.chat.encode(_messages(config, task)) for task in tasks]
    fitting = [
        n for n, ids in enumerate(prompts) if len(ids) + config.sampling.max_tokens <= asked.room
    ]

    def tell(num_tokens: int, num_done: int) -> None:
        done = start + num_done / config.samples
        job.emit(Progress(asked.name, done, total, "prompts"))

    params = SamplingParams(
        max_tokens=config.sampling.max_tokens,
        temperature=config.sampling.temperature,
        top_p=config.sampling.top_p,
        seed=derive(job.seed, start),
    )
    drawn = asked.sampler.sample(
        [prompts[n] for n in fitting], params, num_samples=config.samples, on_progress=tell
    )
    samples = dict(zip(fitting, drawn, strict=True))
    for number, task in enumerate(tasks):
        for sample in range(config.samples):
            if number in samples:
                yield _graded(config, asked, task, sample, samples[number][sample])
            else:
                yield _unanswered(config, asked, task, sample, len(prompts[number]))


def _messages(config: Evaluate, task: RubricTask) -> tuple[dict[str, str], ...]:
    return tuple(conversation(task, config.system_prompt))


def _graded(
    config: Evaluate, asked: Asked, task: RubricTask, sample: int, drawn: Sampled
) -> RolloutDone:
    raw = asked.chat.decode(drawn.tokens)
    parsed = split_thinking(raw)
    items = grade(task, parsed.answer)
    score, screening = raw_score(items), screening_score(items)
    is_screened = score is None and screening is not None
    return RolloutDone(
        model=asked.name,
        example_id=task.id,
        sample=sample,
        messages=_messages(config, task),
        answer=parsed.answer,
        thinking=parsed.thinking,
        raw=raw,
        num_tokens=len(drawn.tokens),
        num_answer_tokens=asked.chat.count(parsed.answer),
        stop_reason=drawn.stop_reason,
        items=items,
        score=score,
        components={"screening": screening} if is_screened and screening is not None else {},
        flags=flags(raw, parsed.answer, drawn.stop_reason),
    )


def _unanswered(
    config: Evaluate, asked: Asked, task: RubricTask, sample: int, num_tokens: int
) -> RolloutDone:
    """A prompt that does not fit is an error of its own, never an empty answer."""
    return RolloutDone(
        model=asked.name,
        example_id=task.id,
        sample=sample,
        messages=_messages(config, task),
        answer="",
        thinking="",
        raw="",
        num_tokens=0,
        num_answer_tokens=0,
        stop_reason="error",
        items=(),
        score=None,
        error=f"the prompt has {num_tokens} tokens; with the answer the context ends at {asked.room}",
    )


def _report(
    config: Evaluate, job: Job, tasks: Sequence[RubricTask], answers: Sequence[RolloutDone]
) -> None:
    made = report.build(
        f"Evaluation on the {config.split} split",
        answers,
        {task.id: task for task in tasks},
        mode=config.scoring,
        samples=config.samples,
        seed=job.seed,
    )
    folder = job.folder / "report"
    folder.mkdir(exist_ok=True)
    (folder / "report.md").write_text(report.to_markdown(made), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(made.to_json(), indent=1), encoding="utf-8")
    job.emit(Saved("report", "report", made.to_json()))
    job.emit(Result({row["model"]: row["value"] for row in made.models}))
