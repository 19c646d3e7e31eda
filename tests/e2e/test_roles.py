"""The main path of each role in a live console, and the palette and keys that all share."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.consoles import Console
from tests.e2e import furnish as rows
from tests.e2e.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]


SESSIONS: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def furnished(console: Console) -> None:
    SESSIONS.update(rows.furnish(console))


def sign_in(page: Page, console: Console, role: str) -> None:
    rows.sign_in(page, console, SESSIONS[role])
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def test_an_engineer_sees_what_needs_attention_and_opens_it(console: Console, page: Page) -> None:
    sign_in(page, console, "engineer")
    needs = page.get_by_role("region", name="Needs attention")
    expect(needs).to_contain_text("the disk is full")
    needs.get_by_role("link", name="walk broken").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("walk broken")


def test_an_engineer_finds_a_run_by_keys_alone(console: Console, page: Page) -> None:
    sign_in(page, console, "engineer")
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Search")
    expect(palette.get_by_role("option", name="Runs", exact=False).first).to_be_visible()
    page.keyboard.type("walk train")
    found = palette.get_by_role("option", name=re.compile("walk train"))
    expect(found).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/runs/\d+/$"))


def test_keys_walk_through_lists_and_pages(console: Console, page: Page) -> None:
    sign_in(page, console, "engineer")
    page.keyboard.press("g")
    page.keyboard.press("d")
    expect(page).to_have_url(re.compile("/datasets/$"))
    page.keyboard.press("j")
    expect(page.locator("[data-at]")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/datasets/\d+/"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()


def test_keys_stay_silent_while_somebody_types(console: Console, page: Page) -> None:
    sign_in(page, console, "engineer")
    page.goto(f"{console.url}/search/")
    page.locator("#q").click()
    page.keyboard.type("g d ? j")
    expect(page.locator("#q")).to_have_value("g d ? j")
    expect(page).to_have_url(re.compile("/search/$"))


def test_single_keys_can_be_turned_off_and_the_palette_stays(console: Console, page: Page) -> None:
    sign_in(page, console, "clinician")
    page.goto(f"{console.url}/settings/")
    page.get_by_label("Single-key shortcuts").uncheck()
    page.get_by_role("button", name="Keep").first.click()
    expect(page.locator("body")).to_have_attribute("data-keys", "off")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_hidden()
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()


def test_the_palette_switches_the_theme(console: Console, page: Page) -> None:
    sign_in(page, console, "reviewer")
    page.keyboard.press("/")
    page.keyboard.type("switch to dark")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_clinician_comes_to_the_question_at_once(console: Console, page: Page) -> None:
    sign_in(page, console, "clinician")
    expect(page.get_by_label("Message")).to_be_visible()
    page.get_by_role("link", name="About gout").click()
    expect(page.get_by_text("What helps against gout?").first).to_be_visible()


def test_a_reviewer_takes_the_next_answer(console: Console, page: Page) -> None:
    sign_in(page, console, "reviewer")
    expect(page.get_by_role("region", name="Your queues")).to_contain_text("left for you")
    page.get_by_role("button", name="Next answer").first.click()
    expect(page).to_have_url(re.compile(r"/review/\d+/\d+/"))


def test_an_admin_sees_the_house_and_adds_a_member(console: Console, page: Page) -> None:
    sign_in(page, console, "admin")
    expect(page.locator("#house")).to_contain_text("Database")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Members").click()
    page.get_by_label("Username").fill("newcomer")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("textbox", name="Link for newcomer")).to_have_value(
        re.compile("/welcome/")
    )
    page.goto(f"{console.url}/audit/")
    expect(page.get_by_role("table")).to_contain_text("newcomer")


def test_an_admin_gives_a_role_that_counts_at_once(console: Console, page: Page, browser) -> None:
    sign_in(page, console, "admin")
    page.goto(f"{console.url}/members/")
    page.get_by_label("Username").fill("rotating")
    page.get_by_role("combobox", name="Role", exact=True).select_option("clinician")
    page.get_by_role("button", name="Make the account").click()
    link = page.get_by_role("textbox", name="Link for rotating").input_value()
    theirs = browser.new_context().new_page()
    theirs.goto(link)
    for field in theirs.locator("input[type=password]").all():
        field.fill(PASSWORD)
    theirs.get_by_role("button", name="Keep it and sign in").click()
    expect(theirs.get_by_role("heading", name="Ask a model")).to_be_visible()

    page.get_by_label("Role of rotating").select_option("reviewer")
    page.get_by_role("button", name="Give rotating this role").click()
    theirs.goto(f"{console.url}/")
    expect(theirs.get_by_role("heading", name="What waits for you")).to_be_visible()

    page.get_by_role("button", name="Lock rotating").click()
    page.get_by_role("dialog").get_by_role("button", name="Lock").click()
    expect(page.get_by_role("row", name=re.compile("rotating"))).to_contain_text("locked")
    theirs.goto(f"{console.url}/")
    expect(theirs.get_by_role("heading", name="Sign in")).to_be_visible()
    theirs.context.close()
    page.goto(f"{console.url}/audit/?who=walk-admin")
    expect(page.get_by_role("table")).to_contain_text("role was clinician")


def test_an_admin_signs_out_a_browser_that_was_left_open(
    console: Console, page: Page, browser
) -> None:
    left = browser.new_context().new_page()
    left.goto(f"{console.url}/sign-in/")
    left.get_by_label("Name").fill("walk-admin")
    left.get_by_label("Password").fill(PASSWORD)
    left.get_by_role("button", name="Sign in").click()
    expect(left.get_by_role("navigation", name="Main")).to_be_visible()
    sign_in(page, console, "admin")
    page.goto(f"{console.url}/settings/#sessions")
    page.get_by_role("button", name="Sign out everywhere else").click()
    expect(page.get_by_role("button", name="Sign out everywhere else")).to_have_count(0)
    left.goto(f"{console.url}/")
    expect(left.get_by_role("heading", name="Sign in")).to_be_visible()
    left.context.close()


def test_an_admin_makes_a_token_that_works_until_it_is_revoked(
    console: Console, page: Page
) -> None:
    sign_in(page, console, "admin")
    page.goto(f"{console.url}/tokens/")
    page.get_by_label("Name").fill("path")
    page.get_by_role("button", name="Make a token").click()
    text = page.get_by_role("textbox", name="Token", exact=True).input_value()
    assert who_is(console, text) == 200
    page.goto(f"{console.url}/tokens/")
    assert text not in page.content()
    page.get_by_role("button", name="Revoke path").click()
    page.get_by_role("dialog").get_by_role("button").filter(has_text="Revoke").click()
    expect(page.get_by_role("button", name="Revoke path")).to_have_count(0)
    assert who_is(console, text) == 401


def who_is(console: Console, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{console.url}/api/me", headers=headers, timeout=60).status_code


def test_on_a_phone_four_links_stay_and_all_leads_to_the_rest(
    console: Console, page: Page
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    sign_in(page, console, "engineer")
    links = page.get_by_role("navigation", name="Main").get_by_role("link")
    seen = [link for link in links.all() if link.is_visible()]
    seen.sort(key=lambda link: (link.bounding_box() or {"x": 0})["x"])
    assert [link.inner_text() for link in seen] == ["Home", "Runs", "Models", "Playground", "All"]
    links.filter(has_text="All").click()
    expect(page.get_by_role("option", name=re.compile("Deployments")).first).to_be_visible()


def test_without_scripts_search_is_a_page(console: Console, browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, console, "engineer")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Search").click()
    page.locator("#q").fill("walk train")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("link", name="walk train")).to_be_visible()
    context.close()
