"""The document of the REST API, and that no call is without its guard."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ninja import Schema

from apps.accounts.auth import BearerAuth
from apps.accounts.models import Scope
from apps.automation.rest import In
from kosweb.api import api
from kosweb.problems import KINDS

OPEN = ("account_list_problems", "account_get_problem")
# A list that its nature bounds, or a table of words.
WHOLE = {
    "account_list_problems",
    "runs_kinds",
    "runs_tags",
    "runs_tidy",
    "runs_metric_names",
    "runs_kept_steps",
    "runs_diagnosis",
    "models_needs",
    "tools_list_corpora",
    "evals_list_calibrations",
    "reviews_people",
    "traces_flag",
    "deployments_usage_by_day",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return api.get_openapi_schema(path_prefix="/api/")


def operations(document) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_call_names_the_scope_it_needs():
    for operation in api.operations():
        if operation.operation_id in OPEN:
            assert not operation.auth_callbacks
        else:
            [auth] = operation.auth_callbacks
            assert isinstance(auth, BearerAuth), operation.operation_id
            assert auth.scope in ("", *Scope.values)
            assert auth.scope != Scope.ALL, f"{operation.operation_id} needs everything"


def test_what_changes_something_needs_more_than_reading():
    harmless = (
        "runs_validate",
        "runs_preview",
        "models_costs",
        "evals_gate",
        "datasets_try_answer",
        "deployments_check_health",
    )
    for operation in api.operations():
        if operation.methods != ["GET"] and operation.operation_id not in harmless:
            assert not operation.auth_callbacks[0].scope.endswith(":read"), operation.operation_id


def test_every_call_is_guarded():
    for operation in api.operations():
        assert operation.run.__name__ == "run"
        assert hasattr(operation.run, "__wrapped__"), operation.operation_id


def test_what_is_repeated_safely_is_not_asynchronous():
    assert not [
        one.operation_id for one in api.operations() if one.is_async and "POST" in one.methods
    ]


def test_every_call_has_a_name_of_its_own_and_a_summary(document):
    names = Counter(one["operationId"] for _, _, one in operations(document))
    assert max(names.values()) == 1
    for _, _, operation in operations(document):
        assert operation["summary"][0].isupper()
        assert operation["operationId"].startswith(f"{operation['tags'][0]}_")


def test_every_list_has_pages(document):
    for _, _, operation in operations(document):
        reply = (
            operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        )
        is_array = reply.get("schema", {}).get("type") == "array"
        assert not is_array or operation["operationId"] in WHOLE, operation["operationId"]


def test_every_refusal_is_a_problem(document):
    for _, _, operation in operations(document):
        for status, reply in operation["responses"].items():
            if int(status) >= 400:
                assert list(reply["content"]) == ["application/problem+json"]


def test_no_two_shapes_have_one_name():
    names = Counter(cls.__name__ for cls in _shapes(Schema) if cls.__module__.startswith("apps."))
    assert [name for name, number in names.items() if number > 1] == []


def test_every_body_refuses_what_it_does_not_know():
    bodies = [cls for cls in _shapes(Schema) if cls.__name__.endswith(("In", "Patch"))]
    assert len(bodies) > 20
    assert [cls.__name__ for cls in bodies if not issubclass(cls, In) and cls is not In] == []


def test_the_document_and_its_page_are_open_and_say_no_secret(stranger, db):
    assert stranger.get("/api/openapi.json").json()["info"]["title"] == "Kos"
    page = stranger.get("/api/docs")
    assert page.status_code == 200
    assert b"<script>" not in page.content


@pytest.mark.parametrize("kind", KINDS)
def test_the_type_of_a_problem_leads_to_what_can_be_done(stranger, db, kind):
    assert stranger.get(f"/api/problems/{kind}").json()["meaning"] == KINDS[kind]


def _shapes(cls: type) -> set[type]:
    found = set(cls.__subclasses__())
    return found | {one for child in found for one in _shapes(child)}
