"""The panels of a run as one person sees them: with their pins and with the config's levels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from apps.runs.figures import charts
from apps.runs.figures.charts import GROUPS, Mark, Panel, PanelGroup
from apps.runs.models import PinnedPanel, Run
from kos.config import Train

if TYPE_CHECKING:
    from apps.accounts.models import User


def overview(run: Run, user: User) -> list[Panel]:
    """The panels of a run's overview: those of its kind and those that ``user`` pinned."""
    own = charts.panels(run.kind)
    keys = {panel.key for panel in own}
    found = [*own, *(panel for panel in pinned(run.kind, user) if panel.key not in keys)]
    return marked(found, marks(run))


def groups(run: Run, known: Sequence[str]) -> list[PanelGroup]:
    """The groups of the diagnosis."""
    levels = marks(run)
    return [
        group._replace(panels=tuple(marked(group.panels, levels)))
        for group in charts.groups(known)
    ]


def sections(run: Run, user: User, known: Sequence[str]) -> list[PanelGroup]:
    """Every metric of a run in its section, with what ``user`` pinned."""
    levels = marks(run)
    kept = {panel.key for panel in pinned(run.kind, user)}
    return [
        group._replace(
            panels=tuple(
                panel._replace(is_pinned=panel.key in kept)
                for panel in marked(group.panels, levels)
            )
        )
        for group in charts.every(known)
    ]


def pinned(kind: str, user: User) -> list[Panel]:
    """The panels that ``user`` keeps on the overviews of such runs, in the order of pinning."""
    kept = PinnedPanel.objects.filter(owner=user, kind=kind).values_list("names", flat=True)
    known = {panel.key: panel for group in GROUPS for panel in group.panels}
    found = [known.get(key) or Panel(charts.words(key), "", tuple(key.split())) for key in kept]
    return [panel._replace(is_pinned=True) for panel in found]


def pin(kind: str, user: User, key: str) -> bool:
    """Pin a panel, or let it go where it was pinned; returns whether it is now."""
    kept, is_new = PinnedPanel.objects.get_or_create(owner=user, kind=kind, names=key)
    if not is_new:
        kept.delete()
    return is_new


def marks(run: Run) -> list[Mark]:
    """The gates, caps and alarms of a training's config."""
    config = run.known_settings
    if not isinstance(config, Train):
        return []
    cap = config.sampling.max_tokens
    found = [
        Mark("length/response", cap, f"cut at {cap:,}"),
        Mark("kl/sample_train_v2", config.alarms.kl, f"alarm {config.alarms.kl:g}"),
        Mark("entropy", config.alarms.entropy, f"alarm {config.alarms.entropy:g}"),
        Mark(
            "ungraded", config.rollouts.ungraded_alarm, f"alarm {config.rollouts.ungraded_alarm:g}"
        ),
    ]
    for stage in config.rewards:
        found += _marks_of(stage)
    return [mark for mark in found if mark.value]


def _marks_of(stage: Any) -> Iterator[Mark]:
    """The gate of a stage of the reward, and the lengths between which its bonus falls."""
    gate = getattr(stage, "gate", None)
    if isinstance(gate, float):
        for name in ("reward/part/rubric", "reward/rubric"):
            yield Mark(name, gate, f"gate {gate:g}")
    for channel in ("response", "output"):
        bonus = getattr(stage, channel, None)
        # What the curriculum moves is no level.
        if bonus is None or getattr(stage, "curriculum", None):
            continue
        yield Mark(f"length/{channel}", bonus.free, f"full bonus to {bonus.free:,}")
        yield Mark(f"length/{channel}", bonus.maximum, f"no bonus from {bonus.maximum:,}")


def marked(found: Iterable[Panel], levels: Iterable[Mark]) -> list[Panel]:
    """The panels with those of ``levels`` that belong to their metrics, each said once."""
    told = [*levels]
    return [
        panel._replace(
            marks=tuple({mark.label: mark for mark in told if mark.name in panel.names}.values())
        )
        for panel in found
    ]
