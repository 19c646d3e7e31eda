"""A run as trackers hear of it, with what must not leave the console in its config."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kos.trackers import Start, safe

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KNOBS = {
    "kind": "train",
    "steps": 3,
    "learning_rate": 1e-4,
    "is_shuffled": True,
    "system_prompt": "You are a careful clinician.",
    "guess_prompt": "short",
    "loss": {"kind": "cispo", "clip_high": 5.0},
    "rewards": [{"kind": "conciseness", "gate": 0.68}],
    "judge": {"url": "https://ada:hunter2@judge.example/v1?key=abc", "secret": "judge-key"},
    "note": None,
}


@pytest.fixture
def start(tmp_path) -> Start:
    return Start(
        name="night shift",
        project="kos",
        folder=tmp_path / "trackers",
        config=safe.config(KNOBS),
        facts={"run": "42", "kind": "train", "dataset": "letters version 3"},
        tags=("nightly",),
    )
