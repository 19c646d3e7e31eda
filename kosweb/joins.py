"""What one app does with another's work, where neither may import the other."""

from __future__ import annotations

from apps.deployments.models import Deployment
from apps.traces import services as traces
from apps.traces.models import Trace
from kos.events import RolloutDone, to_json


def keep_api_answer(deployment: Deployment, rollout: RolloutDone) -> str:
    """The trace of an answer given at /v1; its number."""
    data = traces.clean(to_json(rollout))
    run = deployment.run
    (trace,) = traces.record(run, run.attempt, [data], origin=Trace.Origin.API)
    return str(trace.pk)
