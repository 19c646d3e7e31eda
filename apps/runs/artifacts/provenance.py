"""What stands behind an artifact, read once when it is kept: its format and the base it is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from apps.runs.models import Artifact, Run

FORMAT_CHARS = 40
# Jobs that grade answers by the rubrics of their dataset; others read its texts alone.
GRADING = ("train", "evaluate", "select", "measure", "critic")
# What a job is called where there is room for a word or two.
LABELS = {
    "base": "Import",
    "sft": "Fine-tuning",
    "train": "Training",
    "dpo": "Preference",
    "critic": "Critic",
    "select": "Selection",
    "average": "Average",
    "measure": "Difficulty",
    "synthesise": "Synthesis",
    "merge": "Merge",
    "export": "Quantisation",
    "survival": "Survival",
    "evaluate": "Evaluation",
    "calibrate": "Judge calibration",
    "deploy": "Deployment",
    "pipeline": "Pipeline",
}
DASH = "\N{EN DASH}"


class Fact(NamedTuple):
    """A line of a definition grid; ``url`` where the value leads somewhere."""

    name: str
    value: str
    url: str = ""
    is_code: bool = False


def format_of(run: Run, kind: str, summary: Mapping[str, Any]) -> str:
    """How the weights are stored: an export's own choice, else what the job said; or ""."""
    chosen = run.config.get("format")
    if kind == Artifact.Kind.QUANTISED and isinstance(chosen, dict):
        return str(chosen.get("kind", ""))[:FORMAT_CHARS]
    return str(summary.get("format", ""))[:FORMAT_CHARS]


def base_of(run: Run, kind: str) -> Artifact | None:
    """The base that what ``run`` makes stems from; None for a base itself, or of nothing."""
    if kind == Artifact.Kind.BASE:
        return None
    given = Artifact.objects.filter(uses__run=run).select_related("base").order_by("pk")
    stems = [one if one.kind == Artifact.Kind.BASE else one.base for one in given]
    return next((one for one in stems if one is not None), None)


def label_of(run: Run) -> str:
    """What kind of job it is, in a word or two."""
    return LABELS.get(run.kind, run.kind.capitalize())


def key_number(artifact: Artifact) -> str:
    """The one number that tells it from its like, in a few characters; "" where there is none."""
    summary = artifact.summary
    match artifact.kind:
        case Artifact.Kind.ADAPTER:
            rank = f"rank {summary['rank']}" if "rank" in summary else ""
            steps = f"step {summary['steps']}" if "steps" in summary else ""
            return ", ".join(filter(None, (rank, steps)))
        case Artifact.Kind.QUANTISED | Artifact.Kind.MERGED | Artifact.Kind.BASE:
            return artifact.format
    return ""


def facts(artifact: Artifact) -> list[Fact]:
    """What is known of it beyond files and hash, by the job that made it and what that said."""
    config, summary = artifact.run.config, artifact.summary
    found = [*_adapter(config, summary)] if artifact.kind == Artifact.Kind.ADAPTER else []
    if artifact.kind == Artifact.Kind.QUANTISED:
        found += _export(config, summary)
    if "num_parameters" in summary:
        found.append(Fact("Parameters", f"{summary['num_parameters']:,}"))
    for name, label in (("licence", "Licence"), ("license", "Licence"), ("source", "Source")):
        if isinstance(summary.get(name), str) and summary[name]:
            found.append(Fact(label, summary[name]))
    if artifact.run.code_revision:
        found.append(Fact("Code revision", artifact.run.code_revision, is_code=True))
    return found


def training(run: Run) -> list[Fact]:
    """How a training learnt, by its config: the loss, what was rewarded, who graded."""
    config = run.config
    found = [Fact("Loss", _kind(config.get("loss")))] if config.get("loss") else []
    stages = [_kind(stage) for stage in config.get("rewards") or ()]
    if run.kind == "train":
        parts = ", ".join(["rubric score", *filter(None, stages)])
        found.append(Fact("Reward", parts))
    if config.get("grader"):
        found.append(Fact("Grader", _kind(config["grader"])))
    lora = config.get("lora") or {}
    if "rank" in lora:
        found.append(Fact("Adapter", f"rank {lora['rank']}, alpha {lora.get('alpha', DASH)}"))
    if "steps" in config:
        found.append(Fact("Steps", str(config["steps"])))
    return found


def _adapter(config: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Fact]:
    lora = config.get("lora") or {}
    rank = summary.get("rank", lora.get("rank"))
    alpha = summary.get("alpha", lora.get("alpha"))
    steps = summary.get("steps", config.get("steps"))
    named = (("Rank", rank), ("Alpha", alpha), ("Step", steps))
    return [Fact(name, str(value)) for name, value in named if value is not None]


def _export(config: Mapping[str, Any], summary: Mapping[str, Any]) -> list[Fact]:
    """Carve-outs and calibration: what stayed as it was, and on what the rest was measured."""
    chosen = config.get("format") or {}
    kept = chosen.get("keep") or ()
    found = [Fact("Kept in BF16", ", ".join(map(str, kept)) or "nothing", is_code=True)]
    if "num_quantised" in summary:
        told = f"{summary['num_quantised']:,} of "
        found.append(
            Fact("Quantised", f"{told}{summary['num_quantised'] + summary['num_kept']:,} tensors")
        )
    calibration = summary.get("calibration") or {}
    found.append(Fact("Calibrated on", _calibration(calibration)))
    return found


def _calibration(about: Mapping[str, Any]) -> str:
    """What the activations were measured on, in a line."""
    if not about:
        return "nothing"
    words = [f"{about['num_inputs']} inputs"] if "num_inputs" in about else []
    words += [
        f"{name.replace('_', ' ')} {value}"
        for name, value in about.items()
        if name not in ("num_inputs", "coverage") and isinstance(value, (str, int, float))
    ]
    return ", ".join(words)


def _kind(choice: Any) -> str:
    return str(choice.get("kind", "")) if isinstance(choice, dict) else str(choice or "")
