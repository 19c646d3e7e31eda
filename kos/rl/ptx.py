"""PTX: curated answers stay likely while the policy learns. L = L_RL + weight * NLL.

Source: Kimi K2 (arXiv:2507.20534), sec. 3.2.3. The term is a cross-entropy call of its own
before the same optimiser step, with weights weight / |tokens|, so every engine can have it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kos.config.training import Ptx, Train
from kos.data import answers
from kos.data.answers import GradedAnswer
from kos.data.prompts import conversation, read_split, with_system
from kos.data.trajectories import FILE, read
from kos.engine.base import Datum, Engine
from kos.engine.models import Chat
from kos.errors import UserError
from kos.events import Job
from kos.rl.losses.base import CrossEntropy
from kos.rl.prompts.base import pick
from kos.rl.sft import threads


@dataclass(frozen=True)
class Curated:
    """The answers to keep likely, and how much that counts."""

    rows: Sequence[Datum]
    ptx: Ptx
    seed: int

    @classmethod
    def open(cls, config: Train, job: Job, chat: Chat) -> Curated | None:
        """The run's curated answers; None when they have no weight. Raises UserError."""
        if not config.ptx.weight:
            return None
        source = job.inputs.get("curated", job.inputs["dataset"])
        rows = [row for row in _rows(source, chat, config) if row.num_actions]
        if not rows:
            raise UserError(
                "PTX has no answer to keep likely: choose curated answers, a dataset with "
                "references, or set ptx.weight to 0"
            )
        return cls(rows, config.ptx, job.seed)

    def add_gradient(self, engine: Engine, number: int) -> tuple[float, int]:
        """Add the term's gradient for optimiser step ``number`` (1, 2, ...).

        Returns the mean negative log-likelihood of the batch, and the tokens it took.
        """
        places = pick(len(self.rows), self.ptx.batch_size, step=number, seed=self.seed)
        batch = [self.rows[place] for place in places]
        num_actions = sum(row.num_actions for row in batch)
        weighted = [row.weighted(self.ptx.weight / num_actions) for row in batch]
        loss = engine.forward_backward(weighted, CrossEntropy()).loss
        return loss / self.ptx.weight, sum(len(row.tokens) for row in batch)


def _rows(source: Path, chat: Chat, config: Train) -> Iterator[Datum]:
    """Answers (JSONL of messages and answer), trajectories, or a dataset's references."""
    if source.is_dir() and (source / FILE).exists():
        for trajectory in read(source):
            for turns in threads(trajectory.turns, chat):
                yield Datum.of_turns(turns)
        return
    for file in sorted(source.glob("*.jsonl")) if source.is_dir() else [source]:
        yield from _answers(file, chat, config)


def _answers(file: Path, chat: Chat, config: Train) -> Iterator[Datum]:
    """Chosen answers; a file without any is read as a dataset with references."""
    with file.open(encoding="utf-8") as lines:
        first = json.loads(next(lines, "{}"))
    if "answer" not in first:
        for task in read_split(file, "train"):
            if task.reference:
                prompt = chat.encode(conversation(task, config.system_prompt))
                answer = chat.encode_answer(task.reference)
                yield Datum.of_answer(prompt, answer, advantage=1.0)
        return
    for row in answers.read(file, GradedAnswer):
        if row.is_chosen and row.answer:
            said = with_system(answers.conversation(row.messages), config.system_prompt)
            answer = chat.encode_answer(row.answer)
            # A cut answer is not taught to end.
            answer = answer[:-1] if row.is_cut else answer
            yield Datum.of_answer(chat.encode(said), answer, advantage=1.0)
