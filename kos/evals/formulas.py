"""Bedside formulas, each with its source. Rounding is left to the caller, except where a score
is defined on whole numbers.
"""

from __future__ import annotations

import math


def egfr_ckd_epi(creatinine: float, age: float, *, is_female: bool) -> float:
    """eGFR in mL/min/1.73 m2 from serum creatinine in mg/dL.

    Source: CKD-EPI 2021, without race (Inker et al., NEJM 2021;385:1737, table 2).
    """
    kappa, alpha = (0.7, -0.241) if is_female else (0.9, -0.302)
    low, high = min(creatinine / kappa, 1.0), max(creatinine / kappa, 1.0)
    factor = 1.012 if is_female else 1.0
    return factor * 142 * math.pow(low, alpha) * math.pow(high, -1.200) * math.pow(0.9938, age)


def creatinine_clearance(
    age: float, weight: float, creatinine: float, *, is_female: bool
) -> float:
    """Creatinine clearance in mL/min; weight in kg, serum creatinine in mg/dL.

    Source: Cockcroft and Gault, Nephron 1976;16:31.
    """
    return (140 - age) * weight / (72 * creatinine) * (0.85 if is_female else 1.0)


def body_mass_index(weight: float, height: float) -> float:
    """Weight in kg over the square of the height, which is given in cm.

    Source: Quetelet; the classes of WHO Technical Report Series 894 (2000) rest on it.
    """
    return weight / (height / 100) ** 2


def body_surface(weight: float, height: float) -> float:
    """Body surface area in m2 from kg and cm. Source: Mosteller, NEJM 1987;317:1098."""
    return math.sqrt(weight * height / 3600)


def anion_gap(sodium: float, chloride: float, bicarbonate: float, albumin: float = 4.0) -> float:
    """Anion gap in mmol/L, without potassium, 2.5 more for each g/dL of albumin below 4.

    Source: Figge et al., Crit Care Med 1998;26:1807 (the correction).
    """
    return sodium - chloride - bicarbonate + 2.5 * (4.0 - albumin)


def corrected_calcium(calcium: float, albumin: float) -> float:
    """Calcium in mg/dL for an albumin of 4 g/dL. Source: Payne et al., BMJ 1973;4:643."""
    return calcium + 0.8 * (4.0 - albumin)


def corrected_sodium(sodium: float, glucose: float) -> float:
    """Sodium in mmol/L for a glucose of 100 mg/dL, 2.4 for each 100 mg/dL above.

    Source: Hillier et al., Am J Med 1999;106:399.
    """
    return sodium + 2.4 * (glucose - 100) / 100


def osmolality(sodium: float, glucose: float, urea_nitrogen: float) -> float:
    """Serum osmolality in mOsm/kg; glucose and urea nitrogen (BUN) in mg/dL.

    Source: Dorwart and Chalmers, Clin Chem 1975;21:190 (the simple form in bedside use).
    """
    return 2 * sodium + glucose / 18 + urea_nitrogen / 2.8


def meld(
    *,
    bilirubin: float,
    inr: float,
    creatinine: float,
    sodium: float,
    albumin: float,
    is_female: bool,
) -> int:
    """MELD 3.0, 6 to 40; bilirubin and creatinine in mg/dL, sodium in mmol/L, albumin in g/dL.

    Source: Kim et al., Gastroenterology 2021;161:1887: bilirubin, INR and creatinine from 1,
    creatinine to 3.0, sodium 125 to 137, albumin 1.5 to 3.5.
    """
    log_bilirubin, log_inr = math.log(max(bilirubin, 1.0)), math.log(max(inr, 1.0))
    log_creatinine = math.log(min(max(creatinine, 1.0), 3.0))
    missing_sodium = 137 - min(max(sodium, 125.0), 137.0)
    missing_albumin = 3.5 - min(max(albumin, 1.5), 3.5)
    total = (
        1.33 * is_female
        + 4.56 * log_bilirubin
        + 0.82 * missing_sodium
        - 0.24 * missing_sodium * log_bilirubin
        + 9.09 * log_inr
        + 11.14 * log_creatinine
        + 1.85 * missing_albumin
        - 1.83 * missing_albumin * log_creatinine
        + 6
    )
    return min(40, max(6, math.floor(total + 0.5)))


def qt_corrected(qt: float, heart_rate: float) -> float:
    """QT in ms for a rate of 60 a minute, by the cube root (Fridericia, Acta Med Scand 1920)."""
    return qt / math.cbrt(60 / heart_rate)


def fibrosis_4(age: float, ast: float, alt: float, platelets: float) -> float:
    """FIB-4; AST and ALT in U/L, platelets in 10^9/L (Sterling et al., Hepatology 2006;43:1317)."""
    return age * ast / (platelets * math.sqrt(alt))


def chads_vasc(
    age: int,
    *,
    is_female: bool,
    heart_failure: bool,
    hypertension: bool,
    diabetes: bool,
    stroke: bool,
    vascular: bool,
) -> int:
    """CHA2DS2-VASc, 0 to 9. Source: Lip et al., Chest 2010;137:263."""
    points = [heart_failure, hypertension, diabetes, vascular, is_female]
    return sum(points) + 2 * stroke + (2 if age >= 75 else 1 if age >= 65 else 0)


def has_bled(
    *,
    hypertension: bool,
    renal: bool,
    liver: bool,
    stroke: bool,
    bleeding: bool,
    labile_inr: bool,
    elderly: bool,
    drugs: bool,
    alcohol: bool,
) -> int:
    """HAS-BLED, 0 to 9. Source: Pisters et al., Chest 2010;138:1093."""
    return sum([hypertension, renal, liver, stroke, bleeding, labile_inr, elderly, drugs, alcohol])


def wells_dvt(
    *,
    cancer: bool,
    immobile: bool,
    bedridden: bool,
    tender: bool,
    leg_swollen: bool,
    calf_swollen: bool,
    pitting: bool,
    collaterals: bool,
    earlier_dvt: bool,
    other_likely: bool,
) -> int:
    """Wells score for deep vein thrombosis, -2 to 9. Source: Wells et al., NEJM 2003;349:1227."""
    signs = [cancer, immobile, bedridden, tender, leg_swollen, calf_swollen, pitting]
    return sum([*signs, collaterals, earlier_dvt]) - 2 * other_likely


def curb_65(
    age: int,
    *,
    is_confused: bool,
    urea_nitrogen: float,
    breaths: int,
    systolic: int,
    diastolic: int,
) -> int:
    """CURB-65, 0 to 5; urea nitrogen (BUN) in mg/dL, more than 19 counts.

    Source: Lim et al., Thorax 2003;58:377 (urea above 7 mmol/L).
    """
    is_low = systolic < 90 or diastolic <= 60
    return sum([is_confused, urea_nitrogen > 19, breaths >= 30, is_low, age >= 65])


def volume_by_weight(weight: float, dose: float, concentration: float, most: float) -> float:
    """mL of a medicine a dose: ``dose`` mg/kg, at most ``most`` mg, at ``concentration`` mg/mL."""
    return min(weight * dose, most) / concentration


def infusion_rate(weight: float, dose: float, amount: float, volume: float) -> float:
    """mL/h of an infusion: ``dose`` in mcg/kg/min from ``amount`` mg in ``volume`` mL."""
    return dose * weight * 60 / (1000 * amount / volume)


def mean_arterial_pressure(systolic: float, diastolic: float) -> float:
    """Diastolic plus a third of the pulse pressure, in mmHg."""
    return diastolic + (systolic - diastolic) / 3
