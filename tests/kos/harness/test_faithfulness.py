from __future__ import annotations

import pytest

from kos.harness import faithfulness
from kos.messages import Source
from kos.serving.client import ScriptedClient
from tests.kos.harness import stage
from tests.kos.harness.stage import Echo, Player, kimi_calls

LABEL = "Colchicine 0.6 mg is given twice daily. In severe renal impairment (CrCl <30 mL/min) start 0.3 mg."
SOURCES = {"S1": Source("S1", "Colchicine label", "", LABEL, {})}


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("Colchicine starts at 0.3 mg in severe renal impairment", True),
        ("Colchicine starts at 0.9 mg in severe renal impairment", False),
        ("Colchicine is given with Allopurinol Extended twice daily", False),
        ("Pregnant patients should avoid live vaccines during treatment", False),
        ("Yes", None),
    ],
)
def test_the_screening_finds_what_is_not_there(claim, verdict):
    assert faithfulness.screen(claim, [LABEL]).is_supported is verdict


def test_claims_are_the_sentences_that_cite():
    answer = "Rest first. Take 0.6 mg. [S1] Then call [S1, S2]! No more.\n- Colchicine [S2]"
    assert faithfulness.claims_of(answer) == [
        ("Take 0.6 mg.", ["S1"]),
        ("Then call!", ["S1", "S2"]),
        ("Colchicine", ["S2"]),
    ]


async def test_without_a_judge_it_is_called_a_screening():
    found = await faithfulness.check("Colchicine 0.6 mg is given twice daily [S1].", SOURCES)
    assert (found.method, found.share_supported) == ("screening", 1.0)


async def test_a_judge_reads_claim_and_source():
    judge = ScriptedClient(['{"supported": false, "reason": "It says twice."}'], piece=9)
    found = await faithfulness.check("It is given once [S1].", SOURCES, judge=judge)
    assert found.method.startswith("judge:")
    assert (found.claims[0].is_supported, found.claims[0].reason) == (False, "It says twice.")
    assert LABEL in judge.asked[0][0].content


async def test_a_judge_without_a_verdict_is_no_no():
    found = await faithfulness.check("It is [S1].", SOURCES, judge=ScriptedClient(["Hm."]))
    assert found.claims[0].is_supported is None
    assert found.share_supported is None


async def test_it_is_done_when_asked_for():
    player = Player([kimi_calls(("echo", {"query": "gout"})), "</think>Gout needs 9 mg [S1]."])
    of = stage.harness(player, Echo(), options={"faithfulness": True})
    assert (await stage.done(of)).faithfulness.claims[0].is_supported is False
