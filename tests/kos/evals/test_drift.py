from __future__ import annotations

from kos.evals import markdown
from kos.evals.drift import compared, measured
from tests.kos.evals.test_regressions import said, tool


def row(rows, name):
    return next(one for one in rows if one["name"] == name)


def test_a_rate_names_the_flags_behind_it():
    found = measured([said("x", "stray_think_close"), said(), said("y", "think_leak")])
    leak = row(found["rates"], "think_leak")
    assert (leak["hits"], leak["flags"]) == (2, [("stray_think_close", 1), ("think_leak", 1)])
    assert found["bands"]["think_leak"]["turns"][0]["n"] == 3


def test_two_arms_are_compared_with_holm_over_all_rates():
    json_arm = {
        (f"p{n}", 0): said("x", *(["unclosed_call"] if n < 40 else [])) for n in range(100)
    }
    typescript = {(f"q{n}", 0): said("x") for n in range(100)}
    found = compared(json_arm, typescript)
    change = row(found["rates"], "unclosed_call")
    assert (change["before"]["hits"], change["after"]["hits"]) == (40, 0)
    assert change["difference"] == -0.4
    assert change["p"] < change["p_holm"] < 0.001
    assert row(found["rates"], "think_leak")["p_holm"] == 1.0


def test_calling_tools_is_held_against_the_baseline():
    before = {("a", 0): said(tools=(tool(),)), ("b", 0): said(tools=(tool(),))}
    after = {("a", 0): said(tools=(tool(),)), ("b", 0): said()}
    assert compared(before, after)["calls"]["f1"] == 2 / 3


def test_an_arm_without_answers_has_no_comparison():
    assert compared({}, {("a", 0): said()})["rates"] == []
    assert measured([])["style"] is None


def test_markdown_tells_rates_words_and_what_differs():
    arms = {"base": [said("Take ZQX today.")], "trained": [said("x", "think_leak")]}
    page = "\n".join(markdown.regressions({name: measured(group) for name, group in arms.items()}))
    assert "| Thinking leaked into the answer | answers | 0/1 (0.0 % to 79.3 %) | 1/1" in page
    assert "unknown abbreviations of base: ZQX (1)" in page
    assert "Calls that failed" not in page
