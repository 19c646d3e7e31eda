"""The pages of the tools: who may see them, and that a key is never on one."""

from __future__ import annotations

import pytest

from apps.tools import services
from apps.tools.models import Key

READERS = ["/tools/", "/tools/search_icd/", "/tools/corpora/"]
SECRET = "nhs-secret-key-0042"


@pytest.mark.parametrize("url", READERS)
def test_engineers_and_reviewers_see_the_page(engineer, reviewer, url):
    assert engineer.get(url).status_code == reviewer.get(url).status_code == 200


@pytest.mark.parametrize("url", [*READERS, "/tools/keys/"])
def test_a_stranger_is_sent_to_sign_in(stranger, url):
    assert stranger.get(url).url.startswith("/sign-in/")


@pytest.mark.parametrize("url", READERS)
def test_a_clinician_may_not(clinician, url):
    assert clinician.get(url).status_code == 403


def test_keys_are_for_admins(engineer, admin):
    assert engineer.get("/tools/keys/").status_code == 403
    assert engineer.post("/tools/keys/", {"name": "nhs", "key": SECRET}).status_code == 403
    assert admin.get("/tools/keys/").status_code == 200


@pytest.mark.parametrize("url", ["/tools/", "/tools/corpora/"])
def test_pages_to_read_take_no_post(engineer, url):
    assert engineer.post(url).status_code == 405


def test_forgetting_takes_a_post(admin):
    key = services.set_key("nhs", SECRET, by=None)
    assert admin.get(f"/tools/keys/{key.pk}/forget/").status_code == 405
    assert admin.post(f"/tools/keys/{key.pk}/forget/").status_code == 302
    assert not Key.objects.exists()


def test_a_tool_that_is_not_there_is_not_found(engineer):
    assert engineer.get("/tools/search_dragons/").status_code == 404


def test_the_list_tells_how_each_source_stands(engineer):
    page = engineer.get("/tools/").content.decode()
    for name in ("web_search", "search_drug_label", "read_url"):
        assert f">{name}</a>" in page
    assert "KOS_OFFLINE" in page


def test_a_source_without_its_key_says_so(engineer, settings):
    settings.OFFLINE = False
    assert "no key" in engineer.get("/tools/search_triage_guideline/").content.decode()
    services.set_key("nhs", SECRET, by=None)
    page = engineer.get("/tools/search_triage_guideline/").content.decode()
    assert "no key" not in page
    assert SECRET not in page


def test_a_declaration_is_shown_as_the_model_reads_it(engineer):
    page = engineer.get("/tools/search_icd/").content.decode()
    assert "type search_icd = (_: {" in page
    assert "&quot;icd11&quot; | &quot;icd10&quot;" in page


def test_a_try_shows_what_the_model_would_read_and_where_it_is_from(engineer):
    answers = {"arg-query": "heart attack", "arg-version": "icd10"}
    page = engineer.post("/tools/search_icd/", answers).content.decode()
    assert "[S1] source=ICD-10-CM mode=embedded" in page
    assert "I21.9 Acute myocardial infarction, unspecified" in page
    assert "US public domain" in page


def test_a_try_over_htmx_is_a_fragment(engineer):
    answers = {"arg-query": "gout", "arg-version": "icd10"}
    page = engineer.post("/tools/search_icd/", answers, headers={"HX-Request": "true"}).content
    assert page.lstrip().startswith(b'<div id="try"')


def test_a_try_without_what_is_needed_says_so_on_the_field(engineer):
    answered = engineer.post("/tools/search_icd/", {"arg-query": "", "arg-version": "icd10"})
    assert answered.status_code == 400
    assert b'class="error"' in answered.content


def test_a_failure_is_shown_as_the_model_would_read_it(engineer):
    page = engineer.post("/tools/read_url/", {"arg-url": "ftp://example.org/x"}).content.decode()
    assert "Error: tool_failed: " in page


def test_what_a_source_says_is_shown_as_text(engineer, monkeypatch):
    from kos.tools.corpus import Corpus

    def search(self, kind, query, k=5, **options):
        (record,) = real(self, "redflag", "sepsis", 1)
        return [
            type(record)("<script>alert(1)</script>", "javascript:x", "<b>", record.provenance)
        ]

    real = Corpus.search
    monkeypatch.setattr(Corpus, "search", search)
    page = engineer.post(
        "/tools/search_triage_guideline/", {"arg-query": "sepsis"}
    ).content.decode()
    assert "<script>alert" not in page
    assert "javascript:x" not in page


def test_a_key_is_kept_and_never_shown_again(admin):
    answered = admin.post("/tools/keys/", {"name": "nhs", "key": SECRET}, follow=True)
    page = answered.content.decode()
    assert "The key nhs is kept." in page
    assert "…0042" in page
    assert SECRET not in page
    assert Key.objects.get().changed_by == admin.user


def test_a_key_with_a_wrong_name_comes_back_without_its_text(admin):
    answered = admin.post("/tools/keys/", {"name": "My Key!", "key": SECRET})
    assert answered.status_code == 400
    assert SECRET not in answered.content.decode()


def test_the_corpora_tell_version_licence_and_attribution(engineer):
    page = engineer.get("/tools/corpora/").content.decode()
    for words in ("April 2026", "US public domain", "46881", "not FDA text", "import_medlineplus"):
        assert words in page
