from __future__ import annotations

import subprocess
import sys

import pytest

from kos.config import Train
from kos.engine import needs
from kos.engine.choices import ENGINES, Tinker, Vllm
from kos.errors import UserError


def test_a_temperature_that_a_service_cannot_train_at_is_refused():
    config = Train(engine=Tinker(), sampling={"temperature": 0.7})
    with pytest.raises(UserError, match=r"temperature 0\.7, which the engine tinker cannot"):
        needs.check(config)


def test_a_falling_temperature_counts_too():
    falling = Train(engine=Tinker(), temperature={"end": 0.5})
    assert "0.5" in next(needs.unmet(falling))
    assert not list(needs.unmet(Train(temperature={"end": 0.5})))


def test_every_engine_takes_the_default_run():
    for choice in ENGINES:
        needs.check(Train(engine=choice()))


def test_a_service_samples_itself():
    assert "set the sampler to engine" in next(needs.unmet(Train(engine=Tinker(), sampler=Vllm())))


def test_vllm_s_log_probabilities_must_be_the_ones_that_are_learnt_from():
    nucleus = Train(sampler=Vllm(), sampling={"top_p": 0.9})
    assert "top_p 0.9" in next(needs.unmet(nucleus))
    warm = Train(sampler=Vllm(url="http://x"), sampling={"temperature": 0.8})
    assert "temperature 1 alone" in next(needs.unmet(warm))
    assert not list(needs.unmet(Train(sampler=Vllm(), sampling={"temperature": 0.8})))


def test_asking_loads_no_torch():
    program = (
        "import sys, kos.config, kos.engine.needs as n; n.check(kos.config.Train());"
        "sys.exit('torch' in sys.modules or 'tinker' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
