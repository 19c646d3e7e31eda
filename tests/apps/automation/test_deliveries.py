from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.automation import deliveries, hooks, webhooks
from apps.automation.models import Delivery
from apps.runs import services as runs
from kos.client import signatures, webhook_is_genuine
from kos.config import JOBS
from kos.errors import UserError
from tests.factories import make_user

URL = "https://hooks.example.org/kos"


@pytest.fixture
def owner(db):
    return make_user("owner")


@pytest.fixture
def made(owner):
    return webhooks.create(owner, URL)


def test_what_happens_is_told_once_and_signed(owner, made, receiver):
    hooks.announce("run.done", owner.pk, {"id": 7})
    assert deliveries.deliver_due(transport=receiver) == 1
    [call] = receiver.calls
    header = call.headers[signatures.HEADER]
    at = int(header.split(",")[0].removeprefix("t="))
    assert webhook_is_genuine(made.secret, header, call.content, now=at)
    assert json.loads(call.content)["data"] == {"id": 7}
    assert Delivery.objects.get().status == "delivered"
    assert deliveries.deliver_due(transport=receiver) == 0


def test_for_a_day_both_secrets_sign(owner, made, receiver):
    fresh = webhooks.rotate(made.webhook)
    hooks.announce("run.done", owner.pk, {})
    deliveries.deliver_due(transport=receiver)
    header, body = receiver.calls[0].headers[signatures.HEADER], receiver.calls[0].content
    at = int(header.split(",")[0].removeprefix("t="))
    for secret in (made.secret, fresh.secret):
        assert webhook_is_genuine(secret, header, body, now=at)
    made.webhook.rotated -= timedelta(hours=25)
    assert len(deliveries.secrets_of(made.webhook)) == 1


def test_a_failed_try_waits_longer_each_time_for_a_day(owner, made, receiver):
    receiver.status = 500
    hooks.announce("run.done", owner.pk, {})
    waited = timedelta()
    for tries in range(1, deliveries.TRIES + 1):
        Delivery.objects.update(due=timezone.now())
        deliveries.deliver_due(transport=receiver)
        delivery = Delivery.objects.get()
        assert (delivery.tries, delivery.reply_status) == (tries, 500)
        waited += max(delivery.due - timezone.now(), timedelta())
    assert delivery.status == "failed"
    assert timedelta(hours=21) < waited < timedelta(hours=27)


def test_a_crash_during_a_try_costs_a_minute(owner, made, receiver):
    hooks.announce("run.done", owner.pk, {})
    deliveries.claim()
    assert deliveries.deliver_due(transport=receiver) == 0
    Delivery.objects.update(due=timezone.now())
    assert deliveries.deliver_due(transport=receiver) == 1


def test_a_paused_webhook_is_told_nothing_until_it_goes_on(owner, made, receiver):
    hooks.announce("run.done", owner.pk, {})
    webhooks.change(made.webhook, is_active=False)
    hooks.announce("run.failed", owner.pk, {})
    assert deliveries.deliver_due(transport=receiver) == 0
    webhooks.change(made.webhook, is_active=True)
    deliveries.deliver_due(transport=receiver)
    assert [call.headers["Kos-Event"] for call in receiver.calls] == ["run.done"]


def test_a_redirect_is_not_followed(owner, made, receiver):
    receiver.status = 302
    hooks.announce("run.done", owner.pk, {})
    deliveries.deliver_due(transport=receiver)
    assert len(receiver.calls) == 1
    assert Delivery.objects.get().status == "waiting"


@pytest.mark.parametrize("url", ["https://127.0.0.1/hook", "https://localhost/", "https://[::1]/"])
def test_an_address_inside_is_not_reached(owner, url):
    webhooks.create(owner, url)
    hooks.announce("run.done", owner.pk, {})
    deliveries.deliver_due()
    delivery = Delivery.objects.get()
    assert delivery.reply_status is None
    assert "not public" in delivery.reply


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "https://user:pw@example.org/", "https://example.org:8443/", "x"],
)
def test_what_cannot_be_a_webhook_is_refused_at_once(owner, url):
    with pytest.raises(UserError):
        webhooks.create(owner, url)


def test_a_receiver_of_our_own_network_is_allowed_by_setting_alone(owner, settings):
    settings.WEBHOOK_HOSTS = frozenset(["10.0.0.7:9000"])
    assert webhooks.create(owner, "http://10.0.0.7:9000/kos").webhook.url
    with pytest.raises(UserError):
        webhooks.create(owner, "http://10.0.0.7:9001/kos")


def test_a_hostile_reply_is_cut_and_cleaned(owner, made, receiver):
    receiver.status, receiver.text = 500, "\x1b[31m\x00" + "x" * 10_000
    hooks.announce("run.done", owner.pk, {})
    deliveries.deliver_due(transport=receiver)
    reply = Delivery.objects.get().reply
    assert len(reply) <= deliveries.EXCERPT_CHARS
    assert reply.isprintable()


def test_only_the_kinds_asked_for_are_told(owner):
    webhooks.create(owner, URL, kinds=["run.failed"])
    assert hooks.announce("run.done", owner.pk, {}) == 0
    assert hooks.announce("run.failed", owner.pk, {}) == 1


def test_the_work_of_others_is_told_to_engineers_who_ask(owner):
    webhooks.create(owner, URL, is_for_all=True)
    webhooks.create(make_user("clinician", role="clinician"), URL, is_for_all=True)
    assert hooks.announce("run.done", make_user("other").pk, {}) == 1


def test_a_run_tells_how_it_goes(owner, made):
    run = runs.launch(owner, "base", JOBS["base"]())
    runs.claim(run.pk, "worker", lease_seconds=5)
    runs.stop(run)
    told = Delivery.objects.order_by("pk").values_list("kind", flat=True)
    assert list(told) == ["run.queued", "run.started"]
    assert Delivery.objects.first().body["data"]["id"] == run.pk


def test_an_event_that_was_told_can_be_told_again(owner, made, receiver):
    hooks.announce("run.done", owner.pk, {})
    with pytest.raises(UserError):
        webhooks.replay(Delivery.objects.get())
    deliveries.deliver_due(transport=receiver)
    webhooks.replay(Delivery.objects.get())
    deliveries.deliver_due(transport=receiver)
    first, second = (json.loads(call.content)["id"] for call in receiver.calls)
    assert first == second
