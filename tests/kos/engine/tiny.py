"""A policy small enough to train in a test, on disk, and prompts whose rubric it can meet."""

from __future__ import annotations

from pathlib import Path

import torch

from kos.data.rubrics import Check, RubricItem, RubricTask, Turn
from kos.engine.machine import Machine
from kos.weights import k2_tiny

MACHINE = Machine("cpu", "float32", 1)


def make_policy(folder: Path) -> Path:
    """A Llama of 0.2M random parameters with k2-tiny's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = k2_tiny.build_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tasks(count: int = 6) -> list[RubricTask]:
    """Prompts whose only item is met by an answer with j, k or l in it: about half of them."""
    item = RubricItem(key="j", text="Has j, k or l.", points=1, check=Check(regex="[j-l]"))
    return [
        RubricTask(
            id=f"task-{number}",
            messages=(Turn(role="user", content="Say it." * (number + 1)),),
            rubric=(item,),
            reference="Rest and fluids." * (number % 3 + 1),
        )
        for number in range(count)
    ]


def write_tasks(path: Path, tasks: list[RubricTask]) -> Path:
    path.write_text("".join(task.model_dump_json() + "\n" for task in tasks))
    return path
