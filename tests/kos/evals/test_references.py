from __future__ import annotations

from kos.evals.references import benchmarks, beside, references
from kos.evals.scores import Mode

ADJUSTED = Mode("healthbench_len")


def test_every_row_says_where_it_is_from_and_how_it_was_made() -> None:
    assert all(row.source and row.implementation and row.mode for row in references())
    assert {"healthbench_professional", "healthbench_hard", "healthbench_meta"} <= set(
        benchmarks()
    )


def test_physicians_stand_beside_professional_scores() -> None:
    rows = {row.system: row.value for row in beside("healthbench_professional", ADJUSTED)}
    assert rows["Physicians"] == 43.7
    assert rows["Kos-1 Experimental"] == 57.8


def test_rows_of_another_mode_are_never_beside_a_score() -> None:
    systems = [row.system for row in beside("healthbench_hard", Mode("healthbench"))]
    assert systems.count("gpt-4.1-mini") == 1
    assert beside("healthbench_professional", Mode("healthbench")) == []
    assert beside("healthbench_professional", Mode("healthbench_len", coef=1e-5)) == []


def test_a_slice_has_its_own_rows() -> None:
    rows = beside("healthbench_professional", ADJUSTED, place="use case: writing")
    assert rows[0].system == "ChatGPT for Clinicians"
