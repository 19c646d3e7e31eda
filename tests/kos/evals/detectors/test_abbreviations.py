from __future__ import annotations

import json

import pytest

from kos.evals.detectors.abbreviations import count, is_expanded
from tests.shared import shared


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        ("Patients with CKD and HFrEF need SpO2.", 3),
        ("The hyperK was 6 mL and the pH fell.", 3),
        ("Vitamin B12 and then K helps.", 2),
        ("A cough. I went home. A man.", 0),
        ("Take it with food.", 0),
        ("WHEN TO SEEK HELP\nCall now.", 0),
        ("See https://www.NHS.uk/CKD for more [S1].", 0),
    ],
)
def test_words_count_by_the_four_rules(text, strict):
    assert count(text).strict == strict


def test_shorthand_is_counted_apart():
    found = count("Give 500 mg PO q8h, s/p surgery, pt stable.")
    assert (found.strict, found.loose) == (1, 4)


def test_an_abbreviation_nobody_knows_is_invented():
    assert count("Check ZKQ and CKD daily.").invented == ("ZKQ",)


@pytest.mark.parametrize(
    "text", ["Zonal knee quotient (ZKQ) is high; ZKQ rises.", "ZKQ (zonal knee quotient) is high."]
)
def test_one_that_is_spelt_out_is_not(text):
    assert count(text).invented == ()


def test_one_that_the_model_had_read_is_not():
    assert count("Your ZKQ is high.", "What does a ZKQ of 4 mean?").invented == ()


@pytest.mark.parametrize("word", ["Non-Hodgkin", "IIIB", "COVID-19", "SGLT2", "NSAIDs", "U.S"])
def test_ordinary_words_and_known_ones_are_not_invented(word):
    assert count(f"This is {word} here.").invented == ()


def test_a_long_form_must_spell_the_letters_in_their_order():
    assert is_expanded("CKD", "chronic kidney disease (CKD)")
    assert not is_expanded("CKD", "disease of the heart (CKD)")


def test_lay_texts_have_about_fifteen_in_a_thousand_words():
    words = strict = 0
    lines = shared("medquad/medquad_gov_topics.jsonl").read_text().splitlines()
    for number, line in enumerate(lines):
        if number % 8 == 0:
            found = count("\n".join(str(qa.get("a", "")) for qa in json.loads(line)["qa"]))
            words, strict = words + found.words, strict + found.strict
    assert 13 < 1000 * strict / words < 17
