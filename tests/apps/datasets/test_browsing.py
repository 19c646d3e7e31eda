"""Search, filters and pages of a version's examples."""

from __future__ import annotations

import pytest

from apps.datasets import browsing
from apps.datasets.browsing import browse
from tests.apps.datasets.test_views import task
from tests.factories import make_version

INR = "INR 6.2 on warfarin and no bleeding. What now?"
CHEST = "Tight chest when climbing hills. Can I use a nitrate spray?"


def found(words: str, *tasks, **fields) -> list[str]:
    version = make_version(
        *(tasks or (task("inr", text=INR), task("chest", text=CHEST))), **fields
    )
    return [row.external_id for row in browse(version, {}, words=words).examples]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("warf", ["inr"]),
        ("bleeds", ["inr"]),
        ("climb nitr", ["chest"]),
        ('"nitrate spray"', ["chest"]),
        ('"spray nitrate"', []),
        ("6.2", ["inr"]),
        ("-warfarin", ["chest"]),
        ("holds dose", ["inr", "chest"]),
        ("!!! ' & |", ["inr", "chest"]),
    ],
)
def test_words_are_found_by_their_beginning_and_phrases_as_they_stand(db, words, ids):
    assert found(words) == ids


def test_words_after_a_line_end_are_found(db):
    assert found("nausea", task("a", text="Headache\nnausea\tvomiting")) == ["a"]


def test_a_restricted_version_is_never_searched(db):
    assert found("warfarin", task("a", text=INR), is_restricted=True) == []


def test_a_restricted_row_is_never_found(db):
    secret = task("s", text=INR).model_copy(update={"restricted": True})
    assert found("warfarin", secret, task("a", text=INR)) == ["a"]


def test_pages_follow_each_other_both_ways(db):
    version = make_version(*(task(f"t{number:03}") for number in range(120)))
    first = browse(version, {})
    second = browse(version, {}, after=first.next)
    third = browse(version, {}, after=second.next)
    assert [len(page.examples) for page in (first, second, third)] == [50, 50, 20]
    assert (first.previous, third.next) == (None, None)
    assert browse(version, {}, before=second.previous).examples == first.examples


def test_the_number_that_fits_is_counted_up_to_a_limit(db, monkeypatch):
    monkeypatch.setattr(browsing, "COUNTED", 3)
    version = make_version(*(task(f"t{number}") for number in range(5)))
    assert browse(version, {"split": "train"})[1:3] == (3, True)
    assert browse(version, {})[1:3] == (5, False)


def test_a_snippet_shows_where_a_word_stands():
    row = {"messages": [{"role": "user", "content": "x " * 200 + "warfarin now"}], "rubric": []}
    assert "warfarin" in browsing.snippet(row, ["warfarin"])
    assert browsing.marked("On Warfarin now", ["warf"]) == [
        ("On ", False),
        ("Warfarin", True),
        (" now", False),
    ]


def test_difficulty_is_a_column_of_its_own(db):
    hard = task("a").model_copy(update={"difficulty": "difficult"})
    version = make_version(hard, task("b"))
    rows = browse(version, {"difficulty": "difficult"}).examples
    assert [row.external_id for row in rows] == ["a"]
    assert version.examples.get(external_id="b").difficulty == "other"
