"""Does a real vLLM follow the trainer? A short training whose answers come from its server.

    python -m benchmarks.hot_swap [--folder var/hot_swap] [--steps 3] [--rate 1e-3]

Needs vLLM (``make vllm``; its CPU build will do). SmolLM2-135M learns with a rank-8 adapter; before
each step's answers the adapter is swapped into the server and the probe holds the server's
log-probabilities against the trainer's: a server that keeps old weights stops the run. Prints, a
step a row, how far the sampled tokens' log-probabilities lie from the trainer's. Not resumed: an
earlier run's folder is taken away.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks.two_stages import dataset, done
from kos.config import ImportBase, Train
from kos.data.fetch import import_base
from kos.events import Event, LocalJob, StepDone
from kos.rl.train import train

COLUMNS = ("kl/sample_train", "kl/sample_train_v2", "kl/correlation", "time/sample")


def config(steps: int, rate: float) -> Train:
    return Train.model_validate(
        {
            "steps": steps,
            "groups": 2,
            "group_size": 4,
            "substeps": 2,
            "lora": {"rank": 8},
            "adam": {"learning_rate": rate},
            "sampling": {"max_tokens": 32},
            "sampler": {"kind": "vllm", "max_context": 512},
            "rewards": [{"kind": "conciseness", "gate": 0.05}],
        }
    )


def tell(event: Event) -> None:
    match event:
        case StepDone(step, metrics):
            cells = [f"{metrics.get(name) or 0:.4g}" for name in COLUMNS]
            sys.stdout.write(f"| {step} | {' | '.join(cells)} |\n")
            sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("var/hot_swap"))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1e-3)
    chosen = parser.parse_args()
    root, rows = chosen.folder, dataset(chosen.folder)
    base = done(import_base, ImportBase(), root / "import", "base")
    shutil.rmtree(root / "train", ignore_errors=True)
    (root / "train").mkdir()
    sys.stdout.write(f"| step | {' | '.join(COLUMNS)} |\n|---:|{'---:|' * len(COLUMNS)}\n")
    inputs = {"base": base, "dataset": rows}
    train(
        config(chosen.steps, chosen.rate),
        LocalJob(root / "train", inputs, on_event=tell),
    )


if __name__ == "__main__":
    main()
