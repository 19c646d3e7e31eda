"""The sft job: supervised fine-tuning on references, tool trajectories, chosen answers, or all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import ceil

from kos.config import Sft
from kos.data import answers as files
from kos.data.answers import GradedAnswer
from kos.data.prompts import conversation, read_split, with_system
from kos.data.trajectories import Exchange, read
from kos.engine.base import Datum
from kos.engine.local import LocalEngine
from kos.engine.models import Chat
from kos.errors import UserError
from kos.events import Job, Note, Progress, Result, Saved, StepDone
from kos.rl.checkpoints import Checkpoints
from kos.rl.losses.base import CrossEntropy
from kos.rl.prompts.base import pick

ADAPTER = "adapter"
# What is read, then what is said to it, turn by turn, as tokens.
Thread = list[tuple[list[int], list[int]]]
CHECKPOINT_SECONDS = 30.0


def sft(config: Sft, job: Job) -> None:
    """Tune an adapter and save it to ``job.folder/adapter``. Raises UserError."""
    checkpoints = Checkpoints(job, CHECKPOINT_SECONDS)
    engine = LocalEngine.open(
        job.inputs["base"],
        checkpoints.machine(),
        lora=config.lora,
        seed=job.seed,
        adapter=job.inputs.get("adapter"),
        is_prefix_frozen=config.prompts == "shared",
    )
    job.emit(Note(engine.machine.describe()))
    rows = _read_rows(config, job, engine.chat)
    steps_an_epoch = ceil(len(rows) / config.batch_size)
    num_steps = config.epochs * steps_an_epoch
    numbers: dict[str, float] = {}
    for step in range(checkpoints.load(engine)[0] + 1, num_steps + 1):
        epoch, place = divmod(step - 1, steps_an_epoch)
        order = pick(len(rows), len(rows), step=epoch + 1, seed=job.seed)
        chosen = order[place * config.batch_size : (place + 1) * config.batch_size]
        numbers = _update(config, job, engine, [rows[i] for i in chosen], (step, num_steps))
        job.emit(StepDone(step, numbers))
        checkpoints.save(engine, step, is_last=step == num_steps)
    engine.save_weights(job.folder / ADAPTER)
    summary = {"rank": config.lora.rank, "alpha": config.lora.alpha, "answers": len(rows)}
    job.emit(Saved("adapter", ADAPTER, summary))
    job.emit(Result({**summary, **numbers}))


def _update(
    config: Sft, job: Job, engine: LocalEngine, batch: Sequence[Datum], place: tuple[int, int]
) -> dict[str, float]:
    """One optimiser step on the mean negative log-likelihood of the batch's answer tokens."""
    began = time.monotonic()
    step, num_steps = place
    num_tokens = sum(datum.num_actions for datum in batch)

    def tell(done: int, total: int) -> None:
        job.emit(Progress("sft", step - 1 + done / total, num_steps, "steps"))

    tell(0, 1)
    weighted = [datum.weighted(1 / num_tokens) for datum in batch]
    output = engine.forward_backward(weighted, CrossEntropy(), on_progress=tell)
    norm = engine.optim_step(config.adam)["grad_norm"]
    seconds = time.monotonic() - began
    return {
        "loss": output.loss,
        "grad_norm": norm,
        "time/train": seconds,
        "tokens/per_second": sum(len(datum.tokens) for datum in batch) / seconds,
    }


def _read_rows(config: Sft, job: Job, chat: Chat) -> list[Datum]:
    """Everything there is to learn, as tokens."""
    if not {"dataset", "trajectories", "answers"} & job.inputs.keys():
        raise UserError(
            "There is nothing to learn: give a dataset with references, trajectories, or answers."
        )
    rows = [*_references(config, job, chat), *_exchanges(job, chat), *_answers(config, job, chat)]
    kept = [row for row in rows if len(row.tokens) <= config.max_length]
    if not kept:
        raise UserError(
            f"none of the {len(rows)} answers to learn fits into {config.max_length} tokens; add "
            "references to the training prompts, or raise max_length"
        )
    if len(kept) < len(rows):
        left_out = len(rows) - len(kept)
        job.emit(Note(f"Left out {left_out} rows of more than {config.max_length} tokens."))
    return kept


def _references(config: Sft, job: Job, chat: Chat) -> Iterator[Datum]:
    """The training split's prompts with their references."""
    if "dataset" in job.inputs:
        for task in read_split(job.inputs["dataset"], "train"):
            if task.reference:
                prompt = chat.encode(conversation(task, config.system_prompt))
                answer = chat.encode_answer(task.reference)
                yield Datum.of_answer(prompt, answer, advantage=1.0)


def _exchanges(job: Job, chat: Chat) -> Iterator[Datum]:
    """Every trajectory's turns; those that go on from one another share a sequence."""
    if "trajectories" in job.inputs:
        for trajectory in read(job.inputs["trajectories"]):
            for turns in threads(trajectory.turns, chat):
                yield Datum.of_turns(turns)


def _answers(config: Sft, job: Job, chat: Chat) -> Iterator[Datum]:
    """What a selection kept, thinking included; a cut answer is not taught to end."""
    if "answers" in job.inputs:
        for row in files.read(job.inputs["answers"], GradedAnswer):
            if row.is_chosen and row.answer:
                said = with_system(files.conversation(row.messages), config.system_prompt)
                answer = chat.encode_answer(row.answer)
                answer = answer[:-1] if row.is_cut else answer
                yield Datum.of_answer(chat.encode(said), answer, advantage=1.0)


def threads(turns: Sequence[Exchange], chat: Chat) -> Iterator[Thread]:
    """Runs of turns in which each prompt begins with all that was said before it."""
    thread: Thread = []
    said = ""
    for turn in turns:
        if not said or not turn.prompt.startswith(said):
            if thread:
                yield thread
            thread, said = [], ""
        fresh = chat.tokenize(turn.prompt.removeprefix(said))
        thread.append((fresh, chat.encode_answer(turn.completion)))
        said = turn.prompt + turn.completion + chat.tokenizer.eos_token
    yield thread
