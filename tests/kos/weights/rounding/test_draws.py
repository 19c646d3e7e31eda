from __future__ import annotations

import torch

from kos.weights.rounding import draws


def test_draws_are_the_same_in_pieces_of_any_size():
    whole = draws.uniform(3, "a.weight", 0, 1000)
    pieces = [draws.uniform(3, "a.weight", start, start + 7) for start in range(0, 994, 7)]
    assert torch.equal(torch.cat(pieces), whole[:994])


def test_draws_are_these_for_good():
    # An export must come out the same byte for byte with a later release of Kos.
    found = draws.uniform(0, "model.layers.0.mlp.up_proj.weight", 5, 9)
    expected = [0.49411147832870483, 0.784868061542511, 0.7325261235237122, 0.9953228831291199]
    assert found.tolist() == expected


def test_seed_and_name_change_every_draw():
    first = draws.uniform(0, "a", 0, 4096)
    for other in (draws.uniform(1, "a", 0, 4096), draws.uniform(0, "b", 0, 4096)):
        assert (first == other).float().mean() < 0.001


def test_draws_are_uniform():
    # Chi-squared over 64 bins: 63 degrees of freedom, 0.1 % tails at 33 and 104.
    values = draws.uniform(0, "uniform", 0, 1 << 18)
    counts = torch.histc(values, 64, 0, 1)
    expected = len(values) / 64
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    assert 33 < chi_squared < 104
    assert float(values.min()) >= 0
    assert float(values.max()) < 1


def test_neighbouring_draws_know_nothing_of_each_other():
    values = draws.uniform(0, "pairs", 0, 1 << 17) - 0.5
    for lag in (1, 2, 8):
        # The correlation of independent draws: deviation 1 / sqrt(n) = 0.0028.
        assert abs(float((values[lag:] * values[:-lag]).mean()) * 12) < 4 * 0.0028
