"""Signing in elsewhere, as a browser does it: away, back, and in."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.consoles import Console

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_one_click_at_the_provider_and_one_is_in(console: Console, page: Page) -> None:
    page.goto(f"{console.url}/")
    page.get_by_role("link", name="Sign in with Example").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    page.goto(f"{console.url}/settings/")
    expect(page.get_by_role("main")).to_contain_text("grace")
    # A clinician, who is no engineer.
    assert page.goto(f"{console.url}/models/").status == 403  # type: ignore[union-attr]


def test_who_signs_out_is_out(console: Console, page: Page) -> None:
    page.goto(f"{console.url}/")
    page.get_by_role("link", name="Sign in with Example").click()
    page.get_by_label("Account and theme").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in with Example")).to_be_visible()
    page.goto(f"{console.url}/settings/")
    expect(page).to_have_url(re.compile("/sign-in/"))
