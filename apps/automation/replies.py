"""Replies kept for a call that is made again: ``Idempotency-Key``.

The row is put in first, then the call acts, then the reply is kept beside it. What did not
succeed has done nothing, so its row goes and the key may be used again.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from ninja.errors import HttpError, ValidationError

from apps.accounts.models import User
from apps.accounts.sealing import seal, unseal
from apps.automation.models import KeptReply

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT_FOR = timedelta(hours=24)
# The process that worked on a call may have died; nothing in the API takes so long.
GIVEN_UP_AFTER = timedelta(minutes=15)
RETRY_SECONDS = 2
MOST_BYTES = 1_000_000
KEPT_HEADERS = ("Content-Type", "Location", "ETag")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class InFlightError(HttpError):
    """The same call is being worked on."""

    def __init__(self) -> None:
        super().__init__(409, "a call with this Idempotency-Key is still being worked on")


def begin(request: HttpRequest, user: User) -> tuple[KeptReply | None, HttpResponse | None]:
    """The row to finish, or the reply of the first time; both None without a key.

    Raises ValidationError for a key that is none or was used for something else, and
    InFlightError.
    """
    key = request.headers.get(HEADER, "")
    if HEADER not in request.headers:
        return None, None
    if not _KEY.fullmatch(key):
        raise _wrong_key("1 to 128 printable characters without blanks will do")
    digest = _digest(request)
    sweep(user=user, key=key)
    row, is_new = KeptReply.objects.get_or_create(
        user=user,
        key=key,
        defaults={"method": request.method or "", "path": request.path[:400], "digest": digest},
    )
    if is_new:
        return row, None
    if row.digest != digest:
        raise _wrong_key("this key was used for another call; take a new one")
    if row.status is None:
        raise InFlightError
    return None, _replay(row)


def finish(row: KeptReply, response: HttpResponseBase) -> None:
    """Keep the reply of a call that succeeded; forget the key of one that did not."""
    content = getattr(response, "content", None)
    if response.status_code >= 400 or content is None or len(content) > MOST_BYTES:
        row.delete()
        return
    row.status = response.status_code
    row.headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response}
    # A reply may hold a secret that is shown once.
    row.body = seal(content.decode()).encode()
    row.save(update_fields=["status", "headers", "body"])


def sweep(**which: object) -> int:
    """Delete what is too old to be asked for, and what was given up; returns how many."""
    now = timezone.now()
    rows = KeptReply.objects.filter(**which)
    old = rows.filter(created__lt=now - KEPT_FOR)
    stuck = rows.filter(status=None, created__lt=now - GIVEN_UP_AFTER)
    return (old | stuck).delete()[0]


def _replay(row: KeptReply) -> HttpResponse:
    response = HttpResponse(unseal(bytes(row.body).decode()), status=row.status)
    for name, value in row.headers.items():
        response[name] = value
    response[REPLAYED] = "true"
    return response


def _digest(request: HttpRequest) -> str:
    """A hash of the whole call. Boundaries of a form change with every try, so parts count."""
    said = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    if request.content_type != "multipart/form-data":
        said.update(request.body)
        return said.hexdigest()
    for name, values in sorted(request.POST.lists()):
        said.update(f"{name}={values!r}\n".encode())
    for name, files in sorted(request.FILES.lists()):
        for file in files:
            said.update(f"{name}:{file.name}:{file.size}\n".encode())
            for chunk in file.chunks():
                said.update(chunk)
            file.seek(0)
    return said.hexdigest()


def _wrong_key(sentence: str) -> ValidationError:
    return ValidationError([{"type": "key", "loc": ("header", HEADER), "msg": sentence}])
