from __future__ import annotations

from pathlib import Path

import pytest

from kos.weights import k2_tiny
from tests.kos.weights.models import make_llama, run_merge


@pytest.fixture(scope="session")
def k2(tmp_path_factory) -> Path:
    """k2-tiny as released: packed experts, a vision tower, three shards."""
    folder = tmp_path_factory.mktemp("k2")
    k2_tiny.write(folder)
    return folder


@pytest.fixture(scope="session")
def k2_text(tmp_path_factory, k2) -> Path:
    """The plain BF16 text model of k2-tiny."""
    job = run_merge(tmp_path_factory.mktemp("k2_text"), base=k2)
    return job.folder / "merged"


@pytest.fixture(scope="session")
def llama(tmp_path_factory) -> Path:
    """A tiny Llama with tied embeddings."""
    return make_llama(tmp_path_factory.mktemp("llama"))
