from __future__ import annotations

import hashlib
import json

import pytest
from pydantic import ValidationError

from kos.data.rubrics import (
    Checkpoint,
    Measured,
    Provenance,
    RubricItem,
    RubricTask,
    Turn,
    Verifier,
)

TURNS = (Turn(role="user", content="q"),)
ITEM = RubricItem(key="k", text="t", points=5)


def make(**fields: object) -> RubricTask:
    return RubricTask.model_validate({"id": "a", "messages": TURNS, "rubric": (ITEM,)} | fields)


def test_a_row_that_an_older_kos_knew_keeps_its_hash() -> None:
    # The JSON as it was before verifiers, environments and several references came.
    old = (
        '{"id":"a","messages":[{"role":"user","content":"q"}],"rubric":[{"key":"k","text":"t",'
        '"points":5.0,"check":null,"tags":[]}],"split":"train","use_case":"other","type":"other",'
        '"difficulty":"other","specialty":"","tags":[],"reference":"","sources":[],"licence":"",'
        '"restricted":false}'
    )
    assert make().model_dump_json() == old
    assert make().content_hash() == hashlib.sha256(old.encode()).hexdigest()
    assert RubricTask.model_validate_json(old) == make()


def test_what_is_new_changes_the_hash_and_survives_json() -> None:
    verified = make(rubric=(), verifier=Verifier(kind="numeric", answer="4"))
    assert verified.content_hash() != make().content_hash()
    assert RubricTask.model_validate_json(verified.model_dump_json()) == verified


def test_origin_and_training_statistics_are_not_content() -> None:
    origin = Provenance(source="x.jsonl", imported_at="2026-11-22T02:00:00+00:00")
    sampled = make(provenance=origin, measured=Measured(attempts=8, pass_rate=0.5))
    assert sampled.content_hash() == make().content_hash()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"rubric": ()}, "neither a rubric item nor a verifier"),
        ({"canary": "x"}, "must be restricted"),
        ({"messages": [{"role": "critic", "content": "q"}]}, "role"),
        ({"verifier": {"kind": "regex", "answer": "x"}, "rubric": ()}, "needs 'pattern'"),
        ({"verifier": {"kind": "exact"}, "rubric": ()}, "needs an answer"),
        ({"rubric": (ITEM, ITEM)}, "same key"),
    ],
)
def test_what_cannot_be_graded_is_refused(fields: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        make(**fields)


def test_slices_come_from_columns_and_tags() -> None:
    task = make(
        use_case="consult",
        type="good_faith",
        difficulty="difficult",
        specialty="cardiology",
        tags=("theme:hedging", "physician_agreed_category:x"),
    )
    assert task.slices == {
        "use case": "consult",
        "slice": "good faith difficult",
        "theme": "hedging",
        "specialty": "cardiology",
        "category": "x",
        "turns": "one turn",
    }


def test_earlier_tool_calls_are_kept_and_plain_turns_stay_plain() -> None:
    call = {"id": "c1", "name": "search_pubmed", "arguments": json.dumps({"query": "x"})}
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "found", "tool_call_id": "c1"},
        {"role": "user", "content": "and?"},
    ]
    task = make(messages=turns)
    assert task.n_turns == 2
    assert [turn.model_dump(mode="json") for turn in task.messages] == turns


def test_an_item_says_who_decides_it() -> None:
    point = ITEM.model_copy(update={"checkpoint": Checkpoint(kind="fhir_state")})
    assert (ITEM.kind, point.kind) == ("judge", "checkpoint")
