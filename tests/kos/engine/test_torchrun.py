"""Processes and their ends. What they compute: test_conformance."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kos.config import Lora
from kos.engine.batches import micro_batches
from kos.engine.torchrun import TorchrunEngine
from kos.errors import UserError
from kos.rl.losses.cispo import Cispo
from tests.kos.engine import tiny
from tests.kos.engine.data import batch

ROOT = Path(__file__).resolve().parents[3]


def test_the_parts_of_a_batch_hold_every_row_once_and_are_equally_wide():
    (first, *_) = micro_batches(batch())
    parts = [first.part(number, 3) for number in range(3)]
    assert sorted(n for part in parts for n in part.numbers) == sorted(first.numbers)
    shapes = {part.pad("cpu")["tokens"].shape[1] for part in parts}
    assert shapes == {first.pad("cpu")["tokens"].shape[1]}


def test_a_part_without_rows_goes_through_the_same_motions():
    (first, *_) = micro_batches(batch()[:1])
    idle = first.part(1, 2)
    assert idle.numbers == ()
    assert idle.data == first.data


def test_gpus_that_are_not_there_are_counted_first(policy):
    lora = Lora(rank=4)
    with pytest.raises(UserError, match="needs GPUs"):
        TorchrunEngine.open(policy, tiny.MACHINE, lora=lora, seed=0, processes=2, backend="nccl")


PROGRAM = """
import sys, time
from pathlib import Path
from kos.config import Lora
from kos.engine.torchrun import TorchrunEngine
from tests.kos.engine import tiny
engine = TorchrunEngine.open(Path(sys.argv[1]), tiny.MACHINE, lora=Lora(rank=4), seed=0, processes=1)
print(*[child.pid for child in engine._children], flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_the_processes_die_with_the_job(policy):
    parent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(policy)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        (pid,) = map(int, parent.stdout.readline().split())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_instead_of_waited_for(policy):
    engine = TorchrunEngine.open(
        policy, tiny.MACHINE, lora=Lora(rank=4), seed=0, processes=2, backend="gloo"
    )
    os.kill(engine._children[1].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="process"):
        engine.forward(batch(), Cispo())
    engine.close()
