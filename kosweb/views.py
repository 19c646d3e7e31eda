"""Answers of the house itself: health, the icon, and errors outside any app."""

from __future__ import annotations

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.views import defaults
from django.views.decorators.http import require_safe

from kosweb.problems import problem


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


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(403, str(exception))
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem(404) if is_api(request) else defaults.page_not_found(request, exception)


def broken(request: HttpRequest) -> HttpResponse:
    return problem(500) if is_api(request) else defaults.server_error(request)


def is_api(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/v1/"))
