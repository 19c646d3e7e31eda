from __future__ import annotations

import pytest

from apps.automation import hooks, webhooks
from apps.automation.models import Delivery, Webhook
from tests.factories import make_user

URL = "https://hooks.example.org/kos"


@pytest.fixture
def mine(engineer):
    return webhooks.create(engineer.user, URL).webhook


def test_a_new_webhook_shows_its_secret_once(engineer):
    shown = engineer.post("/webhooks/", {"url": URL, "kinds": ["run.done"]}).content.decode()
    secret = shown.split('value="koshook_')[1].split('"')[0]
    assert Webhook.objects.get().kinds == ["run.done"]
    assert secret not in engineer.get("/webhooks/").content.decode()


def test_an_address_that_will_not_do_is_refused_beside_the_field(engineer):
    reply = engineer.post("/webhooks/", {"url": "http://example.org/"})
    assert reply.status_code == 400
    assert b"only https" in reply.content


@pytest.mark.parametrize(("action", "is_active"), [("pause", False), ("go-on", True)])
def test_a_webhook_is_paused_and_goes_on(engineer, mine, action, is_active):
    engineer.post(f"/webhooks/{mine.pk}/act/", {"action": action})
    mine.refresh_from_db()
    assert mine.is_active is is_active


def test_a_test_event_is_in_the_log(engineer, mine):
    engineer.post(f"/webhooks/{mine.pk}/act/", {"action": "test"})
    assert b"ping" in engineer.get(f"/webhooks/{mine.pk}/").content


def test_a_new_secret_is_shown_and_the_old_one_signs_on(engineer, mine):
    shown = engineer.post(f"/webhooks/{mine.pk}/act/", {"action": "rotate"}).content
    assert b"koshook_" in shown
    mine.refresh_from_db()
    assert mine.has_two_secrets


def test_an_event_is_sent_again(engineer, mine):
    [delivery] = hooks.queue([mine], "run.done", {})
    Delivery.objects.update(status="failed")
    engineer.post(f"/webhooks/deliveries/{delivery.pk}/replay/")
    assert Delivery.objects.filter(status="waiting").count() == 1


def test_a_deleted_webhook_is_gone_with_its_log(engineer, mine):
    hooks.queue([mine], "run.done", {})
    engineer.post(f"/webhooks/{mine.pk}/act/", {"action": "delete"})
    assert not Delivery.objects.exists()


def test_nobody_sees_or_touches_the_webhook_of_another(engineer):
    other = webhooks.create(make_user("other"), URL).webhook
    assert engineer.get(f"/webhooks/{other.pk}/").status_code == 404
    assert engineer.post(f"/webhooks/{other.pk}/act/", {"action": "delete"}).status_code == 404


def test_a_stranger_is_sent_to_sign_in_and_a_wrong_role_away(stranger, clinician):
    assert stranger.get("/webhooks/").status_code == 302
    assert clinician.get("/webhooks/").status_code == 403


@pytest.mark.parametrize("path", ["/webhooks/1/act/", "/webhooks/deliveries/1/replay/"])
def test_what_changes_something_needs_a_post(engineer, path):
    assert engineer.get(path).status_code == 405


def test_the_log_takes_no_query_a_row(engineer, mine, django_assert_max_num_queries):
    hooks.queue([mine] * 20, "run.done", {})
    with django_assert_max_num_queries(15):
        engineer.get(f"/webhooks/{mine.pk}/")
