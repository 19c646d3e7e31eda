from __future__ import annotations

import pytest
from django.test import Client

from apps.accounts import services as accounts
from tests.factories import make_deployment, make_user

pytestmark = pytest.mark.django_db


def caller(role: str) -> Client:
    token = accounts.create_token(make_user(role=role), "test")
    return Client(headers={"Authorization": f"Bearer {token.text}"})


def test_an_engineer_lists_and_reads_deployments():
    deployment = make_deployment()
    client = caller("engineer")
    (row,) = client.get("/api/deployments/").json()
    assert (row["name"], row["status"], row["is_demonstration"]) == (
        deployment.name,
        "ready",
        True,
    )
    assert client.get(f"/api/deployments/{deployment.pk}").json() == row


def test_an_engineer_stops_a_deployment():
    deployment = make_deployment()
    assert caller("engineer").post(f"/api/deployments/{deployment.pk}/stop").status_code == 202
    deployment.run.refresh_from_db()
    assert deployment.run.status == "stopping"


def test_others_may_not():
    pk = make_deployment().pk
    assert caller("clinician").get("/api/deployments/").status_code == 403
    assert caller("clinician").post(f"/api/deployments/{pk}/stop").status_code == 403
    assert Client().get("/api/deployments/").status_code == 401
