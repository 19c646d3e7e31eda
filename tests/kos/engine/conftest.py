from __future__ import annotations

import pytest

from kos.config import Lora
from kos.engine.local import LocalEngine
from tests.kos.engine import tiny


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    return tiny.make_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def engine(policy):
    return LocalEngine.open(policy, tiny.MACHINE, lora=Lora(rank=4, alpha=8), seed=0)
