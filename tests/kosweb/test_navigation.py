from __future__ import annotations

import re

import pytest
from django.core.cache import cache

from apps.reviews.models import Item, Queue
from kosweb import counting, places
from tests.factories import make_run, make_trace


@pytest.fixture(autouse=True)
def no_old_numbers():
    cache.clear()
    yield
    cache.clear()


def links(browser) -> list[str]:
    page = browser.get("/settings/").content.decode()
    rail = page.split('<nav id="nav"')[1].split("</nav>")[0]
    return re.findall(r'title="([^"]+)"', rail)


def test_each_role_sees_the_pages_it_can_open(clinician, reviewer, engineer):
    assert links(clinician) == ["Home", "Search, Ctrl+K", "Playground", "Datasets", "API tokens"]
    assert "Runs" not in links(reviewer)
    assert {"Runs", "Models", "Queue"} <= set(links(engineer))
    assert "Members" not in links(engineer)


@pytest.mark.parametrize("role", ["engineer", "reviewer", "clinician", "admin"])
def test_no_page_that_is_offered_is_refused(request, role):
    browser = request.getfixturevalue(role)
    for hit in places.pages_for(browser.user) + places.actions_for(browser.user):
        assert browser.get(hit.url).status_code == 200, hit


def test_no_two_pages_share_a_key(admin):
    keys = [hit.keys for hit in places.pages_for(admin.user) if hit.keys]
    assert len(keys) == len(set(keys))


def test_running_work_is_counted_in_the_rail(engineer):
    make_run(status="running")
    make_run(status="done")
    page = engineer.get("/settings/").content.decode()
    assert re.search(r'data-badge="runs">1<', page)


def test_waiting_reviews_are_those_one_may_still_judge(reviewer, engineer):
    queue = Queue.objects.create(name="q")
    Item.objects.create(queue=queue, trace=make_trace(), position=1)
    done = Item.objects.create(queue=queue, trace=make_trace(), position=2)
    done.reviews.create(reviewer=reviewer.user, status="submitted")
    other = Queue.objects.create(name="not yours")
    other.assignments.create(user=engineer.user)
    Item.objects.create(queue=other, trace=make_trace(), position=1)
    assert counting.counts_for(reviewer.user) == {"runs": 0, "reviews": 1}


def test_numbers_cost_one_query_and_then_none(engineer, django_assert_num_queries):
    with django_assert_num_queries(1):
        counting.counts_for(engineer.user)
    with django_assert_num_queries(0):
        counting.counts_for(engineer.user)


def test_open_tabs_ask_for_the_numbers(engineer, clinician, stranger):
    make_run(status="running")
    assert engineer.get("/counts/").json() == {"runs": 1, "reviews": 0}
    assert clinician.get("/counts/").json() == {"runs": 0, "reviews": 0}
    assert stranger.get("/counts/").status_code == 302


def test_one_link_at_most_stands_for_the_page(engineer):
    for path in ("/review/judges/", "/review/", "/runs/", "/settings/"):
        page = engineer.get(path).content.decode()
        rail = page.split('<nav id="nav"')[1].split("</nav>")[0]
        assert rail.count("aria-current") == (0 if path == "/settings/" else 1), path
