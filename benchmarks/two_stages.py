"""Kos-1's two stages at a laptop's size: does stage 1 earn more, does stage 2 say it shorter?

    python -m benchmarks.two_stages [--folder var/two_stages] [--steps 40] [--samples 4] [--rate 2e-4]
                                   [--temperature 0.7]

Does what the console would, with the product's own jobs and presets: imports SmolLM2-135M, warm
starts it on the sample datasets' references (sft), trains with the preset ``laptop`` (stage 1),
goes on from its adapter with ``laptop-stage2``, and asks every policy the held-out test prompts.
Each job is kept with its checkpoints, so a stopped benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from apps.runs.presets import PRESETS
from kos.config import Evaluate, ImportBase, JobConfig, Merge, Sft, Train
from kos.data.fetch import import_base
from kos.evals import journal
from kos.evals.run import evaluate
from kos.evals.statistics import compare, estimate
from kos.events import Event, Job, LocalJob, Note, RolloutDone, StepDone
from kos.rl.sft import sft
from kos.rl.train import train
from kos.weights.merge import merge

SAMPLES = ("consult", "research", "writing")
Work = Callable[[Any, Job], None]


def done(work: Work, config: JobConfig, folder: Path, made: str, **inputs: Path) -> Path:
    """What the job keeps as ``made``; a job that ended before is not run again."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ended").exists():
        with (folder / "events.jsonl").open("a") as log:
            work(config, LocalJob(folder, inputs, on_event=lambda event: tell(event, log)))
        (folder / "ended").touch()
    return folder / made


def tell(event: Event, log: Any) -> None:
    match event:
        case Note(text):
            sys.stderr.write(f"{text}\n")
        case StepDone(step, metrics):
            log.write(json.dumps({"step": step, **metrics}) + "\n")
            log.flush()


def dataset(root: Path) -> Path:
    """The three sample sets in one file; their test rows are held out."""
    root.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).parents[1] / "kos" / "data" / "sample"
    path = root / "sample.jsonl"
    path.write_text("".join((source / f"{name}.jsonl").read_text() for name in SAMPLES))
    return path


def stage(preset: str, steps: int, rate: float) -> Train:
    adam = {"learning_rate": rate}
    return Train.model_validate({**PRESETS[preset].config, "steps": steps, "adam": adam})


def answers_of(
    root: Path, name: str, rows: Path, samples: int, temperature: float, **models: Path
) -> list[RolloutDone]:
    given = PRESETS["demo"].config["evaluate"]
    sampling = given["sampling"] | {"temperature": temperature}
    config = Evaluate.model_validate({**given, "samples": samples, "sampling": sampling})
    folder = root / f"evaluate-{name}-{temperature:g}"
    done(evaluate, config, folder, "report", dataset=rows, **models)
    (graded,) = (folder / "checkpoint").glob("*.graded.jsonl")
    return journal.read(graded)


def by_prompt(
    answers: Sequence[RolloutDone], number: Callable[[RolloutDone], Any]
) -> dict[str, float]:
    found: Mapping[str, list[float]] = defaultdict(list)
    for one in answers:
        if (value := number(one)) is not None:
            found[one.example_id].append(value)
    return {prompt: fmean(values) for prompt, values in found.items()}


def score(one: RolloutDone) -> float | None:
    return None if one.score is None else min(max(one.score, 0.0), 1.0)


def tokens(one: RolloutDone) -> float:
    return one.num_answer_tokens


def table(found: Mapping[str, Sequence[RolloutDone]]) -> str:
    lines = [
        "| policy | rubric score (SE) | against the one before (SE) | visible tokens | full-length |",
        "|---|---:|---:|---:|---:|",
    ]
    before: dict[str, float] = {}
    for name, answers in found.items():
        scores = by_prompt(answers, score)
        mean, against = estimate([*scores.values()]), compare(scores, before, 0)
        assert mean is not None, name
        delta = against.delta if against else None
        cells = [
            f"{mean.mean:.3f} ({mean.standard_error:.3f})",
            f"{delta.mean:+.3f} ({delta.standard_error:.3f})" if delta else "",
            f"{fmean(by_prompt(answers, tokens).values()):.0f}",
            f"{sum(one.stop_reason == 'length' for one in answers)}/{len(answers)}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        before = scores
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("var/two_stages"))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2e-4, help="learning rate; the presets' own")
    parser.add_argument(
        "--temperature", type=float, default=0.7, help="of the test; 1 is what training samples at"
    )
    chosen = parser.parse_args()
    root, rows = chosen.folder, dataset(chosen.folder)

    base = done(import_base, ImportBase(), root / "import", "base")
    warm = Sft.model_validate(PRESETS["demo"].config["sft"])
    adapters = {"warm start": done(sft, warm, root / "sft", "adapter", base=base, dataset=rows)}
    for name, preset in (("stage 1", "laptop"), ("stage 2", "laptop-stage2")):
        last = [*adapters.values()][-1]
        adapters[name] = done(
            train,
            stage(preset, chosen.steps, chosen.rate),
            root / preset,
            "adapter",
            base=base,
            adapter=last,
            dataset=rows,
        )

    asked = (rows, chosen.samples, chosen.temperature)
    found = {"base": answers_of(root, "base", *asked, base=base)}
    for name, adapter in adapters.items():
        folder = root / f"merge-{adapter.parent.name}"
        model = done(merge, Merge(), folder, "merged", base=base, adapter=adapter)
        found[name] = answers_of(root, adapter.parent.name, *asked, trained=model)
    sys.stdout.write(f"{table(found)}\n")


if __name__ == "__main__":
    main()
