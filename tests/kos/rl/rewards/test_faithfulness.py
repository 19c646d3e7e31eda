from __future__ import annotations

import pytest

from kos.messages import Source
from kos.rl.rewards.base import Outcome
from kos.rl.rewards.faithfulness import Faithfulness
from tests.kos.rl.rewards.groups import earn

LABEL = Source("S1", "Amoxicillin", "https://example.org", "Adults take 500 mg every 8 hours.", {})
TRUE = "Adults take amoxicillin 500 mg every 8 hours [S1]."
FALSE = "Adults take amoxicillin 750 mg every 8 hours [S1]."


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        (TRUE, 1.0),
        (FALSE, 0.8),
        (f"{TRUE} {FALSE}", 0.9),
        ("Adults take amoxicillin 500 mg.", 0.95),
        ("Yes [S1].", 1.0),
        ("Adults take amoxicillin 500 mg every 8 hours [S2].", 0.8),
    ],
)
def test_claims_that_the_source_does_not_bear_cost_reward(answer, reward):
    stage = Faithfulness(weight=0.2, uncited=0.05)
    assert earn([Outcome(1.0, 9, 9, answer, sources=(LABEL,))], stage) == pytest.approx([reward])


def test_an_answer_without_sources_is_left_alone():
    assert earn([Outcome(1.0, 9, 9, FALSE)], Faithfulness()) == [1.0]
