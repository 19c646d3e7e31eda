"""Prompts that calibrate the activations: what the model will be asked, as it will be asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kos.data.prompts import with_system
from kos.data.readers import read_file
from kos.engine.models import Chat
from kos.errors import UserError

Prompt = list[dict[str, str]]


def read_prompts(dataset: Path, *, samples: int, seed: int) -> list[Prompt]:
    """Messages of at most ``samples`` training prompts, the same ones for the same seed."""
    tasks = [task for task in read_file(dataset).tasks if task.split == "train"]
    if not tasks:
        raise UserError(f"{dataset.name} has no row in its training split to calibrate on")
    chosen = random.Random(seed).sample(tasks, min(samples, len(tasks)))  # noqa: S311
    return [[turn.model_dump() for turn in task.messages] for task in chosen]


def encode(
    chat: Chat, prompts: Sequence[Prompt], *, system_prompt: str, max_length: int
) -> list[list[int]]:
    """Token ids of each prompt under the chat template; a longer one keeps its end."""
    return [
        chat.encode(with_system(messages, system_prompt))[-max_length:] for messages in prompts
    ]


def batches(rows: Sequence[Sequence[int]], size: int) -> Iterator[Tensor]:
    """int64 (B, T) batches of rows of like length.

    A shorter row is filled by repeating its own tokens: padding tokens would calibrate the
    activations on text the model never sees.
    """
    ordered = sorted(rows, key=len)
    for start in range(0, len(ordered), size):
        batch = ordered[start : start + size]
        length = len(batch[-1])
        filled = [[row[place % len(row)] for place in range(length)] for row in batch]
        yield torch.tensor(filled)


def forward_loop(ids: Sequence[Tensor], on_batch: Callable[[int], None]) -> Callable[[Any], None]:
    """What ModelOpt calls with the model; ``on_batch`` is told the rows of each finished batch."""

    def run(model: Any) -> None:
        with torch.inference_mode():
            for batch_BT in ids:
                # The decoder alone: scores over the vocabulary calibrate nothing.
                model.model(batch_BT.to(model.device), use_cache=False)
                on_batch(len(batch_BT))

    return run
