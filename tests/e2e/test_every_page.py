"""Every page of the URL map, as an admin gets it: axe in both themes, 390 pixels, the CSP."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

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


def open_as_admin(browser: Browser, console: Console, scheme: Any) -> Page:
    page = browser.new_context(viewport=DESK, color_scheme=scheme).new_page()
    page.set_default_navigation_timeout(90_000)
    sign_in(page, console, furnish(console)["admin"])
    return page


def grave(page: Page, scheme: str) -> list[str]:
    found = Axe().run(page, options=RULES[scheme]).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found if one["impact"] in GRAVE
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_readable_fits_a_phone_and_keeps_the_policy(
    console: Console, browser: Browser, scheme: str
) -> None:
    page = open_as_admin(browser, console, scheme)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: faults.append(said.text) if "Content Security" in said.text else None,
    )
    found = pages_of(console, "walk-admin")
    assert len(found) > 40, found
    for name, path in found:
        page.set_viewport_size(DESK)
        page.goto(f"{console.url}{path}", wait_until="load")
        faults += [f"{name} {fault}" for fault in grave(page, scheme)]
        if scheme == "light":
            page.set_viewport_size(PHONE)
            wide = page.evaluate(TOO_WIDE)
            faults += [f"{name} is wider than a phone: {wide}"] if wide else []
    page.context.close()
    assert not faults, "\n".join(faults)
