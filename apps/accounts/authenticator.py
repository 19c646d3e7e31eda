"""The page of one's own second factor: enrol a device, recovery codes, switch it off."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from apps.accounts import brakes, second_factor
from apps.accounts.guards import PageRequest, member
from apps.accounts.models import User
from kos.errors import UserError


class PasswordForm(forms.Form):
    """Whoever finds a browser signed in cannot change how one signs in."""

    password = forms.CharField(
        max_length=1000,
        strip=False,
        label="Your password",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class FirstCodeForm(forms.Form):
    code = forms.CharField(
        max_length=20,
        label="Code",
        help_text="The six digits that the device shows now.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


@member
@never_cache
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def authenticator(request: PageRequest) -> HttpResponse:
    """What there is; a POST does ``what`` says: begin, confirm, renew or off."""
    what = request.POST.get("what", "")
    if request.method == "GET":
        return _show(request)
    form = FirstCodeForm(request.POST) if what == "confirm" else PasswordForm(request.POST)
    if not form.is_valid():
        return _show(request, what, form)
    try:
        return _act(request, what, form.cleaned_data)
    except UserError as error:
        form.add_error("code" if what == "confirm" else "password", str(error))
        return _show(request, what, form)


def prove(user: User, password: str) -> None:
    """Raise UserError unless this is the user's password; guesses are counted as at sign-in."""
    place = brakes.of_name(user.username)
    until = brakes.take(place)
    if until is not None:
        seconds = brakes.seconds_to(until)
        raise UserError(f"Too many wrong passwords: try again in {seconds} seconds.")
    if not user.check_password(password):
        raise UserError("This is not your password.")
    brakes.clear(place)


def _act(request: PageRequest, what: str, told: dict[str, Any]) -> HttpResponse:
    user = request.user
    if what == "confirm":
        return _show(request, codes=second_factor.confirm(user, told["code"]))
    prove(user, told["password"])
    match what:
        case "begin":
            second_factor.begin(user)
        case "renew":
            return _show(request, codes=second_factor.renew_codes(user))
        case "off":
            second_factor.switch_off(user)
            messages.success(request, "The second factor is off: your password alone signs in.")
        case _:
            raise UserError("Choose what to do: begin, confirm, renew or off.")
    return redirect("accounts:authenticator")


def _show(
    request: PageRequest,
    what: str = "",
    form: forms.Form | None = None,
    *,
    codes: list[str] | None = None,
) -> HttpResponse:
    begun = second_factor.begun(request.user)
    address = second_factor.address_of(begun) if begun is not None else ""
    context = {
        "found": second_factor.of(request.user),
        "begun": begun,
        "address": address,
        "secret": second_factor.secret_of(begun) if begun is not None else "",
        "drawn": second_factor.draw(address) if begun is not None else None,
        "codes": codes,
        "what": what,
        # The form that was sent, with what is wrong; the others begin empty.
        "password_form": form if isinstance(form, PasswordForm) else PasswordForm(),
        "code_form": form if isinstance(form, FirstCodeForm) else FirstCodeForm(),
    }
    status = 400 if form is not None else 200
    return render(request, "accounts/authenticator.html", context, status=status)
