from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.datasets import services
from apps.datasets.models import DatasetVersion
from kos.data.readers import read_file
from kos.errors import UserError

pytestmark = pytest.mark.django_db


def row(name: str, **more: object) -> dict[str, object]:
    return {
        "id": name,
        "messages": [{"role": "user", "content": f"question {name}"}],
        "rubric": [{"key": "k", "text": "t", "points": 5, "check": {"any_of": ["yes"]}}],
    } | more


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(r) for r in rows))
    return path


def test_the_same_rows_in_another_order_are_the_same_version(tmp_path: Path) -> None:
    first, _ = services.import_file("set", write(tmp_path / "a.jsonl", row("a"), row("b")))
    again, _ = services.import_file("set", write(tmp_path / "b.jsonl", row("b"), row("a")))
    assert again.pk == first.pk


def test_changed_rows_make_the_next_version(tmp_path: Path) -> None:
    services.import_file("set", write(tmp_path / "a.jsonl", row("a")))
    second, _ = services.import_file("set", write(tmp_path / "a.jsonl", row("a", split="test")))
    assert (second.number, second.examples.get().split) == (2, "test")


def test_a_canary_makes_the_version_restricted(tmp_path: Path) -> None:
    version, _ = services.import_file(
        "set", write(tmp_path / "a.jsonl", row("a", restricted=True))
    )
    assert version.is_restricted


def test_nothing_is_kept_of_a_file_without_a_usable_row(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        services.import_file("set", write(tmp_path / "a.jsonl", {"no": "rubric"}))
    assert not DatasetVersion.objects.exists()


def test_a_version_reaches_a_job_as_the_same_tasks(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", row("a"), row("b", split="test"))
    version, report = services.import_file("set", source)
    assert read_file(services.materialise(version)).tasks == report.tasks


def test_the_shipped_sample_loads_once() -> None:
    assert services.load_sample().pk == services.load_sample().pk
    assert DatasetVersion.objects.get().is_demonstration
