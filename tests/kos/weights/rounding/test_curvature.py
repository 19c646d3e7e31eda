from __future__ import annotations

import pytest
import torch

from kos.errors import UserError
from kos.weights.rounding.curvature import DAMPING, Diagonal, Full
from tests.kos.weights.rounding.weights import make_activations, make_inputs, make_target


def rounds(step):
    return lambda aim_R, column: (aim_R / step).round() * step


def test_the_two_forms_of_one_matrix_choose_the_same():
    # With all eigenpairs D + F F^T is H but for the damping, which both add to the diagonal.
    inputs, target = make_inputs(), make_target()
    wanted = target.merged_RC[:16]
    seen = make_activations(inputs, 512)
    low = Diagonal.of_pairs(seen.diagonal_C, seen.values_K, seen.vectors_CK)
    full = Full(inputs.moment_CC)
    grid = rounds(0.005)
    same = (low.rounded(wanted, grid) == full.rounded(wanted, grid)).float().mean()
    assert float(same) > 0.999


def test_independent_inputs_need_only_the_nearest_code():
    wanted = make_target().merged_RC[:16]
    diagonal = torch.rand(512) + 0.5
    grid = rounds(0.005)
    found = Diagonal(diagonal, torch.zeros(512, 1)).rounded(wanted, grid)
    assert torch.equal(found, grid(wanted, 0))


def test_an_error_that_must_be_made_is_undone_by_the_next_column():
    # Two inputs that are always equal: only the sum of their weights matters.
    full = Full(torch.ones(2, 2))
    found = full.rounded(torch.tensor([[0.4, 0.4]]), rounds(1.0))
    assert float(found.sum()) == 1.0


def test_inner_weighs_by_the_inputs():
    inputs, a, b = make_inputs(), torch.randn(4, 512), torch.randn(4, 512)
    wanted = float(((a @ inputs.moment_CC) * b).sum())
    assert Full(inputs.moment_CC).inner(a, b) == pytest.approx(wanted, rel=1e-3)
    seen = make_activations(inputs, 512)
    low = Diagonal.of_pairs(seen.diagonal_C, seen.values_K, seen.vectors_CK)
    damped = wanted + DAMPING * float(seen.diagonal_C.mean()) * float((a * b).sum())
    assert low.inner(a, b) == pytest.approx(damped, rel=1e-3)


def test_a_weight_whose_input_was_never_seen_is_told():
    with pytest.raises(UserError, match="saw no input"):
        Diagonal(torch.zeros(32), torch.zeros(32, 2))
