"""Who may open a page. A stranger is sent to sign in; a wrong role gets the 403 page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from apps.accounts.models import User

P = ParamSpec("P")


class PageRequest(HttpRequest):
    """A request behind a guard: somebody is signed in."""

    user: User
    htmx: HtmxDetails


View = Callable[Concatenate[PageRequest, P], HttpResponseBase]
GuardedView = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def member(view: View[P]) -> GuardedView[P]:
    """Anybody who is signed in."""
    return _guard(view, lambda user: True, "anybody with an account")


def engineer(view: View[P]) -> GuardedView[P]:
    """Engineers and admins."""
    return _guard(view, lambda user: user.is_engineer, "engineers")


def reviewer(view: View[P]) -> GuardedView[P]:
    """Reviewers and admins."""
    return _guard(view, lambda user: user.is_reviewer, "reviewers")


def reader(view: View[P]) -> GuardedView[P]:
    """Those who may read datasets and traces: engineers, reviewers and admins."""
    return _guard(
        view, lambda user: user.is_engineer or user.is_reviewer, "engineers or reviewers"
    )


def admin(view: View[P]) -> GuardedView[P]:
    """Admins only."""
    return _guard(view, lambda user: user.is_admin, "admins")


def _guard(view: View[P], allows: Callable[[User], bool], who: str) -> GuardedView[P]:
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        if not allows(request.user):
            raise PermissionDenied(f"This page is for {who}.")
        return view(request, *args, **kwargs)  # type: ignore[arg-type]  # signed in from here on

    return guarded


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    if getattr(request, "htmx", False):
        # A fragment cannot hold the sign-in page: htmx is told to leave for it.
        return HttpResponseClientRedirect(reverse("accounts:sign_in"))
    return redirect_to_login(request.get_full_path(), reverse("accounts:sign_in"))
