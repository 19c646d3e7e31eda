"""Reviewing without a mouse: two answers judged, one with reason and evidence, by keys alone."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.consoles import Console
from tests.e2e.conftest import PASSWORD

pytestmark = pytest.mark.browser

SETUP = """
from apps.accounts.models import Role
from apps.accounts.services import make_user
from apps.reviews.models import Item, Queue
from apps.traces.models import Grade
from tests.factories import make_run, make_trace
user = make_user("rhea", {password!r}, Role.REVIEWER)
Queue.objects.filter(name="Keyboard").delete()
queue = Queue.objects.create(name="Keyboard", rule={{"random_percent": 100}}, repeat_percent=0)
run = make_run("evaluate", status="done", owner=user)
for number, answer in enumerate(["Take 5 mg with food.", "Stop the beta blocker."], 1):
    trace = make_trace(run=run, origin="evaluation", answer=answer)
    for place, points in enumerate((5, 3, -4)):
        Grade.objects.create(trace=trace, position=place, key=f"k{{place}}", points=points,
            text=f"Criterion {{place}}.", met=True, grader="judge:t@1", note="the grader says so")
    Item.objects.create(queue=queue, trace=trace, position=number)
print(queue.pk)
"""
FOUND = """
import json
from apps.reviews.models import Verdict
rows = Verdict.objects.filter(review__item__queue={queue}, review__status="submitted")
print(json.dumps([[v.met, v.note, v.quote] for v in rows.order_by("review__item__position", "grade__position")]))
"""


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def select_words(page: Page, words: str) -> None:
    page.evaluate(
        """(words) => {
            const node = document.querySelector("[data-answer]").firstChild;
            const start = node.data.indexOf(words);
            getSelection().setBaseAndExtent(node, start, node, start + words.length);
        }""",
        words,
    )


@pytest.fixture
def queue(console: Console) -> int:
    """A fresh queue of two answers; earlier ones are gone."""
    return int(console.shell(SETUP.format(password=PASSWORD)))


def open_first(console: Console, page: Page) -> None:
    page.goto(f"{console.url}/sign-in/?next=/review/")
    page.get_by_label("Name").fill("rhea")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    # Other tests of the same console bring queues of their own.
    own = page.get_by_role("region", name="Keyboard")
    own.get_by_role("button", name="Next answer").press("Enter")
    page.wait_for_url("**/review/*/*/")


def test_two_answers_are_reviewed_by_keys_alone(console: Console, queue: int, page: Page) -> None:
    open_first(console, page)
    assert "the grader says so" not in page.content()

    press(page, "1", "j", "2", "r")
    page.keyboard.type("No number is given.")
    press(page, "Escape")
    select_words(page, "with food")
    press(page, "e", "j", "3")
    expect(page.get_by_role("status").first).to_contain_text("3 of 3 judged")
    expect(page.get_by_text("Draft kept.")).to_be_visible()
    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()
    press(page, "Escape", "Control+Enter")
    expect(page.get_by_text("Stop the beta blocker.")).to_be_visible()

    press(page, "[")
    expect(page.get_by_text("the grader says so").first).to_be_visible()
    press(page, "]")
    expect(page.get_by_text("Stop the beta blocker.")).to_be_visible()
    press(page, "2", "0", "2", "j", "2", "j", "2", "k", "k", "1", "Control+Enter")
    expect(page.get_by_text("Nothing is left for you in Keyboard.")).to_be_visible()
    found = json.loads(console.shell(FOUND.format(queue=queue)))
    assert [row[0] for row in found] == ["met", "not_met", "unsure", "met", "not_met", "not_met"]
    assert found[1][1:] == ["No number is given.", "with food"]


def test_typing_a_reason_judges_nothing(console: Console, queue: int, page: Page) -> None:
    open_first(console, page)
    press(page, "r")
    page.keyboard.type("1 2 3 s j k")
    expect(page.locator("[data-count]")).to_contain_text("0 of 3 judged")
