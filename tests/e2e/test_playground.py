"""The playground as a clinician uses it, in a browser, with a scripted model behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.consoles import Console
from tests.e2e import scripted
from tests.e2e.conftest import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SETUP = """
from apps.accounts.models import Role, User
from apps.accounts.services import make_user
from apps.deployments.models import Deployment
from apps.runs.models import Run
make_user("carol", {password!r}, Role.CLINICIAN)
make_user("rita", {password!r}, Role.REVIEWER)
owner = User.objects.get(username="rita")
for name in ("alpha", "beta"):
    run = Run.objects.create(kind="deploy", name=name, owner=owner, status="done", config={{}})
    Deployment.objects.create(
        name=name, run=run, engine="remote", url={url!r}, model=name, status="ready",
        dialect="server", asking={{"tools": ["search_icd"]}}, max_context=32768,
    )
"""
LOOKS = {"light": (1280, 860), "dark": (1280, 860), "phone": (390, 844)}
SHOTS = os.environ.get("KOS_SHOTS", "")
# axe's gravest two grades; the rest are matters of taste, or of the browser.
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def served(console: Console) -> Iterator[Console]:
    with scripted.serve() as url:
        console.shell(SETUP.format(password=PASSWORD, url=url))
        yield console


def sign_in(page: Page, console: Console, name: str = "carol") -> None:
    page.goto(f"{console.url}/sign-in/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def ask(page: Page, console: Console, text: str = "Which code has gout?") -> None:
    page.goto(f"{console.url}/chat/new/")
    page.locator("#composer-text").fill(text)
    page.keyboard.press("Control+Enter")


def finished(page: Page, number: int = 0) -> None:
    answer = page.locator(".msg.assistant").nth(number)
    expect(answer.get_by_role("button", name="Good")).to_be_visible()


def check_access(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert not [
        (one["id"], [node["html"][:160] for node in one["nodes"]])
        for one in found
        if one["impact"] in GRAVE
    ]


def shoot(page: Page, name: str) -> None:
    """Pictures for people to look at, where KOS_SHOTS names a folder."""
    if not SHOTS:
        return
    size = page.viewport_size
    for look, (width, height) in LOOKS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if look == "dark" else "light")
        page.wait_for_timeout(250)
        page.screenshot(path=Path(SHOTS) / f"{name}_{look}.png")
    page.emulate_media(color_scheme="light")
    if size:
        page.set_viewport_size(size)


def test_an_answer_shows_its_tool_call_and_opens_its_source(page: Page, served: Console) -> None:
    sign_in(page, served)
    page.goto(f"{served.url}/chat/new/")
    check_access(page)
    shoot(page, "new")
    ask(page, served)
    card = page.locator(".tool").first
    expect(card).to_contain_text("search_icd")
    expect(card).to_contain_text("gout")
    finished(page)
    expect(card.locator(".badge.mode")).to_have_text("embedded")
    expect(page.locator("[data-answer] .cite.unknown")).to_contain_text("S9")
    shoot(page, "chat")
    page.locator("[data-answer] a.cite").first.click()
    passage = page.locator("#drawer")
    expect(passage).to_contain_text("Retrieved text")
    expect(passage).to_contain_text("Licence")
    shoot(page, "source")
    check_access(page)
    page.keyboard.press("Escape")
    expect(passage).to_be_hidden()
    check_access(page)


def test_an_answer_stops_and_is_written_again(page: Page, served: Console) -> None:
    sign_in(page, served)
    ask(page, served, "Count slowly")
    answer = page.locator(".msg.assistant")
    expect(answer).to_contain_text("word5")
    page.keyboard.press("Escape")
    expect(answer).to_contain_text("stopped")
    finished(page)
    answer.get_by_role("button", name="Again").click()
    expect(answer).to_contain_text("word3")
    page.get_by_role("button", name="Stop").click()
    expect(answer).to_contain_text("2 of 2")
    expect(answer).to_have_count(1)


def test_an_edit_makes_a_branch_that_one_can_leave(page: Page, served: Console) -> None:
    sign_in(page, served)
    ask(page, served, "Which code has gout?")
    finished(page)
    page.keyboard.press("Alt+ArrowUp")
    field = page.get_by_label("Your message in other words")
    expect(field).to_be_focused()
    field.fill("Which code has gout in the foot?")
    page.keyboard.press("Control+Enter")
    asked = page.locator(".msg.user")
    expect(asked.locator("[data-answer]")).to_have_text("Which code has gout in the foot?")
    finished(page)
    expect(asked).to_contain_text("2 of 2")
    asked.get_by_role("button", name="Earlier version").click()
    expect(asked.locator("[data-answer]")).to_have_text("Which code has gout?")
    expect(page.locator(".msg.assistant")).to_have_count(1)
    page.reload()
    expect(asked.locator("[data-answer]")).to_have_text("Which code has gout?")


def test_two_models_answer_side_by_side_without_names_until_a_vote(
    page: Page, served: Console
) -> None:
    sign_in(page, served)
    page.goto(f"{served.url}/chat/new/")
    page.locator("#composer-rival").select_option(index=2)
    page.get_by_label("hide names until I vote").check()
    page.locator("#composer-text").fill("Which code has gout?")
    page.get_by_role("button", name="Send").click()
    finished(page, 0)
    finished(page, 1)
    expect(page.get_by_text("name hidden until you vote")).to_have_count(2)
    check_access(page)
    shoot(page, "pair_blind")
    page.locator("#composer-text").fill("And in the foot?")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".msg.user")).to_have_count(4)
    expect(page.locator("[data-answer] table")).to_have_count(4)
    # A table is drawn before its answer has ended, and only ended ones are voted on.
    for number in range(4):
        finished(page, number)
    page.get_by_role("button", name="A", exact=True).click()
    expect(page.get_by_text("You voted")).to_be_visible()
    names = page.locator(".columns > section > header .badge").all_inner_texts()
    assert sorted(names) == ["alpha", "beta"]
    shoot(page, "pair")


def test_a_thumb_takes_a_reason_and_reaches_the_review(page: Page, served: Console) -> None:
    sign_in(page, served)
    ask(page, served)
    finished(page)
    page.get_by_role("button", name="Bad").click()
    page.get_by_label("Missing red flag").check()
    page.get_by_placeholder("Note, without patient data").fill("No word of sepsis.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("✓ saved")).to_be_visible()
    page.get_by_role("button", name="Flag for review").click()
    expect(page.get_by_role("button", name="Flagged for review")).to_be_visible()
    shoot(page, "feedback")
    page.reload()
    expect(page.get_by_label("Missing red flag")).to_be_checked()
    number = served.shell(
        "from apps.traces.models import TraceFlag as F; print(F.objects.open().first().trace_id)"
    )
    page.context.clear_cookies()
    sign_in(page, served, "rita")
    page.goto(f"{served.url}/traces/{number}/")
    expect(page.get_by_text("No word of sepsis.").first).to_be_visible()
    expect(page.locator(".spans > li")).to_have_count(4)
    check_access(page)
    shoot(page, "trace")
    page.goto(f"{served.url}/traces/?origin=chat&tool=search_icd&q=gout")
    expect(page.locator("tbody tr").first).to_contain_text("search_icd")
    check_access(page)
    shoot(page, "traces")
    others = page.locator("[name=b]").all()
    page.locator("[name=a]").first.check()
    others[1].check()
    page.get_by_role("button", name="Compare A and B").click()
    expect(page.get_by_role("heading", name="What each looked up")).to_be_visible()
    check_access(page)
    shoot(page, "compare")


def test_a_link_is_read_without_an_account_and_can_be_revoked(
    page: Page, served: Console, browser: Browser
) -> None:
    sign_in(page, served)
    ask(page, served)
    finished(page)
    page.get_by_role("link", name="Keep and share").click()
    page.get_by_role("button", name="Make a link").click()
    check_access(page)
    shoot(page, "share")
    address = page.get_by_label("Link 1").input_value()
    stranger = browser.new_context().new_page()
    stranger.goto(address)
    expect(stranger.locator("[data-answer]").last).to_contain_text("Gout is coded M10")
    body = stranger.locator("body").inner_text()
    assert "carol" not in body
    assert "Thinking" not in body
    check_access(stranger)
    shoot(stranger, "shared")
    stranger.locator("[data-answer] a.cite").first.click()
    expect(stranger.locator("#drawer")).to_contain_text("Retrieved text")
    page.get_by_role("button", name="Revoke").click()
    assert stranger.goto(address).status == 404
    stranger.context.close()


def test_a_patient_s_name_is_warned_of_before_it_is_sent(page: Page, served: Console) -> None:
    sign_in(page, served)
    ask(page, served, "Mrs Jones, DOB 12/03/1956, has gout. Which code?")
    expect(page.get_by_role("alert").filter(has_text="who a patient is")).to_be_visible()
    check_access(page)
    shoot(page, "warning")
    page.get_by_role("button", name="Send anyway").click()
    finished(page)
    expect(page.locator(".msg.user")).to_contain_text("sent with possible identifiers")
    page.locator("#composer-text").fill("Call her on +44 7700 900123")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("a phone number")).to_be_visible()
    page.get_by_role("button", name="Send anyway").click()
    expect(page.locator(".msg.user")).to_have_count(2)


def test_hostile_text_of_a_model_stays_text(page: Page, served: Console) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, served)
    ask(page, served, "Something hostile about gout")
    finished(page)
    answer = page.locator(".msg.assistant [data-answer]")
    assert answer.locator("img, script, a[href*='evil']").count() == 0
    assert not [url for url in asked if "evil.example" in url]


def test_a_clinician_s_whole_way_from_a_question_to_signing_out(
    page: Page, served: Console
) -> None:
    sign_in(page, served)
    page.get_by_label("Message").fill("Which code has gout?")
    page.keyboard.press("Control+Enter")
    finished(page)
    page.locator("[data-answer] a.cite").first.click()
    expect(page.locator("#drawer")).to_contain_text("Retrieved text")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Where this comes from").click()
    expect(page.get_by_text("Deployment").first).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Flag for review").click()
    expect(page.get_by_role("button", name="Flagged for review")).to_be_visible()
    page.get_by_role("link", name="Keep and share").click()
    page.get_by_label("Title").fill("Gout, for the ward round")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("button", name="Make a link").click()
    address = page.get_by_label("Link 1").input_value()
    page.goto(f"{served.url}/")
    expect(page.get_by_role("link", name="Gout, for the ward round")).to_be_visible()
    sign_out(page)
    page.goto(f"{served.url}/chat/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(address)
    expect(page.locator("[data-answer]").last).to_contain_text("Gout is coded M10")


def sign_out(page: Page) -> None:
    page.locator("#account > summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_conversation_is_deleted_with_its_links(page: Page, served: Console) -> None:
    sign_in(page, served)
    ask(page, served, "Which code has gout, for the last time?")
    finished(page)
    page.get_by_role("link", name="Keep and share").click()
    page.get_by_role("button", name="Make a link").click()
    address = page.get_by_label("Link 1").input_value()
    page.get_by_text("Delete it").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("The conversation is gone")).to_be_visible()
    expect(page.get_by_role("link", name="for the last time")).to_have_count(0)
    found = page.goto(address)
    assert found is not None
    assert found.status == 404
