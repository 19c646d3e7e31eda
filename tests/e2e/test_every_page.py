"""Every page of the URL map, as an admin gets it: axe in both themes, 390 pixels, the CSP."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.consoles import Console
from tests.e2e.furnish import furnish, pages_of, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GRAVE = ("serious", "critical")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 860}
# In dark only colours can differ.
RULES: dict[str, Any] = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}
TOO_WIDE = """
() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return "";
  const found = [...document.querySelectorAll("main *, header *")].find((one) => one.getBoundingClientRect().right > width + 1);
  return found ? found.outerHTML.slice(0, 160) : "the page";
}
"""


def grave(page: Page, scheme: Any) -> list[str]:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found = Axe().run(page, options=RULES[scheme]).response["violations"]
    return [
        f"{one['id']} ({scheme}): {one['nodes'][0]['html'][:160]}"
        for one in found
        if one["impact"] in GRAVE
    ]


def too_wide(page: Page) -> list[str]:
    page.set_viewport_size(PHONE)
    wide = page.evaluate(TOO_WIDE)
    page.set_viewport_size(DESK)
    return [f"is wider than a phone: {wide}"] if wide else []


def test_every_page_is_readable_fits_a_phone_and_keeps_the_policy(
    console: Console, page: Page
) -> None:
    sign_in(page, console, furnish(console)["admin"])
    found = pages_of(console, "walk-admin")
    assert len(found) > 40, found
    faults: list[str] = []
    for name, path in found:
        page.goto(f"{console.url}{path}", wait_until="load")
        told = [*grave(page, "light"), *grave(page, "dark"), *too_wide(page)]
        faults += [f"{name} {fault}" for fault in told]
    assert not faults, "\n".join(faults)
