"""Pictures of every page for the docs: ``python scripts/screenshots.py URL NAME PASSWORD [PAGE…]``.

Takes each page of a running console in light, in dark, and in light at 390 pixels, into
``docs/screenshots``; with names of pages (``run``, ``chat``) those alone. The pages are those
that ``manage.py pages NAME`` finds, so run it with the console's KOS_VAR; what needs something
that is not there yet is left out. What a page must be asked for, say which runs to compare, is in
``kosweb/questions.py``.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "screenshots"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
# What the README shows goes by its own name.
NAMES = {"runs:detail": "run", "chat:detail": "chat", "reviews:item": "review_item"}


class Look(NamedTuple):
    """One way to look at a page."""

    suffix: str
    width: int
    height: int
    scheme: Any


LOOKS = (
    Look("light", 1280, 860, "light"),
    Look("dark", 1280, 860, "dark"),
    Look("phone", 390, 844, "light"),
)


def main(url: str, name: str, password: str, *only: str) -> None:
    """Take all pictures, or those of ``only``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = [page for page in pages(name) if not only or page[0] in only]
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for look in LOOKS:
            take(browser, look, url, name, password, found)
        browser.close()
    logger.info("%s pages in %s looks", len(found) + 3, len(LOOKS))


def pages(name: str) -> list[tuple[str, str]]:
    """File names and paths of the pages there are for ``name``."""
    command = [sys.executable, "manage.py", "pages", name]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return [(file_name(row["name"]), row["path"]) for row in rows]


def file_name(name: str) -> str:
    """``runs:detail`` is ``run``, ``runs:log`` is ``runs_log``, ``chat:list`` is ``chat_list``."""
    return NAMES.get(name) or re.sub(r"\W+", "_", name)


def take(
    browser: Browser,
    look: Look,
    url: str,
    name: str,
    password: str,
    found: list[tuple[str, str]],
) -> None:
    """Every page in one look, and the palette over the first."""
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height}, color_scheme=look.scheme
    )
    page = context.new_page()
    page.goto(f"{url}/sign-in/")
    shoot(page, look, "sign_in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
    page.keyboard.press("Control+k")
    shoot(page, look, "palette")
    for label, path in [*found, ("not_found", "/nothing-here/")]:
        page.goto(f"{url}{path}")
        shoot(page, look, label)
    context.close()


def shoot(page: Page, look: Look, label: str) -> None:
    """One picture, once charts have drawn."""
    page.wait_for_load_state("load")
    page.wait_for_timeout(700)
    page.screenshot(path=FOLDER / f"{label}_{look.suffix}.png")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(*sys.argv[1:])
