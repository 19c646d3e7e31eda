"""Drafts: who writes over whom, what can be undone, and what a version is made of."""

from __future__ import annotations

import pytest

from apps.accounts.models import Role
from apps.datasets import drafts, publishing
from apps.datasets.drafts import ConflictError
from apps.datasets.models import Dataset, DraftVersion, Work
from kos.errors import UserError
from tests.apps.datasets.test_views import task
from tests.factories import make_user, make_version

pytestmark = pytest.mark.django_db


def begin(*names: str):
    version = make_version(*(task(name) for name in names or ("a", "b")))
    return drafts.open_draft(version, make_user(role=Role.CLINICIAN))


def changed(draft, name: str = "a", text: str = "Other words?"):
    found = dict(drafts.hold(draft, name).task)
    return found | {"messages": [{"role": "user", "content": text}]}


def published(draft, note: str = "better"):
    return publishing.publish(draft, note, by=make_user())


def test_a_saved_edit_leaves_the_version_as_it_is():
    draft = begin()
    drafts.save(draft, "a", changed(draft), by=draft.created_by, revision=0)
    assert draft.base.examples.get(external_id="a").prompt == "INR 6.2, what now?"
    assert drafts.hold(draft, "a").task["messages"][0]["content"] == "Other words?"


def test_who_saves_over_another_is_told_what_stands():
    draft = begin()
    drafts.save(draft, "a", changed(draft), by=make_user("galen"), revision=0)
    with pytest.raises(ConflictError, match="galen changed a") as told:
        drafts.save(draft, "a", changed(draft, text="Mine"), by=make_user(), revision=0)
    assert told.value.theirs["messages"][0]["content"] == "Other words?"


def test_saves_of_one_sitting_do_not_conflict_and_are_one_step():
    draft = begin()
    for text in ("One", "Two"):
        drafts.save(
            draft, "a", changed(draft, text=text), by=draft.created_by, revision=0, sitting="s"
        )
    assert draft.steps.count() == 1
    drafts.undo(draft.steps.get(), by=draft.created_by)
    assert not draft.changes.exists()


def test_steps_are_undone_from_the_last_to_the_first():
    draft = begin()
    drafts.save(draft, "a", changed(draft), by=draft.created_by, revision=0)
    drafts.remove(draft, "a", by=draft.created_by)
    last, first = draft.steps.all()
    with pytest.raises(UserError, match="changed again"):
        drafts.undo(first, by=draft.created_by)
    drafts.undo(last, by=draft.created_by)
    assert drafts.hold(draft, "a").task["messages"][0]["content"] == "Other words?"
    first.refresh_from_db()
    drafts.undo(first, by=draft.created_by)
    assert drafts.hold(draft, "a").change is None


def test_a_deleted_new_example_comes_back():
    draft = begin()
    drafts.add(draft, draft.created_by, external_id="new")
    drafts.undo(drafts.remove(draft, "new", by=draft.created_by), by=draft.created_by)
    assert drafts.hold(draft, "new").task["id"] == "new"


def test_a_copy_has_an_id_of_its_own():
    draft = begin()
    change = drafts.add(draft, draft.created_by, task=drafts.hold(draft, "a").task)
    assert change.external_id == "a-2"
    with pytest.raises(UserError, match="has an example 'b' already"):
        drafts.add(draft, draft.created_by, external_id="b")


def test_publishing_makes_the_next_version_and_closes_the_draft():
    draft = begin("a", "b", "c")
    drafts.save(draft, "a", changed(draft), by=draft.created_by, revision=0)
    drafts.remove(draft, "b", by=draft.created_by)
    drafts.add(draft, draft.created_by, task=drafts.hold(draft, "c").task)
    assert published(draft).status == Work.Status.DONE
    version = draft.dataset.versions.get(number=2)
    rows = version.examples.values_list("external_id", flat=True)
    assert [*rows] == ["a", "c", "c-2"]
    assert (version.note, version.base, version.num_examples) == ("better", draft.base, 3)
    with pytest.raises(UserError, match="not open"):
        drafts.remove(draft, "a", by=draft.created_by)


def test_a_version_made_by_hand_has_the_digest_of_the_same_rows():
    draft = begin("a", "b")
    drafts.remove(draft, "b", by=draft.created_by)
    published(draft)
    from_rows = make_version(task("a"))
    digests = [row.content_hash for row in from_rows.examples.all()]
    made = draft.dataset.versions.get(number=2)
    assert [row.content_hash for row in made.examples.all()] == digests


def test_nothing_is_published_without_a_note_a_difference_or_usable_rows():
    draft = begin()
    with pytest.raises(UserError, match="what is new"):
        published(draft, "  ")
    change = drafts.add(draft, draft.created_by)
    with pytest.raises(UserError, match="prompt-1: "):
        published(draft)
    drafts.remove(draft, change.external_id, by=draft.created_by)
    drafts.save(draft, "a", drafts.hold(draft, "a").task, by=draft.created_by, revision=0)
    make_same = draft.base
    make_same.digest = publishing.versions.digest_of_hashes(
        make_same.examples.values_list("content_hash", flat=True)
    )
    make_same.save(update_fields=["digest"])
    with pytest.raises(UserError, match="nothing differs"):
        published(draft)
    assert draft.dataset.versions.count() == 1


def test_restricted_text_has_no_draft():
    with pytest.raises(UserError, match="never edited"):
        drafts.open_draft(make_version(task("a"), is_restricted=True), make_user())


def test_a_discarded_new_dataset_leaves_nothing():
    draft = drafts.begin_dataset("Mine", make_user())
    with pytest.raises(UserError, match="already"):
        drafts.begin_dataset("Mine", make_user())
    drafts.discard(draft)
    assert not Dataset.objects.exists()


def test_a_new_dataset_is_published_from_its_draft():
    draft = drafts.begin_dataset("Mine", make_user())
    row = task("first").model_dump(mode="json", exclude_defaults=True)
    drafts.add(draft, draft.created_by, external_id="first", task=row)
    published(draft)
    assert DraftVersion.objects.get().published.number == 1


def test_changes_of_many_drafts_are_counted_at_once(django_assert_num_queries):
    many = [begin(), begin()]
    drafts.remove(many[0], "a", by=many[0].created_by)
    with django_assert_num_queries(1):
        counts = drafts.counts_of(many)
    assert counts[many[0].pk] == {"removed": 1}
