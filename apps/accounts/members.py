"""The page of all people, for admins, and the one where somebody new chooses a password."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.paginator import Paginator
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import audit, entrance, identities, membership, provider, second_factor
from apps.accounts.guards import PageRequest, admin
from apps.accounts.models import Identity, Role, User, Verb
from kos.errors import UserError

PER_PAGE = 50


class InviteForm(forms.Form):
    username = forms.CharField(
        max_length=150, validators=[UnicodeUsernameValidator()], help_text="What they sign in with"
    )
    role = forms.ChoiceField(choices=Role.choices, initial=Role.CLINICIAN)
    name = forms.CharField(max_length=150, required=False, label="Full name")
    email = forms.EmailField(required=False, label="E-mail")


@admin
@never_cache
@require_http_methods(["GET", "POST"])
def members(request: PageRequest) -> HttpResponse:
    """Everybody; a POST makes an account and shows its link this once."""
    form = InviteForm(request.POST or None)
    if form.is_valid():
        try:
            user = membership.invite(request.user, **form.cleaned_data)
        except UserError as error:
            form.add_error("username", str(error))
        else:
            return _show(request, InviteForm(), fresh=user)
    return _show(request, form, status=400 if form.errors else 200)


@admin
@never_cache
@require_POST
def change(request: PageRequest, pk: int) -> HttpResponse:
    """Give another role, lock, unlock, or reset the password of one account."""
    user = get_object_or_404(User, pk=pk)
    try:
        match request.POST.get("what"):
            case "role":
                membership.change_role(request.user, user, request.POST.get("role", ""))
                messages.success(request, f"{user.username} is {user.get_role_display()} now.")
            case "deactivate":
                membership.deactivate(request.user, user)
                messages.success(request, f"{user.username} is locked out.")
            case "activate":
                membership.activate(request.user, user)
                messages.success(request, f"{user.username} can sign in again.")
            case "reset":
                membership.reset_password(request.user, user)
                return _show(request, InviteForm(), fresh=user)
            case "factor":
                second_factor.reset(request.user, user)
                messages.success(request, f"{user.username} signs in with the password alone now.")
            case "allow" if provider.is_on():
                identities.allow(request.user, user)
                messages.success(request, f"{user.username} may come with {provider.label()} now.")
            case "unbind" if provider.is_on():
                identities.remove(request.user, user)
                messages.success(request, f"{user.username} is bound to nothing elsewhere now.")
            case _:
                messages.error(request, "Choose what to change: role, lock, unlock or reset.")
    except UserError as error:
        messages.error(request, str(error))
    return redirect("accounts:members")


@never_cache
@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest, place: str, token: str) -> HttpResponse:
    """Choose a password with a link that works once."""
    user = membership.owner_of_link(place, token)
    if user is None:
        return render(request, "accounts/welcome.html", {"form": None}, status=404)
    form = SetPasswordForm(user, request.POST or None)
    if form.is_valid():
        form.save()
        audit.note(user, Verb.PASSWORD_CHANGED, user, by="link")
        return entrance.enter(request, user, reverse("home"))
    context = {"form": form, "owner": user}
    return render(request, "accounts/welcome.html", context, status=400 if form.errors else 200)


def _show(
    request: PageRequest, form: InviteForm, *, fresh: User | None = None, status: int = 200
) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:100]
    people = User.objects.order_by("-is_active", "username").select_related("second_factor")
    people = people.prefetch_related(
        Prefetch("identities", Identity.objects.filter(issuer=settings.OIDC_ISSUER))
    )
    if words:
        fits = Q(username__icontains=words) | Q(email__icontains=words)
        people = people.filter(
            fits | Q(first_name__icontains=words) | Q(last_name__icontains=words)
        )
    link = ""
    if fresh is not None:
        link = request.build_absolute_uri(
            reverse("accounts:welcome", args=membership.link_to(fresh))
        )
    context = {
        "page": Paginator(people, PER_PAGE).get_page(request.GET.get("page")),
        "words": words,
        "form": form,
        "fresh": fresh,
        "link": link,
        "roles": Role.choices,
        "provider": provider.label() if provider.is_on() else "",
    }
    return render(request, "accounts/members.html", context, status=status)
