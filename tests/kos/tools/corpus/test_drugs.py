"""Names of drugs, and what the machine holds on them."""

from __future__ import annotations

import pytest

from kos.tools.providers.local_labels import _look_up


@pytest.mark.parametrize(
    ("asked", "generic"),
    [
        ("Tylenol", "acetaminophen"),
        ("paracetamol", "acetaminophen"),
        ("hctz", "hydrochlorothiazide"),
        ("Eliquis", "apixaban"),
        ("coumadin 5 mg", "warfarin"),
        ("metformin hydrochloride 500 mg tablet", "metformin"),
        ("Synthroid", "levothyroxine"),
        ("augmentin", "amoxicillin and clavulanate"),
        ("adrenaline", "epinephrine"),
        ("Zestril", "lisinopril"),
    ],
)
def test_a_drug_is_known_by_its_other_names(corpus, asked, generic):
    assert corpus.drug(asked).generic == generic


def test_what_is_no_drug_is_not_known(corpus):
    assert corpus.drug("table leg") is None


def test_scraps_of_markup_are_no_names(corpus):
    with corpus._embedded().lend() as connection:
        rows = connection.execute("SELECT COUNT(*) FROM names WHERE name LIKE '%{{%'").fetchone()
    assert rows == (0,)


def test_a_brand_finds_the_demonstration_label_and_says_what_it_is(corpus):
    label, *_ = _look_up(corpus, "Coumadin", ("boxed_warning", "interactions"))
    assert label.title == "Warfarin (demonstration data, not FDA text)"
    assert list(label.sections) == ["boxed_warning", "interactions"]
    assert label.text.startswith("Drug names: Coumadin is warfarin.\nKos demonstration data")


def test_a_section_that_is_not_there_is_told(corpus):
    label, *_ = _look_up(corpus, "amoxicillin", ("boxed_warning",))
    assert "Not on this label: boxed_warning." in label.text


def test_renal_doses_come_where_they_are_asked_for(corpus):
    titles = [record.title for record in _look_up(corpus, "gabapentin", ("renal",))]
    assert titles[0] == "Gabapentin: dose by kidney function"
    assert all("kidney" not in one.title for one in _look_up(corpus, "gabapentin", ("pregnancy",)))


def test_a_drug_that_only_guidelines_name_is_told_as_that(corpus):
    found = _look_up(corpus, "aspirin", ())
    assert found[0].text.startswith("No label of aspirin is on this machine")


def test_another_drugs_label_is_never_given(corpus):
    assert _look_up(corpus, "nosuchdrugium", ()) == ()
    titles = [record.title for record in _look_up(corpus, "rifampicin", ())]
    assert not any("demonstration data" in title for title in titles)
