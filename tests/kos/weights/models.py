"""Tiny models and adapters on disk, made once a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from kos.config import Merge
from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.events import LocalJob
from kos.weights import k2_tiny
from kos.weights.merge import merge
from kos.weights.shards import Index

SMALL = Merge(shard_gb=0.0007)


def make_llama(folder: Path, *, is_tied: bool = True) -> Path:
    """A Llama of 0.3M parameters with k2-tiny's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=is_tied,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    k2_tiny.build_tokenizer().save_pretrained(folder)
    return folder


def make_peft(base: Path, folder: Path, **lora: Any) -> Path:
    """A peft adapter with random factors in ``folder``, and its own merge in ``folder/merged``."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, **lora))
    generator = torch.Generator().manual_seed(1)
    for name, value in model.named_parameters():
        if "lora_" in name:
            value.data = torch.randn(value.shape, generator=generator) * 0.05
    model.save_pretrained(folder)
    merged = model.merge_and_unload()
    # Not ``.to(bfloat16)``, which would round the router's bias as well.
    for value in merged.parameters():
        value.data = value.data.to(torch.bfloat16)
    merged.save_pretrained(folder / "merged")
    return folder


def run_merge(folder: Path, config: Merge = SMALL, **inputs: Path) -> LocalJob:
    job = LocalJob(folder, inputs)
    merge(config, job)
    return job


def differing(a: Path, b: Path) -> list[str]:
    """Names in only one of two model folders, or with other values or types."""
    first, second = Index(a), Index(b)
    names = [name for name in first if name in second]
    changed = [name for name in names if not same(first[name].read(), second[name].read())]
    return sorted({*(first.keys() ^ second.keys()), *changed})


def apart(a: Path, b: Path) -> list[str]:
    """Names in only one of two model folders, or more than one BF16 step apart."""
    first, second = Index(a), Index(b)
    far = [
        name
        for name in differing(a, b)
        if name not in first
        or name not in second
        or not torch.allclose(first[name].read(), second[name].read(), rtol=2**-7, atol=1e-8)
    ]
    return far


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    # Scalars cannot be seen as bytes where they stand.
    first, second = (one.contiguous().view(-1).view(torch.uint8) for one in (a, b))
    return (a.dtype, a.shape) == (b.dtype, b.shape) and torch.equal(first, second)


def write_prompts(path: Path, count: int = 6) -> Path:
    item = RubricItem(key="a", text="Says what to do.", points=1)
    texts = [
        f"The patient of {40 + i} has fever{' and pain' * i}. What next?" for i in range(count)
    ]
    tasks = [
        RubricTask(id=str(i), messages=(Turn(role="user", content=text),), rubric=(item,))
        for i, text in enumerate(texts)
    ]
    path.write_text("\n".join(task.model_dump_json() for task in tasks))
    return path


class LiveBytes(TorchDispatchMode):
    """The most bytes of tensors alive at once while the block runs."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: Any = WeakIdKeyDictionary()
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                self.storages[storage] = storage.nbytes()
        self.peak = max(self.peak, sum(self.storages.values()))
        return out
