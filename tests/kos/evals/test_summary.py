"""The run page's content, and the file that is sent to somebody without an account."""

from __future__ import annotations

import html.parser
import json

import pytest

from kos.evals.compare import compare_runs
from kos.evals.html import to_html
from kos.evals.scores import Mode
from kos.evals.summary import plain, summarise
from kos.evals.tables import (
    arithmetic,
    example_rows,
    failed_items,
    item_rows,
    length_of,
    rates,
    triggered_faults,
)
from kos.events import ItemGrade
from tests.kos.evals.graded import make_answer, make_scored

HOSTILE = "<script>alert(1)</script>"


def a_run(score: float = 0.5, **fields: object) -> list:
    return [
        make_scored(
            f"p{n}",
            score if n % 3 else 1.0,
            sample=k,
            chars=500 * n,
            flags=("empty",) if n == 0 else (),
            slices={"use case": ("consult", "writing")[n % 2], "slice": ("a", "b")[n % 2]},
            **fields,
        )
        for n in range(12)
        for k in range(2)
    ]


def test_the_headline_block_holds_all_one_must_know() -> None:
    found = summarise(a_run(), Mode("healthbench")).headline
    assert (found.num_prompts, found.samples, found.empty.hits) == (12, (2, 2), 2)
    assert [other.mode.name for other in found.beside] == ["raw", "healthbench_len"]
    assert found.arithmetic.startswith("mean of 12 prompt means in mode healthbench = 0.6667")
    assert found.parts is not None
    assert found.worst[2] == pytest.approx(found.score.value or 0)


def test_a_clipped_headline_shows_the_mean_it_hides() -> None:
    found = summarise([make_scored("a", -2.0), make_scored("b", 1.0)], Mode()).headline
    assert "= -0.5000, clipped to [0, 1]: 0.0000" in found.arithmetic


def test_flags_are_counted_even_at_zero() -> None:
    found = {rate.flag: rate.hits for rate in rates([make_scored("a", 1, flags=("new_flag",))])}
    assert found["think_leak"] == 0
    assert found["new_flag"] == 1


def test_length_is_set_against_the_score() -> None:
    answers = [make_scored(str(n), n / 10, chars=1000 * n) for n in range(1, 10)]
    found = length_of(answers)
    assert found.line.slope == pytest.approx(1e-4)
    assert found.line.r == pytest.approx(1)
    assert found.share_long == pytest.approx(5 / 9)
    assert sum(row.n for row in found.bins) == 9


def test_items_are_counted_by_what_went_wrong() -> None:
    answers = [make_answer(str(n), (10, n > 0), (-4, n == 0)) for n in range(4)]
    rows = item_rows(answers)
    (failed,), (fault,) = failed_items(rows), triggered_faults(rows)
    assert (failed.hits, failed.n, failed.points_lost) == (1, 4, 10)
    assert (fault.hits, fault.points_lost, fault.is_fault) == (1, 4, True)


def test_consensus_criteria_are_counted_together() -> None:
    answers = [
        make_answer(
            str(n), items=(ItemGrade(f"k{n}", f"t{n}", 5, False, "j", tags=("cluster:ask",)),)
        )
        for n in range(3)
    ]
    (row,) = item_rows(answers)
    assert (row.name, row.hits, row.text) == ("ask", 3, "")


def test_an_example_row_has_its_spread() -> None:
    answers = [make_scored("a", score, sample=k) for k, score in enumerate((0.2, 0.8))]
    (row,) = example_rows(answers, Mode())
    assert (row.value, row.num_graded) == (pytest.approx(0.5), 2)
    assert row.spread == pytest.approx(0.4243, abs=1e-4)


def test_the_arithmetic_of_an_answer_is_written_out() -> None:
    answer = make_answer("a", (17, True), (5, False), (-6, True), chars=2500)
    assert arithmetic(answer, Mode()) == "17 - 6 of 22 = 0.5"
    said = "17 - 6 of 22 = 0.5; 2,500 chars: -0.0147 -> 0.4853"
    assert arithmetic(answer, Mode("healthbench_len")) == said
    assert "1 of 1 items without" in arithmetic(make_answer("a", (5, None)), Mode())


def test_a_summary_is_plain_json() -> None:
    found = json.loads(json.dumps(plain(summarise(a_run(), Mode()))))
    assert found["headline"]["score"]["mode"] == "healthbench"
    assert found["partitions"][0]["family"] == "use case"


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_file_holds_no_script_and_fetches_nothing() -> None:
    summary = summarise(a_run(), Mode(), baseline=a_run(0.2))
    page = to_html(
        summary,
        title=HOSTILE,
        facts={HOSTILE: HOSTILE},
        stamp=HOSTILE,
        examples=example_rows(a_run(), Mode()),
        compared=compare_runs(a_run(), a_run(0.2), Mode()),
    )
    tags = Tags()
    tags.feed(page)
    assert not {"script", "link", "img", "iframe", "form"} & set(tags.names)
    assert not {"src", "href", "style"} & tags.attributes
    assert not any(name.startswith("on") for name in tags.attributes)
    assert "&lt;script&gt;" in page


def test_no_restricted_text_reaches_the_file() -> None:
    summary = summarise(a_run(restricted=True), Mode())
    compared = compare_runs(a_run(0.5, restricted=True), a_run(1.0, restricted=True), Mode())
    assert compared.regressions[0].flips
    page = to_html(summary, title="t", examples=(), compared=compared)
    assert "criterion" not in page.replace(">criterion<", "")
    assert "criterion" not in json.dumps(plain(summary))
    assert "criterion 0" in to_html(summarise(a_run(), Mode()), title="t")
