"""A whole console of its own for the browser tests: started by ``manage.py up``, as anybody does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import provider
from tests.consoles import Console

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A machine that trains beside the tests answers late, and right all the same.
PATIENCE_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)

PASSWORD = "correct horse battery staple"


SETUP = """
from pathlib import Path
from apps.accounts.models import Role
from apps.accounts.services import make_user
from apps.datasets.services import import_file
from apps.runs.services import launch
user = make_user("ada", {password!r}, Role.ENGINEER)
import_file("Toy set", Path({tasks!r}), user=user)
launch(user, "base", {{"source": {{"kind": "folder", "path": {base!r}}}}}, name="toy base")
"""


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with provider.running() as elsewhere:
        elsewhere.person |= {
            "sub": "grace-1", "email": "grace@example.org", "name": "Grace Hopper",
            "preferred_username": "grace",
        }  # fmt: skip
        with Console.running(
            tmp_path_factory.mktemp("console"),
            KOS_LEASE_SECONDS="6",
            KOS_OIDC_ISSUER=elsewhere.issuer,
            KOS_OIDC_CLIENT_ID=provider.CLIENT,
            KOS_OIDC_CLIENT_SECRET=provider.SECRET,
            KOS_OIDC_NAME="Example",
            KOS_OIDC_DOMAINS="example.org",
        ) as console:
            yield console


def toy_base(console: Console) -> int:
    """The number of the run that registers the toy base of ``prepared``."""
    code = "from apps.runs.models import Run; print(Run.objects.get(name='toy base').pk)"
    return int(console.shell(code))


@pytest.fixture(scope="session")
def prepared(console: Console, tmp_path_factory: pytest.TempPathFactory) -> Console:
    """The console with an engineer, a toy set, and a policy of 0.2M parameters as base."""
    from kos.data.rubrics import RubricTask
    from tests.kos.engine import tiny

    folder: Path = tmp_path_factory.mktemp("toy")
    base = tiny.make_policy(folder / "base")
    splits = ("train", "train", "train", "train", "test", "validation")
    tasks = [
        RubricTask.model_validate(task.model_dump() | {"split": splits[number % len(splits)]})
        for number, task in enumerate(tiny.make_tasks(12))
    ]
    path = tiny.write_tasks(folder / "tasks.jsonl", tasks)
    console.shell(SETUP.format(password=PASSWORD, tasks=str(path), base=str(base)))
    return console


# Not for the session: Playwright keeps an event loop running, which asyncio tests cannot have.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: install Debian's package chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page that fails the test on any script error or breach of the CSP."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "console",
        lambda message: (
            faults.append(message.text) if "Content Security" in message.text else None
        ),
    )
    yield opened
    context.close()
    assert not faults, faults
