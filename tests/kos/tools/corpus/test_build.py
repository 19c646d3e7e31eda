"""The embedded file: built once, whole or not there, from data that is never run."""

from __future__ import annotations

import bz2
import pickle
import sqlite3
import subprocess
import sys

import pytest

from kos.tools.corpus import build
from kos.tools.corpus.sources import open_medicine, samples
from kos.tools.corpus.sources.package import file_of, read_pickle
from kos.tools.providers.labels import SECTIONS


@pytest.fixture
def small(monkeypatch):
    """A build of the red-flag cards alone: the whole one takes seconds."""
    monkeypatch.setattr(build, "SOURCES", ((samples.CARDS, (samples.read_cards,)),))
    monkeypatch.setattr(build.icd10cm, "read_embedded", lambda: iter(()))
    monkeypatch.setattr(build.names, "read_all", lambda: iter(()))


def test_the_file_is_named_by_what_it_is_made_from(corpus):
    assert corpus.prepare().name == f"embedded-{build.version()}.sqlite3"


def test_a_file_that_stands_is_not_built_again(small, tmp_path):
    path = build.ensure(tmp_path)
    stamp = path.stat().st_mtime_ns
    assert build.ensure(tmp_path).stat().st_mtime_ns == stamp
    assert build.ensure(tmp_path, is_again=True).stat().st_mtime_ns > stamp


def test_a_build_that_breaks_off_leaves_no_file(small, tmp_path, monkeypatch):
    def broken():
        yield next(iter(samples.read_cards()))
        raise OSError("the disk is full")

    monkeypatch.setattr(build, "SOURCES", ((samples.CARDS, (broken,)),))
    with pytest.raises(OSError, match="disk"):
        build.ensure(tmp_path)
    assert list(tmp_path.glob("*.sqlite3")) == []


def test_a_build_of_another_version_goes(small, tmp_path):
    old = tmp_path / "embedded-000000000000.sqlite3"
    sqlite3.connect(old).close()
    old.touch()
    build.ensure(tmp_path)
    assert not old.exists()


def test_the_packages_are_read_and_not_imported():
    code = (
        "import sys; from kos.tools.corpus.sources import icd10cm, names, open_medicine;"
        "next(icd10cm.read_embedded()); list(open_medicine.read_citations());"
        "sys.exit(any(name.split('.')[0] in ('simple_icd_10_cm', 'open_medicine',"
        " 'drug_named_entity_recognition') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit",))


def test_a_pickle_with_more_than_plain_data_is_refused(tmp_path):
    path = tmp_path / "evil.pkl.bz2"
    path.write_bytes(bz2.compress(pickle.dumps({"a": Evil()})))
    with pytest.raises(pickle.UnpicklingError, match="plain data"):
        read_pickle(path)


def test_a_package_that_is_missing_is_named():
    with pytest.raises(Exception, match="no-such-package"):
        file_of("no-such-package", "x")


def test_every_label_has_the_declared_sections_and_says_what_it_is():
    for doc in samples.read_labels():
        headings = [line[3:] for line in doc.body.split("\n") if line.startswith("## ")]
        assert set(headings) <= set(SECTIONS)
        assert set(SECTIONS) - set(headings) <= {"boxed_warning"}
        assert "not FDA text" in doc.title


def test_every_card_says_when_to_act_and_what_it_is():
    for doc in samples.read_cards():
        assert doc.body.startswith("## ")
        assert "Kos sample" in doc.title


def test_a_digest_says_that_it_is_one():
    doc = next(open_medicine.read_guidelines())
    assert "A digest by the open-medicine project" in doc.notes
    assert doc.source_url.startswith("https://doi.org/10.")
