"""The dpo job: direct preference optimisation (Rafailov et al., arXiv:2305.18290).

The loss joins two sequences, which an engine's losses cannot: it is computed here from the
log-probabilities of a forward pass, and its gradient goes back as weighted cross-entropy with the
weights -dL/dlogp. That is exact, and every engine can do it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

from kos.config import Dpo
from kos.data.answers import PreferencePair, conversation, read
from kos.data.prompts import with_system
from kos.engine.base import Datum, Engine
from kos.engine.models import Chat
from kos.errors import UserError
from kos.events import Job, Note, Progress, Result, Saved, StepDone
from kos.files import replace_when_whole
from kos.rl.checkpoints import Checkpoints
from kos.rl.engines import engine_of
from kos.rl.losses.base import CrossEntropy
from kos.rl.metrics import mean
from kos.rl.prompts.base import pick

ADAPTER = "adapter"
REFERENCE = "reference.json"
# Pairs whose reference is computed in one call: between two calls a stop is heard.
REFERENCE_PAIRS = 32


class Both(NamedTuple):
    """Log-probabilities of a pair's answers, each summed over its tokens."""

    chosen: float
    rejected: float


class Pair(NamedTuple):
    """A pair as tokens: the same prompt with the better and the worse answer."""

    chosen: Datum
    rejected: Datum


class Term(NamedTuple):
    """One pair's loss, its derivative by the margin, and the margin itself (a reward)."""

    loss: float
    slope: float
    margin: float


def dpo(config: Dpo, job: Job) -> None:
    """Tune an adapter and save it to ``job.folder/adapter``. Raises UserError."""
    with engine_of(config, job) as engine:
        _tune(config, job, engine)


def _tune(config: Dpo, job: Job, engine: Engine) -> None:
    checkpoints = Checkpoints(job, config.checkpoint_seconds)
    pairs = _read_pairs(config, job, engine.chat)
    # Before the checkpoint is taken up: the reference is the policy as it was at the start.
    references = _references(job, engine, pairs)
    steps_an_epoch = ceil(len(pairs) / config.batch_size)
    num_steps = config.epochs * steps_an_epoch
    numbers: dict[str, float] = {}
    for step in range(checkpoints.load(engine)[0] + 1, num_steps + 1):
        epoch, place = divmod(step - 1, steps_an_epoch)
        order = pick(len(pairs), len(pairs), step=epoch + 1, seed=job.seed)
        picked = order[place * config.batch_size : (place + 1) * config.batch_size]
        job.emit(Progress("dpo", step - 1, num_steps, "steps"))
        batch = [pairs[number] for number in picked]
        numbers = _update(config, engine, batch, [references[number] for number in picked])
        job.emit(StepDone(step, numbers))
        checkpoints.save(engine, step, is_last=step == num_steps)
    job.emit(Progress("dpo", num_steps, num_steps, "steps"))
    engine.save_weights(job.folder / ADAPTER)
    summary = {"rank": config.lora.rank, "alpha": config.lora.alpha, "pairs": len(pairs)}
    job.emit(Saved("adapter", ADAPTER, summary))
    job.emit(Result({**summary, **numbers}))


def sigmoid_loss(
    policy: Both, reference: Both, *, beta: float, label_smoothing: float = 0.0
) -> Term:
    """-(1 - e) log s(z) - e log s(-z) with z = beta [(S_w - ref_w) - (S_l - ref_l)].

    Source: eq. 7; with e the share of labels that are wrong (Mitchell, conservative DPO).
    """
    ratio = (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)
    z = beta * ratio
    loss = (1 - label_smoothing) * _softplus(-z) + label_smoothing * _softplus(z)
    slope = -(1 - label_smoothing) * _sigmoid(-z) + label_smoothing * _sigmoid(z)
    return Term(loss, slope, z)


def weighted(pairs: Sequence[Pair], terms: Sequence[Term], *, beta: float) -> list[Datum]:
    """What cross-entropy must be given so that its gradient is that of the terms' mean.

    The margin z rises by beta with every chosen token's log-probability and falls by beta with
    every rejected one's, so each token of an answer has the same weight.
    """
    return [
        datum.weighted(sign * -term.slope * beta / len(pairs))
        for pair, term in zip(pairs, terms, strict=True)
        for datum, sign in ((pair.chosen, 1.0), (pair.rejected, -1.0))
    ]


