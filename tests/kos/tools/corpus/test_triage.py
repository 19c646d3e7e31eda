"""Guidance: what must not be missed comes first, and nothing that is about something else."""

from __future__ import annotations

import pytest

from kos.tools.providers.local_triage import _look_up


@pytest.mark.parametrize(
    ("query", "card"),
    [
        ("chest pain", "Chest pain"),
        ("DVT", "Leg swelling or pain"),
        ("back pain", "Low back pain"),
        ("sore throat", "Sore throat"),
        ("anaphylaxis", "Allergic reaction"),
        ("suicidal thoughts", "Suicidal thoughts"),
    ],
)
def test_red_flags_come_first(corpus, query, card):
    assert _look_up(corpus, query)[0].title == f"{card}: red flags (Kos sample)"


def test_a_symptom_brings_its_differential(corpus):
    titles = [record.title for record in _look_up(corpus, "chest pain")]
    assert "Chest Pain Differential Diagnosis" in titles


def test_a_differential_tells_its_red_flags_and_no_function_names(corpus):
    (record,) = corpus.search("differential", "chest pain", 1)
    assert "ST changes on ECG" in record.sections["Red flags"]
    assert "calculate_" not in record.text


def test_a_guideline_is_about_the_query(corpus):
    titles = [record.title for record in _look_up(corpus, "migraine")]
    assert not any("Perioperative" in title or "Burn" in title for title in titles)
