"""The corpus of the session, so that no test builds one of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apps.tools import services


@pytest.fixture(autouse=True)
def offline(settings) -> None:
    """Off line, with the corpus of the whole session."""
    settings.CORPUS = Path(os.environ["KOS_VAR"]) / "corpus"
    settings.OFFLINE = True
    settings.TOOL_KEYS = {}
    services._wire.cache_clear()
