"""Pictures of every page for the docs: ``python scripts/screenshots.py URL NAME PASSWORD``.

Takes each page of a running console in light, in dark, and in light at 390 pixels, into
``docs/screenshots``. Pages that need something which is not there yet are left out and said so.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
PLAIN = {
    "home": "/",
    "runs": "/runs/",
    "new": "/runs/new/pipeline/?preset=demo",
    "datasets": "/datasets/",
    "models": "/models/",
    "deployments": "/deployments/",
    "evals": "/evals/",
    "chats": "/chat/",
    "traces": "/traces/?model=policy",
    "benchmarks": "/evals/benchmarks/",
    "judges": "/evals/judges/",
    "reviews": "/review/",
    "tools": "/tools/",
    "tool": "/tools/search_icd/",
    "tokens": "/tokens/",
}
# Pages of one thing: the list they are linked from, and what their link begins with.
LINKED = {
    "dataset": ("/datasets/", "/datasets/"),
    "model": ("/models/", "/models/"),
    "deployment": ("/deployments/", "/deployments/"),
    "eval": ("/evals/", "/evals/run/"),
    "judge": ("/evals/judges/", "/evals/judges/"),
    "chat": ("/chat/", "/chat/"),
    "trace": ("/traces/?model=policy", "/traces/"),
}


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


def main(url: str, name: str, password: str) -> None:
    """Take all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for look in LOOKS:
            take(browser, look, url, name, password)
        browser.close()


def take(browser: Browser, look: Look, url: str, name: str, password: str) -> None:
    """Every page in one look."""
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
    for label, path in pages(page, url):
        page.goto(f"{url}{path}")
        shoot(page, look, label)
    context.close()


def pages(page: Page, url: str) -> Iterator[tuple[str, str]]:
    """Names and paths of the pages there are."""
    yield from PLAIN.items()
    for kind in ("pipeline", "train"):
        found = page.request.get(f"{url}/api/runs/?kind={kind}").json()
        rows = found.get("results", found.get("items", [])) if isinstance(found, dict) else found
        if rows:
            yield ("run" if kind == "train" else kind), f"/runs/{rows[0]['id']}/"
        if rows and kind == "train":
            yield "rollouts", f"/traces/run/{rows[0]['id']}/"
    for label, (listing, start) in LINKED.items():
        page.goto(f"{url}{listing}")
        links = page.locator(f"main table a[href^='{start}']").all()
        hrefs = [link.get_attribute("href") or "" for link in links]
        # The oldest: the sample set comes before any benchmark, whose rows stay out of pictures.
        chosen = next(
            (href for href in reversed(hrefs) if href.rstrip("/").split("/")[-1].isdecimal()), ""
        )
        if chosen:
            yield label, chosen
        else:
            logger.warning("no %s to take a picture of", label)


def shoot(page: Page, look: Look, label: str) -> None:
    """One picture, once charts have drawn."""
    page.wait_for_load_state("load")
    page.wait_for_timeout(700)
    page.screenshot(path=FOLDER / f"{label}_{look.suffix}.png")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(*sys.argv[1:4])
