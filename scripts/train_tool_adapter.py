"""Makes the adapter in kos/data/adapters: SmolLM2 learns to call Kos's tools, with Kos's own jobs.

    python -m scripts.train_tool_adapter [--questions 420] [--folder var/tool-adapter]

Three runs as the console would start them: import of the base, synthesis of trajectories from the
embedded tools, supervised fine-tuning. Each goes on where a stopped one was. Then the 50 unseen
questions are asked (benchmarks/tool_calls.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks import tool_calls
from kos.config import Adam, ImportBase, Lora, Sft, Synthesise
from kos.data.fetch import import_base
from kos.data.synthesis import synthesise
from kos.events import Event, LocalJob, Note, StepDone
from kos.rl.sft import sft


def tell(event: Event) -> None:
    match event:
        case Note(text):
            sys.stdout.write(f"{text}\n")
        case StepDone(step, metrics):
            sys.stdout.write(
                f"step {step}: loss {metrics['loss']:.4f}, {metrics['time/train']:.0f} s\n"
            )
    sys.stdout.flush()


def job(folder: Path, seed: int, **inputs: Path) -> LocalJob:
    folder.mkdir(parents=True, exist_ok=True)
    return LocalJob(folder, inputs, seed=seed, on_event=tell)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=420)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--adapter", type=Path, help="go on from this adapter")
    parser.add_argument("--folder", type=Path, default=Path("var/tool-adapter"))
    chosen = parser.parse_args()
    started = time.monotonic()
    base = job(chosen.folder / "base", chosen.seed)
    if not (base.folder / "base").exists():
        import_base(ImportBase(), base)
    made = job(chosen.folder / "made", chosen.seed)
    if not (made.folder / "trajectories").exists():
        synthesise(Synthesise(questions=chosen.questions), made)
    config = Sft(
        epochs=chosen.epochs,
        batch_size=12,
        max_length=2048,
        prompts="shared",
        lora=Lora(rank=chosen.rank, alpha=2 * chosen.rank),
        adam=Adam(learning_rate=chosen.rate),
    )
    tuned = job(
        chosen.folder / "tuned",
        chosen.seed,
        base=base.folder / "base",
        trajectories=made.folder / "trajectories",
        **({"adapter": chosen.adapter} if chosen.adapter else {}),
    )
    sft(config, tuned)
    sys.stdout.write(
        f"{time.monotonic() - started:.0f} s\n{json.dumps(config.model_dump(mode='json'))}\n"
    )
    outcomes = tool_calls.ask(base.folder / "base", tuned.folder / "adapter")
    sys.stdout.write(tool_calls.line("with adapter", outcomes) + "\n")


if __name__ == "__main__":
    main()
