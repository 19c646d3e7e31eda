from __future__ import annotations

import pytest
import torch

from kos.config import Merge  # noqa: F401 - the configs first: the engine's modules import them
from kos.data.rubrics import RubricItem, RubricTask, Turn
from kos.engine.models import Chat, load_model
from kos.errors import UserError
from kos.weights import behaviour, models
from kos.weights.behaviour import Line, Parted, Prompt
from kos.weights.source import Source
from kos.weights.text import Checkpoint
from tests.kos.engine.tiny import MACHINE


@pytest.fixture(scope="module")
def chat(llama):
    return Chat.load(llama)


@pytest.fixture(scope="module")
def model(llama):
    checkpoint = Checkpoint(llama)
    return models.build(checkpoint.config, models.plain(Source(checkpoint)))


@pytest.fixture(scope="module")
def other(llama):
    checkpoint = Checkpoint(llama)
    weights = models.plain(Source(checkpoint))
    draw = torch.Generator().manual_seed(0)
    shaken = {
        name: value * (1 + 0.3 * torch.randn(value.shape, generator=draw))
        for name, value in weights.items()
    }
    return models.build(checkpoint.config, shaken)


ASKED = [Prompt("a", [5, 6, 7], [8, 9, 10]), Prompt("b", [11, 12], [13, 14, 15, 16])]


def test_a_model_made_of_its_weights_says_what_the_folder_says(model, llama):
    ids = torch.arange(5, 30)[None]
    loaded = load_model(llama, MACHINE)
    assert torch.allclose(model(ids).logits, loaded(ids).logits, atol=1e-5)


def test_log_probs_are_those_before_each_token_of_the_answer(model):
    whole = torch.log_softmax(model(torch.tensor([[5, 6, 7, 8, 9, 10]])).logits[0], -1)
    assert torch.allclose(behaviour.log_probs(model, ASKED[0]), whole[2:5], atol=1e-5)


def test_the_ideal_itself_keeps_everything_and_does_not_diverge(model, other):
    lines = behaviour.begin(other, model, ASKED)
    found = behaviour.compare(lines, model, model, ASKED)
    assert all(line.kl == pytest.approx(0, abs=1e-6) for line in found)
    assert all(line.nll_export == pytest.approx(line.nll_ideal) for line in found)
    assert all(line.kl_base > 0.01 for line in found)


def test_gain_kept_is_beside_the_base_in_the_same_format():
    # SmolLM2: base 3.8347, ideal 3.5916; NVFP4's base 3.9597, its export 3.7046: 104.9 %.
    line = Line("a", 1, 3.8347, 3.5916, 3.9597, 3.7046, 0.121)
    found = behaviour.summarise([line])
    assert found["gain_kept"]["mean"] == pytest.approx(1.049, abs=0.001)
    assert found["net_gain_kept"]["mean"] == pytest.approx(0.535, abs=0.001)
    assert found["kl"]["mean"] == 0.121


def test_means_weigh_prompts_by_their_tokens_and_intervals_hold_them():
    lines = [Line(str(i), 10 + i, nll_base=20.0 + i, nll_ideal=9.0 + i % 3) for i in range(8)]
    found = behaviour.summarise(lines, seed=1)
    tokens = sum(line.num_tokens for line in lines)
    assert found["nll_base"]["mean"] == pytest.approx(sum(20 + i for i in range(8)) / tokens)
    assert found["gain"]["low"] < found["gain"]["mean"] < found["gain"]["high"]
    assert found == behaviour.summarise(lines, seed=1)
    assert "gain_kept" not in found


def test_nothing_is_kept_of_a_gain_that_is_none():
    assert "net_gain_kept" not in behaviour.summarise([Line("a", 1, 3.0, 3.5, 3.0, 3.2, 0.1)])


def test_an_export_parts_from_the_ideal_at_its_first_other_token(chat, model, other):
    answers = behaviour.greedy(model, chat, ASKED, max_tokens=6)
    same = behaviour.part(chat, model, ASKED, answers)
    assert [one.token for one in same] == [None, None]
    parted = behaviour.part(chat, other, ASKED, answers)
    theirs = behaviour.greedy(other, chat, ASKED, max_tokens=6)
    for one, mine, said in zip(parted, answers, theirs, strict=True):
        if one.token is not None:
            assert mine[: one.token] == said[: one.token]
            assert mine[one.token] != said[one.token]


def test_parity_counts_and_finds_the_middle():
    parted = [Parted("a", None, 9), Parted("b", 3, 9), Parted("c", 7, 9), Parted("d", 5, 9)]
    found = behaviour.parity(parted)
    assert (found["same"], found["num_prompts"], found["median_token"]) == (1, 4, 5)


def test_only_prompts_with_a_reference_that_fits_are_asked(chat):
    item = RubricItem(key="a", text="Says it.", points=1)
    task = RubricTask(id="a", messages=(Turn(role="user", content="Hm?"),), rubric=(item,))
    with pytest.raises(UserError, match="no held-out prompt has a reference"):
        behaviour.prompts(chat, [task], system_prompt="")
    known = task.model_copy(update={"reference": "Rest."})
    assert [one.id for one in behaviour.prompts(chat, [known], system_prompt="")] == ["a"]
