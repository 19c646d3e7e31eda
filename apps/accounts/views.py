"""The theme, and API tokens."""

from __future__ import annotations

from django.contrib import messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseRedirect,
)
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import audit, entrance, services
from apps.accounts.forms import TokenForm
from apps.accounts.guards import PageRequest, member
from apps.accounts.models import Verb
from kos.errors import UserError


@member
@require_POST
def theme(request: PageRequest) -> HttpResponseBase:
    chosen = request.POST.get("theme", "")
    try:
        services.choose_theme(request.user, chosen)
    except UserError as error:
        return HttpResponseBadRequest(str(error), content_type="text/plain; charset=utf-8")
    response = HttpResponseRedirect(_next_page(request))
    entrance.keep_theme(response, chosen)
    return response


@member
@require_http_methods(["GET", "POST"])
def tokens(request: PageRequest) -> HttpResponse:
    """The user's tokens; a POST makes one and shows its text this once."""
    form = TokenForm(request.POST or None)
    fresh = None
    if form.is_valid():
        days = form.cleaned_data["days"]
        fresh = services.create_token(
            request.user,
            form.cleaned_data["name"],
            days=int(days) if days else None,
            scopes=form.cleaned_data["scopes"],
        )
        audit.note(
            request, Verb.TOKEN_MADE, fresh.token, scopes=fresh.token.scopes, days=days or "no end"
        )
        form = TokenForm()
    return render(
        request,
        "accounts/tokens.html",
        {
            "form": form,
            "fresh": fresh,
            "tokens": request.user.tokens.order_by("-pk"),
            "now": timezone.now(),
        },
        status=400 if form.errors else 200,
    )


@member
@require_POST
def revoke(request: PageRequest, pk: int) -> HttpResponse:
    token = request.user.tokens.filter(pk=pk).first()
    if token is None or not services.revoke_token(request.user, pk):
        raise Http404
    audit.note(request, Verb.TOKEN_REVOKED, str(token))
    messages.success(
        request, "Token revoked. Programs that used it are locked out within seconds."
    )
    return redirect("accounts:tokens")


def _next_page(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
    return wanted if is_ours and wanted.startswith("/") else "/"
