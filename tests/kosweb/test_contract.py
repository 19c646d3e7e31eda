"""The document of the REST API held against the API itself by schemathesis.

``KOS_SCHEMATHESIS=100`` hunts for longer; ``KOS_SCHEMATHESIS_ONLY=/api/runs`` in one place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from apps.accounts import services as accounts
from apps.accounts.models import Role, User
from tests.factories import make_user
from tests.rest import filled

pytestmark = [
    pytest.mark.slow,
    # Downloads are asynchronous, and this server is not.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume"),
]

EXAMPLES = int(os.environ.get("KOS_SCHEMATHESIS", "2"))
ONLY = os.environ.get("KOS_SCHEMATHESIS_ONLY", "/api/")
# They end when a run or an answer does, or never: tests of their own have them.
STREAMS = ("/api/runs/{id}/stream", "/api/events", "/api/chat/messages/{id}/stream")

# What they take is told by another document: the knobs of a kind of job, the format of a file.
LOOSE = {
    "runs_launch",
    "runs_validate",
    "runs_clone",
    "runs_preview",
    "runs_roll_back",
    "runs_keep_preset",
    "datasets_import_file",
    "datasets_import_labels",
    "evals_import_finished",
}


def test_the_api_keeps_what_its_document_promises(db, settings, artifacts: Path):
    settings.API_TOKEN_RATE = settings.API_USER_RATE = 0
    user = make_user("root", Role.ADMIN)
    ids = filled(user)
    # A server's connection ends with its request; the test's one must not.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        failures = _all_failures(user, ids)
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
    assert not failures, "\n\n".join(failures)


def _all_failures(user: User, ids: Mapping[str, Any]) -> list[str]:
    headers = {"Authorization": f"Bearer {accounts.create_token(user, 'test').text}"}
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", WSGIHandler())
    schema.config.generation.update(allow_x00=False)
    # ``If-Match`` of a state that never was.
    schema.config.checks.positive_data_acceptance.expected_statuses.append("412")
    failures = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in STREAMS or not operation.path.startswith(ONLY):
            continue
        failures += _failures(operation, headers, named(operation.path, ids))
    return failures


def named(path: str, ids: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a path that are there, for half of the calls."""
    found = {}
    prefix = next((one for one in ids if path.startswith(one)), "")
    if "{id}" in path and prefix:
        found["id"] = ids[prefix]
    return found | {
        name: ids[name] for name in ("grade_pk", "external_id") if f"{{{name}}}" in path
    }


def _failures(operation: Any, headers: Mapping[str, str], path: Mapping[str, Any]) -> list[str]:
    """What went wrong with one operation: positive and negative data, known and random ids."""
    wrong: list[str] = []
    is_loose = operation.definition.raw["operationId"] in LOOSE
    passed_over = [positive_data_acceptance] if is_loose else []
    query = {"cursor": ""} if any(one.name == "cursor" for one in operation.query) else {}
    both = [
        operation.as_strategy(
            GenerationMode.POSITIVE,
            **{
                name: given
                for name, given in (("path_parameters", dict(path)), ("query", query))
                if given
            },
        ),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    ]
    # Most of the time goes into thinking up what is wrong: one such call is enough each time.
    for cases, number in zip(both, (EXAMPLES, max(1, EXAMPLES // 2)), strict=True):

        @seed(1)
        @settings(
            max_examples=number,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def check(case: Any) -> None:
            # What a call changes is taken back: the next one finds what the ids say.
            with transaction.atomic():
                response = case.call(headers=dict(headers))
                transaction.set_rollback(True)
            case.validate_response(response, headers=dict(headers), excluded_checks=passed_over)

        try:
            check()
        except Unsatisfiable:
            pass  # nothing could be wrong with a call that takes nothing
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 (all are told of at once)
            wrong.append(f"{operation.label}\n{_said(error)}")
    return wrong


def _said(error: BaseException) -> str:
    parts = getattr(error, "exceptions", [error])
    return "\n".join(f"{type(one).__name__}: {one}"[:1500] for one in parts)
