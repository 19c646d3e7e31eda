from __future__ import annotations

import pytest

from tests.fuzz import NAMES, targets
from tests.fuzz.mutations import mutations

CHANGED = 300


def test_every_target_is_named_and_has_seeds():
    assert list(targets.TARGETS) == list(NAMES)
    assert {path.name for path in targets.SEEDS.iterdir()} == {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_kept_and_changed_inputs_are_read_or_told(name):
    kept = [*targets.seeds(name)]
    for data in (b"", *kept, *mutations(kept, count=CHANGED, seed=len(kept))):
        targets.give(name, data)


def test_the_same_seed_makes_the_same_inputs():
    first, second = ([*mutations([b"abc", b"def"], count=20, seed=7)] for _ in range(2))
    assert first == second
    assert len({*first}) > 10
