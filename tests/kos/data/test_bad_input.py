"""Whatever a file holds: usable rows, or a sentence. Never another exception, never a full memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kos.data import trajectories
from kos.data.formats import FieldMap
from kos.data.lines import MAX_DEPTH, parse_yaml, read_document
from kos.data.readers import read_tasks
from kos.errors import UserError
from tests.kos.data.row_readers import READERS

QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROWS = (
    {"id": "a", "messages": [{"role": "user", "content": "?"}],
     "rubric": [{"key": "k", "text": "t", "points": 1}]},
    {"prompt_id": "a", "prompt": [{"role": "user", "content": "?"}], "example_tags": ["theme:x"],
     "rubrics": [{"criterion": "c", "points": 2, "tags": ["level:example"]}],
     "ideal_completions_data": {"ideal_completion": "i", "ideal_completions_group": "g"}},
    {"id": "a", "conversation": {"messages": [{"role": "user", "content": "?"}]},
     "rubric_items": [{"criterion_text": "c", "points": 2}], "specialty": "s"},
    {"query": "?", "rubric": [{"requirement": "r", "weight": 2}]},
    {"prompt": "?", "answer": "4", "verifier": {"kind": "numeric", "params": {"rtol": 0.1}},
     "level": 2, "tags": ["x"]},
    {"task": "a/b", "checkpoints": [{"id": "c", "kind": "llm_judge", "params": {"x": 1}}]},
    {"prompt": [{"role": "user", "content": "?"}], "completion": "c", "rubric": "r",
     "binary_labels": [True, False], "anonymized_physician_ids": ["1", "2"], "points": 2},
    {"prompt_id": "a", "completion": "c", "prompt": [{"role": "user", "content": "?"}],
     "rubric_items": [{"criterion": "c", "points": 1, "criteria_met": True, "tags": []}]},
    {"id": "q", "question": "?", "turns": [{"prompt": "p", "completion": "c"}]},
)  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.sampled_from([10**400, 2**63, "\0", "\ud800", "\x1b[2J", "../../etc/passwd", [], {}, [[]], {"a": 1}]),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


def places(value, here=()):
    """Every place in a row, as the keys that lead there."""
    yield here
    match value:
        case dict():
            inner = value.items()
        case list():
            inner = enumerate(value)
        case _:
            inner = ()
    for key, one in inner:
        yield from places(one, (*here, key))


def changed(row, place, odd):
    """``row`` with ``odd`` at ``place``."""
    if not place:
        return odd
    copy = json.loads(json.dumps(row))
    holder = copy
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = odd
    return copy


def give_to_all(path):
    """Let every reader read ``path``; what it says is a sentence that can be shown."""
    for read in READERS:
        try:
            read(path)
        except UserError as error:
            assert 0 < len(str(error)) < 2_000
            assert str(error).encode()


@QUICK
@given(data=st.data())
def test_a_row_with_one_odd_value_is_read_or_named(tmp_path, data):
    row = data.draw(st.sampled_from(ROWS))
    place = data.draw(st.sampled_from([*places(row)]))
    text = json.dumps(changed(row, place, data.draw(ODD)))
    path = tmp_path / trajectories.FILE
    path.write_text(text + "\n" + json.dumps(ROWS[0]))
    give_to_all(path)


@QUICK
@given(data=st.data())
def test_what_is_kept_can_be_written_and_read_again(data):
    row = data.draw(st.sampled_from(ROWS[:6]))
    place = data.draw(st.sampled_from([*places(row)]))
    report = read_tasks([json.dumps(ROWS[0]), json.dumps(changed(row, place, data.draw(ODD)))])
    for task in report.tasks:
        written = task.model_dump_json()
        assert type(task).model_validate_json(written) == task
        assert "\\u0000" not in written


@QUICK
@given(raw=st.binary(max_size=300))
@example(b"\x1f\x8b")
@example(gzip.compress(b'{"prompt": 1}')[:-4])
@example(b"\xff\xfe{\x00}\x00")
@example(b"\xef\xbb\xbf{}")
@example(b'{"rubric": ' + b"[" * 100_000)
@example(b"[" * 3000 + b"]" * 3000)
@example(b'{"points": 1e999, "query": "?", "rubric": []}')
@example(b'{"answer": ' + b"9" * 5000 + b', "prompt": "?"}')
def test_any_bytes_are_read_or_refused(tmp_path, raw):
    path = tmp_path / trajectories.FILE
    path.write_bytes(raw)
    give_to_all(path)


@QUICK
@given(data=st.data())
def test_a_sound_file_with_damage_is_read_or_refused(tmp_path, data):
    raw = bytearray("\n".join(map(json.dumps, ROWS)).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    path = tmp_path / trajectories.FILE
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    give_to_all(path)


@QUICK
@given(text=st.one_of(st.text(max_size=80), st.binary(max_size=80)))
@example("a: 2024-99-99")
@example("!!timestamp x")
@example("!!bool x")
@example("!!int ''")
@example("!!float x")
@example("? [a]\n: b")
@example("? {a: b}\n: b")
@example("a: .nan")
@example("a: " + "9" * 5000)
@example("[" * 5000)
@example("a: &x [1]\nb: *x")
@example("!!binary aGk=")
@example("!!python/object/apply:os.system [id]")
@example("--- a\n--- b")
@example("a: !!set {b}")
@example("\x1b[2J: \x07")
def test_any_yaml_is_json_or_refused(text):
    try:
        value = parse_yaml(text)
    except UserError as error:
        assert str(error).encode()
    else:
        json.dumps(value, allow_nan=False)


def test_dates_in_yaml_are_the_texts_that_they_are():
    assert parse_yaml("on: 2024-02-30\nsince: 2024-01-01 10:00:00") == {
        True: "2024-02-30",
        "since": "2024-01-01 10:00:00",
    }


@pytest.mark.parametrize("row", ROWS[:6])
def test_fields_named_by_hand_read_any_row_or_name_it(row):
    for name in ("prompt", "id", "rubric", "answer", "tags", "nothing"):
        fields = FieldMap(prompt=name, id="id", rubric="rubric", answer="answer", tags="tags")
        try:
            read_tasks([json.dumps(row)], fields=fields)
        except UserError as error:
            assert "line 1" in str(error)


def test_what_is_nested_too_deep_is_named(tmp_path):
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    row = json.dumps({"query": "?", "rubric": [{"weight": 1, "criterion": "c"}]})
    report = read_tasks([row, f'{{"prompt": "?", "answer": {deep}}}'])
    assert "nested more than" in report.problems[0].text


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.jsonl"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(1_000_000))
    tracemalloc.start()
    give_to_all(path)
    with pytest.raises(UserError, match="larger than 4 MB unpacked"):
        read_document(path, max_bytes=4_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The whole document may be looked at; its lines and their copies may not pile up.
    assert peak < 300_000_000
