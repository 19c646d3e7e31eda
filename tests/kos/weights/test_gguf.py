from __future__ import annotations

from pathlib import Path

import gguf
import pytest
import torch

from kos.config import Export
from kos.errors import UserError
from kos.events import LocalJob
from kos.weights.export import export
from kos.weights.formats.gguf import Gguf
from kos.weights.gguf_out import GgufFolder
from kos.weights.shards import Index
from kos.weights.text import Checkpoint
from tests.kos.weights.models import make_llama, make_peft

pytestmark = pytest.mark.filterwarnings("ignore")


def run(model: Path, folder: Path, type: str = "Q8_0", **inputs: Path) -> LocalJob:
    job = LocalJob(folder, {"model": model, **inputs})
    export(Export(format=Gguf(type=type), smoke_tokens=4), job)
    return job


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return make_llama(tmp_path_factory.mktemp("plain"), is_tied=False)


@pytest.fixture(scope="module")
def job(tmp_path_factory, plain) -> LocalJob:
    return run(plain, tmp_path_factory.mktemp("gguf"))


def test_transformers_reads_it_as_the_twin(job, plain):
    """Its reader turns the rows of queries and keys back, so an order of ours would show."""
    from transformers import AutoModelForCausalLM

    folder = job.folder / "quantised"
    theirs = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf")
    twin = Index(folder / "twin")
    assert set(twin) == set(Checkpoint(plain))
    for name, value in theirs.state_dict().items():
        assert torch.equal(value.to(torch.bfloat16), twin[name].read()), name


@pytest.mark.parametrize(("type", "error"), [("Q8_0", 0.01), ("Q5_0", 0.06), ("Q4_0", 0.13)])
def test_the_values_are_those_of_the_type(plain, tmp_path, type, error):
    folder = run(plain, tmp_path, type).folder / "quantised"
    exported, model = GgufFolder(folder), Checkpoint(plain)
    exported.check(model)
    for name in exported.weights:
        want = model[name].read().float()
        assert (exported.served(name).float() - want).norm() / want.norm() < error


def test_vectors_stay_in_full_precision(job, plain):
    tensors = {
        one.name: one for one in gguf.GGUFReader(job.folder / "quantised/model.gguf").tensors
    }
    assert tensors["output_norm.weight"].tensor_type == gguf.GGMLQuantizationType.F32
    assert tensors["blk.0.attn_q.weight"].tensor_type == gguf.GGMLQuantizationType.Q8_0


def test_the_tokenizer_comes_with_it(job):
    from transformers import AutoTokenizer

    folder = job.folder / "quantised"
    theirs = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
    ours = AutoTokenizer.from_pretrained(folder)
    text = "<|im_user|>chest pain<|im_middle|>"
    assert theirs.convert_ids_to_tokens(theirs.encode(text, add_special_tokens=False)) == (
        ours.convert_ids_to_tokens(ours.encode(text, add_special_tokens=False))
    )
    said = gguf.GGUFReader(folder / "model.gguf").fields["tokenizer.chat_template"].contents()
    assert said == ours.chat_template


def test_the_summary_counts_what_fell_where(job):
    summary = job.events[-1].summary
    assert summary["quantised_kinds"]["lm_head"] == 1
    assert summary["smoke"]["transformers"]["num_tokens"] == 4
    assert summary["format"] == "GGUF"


def test_an_adapter_is_folded_in(plain, tmp_path):
    adapter = make_peft(plain, tmp_path / "a", target_modules=["q_proj", "down_proj"])
    job = run(plain, tmp_path / "g", adapter=adapter)
    kept = job.events[-1].summary["survival"]["kinds"]
    assert kept["self_attn.q_proj"]["slope"] == pytest.approx(1, abs=0.05)


def test_other_architectures_are_refused_with_a_sentence(k2, tmp_path):
    with pytest.raises(UserError, match="this is a DeepseekV3ForCausalLM: choose another"):
        run(k2, tmp_path)
