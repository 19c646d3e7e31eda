"""Uploads that nobody would make: what is kept comes out as it went in, what is not is named."""

from __future__ import annotations

import gzip
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.datasets import forms
from apps.datasets.models import DatasetVersion, Work
from tests.apps.datasets.test_transfer import body
from tests.apps.datasets.test_views import row

QUICK = settings(max_examples=12, suppress_health_check=list(HealthCheck))
SCRIPTS = (
    *("Größe µg", "Доза", "مقدار الجرعة", "מינון", "दवा की खुराक", "用量は一日二回", "ปริมาณยา"),
    *(
        "👩\u200d⚕️🏽",
        "e\u0301 vs é",
        "\u202eabc\u202c",
        "a\u2028b\x85c",
        "\x07\x1b[2J\x7f",
        "\ufeff\ufffd\ufffe",
    ),
    *(
        "<script>kos()</script>",
        "{{ 7*7 }}",
        "=HYPERLINK(1)",
        "a" * 20_000,
        "\U0010ffff\ue000",
        "\r\n\t",
    ),
)
# A text that is not blank and without what no database takes: all of these must come back.
kept = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)
texts = st.one_of(st.sampled_from(SCRIPTS), kept).map(lambda text: f"{text}.")


@pytest.fixture(autouse=True)
def uploads(tmp_path, settings):
    settings.VAR = tmp_path


def send(client, raw: bytes, name: str = "rows.jsonl", **more):
    form = {"name": "mine", "file": SimpleUploadedFile(name, raw)} | more
    return client.post(reverse("datasets:import"), form)


def saved(client, page) -> DatasetVersion:
    client.post(reverse("datasets:save"), {"ticket": page.context["ticket"]})
    return DatasetVersion.objects.latest("pk")


def exported(client, version: DatasetVersion) -> list[dict]:
    answer = client.get(reverse("datasets:export", args=[version.pk, "kos"]))
    return [json.loads(line) for line in body(answer).split("\n") if line]


def hostile(name: str, text: str, criterion: str) -> dict:
    made = row(name)
    made["messages"][0]["content"] = text
    made["rubric"][0]["text"] = criterion
    return made


@given(text=texts, criterion=texts, is_packed=st.booleans(), has_mark=st.booleans())
@QUICK
def test_a_row_of_any_script_comes_out_as_it_went_in(
    engineer, text, criterion, is_packed, has_mark
):
    rows = [hostile("a", text, criterion), row("b")]
    lines = [json.dumps(one, ensure_ascii=has_mark) for one in rows]
    raw = "\n".join(lines).encode()
    with transaction.atomic():
        page = send(engineer, gzip.compress(raw) if is_packed else raw)
        assert page.status_code == 200
        assert page.context["report"]["num_problems"] == 0
        found = exported(engineer, saved(engineer, page))
        transaction.set_rollback(True)
    assert found[0]["messages"][0]["content"] == text
    assert found[0]["rubric"][0]["text"] == criterion
    assert [one["id"] for one in found] == ["a", "b"]


@given(
    bad=st.one_of(
        st.binary(min_size=1, max_size=60),
        st.sampled_from(
            [
                b'{"id": "x\\u0000"}',
                b'{"id": "\\ud800"}',
                b"[" * 9000,
                b'{"a": 1e999}',
                b"\xff\xfe{",
                b"{}",
            ]
        ),
    )
)
@QUICK
@example(bad=b'{"id": "b", "id": "a"}')
def test_every_line_that_cannot_be_kept_is_named_and_no_other_is_lost(engineer, bad):
    line = bad.replace(b"\n", b" ").replace(b"\r", b" ")
    raw = b"\n".join([json.dumps(row("a")).encode(), line, json.dumps(row("b")).encode()])
    with transaction.atomic():
        page = send(engineer, raw)
        report = page.context["report"]
        assert report["num_tasks"] == 2
        # A line of white space is none; each other one is named with its number.
        assert [one["line"] for one in report["problems"]] == ([2] if line.strip() else [])
        assert all(one["text"].strip() for one in report["problems"])
        assert len(exported(engineer, saved(engineer, page))) == 2
        transaction.set_rollback(True)


@given(raw=st.binary(max_size=200), name=st.sampled_from(["a.jsonl", "a.json", "a.yaml", "a.gz"]))
@QUICK
@example(raw=b"", name="a.jsonl")
@example(raw=gzip.compress(bytes(3_000_000)), name="a.gz")
@example(raw=gzip.compress(b"{}")[:-3], name="a.gz")
@example(raw=b"\x1f\x8b", name="a.jsonl")
def test_any_file_is_shown_or_refused_in_a_sentence(engineer, raw, name):
    with transaction.atomic():
        page = send(engineer, raw, name)
        if page.status_code != 200:
            assert page.status_code == 400
            assert page.context["form"].errors["file"][0].strip()
        assert not DatasetVersion.objects.exists()
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd.jsonl",
        "..\\x.jsonl",
        "a\x1b[2J.jsonl",
        "é" * 120 + ".jsonl",
        "\u202ea.jsonl",
    ],
)
def test_a_file_s_own_name_makes_no_path(engineer, name, tmp_path):
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    page = send(engineer, json.dumps(row("a")).encode(), name)
    assert page.status_code in (200, 400)
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.parent == tmp_path / "uploads" for path in made)
    assert all(path.stem.isalnum() for path in made)


def test_a_file_that_is_too_large_is_refused_by_its_size(engineer, monkeypatch):
    monkeypatch.setattr(forms, "MAX_UPLOAD_BYTES", 1000)
    page = send(engineer, b" " * 2000)
    assert page.status_code == 400
    assert "is the most" in page.context["form"].errors["file"][0]
    assert not Work.objects.exists()
