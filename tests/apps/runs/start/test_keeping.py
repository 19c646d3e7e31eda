from __future__ import annotations

import pytest
from pydantic import ValidationError

from apps.runs.presets import PRESETS
from apps.runs.start import keeping, shortening
from kos.config import JOBS, Train
from kos.errors import UserError
from tests.factories import make_user


@pytest.fixture
def user(db):
    return make_user()


def test_what_is_kept_is_what_differs_from_the_defaults(user):
    kept = keeping.keep_preset(user, "train", "short", "two steps", Train(steps=2))
    assert kept.config == {"steps": 2}


def test_a_choice_keeps_its_kind_or_it_could_not_be_read_again(user):
    config = {"loss": {"kind": "cispo", "clip_high": 4.5}}
    kept = keeping.keep_preset(user, "train", "tighter", "", config)
    assert kept.config == config
    assert shortening.read("train", kept.config).loss.clip_high == 4.5


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_short_and_can_be_read_again(name):
    config = shortening.read(PRESETS[name].kind, dict(PRESETS[name].config))
    assert shortening.read(config.kind, shortening.short(config)) == config


def test_a_part_that_differs_from_what_its_owner_has_for_it_is_said_whole():
    config = shortening.read("evaluate", {"sampling": {"max_tokens": 208, "temperature": 0.7}})
    assert shortening.short(config) == {"sampling": {"max_tokens": 208, "temperature": 0.7}}
    plain = shortening.read("evaluate", {"sampling": {}})
    assert shortening.short(plain) in ({}, {"sampling": {}})
    assert shortening.read("evaluate", shortening.short(plain)) == plain


@pytest.mark.parametrize("kind", JOBS)
def test_defaults_are_nothing_to_say(kind):
    assert shortening.short(shortening.read(kind, {})) == {}


def test_the_same_name_is_written_over(user):
    keeping.keep_preset(user, "train", "mine", "", {"steps": 2})
    keeping.keep_preset(user, "train", " mine ", "", {"steps": 3})
    assert [kept.config for kept in keeping.kept_by(user)] == [{"steps": 3}]


def test_a_wrong_knob_is_not_kept(user):
    with pytest.raises(ValidationError, match="stepz"):
        keeping.keep_preset(user, "train", "bad", "", {"stepz": 1})


@pytest.mark.parametrize(("kind", "name"), [("train", "  "), ("train", "x" * 81), ("trian", "x")])
def test_a_name_or_kind_that_will_not_do_is_refused(user, kind, name):
    with pytest.raises(UserError):
        keeping.keep_preset(user, kind, name, "", {})


def test_own_presets_stand_beside_the_built_in_ones(user):
    kept = keeping.keep_preset(user, "train", "mine", "", {"steps": 2})
    keeping.keep_preset(make_user(), "train", "somebody's", "", {})
    found = keeping.presets_of(user, "train")
    assert next(iter(found)) == "laptop"
    assert [name for name in found if name not in PRESETS] == [f"kept-{kept.pk}"]


def test_a_preset_is_found_by_its_name_by_its_owner_alone(user):
    kept = keeping.keep_preset(user, "train", "mine", "", {"steps": 2})
    assert keeping.find_preset(user, f"kept-{kept.pk}").config == {"steps": 2}
    assert keeping.find_preset(make_user(), f"kept-{kept.pk}") is None
    assert keeping.find_preset(user, "demo").kind == "pipeline"
    assert keeping.find_preset(user, "kept-x") is None


def test_a_preset_is_renamed_unless_the_name_is_taken(user):
    one = keeping.keep_preset(user, "train", "one", "", {})
    keeping.keep_preset(user, "train", "two", "", {})
    assert keeping.rename_preset(user, one.pk, "three").name == "three"
    with pytest.raises(UserError, match="called 'two' already"):
        keeping.rename_preset(user, one.pk, "two")


def test_only_its_owner_deletes_a_preset(user):
    kept = keeping.keep_preset(user, "train", "mine", "", {})
    assert not keeping.delete_preset(make_user(), kept.pk)
    assert keeping.delete_preset(user, kept.pk)
    assert not keeping.delete_preset(user, kept.pk)
