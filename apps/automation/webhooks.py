"""The life of a webhook: made, changed, its secret rotated, tried, paused, deleted."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple

import httpx
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts import audit
from apps.accounts.models import User, Verb
from apps.accounts.sealing import seal
from apps.automation import hooks
from apps.automation.models import Delivery, Webhook
from kos.errors import UserError
from kos.tools.net.failures import BlockedError
from kos.tools.net.guard import check_url

MOST = 20
PORTS = {"http": 80, "https": 443}


class NewSecret(NamedTuple):
    """A webhook and its secret, which is known only now."""

    webhook: Webhook
    secret: str


def create(
    owner: User, url: str, *, kinds: Iterable[str] = (), is_for_all: bool = False
) -> NewSecret:
    """Tell ``url`` of events from now on; without ``kinds`` of all. Raises UserError."""
    if Webhook.objects.filter(owner=owner).count() >= MOST:
        raise UserError(f"you have {MOST} webhooks, and that is the limit; delete one first")
    text = _new_secret()
    webhook = Webhook.objects.create(
        owner=owner,
        url=check_address(url),
        kinds=check_kinds(kinds),
        is_for_all=is_for_all and owner.is_engineer,
        secret=seal(text),
    )
    _write(Verb.WEBHOOK_MADE, webhook, kinds=webhook.kinds)
    return NewSecret(webhook, text)


def change(
    webhook: Webhook,
    *,
    url: str | None = None,
    kinds: Iterable[str] | None = None,
    is_for_all: bool | None = None,
    is_active: bool | None = None,
) -> Webhook:
    """Change what is given. A paused webhook hears nothing; what waits for it waits on."""
    if url is not None:
        webhook.url = check_address(url)
    if kinds is not None:
        webhook.kinds = check_kinds(kinds)
    if is_for_all is not None:
        webhook.is_for_all = is_for_all and webhook.owner.is_engineer
    if is_active is not None:
        webhook.is_active = is_active
    webhook.save(update_fields=["url", "kinds", "is_for_all", "is_active"])
    _write(Verb.WEBHOOK_CHANGED, webhook, kinds=webhook.kinds, is_active=webhook.is_active)
    return webhook


def rotate(webhook: Webhook) -> NewSecret:
    """A new secret; the one before signs beside it for a day."""
    text = _new_secret()
    webhook.old_secret = webhook.secret
    webhook.secret = seal(text)
    webhook.rotated = timezone.now()
    webhook.save(update_fields=["secret", "old_secret", "rotated"])
    _write(Verb.WEBHOOK_CHANGED, webhook, new_secret=True)
    return NewSecret(webhook, text)


def ping(webhook: Webhook) -> Delivery:
    """Send a test event, whatever kinds it listens for."""
    if not webhook.is_active:
        raise UserError("this webhook is paused; go on with it first")
    [delivery] = hooks.queue([webhook], hooks.PING, {"webhook": webhook.pk})
    return delivery


@transaction.atomic
def replay(delivery: Delivery) -> Delivery:
    """Send the same event once more, under its own id, so that a receiver can tell."""
    if delivery.status == Delivery.Status.WAITING:
        raise UserError("this delivery is still being tried; its log says when next")
    return Delivery.objects.create(
        webhook=delivery.webhook, kind=delivery.kind, body=delivery.body, due=timezone.now()
    )


def check_address(url: str) -> str:
    """``url``, if it may be told; the address it leads to is checked again when it is told."""
    try:
        parsed = httpx.URL(url)
        if place_of(parsed) in settings.WEBHOOK_HOSTS and parsed.scheme in PORTS:
            return url
        return str(check_url(url))
    except (BlockedError, httpx.InvalidURL, ValueError) as error:
        raise UserError(f"{url[:80]!r} cannot be a webhook: {error}") from error


def place_of(url: httpx.URL) -> str:
    """``host:port``, as the settings name receivers in our own network."""
    return f"{url.host}:{url.port or PORTS.get(url.scheme, 0)}"


def check_kinds(kinds: Iterable[str]) -> list[str]:
    """The kinds in the order of the list, each once; none stands for all."""
    wanted = set(kinds)
    if unknown := sorted(wanted - set(hooks.KINDS)):
        raise UserError(
            f"there is no event {', '.join(unknown)}; there are {', '.join(hooks.KINDS)}"
        )
    return [kind for kind in hooks.KINDS if kind in wanted]


def delete(webhook: Webhook) -> None:
    """Tell it nothing more; what waits for it is dropped."""
    _write(Verb.WEBHOOK_DELETED, webhook)
    webhook.delete()


def _write(verb: Verb, webhook: Webhook, **what: Any) -> None:
    """In the audit log, by its host alone: the path of such an address is often a secret."""
    host = httpx.URL(webhook.url).host
    audit.note(audit.actor() or webhook.owner, verb, webhook, title=host, **what)


def _new_secret() -> str:
    return f"koshook_{secrets.token_urlsafe(32)}"
