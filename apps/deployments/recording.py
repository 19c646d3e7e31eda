"""Where answers given at /v1 are kept as traces.

Traces are a room beside this one: ``kosweb`` joins the two when the apps are ready.
"""

from __future__ import annotations

from typing import Protocol

from apps.deployments.models import Deployment
from kos.events import RolloutDone


class Recorder(Protocol):
    """Keeps an answer of ``deployment`` as a trace."""

    def __call__(self, deployment: Deployment, rollout: RolloutDone) -> str:
        """The trace's number, as the caller is told it."""


class _Desk:
    """Holds the recorder that kosweb brings."""

    recorder: Recorder | None = None


def use(recorder: Recorder | None) -> None:
    """Keep answers with ``recorder`` from now on; None keeps none."""
    _Desk.recorder = recorder


def record(deployment: Deployment, rollout: RolloutDone) -> str:
    """Keep the answer; "" where nobody keeps any."""
    return _Desk.recorder(deployment, rollout) if _Desk.recorder is not None else ""
