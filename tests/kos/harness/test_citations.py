from __future__ import annotations

import pytest

from kos.harness import citations
from kos.harness.citations import SourceBook
from tests.kos.harness import stage
from tests.kos.harness.stage import Echo, Player, found, kimi_calls


def book_of(number: int) -> SourceBook:
    book = SourceBook()
    for place in range(number):
        book.add(found(f"text {place}", title=f"T{place}").records[0])
    return book


@pytest.mark.parametrize(
    ("answer", "clean"),
    [
        ("Rest [S1].", "Rest [S1]."),
        ("Rest [S9].", "Rest."),
        ("Rest [S1, S9].", "Rest [S1]."),
        ("Rest [S1][S2]; drink [S8; 2].", "Rest [S1][S2]; drink [S2]."),
        ("See [1] and [SOS].", "See [1] and [SOS]."),
    ],
)
def test_what_nobody_found_is_not_cited(answer, clean):
    checked = citations.check(answer, book_of(2))
    assert checked.answer == clean
    assert ("unknown_citation" in checked.flags) == (clean != answer)


def test_footnotes_count_in_the_order_of_the_answer():
    cited = citations.check("A [S2]. B [S1]. C [S2, S1].", book_of(2)).citations
    assert [(one.number, one.id, one.num_uses) for one in cited] == [(1, "S2", 2), (2, "S1", 2)]
    assert cited[0].title == "T1"
    assert cited[0].provenance["mode"] == "embedded"


@pytest.mark.parametrize(
    ("url", "is_flagged"),
    [
        ("https://example.org/T0", False),
        ("https://example.org/T0/", False),
        ("https://asked.example/a", False),
        ("https://example.org/other", True),
    ],
)
def test_an_address_that_nobody_found_is_flagged(url, is_flagged):
    checked = citations.check(f"See {url}.", book_of(1), ["https://asked.example/a"])
    assert ("unsupported_url" in checked.flags) == is_flagged


def test_a_page_of_the_book_shares_numbers_and_not_what_was_seen():
    book = book_of(1)
    page = book.page()
    assert page.add(found("new").records[0]).id == "S2"
    assert ([*book.seen], [*page.seen]) == (["S1"], ["S2"])
    assert citations.check("[S1]", page).flags == ("unknown_citation",)


async def test_the_loop_checks_its_answer():
    player = Player([kimi_calls(("echo", {"query": "a"})), "</think>So [S1], not [S4]."])
    end = await stage.done(stage.harness(player, Echo()))
    assert end.message.content == "So [S1], not."
    assert end.flags == ("unknown_citation",)
    assert [one.id for one in end.citations] == ["S1"]
    assert end.raw.endswith("not [S4].")
