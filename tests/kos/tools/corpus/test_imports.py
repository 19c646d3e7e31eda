"""Public files read in: each form, twice, broken off, broken, and far too big."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from kos.errors import UserError
from kos.tools.corpus.imports import files, ledger
from kos.tools.corpus.imports.catalogue import SOURCES
from tests.kos.tools.web import PAYLOADS

SHARED = Path(os.environ.get("KOS_SHARED", Path(__file__).parents[5] / "shared"))
TOPICS = """<?xml version="1.0"?><health-topics date-generated="2025-11-20">{}</health-topics>"""
TOPIC = (
    '<health-topic id="{0}" title="Demo gout {0}" url="https://medlineplus.gov/demo{0}.html"'
    ' language="English"><also-called>Podagra {0}</also-called><full-summary>&lt;p&gt;Gout is'
    " arthritis.&lt;/p&gt;&lt;h3&gt;When to get help&lt;/h3&gt;&lt;ul&gt;&lt;li&gt;Fever&lt;/li&gt;"
    "&lt;/ul&gt;</full-summary><group>Bones</group></health-topic>"
)


def zipped(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name.replace("__", "."), data)
    return path


def topics(path: Path, *numbers: int) -> Path:
    text = TOPICS.format("".join(TOPIC.format(number) for number in numbers))
    return zipped(path, topics__xml=text.encode())


def bring(name: str, path: Path, corpus, **options) -> ledger.Report:
    return ledger.run(SOURCES[name], path, corpus.folder, **options)


def test_medlineplus_topics_become_topics(own_corpus, tmp_path):
    path = topics(tmp_path / "mplus_topics_compressed_2025-11-20.zip", 1, 2)
    assert bring("medlineplus", path, own_corpus)[:2] == (2, 2)
    (hit,) = own_corpus.search("topic", "podagra 2", 1)
    assert hit.text.startswith("Gout is arthritis.\n\n## When to get help\n- Fever")
    was = hit.provenance
    assert (was.mode, was.data_version) == ("imported", "2025-11-20")
    assert was.attribution.startswith("MedlinePlus.gov")
    assert own_corpus.find("https://medlineplus.gov/demo2.html").title == "Demo gout 2"


def test_a_file_is_imported_once_unless_asked_again(own_corpus, tmp_path):
    path = topics(tmp_path / "mplus.zip", 1, 2)
    bring("medlineplus", path, own_corpus)
    assert bring("medlineplus", path, own_corpus).is_repeated
    assert not bring("medlineplus", path, own_corpus, is_again=True).is_repeated
    assert own_corpus.kinds()["topic"] == 2


def test_what_a_newer_whole_file_does_not_bring_again_goes(own_corpus, tmp_path):
    bring("medlineplus", topics(tmp_path / "a.zip", 1, 2), own_corpus)
    assert bring("medlineplus", topics(tmp_path / "b.zip", 2, 3), own_corpus).num_removed == 1
    assert own_corpus.kinds()["topic"] == 2
    assert own_corpus.find("https://medlineplus.gov/demo1.html") is None


def test_an_import_that_was_broken_off_goes_on_where_it_stopped(own_corpus, tmp_path, monkeypatch):
    path = topics(tmp_path / "mplus.zip", *range(10))
    monkeypatch.setattr(ledger, "BATCH", 4)

    def stop(entries, kept):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring("medlineplus", path, own_corpus, on_progress=stop)
    report = bring("medlineplus", path, own_corpus)
    assert (report.num_resumed, report.num_entries, report.num_kept) == (4, 10, 10)
    assert own_corpus.kinds()["topic"] == 10


def test_openfda_labels_are_preferred_to_the_demonstration(own_corpus, tmp_path):
    found = json.loads((PAYLOADS / "openfda_label.json").read_text())
    label = found["results"][0]
    label["openfda"] |= {"generic_name": ["WARFARIN SODIUM"], "brand_name": ["Demofarin"]}
    path = zipped(tmp_path / "drug-label.json.zip", labels__json=json.dumps(found).encode())
    assert bring("openfda", path, own_corpus)[:2] == (1, 1)
    (hit,) = own_corpus.search("label", "warfarin", 5, strictness="names")
    assert hit.title == "Demofarin (warfarin sodium)"
    assert (hit.provenance.mode, hit.provenance.data_version) == ("imported", "2025-01-15")
    assert "creatinine clearance below 40" in hit.sections["renal"]
    assert hit.sections["boxed_warning"].startswith("[synthetic test text] WARNING")


def test_dailymed_labels_lie_in_zips_of_a_zip(own_corpus, tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("label.xml", (PAYLOADS / "dailymed_spl.xml").read_bytes())
        archive.writestr("picture.jpg", b"\xff")
    path = zipped(tmp_path / "dm_spl.zip", label__zip=inner.getvalue())
    assert bring("dailymed", path, own_corpus)[:2] == (1, 1)
    (hit,) = own_corpus.search("label", "demolol", 5, strictness="names")
    assert hit.sections["dosage"].startswith("2 DOSAGE AND ADMINISTRATION")
    assert "CrCl below 40 mL/min" in hit.sections["renal"]


def test_pubmed_articles_come_with_their_abstract_and_deleted_ones_go(own_corpus, tmp_path):
    text = (PAYLOADS / "pubmed_efetch.xml").read_bytes()
    path = tmp_path / "pubmed26n0001.xml.gz"
    path.write_bytes(gzip.compress(text))
    report = bring("pubmed", path, own_corpus)
    assert report.num_kept >= 1
    assert report.version == "baseline 2026, up to file 0001"
    hits = [
        hit
        for hit in own_corpus.search("pubmed", "demolol", 5)
        if hit.provenance.mode == "imported"
    ]
    assert hits[0].url.startswith("https://pubmed.ncbi.nlm.nih.gov/")
    number = hits[0].url.rstrip("/").rpartition("/")[2]
    gone = f"<PubmedArticleSet><DeleteCitation><PMID>{number}</PMID></DeleteCitation></PubmedArticleSet>"
    (tmp_path / "pubmed26n0002.xml.gz").write_bytes(gzip.compress(gone.encode()))
    with pytest.raises(UserError, match="nothing to keep"):
        bring("pubmed", tmp_path / "pubmed26n0002.xml.gz", own_corpus)
    assert own_corpus.find(hits[0].url) is None


def test_trials_come_from_an_answer_and_from_a_zip_of_studies(own_corpus, tmp_path):
    study = (PAYLOADS / "ctgov_study.json").read_bytes()
    bring("ctgov", PAYLOADS / "ctgov_studies.json", own_corpus)
    bring("ctgov", zipped(tmp_path / "ctg.zip", NCT1__json=study), own_corpus)
    assert own_corpus.kinds()["trial"] >= 1
    hit = own_corpus.search("trial", "example disease", 1)[0]
    assert hit.url.startswith("https://clinicaltrials.gov/study/NCT")
    assert hit.sections["Status"]


def test_another_release_of_icd_10_takes_the_embedded_ones_place(own_corpus, tmp_path):
    path = tmp_path / "icd10cm-tabular-2027.xml"
    path.write_text(
        "<ICD10CM.tabular><version>2027</version><chapter><name>9</name><desc>Heart</desc>"
        "<section id='I20-I25'><desc>Ischemic</desc><diag><name>I21</name><desc>Acute heart attack"
        "</desc></diag></section></chapter></ICD10CM.tabular>"
    )
    assert bring("icd10cm", path, own_corpus).version == "2027"
    hits = own_corpus.search("icd10cm", "heart attack", 5)
    assert [hit.title for hit in hits] == ["I21 Acute heart attack"]
    assert own_corpus.code("icd10cm", "I21")[0].provenance.data_version == "2027"


def test_icd_11_is_kept_word_for_word(own_corpus, tmp_path):
    path = tmp_path / "SimpleTabulation-ICD-11-MMS-en-2025-01.txt"
    path.write_text(
        "Linearization URI\tCode\tTitle\n"
        "http://id.who.int/icd/release/11/2025-01/mms/1\tFA25.Z\t- - Demo gout, unspecified\n"
        "http://id.who.int/icd/release/11/2025-01/mms/2\t\t- A block without a code\n"
    )
    assert bring("icd11", path, own_corpus)[:3] == (2, 1, 0)
    (hit,) = own_corpus.code("icd11", "FA25.Z")
    assert hit.title == "FA25.Z Demo gout, unspecified"
    assert hit.provenance.licence == "CC BY-ND 3.0 IGO"
    assert hit.provenance.data_version == "2025-01"


def test_medquad_is_imported_with_its_date(own_corpus):
    path = SHARED / "data" / "medquad" / "medquad_gov_topics.jsonl"
    if not path.exists():
        pytest.skip("MedQuAD is not on this machine")
    assert bring("medquad", path, own_corpus).num_entries == 1716
    hit = own_corpus.search("topic", "heart attack", 1)[0]
    assert hit.title == "Heart Attack"
    assert hit.provenance.data_version == "2016-2017"
    assert hit.provenance.licence == "CC BY 4.0"


@pytest.mark.parametrize(
    ("name", "file", "data", "words"),
    [
        ("medlineplus", "a.zip", b"no zip at all", r"a\.zip is broken"),
        ("medlineplus", "a.xml", b"<health-topics><health-topic", r"a\.xml is broken XML after 0"),
        (
            "medlineplus",
            "b.xml",
            b'<!DOCTYPE x [<!ENTITY a "b">]><health-topics>&a;</health-topics>',
            "broken XML",
        ),
        ("openfda", "a.json", b'{"meta": {}}', 'has not an array "results"'),
        ("openfda", "a.json", b'{"results": [{"a": 1}, {"b"', "item 2"),
        ("pubmed", "a.xml.gz", gzip.compress(b"<a/>", mtime=0)[:-6], "broken"),
        ("medquad", "a.jsonl", b'{"focus": 1, "qa": []}\n{"x": 1}\n', "line 2 is no topic"),
        ("medquad", "a.jsonl", b"\xff\xfe\n", "line 1 is no JSON"),
        ("icd11", "a.txt", b"A\tB\n1\t2\n", "no columns Code and Title"),
        ("ctgov", "a.csv", b"x", "holds no .json file"),
    ],
)
def test_a_bad_file_is_told_by_its_entry(own_corpus, tmp_path, name, file, data, words):
    (tmp_path / file).write_bytes(data)
    with pytest.raises(UserError, match=words):
        bring(name, tmp_path / file, own_corpus)


def test_a_bomb_is_not_read_to_its_end(own_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FREE_BYTES", 100_000)
    path = zipped(tmp_path / "bomb.zip", bomb__jsonl=b"\n" * 5_000_000)
    with pytest.raises(UserError, match="unpacks to more than"):
        bring("medquad", path, own_corpus)


def test_an_inner_zip_is_bounded(own_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_INNER_BYTES", 1000)
    path = zipped(tmp_path / "outer.zip", inner__zip=b"0" * 5000)
    with pytest.raises(UserError, match="at most 0 MB are taken"):
        bring("dailymed", path, own_corpus)


def test_what_was_imported_can_be_forgotten(own_corpus, tmp_path):
    bring("medlineplus", topics(tmp_path / "a.zip", 1), own_corpus)
    assert own_corpus.kinds()["topic"] == 1
    assert ledger.forget("medlineplus", own_corpus.folder)
    assert "topic" not in own_corpus.kinds()
    assert not ledger.forget("medlineplus", own_corpus.folder)
    bring("medlineplus", topics(tmp_path / "b.zip", 2, 3), own_corpus)
    assert own_corpus.kinds()["topic"] == 2
