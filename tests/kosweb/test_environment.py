from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from kosweb import environment


def test_a_value_may_come_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("hush\n")
    monkeypatch.setenv("KOS_SECRET_KEY_FILE", str(tmp_path / "secret"))
    assert environment.text("KOS_SECRET_KEY") == "hush"


def test_a_file_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("KOS_SECRET_KEY_FILE", "/nowhere/secret")
    with pytest.raises(ImproperlyConfigured, match="KOS_SECRET_KEY_FILE names /nowhere/secret"):
        environment.text("KOS_SECRET_KEY")


@pytest.mark.parametrize(
    ("said", "meant"), [("1", True), ("Yes", True), ("0", False), ("", False)]
)
def test_a_flag_is_said_in_several_ways(monkeypatch, said, meant):
    monkeypatch.setenv("KOS_DEBUG", said)
    assert environment.flag("KOS_DEBUG") is meant


def test_a_word_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("KOS_PORT", "eighty")
    with pytest.raises(ImproperlyConfigured, match="KOS_PORT is 'eighty'"):
        environment.number("KOS_PORT", 8000)


def test_a_list_is_separated_by_commas(monkeypatch):
    monkeypatch.setenv("KOS_ALLOWED_HOSTS", "kos.example, localhost")
    assert environment.words("KOS_ALLOWED_HOSTS", "") == ["kos.example", "localhost"]
