from __future__ import annotations

import pytest
from django.test import Client

from apps.accounts import services as accounts
from apps.deployments.models import Usage
from apps.runs.models import Run, RunInput
from tests.factories import make_deployment, make_run, make_user

pytestmark = pytest.mark.django_db


def caller(role: str) -> Client:
    token = accounts.create_token(make_user(role=role), "test")
    return Client(headers={"Authorization": f"Bearer {token.text}"})


def test_an_engineer_lists_and_reads_deployments():
    deployment = make_deployment()
    client = caller("engineer")
    (row,) = client.get("/api/deployments/").json()["items"]
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


def test_a_remote_server_is_registered_by_a_run():
    body = {"kind": "remote", "name": "far", "url": "http://far:8000"}
    reply = caller("engineer").post(
        "/api/deployments/remote", body, content_type="application/json"
    )
    assert reply.status_code == 202
    assert Run.objects.get(pk=reply.json()["run_id"]).settings.url == "http://far:8000"


def test_an_alias_is_promoted_shared_and_rolled_back():
    one, two = make_deployment(), make_deployment()
    client = caller("engineer")

    def post(path: str, **body):
        address = f"/api/deployments/aliases/kos/{path}"
        return client.post(address, body, content_type="application/json").json()

    post("promote", deployment=one.pk, reason="First.")
    assert post("promote", deployment=two.pk, reason="Better.")["deployment_id"] == two.pk
    assert post("share", canary=one.pk, percent=10)["canary_percent"] == 10
    assert post("roll-back", reason="Worse.")["deployment_id"] == one.pk
    assert post("roll-back")["status"] == 409
    assert client.get("/api/deployments/aliases").json()["items"][0]["name"] == "kos"


def test_live_numbers_are_read():
    found = caller("engineer").get(f"/api/deployments/{make_deployment().pk}/live").json()
    assert (found["running"], found["requests"], found["first_token_p50"]) == (0, 0, None)


def test_a_stopped_one_is_started_again():
    deployment = make_deployment(status="stopped", run=make_run("deploy", status="done"))
    RunInput.objects.create(run=deployment.run, name="model", artifact=deployment.artifact)
    reply = caller("engineer").post(f"/api/deployments/{deployment.pk}/start?reason=Why+not")
    assert Run.objects.get(pk=reply.json()["run_id"]).status == "queued"


def test_one_reads_one_s_own_usage_and_an_admin_sets_limits():
    user = make_user(role="clinician")
    Usage.objects.create(user=user, completion_tokens=3)
    Usage.objects.create(completion_tokens=4)
    token = accounts.create_token(user, "test").text
    own = Client(headers={"Authorization": f"Bearer {token}"})
    used = own.get("/api/deployments/usage").json()["items"]
    assert [row["completion_tokens"] for row in used] == [3]
    body = {"user": user.username, "tokens_per_day": 9, "requests_per_minute": 9}
    address, kind = "/api/deployments/allowances", "application/json"
    assert own.post(address, body, content_type=kind).status_code == 403
    assert caller("admin").post(address, body, content_type=kind).status_code == 204
    assert user.allowance.tokens_per_day == 9


def test_others_may_not():
    pk = make_deployment().pk
    assert caller("clinician").get("/api/deployments/").status_code == 403
    assert caller("clinician").post(f"/api/deployments/{pk}/stop").status_code == 403
    assert Client().get("/api/deployments/").status_code == 401
