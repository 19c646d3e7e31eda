"""Questions to begin with, by use case. Written for Kos; they tell of no real person."""

from __future__ import annotations

from typing import NamedTuple


class UseCase(NamedTuple):
    """What somebody wants to do, and questions that show it."""

    label: str
    questions: tuple[str, ...]


USE_CASES = (
    UseCase(
        "Consult",
        (
            "A 58-year-old has had chest pressure for 40 minutes, sweating, and a first normal "
            "ECG. What must not be missed, and what comes next?",
            "Which drugs interact with warfarin when clarithromycin is started, and what would "
            "you check?",
            "Fever of 39 °C in an 8-week-old who feeds a little less: who needs to be seen "
            "today, and what are the red flags?",
            "Acute gout with an eGFR of 35: what can be given, what is better avoided?",
        ),
    ),
    UseCase(
        "Writing",
        (
            "Write a short letter to a patient, in plain words, on how to take alendronate and "
            "when to stop and call.",
            "Turn these notes into an SBAR handover: 71 y, day 2 after hip repair, new "
            "confusion, SpO2 90 % on air, temperature 38.1, no pain.",
            "Draft discharge advice after a mild concussion, with the signs that mean: come "
            "back at once.",
            "Find the ICD-10-CM code for type 2 diabetes with diabetic chronic kidney disease "
            "and say what must be coded with it.",
        ),
    ),
    UseCase(
        "Research",
        (
            "What do randomised trials say about SGLT2 inhibitors in heart failure with "
            "preserved ejection fraction? Cite them.",
            "Which clinical trials are recruiting for semaglutide in chronic kidney disease?",
            "Compare the labels of apixaban and rivaroxaban on dosing in renal impairment.",
            "What is the evidence for procalcitonin to stop antibiotics in sepsis, and how "
            "sure is it?",
        ),
    ),
)
