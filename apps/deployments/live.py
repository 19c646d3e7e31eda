"""How a deployment does right now: from its usage, and from vLLM's own numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import httpx
from django.db.models import Count, Q, Sum
from django.utils import timezone

from apps.deployments import metering
from apps.deployments.models import Deployment, Usage
from kos.serving.client import connect_sync, is_listening

WINDOW = timedelta(minutes=5)
# Percentiles of more answers than that would not be more exact.
MOST_TIMES = 2000
METRICS_SECONDS = 1.0
LINE = re.compile(r"^(?P<name>vllm:[a-z_]+)(?:\{[^}]*\})? (?P<value>[-+0-9.eE]+)$", re.M)


@dataclass(frozen=True)
class Live:
    """Numbers of the last five minutes; times in seconds, None where nothing was asked.

    ``running`` and ``waiting`` are the server's own count where it tells (vLLM), else
    ``running`` is what this process has under way.
    """

    running: int
    waiting: int | None
    requests: int
    failed: int
    tokens_per_second: float
    first_token_p50: float | None
    first_token_p95: float | None


def measure(deployment: Deployment) -> Live:
    """The deployment's numbers now."""
    rows = Usage.objects.filter(deployment=deployment, created__gte=timezone.now() - WINDOW)
    told = rows.aggregate(
        requests=Count("pk"),
        failed=Count("pk", filter=Q(status=Usage.Status.FAILED)),
        tokens=Sum("completion_tokens", default=0),
    )
    times = rows.exclude(first_token_seconds=None).values_list("first_token_seconds", flat=True)
    ordered = sorted(seconds for seconds in times[:MOST_TIMES] if seconds is not None)
    engine = _metrics(deployment)
    return Live(
        running=int(engine.get("vllm:num_requests_running", metering.in_flight(deployment.pk))),
        waiting=_whole(engine.get("vllm:num_requests_waiting")),
        requests=told["requests"],
        failed=told["failed"],
        tokens_per_second=told["tokens"] / WINDOW.total_seconds(),
        first_token_p50=percentile(ordered, 50),
        first_token_p95=percentile(ordered, 95),
    )


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile of sorted values; None of nothing."""
    if not ordered:
        return None
    rank = -(-percent * len(ordered) // 100)  # rounded up
    return ordered[max(0, int(rank) - 1)]


def parse_metrics(text: str) -> Mapping[str, float]:
    """vLLM's Prometheus page: its plain numbers, added up over engines."""
    found: dict[str, float] = {}
    for line in LINE.finditer(text):
        found[line["name"]] = found.get(line["name"], 0.0) + float(line["value"])
    return found


def _metrics(deployment: Deployment) -> Mapping[str, float]:
    is_asked = deployment.engine == Deployment.Engine.VLLM and deployment.is_ready
    if not is_asked or not is_listening(deployment.url):
        return {}
    try:
        with connect_sync(deployment.url, silence_seconds=METRICS_SECONDS) as http:
            response = http.get("/metrics")
    except httpx.HTTPError:
        return {}
    return parse_metrics(response.text) if response.is_success else {}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
