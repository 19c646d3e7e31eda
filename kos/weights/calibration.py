"""Text that calibrates the activations: what the model is asked and what it answers.

Prompts come from a dataset's training split. Better are a run's own answers (``answers``): then
the activations are those of the model's own writing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kos.data import answers
from kos.data.answers import GradedAnswer
from kos.data.prompts import with_system
from kos.data.readers import read_file
from kos.engine.models import Chat
from kos.errors import UserError

Prompt = list[dict[str, str]]


class Text(NamedTuple):
    """A conversation, and the model's answer to it where there is one."""

    messages: Prompt
    answer: str = ""


def read_texts(
    inputs: Mapping[str, Path], *, samples: int, seed: int, system_prompt: str
) -> list[Text]:
    """At most ``samples`` texts of the inputs ``answers`` and ``dataset``, answers first.

    The same ones for the same seed; empty when there is neither input.
    """
    texts: list[Text] = []
    if "answers" in inputs:
        found = answers.read(_file(inputs["answers"]), GradedAnswer)
        texts += [Text(answers.conversation(one.messages), one.answer) for one in found]
        texts = _some(texts, samples, seed)
    if "dataset" in inputs and len(texts) < samples:
        prompts = read_prompts(inputs["dataset"], samples=samples - len(texts), seed=seed)
        texts += [Text(with_system(prompt, system_prompt)) for prompt in prompts]
    return texts


def read_prompts(dataset: Path, *, samples: int, seed: int) -> list[Prompt]:
    """Messages of at most ``samples`` training prompts, the same ones for the same seed."""
    tasks = [task for task in read_file(dataset).tasks if task.split == "train"]
    if not tasks:
        raise UserError(f"{dataset.name} has no row in its training split to calibrate on")
    return [[turn.model_dump() for turn in task.messages] for task in _some(tasks, samples, seed)]


def _some(found: list[Any], samples: int, seed: int) -> list[Any]:
    return random.Random(seed).sample(found, min(samples, len(found)))  # noqa: S311


def _file(path: Path) -> Path:
    """The JSONL of an ``answers`` artifact, which is a file or a folder with one."""
    return path / answers.ANSWERS if path.is_dir() else path


def encode(chat: Chat, texts: Sequence[Text], *, max_length: int) -> list[list[int]]:
    """Token ids of each text under the chat template; a longer one keeps its end."""
    return [
        (chat.encode(messages) + (chat.encode_answer(answer) if answer else []))[-max_length:]
        for messages, answer in texts
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
