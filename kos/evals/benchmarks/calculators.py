"""Clinical calculators: cases drawn from a seed, one right number each, no judge.

The formulas and their sources are in ``kos.evals.formulas``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from kos.data.rubrics import RubricTask, Verifier
from kos.evals import formulas
from kos.evals.benchmarks.base import (
    BENCHMARKS,
    Answers,
    Benchmark,
    Figure,
    pass_rates,
    tagged,
)
from kos.evals.scores import Mode

CLOSING = "Show the steps in a few lines, then end with one line: Answer: <number> {unit}"
# A rounding on the way may cost so much, relative to the right value.
ROUNDING = 0.02
ONE_DECIMAL = 0.06
Draw = random.Random


class Question(NamedTuple):
    """What is told and asked, and the right value.

    ``slack`` is relative, 0 for a score; ``step`` is what rounding as asked may cost.
    """

    text: str
    value: float
    unit: str
    slack: float = ROUNDING
    step: float = 0.006


@BENCHMARKS.register
class Calculators(Benchmark):
    """Clinical calculators with one right number."""

    kind: Literal["calculators"] = "calculators"
    cases: int = Field(5, ge=1, le=200, description="Cases of each calculator.")

    measures: ClassVar[str] = (
        "Arithmetic at the bedside: kidney function, electrolytes, scores, doses, infusion rates."
    )
    source: ClassVar[str] = "Made by Kos from published formulas"

    def settings(self) -> dict[str, Any]:
        """One sample at temperature 0, verified by rule."""
        return {
            "samples": 1,
            "scoring": "unit",
            "sampling": {"max_tokens": 1024, "temperature": 0.0},
            "grader": {"kind": "embedded"},
        }

    def tasks(self, seed: int = 0) -> list[RubricTask]:
        """``cases`` of each calculator, no two alike."""
        return [task for name in QUESTIONS for task in self._cases(name, seed)]

    def figures(
        self, tasks: Mapping[str, RubricTask], answers: Answers, mode: Mode
    ) -> list[Figure]:
        """The share of right numbers, in all and by calculator."""
        return pass_rates(tasks, answers, "right number")

    def _cases(self, name: str, seed: int) -> list[RubricTask]:
        draw = Draw(f"calculators,{name},{seed}")
        found: dict[str, Question] = {}
        while len(found) < self.cases:
            question = QUESTIONS[name](draw)
            found.setdefault(question.text, question)
        return [_task(name, number, seed, one) for number, one in enumerate(found.values())]


def _task(name: str, number: int, seed: int, question: Question) -> RubricTask:
    closing = CLOSING.format(unit=question.unit).rstrip()
    limits = {"rtol": question.slack, "atol": question.step if question.slack else 1e-9}
    return RubricTask(
        id=f"calculator-{name}-{seed}-{number}",
        messages=({"role": "user", "content": f"{question.text} {closing}"},),
        verifier=Verifier(
            kind="numeric", answer=f"{question.value:.6g}", params={**limits, "take": "first"}
        ),
        split="test",
        use_case="consult",
        tags=tagged("calculators", name.replace("_", " ")),
        licence="Apache-2.0",
        sources=("Kos; formula in kos.evals.formulas",),
    )


def _sex(draw: Draw) -> tuple[bool, str]:
    is_female = draw.random() < 0.5
    return is_female, "woman" if is_female else "man"


def _some(draw: Draw, signs: Mapping[str, str]) -> tuple[dict[str, bool], str]:
    """Which signs are there, and what the case tells of them."""
    found = {name: draw.random() < 0.4 for name in signs}
    present = [text for name, text in signs.items() if found[name]]
    absent = [text for name, text in signs.items() if not found[name]]
    told = f"Present: {', '.join(present) or 'none of the signs asked for'}."
    return found, f"{told} Absent: {', '.join(absent)}." if absent else told


def _egfr(draw: Draw) -> Question:
    age, creatinine = draw.randint(19, 92), round(draw.uniform(0.5, 5.5), 1)
    is_female, who = _sex(draw)
    value = formulas.egfr_ckd_epi(creatinine, age, is_female=is_female)
    text = f"A {age}-year-old {who} has a serum creatinine of {creatinine} mg/dL. What is the eGFR by CKD-EPI 2021 (creatinine, without race)?"
    return Question(text, value, "mL/min/1.73 m2")


def _clearance(draw: Draw) -> Question:
    age, weight = draw.randint(20, 90), draw.randint(42, 120)
    creatinine = round(draw.uniform(0.6, 4.5), 1)
    is_female, who = _sex(draw)
    value = formulas.creatinine_clearance(age, weight, creatinine, is_female=is_female)
    text = f"A {age}-year-old {who} weighs {weight} kg; serum creatinine is {creatinine} mg/dL. What is the creatinine clearance by Cockcroft and Gault, with the actual weight?"
    return Question(text, value, "mL/min")


def _bmi(draw: Draw) -> Question:
    weight, height = draw.randint(42, 150), draw.randint(148, 200)
    value = formulas.body_mass_index(weight, height)
    return Question(
        f"Weight {weight} kg, height {height} cm. What is the body mass index?", value, "kg/m2"
    )


def _surface(draw: Draw) -> Question:
    height = draw.randint(90, 200)
    weight = round(draw.uniform(15, 34) * (height / 100) ** 2)
    value = formulas.body_surface(weight, height)
    text = f"Weight {weight} kg, height {height} cm. What is the body surface area by Mosteller, to two decimals?"
    return Question(text, value, "m2")


def _gap(draw: Draw) -> Question:
    sodium, chloride = draw.randint(128, 150), draw.randint(92, 112)
    bicarbonate, albumin = draw.randint(8, 28), round(draw.uniform(1.6, 4.0), 1)
    value = formulas.anion_gap(sodium, chloride, bicarbonate, albumin)
    text = f"Sodium {sodium}, chloride {chloride}, bicarbonate {bicarbonate} mmol/L, albumin {albumin} g/dL. What is the anion gap without potassium, corrected for albumin (2.5 for each g/dL below 4), to one decimal?"
    return Question(text, value, "mmol/L", 0.005, ONE_DECIMAL)


def _calcium(draw: Draw) -> Question:
    calcium, albumin = round(draw.uniform(6.5, 13.0), 1), round(draw.uniform(1.5, 3.4), 1)
    value = formulas.corrected_calcium(calcium, albumin)
    text = f"Total calcium {calcium} mg/dL, albumin {albumin} g/dL. What is the calcium corrected for an albumin of 4 g/dL, to one decimal?"
    return Question(text, value, "mg/dL", 0.005, ONE_DECIMAL)


def _sodium(draw: Draw) -> Question:
    sodium, glucose = draw.randint(118, 140), draw.randint(250, 1100)
    value = formulas.corrected_sodium(sodium, glucose)
    text = f"Sodium {sodium} mmol/L, glucose {glucose} mg/dL. What is the sodium corrected for glucose by Hillier (2.4 for each 100 mg/dL above 100)?"
    # Two per cent of a sodium would let the uncorrected value pass.
    return Question(text, value, "mmol/L", 0.004)


def _osmolality(draw: Draw) -> Question:
    sodium, glucose, urea = draw.randint(120, 155), draw.randint(80, 700), draw.randint(8, 90)
    value = formulas.osmolality(sodium, glucose, urea)
    text = f"Sodium {sodium} mmol/L, glucose {glucose} mg/dL, urea nitrogen (BUN) {urea} mg/dL. What is the calculated serum osmolality?"
    return Question(text, value, "mOsm/kg", 0.004)


def _meld(draw: Draw) -> Question:
    is_female, who = _sex(draw)
    values = {
        "bilirubin": round(draw.uniform(0.6, 14), 1),
        "inr": round(draw.uniform(0.9, 3.2), 1),
        "creatinine": round(draw.uniform(0.6, 3.8), 1),
        "sodium": draw.randint(120, 142),
        "albumin": round(draw.uniform(1.3, 4.2), 1),
    }
    value = formulas.meld(**values, is_female=is_female)
    told = "bilirubin {bilirubin} mg/dL, INR {inr}, creatinine {creatinine} mg/dL, sodium {sodium} mmol/L, albumin {albumin} g/dL".format(
        **values
    )
    return Question(
        f"A {who} with cirrhosis, not on dialysis: {told}. What is the MELD 3.0 score?",
        value,
        "",
        0,
    )


def _qt(draw: Draw) -> Question:
    qt, heart_rate = draw.randint(320, 480), draw.randint(48, 120)
    text = f"QT {qt} ms at a heart rate of {heart_rate} a minute. What is the QTc by Fridericia?"
    return Question(text, formulas.qt_corrected(qt, heart_rate), "ms", 0.005)


def _fib4(draw: Draw) -> Question:
    age, ast, alt = draw.randint(35, 80), draw.randint(18, 160), draw.randint(15, 180)
    platelets = draw.randint(60, 340)
    value = formulas.fibrosis_4(age, ast, alt, platelets)
    text = f"Age {age} years, AST {ast} U/L, ALT {alt} U/L, platelets {platelets} x 10^9/L. What is the FIB-4 index, to two decimals?"
    return Question(text, value, "")


def _chads(draw: Draw) -> Question:
    age = draw.randint(45, 90)
    is_female, who = _sex(draw)
    signs = {
        "heart_failure": "heart failure",
        "hypertension": "hypertension",
        "diabetes": "diabetes",
        "stroke": "an earlier stroke",
        "vascular": "an earlier myocardial infarction",
    }
    found, told = _some(draw, signs)
    value = formulas.chads_vasc(age, is_female=is_female, **found)
    text = (
        f"A {age}-year-old {who} with atrial fibrillation. {told} What is the CHA2DS2-VASc score?"
    )
    return Question(text, value, "points", 0)


def _bled(draw: Draw) -> Question:
    signs = {
        "hypertension": "systolic pressure above 160 mmHg",
        "renal": "dialysis",
        "liver": "cirrhosis",
        "stroke": "an earlier stroke",
        "bleeding": "an earlier major bleeding",
        "labile_inr": "labile INR",
        "drugs": "daily ibuprofen",
        "alcohol": "ten drinks of alcohol a week",
    }
    found, told = _some(draw, signs)
    age = draw.randint(45, 88)
    value = formulas.has_bled(**found, elderly=age > 65)
    text = f"A {age}-year-old takes warfarin. {told} What is the HAS-BLED score?"
    return Question(text, value, "points", 0)


def _wells(draw: Draw) -> Question:
    signs = {
        "cancer": "active cancer",
        "immobile": "a plaster cast on the leg",
        "bedridden": "major surgery two weeks ago",
        "tender": "tenderness along the deep veins",
        "leg_swollen": "swelling of the entire leg",
        "calf_swollen": "a calf 4 cm thicker than the other",
        "pitting": "pitting oedema of that leg alone",
        "collaterals": "collateral superficial veins",
        "earlier_dvt": "an earlier deep vein thrombosis",
        "other_likely": "another diagnosis at least as likely",
    }
    found, told = _some(draw, signs)
    text = f"A swollen leg. {told} What is the Wells score for deep vein thrombosis (with the item for an earlier thrombosis)?"
    return Question(text, formulas.wells_dvt(**found), "points", 0)


def _curb(draw: Draw) -> Question:
    age, urea, breaths = draw.randint(25, 92), draw.randint(8, 45), draw.randint(14, 38)
    systolic, diastolic = draw.randint(78, 150), draw.randint(48, 90)
    diastolic, is_confused = min(diastolic, systolic - 15), draw.random() < 0.4
    value = formulas.curb_65(
        age,
        is_confused=is_confused,
        urea_nitrogen=urea,
        breaths=breaths,
        systolic=systolic,
        diastolic=diastolic,
    )
    mind = "newly confused" if is_confused else "not confused"
    text = f"Pneumonia in a {age}-year-old, {mind}: urea nitrogen (BUN) {urea} mg/dL, {breaths} breaths a minute, blood pressure {systolic}/{diastolic} mmHg. What is the CURB-65 score?"
    return Question(text, value, "points", 0)


def _paediatric(draw: Draw) -> Question:
    name, dose, concentration, most = draw.choice(
        (
            ("paracetamol", 15, 24, 1000),
            ("ibuprofen", 10, 20, 400),
            ("amoxicillin", 25, 50, 1000),
            ("ondansetron", 0.15, 0.8, 8),
            ("prednisolone", 1, 5, 40),
        )
    )
    weight = round(draw.uniform(5, 48), 1)
    value = formulas.volume_by_weight(weight, dose, concentration, most)
    text = f"A child of {weight} kg is to get {name} at {dose} mg/kg a dose, at most {most} mg a dose. The liquid has {concentration} mg/mL. How many mL are one dose, to one decimal?"
    return Question(text, value, "mL", ROUNDING, ONE_DECIMAL)


def _infusion(draw: Draw) -> Question:
    name, dose, amount, volume = draw.choice(
        (
            ("noradrenaline", round(draw.uniform(0.03, 0.6), 2), 8, 250),
            ("dopamine", draw.randint(3, 15), 400, 250),
            ("dobutamine", round(draw.uniform(2.5, 12), 1), 250, 250),
            ("adrenaline", round(draw.uniform(0.02, 0.4), 2), 4, 250),
        )
    )
    weight = draw.randint(45, 120)
    value = formulas.infusion_rate(weight, dose, amount, volume)
    text = f"{name.capitalize()} {amount} mg in {volume} mL is to run at {dose} mcg/kg/min in a patient of {weight} kg. What is the rate of the pump, to one decimal?"
    return Question(text, value, "mL/h", ROUNDING, ONE_DECIMAL)


def _pressure(draw: Draw) -> Question:
    systolic = draw.randint(80, 210)
    diastolic = draw.randint(40, systolic - 25)
    text = f"Blood pressure {systolic}/{diastolic} mmHg. What is the mean arterial pressure (diastolic plus a third of the pulse pressure)?"
    return Question(text, formulas.mean_arterial_pressure(systolic, diastolic), "mmHg", 0.008)


QUESTIONS: Mapping[str, Callable[[Draw], Question]] = {
    "ckd_epi_2021": _egfr,
    "cockcroft_gault": _clearance,
    "body_mass_index": _bmi,
    "body_surface": _surface,
    "anion_gap": _gap,
    "corrected_calcium": _calcium,
    "corrected_sodium": _sodium,
    "osmolality": _osmolality,
    "meld_3": _meld,
    "qtc_fridericia": _qt,
    "fib_4": _fib4,
    "chads_vasc": _chads,
    "has_bled": _bled,
    "wells_dvt": _wells,
    "curb_65": _curb,
    "paediatric_dose": _paediatric,
    "infusion_rate": _infusion,
    "mean_arterial_pressure": _pressure,
}
