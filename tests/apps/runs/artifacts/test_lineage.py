from __future__ import annotations

import pytest
from django.urls import reverse

from apps.runs.models import RunInput
from tests.factories import make_artifact, make_deployment, make_run, make_version

URL = "/lineage/"


@pytest.fixture
def adapter(db):
    run = make_run("train", status="done", dataset=make_version(), name="first training")
    RunInput.objects.create(run=run, name="base", artifact=make_artifact("base", name="a base"))
    return make_artifact("adapter", run=run, name="an adapter")


def test_the_page_opens_for_engineers_alone(engineer, clinician, stranger, adapter):
    path = f"{URL}?artifact={adapter.pk}"
    assert engineer.get(path).status_code == 200
    assert clinician.get(path).status_code == 403
    assert "/sign-in/" in stranger.get(path).headers["Location"]
    assert engineer.post(path).status_code == 405


def test_a_node_is_a_link_with_its_kind_name_and_state(engineer, adapter):
    page = engineer.get(f"{URL}?artifact={adapter.pk}").content.decode()
    assert f'href="{reverse("runs:detail", args=[adapter.run_id])}"' in page
    assert "Training" in page
    assert "first training" in page
    assert '<text class="by"' in page


def test_the_list_says_what_the_drawing_says(engineer, adapter):
    context = engineer.get(f"{URL}?artifact={adapter.pk}").context
    assert {row.node for row in context["rows"]} == {one.node for one in context["placed"]}
    made_with = {row.node.name: [name for name, _ in row.made_with] for row in context["rows"]}
    assert made_with["first training"] == ["base", "dataset"]


def test_htmx_gets_the_graph_alone(engineer, adapter):
    headers = {"HX-Request": "true", "HX-Target": "div#lineage"}
    page = engineer.get(f"{URL}?artifact={adapter.pk}", headers=headers).content.decode()
    assert "<html" not in page
    assert 'id="lineage"' in page


def test_more_is_a_link_that_keeps_the_root(engineer, adapter):
    page = engineer.get(f"{URL}?artifact={adapter.pk}&hops=1").content.decode()
    assert f"?artifact={adapter.pk}&amp;hops=1&amp;open=run-{adapter.run_id}" in page
    assert f"?artifact={adapter.pk}&amp;hops=2" in page


def test_a_pipeline_is_shown_by_its_stages(engineer, adapter):
    pipeline = make_run("pipeline")
    adapter.run.pipeline = pipeline
    adapter.run.save(update_fields=["pipeline"])
    context = engineer.get(f"{URL}?run={pipeline.pk}").context
    assert [one.node.name for one in context["placed"] if one.is_root] == ["first training"]


@pytest.mark.parametrize("kind", ["run", "deployment", "dataset", "answers"])
def test_every_kind_can_be_the_middle(engineer, kind, adapter):
    deployment = make_deployment(artifact=adapter)
    pks = {"run": adapter.run_id, "deployment": deployment.pk, "answers": deployment.run_id}
    pk = pks.get(kind, adapter.run.dataset_id)
    assert engineer.get(f"{URL}?{kind}={pk}").status_code == 200


@pytest.mark.parametrize("query", ["artifact=999999", "run=999999"])
def test_what_is_not_there_is_not_found(engineer, query):
    assert engineer.get(f"{URL}?{query}").status_code == 404


@pytest.mark.parametrize("query", ["", "artifact=x", "open=what-3,run-x", "artifact=" + "9" * 40])
def test_without_a_root_the_page_teaches(engineer, query):
    assert "Nothing has been made yet" in engineer.get(f"{URL}?{query}").content.decode()


def test_a_name_cannot_break_out_of_the_drawing(engineer):
    made = make_artifact("adapter", name="<script>alert(1)</script>")
    page = engineer.get(f"{URL}?artifact={made.pk}").content.decode()
    assert "<script>alert" not in page
