"""How a long form is folded: what stands under which heading, and what is shown at first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Section(NamedTuple):
    """A heading and the names of what stands below it; ``more`` is folded away once more."""

    title: str
    note: str
    names: tuple[str, ...]
    more: tuple[str, ...] = ()
    is_open: bool = False


# By kind of job. What no section names stands above them, always open.
SECTIONS: dict[str, tuple[Section, ...]] = {
    "train": (
        Section("Prompts", "which are asked, and with which system", ("prompts", "system_prompt")),
        Section(
            "Reward",
            "the grader's score first, then what each stage adds",
            ("rewards", "grader"),
            is_open=True,
        ),
        Section(
            "Loss and optimiser",
            "what the answers teach",
            ("loss", "lora", "adam"),
            ("normalisation", "ptx"),
        ),
        Section("Rollouts", "how answers are drawn", ("sampling", "rollouts"), ("temperature",)),
        Section("Tools", "what the policy may call while it answers", ("tools",)),
        Section("Engine", "where it is computed", ("engine", "sampler")),
        Section(
            "Checkpoints and alarms",
            "what is kept to go back to, and when the run warns",
            ("checkpoint_seconds", "keep_every"),
            ("keep_tokens", "alarms"),
        ),
    ),
}

# The knobs that most people turn, by the class whose they are; the rest is folded away.
BASIC: dict[str, frozenset[str]] = {
    name: frozenset(knobs.split())
    for name, knobs in {
        "Adam": "learning_rate",
        "Asking": "dialect tools",
        "AtEndpoint": "name url model key",
        "Calibrate": "max_rows",
        "Critic": "iterations prompts samples",
        "Curriculum": "order by",
        "Deploy": "name server alias",
        "Dpo": "epochs batch_size beta",
        "Evaluate": "split samples max_prompts",
        "Judge": "url model key asks",
        "Measure": "samples threshold max_prompts",
        "PolicyItself": "reads",
        "Prioritised": "successes failures",
        "Remote": "name url served_model secret",
        "Rollouts": "equal_groups token_budget",
        "Sampling": "max_tokens temperature",
        "Select": "keeps samples max_prompts",
        "SelfCritique": "weight method",
        "Sft": "epochs batch_size max_length",
        "Survival": "experts layers prompts",
        "Synthesise": "questions",
        "Tinker": "base_url model secret",
        "Toggle": "iterations threshold",
        "Tools": "names share",
        "Train": "steps groups group_size substeps",
        "Vllm": "url max_context",
    }.items()
}
FEW = 4
FIRST = 3


def basic_knobs(schema: str, knobs: Sequence[str]) -> frozenset[str]:
    """Those of ``knobs`` that are shown at once; of a class that is not listed, its first."""
    if schema in BASIC:
        return BASIC[schema]
    return frozenset(knobs if len(knobs) <= FEW else knobs[:FIRST])
