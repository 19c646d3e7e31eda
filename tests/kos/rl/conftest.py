from __future__ import annotations

import pytest

from tests.kos.engine import tiny


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    return tiny.make_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    return tiny.write_tasks(tmp_path_factory.mktemp("data") / "tasks.jsonl", tiny.make_tasks())
