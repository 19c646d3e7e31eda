"""What can be done with what a finished run kept, as buttons on its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from apps.runs.models import Artifact, Run, Status
from kos.config import JOBS

MAKERS = ("train", "sft", "dpo", "critic", "select")


class NextStep(NamedTuple):
    """A button: what it says, why one would, and where it leads."""

    verb: str
    why: str
    url: str


def next_steps(run: Run) -> list[NextStep]:
    """The offers of a training or a selection that is done; empty for any other run."""
    if run.status != Status.DONE or run.kind not in MAKERS:
        return []
    if run.kind == "select":
        return _learn(run)
    adapter = run.artifacts.filter(kind=Artifact.Kind.ADAPTER).first()
    if adapter is None:
        return []
    base = run.inputs.filter(name="base").values_list("artifact", flat=True).first()
    given: Mapping[str, object] = {"adapter": adapter.pk, "base": base, "dataset": run.dataset_id}
    offers = [
        _start("merge", "Merge", "Write the adapter into the base's weights.", given),
        _start(
            "evaluate",
            "Evaluate",
            "Ask the test prompts of the base and with this adapter.",
            {**given, "warm_start": adapter.pk},
        ),
    ]
    if run.kind == "train":
        offers = [*_shorter(run, given), *offers]
    else:
        offers.insert(0, _start("train", "Train", "Go on with rewards from here.", given))
    return [offer for offer in offers if offer is not None]


def _shorter(run: Run, given: Mapping[str, object]) -> list[NextStep | None]:
    """The second phase that shortens answers: by RL, and by the other variants."""
    clone = {"clone": run.pk, "phase": 2, "adapter": given["adapter"]}
    rl = NextStep(
        "Shorter answers: second phase",
        "Train on with fewer tokens and a length reward (long2short RL, Kimi k1.5).",
        f"{reverse('runs:new', args=['train'])}?{urlencode(clone)}",
    )
    select = _start(
        "select",
        "Select short answers",
        "Keep the shortest correct answers to fine-tune on, or pairs to prefer them by.",
        given,
    )
    return [rl, select, _variants()]


def _learn(run: Run) -> list[NextStep]:
    """What selected answers, or pairs with them, are for."""
    given: dict[str, object] = dict(run.inputs.values_list("name", "artifact"))
    given |= dict(run.artifacts.values_list("kind", "pk"))
    offers = []
    if "answers" in given:
        why = "Learn the shortest correct answers (shortest rejection sampling)."
        offers.append(_start("sft", "Fine-tune on them", why, {**given, "dataset": None}))
    if run.config.get("keeps") == "all":
        why = "Teach the critic which answers were right."
        offers.append(_start("critic", "Refine the critic", why, {**given, "dataset": None}))
    if "pairs" in given:
        why = "Prefer the shortest correct answers to long ones (DPO)."
        offers.append(_start("dpo", "Optimise the preference", why, given))
    return [offer for offer in offers if offer is not None]


def _variants() -> NextStep | None:
    try:
        url = reverse("evals:variants")
    except NoReverseMatch:
        return None
    return NextStep("Compare variants", "Accuracy against tokens, long2short side by side.", url)


def _start(kind: str, verb: str, why: str, given: Mapping[str, object]) -> NextStep | None:
    """The form of ``kind`` with what it takes of ``given``; None where there is no such job."""
    if kind not in JOBS:
        return None
    takes = {
        name: value
        for name, value in given.items()
        if value is not None and (name in JOBS[kind].inputs or "-" in name)
    }
    return NextStep(verb, why, f"{reverse('runs:new', args=[kind])}?{urlencode(takes)}")