def log_probabilities(engine: Engine, pairs: Sequence[Pair]) -> list[Both]:
    """Both answers of every pair under the weights as they are now."""
    rows = engine.forward([datum for pair in pairs for datum in pair], CrossEntropy()).logprobs
    sums = [math.fsum(row) for row in rows]
    return [Both(*both) for both in zip(sums[::2], sums[1::2], strict=True)]


def _update(
    config: Dpo, engine: Engine, pairs: Sequence[Pair], references: Sequence[Both]
) -> dict[str, float]:
    """One optimiser step on the mean loss of the batch, and its numbers."""
    began = time.monotonic()
    policies = log_probabilities(engine, pairs)
    terms = [
        sigmoid_loss(policy, reference, beta=config.beta, label_smoothing=config.label_smoothing)
        for policy, reference in zip(policies, references, strict=True)
    ]
    engine.forward_backward(weighted(pairs, terms, beta=config.beta), CrossEntropy())
    norm = engine.optim_step(config.adam)["grad_norm"]
    seconds = time.monotonic() - began
    both = list(zip(policies, references, strict=True))
    num_tokens = sum(len(datum.tokens) for pair in pairs for datum in pair)
    return {
        "loss": mean(term.loss for term in terms),
        "reward/chosen": mean(config.beta * (one.chosen - ref.chosen) for one, ref in both),
        "reward/rejected": mean(config.beta * (one.rejected - ref.rejected) for one, ref in both),
        "reward/margin": mean(term.margin for term in terms),
        "reward/accuracy": mean(float(term.margin > 0) for term in terms),
        "logps/chosen": mean(one.chosen for one in policies),
        "logps/rejected": mean(one.rejected for one in policies),
        "grad_norm": norm,
        "time/train": seconds,
        "tokens/per_second": num_tokens / seconds,
    }


def _references(job: Job, engine: Engine, pairs: Sequence[Pair]) -> list[Both]:
    """Each pair under the policy as it was at the start, kept for later attempts."""
    path = job.folder / "checkpoint" / REFERENCE
    if path.exists():
        return [Both(*row) for row in json.loads(path.read_text())]
    found: list[Both] = []
    for start in range(0, len(pairs), REFERENCE_PAIRS):
        job.emit(Progress("reference", start, len(pairs), "pairs"))
        found += log_probabilities(engine, pairs[start : start + REFERENCE_PAIRS])
    job.emit(Progress("reference", len(pairs), len(pairs), "pairs"))
    _keep(path, found)
    return found


def _keep(path: Path, references: Sequence[Both]) -> None:
    # JSON keeps every bit of a float: a resumed run compares with the same numbers.
    with replace_when_whole(path) as file:
        file.write(json.dumps(references).encode())


def _read_pairs(config: Dpo, job: Job, chat: Chat) -> list[Pair]:
    """The pairs as tokens, without those that are too long."""
    rows = [_pair(config, row, chat) for row in read(job.inputs["pairs"], PreferencePair)]
    kept = [row for row in rows if max(len(one.tokens) for one in row) <= config.max_length]
    if not kept:
        raise UserError(
            f"none of the {len(rows)} pairs fits into {config.max_length} tokens; raise "
            "max_length, or select pairs of shorter answers"
        )
    if len(kept) < len(rows):
        left_out = len(rows) - len(kept)
        job.emit(Note(f"Left out {left_out} pairs of more than {config.max_length} tokens."))
    return kept


def _pair(config: Dpo, row: PreferencePair, chat: Chat) -> Pair:
    prompt = chat.encode(with_system(conversation(row.messages), config.system_prompt))
    rejected = chat.encode_answer(row.rejected)
    if row.is_rejected_cut and len(rejected) > 1:
        # It was cut at its limit: the policy never ended it, so no ending is unlearnt.
        rejected = rejected[:-1]
    return Pair(
        Datum.of_answer(prompt, chat.encode_answer(row.chosen), advantage=1.0),
        Datum.of_answer(prompt, rejected, advantage=1.0),
    )


def _softplus(x: float) -> float:
    """log(1 + exp(x)) without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _sigmoid(x: float) -> float:
    return math.exp(-_softplus(-x))
