"""Signing in with the OIDC provider, and binding it to one's account. Off: nothing is there.

The second factor stays: whoever has one here gives its code after the provider too.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from apps.accounts import audit, brakes, entrance, identities
from apps.accounts import provider as oidc
from apps.accounts.authenticator import PasswordForm, prove
from apps.accounts.guards import PageRequest, member
from apps.accounts.models import User, Verb
from apps.accounts.provider import Claims, ProviderError
from kos.errors import UserError

logger = logging.getLogger(__name__)

BEGUN = "kos_provider"
FOUND = "kos_provider_found"
# So long a sign-in elsewhere may take, and so long what it found waits to be bound.
LASTS_SECONDS = 600
UNBELIEVED = "What came back could not be believed. Begin again; the audit log says why."


@require_safe
@never_cache
def provider(request: HttpRequest) -> HttpResponse:
    """Send somebody to the provider: a stranger to sign in, a member to bind."""
    _need_one()
    try:
        begun = oidc.begin(_back(request))
    except ProviderError as error:
        return _refuse(request, "It cannot be asked just now: try again soon.", error, status=502)
    request.session[BEGUN] = {
        "state": begun.state,
        "nonce": begun.nonce,
        "verifier": begun.verifier,
        "next": _following(request),
        "at": time.time(),
        "user": request.user.pk,
    }
    return redirect(begun.address)


@require_safe
@never_cache
def back(request: HttpRequest) -> HttpResponse:
    """Where the provider sends people back to; each try is counted before it is looked at."""
    _need_one()
    begun: dict[str, Any] = request.session.pop(BEGUN, None) or {}
    place = brakes.of_address(str(request.META.get("REMOTE_ADDR", "")))
    until = brakes.take(place)
    if until is not None:
        answer = render(request, "accounts/refused.html", {"held": until}, status=429)
        answer["Retry-After"] = str(brakes.seconds_to(until))
        return answer
    try:
        claims = _claims(request, begun)
        answer = _let_in(request, begun, claims)
    except ProviderError as error:
        return _refuse(request, UNBELIEVED, error, status=400)
    except UserError as error:
        return _refuse(request, str(error), error, status=403)
    brakes.take_back(place)
    return answer


@member
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def identity(request: PageRequest) -> HttpResponse:
    """What is bound to one's account; a POST binds what came back, or takes it away."""
    _need_one()
    form = PasswordForm(request.POST or None)
    if form.is_valid():
        try:
            prove(request.user, form.cleaned_data["password"])
            return _change(request)
        except UserError as error:
            form.add_error("password", str(error))
    context = {
        "provider": oidc.label(),
        "bound": identities.of(request.user),
        "found": _found(request),
        "form": form,
    }
    status = 400 if request.method == "POST" else 200
    return render(request, "accounts/identity.html", context, status=status)


def _claims(request: HttpRequest, begun: dict[str, Any]) -> Claims:
    """Who came back to what this browser began, once and not long ago."""
    if not begun or time.time() - begun["at"] > LASTS_SECONDS:
        raise ProviderError("nothing was begun in this browser, or too long ago")
    if begun["user"] != request.user.pk:
        raise ProviderError("begun by somebody else in this browser")
    return oidc.finish(
        request.GET.dict(),
        state=begun["state"],
        nonce=begun["nonce"],
        verifier=begun["verifier"],
        back=_back(request),
    )


def _let_in(request: HttpRequest, begun: dict[str, Any], claims: Claims) -> HttpResponse:
    if begun["user"] is None:
        user = identities.arrive(claims)
        return entrance.enter(request, user, begun["next"], by=oidc.label())
    identities.check_entry(claims)
    told = {"subject": claims.subject, "email": claims.email, "name": claims.name}
    request.session[FOUND] = told | {"at": time.time(), "user": request.user.pk}
    return redirect("accounts:identity")


def _change(request: PageRequest) -> HttpResponse:
    user, found, name = request.user, _found(request), oidc.label()
    if request.POST.get("what") == "remove":
        identities.remove(user, user)
        messages.success(request, f"{name} does not sign you in any more.")
    elif found is None:
        raise UserError(f"Nothing waits to be bound: sign in at {name} first.")
    else:
        identities.bind(user, found["subject"], found["email"])
        del request.session[FOUND]
        messages.success(request, f"{name} signs you in from now on.")
    return redirect("accounts:identity")


def _found(request: PageRequest) -> dict[str, Any] | None:
    """Who came back in this browser to be bound to this account."""
    kept: dict[str, Any] | None = request.session.get(FOUND)
    is_good = (
        kept is not None
        and kept["user"] == request.user.pk
        and time.time() - kept["at"] <= LASTS_SECONDS
    )
    return kept if is_good else None


def _refuse(request: HttpRequest, sentence: str, why: Exception, *, status: int) -> HttpResponse:
    who = request.user if isinstance(request.user, User) else None
    audit.note(who, Verb.SIGN_IN_FAILED, f"through {oidc.label()}", step="provider", why=str(why))
    logger.warning("sign-in through the provider refused: %s", why)
    context = {"sentence": sentence, "provider": oidc.label()}
    return render(request, "accounts/refused.html", context, status=status)


def _need_one() -> None:
    if not oidc.is_on():
        raise Http404


def _back(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("accounts:back"))


def _following(request: HttpRequest) -> str:
    wanted = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else reverse("home")
