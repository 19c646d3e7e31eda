from __future__ import annotations

from apps.traces.comparing import difference, pairs
from apps.traces.reading import Call, call


def asked(name: str, query: str) -> Call:
    arguments = f'{{"query": "{query}"}}'
    return call(0, {"call": {"id": "", "name": name, "arguments": arguments}})


def test_the_parts_joined_are_the_answers():
    left, right = "Take  5 mg\nat night.", "Take 10 mg\nat night, with food."
    found = difference(left, right)
    assert "".join(part.text for part in found.left) == left
    assert "".join(part.text for part in found.right) == right


def test_words_that_differ_are_told_apart():
    found = difference("Take 5 mg daily.", "Take 10 mg daily.")
    assert [part.text for part in found.left if not part.is_shared] == ["5 "]
    assert [part.text for part in found.right if not part.is_shared] == ["10 "]
    # 3 of 4 words of each are shared.
    assert found.likeness == 2 * 3 / 8


def test_equal_and_empty_answers_are_alike():
    assert difference("Rest.", "Rest.").likeness == 1
    assert difference("", "").likeness == 1


def test_equal_searches_stand_beside_each_other():
    left = [asked("pubmed", "gout"), asked("icd", "gout")]
    right = [asked("icd", "gout")]
    found = pairs(left, right)
    assert [(pair.left is not None, pair.right is not None) for pair in found] == [
        (True, False),
        (True, True),
    ]
    assert [pair.is_same for pair in found] == [False, True]


def test_searches_of_one_tool_with_other_words_stand_beside_each_other():
    (pair,) = pairs([asked("pubmed", "gout")], [asked("pubmed", "gout trial")])
    assert (pair.left.query, pair.right.query) == ("gout", "gout trial")
    assert not pair.is_same


def test_what_only_one_did_stands_alone():
    found = pairs([asked("pubmed", "gout")], [asked("icd", "gout")])
    assert [(pair.left is None, pair.right is None) for pair in found] == [
        (False, True),
        (True, False),
    ]
