"""Names that outlive deployments: promoted, rolled back, shared with a canary.

``pick`` is how everybody, in chat, at /v1 and in evaluations, finds who answers to a name.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from django.db import transaction

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.deployments import memo
from apps.deployments.models import Alias, Change, Deployment
from apps.runs import gates
from kos.config import NAME
from kos.errors import UserError

# ``kos-demo@12`` names one deployment among several of a name.
EXACT = re.compile(r"^(?P<name>.+)@(?P<pk>\d+)$")


class UnknownModelError(UserError):
    """No ready deployment or alias has this name."""


class Route(NamedTuple):
    """Who answers to a name: ``canary`` for ``percent`` of the keys, else ``stable``."""

    name: str
    stable: Deployment
    canary: Deployment | None = None
    percent: int = 0

    def choose(self, key: str) -> Deployment:
        """The same key always gets the same deployment while the share stays or grows.

        Without a key the stable one answers.
        """
        if self.canary is None or not key:
            return self.stable
        return self.canary if place_of(self.name, key) < self.percent / 100 else self.stable


def place_of(name: str, key: str) -> float:
    """Where ``key`` stands in [0, 1) among all callers of the alias ``name``."""
    digest = hashlib.sha256(f"{name}:{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def pick(name: str, key: str = "") -> Deployment:
    """The deployment that answers to ``name``: an alias, a deployment, or ``name@number``.

    ``key`` (a conversation, a token) keeps its side of a canary. Raises UnknownModelError.
    """
    return route(name).choose(key)


def route(name: str) -> Route:
    """Who may answer to ``name``, to be asked for many keys. Raises UnknownModelError."""
    rows = Alias.objects.select_related("deployment__run", "canary__run")
    alias = rows.filter(name=name).first()
    if alias is None:
        return Route(name, find_ready(name))
    canary = alias.canary if alias.canary is not None and alias.canary.is_ready else None
    if alias.deployment.is_ready:
        return Route(name, alias.deployment, canary, alias.canary_percent)
    raise UnknownModelError(
        f"The alias {name!r} leads to {alias.deployment.name!r}, which is "
        f"{alias.deployment.state}. Roll it back, or promote a deployment that is ready."
    )


def find_ready(name: str) -> Deployment:
    """The newest ready deployment called ``name``; UnknownModelError lists them."""
    ready = Deployment.objects.ready().select_related("run", "artifact", "adapter")
    if exact := EXACT.match(name):
        found = ready.filter(name=exact["name"], pk=exact["pk"]).first()
    else:
        found = ready.filter(name=name).first()
    if found is None:
        names = sorted({*ready.values_list("name", flat=True), *_alias_names()})
        known = f"ready are: {', '.join(names)}" if names else "no deployment is ready"
        raise UnknownModelError(f"There is no ready deployment called {name!r}; {known}.")
    return found


def ready_aliases() -> list[Alias]:
    """The aliases that can be asked now."""
    rows = Alias.objects.select_related("deployment__run", "canary__run")
    return [alias for alias in rows if alias.deployment.is_ready]


@transaction.atomic
def promote(name: str, deployment: Deployment, *, by: User | None, reason: str) -> Alias:
    """Let ``name`` lead to ``deployment`` from now on; makes the alias when it is new.

    Raises UserError for an export that failed its gate, unless ``reason`` says why. A canary that is promoted, or that belonged to the former deployment, ends.
    """
    if not re.match(NAME, name):
        raise UserError(f"{name!r} is no alias: use small letters, digits and hyphens, up to 40.")
    if not deployment.is_ready:
        raise UserError(f"{deployment.name} is {deployment.state}; promote one that is ready.")
    gates.require(deployment.artifact, reason)
    alias = Alias.objects.select_for_update(of=("self",)).filter(name=name).first()
    if alias is None:
        alias = Alias.objects.create(name=name, deployment=deployment)
        former = None
    elif alias.deployment_id == deployment.pk:
        raise UserError(f"{name} already leads to {deployment.name} #{deployment.pk}.")
    else:
        former = alias.deployment
        _move(alias, deployment)
    _note(alias, Change.Action.PROMOTED, former=former, by=by, reason=reason)
    _write(by, Verb.DEPLOYMENT_PROMOTED, alias, former=former, reason=reason)
    return alias


@transaction.atomic
def roll_back(alias: Alias, *, by: User | None, reason: str) -> Deployment:
    """Undo the last promotion. Raises UserError without a reason or a former deployment."""
    if not reason.strip():
        raise UserError("Say why you roll back: the next reader of the history will ask.")
    alias = Alias.objects.select_for_update(of=("self",)).get(pk=alias.pk)
    former = way_back(alias)
    if former is None:
        raise UserError(f"{alias.name} has led to nothing before: there is no way back.")
    if not former.is_ready:
        raise UserError(
            f"{alias.name} led to {former.name} #{former.pk} before, which is {former.state}. "
            "Start it again first, or promote another one."
        )
    left = alias.deployment
    last = alias.changes.filter(action=Change.Action.PROMOTED, is_undone=False).first()
    if last is not None:
        Change.objects.filter(pk=last.pk).update(is_undone=True)
    _move(alias, former)
    _note(alias, Change.Action.ROLLED_BACK, former=left, by=by, reason=reason)
    _write(by, Verb.DEPLOYMENT_ROLLED_BACK, alias, former=left, reason=reason)
    return former


@transaction.atomic
def share(
    alias: Alias, canary: Deployment | None, *, percent: int, by: User | None, reason: str = ""
) -> None:
    """Let ``canary`` answer ``percent`` of the callers; None ends the trial."""
    if canary is not None and not canary.is_ready:
        raise UserError(f"{canary.name} is {canary.state}; a canary has to be ready.")
    if canary is not None:
        gates.require(canary.artifact, reason)
    if canary is not None and canary.pk == alias.deployment_id:
        raise UserError(f"{alias.name} already leads to {canary.name}; choose another canary.")
    if not 0 <= percent <= 100:
        raise UserError(f"A share is between 0 and 100 percent, not {percent}.")
    alias.canary, alias.canary_percent = canary, percent if canary else 0
    alias.save(update_fields=["canary", "canary_percent"])
    said = f"{alias.canary_percent} % to {canary.name} #{canary.pk}" if canary else "ended"
    _note(alias, Change.Action.SHARED, by=by, reason=f"{said}. {reason}".strip(), to=canary)


def history(alias: Alias) -> list[Change]:
    """What was done to it, newest first."""
    return [*alias.changes.select_related("deployment", "former", "by")[:100]]


def way_back(alias: Alias) -> Deployment | None:
    """Where a roll back would lead; None where there is no way back."""
    last = alias.changes.filter(action=Change.Action.PROMOTED, is_undone=False).first()
    return last.former if last is not None else None


def _move(alias: Alias, deployment: Deployment) -> None:
    alias.deployment, alias.canary, alias.canary_percent = deployment, None, 0
    alias.save(update_fields=["deployment", "canary", "canary_percent"])


def _note(
    alias: Alias,
    action: Change.Action,
    *,
    by: User | None,
    reason: str,
    former: Deployment | None = None,
    to: Deployment | None = None,
) -> None:
    transaction.on_commit(memo.forget_all)
    Change.objects.create(
        alias=alias,
        deployment=to or alias.deployment,
        action=action,
        former=former,
        by=by,
        reason=reason.strip(),
    )


def _write(
    by: User | None, verb: Verb, alias: Alias, *, former: Deployment | None, reason: str
) -> None:
    """The same in the audit log."""
    before = {"deployment": f"{former.name}@{former.pk}"} if former is not None else {}
    now = f"{alias.deployment.name}@{alias.deployment_id}"
    audit.note(by, verb, alias, before=before, deployment=now, reason=reason)


def _alias_names() -> list[str]:
    return [alias.name for alias in ready_aliases()]
