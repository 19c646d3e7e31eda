from __future__ import annotations

import pytest

from kos.evals.calibration import Counts, Ruled, compare, corrected, measure

SMALL = {"seed": 1, "draws": 100}


def rule(number: int, met: bool | None, *labels: bool, **fields) -> Ruled:
    given = {"prompt_id": f"p{number}", "category": "", "num_chars": 100} | fields
    people = tuple(f"d{place}" for place in range(len(labels)))
    return Ruled(id=str(number), labels=labels, by=people, met=met, **given)


def proposals(first: str, second: str) -> list[Ruled]:
    """Two readers' words, one row each: the judge's and a person's."""
    pairs = zip(first, second, strict=True)
    return [rule(number, a == "y", b == "y") for number, (a, b) in enumerate(pairs)]


# The usual example of kappa: two readers say yes or no to 50 proposals.
FIFTY = proposals("y" * 25 + "n" * 25, "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15)
# Predictions T, F, T; physicians [T, T, F], [T, F], [F].
META = [
    rule(1, True, True, True, False),
    rule(2, False, True, False),
    rule(3, True, False),
]


def test_cohens_kappa_of_fifty_proposals_with_its_table():
    found = measure(FIFTY, **SMALL)["all"]
    assert [found[name] for name in ("tp", "fp", "fn", "tn", "n")] == [20, 5, 10, 15, 50]
    assert found["kappa"]["value"] == pytest.approx(0.4)
    assert found["kappa"]["low"] < 0.4 < found["kappa"]["high"]
    assert found["balanced_accuracy"]["value"] == pytest.approx((20 / 30 + 15 / 20) / 2)


def test_the_meta_evaluation_example_of_both_classes():
    found = measure(META, **SMALL)["all"]
    values = {name: one["value"] for name, one in found.items() if isinstance(one, dict)}
    assert (values["precision_met"], values["precision_unmet"]) == (2 / 4, 1 / 2)
    assert (values["recall_met"], values["recall_unmet"]) == (2 / 3, 1 / 3)
    assert (values["f1_met"], values["f1_unmet"]) == pytest.approx((4 / 7, 2 / 5))
    assert values["macro_f1"] == pytest.approx(0.4857, abs=1e-4)


def test_the_same_seed_gives_the_same_intervals():
    one, other = (measure(FIFTY, seed=7, draws=100)["all"]["kappa"] for _ in range(2))
    assert one == other != measure(FIFTY, seed=8, draws=100)["all"]["kappa"]


def test_intervals_resample_prompts_not_rows():
    alone = measure(FIFTY, **SMALL)["all"]["kappa"]
    shared = [
        rule(number, row.met, *row.labels, prompt_id="the only prompt")
        for number, row in enumerate(FIFTY)
    ]
    found = measure(shared, **SMALL)["all"]["kappa"]
    assert found["low"] == found["high"] == pytest.approx(alone["value"])


def test_a_row_without_a_verdict_is_counted_and_left_out():
    found = measure([*FIFTY, rule(99, None, True)], **SMALL)
    assert (found["ungraded"]["hits"], found["ungraded"]["n"], found["all"]["n"]) == (1, 51, 50)


def test_the_met_rate_is_corrected_for_the_judges_errors():
    # Rogan and Gladen: a rate of 0.5 with TPR 2/3 and FPR 1/4 stands for 0.6.
    assert corrected(0.5, 2 / 3, 1 / 4) == pytest.approx(0.6)
    assert measure(FIFTY, **SMALL)["all"]["corrected"]["value"] == pytest.approx(30 / 50)
    assert corrected(0.9, 0.5, 0.5) is None
    assert corrected(0.1, 0.9, 0.2) == 0


def test_people_are_held_against_each_other_on_the_same_rows():
    found = measure(META, **SMALL)["people"]
    # Row 1 gives six ordered pairs, two of them equal; row 2 gives two, none equal.
    assert (found["n"], found["num_people"]) == (8, 3)
    assert found["kappa"]["value"] == pytest.approx((2 / 8 - 34 / 64) / (1 - 34 / 64))


def test_categories_stand_apart_the_largest_first():
    rows = [rule(n, True, True, category="common") for n in range(3)]
    found = measure([*rows, rule(9, True, False, category="rare")], **SMALL)["categories"]
    assert [(row["category"], row["n"], row["tp"], row["fp"]) for row in found] == [
        ("common", 3, 3, 0),
        ("rare", 1, 0, 1),
    ]


def test_an_error_that_grows_with_length_has_that_slope():
    # Wrong on one label of four at 1,000 characters, on two at 2,000, on three at 3,000.
    rows = [
        rule(10 * n + k, True, *(place >= n for place in range(4)), num_chars=1000 * n)
        for n in (1, 2, 3)
        for k in range(2)
    ]
    found = measure(rows, **SMALL)["length"]
    assert found["slope"]["value"] == pytest.approx(0.25)
    assert found["intercept"] == pytest.approx(0)
    assert [(one["low"], one["rate"], one["bias"]) for one in found["bins"]] == [
        (1000, 0.25, 0.25),
        (2000, 0.5, 0.5),
        (3000, 0.75, 0.75),
    ]


def test_equal_lengths_have_no_slope():
    assert measure(FIFTY, **SMALL)["length"]["slope"] is None


def test_order_and_polarity_are_rates():
    rows = [
        rule(1, True, True, again=False, lint="says_done", is_absence=True),
        rule(2, True, True, again=True),
        rule(3, False, True),
    ]
    found = measure(rows, **SMALL)
    assert (found["order"]["hits"], found["order"]["n"]) == (1, 2)
    assert found["polarity"]["rate"] == pytest.approx(1 / 3)
    assert found["polarity"]["absences"]["rate"] == 1
    assert measure(rows[2:], **SMALL)["order"] is None


def test_nothing_graded_has_numbers_all_the_same():
    found = measure([rule(1, None, True)], **SMALL)
    assert (found["all"]["kappa"], found["length"]["bins"], found["categories"]) == (None, [], [])


def test_two_judges_are_compared_on_the_rows_both_graded():
    perfect = [rule(n, row.labels[0], *row.labels) for n, row in enumerate(FIFTY)]
    found = compare(FIFTY, [*perfect[:49], rule(49, None, False)], **SMALL)
    assert (found["num_rows"], found["same"]) == (49, 34)
    table = Counts(20, 5, 10, 14).table
    assert found["kappa"]["value"] == pytest.approx(1 - table.kappa)
    assert found["between"]["value"] == pytest.approx(table.kappa)
    assert found["categories"][0]["kappas"] == pytest.approx([table.kappa, 1])
