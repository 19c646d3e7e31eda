"""Answers of the house itself: health, the icon, and errors outside any app."""

from __future__ import annotations

import sys

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import redirect, render
from django.template import loader
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe
from psycopg_pool import PoolTimeout

from apps.accounts import membership
from kosweb.problems import problem
from kosweb.requests import is_api, request_id

# The last words of an address are what somebody looked for, more often than not.
LONGEST = 60
BUSY = "Kos is busy: all connections to its database are at work. Try again in a moment."
RETRY_SECONDS = 5


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The process can work: its database answers too."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
    except Error as error:
        return problem(503, str(error))
    return JsonResponse({"status": "ok"})


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    return redirect(static("favicon.svg"), permanent=True)


@require_safe
def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """Where Django's admin sends strangers, and those who are signed in as something else."""
    if request.user.is_authenticated:
        raise PermissionDenied("This page is for admins.")
    return redirect_to_login(request.GET.get("next", ""), reverse("accounts:sign_in"))


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What was sent is no form: too large, cut short, or with what no text can hold."""
    if is_api(request.path_info):
        return problem(400, str(exception) if isinstance(exception, BadRequest) else "")
    match exception:
        case BadRequest():
            why = str(exception)
        case RequestDataTooBig():
            why = "the form is larger than Kos takes: send long texts as a file"
        case TooManyFieldsSent() | TooManyFilesSent():
            why = "the form has more fields or files than Kos takes"
        case MultiPartParserError():
            why = "the form broke off on its way: send it again"
        case _:
            why = "the request is none that a browser makes"
    return render(request, "400.html", {"why": why}, status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request.path_info):
        return problem(403, str(exception))
    admins = [admin.get_full_name() or admin.username for admin in membership.admins()]
    context = {"exception": str(exception), "admins": admins}
    return render(request, "403.html", context, status=403)


def unsent(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its token: old, or of another page. Nothing of it was done."""
    if is_api(request.path_info):
        return problem(403, "send X-CSRFToken with the value of the cookie csrftoken, or a token")
    return render(request, "unsent.html", status=403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Says no more than that: who may not see a page must not learn that it is there."""
    if is_api(request.path_info):
        return problem(404)
    words = request.path_info.strip("/").rpartition("/")[2].replace("-", " ")[:LONGEST]
    return render(request, "404.html", {"words": words}, status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """Without the request's context: what broke may well be in there."""
    if isinstance(sys.exception(), PoolTimeout) or isinstance(_cause(), PoolTimeout):
        return _busy(request)
    if is_api(request.path_info):
        return problem(500)
    text = loader.get_template("500.html").render({"request_id": request_id()})
    return HttpResponse(text, status=500)


def _cause() -> BaseException | None:
    """What is behind the error that broke the page."""
    error = sys.exception()
    return error.__cause__ if error is not None else None


def _busy(request: HttpRequest) -> HttpResponse:
    """Every connection of the database is at work, and was for seconds."""
    told = {"Retry-After": str(RETRY_SECONDS)}
    if is_api(request.path_info):
        return problem(503, BUSY, kind="busy", headers=told)
    return HttpResponse(BUSY, status=503, content_type="text/plain; charset=utf-8", headers=told)
