"""The life of a deployment: ready, restarted, stopped, started again; and who is to answer.

A deploy run serves for as long as it runs. A remote run only registers: its deployment lives on
until it is stopped, and has no process here.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.automation import hooks
from apps.deployments import aliases, memo
from apps.deployments.aliases import UnknownModelError, find_ready, pick
from apps.deployments.health import Health, check_health
from apps.deployments.models import Alias, Change, Deployment
from apps.runs import services as runs
from apps.runs.models import Artifact, Run
from apps.tools.services import secrets_for
from kos.config import Deploy, Remote
from kos.errors import UserError
from kos.events import Serving
from kos.serving.client import HttpClient

__all__ = [
    "Health",
    "UnknownModelError",
    "check_health",
    "client_for",
    "find_ready",
    "health_of",
    "mark_ready",
    "mark_restarting",
    "mark_stopped",
    "pick",
    "start_again",
    "stop",
]


@transaction.atomic
def mark_ready(run: Run, serving: Serving) -> Deployment:
    """The run's server answers. A later attempt, or a restart, takes its place."""
    config = run.settings
    assert isinstance(config, Deploy | Remote), config
    given = _artifacts(run)
    deployment, is_new = Deployment.objects.update_or_create(
        run=run,
        defaults={
            "name": serving.model,
            "artifact": given.get("model"),
            "adapter": given.get("adapter"),
            "engine": serving.engine,
            "status": Deployment.Status.READY,
            "url": serving.url,
            "model": serving.served_model,
            "secret": config.secret if isinstance(config, Remote) else "",
            "dialect": serving.dialect,
            "asking": config.asking.model_dump(mode="json"),
            "max_context": config.max_context,
            "warm_up": dict(serving.warm_up),
        },
    )
    _note(deployment, Change.Action.READY)
    _announce("deployment.ready", deployment)
    if config.alias and is_new:
        aliases.promote(config.alias, deployment, by=run.owner, reason="As its settings ask.")
    return deployment


@transaction.atomic
def mark_restarting(run: Run, reason: str) -> None:
    """The run's server ended by itself and is being started again."""
    found = Deployment.objects.filter(run=run)
    found.update(status=Deployment.Status.STARTING, num_restarts=F("num_restarts") + 1)
    for deployment in found:
        _note(deployment, Change.Action.RESTARTED, reason=reason)


def mark_stopped(run: Run) -> bool:
    """The run's process is gone; False when nothing that needs it was deployed by it."""
    served = Deployment.objects.filter(run=run).exclude(engine=Deployment.Engine.REMOTE)
    deployment = served.exclude(status=Deployment.Status.STOPPED).first()
    if deployment is None:
        return False
    deployment.status = Deployment.Status.STOPPED
    deployment.save(update_fields=["status"])
    _announce("deployment.stopped", deployment)
    return True


@transaction.atomic
def stop(deployment: Deployment, *, by: User | None = None, reason: str = "") -> None:
    """Serve it no longer; one that is stopped is left alone."""
    if not deployment.is_alive:
        return
    _note(deployment, Change.Action.STOPPED, by=by, reason=reason)
    audit.note(by, Verb.DEPLOYMENT_STOPPED, deployment, reason=reason)
    if not deployment.is_remote:
        runs.stop(deployment.run)
        return
    Deployment.objects.filter(pk=deployment.pk).update(status=Deployment.Status.STOPPED)
    _announce("deployment.stopped", deployment)


@transaction.atomic
def start_again(deployment: Deployment, *, by: User, reason: str = "") -> Run:
    """Serve a stopped deployment as it was. Returns the run that does it.

    A remote one answers at once; another gets a new run, whose deployment has its name.
    """
    if deployment.state != Deployment.Status.STOPPED:
        raise UserError(f"{deployment.name} is {deployment.state}: there is nothing to start.")
    _note(deployment, Change.Action.STARTED, by=by, reason=reason)
    if deployment.is_remote:
        Deployment.objects.filter(pk=deployment.pk).update(status=Deployment.Status.READY)
        return deployment.run
    run = deployment.run
    return runs.launch(
        by, run.kind, run.config, name=run.name, inputs=_artifacts(run), seed=run.seed
    )


def register(owner: User, config: Remote) -> Run:
    """Let a worker probe a server elsewhere; its deployment is there once that answered."""
    return runs.launch(owner, "remote", config, name=f"Register {config.name}")


def health_of(deployment: Deployment) -> Health:
    """Whether its server answers now, asked with its key."""
    try:
        return check_health(deployment, key_of(deployment))
    except UserError as error:
        return Health(False, str(error))


def client_for(deployment: Deployment) -> HttpClient:
    """The client that the harness talks to the deployment's server with."""
    return HttpClient(deployment.url, deployment.served_model, key=key_of(deployment))


def key_of(deployment: Deployment) -> str:
    """What its server asks for; "" where it asks for nothing. Raises UserError when it is gone."""
    if not deployment.secret:
        return ""
    key = secrets_for(deployment.run.settings, deployment.run.owner).get(deployment.secret)
    if not key:
        raise UserError(
            f"The key {deployment.secret!r} of {deployment.name} is gone. Add it under Keys."
        )
    return str(key)


def stands_behind(deployment: Deployment) -> list[Alias]:
    """The aliases that lead to it, also as a canary."""
    return [*(deployment.aliases.all() | deployment.canary_of.all()).distinct()]


def versions_of(deployment: Deployment) -> Mapping[str, str]:
    """What stands behind its answers, for a trace."""
    found = {
        "deployment": f"{deployment.name} #{deployment.pk}",
        "engine": deployment.engine,
        "code": settings.REVISION,
    }
    if deployment.artifact is not None:
        found["artifact"] = deployment.artifact.digest
    if deployment.adapter is not None:
        found["adapter"] = deployment.adapter.digest
    return found


def _artifacts(run: Run) -> dict[str, Artifact]:
    return {item.name: item.artifact for item in run.inputs.select_related("artifact")}


def _announce(kind: str, deployment: Deployment) -> None:
    told = {
        "id": deployment.pk,
        "name": deployment.name,
        "engine": deployment.engine,
        "run": deployment.run_id,
        "artifact": deployment.artifact_id,
    }
    hooks.announce(kind, deployment.run.owner_id, told)


def _note(
    deployment: Deployment,
    action: Change.Action,
    *,
    by: User | None = None,
    reason: str = "",
) -> None:
    transaction.on_commit(memo.forget_all)
    Change.objects.create(deployment=deployment, action=action, by=by, reason=reason)
