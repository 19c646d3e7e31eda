from __future__ import annotations

from apps.traces.models import Trace
from apps.traces.timeline import timeline

TURN = {"turn": 1, "started": 0.0, "seconds": 1.0, "num_tokens": 7, "first_token_seconds": 0.25}
CALL = {
    "call": {"id": "1", "name": "look_up", "arguments": "{}"},
    "started": 1.0,
    "seconds": 3.0,
    "is_error": False,
    "mode": "live",
}


def test_bars_stand_where_and_as_long_as_things_took():
    found = timeline(Trace(turns=[TURN], tools=[CALL]))
    assert [(bar.label, bar.x, bar.width) for bar in found.bars] == [
        ("Turn 1", 0, 250),
        ("look_up", 250, 750),
    ]
    assert found.total == 4
    assert [tick.seconds for tick in found.ticks] == [0, 1, 2, 3, 4]


def test_bars_stand_in_the_order_of_their_beginnings():
    late = TURN | {"turn": 2, "started": 4.0}
    found = timeline(Trace(turns=[TURN, late], tools=[CALL]))
    assert [bar.label for bar in found.bars] == ["Turn 1", "look_up", "Turn 2"]


def test_a_bar_says_what_it_was():
    failed = CALL | {"is_error": True, "mode": "", "agent": "helper"}
    turn, call = timeline(Trace(turns=[TURN], tools=[failed])).bars
    assert turn.note == "7 tokens, first after 0.25 s"
    assert (call.label, call.sort, call.note) == ("helper: look_up", "error", "error")


def test_the_shortest_call_can_still_be_seen():
    quick = CALL | {"seconds": 0.0}
    assert timeline(Trace(turns=[TURN], tools=[quick])).bars[1].width == 2


def test_without_times_there_is_no_timeline():
    assert timeline(Trace(turns=[], tools=[])) is None
