from __future__ import annotations

from collections import Counter

from apps.datasets.statistics import histogram, summarise
from tests.apps.datasets.test_views import task
from tests.factories import make_version


def test_bars_stand_from_the_worst_fault_to_the_best_point():
    bars = histogram(Counter({5: 2, -3: 1}))
    assert [bar.label for bar in bars] == ["\N{MINUS SIGN}3", "+5"]
    assert [bar.is_negative for bar in bars] == [True, False]
    assert bars[0].height == bars[1].height / 2


def test_a_version_counts_what_a_check_decides(db):
    found = summarise(make_version(task("a"), task("b")))
    assert (found["num_items"], found["num_checked"], found["num_judged"]) == (4, 2, 2)


def test_slices_count_prompts(db):
    found = summarise(make_version(task("a"), task("b", split="test")))
    splits = dict(found["slices"])["Split"]
    assert {row["value"]: row["num"] for row in splits} == {"train": 1, "test": 1}
