"""A run's numbers over its steps: the panels of its pages and the data they draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from apps.runs.models import Event, Run
from apps.runs.numbers import Setup, Step
from kos.config import Train

STEP = "step"


class Panel(NamedTuple):
    """One chart. ``names`` are metric names in the order of their colours.

    A name that ends in ``/*`` stands for all metrics below it. ``stack`` piles what adds up to
    a whole, ``bars`` does so with a bar a step; both fall back to lines where a part is negative.
    """

    title: str
    note: str
    names: tuple[str, ...]
    shape: Literal["lines", "stack", "bars"] = "lines"

    def draws(self, known: Iterable[str]) -> bool:
        """Whether any of the ``known`` metrics belongs here."""
        return any(matches(pattern, name) for pattern in self.names for name in known)


class PanelGroup(NamedTuple):
    """Panels of one question, with the anchor that findings link to."""

    anchor: str
    title: str
    panels: tuple[Panel, ...]


PANELS = {
    "train": (
        Panel("Reward", "mean of a step", ("reward/mean", "reward/part/rubric", "reward/rubric")),
        Panel("Length", "tokens, mean", ("length/response", "length/output")),
        Panel("KL", "trainer against sampler", ("kl/sample_train_v2",)),
        Panel("Loss", "mean over the substeps", ("loss",)),
    ),
    "sft": (Panel("Loss", "per token", ("loss",)),),
    "dpo": (
        Panel("Loss", "per pair", ("loss",)),
        Panel("Accuracy", "pairs told apart", ("reward/accuracy", "accuracy")),
        Panel("Margin", "chosen over rejected", ("reward/margin", "margin")),
    ),
    "critic": (
        Panel(
            "Agreement",
            "with the verifier, held-out prompts",
            (
                "critic/agreement",
                "critic/agreement_before",
                "critic/agreement_low",
                "critic/agreement_high",
            ),
        ),
        Panel("Order", "pairs it flipped, verdicts for A", ("critic/flips", "critic/said_a")),
        Panel("Mandatory rubrics", "probes decided rightly", ("mandatory/*",)),
        Panel("Loss", "of the verdict", ("loss",)),
    ),
    "select": (
        Panel("Prompts", "shares", ("select/kept", "select/correct", "select/cut")),
        Panel("Length", "tokens, mean", ("length/response", "length/kept")),
    ),
}

GROUPS = (
    PanelGroup(
        "reward",
        "What it is rewarded for",
        (
            Panel("Reward by part", "mean, parts piled", ("reward/part/*",), "stack"),
            Panel(
                "Gate and bonus", "shares", ("gate/pass_rate", "bonus/share", "bonus/open_share")
            ),
            Panel("Reward", "mean and deviation", ("reward/mean", "reward/std")),
            Panel(
                "Spread within groups",
                "variance by its source",
                ("variance/rubric", "variance/bonus"),
                "stack",
            ),
            Panel("Groups without a lesson", "shares", ("groups/equal", "ungraded")),
            Panel("Refilled groups", "count", ("groups/refilled",)),
            Panel("Curriculum", "numbers that move", ("curriculum/*",)),
            Panel("Critic", "", ("critic/*",)),
        ),
    ),
    PanelGroup(
        "policy",
        "How the policy moves",
        (
            Panel(
                "Sampler against trainer",
                "KL, two estimates",
                ("kl/sample_train", "kl/sample_train_v2"),
            ),
            Panel("Correlation", "of their log-probabilities", ("kl/correlation",)),
            Panel("KL by substep", "each further from the sampler", ("kl/substep/*",)),
            Panel(
                "Clip fraction",
                "of the tokens, by substep",
                ("ratio/clip_fraction", "ratio/substep/*"),
            ),
            Panel("Entropy", "nats a token", ("entropy",)),
            Panel("Temperature", "of the sampler", ("temperature",)),
            Panel("Loss", "mean over the substeps", ("loss", "loss/*")),
            Panel("Gradient norm", "", ("grad_norm",)),
        ),
    ),
    PanelGroup(
        "lengths",
        "How long answers are",
        (
            Panel(
                "All tokens",
                "thinking and answer",
                ("length/response", *(f"length/response/p{part}" for part in (50, 90, 99))),
            ),
            Panel(
                "Visible answer",
                "tokens",
                ("length/output", *(f"length/output/p{part}" for part in (50, 90, 99))),
            ),
            Panel("How answers end", "shares", ("stop/*",), "stack"),
            Panel("Cut at the cap", "share", ("length/cut",)),
        ),
    ),
    PanelGroup(
        "cost",
        "What it costs",
        (
            Panel("Time of a step", "seconds by phase", ("time/*",), "bars"),
            Panel(
                "Tokens of a step",
                "by what became of them",
                ("tokens/sampled", "tokens/learnt", "tokens/prefill", "tokens/discarded"),
            ),
            Panel("Speed", "tokens sampled a second", ("tokens/per_second",)),
            Panel("Staleness", "updates behind", ("staleness/mean", "staleness/max")),
            Panel("Dropped as too old", "answers", ("staleness/dropped",)),
        ),
    ),
)


def panels(kind: str) -> tuple[Panel, ...]:
    return PANELS.get(kind, ())


def groups(known: Sequence[str]) -> list[PanelGroup]:
    """The groups with the panels that have something to draw; all of them before any step."""
    if not known:
        return [*GROUPS]
    found = [
        group._replace(panels=tuple(panel for panel in group.panels if panel.draws(known)))
        for group in GROUPS
    ]
    return [group for group in found if group.panels]


def matches(pattern: str, name: str) -> bool:
    """Whether metric ``name`` is ``pattern``, or below it where that ends in ``/*``."""
    if pattern.endswith("/*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def steps(run: Run) -> list[Step]:
    """Every step with its numbers, in order; one done again after a crash with its last ones."""
    events = Event.objects.filter(run=run, kind=STEP).order_by("seq")
    found = {data["step"]: data["metrics"] for data in events.values_list("data", flat=True)}
    return [Step(number, found[number]) for number in sorted(found)]


def setup(run: Run) -> Setup:
    """What the rules of the diagnosis need of the run's config."""
    try:
        config = run.settings
    except ValidationError:
        # A run of an older Kos: its numbers are judged by the defaults.
        return Setup()
    if not isinstance(config, Train):
        return Setup()
    return Setup(
        groups=config.groups,
        answers=config.groups * config.group_size,
        max_tokens=config.sampling.max_tokens,
        max_staleness=config.rollouts.max_staleness,
        ungraded_alarm=config.rollouts.ungraded_alarm,
        loss_spike=config.alarms.loss_spike,
        entropy=config.alarms.entropy,
        kl=config.alarms.kl,
    )


def series(run: Run) -> dict[str, Any]:
    """Every metric by step: ``{"steps": [...], "series": {name: [...]}, "last_seq": n}``.

    A step done again after a crash counts once, with its last numbers; where a step lacks a
    metric the value is None.
    """
    rows: dict[int, dict[str, float]] = {}
    last_seq = 0
    events = Event.objects.filter(run=run, kind=STEP).order_by("seq")
    for seq, data in events.values_list("seq", "data"):
        rows[data["step"]] = data["metrics"]
        last_seq = seq
    names = sorted({name for metrics in rows.values() for name in metrics})
    numbers = sorted(rows)
    return {
        "steps": numbers,
        "series": {name: [rows[step].get(name) for step in numbers] for name in names},
        "last_seq": last_seq,
    }


def table(run: Run, *, limit: int = 200) -> dict[str, Any]:
    """The same numbers as rows, newest step first: for readers without the charts."""
    data = series(run)
    names = list(data["series"])
    columns = list(data["series"].values())
    rows = [
        {"step": step, "values": [column[place] for column in columns]}
        for place, step in enumerate(data["steps"])
    ]
    return {"names": names, "rows": rows[::-1][:limit]}
