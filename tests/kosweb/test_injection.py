"""Text from people, models and tools is text: in every page, header, file and log."""

from __future__ import annotations

import pytest

from apps.datasets.models import Work
from kosweb.walk import addresses
from tests import hostile
from tests.rest import filled


@pytest.fixture
def poisoned(admin) -> set[str]:
    filled(admin.user)
    Work.objects.update(status="running")
    assert hostile.poison_json() > 10
    return set(hostile.poison())


def test_hostile_text_becomes_nothing_on_any_page(admin, poisoned):
    wrong, seen = [], 0
    admin.raise_request_exception = False
    for name, path in list(addresses(admin.user)):
        answer = admin.get(path)
        if answer.status_code >= 500:
            wrong.append(f"{name} {path}: {answer.exc_info[1]!r}")
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            text = answer.getvalue().decode(errors="replace")
            seen += "kos-y=" in text
            wrong += [f"{name} {path}: {one}" for one in hostile.harm_in(text)]
        wrong += [f"{name}: header {one}" for one in answer.headers if one.startswith("Kos-")]
    assert not wrong, "\n".join(wrong)
    assert seen > 30
