from __future__ import annotations

from apps.datasets.statistics import by_slice, facts_of, histogram, lengths, present, tally
from tests.apps.datasets.test_views import task
from tests.factories import make_version


def told(*names: str, **fields: object) -> list[dict[str, object]]:
    tasks = [task(name).model_copy(update=fields) for name in names]
    return [one.model_dump(mode="json", exclude_defaults=True) for one in tasks]


def test_bars_stand_from_the_worst_fault_to_the_best_point():
    bars = histogram("Points", [(-3, 1), (5, 2)]).bars
    assert [bar.label for bar in bars] == ["\N{MINUS SIGN}3", "+5"]
    assert [bar.is_negative for bar in bars] == [True, False]
    assert bars[0].height == bars[1].height / 2


def test_neighbours_share_a_bar_where_there_are_many_values():
    found = histogram("Points", [(value, 1) for value in range(100)])
    assert len(found.bars) <= 24
    assert sum(bar.num for bar in found.bars) == 100


def test_prompt_lengths_fall_into_bins_without_a_gap():
    assert [(bar.label, bar.num) for bar in lengths([(0, 2), (25, 1)]).bars] == [
        ("0+", 2),
        ("10+", 0),
        ("25+", 1),
    ]


def test_a_version_counts_who_decides_its_items(db):
    facts = facts_of(make_version(task("a"), task("b")))
    assert (facts["num_items"], facts["num_checked"], facts["num_judged"]) == (4, 2, 2)
    assert facts["num_negative"] == 2


def test_counts_are_kept_with_the_version(db, django_assert_num_queries):
    version = make_version(task("a"))
    version.refresh_from_db()
    with django_assert_num_queries(0):
        assert facts_of(version)["num_examples"] == version.num_examples == 1


def test_slices_count_prompts():
    facts = tally([*told("a"), *told("b", "c", split="test")])
    assert by_slice(facts["cells"], 0) == [("test", 2), ("train", 1)]
    assert present(facts)["balance"][0]["shares"][2][1:] == (2, 200 / 3)


def test_tags_with_an_axis_are_counted_apart():
    (row,) = told("a")
    row["rubric"][0]["tags"] = ["axis:accuracy", "level:cluster"]
    facts = tally([row])
    assert (facts["axes"], facts["tags"]) == ([("accuracy", 1)], [("level:cluster", 1)])


def test_a_version_without_prompts_is_no_division_by_zero():
    assert present(tally([]))["share_negative"] == 0
