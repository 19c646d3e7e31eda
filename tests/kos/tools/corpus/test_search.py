"""Search over all kinds: expansion, ladder, addresses, provenance, threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from kos.tools.corpus.query import MAX_ALTERNATIVES, Term, distinct, ladder, terms_of, upright


def terms(corpus, query):
    with corpus._embedded().lend() as connection:
        return terms_of(query, connection)


def test_a_name_of_several_words_is_one_term_with_its_other_names(corpus):
    (term,) = terms(corpus, "heart attack")
    assert term.words == ("heart", "attack")
    assert "myocardial infarction" in term.alternatives


def test_a_term_has_six_other_names_at_most(corpus):
    assert max(len(one.alternatives) for one in terms(corpus, "stroke headache")) == 6
    assert MAX_ALTERNATIVES == 6


def test_an_acronym_is_searched_by_what_it_means_alone(corpus):
    (term,) = terms(corpus, "MI")
    assert (term.is_acronym, term.alternatives[0]) == (True, "myocardial infarction")
    assert '"MI"' not in next(ladder([term]))


def test_small_words_are_left_out_unless_nothing_else_is_there(corpus):
    assert [term.words for term in terms(corpus, "pain in the throat")][:1] == [("pain",)]
    assert terms(corpus, "the") == [Term(("the",))]


@pytest.mark.parametrize(
    "query", ["", "  ", '"', "***", "AND OR NOT", 'a" OR "b', "NEAR(x y)", "col:x"]
)
def test_no_query_breaks_the_index(corpus, query):
    assert isinstance(corpus.search("", query, 3), list)


def test_the_ladder_goes_from_all_terms_to_any_title_word():
    steps = list(ladder([Term(("a",)), Term(("b",)), Term(("c",))]))
    assert steps[0] == '(("a")) AND (("b")) AND (("c"))'
    assert len(steps) == 3
    assert steps[-1].startswith("{title terms} : (")


def test_an_inverted_heading_is_turned_upright():
    assert upright("infarction, myocardial") == "myocardial infarction"
    assert distinct(["heart attacks", "cardiac arrest"], than=["heart", "attack"]) == (
        "cardiac arrest",
    )


def test_strict_search_gives_nothing_rather_than_something_else(corpus):
    assert corpus.search("redflag", "unicorn horn", 3, strictness="names") == []
    assert corpus.search("", "gout zzzzqqq", 3)
    assert corpus.search("", "gout zzzzqqq", 3, strictness="all") == []


def test_every_kind_is_searched_when_none_is_named(corpus):
    kinds = {record.url.split("/")[3] for record in corpus.search("", "gout", 30)}
    assert {"icd10cm", "guideline"} <= kinds


def test_a_record_is_found_again_by_its_address_and_by_its_source(corpus):
    hit = corpus.search("guideline", "gout flare", 1)[0]
    assert corpus.find(hit.url) == replace(hit, score=0.0)
    assert "Gout" in corpus.find("https://doi.org/10.1002/art.41247").title
    assert corpus.find("https://example.org/nowhere") is None


def test_a_record_says_where_it_comes_from(corpus):
    was = corpus.search("guideline", "gout flare", 1)[0].provenance
    assert (was.mode, was.licence) == ("embedded", "MIT")
    assert was.source_url == "https://doi.org/10.1002/art.41247"
    assert was.data_version.endswith("2020")
    assert was.retrieved_at
    assert was.attribution


def test_the_kinds_are_counted(corpus):
    kinds = corpus.kinds()
    assert kinds["guideline"] == 145
    assert kinds["differential"] == 14
    assert kinds["renal"] == 23
    assert (kinds["redflag"], kinds["label"]) == (22, 12)
    assert kinds["pubmed"] >= 43


def test_cited_works_have_a_doi_and_no_abstract(corpus):
    hit = corpus.search("pubmed", "gout management guideline", 1)[0]
    assert hit.url.startswith("https://doi.org/10.")
    assert "no abstract" in hit.text


def test_many_threads_may_search_at_once(corpus):
    barrier = threading.Barrier(8)

    def ask(query):
        barrier.wait()
        return [corpus.search("", query, 3)[0].title for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, ["gout", "asthma"] * 4))
    assert len({tuple(titles) for titles in found}) == 2
