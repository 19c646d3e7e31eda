from __future__ import annotations

import pytest
import torch

from kos.digests import digest_of
from kos.weights import k2_tiny
from kos.weights.shards import Index, read_json
from kos.weights.text import Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_same_folder_is_written_every_time(k2, tmp_path):
    k2_tiny.write(tmp_path / "again")
    assert digest_of(tmp_path / "again") == digest_of(k2)


def test_the_folder_has_the_shape_of_a_release(k2):
    index = Index(k2)
    expert = "language_model.model.layers.1.mlp.experts.7.down_proj"
    assert len(index.files) == 3
    assert index[f"{expert}.weight_packed"].shape == (128, 8)
    assert index[f"{expert}.weight_scale"].dtype == torch.bfloat16
    assert index[f"{expert}.weight_shape"].read().tolist() == [128, 64]
    assert "quantization_config" in read_json(k2 / "config.json")["text_config"]


def test_the_text_model_loads_in_transformers(k2_text):
    from transformers import AutoModelForCausalLM

    model, found = AutoModelForCausalLM.from_pretrained(k2_text, output_loading_info=True)
    assert not any(found.values())
    assert model.num_parameters() == 1_036_800
    assert model.config.n_routed_experts == 8


def test_the_text_config_keeps_what_vllm_needs(k2):
    config = Checkpoint(k2).config
    assert config["model_type"] == "deepseek_v3"
    assert (config["topk_method"], config["scoring_func"]) == ("noaux_tc", "sigmoid")
    assert "quantization_config" not in config


def test_the_tokenizer_speaks_kimis_turns(k2):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(k2)
    chat = [{"role": "user", "content": "hi"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_user|>user<|im_middle|>hi<|im_end|><|im_assistant|>assistant<|im_middle|>"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer) == 512
