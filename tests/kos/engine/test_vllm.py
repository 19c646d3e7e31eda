from __future__ import annotations

from pathlib import Path

import pytest

from kos.config import Adam, Lora
from kos.engine.base import SamplingParams
from kos.engine.choices import InEngine, Vllm
from kos.engine.vllm import Proof, SampledElsewhere, has_moved, judge
from kos.errors import UserError
from kos.events import LocalJob
from kos.rl.losses.base import CrossEntropy
from kos.serving.vllm import Served, command, environment
from tests.kos.engine.data import datum
from tests.kos.engine.hot_server import HotServer

PARAMS = SamplingParams(max_tokens=8, seed=2)


@pytest.fixture
def hot(policy):
    server = HotServer(policy, Lora(rank=4, alpha=8))
    yield server
    server.stop()


@pytest.fixture
def both(engine, hot, tmp_path):
    (tmp_path / "sampler").mkdir()
    return SampledElsewhere(engine, hot, tmp_path / "sampler", tolerance=0.1)


def learn(engine, rate=0.02) -> None:
    engine.forward_backward([datum(6)], CrossEntropy())
    engine.optim_step(Adam(learning_rate=rate))


def test_answers_come_from_the_server_with_their_log_probabilities(both, hot):
    ((first, second),) = both.sample([[5, 6, 7]], PARAMS, num_samples=2)
    assert first.tokens != second.tokens
    (known,) = both.compute_logprobs([[5, 6, 7, *first.tokens]])
    assert first.logprobs == pytest.approx(known[2:], abs=1e-4)
    assert [path for path, _ in hot.asked][-1] == "/v1/completions"


def test_every_update_is_swapped_in_under_a_new_name_and_the_old_one_goes(both, hot):
    both.sample([[5, 6, 7]], PARAMS)
    learn(both)
    both.sample([[5, 6, 7]], PARAMS)
    names = [asked["lora_name"] for path, asked in hot.asked if path == "/v1/load_lora_adapter"]
    assert [name.rpartition("-")[2] for name in names] == ["v0", "v1"]
    assert list(hot.adapters) == names[1:]
    assert "/reset_prefix_cache" in [path for path, _ in hot.asked]
    assert hot.asked[-1][1]["model"] == names[1]


def test_without_an_update_nothing_is_swapped(both, hot):
    both.sample([[5, 6, 7]], PARAMS)
    before = len(hot.asked)
    both.sample([[5, 6, 7]], PARAMS)
    assert len(hot.asked) == before + 1


def test_a_server_that_keeps_old_weights_is_found_out(both, hot):
    both.sample([[5, 6, 7]], PARAMS)
    hot.keeps_old = True
    learn(both)
    with pytest.raises(UserError, match="does not have the new weights"):
        both.sample([[5, 6, 7]], PARAMS)


def test_a_small_update_that_is_not_taken_is_found_out_too(both, hot):
    both.sample([[5, 6, 7]], PARAMS)
    learn(both, rate=1e-3)
    both.sample([[5, 6, 7]], PARAMS)
    hot.keeps_old = True
    learn(both, rate=1e-3)
    both._tolerance = 10.0
    with pytest.raises(UserError, match="moved 0% of the way"):
        both.sample([[5, 6, 7]], PARAMS)


def test_a_server_of_our_own_is_started_anew_instead(both, hot):
    hot.can_restart = True
    both.sample([[5, 6, 7]], PARAMS)
    hot.keeps_old = True
    learn(both)
    both.sample([[5, 6, 7]], PARAMS)
    assert [name.rpartition("-")[2] for name in hot.starts] == ["v0", "v1"]
    assert not hot.keeps_old


def test_a_loop_is_cut_where_the_sampler_in_process_would_have_cut_it(both, engine):
    params = SamplingParams(max_tokens=200, temperature=0, stop_repetition=True)
    ((found,),) = both.sample([[5, 6, 7]], params)
    ((wanted,),) = engine.sample([[5, 6, 7]], params)
    assert (found.tokens, found.stop_reason) == (wanted.tokens, wanted.stop_reason)


def test_a_server_without_hot_swap_is_told_how_to_get_it(both, hot, monkeypatch):
    monkeypatch.setattr(hot, "answer", lambda path, asked: (404, {"detail": "Not Found"}))
    with pytest.raises(UserError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        both.sample([[5, 6, 7]], PARAMS)


def test_two_programs_may_differ_a_little_and_move_together():
    before = Proof((-1.0, -2.0), (-1.02, -1.98))
    assert judge(Proof((-0.9, -1.8), (-0.93, -1.79)), before, tolerance=0.1) == ""
    assert "moved" in judge(Proof((-0.9, -1.95), (-1.02, -1.98)), before, tolerance=0.2)
    assert "nats a token" in judge(Proof((-1.0,), (-1.5,)), None, tolerance=0.1)


def test_a_move_within_rounding_proves_nothing_and_counts_with_the_next():
    before = Proof((-1.0, -2.0), (-1.02, -1.98))
    small, large = Proof((-0.98, -1.97), (-1.0, -2.0)), Proof((-0.8, -1.8), (-1.02, -1.98))
    assert not has_moved(small, before)
    assert judge(small, before, tolerance=0.1) == ""
    assert has_moved(large, before)
    assert "moved 0% of the way" in judge(large, before, tolerance=1.0)


def test_a_hot_server_is_started_for_swapping(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 44}')
    served = Served(tmp_path, "v0", 64, adapter=tmp_path, is_hot=True, options=("--x=1",))
    line = command(Path("vllm"), served, path=tmp_path / "s")
    assert line[-3:] == ["--max-cpu-loras=2", "--logprobs-mode=processed_logprobs", "--x=1"]
    assert environment(served)["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    cold = environment(Served(tmp_path, "v0", 64))
    assert "VLLM_SERVER_DEV_MODE" not in cold


def test_the_choice_wraps_the_engine_and_the_plain_one_leaves_it(engine, hot, tmp_path, policy):
    job = LocalJob(tmp_path, {"base": policy})
    assert InEngine().wrap(engine, job) is engine
    with pytest.raises(UserError, match="does not answer"):
        Vllm(url="http://127.0.0.1:9").wrap(engine, job)
