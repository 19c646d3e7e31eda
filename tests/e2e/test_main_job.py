"""The main job as an engineer does it: in a browser, from a form to a chat."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.consoles import Console
from tests.e2e.conftest import PASSWORD, toy_base

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# Long enough to be stopped in the middle, on a model that does a step in a blink.
KNOBS = {
    "train-steps": "60",
    "train-groups": "4",
    "train-group_size": "4",
    "train-checkpoint_seconds": "0",
    "train-sampling-max_tokens": "24",
    "train-adam-learning_rate": "0.003",
    "sft-batch_size": "4",
    "evaluate-sampling-max_tokens": "24",
    "export-calibrator-samples": "4",
}


def sign_in(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def wait_for_base(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/runs/{toy_base(console)}/")
    expect(page.locator("#run-head")).to_contain_text("done")


def choose(page: Page, name: str, text: str) -> None:
    """Pick the option with these words: other tests of the same console bring more."""
    option = page.locator(f"[name={name}] option", has_text=text).first
    page.locator(f"[name={name}]").select_option(option.get_attribute("value"))


def start_pipeline(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/runs/new/pipeline/")
    choose(page, "run-base", "toy base")
    choose(page, "run-dataset", "Toy set")
    for details in page.locator("details.part").all():
        details.evaluate("element => { element.open = true }")
    for name, value in KNOBS.items():
        page.locator(f"[name='{name}']").fill(value)
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#run-head")).to_contain_text("running")


def open_stage(page: Page, name: str) -> None:
    stages = page.get_by_role("region", name="Stages of the pipeline")
    stage = stages.get_by_role("link", name=name).first
    stage.click(timeout=600_000)


def test_from_the_form_to_the_chat(page: Page, prepared: Console) -> None:
    sign_in(page, prepared)
    wait_for_base(page, prepared)
    start_pipeline(page, prepared)
    pipeline = page.url

    open_stage(page, "Train")
    moving = page.locator("[data-panel] [data-value]").first
    expect(moving).not_to_have_text("\u2013")
    before = moving.inner_text()
    expect(moving).not_to_have_text(before)

    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#run-head")).to_contain_text("cancelled")
    page.get_by_role("button", name="Resume").click()

    page.goto(pipeline)
    expect(page.locator("#run-head")).to_contain_text("done", timeout=600_000)

    page.goto(f"{prepared.url}/chat/new/")
    page.locator("#composer-text").fill("What helps against a cold?")
    page.get_by_role("button", name="Send").click()
    answer = page.locator(".msg.assistant")
    expect(answer.locator("[data-numbers]")).to_contain_text("tokens/s")
    # A policy of random weights may well think to its last token.
    told = answer.locator("[data-answer], [data-thinking]").all()
    assert "".join(part.text_content() or "" for part in told).strip()
