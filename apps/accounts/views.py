"""Signing in and out, the theme, and API tokens."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import services
from apps.accounts.forms import TokenForm
from apps.accounts.guards import PageRequest, member
from kos.errors import UserError

YEAR_SECONDS = 365 * 24 * 3600

sign_out = auth_views.LogoutView.as_view()


class SignIn(auth_views.LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: str, **kwargs: object) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        if request.user.is_authenticated:
            # The error and sign-in pages know no profile; the cookie spares them a flash.
            _keep_theme(response, request.user.theme)
        return response


sign_in = SignIn.as_view()


@member
@require_POST
def theme(request: PageRequest) -> HttpResponseBase:
    chosen = request.POST.get("theme", "")
    try:
        services.choose_theme(request.user, chosen)
    except UserError as error:
        return HttpResponseBadRequest(str(error))
    response = redirect(_next_page(request))
    _keep_theme(response, chosen)
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
            scope=form.cleaned_data["scope"],
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
    if not services.revoke_token(request.user, pk):
        raise Http404
    messages.success(
        request, "Token revoked. Programs that used it are locked out within seconds."
    )
    return redirect("accounts:tokens")


def _next_page(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
    return wanted if is_ours else "/"


def _keep_theme(response: HttpResponse, theme: str) -> None:
    response.set_cookie("theme", theme, max_age=YEAR_SECONDS, samesite="Lax", httponly=True)
