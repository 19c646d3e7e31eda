from __future__ import annotations

import pytest

from kos.chat.identifiers import LABELS, find, is_nhs_number


def kinds(text: str) -> list[str]:
    return [one.kind for one in find(text)]


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("Mrs Jones has gout.", "name", "Jones"),
        ("I saw Mr. J O'Brien today", "name", "J O'Brien"),
        ("The patient's name is Mary Smith, 68.", "name", "Mary Smith"),
        ("Patient: Anna-Lena Berg", "name", None),
        ("DOB 12/03/1956, chest pain", "birth_date", "12/03/1956"),
        ("date of birth: 1956-03-12", "birth_date", "1956-03-12"),
        ("She was born on 12 March 1956.", "birth_date", "12 March 1956"),
        ("born March 12, 1956", "birth_date", "March 12, 1956"),
        ("MRN: 00482913", "record", "00482913"),
        ("hospital number RX-1234567", "record", "RX-1234567"),
        # The example of the NHS Data Dictionary.
        ("NHS 943 476 5919 on warfarin", "nhs", "943 476 5919"),
        ("SSN is 219-09-9999", "ssn", "219-09-9999"),
        ("social security number 219 09 9999", "ssn", "219 09 9999"),
        ("call her on +44 7700 900123", "phone", "+44 7700 900123"),
        ("(555) 123-4567 is his wife", "phone", "(555) 123-4567"),
        ("ring 07700900123", "phone", "07700900123"),
        ("tel: 020 7946 0018", "phone", "020 7946 0018"),
        ("write to mary.smith+1@nhs.example.uk please", "email", "mary.smith+1@nhs.example.uk"),
        ("lives at 12 Acacia Avenue", "address", "12 Acacia Avenue"),
        ("postcode SW1A 1AA", "address", "SW1A 1AA"),
        ("Springfield, IL 62704", "address", ", IL 62704"),
    ],
)
def test_what_tells_who_somebody_is_is_found(text, kind, found):
    assert kinds(text) == [kind]
    assert found is None or find(text)[0].text == found


@pytest.mark.parametrize(
    "text",
    [
        "A 68-year-old man with BP 120/80 and eGFR 42 takes metformin 500 mg twice daily.",
        "Is B12 5MG once weekly right?",
        "Compare NCT01234567 with PMID 31234567 and doi 10.1056/NEJMoa0904327.",
        "See https://example.org/patient/12345678?tel=0207946001 for the guideline of 12/03/2021.",
        "A condition named Parkinson Disease, or called Guillain-Barr\u00e9.",
        "Call 999 or 911. Give 1,000 mL over 24 h, 0.9 % saline, K 3.5-5.0.",
        "Miss a dose? Dr House says MS is common; 5 St John's wort tablets.",
        "Troponin 14, 52, 480 ng/L at 0/1/3 hours; ICD-10 I21.4; patient 2 of 3.",
        "Take 2 tablets at 08:00 and 20:00 for 10-14 days; 2019-2023 trends.",
    ],
)
def test_ordinary_clinical_text_is_let_through(text):
    assert find(text) == []


def test_places_are_those_of_the_text():
    text = "See https://x.org/1 about Mr Smith, DOB 1/2/1960."
    assert [text[one.start : one.end] for one in find(text)] == ["Smith", "1/2/1960"]


@pytest.mark.parametrize(
    ("number", "holds"),
    [("9434765919", True), ("943-476-5918", False), ("0000000000", False), ("94347659", False)],
)
def test_an_nhs_number_carries_its_check_digit(number, holds):
    assert is_nhs_number(number) is holds


def test_a_number_never_given_out_is_no_social_security_number():
    assert kinds("000-12-3456 666-12-3456 912-12-3456 123-00-4567 123-45-0000") == []


def test_one_place_is_claimed_once_and_every_kind_has_words():
    found = find("NHS number 943 476 5919")
    assert [one.kind for one in found] == ["nhs"]
    assert found[0].label == LABELS["nhs"]
