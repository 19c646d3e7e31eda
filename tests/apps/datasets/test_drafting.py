"""Pages of drafts and the editor."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.datasets import drafts
from apps.datasets.models import DatasetVersion, DraftVersion
from tests.apps.datasets.test_editing import posted
from tests.apps.datasets.test_views import task
from tests.factories import make_user, make_version

LIVE = {"HX-Request": "true", "HX-Target": "div#live"}


@pytest.fixture
def draft(db) -> DraftVersion:
    return drafts.open_draft(make_version(task("a"), task("b")), make_user("galen"))


def editor(draft: DraftVersion, name: str = "a") -> str:
    return f"{reverse('datasets:write', args=[draft.pk])}?id={name}"


def form(draft: DraftVersion, name: str = "a", **more: str) -> dict[str, str]:
    data = posted(drafts.hold(draft, name).task)
    return data | {"revision": "0", "sitting": "s"} | more


def test_pages_open_for_those_who_write_and_for_no_stranger(
    draft, engineer, reviewer, clinician, stranger
):
    example = draft.base.examples.first()
    paths = [reverse("datasets:draft", args=[draft.pk]), editor(draft), reverse("datasets:new")]
    for path in [*paths, reverse("datasets:edit", args=[example.pk])]:
        assert stranger.get(path).headers["Location"].startswith("/sign-in/")
        for persona in (engineer, reviewer, clinician):
            assert persona.get(path, follow=True).status_code == 200


def test_what_writes_needs_a_post(draft, engineer):
    for name in ("add", "remove", "revert", "publish", "discard"):
        assert engineer.get(reverse(f"datasets:{name}", args=[draft.pk])).status_code == 405
    assert engineer.get(reverse("datasets:start_draft", args=[1])).status_code == 405
    assert engineer.get(reverse("datasets:undo", args=[1])).status_code == 405


def test_publishing_is_for_engineers(draft, clinician):
    assert clinician.post(reverse("datasets:publish", args=[draft.pk])).status_code == 403


def test_editing_an_example_leads_into_the_open_draft(draft, clinician):
    example = draft.base.examples.get(external_id="a")
    page = clinician.get(reverse("datasets:edit", args=[example.pk]))
    assert page.headers["Location"] == editor(draft)


def test_the_first_edit_of_a_version_starts_a_draft(clinician):
    example = make_version(task("a")).examples.get()
    path = reverse("datasets:edit", args=[example.pk])
    assert clinician.get(path).status_code == 200
    assert not DraftVersion.objects.exists()
    assert clinician.post(path).headers["Location"] == editor(DraftVersion.objects.get())


def test_benchmark_text_is_not_edited(engineer):
    example = make_version(task("a", text="secret"), is_restricted=True).examples.get()
    page = engineer.get(reverse("datasets:edit", args=[example.pk]))
    assert page.status_code == 403
    assert "secret" not in page.content.decode()


def test_a_post_without_javascript_saves_and_grades_the_tried_answer(draft, clinician):
    data = form(draft, answer="Hold the dose.") | {"turn-0-text": "And now?"}
    page = clinician.post(editor(draft), data)
    assert page.status_code == 200
    assert page.context["tried"].points == 5
    assert drafts.hold(draft, "a").task["messages"][0]["content"] == "And now?"


def test_typing_brings_back_the_live_part_alone(draft, clinician):
    page = clinician.post(editor(draft), form(draft, answer="Hold it"), headers=LIVE)
    text = page.content.decode()
    assert text.lstrip().startswith('<div id="live"')
    assert "<mark" in text
    assert "ungraded" in text


def test_what_is_typed_is_escaped(draft, clinician):
    data = form(draft, answer="<script>hold</script>")
    text = clinician.post(editor(draft), data, headers=LIVE).content.decode()
    assert "<script>" not in text


def test_an_unusable_edit_is_saved_and_said(draft, clinician):
    page = clinician.post(editor(draft), form(draft) | {"item-0-points": "many"}, headers=LIVE)
    assert page.context["num_wrong"] == 1
    change = draft.changes.get()
    assert change.problems[0][0] == "rubric.0.points"


def test_a_button_adds_an_item(draft, clinician):
    page = clinician.post(editor(draft), form(draft, do="item-add"))
    assert len(page.context["rows"]["items"]) == 3


def test_a_conflict_shows_both_texts_and_either_can_be_kept(draft, clinician):
    theirs = drafts.hold(draft, "a").task | {"reference": "Their answer"}
    drafts.save(draft, "a", theirs, by=draft.created_by, revision=0)
    data = form(draft, reference="My answer")
    page = clinician.post(editor(draft), data, headers=LIVE).content.decode()
    assert "galen changed this example" in page
    assert "<del>Their</del><ins>My</ins> answer" in page
    assert drafts.hold(draft, "a").task["reference"] == "Their answer"
    clinician.post(editor(draft), data | {"do": "keep-mine", "theirs": "1"}, headers=LIVE)
    assert drafts.hold(draft, "a").task["reference"] == "My answer"


def test_a_removed_example_can_be_undone_from_the_page(draft, clinician):
    path = reverse("datasets:remove", args=[draft.pk])
    page = clinician.post(path, {"id": "a"}, follow=True)
    step = page.context["undo"]
    clinician.post(reverse("datasets:undo", args=[step.pk]))
    assert not draft.changes.exists()


def test_an_engineer_publishes_with_a_note(draft, engineer):
    drafts.remove(draft, "b", by=draft.created_by)
    path = reverse("datasets:publish", args=[draft.pk])
    assert "what is new" in engineer.post(path, follow=True).content.decode()
    engineer.post(path, {"note": "Shorter"})
    version = DatasetVersion.objects.get(number=2)
    assert (version.note, version.created_by) == ("Shorter", engineer.user)


def test_a_draft_of_another_is_discarded_by_engineers_alone(draft, clinician, engineer):
    path = reverse("datasets:discard", args=[draft.pk])
    clinician.post(path)
    assert DraftVersion.objects.open().exists()
    engineer.post(path)
    assert not DraftVersion.objects.open().exists()


def test_a_dataset_begins_empty(clinician):
    page = clinician.post(reverse("datasets:new"), {"name": "Mine"}, follow=True)
    assert "first version of a new dataset" in page.content.decode()
    again = clinician.post(reverse("datasets:new"), {"name": "Mine"})
    assert again.status_code == 400


def test_a_draft_with_many_changes_asks_no_more(draft, engineer, django_assert_max_num_queries):
    for number in range(20):
        drafts.add(draft, draft.created_by, external_id=f"n{number}")
    with django_assert_max_num_queries(14):
        engineer.get(reverse("datasets:draft", args=[draft.pk]))
