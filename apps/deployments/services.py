"""What happens to deployments: ready when their run serves, stopped when it no longer does."""

from __future__ import annotations

import time
from typing import NamedTuple

import httpx

from apps.deployments.models import Deployment
from apps.runs.models import Run
from kos.errors import UserError
from kos.serving.client import HttpClient, connect_sync, is_listening

HEALTH_SECONDS = 5.0


class UnknownModelError(UserError):
    """No ready deployment has this name."""


class Health(NamedTuple):
    """What a health check found."""

    is_ok: bool
    sentence: str


def mark_ready(run: Run, *, url: str, model: str) -> Deployment:
    """The deploy run's server answers at ``url``. A later attempt takes its place."""
    artifact = run.inputs.select_related("artifact").get(name="model").artifact
    deployment, _ = Deployment.objects.update_or_create(
        run=run,
        defaults={
            "name": model,
            "artifact": artifact,
            "status": Deployment.Status.READY,
            "url": url,
        },
    )
    return deployment


def mark_stopped(run: Run) -> bool:
    """The run's process is gone; False when nothing was deployed by it."""
    return (
        Deployment.objects.filter(run=run)
        .exclude(status=Deployment.Status.STOPPED)
        .update(status=Deployment.Status.STOPPED)
        == 1
    )


def find_ready(name: str) -> Deployment:
    """The newest ready deployment called ``name``; UnknownModelError lists them."""
    found = Deployment.objects.ready().filter(name=name).first()
    if found is None:
        names = sorted(set(Deployment.objects.ready().values_list("name", flat=True)))
        known = f"ready are: {', '.join(names)}" if names else "no deployment is ready"
        raise UnknownModelError(f"There is no ready deployment called {name!r}; {known}.")
    return found


def client_for(deployment: Deployment) -> HttpClient:
    """The client that the harness talks to the deployment's server with."""
    return HttpClient(deployment.url, deployment.name)


def check_health(deployment: Deployment) -> Health:
    """Ask the deployment's server now."""
    if not deployment.is_ready:
        return Health(False, f"It is {deployment.state}: there is no server to ask.")
    if not is_listening(deployment.url):
        return Health(False, "It does not answer: nothing listens at its address.")
    started = time.perf_counter()
    try:
        with connect_sync(deployment.url, silence_seconds=HEALTH_SECONDS) as http:
            response = http.get("/health")
    except httpx.HTTPError as error:
        return Health(False, f"It does not answer ({str(error) or type(error).__name__}).")
    millis = (time.perf_counter() - started) * 1000
    if not response.is_success:
        return Health(False, f"It answers with status {response.status_code}.")
    return Health(True, f"It answers, in {millis:.0f} ms.")
