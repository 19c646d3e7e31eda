"""A judge asked about an answer that is tried in the rubric editor."""

from __future__ import annotations

import httpx
import pytest
from django.urls import reverse

from apps.datasets import drafts
from apps.evals import trying
from tests.apps.datasets.test_editing import posted
from tests.apps.datasets.test_views import task
from tests.apps.evals.test_judging import make_judge
from tests.factories import make_user, make_version
from tests.kos.grading.judges import Scripted

pytestmark = pytest.mark.django_db
PATH = "evals:try_judge"


@pytest.fixture
def form() -> dict[str, str]:
    draft = drafts.open_draft(make_version(task("a")), make_user())
    data = posted(drafts.hold(draft, "a").task)
    return data | {"draft": str(draft.pk), "example": "a", "answer": "Hold the dose."}


def answered(monkeypatch, reply) -> Scripted:
    server = Scripted(lambda question: reply)
    monkeypatch.setattr(
        trying,
        "connect",
        lambda url, **more: httpx.AsyncClient(base_url=url, transport=httpx.MockTransport(server)),
    )
    return server


def test_the_judge_decides_what_no_check_does(engineer, form, monkeypatch):
    make_judge()
    server = answered(monkeypatch, {"explanation": "It is clear.", "criteria_met": False})
    page = engineer.post(reverse(PATH), form)
    assert (page.context["tried"].score, len(server.asked)) == (1.0, 1)
    assert "It is clear." in page.content.decode()


def test_a_judge_without_a_reply_leaves_its_items_ungraded(engineer, form, monkeypatch):
    make_judge()
    answered(monkeypatch, httpx.Response(503, text="busy"))
    tried = engineer.post(reverse(PATH), form).context["tried"]
    assert (tried.score, tried.num_ungraded) == (None, 1)


def test_what_is_missing_is_said(engineer, form):
    assert (
        "No judge is saved"
        in engineer.get(reverse(PATH), headers={"HX-Request": "true"}).content.decode()
    )
    assert "no judge is saved" in engineer.post(reverse(PATH), form).context["problem"]
    make_judge()
    page = engineer.post(reverse(PATH), form | {"answer": ""})
    assert page.context["problem"] == "paste an answer first"
    make_judge("Keyed", key_name="secret")
    page = engineer.post(reverse(PATH), form | {"judge": str(make_judge("K", key_name="x").pk)})
    assert "no key called 'x'" in page.context["problem"]


def test_a_judge_is_for_engineers_and_reviewers(clinician, reviewer, stranger):
    assert reviewer.get(reverse(PATH)).status_code == 200
    assert clinician.get(reverse(PATH)).status_code == 403
    assert stranger.get(reverse(PATH)).headers["Location"].startswith("/sign-in/")
