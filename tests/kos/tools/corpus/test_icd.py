"""Codes are found by code, by name, by what people say, and by abbreviation."""

from __future__ import annotations

import pytest

from kos.tools.corpus.codes import codes_in
from kos.tools.providers.local_icd import _look_up


def codes(corpus, query, k=3):
    return [record.title.split(" ")[0] for record in corpus.search("icd10cm", query, k)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("heart attack", "I21"),
        ("gout", "M10"),
        ("type 2 diabetes", "E11"),
        ("diabetes", "E11"),
        ("hypertension", "I10"),
        ("high blood pressure", "I10"),
        ("pneumonia", "J18"),
        ("stroke", "I63"),
        ("CKD", "N18"),
        ("CKD stage 3", "N18.3"),
        ("PE", "I26"),
        ("SOB", "R06.0"),
        ("DVT", "I82.40"),
        ("UTI", "N39.0"),
        ("kidney stone", "N20"),
        ("NSTEMI", "I21.4"),
        ("ALL", "C91.0"),
        ("atrial fibrillation", "I48.91"),
        ("syncope", "R55"),
        ("sepsis", "A41"),
        ("broken hip", "S72"),
        ("COPD exacerbation", "J44.1"),
        ("athlete's foot", "B35.3"),
    ],
)
def test_a_name_finds_its_code_first(corpus, query, first):
    assert codes(corpus, query)[0].startswith(first)


def test_a_bare_name_finds_category_and_unspecified_before_special_forms(corpus):
    assert set(codes(corpus, "asthma", 3)) <= {"J45", "J45.90", "J45.909"}


def test_only_capitals_make_a_word_an_abbreviation(corpus):
    assert codes(corpus, "ALL", 1) == ["C91.0"]
    assert codes(corpus, "all", 1) != ["C91.0"]


@pytest.mark.parametrize("written", ["I21.9", "i219", "I219", "(I21.9)"])
def test_a_code_is_found_however_it_is_written(corpus, written):
    assert (
        corpus.code("icd10cm", written)[0].title
        == "I21.9 Acute myocardial infarction, unspecified"
    )


def test_a_category_comes_with_the_codes_below_it(corpus):
    found = [record.title.split(" ")[0] for record in corpus.code("icd10cm", "M10")]
    assert found[0] == "M10"
    assert {"M10.0", "M10.9"} <= set(found)


def test_a_seventh_character_is_read_by_its_rule(corpus):
    (found,) = corpus.code("icd10cm", "S52.011A")
    assert found.title == (
        "S52.011A Torus fracture of upper end of right ulna, initial encounter for closed fracture"
    )
    assert found.url == "kos://corpus/icd10cm/S52.011A"


def test_a_padded_code_is_known_and_an_impossible_one_is_not(corpus):
    assert corpus.code("icd10cm", "T36.0X1A")
    assert corpus.code("icd10cm", "S52.011Z") == []


def test_all_codes_of_the_release_are_there(corpus):
    with corpus._embedded().lend() as connection:
        entries = connection.execute("SELECT COUNT(*) FROM docs WHERE kind = 'icd10cm'").fetchone()
        extended = connection.execute("SELECT COUNT(*) FROM codes").fetchone()
    assert (entries[0], entries[0] + extended[0]) == (46_881, 98_186)


def test_exclusions_are_shown_and_not_searched(corpus):
    (first, *_rest) = corpus.code("icd10cm", "I21")
    assert "Excludes2 (not included here): old myocardial infarction (I25.2)" in first.text
    assert "I25.2" in codes(corpus, "old myocardial infarction", 1)


def test_icd_11_that_is_not_here_is_answered_from_icd_10(corpus):
    assert _look_up(corpus, "icd11", "gout")[0].provenance.data_version == "ICD-10-CM April 2026"


def test_words_are_no_codes():
    assert codes_in("gout of M10.9 and 5 mg in room B12") == ["M10.9", "B12"]
    assert codes_in("COVID-19 type 2") == []
