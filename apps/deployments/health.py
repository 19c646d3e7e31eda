"""Whether a deployment's server answers now."""

from __future__ import annotations

import time
from typing import NamedTuple

import httpx

from apps.deployments.models import Deployment
from kos.serving.client import connect_sync, is_listening

HEALTH_SECONDS = 5.0


class Health(NamedTuple):
    """What a health check found."""

    is_ok: bool
    sentence: str


def check_health(deployment: Deployment, key: str = "") -> Health:
    """Ask the deployment's server now; a foreign one is asked which models it has."""
    if not deployment.is_ready:
        return Health(False, f"It is {deployment.state}: there is no server to ask.")
    if not is_listening(deployment.url):
        return Health(False, "It does not answer: nothing listens at its address.")
    path = "/v1/models" if deployment.is_remote else "/health"
    started = time.perf_counter()
    try:
        with connect_sync(deployment.url, key=key, silence_seconds=HEALTH_SECONDS) as http:
            response = http.get(path)
    except httpx.HTTPError as error:
        return Health(False, f"It does not answer ({str(error) or type(error).__name__}).")
    millis = (time.perf_counter() - started) * 1000
    if not response.is_success:
        return Health(False, f"It answers with status {response.status_code}.")
    return Health(True, f"It answers, in {millis:.0f} ms.")
