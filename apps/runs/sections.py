"""How a long form is folded: which knobs and parts of a config stand under which heading."""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    """A heading and the names of what stands below it; ``is_open`` from the start or not."""

    title: str
    note: str
    names: tuple[str, ...]
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
            ("normalisation", "loss", "lora", "adam", "ptx"),
        ),
        Section("Rollouts", "how answers are drawn", ("sampling", "temperature", "rollouts")),
        Section("Tools", "what the policy may call while it answers", ("tools",)),
        Section("Engine", "where it is computed", ("engine", "sampler")),
        Section(
            "Checkpoints and alarms",
            "what is kept to go back to, and when the run warns",
            ("checkpoint_seconds", "keep_every", "keep_tokens", "alarms"),
        ),
    ),
}
