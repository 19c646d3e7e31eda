"""What differs between two versions."""

from __future__ import annotations

import json

import pytest

from apps.datasets import diffing
from kos.data.rubrics import RubricItem
from tests.apps.datasets.test_views import task
from tests.factories import make_version


def pair(old, new, **fields):
    before = make_version(*old)
    return before, make_version(*new, dataset=before.dataset, number=2, base=before, **fields)


def names(old, new, kind) -> list[str]:
    return [row.external_id for row in diffing.rows_of(old, new, kind)]


def test_examples_are_paired_by_id(db):
    old, new = pair(
        [task("a"), task("b"), task("c")], [task("b"), task("c", text="Else?"), task("d")]
    )
    assert [names(old, new, kind) for kind in diffing.KINDS] == [["d"], ["a"], ["c"]]
    assert diffing.counts(old, new) == {"added": 1, "removed": 1, "changed": 1}


def test_words_are_told_apart_and_the_rest_stays():
    pieces = diffing.words("Hold one dose now.", "Hold two doses now.")
    assert "".join(piece.text for piece in pieces if piece.sign != "-") == "Hold two doses now."
    assert "".join(piece.text for piece in pieces if piece.sign != "+") == "Hold one dose now."
    assert [piece.text for piece in pieces if piece.sign == "-"] == ["one", "dose"]


def test_long_texts_are_compared_by_line():
    old = "\n".join(f"line {number}" for number in range(2000))
    pieces = diffing.words(old, old.replace("line 7\n", "line seven\n"))
    assert [piece.text for piece in pieces if piece.sign != "="] == ["line 7\n", "line seven\n"]


def test_points_text_and_decision_of_an_item_are_fields_of_their_own():
    before = task("a")
    hold = before.rubric[0].model_copy(update={"points": 7, "text": "Stops it.", "check": None})
    new = RubricItem(key="new", text="Asks.", points=1)
    after = before.model_copy(update={"rubric": (hold, new), "split": "test"})
    rows = [one.model_dump(mode="json", exclude_defaults=True) for one in (before, after)]
    found = {change.label: (change.before, change.after) for change in diffing.fields(*rows)}
    assert found["Item hold, points"] == ("+5", "+7")
    assert found["Item hold, decided by"] == ("The answer says one of “hold”, “omit”.", "a judge")
    assert found["Item vague"] == ("Is vague.", "")
    assert found["Item new"] == ("", "Asks.")
    assert found["Split"] == ("", "test")


def test_an_order_that_changed_is_said():
    before = task("a")
    after = before.model_copy(update={"rubric": before.rubric[::-1]})
    (change,) = diffing.fields(before.model_dump(mode="json"), after.model_dump(mode="json"))
    assert change.label == "Order of the items"


def test_statistics_stand_before_and_after(db):
    old, new = pair([task("a")], [task("a"), task("b", split="test")])
    found = {row.label: (row.before, row.after) for row in diffing.numbers(old, new)}
    assert found["Prompts"] == (1, 2)
    assert found["Split: test"] == (0, 1)


def test_an_export_has_a_line_for_each_difference(db):
    old, new = pair([task("a"), task("b")], [task("a", text="Else?"), task("c")])
    lines = [json.loads(line) for line in diffing.export(old, new)]
    assert [(line["change"], line["id"]) for line in lines] == [
        ("added", "c"),
        ("removed", "b"),
        ("changed", "a"),
    ]
    assert lines[2]["fields"] == ["Turn 1"]


@pytest.mark.parametrize("fields", [{"is_restricted": True}, {}])
def test_restricted_rows_are_never_exported(db, fields):
    secret = task("s", text="secret").model_copy(update={"restricted": True})
    old, new = pair([task("a")], [task("a"), secret], **fields)
    assert list(diffing.export(old, new)) == []


def test_two_versions_are_compared_with_few_questions(db, django_assert_max_num_queries):
    many = [task(f"t{number}") for number in range(40)]
    old, new = pair(many, [task(f"t{number}", text="Else?") for number in range(40)])
    with django_assert_max_num_queries(2):
        changes = diffing.pair(old, "changed", list(diffing.rows_of(old, new, "changed")))
    assert len(changes) == 40
