"""Which rooms tell webhooks of what."""

from __future__ import annotations

import pytest

from apps.automation import webhooks
from apps.automation.models import Delivery
from apps.datasets import drafts, publishing, services
from apps.deployments import services as deployments
from tests.factories import make_deployment, make_run, make_user
from tests.rest import TASK

URL = "https://hooks.example.org/kos"


@pytest.fixture
def owner(db):
    user = make_user("owner")
    webhooks.create(user, URL)
    return user


def told() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("kind", flat=True))


def test_a_deployment_that_stops(owner):
    run = make_run("deploy", status="running", owner=owner)
    deployment = make_deployment(run=run)
    assert deployments.mark_stopped(run)
    assert not deployments.mark_stopped(run)
    assert told() == ["deployment.stopped"]
    assert Delivery.objects.get().body["data"]["id"] == deployment.pk


def test_a_version_that_is_imported_and_one_that_is_published(owner):
    version = services.keep_version("set", [TASK], source="test", user=owner)
    services.keep_version("set", [TASK], source="test", user=owner)
    assert told() == ["dataset.published"]
    draft = drafts.open_draft(version, owner)
    drafts.add(draft, owner, external_id="new", task=TASK.model_dump(mode="json"))
    publishing.publish(draft, "One more.", by=owner)
    assert told() == ["dataset.published"] * 2
    assert Delivery.objects.first().body["data"]["num_examples"] == 2
