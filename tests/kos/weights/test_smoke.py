from __future__ import annotations

import pytest
import torch

from kos.errors import UserError
from kos.serving import vllm
from kos.weights import smoke
from kos.weights.formats.bf16 import Bf16
from kos.weights.formats.gguf import Gguf
from kos.weights.formats.int4 import Int4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.shards import Index

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A vLLM that ends at once, with its reason."""
    path = tmp_path / "vllm"
    path.write_text("#!/bin/sh\necho 'no kernel for this' >&2\nexit 3\n")
    path.chmod(0o755)
    monkeypatch.setattr(vllm, "executable", lambda: path)
    return path


def test_vllm_on_a_cpu_is_tried_only_where_it_has_kernels(program, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert smoke.can_vllm(Bf16(), is_moe=True)
    assert smoke.can_vllm(Int4(), is_moe=False)
    assert not smoke.can_vllm(Int4(), is_moe=True)
    assert not smoke.can_vllm(Nvfp4(), is_moe=False)
    assert not smoke.can_vllm(Gguf(), is_moe=False)


def test_a_vllm_that_cannot_load_it_is_told_and_fails_nothing(program, llama, tmp_path):
    said = smoke.by_vllm(llama, tmp_path / "work", tokens=2)
    assert "ended with code 3" in said["error"]
    assert "no kernel for this" in said["error"]


def test_a_model_larger_than_memory_is_not_loaded(llama, monkeypatch):
    monkeypatch.setattr(smoke, "MARGIN", 1e12)
    assert "GB of memory" in smoke.by_twin(llama, tokens=2)["skipped"]


def test_numbers_that_are_not_finite_are_refused(llama, tmp_path):
    import shutil

    folder = shutil.copytree(llama, tmp_path / "broken")
    entry = Index(folder)["model.norm.weight"]
    with entry.file.open("r+b") as file:
        file.seek(entry.start)
        file.write(b"\xff\xff" * 64)
    with pytest.raises(UserError, match="not finite"):
        smoke.by_twin(folder, tokens=2)
