"""The page of one's own settings: looks, keys, name, password, and where one is signed in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import audit, brakes, entrance, identities, provider, second_factor, sessions
from apps.accounts.guards import PageRequest, member
from apps.accounts.models import User, Verb


class LooksForm(forms.ModelForm[User]):
    class Meta:
        model = User
        fields = ["theme", "density", "has_shortcuts"]
        widgets = {"theme": forms.RadioSelect, "density": forms.RadioSelect}
        labels = {"has_shortcuts": "Single-key shortcuts", "density": "Rows"}


class NameForm(forms.ModelForm[User]):
    class Meta:
        model = User
        fields = ["first_name", "last_name", "email"]
        labels = {"email": "E-mail"}


@member
@require_http_methods(["GET", "POST"])
def settings(request: PageRequest) -> HttpResponse:
    """One page of three forms; ``what`` says which one was sent."""
    user = request.user
    sent = request.POST.get("what", "")
    # Old passwords are guessed here as at sign-in, and counted together with those.
    if sent == "password" and (until := brakes.take(brakes.of_name(user.username))) is not None:
        seconds = brakes.seconds_to(until)
        messages.error(request, f"Too many wrong passwords: try again in {seconds} seconds.")
        return redirect("accounts:settings")
    shown = {
        "looks": LooksForm(request.POST if sent == "looks" else None, instance=user),
        "name": NameForm(request.POST if sent == "name" else None, instance=user),
        "password": PasswordChangeForm(user, request.POST if sent == "password" else None),
    }
    if sent == "password":
        _clear_guesses(user, shown["password"])
    if sent in shown and shown[sent].is_valid():
        return _keep(request, sent, shown[sent])
    # The form is one of three: the page should not begin in its middle.
    shown["password"].fields["old_password"].widget.attrs.pop("autofocus", None)
    # A form that was refused has written into the user of this request.
    user.refresh_from_db()
    context: dict[str, Any] = shown | {
        "sessions": sessions.of(user, current=request.session.session_key),
        "second_factor": second_factor.of(user),
        "provider": provider.label() if provider.is_on() else "",
        "identity": identities.of(user) if provider.is_on() else None,
        "sent": sent,
    }
    status = 400 if sent else 200
    return render(request, "accounts/settings.html", context, status=status)


@member
@require_POST
def end_session(request: PageRequest, name: str) -> HttpResponse:
    """Sign out one browser, or with ``others`` every one but this."""
    current = request.session.session_key
    ended = (
        sessions.end_others(request.user, current=current)
        if name == "others"
        else sessions.end(request.user, name)
    )
    if not ended and name != "others":
        raise Http404
    audit.note(request, Verb.SESSION_ENDED, request.user, ended=ended)
    messages.success(request, f"Signed out {ended} browser{'' if ended == 1 else 's'}.")
    return redirect("accounts:settings")


def _clear_guesses(user: User, form: Any) -> None:
    """The old password was right, whatever else is wrong with the form."""
    if "old_password" not in form.errors:
        brakes.clear(brakes.of_name(user.username))


def _keep(request: PageRequest, sent: str, form: Any) -> HttpResponse:
    user = request.user
    if sent == "password":
        form.save()
        update_session_auth_hash(request, user)
        audit.note(request, Verb.PASSWORD_CHANGED, user)
        messages.success(request, "Password changed. Other browsers are signed out.")
    else:
        user.save(update_fields=list(form.cleaned_data))
        messages.success(request, "Kept.")
    response = redirect("accounts:settings")
    if sent == "looks":
        entrance.keep_theme(response, user.theme)
    return response
