"""A run's numbers over its steps: the panels of its pages and the data they draw."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from apps.runs.figures import metrics
from apps.runs.figures.numbers import Setup, Step
from apps.runs.models import Run
from kos.config import Train

# Of a longer run the diagnosis reads the start and the end, where its rules look.
READ_FIRST, READ_LAST = 100, 1900
TABLE_ROWS = 25
SPENT = ("tokens/", "time/")


class Mark(NamedTuple):
    """A level that a line is read against; ``name`` is the metric it belongs to."""

    name: str
    value: float
    label: str


class Panel(NamedTuple):
    """One chart. ``names`` are metric names in the order of their colours.

    A name that ends in ``/*`` stands for all metrics below it. ``stack`` piles what adds up to
    a whole, ``bars`` does so with a bar a step; both fall back to lines where a part is negative.
    ``marks`` are levels that the config sets, such as a gate or a cap.
    """

    title: str
    note: str
    names: tuple[str, ...]
    shape: Literal["lines", "stack", "bars"] = "lines"
    marks: tuple[Mark, ...] = ()
    is_pinned: bool = False

    @property
    def key(self) -> str:
        """What tells it from other panels: its metrics."""
        return " ".join(self.names)

    @property
    def marks_json(self) -> str:
        return json.dumps([mark._asdict() for mark in self.marks])

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
    """The steps with their numbers, in order; of a very long run the first and the newest ones."""
    last = metrics.last_step(run)
    if last is None:
        return []
    if last <= READ_FIRST + READ_LAST:
        return metrics.steps(run)
    first = metrics.steps(run, until=READ_FIRST)
    return first + metrics.steps(run, after=last - READ_LAST)


def summed(run: Run) -> list[Step]:
    """One step that stands for all of them, with what they spent: tokens and seconds."""
    found = metrics.totals(run, SPENT)
    return [Step(0, found)] if found else []


def setup(run: Run) -> Setup:
    """What the rules of the diagnosis need of the run's config."""
    config = run.known_settings
    if not isinstance(config, Train):
        # Of an older Kos, or no training: its numbers are judged by the defaults.
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


def table(run: Run, *, limit: int = TABLE_ROWS) -> dict[str, Any]:
    """The newest numbers as rows of text, newest step first: for readers without the charts."""
    last = metrics.last_step(run)
    found = metrics.steps(run, after=last - limit) if last is not None else []
    names = sorted({name for step in found for name in step.metrics})
    rows = [
        {"step": step.number, "values": [said(step.metrics.get(name)) for name in names]}
        for step in reversed(found)
    ]
    return {"names": names, "rows": rows}


def said(value: float | None) -> str:
    """A number as it stands in a cell, to five digits; a dash for none."""
    return "\N{EN DASH}" if value is None else f"{value:,.5g}"


def expand(patterns: Iterable[str], known: Iterable[str]) -> list[str]:
    """The ``known`` metrics that the patterns of a panel stand for."""
    wanted = [*patterns]
    return [name for name in known if any(matches(pattern, name) for pattern in wanted)]


def every(known: Sequence[str]) -> list[PanelGroup]:
    """The groups, and after them a panel for each of the ``known`` metrics that none draws."""
    found = groups(known) if known else []
    drawn = {
        name for group in found for panel in group.panels for name in expand(panel.names, known)
    }
    rest = tuple(Panel(words(name), "", (name,)) for name in known if name not in drawn)
    return [*found, PanelGroup("others", "Other numbers", rest)] if rest else found


def words(name: str) -> str:
    """A metric's name as a heading: ``reward/part/rubric`` is "Reward part rubric"."""
    said = name.replace("/", " ").replace("_", " ").strip()
    return said[:1].upper() + said[1:]
