from __future__ import annotations

import pickle

import pytest

from apps.automation.seats import WATCHERS, FullError, Seats, Words


def seats(most: int, most_own: int) -> Seats:
    return Seats(Words("own {}", "all {}"), lambda: most, lambda: most_own)


def test_a_person_gets_so_many_and_no_more():
    some = seats(9, 1)
    with some.taken(1), pytest.raises(FullError, match="own 1") as refused:
        some.check(1)
    assert (refused.value.status, refused.value.is_own) == (429, True)


def test_another_person_still_finds_one():
    some = seats(9, 1)
    with some.taken(1), some.taken(2):
        assert some.num_taken == 2


def test_all_of_them_together_get_so_many():
    some = seats(2, 9)
    with some.taken(1), some.taken(2), pytest.raises(FullError, match="all 2") as refused:
        some.check(3)
    assert (refused.value.status, refused.value.is_own) == (503, False)


def test_a_seat_is_free_again_also_after_a_fault():
    some = seats(1, 1)
    with pytest.raises(ZeroDivisionError), some.taken(1):
        raise ZeroDivisionError
    some.check(1)
    assert some._of == {}


def test_zero_is_no_limit():
    some = seats(0, 0)
    with some.taken(1), some.taken(1):
        some.check(1)


def test_nobody_in_particular_counts_among_all_alone():
    some = seats(2, 1)
    with some.taken(None), some.taken(None), pytest.raises(FullError, match="all"):
        some.check(None)


def test_a_refusal_fits_into_a_socket_s_reason_and_travels():
    for words in WATCHERS._words:
        error = FullError(words.format(1_000_000), is_own=True)
        assert len(str(error).encode()) <= 123
        assert pickle.loads(pickle.dumps(error)).retry_seconds == error.retry_seconds
