from __future__ import annotations

import pytest

from kos.client import Kos, sign, webhook_is_genuine

BODY = b'{"id": "evt_1", "kind": "run.done"}'
SECRET = "koshook_s3cret"


def test_what_kos_signs_is_genuine():
    header = sign([SECRET], BODY, at=1000)
    assert webhook_is_genuine(SECRET, header, BODY, now=1010)
    assert header == sign(SECRET, BODY, at=1000)
    assert header.startswith("t=1000,v1=9ab456b6")


def test_while_a_secret_is_being_changed_both_are_good():
    header = sign(["koshook_new", SECRET], BODY, at=1000)
    assert webhook_is_genuine(SECRET, header, BODY, now=1000)
    assert webhook_is_genuine("koshook_new", header, BODY, now=1000)


@pytest.mark.parametrize(
    ("secret", "header", "body", "now"),
    [
        ("koshook_other", sign(SECRET, BODY, at=1000), BODY, 1000),
        (SECRET, sign(SECRET, BODY, at=1000), BODY + b" ", 1000),
        (SECRET, sign(SECRET, BODY, at=1000), BODY, 1301),
        (SECRET, sign(SECRET, BODY, at=1000), BODY, 699),
        (SECRET, sign(SECRET, BODY, at=1000).replace("t=1000", "t=1001"), BODY, 1000),
        (SECRET, f"t=1000,{sign(SECRET, BODY, at=1000)}", BODY, 1000),
        (SECRET, "v1=00", BODY, 1000),
        (SECRET, "", BODY, 1000),
        (SECRET, "t=1000,v1=é", BODY, 1000),
    ],
)
def test_anything_else_is_not(secret, header, body, now):
    assert not webhook_is_genuine(secret, header, body, now=now)


def test_the_client_has_it_at_hand():
    assert Kos.webhook_is_genuine is webhook_is_genuine
