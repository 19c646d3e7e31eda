"""What a job would make and take, over REST."""

from __future__ import annotations

import pytest

from kos.weights import k2_tiny
from tests.factories import make_artifact

pytestmark = pytest.mark.django_db


@pytest.fixture
def base(artifacts):
    artifact = make_artifact("base")
    artifact.location.parent.mkdir(parents=True, exist_ok=True)
    k2_tiny.write(artifact.location)
    return artifact


def test_kimi_is_calculated_from_its_true_shapes(api):
    found = api("post", "/api/models/costs", {"machine": {"disk_gb": 100}}).json()
    assert (found["parameters"] // 10**9, "not measured" in found["label"]) == (1026, True)
    merge = found["jobs"][0]
    assert (merge["fits"], "100 GB are there" in merge["why"]) == (False, True)


def test_a_knob_that_no_machine_has_is_refused(api):
    assert api("post", "/api/models/costs", {"machine": {"disc": 1}}).status_code == 422
    assert api("post", "/api/models/costs", {"format": "gold"}).status_code == 422
    assert api("post", "/api/models/costs", {"model": 99}).status_code == 404


def test_rates_beyond_all_reckoning_are_a_sentence(api):
    slow = {"machine": {"disk_mb_per_second": 1e-320}}
    assert api("post", "/api/models/costs", slow).status_code == 409
    huge = {"workload": {"samples": 10**400}}
    assert api("post", "/api/models/costs", huge).status_code in (409, 422)


def test_an_export_tells_what_is_quantised(api, base):
    body = {"kind": "export", "inputs": {"model": base.pk}}
    found = api("post", "/api/runs/preview", body).json()["plan"]
    assert any(row["quantised"] for row in found["rows"])
    assert found["bytes_after"] < found["bytes_before"]


def test_a_merge_tells_its_files(api, base):
    body = {"kind": "merge", "inputs": {"base": base.pk}, "most": 1}
    found = api("post", "/api/runs/preview", body).json()["plan"]
    assert (found["num_targets"], len(found["dropped"]) <= 1) == (0, True)
    assert sum(one["size_bytes"] for one in found["shards"]) == found["size_bytes"]


def test_what_is_missing_or_wrong_is_said(api, base):
    path = "/api/runs/preview"
    assert "`model`" in api("post", path, {"kind": "export", "inputs": {}}).json()["detail"]
    wrong = {"kind": "export", "inputs": {"model": 999}}
    assert "no artifact 999" in api("post", path, wrong).json()["detail"]
    knob = {"kind": "merge", "inputs": {"base": base.pk}, "config": {"shard_gb": -1}}
    assert api("post", path, knob).status_code == 422
