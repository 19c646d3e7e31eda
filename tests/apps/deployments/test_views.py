from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs.models import Status
from tests.factories import make_deployment, make_run

pytestmark = pytest.mark.django_db


def test_the_list_shows_the_status_of_each(engineer):
    make_deployment(name="kos-a")
    make_deployment(name="kos-b", run=make_run("deploy", status="lost"))
    page = engineer.get("/deployments/").content.decode()
    assert "kos-a" in page
    assert "ready" in page
    assert "stopped" in page


def test_an_empty_list_says_what_to_do(engineer):
    assert "Nothing is deployed" in engineer.get("/deployments/").content.decode()


def test_the_page_links_to_the_model_s_lineage(engineer):
    deployment = make_deployment()
    page = engineer.get(f"/deployments/{deployment.pk}/").content.decode()
    assert reverse("runs:model", args=[deployment.artifact_id]) in page
    assert deployment.artifact.digest in page


def test_the_health_check_answers_with_a_fragment_or_the_page(engineer):
    address = reverse("deployments:health", args=[make_deployment(status="stopped").pk])
    assert "It is stopped" in engineer.post(address).content.decode()
    fragment = engineer.post(address, headers={"HX-Request": "true"}).content.decode()
    assert fragment.startswith('<p id="health"')


def test_stop_asks_the_run_to_stop(engineer):
    deployment = make_deployment()
    engineer.post(reverse("deployments:stop", args=[deployment.pk]))
    deployment.run.refresh_from_db()
    assert deployment.run.status == Status.STOPPING


@pytest.mark.parametrize("name", ["detail", "health", "stop"])
def test_only_engineers_come_in(clinician, stranger, name):
    address = reverse(f"deployments:{name}", args=[make_deployment().pk])
    method = "get" if name == "detail" else "post"
    assert getattr(clinician, method)(address).status_code == 403
    assert getattr(stranger, method)(address).status_code == 302


def test_a_wrong_number_or_method_is_refused(engineer):
    assert engineer.get("/deployments/999/").status_code == 404
    assert engineer.get(f"/deployments/{make_deployment().pk}/stop/").status_code == 405
