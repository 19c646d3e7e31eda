"""Signing in and out: the password, a brake on guesses, and the second factor where one is on.

Whether a name has an account is told nowhere: an unknown one waits and is refused like any other.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth import views as auth_views
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from apps.accounts import audit, brakes, provider, second_factor, sessions
from apps.accounts.models import User, Verb
from kos.errors import UserError

YEAR_SECONDS = 365 * 24 * 3600
PENDING = "kos_pending"
# So long after the password the code may come.
PENDING_SECONDS = 300
BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignOut(auth_views.LogoutView):
    def post(self, request: HttpRequest, *args: str, **kwargs: object) -> HttpResponse:
        if request.user.is_authenticated:
            audit.note(request, Verb.SIGNED_OUT, request.user)
        return super().post(request, *args, **kwargs)


class SignIn(auth_views.LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: str, **kwargs: object) -> HttpResponse:
        until = brakes.take(*_places(request))
        if until is not None:
            return self._held(until)
        return super().post(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        told = provider.label() if provider.is_on() else ""
        return super().get_context_data(**kwargs) | {"provider": told}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        assert isinstance(user, User), user
        by_name, by_address = _places(self.request)
        brakes.clear(by_name)
        brakes.take_back(by_address)
        return enter(self.request, user, self.get_success_url())

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        by_name, _by_address = _places(self.request)
        _note_failure(_name(self.request), brakes.held_until(by_name))
        return super().form_invalid(form)

    def _held(self, until: datetime) -> HttpResponse:
        """What was sent is not looked at: the page says when it will be."""
        context = self.get_context_data(form=AuthenticationForm(self.request), held=until)
        response = self.render_to_response(context, status=429)
        response["Retry-After"] = str(brakes.seconds_to(until))
        return response


sign_in = require_http_methods(["GET", "HEAD", "POST"])(SignIn.as_view())
sign_out = SignOut.as_view()


class CodeForm(forms.Form):
    code = forms.CharField(
        max_length=40,
        label="Code",
        help_text="Six digits of your authenticator, or one of your recovery codes.",
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "autofocus": True}
        ),
    )


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """The second step of signing in, for those whose password was right a moment ago."""
    user = _pending(request)
    if user is None:
        return redirect("accounts:sign_in")
    form = CodeForm(request.POST or None)
    if not form.is_valid():
        return _ask(request, form)
    places = brakes.of_second_factor(user.pk), brakes.of_address(_address(request))
    until = brakes.take(*places)
    if until is not None:
        return _ask(request, CodeForm(), held=until)
    try:
        is_right = second_factor.check(user, form.cleaned_data["code"])
    except UserError as error:
        form.add_error("code", str(error))
        return _ask(request, form)
    if not is_right:
        audit.note(None, Verb.SIGN_IN_FAILED, user.username, step="code")
        form.add_error("code", "This code is wrong, or was used before. Wait for the next one.")
        return _ask(request, form)
    brakes.clear(places[0])
    brakes.take_back(places[1])
    kept = request.session[PENDING]
    return complete(request, user, str(kept["next"]), by=str(kept.get("by", "")))


def enter(request: HttpRequest, user: User, following: str, *, by: str = "") -> HttpResponse:
    """Sign in whoever knows the password, or came ``by`` a provider; with a second factor only
    after its code.
    """
    if second_factor.of(user) is None:
        return complete(request, user, following, by=by)
    request.session[PENDING] = {
        "pk": user.pk,
        # Another password meanwhile, and this step is worth nothing.
        "hash": user.get_session_auth_hash(),
        "at": time.time(),
        "next": following,
        "by": by,
    }
    return redirect("accounts:code")


def complete(request: HttpRequest, user: User, following: str, *, by: str = "") -> HttpResponse:
    """The person is in: a fresh session, written down."""
    request.session.pop(PENDING, None)
    login(request, user, backend=BACKEND)
    sessions.mark(request)
    audit.note(user, Verb.SIGNED_IN, user, by=by)
    response = redirect(following)
    # The error and sign-in pages know no profile; the cookie spares them a flash.
    keep_theme(response, user.theme)
    return response


def keep_theme(response: HttpResponse, theme: str) -> None:
    """Keep the theme for pages that know no profile."""
    response.set_cookie(
        "theme",
        theme,
        max_age=YEAR_SECONDS,
        samesite="Lax",
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
    )


def _ask(request: HttpRequest, form: CodeForm, *, held: datetime | None = None) -> HttpResponse:
    status = 429 if held is not None else 400 if form.errors else 200
    response = render(request, "accounts/code.html", {"form": form, "held": held}, status=status)
    if held is not None:
        response["Retry-After"] = str(brakes.seconds_to(held))
    return response


def _pending(request: HttpRequest) -> User | None:
    """Whose password was right in this browser, not long ago."""
    kept: dict[str, Any] | None = request.session.get(PENDING)
    if kept is None or time.time() - kept["at"] > PENDING_SECONDS:
        return None
    user = User.objects.filter(pk=kept["pk"], is_active=True).first()
    is_same = user is not None and constant_time_compare(
        kept["hash"], user.get_session_auth_hash()
    )
    return user if is_same else None


def _note_failure(name: str, held: datetime | None) -> None:
    """A failed sign-in. An unknown name is not kept: it may well be a password."""
    is_known = User.objects.filter(username=name).exists()
    title = name if is_known else "a name that nobody has"
    audit.note(None, Verb.SIGN_IN_FAILED, title)
    if held is not None:
        audit.note(None, Verb.SIGN_IN_HELD, title, seconds=brakes.seconds_to(held))


def _places(request: HttpRequest) -> tuple[brakes.Place, brakes.Place]:
    return brakes.of_name(_name(request)), brakes.of_address(_address(request))


def _name(request: HttpRequest) -> str:
    return request.POST.get("username", "").replace("\x00", "")[:150]


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))
