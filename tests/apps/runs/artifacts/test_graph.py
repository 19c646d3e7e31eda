"""What leads to what, over all rooms."""

from __future__ import annotations

import pytest

from apps.runs.artifacts import graph, shelf
from apps.runs.artifacts.graph import Edge, Key
from apps.runs.models import RunInput
from tests.factories import (
    make_artifact,
    make_deployment,
    make_run,
    make_trace,
    make_version,
)


@pytest.fixture
def chain(db):
    """Dataset and base -> training -> adapter -> merge -> merged -> deployment -> an answer."""
    base, version = make_artifact("base", name="the base"), make_version()
    train = make_run("train", status="done", dataset=version, name="the training")
    RunInput.objects.create(run=train, name="base", artifact=base)
    adapter = make_artifact("adapter", run=train, name="the adapter", base=base)
    merge = make_run("merge", status="done", name="the merge")
    RunInput.objects.create(run=merge, name="adapter", artifact=adapter)
    merged = make_artifact("merged", run=merge, name="the merged", base=base)
    deployment = make_deployment(artifact=merged, name="kos-chain")
    trace = make_trace(run=deployment.run, origin="chat", model="kos-chain")
    return {
        "base": base,
        "dataset": version,
        "train": train,
        "adapter": adapter,
        "merge": merge,
        "merged": merged,
        "deployment": deployment,
        "trace": trace,
    }


def kinds(part: graph.Part) -> list[str]:
    return sorted(key.kind for key in part.nodes)


def test_two_steps_to_each_side_are_shown(chain):
    part = graph.part([Key("artifact", chain["adapter"].pk)])
    assert kinds(part) == ["artifact"] * 3 + ["rubric", "run", "run"]


def test_the_edge_of_an_input_has_its_name(chain):
    part = graph.part([Key("run", chain["merge"].pk)], hops=1)
    adapter, merge = Key("artifact", chain["adapter"].pk), Key("run", chain["merge"].pk)
    assert Edge(adapter, merge, "adapter") in part.edges


def test_the_whole_way_leads_from_the_dataset_to_the_answers(chain):
    part = graph.part([Key("artifact", chain["adapter"].pk)], hops=8)
    assert {"dataset", "rubric", "run", "artifact", "deployment", "answers"} == {*kinds(part)}
    assert not part.hidden


def test_what_is_left_out_is_counted_where_it_would_be(chain):
    part = graph.part([Key("artifact", chain["adapter"].pk)], hops=1)
    assert part.hidden[Key("run", chain["train"].pk), "before"] == 2
    assert part.hidden[Key("run", chain["merge"].pk), "after"] == 1


def test_an_opened_node_shows_its_neighbours(chain):
    root, merge = Key("artifact", chain["adapter"].pk), Key("run", chain["merge"].pk)
    part = graph.part([root], opened=[merge], hops=1)
    assert Key("artifact", chain["merged"].pk) in part.nodes


def test_a_base_of_many_runs_shows_some_and_counts_the_rest(db):
    base = make_artifact("base")
    for _ in range(9):
        RunInput.objects.create(run=make_run("train"), name="base", artifact=base)
    key = Key("artifact", base.pk)
    part = graph.part([key], hops=1, fan=4)
    assert part.hidden[key, "after"] == 5
    assert len(graph.part([key], opened=[key], hops=1, fan=4).nodes) == 11


def test_no_more_nodes_are_shown_than_may_be(db):
    base = make_artifact("base")
    for _ in range(9):
        RunInput.objects.create(run=make_run("train"), name="base", artifact=base)
    part = graph.part([Key("artifact", base.pk)], hops=1, fan=9, most=6)
    assert len(part.nodes) == 6
    assert part.is_cut


def test_questions_do_not_grow_with_the_graph(db, django_assert_max_num_queries):
    base = make_artifact("base")
    for _ in range(12):
        run = make_run("train")
        RunInput.objects.create(run=run, name="base", artifact=base)
        make_artifact("adapter", run=run)
    with django_assert_max_num_queries(40):
        graph.part([Key("artifact", base.pk)], fan=12)


def test_the_strip_goes_from_the_data_to_the_model(chain):
    names = [node.name for node in shelf.strip(chain["merged"])]
    assert names == [str(chain["dataset"]), "the base", "the adapter", "the merged"]


def test_a_serving_run_stands_as_its_deployment(chain):
    part = graph.part([Key("artifact", chain["merged"].pk)], hops=1)
    assert Key("deployment", chain["deployment"].pk) in part.nodes
    assert Key("run", chain["deployment"].run_id) not in part.nodes
