from __future__ import annotations

import pytest

from kos.config import Lora
from kos.engine.local import LocalEngine
from tests.kos.engine import tiny


@pytest.fixture
def engine(policy):
    return LocalEngine.open(policy, tiny.MACHINE, lora=Lora(rank=4, alpha=8), seed=0)
