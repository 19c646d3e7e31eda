"""A number that somebody typed is one that the database can be asked for."""

from __future__ import annotations

import pytest

from apps.accounts.hits import number_in
from apps.accounts.numerals import number


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("42", 42), ("9" * 15, 10**15 - 1)])
def test_digits_alone_are_a_number(text: str, value: int) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["", " 4", "-1", "+1", "1.0", "1_0", "٣", "²", "9" * 16])
def test_anything_else_is_none(text: str) -> None:
    assert number(text) is None


def test_a_field_says_how_many_digits_it_takes() -> None:
    assert number("123", most=3) == 123
    assert number("1234", most=3) is None


def test_a_search_takes_a_number_with_its_mark() -> None:
    assert number_in(" #12 ") == 12
    assert number_in("twelve") is None
