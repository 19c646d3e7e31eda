from __future__ import annotations

import pytest

from apps.runs.start.machines import billions, duration
from tests.factories import make_artifact, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client):
    client.force_login(make_user())
    return client


def test_kimi_k25_is_calculated_from_its_true_shapes(page):
    answer = page.get("/models/costs/")
    text = answer.content.decode()
    assert "1.026 T" in text
    assert "32.9" in text or "32.86" in text
    assert "594.2 GB as it is, 2.053 TB in BF16" in text
    assert "not measured" in text


def test_a_small_machine_is_told_what_it_lacks(page):
    text = page.get("/models/costs/?disk_gb=100&num_gpus=0").content.decode()
    assert "100 GB are there" in text
    assert "needs GPUs" in text


def test_a_wrong_number_is_named_at_its_field(page):
    answer = page.get("/models/costs/?disk_gb=-3")
    assert answer.status_code == 200
    assert "greater than" in answer.content.decode()
    assert "found" not in answer.context


def test_a_base_whose_files_are_gone_is_a_sentence(page, artifacts):
    gone = make_artifact("base")
    assert "no config.json" in page.get(f"/models/costs/?model={gone.pk}").content.decode()


@pytest.mark.parametrize(
    ("role", "status"), [("clinician", 403), ("reviewer", 403), ("admin", 200)]
)
def test_it_is_for_engineers(client, role, status):
    client.force_login(make_user(role=role))
    assert client.get("/models/costs/").status_code == status


def test_numbers_are_said_as_people_say_them():
    assert [billions(134_515_008), duration(0.004), duration(5400)] == ["134.5 M", "4 ms", "1.5 h"]
