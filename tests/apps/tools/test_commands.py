"""The commands that build, import, forget and seal anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.tools import services


@pytest.fixture
def folder(settings, tmp_path) -> Path:
    """An installation's own corpus, with the session's embedded file."""
    embedded = services.open_corpus().prepare()
    (tmp_path / embedded.name).symlink_to(embedded)
    settings.CORPUS = tmp_path
    return tmp_path


@pytest.fixture
def topics(tmp_path) -> Path:
    path = tmp_path / "topics.jsonl"
    topic = {"id": "1", "focus": "Demo gout", "qa": [{"q": "What is it?", "a": "Arthritis."}]}
    path.write_text(json.dumps(topic) + "\n")
    return path


def test_a_file_is_imported_and_said_what_came_of_it(folder, topics, capsys):
    call_command("import_medquad", topics)
    assert "topics.jsonl: 1 of 1 entries kept; version 2016-2017" in capsys.readouterr().out
    assert services.open_corpus().kinds()["topic"] == 1
    call_command("import_medquad", topics)
    assert "was imported before" in capsys.readouterr().out


def test_a_bad_file_ends_with_a_sentence(folder, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    with pytest.raises(CommandError, match=r"bad\.jsonl, line 1 is no topic"):
        call_command("import_medquad", bad)


def test_icd_11_is_imported_only_by_who_accepts_its_licence(folder, tmp_path, capsys):
    table = tmp_path / "icd11.txt"
    table.write_text("Code\tTitle\nFA25\tGout\n")
    with pytest.raises(CommandError, match="CC BY-ND"):
        call_command("import_icd11", table)
    call_command("import_icd11", table, accept_licence=True, release="2025-01")
    assert "version 2025-01" in capsys.readouterr().out


def test_an_import_can_be_forgotten(folder, topics):
    call_command("import_medquad", topics)
    call_command("forget_import", "medquad")
    with pytest.raises(CommandError, match="Nothing"):
        call_command("forget_import", "medquad")


def test_building_tells_what_there_is(folder, capsys):
    call_command("build_corpus")
    assert "46881 icd10cm" in capsys.readouterr().out


@pytest.mark.django_db
def test_keys_are_sealed_anew(capsys):
    services.set_key("brave", "brave-secret-key", by=None)
    call_command("reseal_keys")
    assert "1 keys" in capsys.readouterr().out
