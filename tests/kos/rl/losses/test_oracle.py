"""The losses held against Liger's, which are those of TRL: other code for the same formulas."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import pytest
import torch

from kos.rl.losses.cispo import Cispo
from kos.rl.losses.ratio import DrGrpo, Grpo, Gspo, Ppo
from tests.kos.rl.losses.cases import Case, gradient, make

LONGEST = 9


@pytest.fixture(scope="module")
def liger():
    """Liger's pure loss. Its package's own start wants a GPU's compiler, so it is gone around."""
    found = importlib.util.find_spec("liger_kernel")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("liger-kernel is not installed")
    root = Path(found.submodule_search_locations[0])
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in (
            ("liger_kernel", root),
            ("liger_kernel.chunked_loss", root / "chunked_loss"),
        ):
            package = types.ModuleType(name)
            package.__path__ = [str(folder)]
            patch.setitem(sys.modules, name, package)
        module = importlib.import_module("liger_kernel.chunked_loss.grpo_loss")
        yield module.LigerFusedLinearGRPOFunction.ppo_loss_fn


def theirs(liger, case: Case, kind: str, low: float, high: float, level: str = "token"):
    """dL/dlogp as Liger has it, times what it divides by."""
    leaf = case.logp.clone().requires_grad_()
    loss, _ = liger(
        leaf, case.mask, case.advantages_B, case.mask, old_per_token_logps=case.old,
        epsilon_low=low, epsilon_high=high, beta=0.0, loss_type=kind,
        max_completion_length=LONGEST, importance_sampling_level=level,
    )  # fmt: skip
    loss.backward()
    return leaf.grad


@pytest.mark.parametrize("cap", [5.0, 1.5])
def test_cispo(liger, cap):
    case = make()
    found = gradient(Cispo(clip_high=cap), case) / case.mask.sum()
    torch.testing.assert_close(found, theirs(liger, case, "cispo", 0.0, cap))


def test_ppo_by_the_mean_token(liger):
    case = make()
    found = gradient(Ppo(clip_low=0.8, clip_high=1.28), case) / case.mask.sum()
    torch.testing.assert_close(found, theirs(liger, case, "dapo", 0.2, 0.28))


def test_grpo_by_the_mean_of_each_answer(liger):
    case = make()
    scaled = case.advantage / (4 * case.mask.sum(-1, keepdim=True))
    found = gradient(Grpo(), case._replace(advantage=scaled))
    torch.testing.assert_close(found, theirs(liger, case, "grpo", 0.2, 0.2))


def test_dr_grpo_by_the_longest_answer(liger):
    case = make()
    found = gradient(DrGrpo(), case._replace(advantage=case.advantage / (4 * LONGEST)))
    torch.testing.assert_close(found, theirs(liger, case, "dr_grpo", 0.2, 0.2))


def test_gspo_by_the_sequence(liger):
    case = make(drift=0.05)
    loss = Gspo(clip_low=0.8, clip_high=1.2)
    lengths = case.mask.sum(-1, keepdim=True)
    found = gradient(loss, case._replace(advantage=case.advantage / (4 * lengths)))
    torch.testing.assert_close(found, theirs(liger, case, "grpo", 0.2, 0.2, "sequence"))
