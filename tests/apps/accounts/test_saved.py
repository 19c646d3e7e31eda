"""Saved views of lists."""

from __future__ import annotations

import pytest

from apps.accounts import saved
from apps.accounts.models import SavedView
from kos.errors import UserError
from tests.factories import make_user

PAGE = "runs:list"


def test_a_view_keeps_the_filters_and_not_the_place(db):
    view = saved.keep_view(make_user(), PAGE, " failed  ones ", "status=failed&page=3&q=")
    assert (view.name, view.query) == ("failed ones", "status=failed")


def test_a_name_taken_again_is_replaced(db):
    user = make_user()
    saved.keep_view(user, PAGE, "mine", "q=a")
    saved.keep_view(user, PAGE, "mine", "q=b")
    assert SavedView.objects.get().query == "q=b"


@pytest.mark.parametrize(
    ("page", "name", "query"),
    [(PAGE, " ", ""), (PAGE, "x" * 61, ""), ("no:page", "x", ""), (PAGE, "x", "q=" + "y" * 1000)],
)
def test_a_view_that_does_not_fit_is_refused(db, page, name, query):
    with pytest.raises(UserError):
        saved.keep_view(make_user(), page, name, query)


def test_others_see_only_what_is_shared(db):
    ada, ben = make_user("ada"), make_user("ben")
    saved.keep_view(ada, PAGE, "private", "q=a")
    saved.keep_view(ada, PAGE, "shared", "q=b", is_shared=True)
    saved.keep_view(ben, PAGE, "own", "q=c")
    assert [(tab.name, tab.is_own) for tab in saved.tabs(ben, PAGE, "")] == [
        ("own", True),
        ("shared", False),
    ]


def test_the_view_that_is_shown_is_known_whatever_the_order(db):
    user = make_user()
    saved.keep_view(user, PAGE, "two", "status=done&kind=train")
    assert saved.tabs(user, PAGE, "kind=train&status=done&shown=100")[0].is_here


def test_nobody_deletes_anothers_view(db):
    view = saved.keep_view(make_user(), PAGE, "x", "q=a", is_shared=True)
    assert saved.delete_view(make_user(), view.pk) is None
    assert saved.delete_view(view.user, view.pk) == view


def test_a_view_is_saved_deleted_and_brought_back_on_the_page(engineer):
    data = {"page": PAGE, "name": "failed", "query": "status=failed", "shared": "1"}
    response = engineer.post("/views/", data)
    assert response.headers["Location"] == "/runs/?status=failed"
    view = SavedView.objects.get()
    page = engineer.post(f"/views/{view.pk}/delete/", follow=True).content.decode()
    assert "Undo" in page
    assert not SavedView.objects.exists()
    assert 'value="status=failed"' in page


def test_a_stranger_keeps_no_view(stranger):
    assert "/sign-in/" in stranger.post("/views/", {"page": PAGE}).headers["Location"]


def test_a_view_of_no_list_is_404(engineer):
    assert engineer.post("/views/", {"page": "no:list", "name": "x"}).status_code == 404
    assert engineer.post("/views/99/delete/").status_code == 404


def test_views_take_only_a_post(engineer):
    assert engineer.get("/views/").status_code == 405
