"""Kos's formulas against open-medicine's, which were written by others from the same papers."""

from __future__ import annotations

import importlib
import random

import pytest

from kos.data.rubrics import RubricTask
from kos.evals import formulas
from kos.evals.benchmarks.base import find
from kos.grading.verify import verify

CASES = 60


def theirs(module: str, name: str, **values):
    found = importlib.import_module(f"open_medicine.mcp.calculators.{module}")
    params = getattr(found, f"{name}Params")
    calculate = getattr(found, f"calculate_{module}")
    return calculate(params(**values)).value


@pytest.mark.parametrize("seed", range(CASES))
def test_kidney_function_agrees_with_another_implementation(seed):
    draw = random.Random(seed)
    age, weight, creatinine = draw.randint(20, 90), draw.randint(40, 120), draw.uniform(0.5, 5)
    for is_female in (True, False):
        known = {"age": age, "is_female": is_female, "serum_creatinine": creatinine}
        egfr = formulas.egfr_ckd_epi(creatinine, age, is_female=is_female)
        assert theirs("ckd_epi", "CKDEPI", **known) == pytest.approx(egfr, abs=0.51)
        ours = formulas.creatinine_clearance(age, weight, creatinine, is_female=is_female)
        other = theirs("cockcroft_gault", "CockcroftGault", weight=weight, **known)
        assert other == pytest.approx(ours, abs=0.06)


@pytest.mark.parametrize(
    ("module", "name", "values", "ours"),
    [
        ("corrected_calcium", "CorrectedCalcium", {"calcium": 8.0, "albumin": 2.5}, formulas.corrected_calcium(8.0, 2.5)),
        ("bsa_mosteller", "BSAMosteller", {"height_cm": 170, "weight_kg": 70}, formulas.body_surface(70, 170)),
        ("serum_osmolality", "SerumOsmolality", {"sodium": 140, "glucose": 90, "bun": 14}, formulas.osmolality(140, 90, 14)),
        ("fib4", "FIB4", {"age": 60, "ast": 80, "alt": 64, "platelets": 150}, formulas.fibrosis_4(60, 80, 64, 150)),
        ("anion_gap", "AnionGap", {"sodium": 140, "chloride": 100, "bicarbonate": 24}, formulas.anion_gap(140, 100, 24)),
    ],
)  # fmt: skip
def test_a_formula_agrees_with_another_implementation(module, name, values, ours):
    assert theirs(module, name, **values) == pytest.approx(ours, abs=0.06)


@pytest.mark.parametrize("seed", range(CASES))
def test_scores_agree_with_another_implementation(seed):
    draw = random.Random(seed)
    a, b, c, d, e, f = (draw.random() < 0.5 for _ in range(6))
    age = draw.randint(40, 90)
    ours = formulas.chads_vasc(
        age, is_female=a, heart_failure=b, hypertension=c, diabetes=d, stroke=e, vascular=f
    )
    known = {"congestive_heart_failure": b, "hypertension": c, "age": age, "diabetes": d}
    known |= {"stroke_tia_thromboembolism": e, "vascular_disease": f, "female_sex": a}
    assert theirs("chadsvasc", "CHADSVASc", **known) == ours
    signs = {"confusion": a, "bun": 15 + 10 * b, "respiratory_rate": 20 + 12 * c}
    signs |= {"systolic_bp": 110 - 30 * d, "diastolic_bp": 70 - 10 * e, "age": age}
    found = formulas.curb_65(
        age,
        is_confused=a,
        urea_nitrogen=15 + 10 * b,
        breaths=20 + 12 * c,
        systolic=110 - 30 * d,
        diastolic=70 - 10 * e,
    )
    assert theirs("curb65", "CURB65", **signs) == found


def test_meld_3_begins_at_6_and_gives_women_one_point_more():
    healthy = {"bilirubin": 1, "inr": 1, "creatinine": 1, "sodium": 137, "albumin": 3.5}
    assert formulas.meld(**healthy, is_female=False) == 6
    assert formulas.meld(**healthy, is_female=True) == 7
    ill = {"bilirubin": 30, "inr": 4, "creatinine": 5, "sodium": 110, "albumin": 1}
    assert formulas.meld(**ill, is_female=False) == 40
    # 4.56 ln 2 + 0.82 * 7 - 0.24 * 7 ln 2 + 9.09 ln 1.5 + 6, rounded: 17.42
    some = {"bilirubin": 2, "inr": 1.5, "creatinine": 0.8, "sodium": 130, "albumin": 4}
    assert formulas.meld(**some, is_female=False) == 17


def test_fridericia_and_infusions_by_hand():
    assert formulas.qt_corrected(400, 60) == pytest.approx(400)
    assert formulas.qt_corrected(400, 100) == pytest.approx(474.25, abs=0.01)
    # 0.1 mcg/kg/min in 70 kg is 420 mcg/h; 4 mg in 250 mL are 16 mcg/mL.
    assert formulas.infusion_rate(70, 0.1, 4, 250) == pytest.approx(26.25)
    assert formulas.volume_by_weight(80, 15, 24, 1000) == pytest.approx(1000 / 24)


TASKS = find("calculators").tasks(3)


def of(name: str) -> RubricTask:
    return next(task for task in TASKS if f"calculator-{name}-" in task.id)


def test_every_calculator_has_five_different_cases_and_a_seed_gives_the_same():
    assert len({task.messages[0].content for task in TASKS}) == 18 * 5
    assert find("calculators").tasks(3) == TASKS
    assert find("calculators").tasks(4) != TASKS


@pytest.mark.parametrize("name", sorted({task.tag_value("part") for task in TASKS}))
def test_a_rounded_answer_with_its_unit_is_right_and_a_wrong_one_is_not(name):
    task = next(task for task in TASKS if task.tag_value("part") == name)
    value = float(task.verifier.answer)
    places = 1 if "to one decimal" in task.messages[0].content else 2
    unit = task.messages[0].content.partition("<number>")[2]
    assert verify(task.verifier, f"Some steps: 1 + 1.\nAnswer: {value:.{places}f}{unit}") is True
    assert verify(task.verifier, f"Answer: {value + max(1, 0.05 * abs(value)):.1f}{unit}") is False


def test_the_uncorrected_value_does_not_pass():
    text = of("corrected_sodium").messages[0].content
    measured = text.split()[1]
    assert verify(of("corrected_sodium").verifier, f"Answer: {measured} mmol/L") is False
