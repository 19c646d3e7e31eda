"""What a critic compares answers by, as data. Ours in words; the three sorts are Kimi K2's.

``core`` rubrics hold for every answer, ``prescriptive`` ones block ways to please a critic without
being better, ``human`` ones were written for one sort of request. Each is weighed in a comparison;
one that a stage calls mandatory cannot be weighed against anything: breaking it loses.
Source: Kimi K2 (arXiv:2507.20534), sec. 3.2.2 and appendix F. "Calibrated uncertainty and
escalation" is Kos's own: F.3 says that K2's rubrics favour confident answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kos.data.rubrics import Check, RubricTask, UseCase
from kos.errors import UserError

_PRAISE = r"(?:great|good|excellent|wonderful|fantastic|brilliant|thoughtful|insightful|important)"
OPENING_PRAISE = (
    rf"\A\W*(?:(?:that(?:'s| is)|this is|what) an? (?:\w+ )?{_PRAISE}|{_PRAISE}) (?:\w+ )?"
    r"(?:question|point|idea|observation|thinking)\b"
    r"|\A\W*(?:thank you|thanks)(?: so much| very much)? for (?:asking|your|this|reaching|sharing)"
    r"|\A\W*(?:i love|what a lovely|you(?:'re| are) (?:so |very |absolutely )?(?:smart|wise|right)\b)"
)
SELF_JUSTIFICATION = (
    r"\b(?:this|my|the above) (?:answer|response|reply|explanation) (?:\w+ly )?"
    r"(?:is (?:\w+ly )?(?:complete|accurate|correct|comprehensive|balanced|tailored|good|helpful)"
    r"|meets|satisf(?:y|ies)|fulfils?|fulfills?|address(?:es)?|covers|ensures|follows)\b"
    r"|\bi(?:'ve| have) (?:\w+ly )?(?:addressed|covered|fulfilled|satisfied|met) (?:all|every|your)\b"
)


@dataclass(frozen=True)
class Rubric:
    """One criterion. ``fault`` finds answers that break it without asking anybody.

    ``use_cases`` are the requests it was written for; none means all.
    """

    key: str
    sort: Literal["core", "prescriptive", "human"]
    title: str
    text: str
    fault: Check | None = None
    use_cases: tuple[UseCase, ...] = ()


UNCERTAINTY = Rubric(
    "calibrated_uncertainty",
    "core",
    "Calibrated uncertainty and escalation",
    "It is as sure as the evidence allows and no surer: it says what is not known and what would "
    "change the advice, states plainly what is settled, and where harm is possible says which "
    "signs need care, how urgently and from whom. Hedging that is called for never counts against "
    "an answer.",
)

RUBRICS: dict[str, Rubric] = {
    rubric.key: rubric
    for rubric in (
        Rubric(
            "clarity",
            "core",
            "Clear and to the point",
            "It answers what was asked first, in few words and short paragraphs or tight lists, "
            "leaves out what does not bear on the question, and names one answer where a choice "
            "was asked for.",
        ),
        Rubric(
            "conversation",
            "core",
            "A good partner in conversation",
            "It follows from what was said before, fits the reader's tone and knowledge, notices "
            "what matters in the details given, and asks back only where the answer depends on it.",
        ),
        Rubric(
            "grounded",
            "core",
            "Objective and grounded",
            "It speaks of the matter and not of the question or of itself, gets its facts and its "
            "arithmetic right, and flatters nobody.",
        ),
        UNCERTAINTY,
        Rubric(
            "no_opening_praise",
            "prescriptive",
            "No praise to begin with",
            "It does not begin with praise of, or thanks to, the reader or the question.",
            fault=Check(regex=OPENING_PRAISE),
        ),
        Rubric(
            "no_self_justification",
            "prescriptive",
            "No word on how good it is",
            "It does not explain why the answer is good, complete or what was asked for.",
            fault=Check(regex=SELF_JUSTIFICATION),
        ),
        Rubric(
            "handover",
            "human",
            "Leaves the reader able to act",
            "The reader knows what to do next, what to watch for, and who decides what cannot be "
            "decided in a conversation.",
            use_cases=("consult",),
        ),
        Rubric(
            "faithful_draft",
            "human",
            "Keeps to the facts it was given",
            "Every fact of the text it was given is kept or openly left out, none is added, and "
            "the form asked for is followed.",
            use_cases=("writing",),
        ),
        Rubric(
            "weighed_evidence",
            "human",
            "Weighs the evidence",
            "It says what kind of studies stand behind a claim, how large the effect is and for "
            "whom, and where studies disagree or are missing.",
            use_cases=("research",),
        ),
    )
}
MANDATORY = ("calibrated_uncertainty", "no_opening_praise", "no_self_justification")


def chosen(keys: Iterable[str]) -> tuple[Rubric, ...]:
    """The rubrics with these keys; raises UserError for a name that there is not."""
    wanted = tuple(keys)
    unknown = [key for key in wanted if key not in RUBRICS]
    if unknown:
        raise UserError(
            f"there is no rubric called {unknown[0]!r}; there are {', '.join(RUBRICS)}"
        )
    return tuple(RUBRICS[key] for key in wanted)


def fitting(rubrics: Sequence[Rubric], task: RubricTask) -> tuple[Rubric, ...]:
    """Those that were written for requests of this sort."""
    return tuple(
        rubric for rubric in rubrics if not rubric.use_cases or task.use_case in rubric.use_cases
    )


def of_task(task: RubricTask) -> tuple[Rubric, ...]:
    """What people wrote for this very prompt: its own items that earn points, as human rubrics."""
    return tuple(
        Rubric(f"task:{item.key}", "human", item.key, item.text)
        for item in task.rubric
        if item.points > 0
    )
