from __future__ import annotations

from kosweb.problems import CONTENT_TYPE


def test_a_healthy_process_says_so(client):
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready_means_the_database_answers(client, db):
    assert client.get("/readyz").json() == {"status": "ok"}


def test_the_icon_is_found_where_browsers_ask_for_it(client):
    assert client.get("/favicon.ico")["Location"].endswith("favicon.svg")


def test_an_unknown_api_address_is_a_problem_and_not_a_page(client):
    answer = client.get("/api/nothing/")
    assert (answer.status_code, answer["Content-Type"]) == (404, CONTENT_TYPE)


def test_pages_may_load_nothing_from_elsewhere(client):
    policy = client.get("/healthz")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_the_api_describes_itself_with_its_problems(client):
    schema = client.get("/api/openapi.json").json()
    assert schema["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status"]


def test_the_api_documentation_loads_from_our_own_address(client):
    assert b"https://" not in client.get("/api/docs").content


def test_a_wrong_role_learns_which_one_and_who_gives_it(clinician, admin):
    page = clinician.get("/runs/").content.decode()
    assert "This page is for engineers." in page
    assert "<li>admin</li>" in page


def test_nothing_here_offers_to_search_for_it(engineer):
    answer = engineer.get("/runs/colchicine-dose")
    assert answer.status_code == 404
    assert b'value="colchicine dose"' in answer.content


def test_a_stranger_is_offered_no_search(client, db):
    assert b"/search/" not in client.get("/nothing/").content


def test_a_broken_page_shows_its_request_and_nothing_of_the_cause(engineer, monkeypatch):
    def fail(user):
        raise RuntimeError("a secret cause")

    monkeypatch.setattr("kosweb.home.stamp_of", fail)
    engineer.raise_request_exception = False
    answer = engineer.get("/", headers={"X-Request-ID": "request-number-7"})
    assert answer.status_code == 500
    assert b"request-number-7" in answer.content
    assert b"secret cause" not in answer.content
