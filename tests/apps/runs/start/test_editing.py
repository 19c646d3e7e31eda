from __future__ import annotations

from django.urls import reverse

from apps.runs.start import editing
from apps.runs.start.parts import config_form
from kos.config import Train
from tests.apps.runs.start.test_forms import typed

STAGE = {"kind": "conciseness"}


def form_of(*gates: float):
    """A train form whose rewards are conciseness bonuses with these gates."""
    config = Train(rewards=[STAGE | {"gate": gate} for gate in gates])
    return config_form(Train, initial=config.model_dump(mode="json"))


def edited(form, wanted: str, **also: str):
    edit = editing.read(wanted)
    assert edit is not None
    return editing.edited(Train, typed(form) | also, edit)


def gates(form) -> list[str]:
    return [str(part["gate"].value()) for part in form.parts["rewards"].parts.values()]


def test_a_list_of_stages_arrives_in_its_order():
    form = config_form(Train, typed(form_of(0.5, 0.25)))
    assert form.is_valid(), form.problems()
    assert [stage.gate for stage in form.config.rewards] == [0.5, 0.25]


def test_an_empty_list_is_empty_not_the_default():
    form = config_form(Train, typed(form_of()))
    assert form.is_valid(), form.problems()
    assert form.config.rewards == ()


def test_an_error_lands_on_the_entry_it_is_about():
    form = config_form(Train, typed(form_of(0.5, 0.25)) | {"rewards-1-gate": "7"})
    assert not form.is_valid()
    assert [anchor for anchor, _, _ in form.problems()] == ["id_rewards-1-gate"]


def test_what_only_pydantic_knows_lands_on_the_entry_it_is_about():
    data = typed(form_of(0.5, 0.25)) | {"rewards-1-output-free": "9000"}
    form = config_form(Train, data)
    assert not form.is_valid()
    assert [anchor for anchor, _, _ in form.problems()] == ["part-rewards-1-output"]


def test_an_entry_moves_up_with_what_was_typed_in_it():
    assert gates(edited(form_of(0.5, 0.25), "rewards up 1", **{"rewards-1-gate": "0.1"})[0]) == [
        "0.1",
        "0.5",
    ]


def test_an_entry_moves_down():
    assert gates(edited(form_of(0.5, 0.25, 0.75), "rewards down 0")[0]) == ["0.25", "0.5", "0.75"]


def test_the_first_entry_does_not_move_up():
    assert gates(edited(form_of(0.5, 0.25), "rewards up 0")[0]) == ["0.5", "0.25"]


def test_an_entry_is_removed():
    assert gates(edited(form_of(0.5, 0.25), "rewards remove 0")[0]) == ["0.25"]


def test_an_added_entry_has_its_defaults_and_is_sent_with_the_rest():
    form, _ = edited(form_of(0.5), "rewards add 0", **{"rewards-new": "conciseness"})
    assert gates(form) == ["0.5", "0.68"]
    again = config_form(Train, typed(form))
    assert again.is_valid(), again.problems()
    assert [stage.gate for stage in again.config.rewards] == [0.5, 0.68]


def test_nothing_is_added_of_a_kind_there_is_not():
    form, _ = edited(form_of(0.5), "rewards add 0", **{"rewards-new": "magic"})
    assert gates(form) == ["0.5"]


def test_a_list_there_is_not_cannot_be_edited():
    assert edited(form_of(0.5), "lora add 0") is None
    assert editing.read("rewards explode 0") is None


def test_a_button_changes_the_list_without_starting_anything(engineer):
    data = typed(form_of(0.5, 0.25)) | {"edit": "rewards up 1", "run-seed": "0"}
    page = engineer.post(reverse("runs:new", args=["train"]), data)
    assert page.status_code == 200
    assert gates(page.context["form"]) == ["0.25", "0.5"]


def test_htmx_gets_the_list_alone(engineer):
    data = typed(form_of(0.5, 0.25)) | {"edit": "rewards remove 0"}
    page = engineer.post(reverse("runs:edit", args=["train"]), data).content.decode()
    assert "<html" not in page
    assert 'id="part-rewards"' in page
    assert 'name="rewards-1-gate"' not in page


def test_an_edit_is_for_engineers_by_post(engineer, clinician, stranger):
    path = reverse("runs:edit", args=["train"])
    assert engineer.get(path).status_code == 405
    assert engineer.post(path, {"edit": "nonsense"}).status_code == 404
    assert clinician.post(path).status_code == 403
    assert "/sign-in/" in stranger.post(path).headers["Location"]


def test_another_kind_of_an_entry_brings_its_own_knobs(engineer):
    path = reverse("runs:part", args=["train", "rewards-3"])
    page = engineer.get(path, {"rewards-3-kind": "conciseness"}).content.decode()
    assert 'name="rewards-3-gate"' in page
