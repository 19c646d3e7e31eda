from __future__ import annotations

from apps.runs.start.changes import changes, typed
from apps.runs.start.parts import config_form, find_part
from kos.config import Pipeline, Train

START = Train().model_dump(mode="json")


def changed(model=Train, start=START, **edits: str) -> list[tuple[str, str, str]]:
    data = typed(config_form(model, initial=start))
    form = config_form(model, data | {k.replace("_in_", "-"): v for k, v in edits.items()})
    return [(one.place, one.old, one.new) for one in changes(form, start)]


def test_an_untouched_form_has_no_changes():
    assert changed() == []


def test_a_knob_is_shown_with_its_old_and_its_new_value():
    assert changed(lora_in_rank="44") == [("Lora / Rank", "16", "44")]


def test_a_number_written_otherwise_is_no_change():
    assert changed(adam_in_learning_rate="0.00001") == []


def test_what_is_no_number_yet_is_a_change():
    assert changed(steps="1x") == [("Steps", "10", "1x")]


def test_a_box_is_on_or_off():
    start = Pipeline().model_dump(mode="json")
    assert changed(Pipeline, start, warm_start="") == [("Warm start", "on", "off")]


def with_prioritised(**edits: str) -> list[str]:
    form = config_form(Train, initial=START | {"prompts": {"kind": "prioritised"}})
    data = typed(find_part(Train, "prompts", "prioritised")) | {
        f"prompts-{name}": value for name, value in edits.items()
    }
    return [one.place for one in changes(config_form(Train, typed(form) | data), START)]


def test_another_kind_is_one_change_whatever_knobs_it_brings():
    assert with_prioritised() == ["Prompts"]


def test_the_knobs_of_another_kind_are_held_against_their_defaults():
    assert with_prioritised(floor="0.5") == ["Prompts", "Prompts / Floor"]


def test_an_added_entry_is_a_change_of_the_list():
    start = Train(rewards=()).model_dump(mode="json")
    data = typed(config_form(Train, initial=START))
    (change,) = changes(config_form(Train, data), start)
    assert (change.place, change.old, change.new) == ("Rewards", "0 entries", "1 entry")
    assert (change.part, change.anchor) == ("rewards", "part-rewards")


def test_long_words_are_cut():
    (change,) = changed(system_prompt="x" * 500)
    assert len(change[2]) == 40
