"""The engine on a service: what it refuses, says and keeps. What it computes: test_conformance."""

from __future__ import annotations

import json
import logging
import socket

import pytest

pytest.importorskip("tinker")

from kos.config import Adam, Lora
from kos.engine.base import SamplingParams
from kos.engine.choices import Tinker
from kos.errors import UserError
from kos.events import LocalJob
from kos.rl.losses.base import CrossEntropy
from kos.rl.losses.cispo import Cispo
from tests.kos.engine import tiny
from tests.kos.engine.data import batch, datum
from tests.kos.engine.serving import KEY, server

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

LORA = Lora(rank=4, alpha=8)


@pytest.fixture(scope="module")
def url(policy, tmp_path_factory):
    with server(policy, tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
def start(url, policy, tmp_path):
    """Opens engines and closes them."""
    opened = []

    def open_engine(*, key=KEY, adapter=None, **knobs):
        job = LocalJob(tmp_path, {"base": policy}, seed=1, secrets={"mine": key})
        choice = Tinker(**{"base_url": url, "model": "tiny", "secret": "mine"} | knobs)
        engine = choice.open(job, tiny.MACHINE, lora=LORA, base=policy, adapter=adapter)
        opened.append(engine)
        return engine

    yield open_engine
    for engine in opened:
        engine.close()


def test_a_wrong_key_is_named_and_never_shown(start, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UserError, match="refuses the key 'mine'") as raised:
        start(key="tml-wrong-one")
    assert "tml-wrong-one" not in str(raised.value) + caplog.text
    with pytest.raises(UserError, match="does not begin with tml-"):
        start(key="sk-else")


def test_a_model_the_service_does_not_train_is_named_before_anything_is_made(start):
    with pytest.raises(UserError, match="does not train 'Kimi'; it has tiny"):
        start(model="Kimi")


def test_a_service_that_does_not_listen_is_told_at_once(start):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UserError, match="nothing answers"):
        start(base_url=f"http://127.0.0.1:{port}")


def test_another_temperature_is_refused_with_a_sentence(start):
    engine = start()
    with pytest.raises(UserError, match=r"trains at temperature 1, and this run samples at 0\.7"):
        engine.forward_backward(batch(), Cispo(), temperature=0.7)
    with pytest.raises(UserError, match=r"sampling\.temperature"):
        engine.sample([[5, 6]], SamplingParams(max_tokens=2, temperature=0.7))


def test_a_loss_that_the_service_lacks_has_the_same_gradient(start):
    own, custom = start(), start(losses=())
    for engine in (own, custom):
        engine.forward_backward(batch(), Cispo())
        engine.optim_step(Adam(learning_rate=1e-2))
    found, wanted = (engine.forward(batch(), Cispo()) for engine in (custom, own))
    assert found.loss == pytest.approx(wanted.loss, rel=1e-4)


def test_the_checkpoint_says_where_the_weights_are_and_no_key(start, tmp_path):
    engine = start()
    engine.save_state(tmp_path / "state", step=4, memory={"a": 1})
    text = (tmp_path / "state").read_text()
    assert json.loads(text)["service"].startswith("tinker://")
    assert KEY not in text


def test_the_saved_adapter_is_a_peft_folder_and_a_later_run_goes_on_from_it(start, tmp_path):
    first = start()
    first.forward_backward([datum(5)], CrossEntropy())
    first.optim_step(Adam(learning_rate=1e-2))
    first.save_weights(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8.0)
    second = start(adapter=tmp_path / "adapter")
    wanted, found = (engine.forward(batch(), Cispo()).loss for engine in (first, second))
    assert found == pytest.approx(wanted, rel=1e-5)


def test_an_adapter_from_elsewhere_is_refused(start, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="was not trained on this service"):
        start(adapter=tmp_path)
