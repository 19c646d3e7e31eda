"""What tests of runs share."""

from __future__ import annotations

import pytest

from apps.accounts.models import ApiToken


@pytest.fixture
def api(engineer):
    """An engineer's program: ``api("post", "/api/runs/", {...})``."""
    text = ApiToken.new_text()
    digest = ApiToken.digest_of(text)
    ApiToken.objects.create(user=engineer.user, name="t", prefix=text[:12], digest=digest)

    def call(method, path, body=None):
        headers = {"Authorization": f"Bearer {text}"}
        send = getattr(engineer, method)
        return send(path, body, content_type="application/json", headers=headers)

    return call
