from __future__ import annotations

import random

import pytest
import torch
from transformers import LlamaForCausalLM

from kos.engine.base import SamplingParams
from kos.errors import UserError
from kos.serving.tokens import Detokeniser, HuggingFaceModel
from tests.kos.serving.tiny import make_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> HuggingFaceModel:
    return HuggingFaceModel(make_tiny(tmp_path_factory.mktemp("tiny")))


def detokenised(model: HuggingFaceModel, ids: list[int]) -> list[str]:
    text = Detokeniser(model.decode)
    return [text.feed(token) for token in ids] + [text.close()]


def test_a_character_of_several_tokens_comes_whole(model):
    ids = model._chat.tokenizer.encode("µ€😀", add_special_tokens=False)
    assert detokenised(model, ids) == ["", "µ", "", "", "€", "", "", "", "😀", ""]


def test_pieces_join_to_the_text_of_all_tokens(model):
    draw = random.Random(0)
    for _ in range(50):
        ids = [draw.randrange(256) for _ in range(60)]
        assert "".join(detokenised(model, ids)) == model.decode(ids)


def test_the_prompt_ends_where_the_answer_begins(model):
    ids = model.encode([{"role": "user", "content": "Gout?"}])
    prompt = model._chat.tokenizer.decode(ids)
    assert prompt.endswith("user\nGout?<|im_end|>\n<|im_start|>assistant\n")


def drawn(model: HuggingFaceModel, num_tokens: int = 8, **options) -> list[int]:
    params = SamplingParams(**{"max_tokens": 8, "temperature": 1} | options)
    row = model.begin(model.encode([{"role": "user", "content": "Gout?"}]), params)
    said = [model.step()[0][1] for _ in range(num_tokens)]
    model.end(row)
    return said


def test_greedy_tokens_are_those_of_transformers(tmp_path):
    model = HuggingFaceModel(make_tiny(tmp_path))
    prompt = model.encode([{"role": "user", "content": "Gout?"}])
    plain = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    wanted = plain.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=8, eos_token_id=None
    )
    assert drawn(model, temperature=0) == wanted[0, len(prompt) :].tolist()


def test_a_seed_gives_the_same_tokens_again(model):
    first, second, other = (drawn(model, seed=seed) for seed in (5, 5, 6))
    assert first == second != other


def test_a_tiny_top_p_takes_the_likeliest_token(model):
    assert drawn(model, top_p=1e-6, seed=9) == drawn(model, temperature=0)


def test_markers_in_a_rendered_prompt_become_their_tokens(model):
    (marker,) = model.tokenize("<|im_start|>")
    assert model.decode([marker]) == "<|im_start|>"


def test_a_folder_without_a_chat_template_is_refused(tmp_path):
    (make_tiny(tmp_path) / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="no chat template"):
        HuggingFaceModel(tmp_path)
