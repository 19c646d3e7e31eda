"""Kos's merge against peft's ``merge_and_unload`` and ``save_pretrained``.

Makes a random Llama of SmolLM2-135M's shape and a LoRA on all its linear layers, merges it both
ways in processes of their own, and prints wall time, CPU time, peak resident memory and the
ratios. The results must agree within one BF16 step.

    python -m benchmarks.merge [--layers 30] [--rank 16]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil


def make(folder: Path, *, layers: int, rank: int) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder / "base")
    lora = get_peft_model(model, LoraConfig(r=rank, lora_alpha=rank, target_modules="all-linear"))
    for name, value in lora.named_parameters():
        if "lora_B" in name:
            value.data.normal_(0, 1e-3)
    lora.save_pretrained(folder / "adapter")


def with_kos(folder: Path) -> None:
    from kos.config import Merge
    from kos.events import LocalJob
    from kos.weights.merge import merge

    inputs = {"base": folder / "base", "adapter": folder / "adapter"}
    merge(Merge(), LocalJob(folder / "kos", inputs))


def with_peft(folder: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload()
    merged.to(torch.bfloat16).save_pretrained(folder / "peft" / "merged")


WAYS = {"kos": with_kos, "peft": with_peft}


def measure(way: str, folder: Path) -> dict[str, float]:
    """Run one way in a fresh process; imports are not counted in its wall time."""
    command = [sys.executable, "-m", "benchmarks.merge", "--way", way, "--folder", str(folder)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


class Memory(threading.Thread):
    """Samples this process's resident memory: ``ru_maxrss`` would count its parent's as well."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.begin = self.peak = psutil.Process().memory_info().rss
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.01):
            self.peak = max(self.peak, psutil.Process().memory_info().rss)


def run_way(way: str, folder: Path) -> None:
    import peft  # noqa: F401  imported for either way, so that neither pays for it
    import torch
    import transformers  # noqa: F401

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    memory = Memory()
    wall, cpu = time.monotonic(), time.process_time()
    memory.start()
    WAYS[way](folder)
    memory.ended.set()
    memory.join()
    found = {
        "wall_s": time.monotonic() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_mb": memory.peak / 1e6,
        "grown_mb": (memory.peak - memory.begin) / 1e6,
    }
    print(json.dumps(found))


def farthest(folder: Path) -> float:
    """Largest relative difference between the two results."""
    from kos.weights.shards import Index

    ours, theirs = Index(folder / "kos" / "merged"), Index(folder / "peft" / "merged")
    assert set(ours) == set(theirs)
    worst = 0.0
    for name in ours:
        a, b = ours[name].read().float(), theirs[name].read().float()
        worst = max(worst, float(((a - b).abs() / b.abs().clamp_min(1e-6)).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    told = parser.parse_args()
    if told.way:
        run_way(told.way, told.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, layers=told.layers, rank=told.rank)
        found = {way: measure(way, folder) for way in WAYS}
        for way, numbers in found.items():
            print(f"{way:5s}", *(f"{key} {value:8.2f}" for key, value in numbers.items()))
        ratios = {key: found["peft"][key] / found["kos"][key] for key in found["kos"]}
        print("peft / kos", *(f"{key} {value:.2f}x" for key, value in ratios.items()))
        print(f"largest relative difference {farthest(folder):.2e} (one BF16 step is 7.8e-03)")


if __name__ == "__main__":
    main()
