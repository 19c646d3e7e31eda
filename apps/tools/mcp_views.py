"""The page of outside MCP servers: add one, look at what it offers, approve, withdraw."""

from __future__ import annotations

import json

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.guards import PageRequest, admin
from apps.tools import mcp
from apps.tools.models import McpServer
from kos.errors import UserError


class ServerForm(forms.Form):
    slug = forms.CharField(
        max_length=31, label="Short name", help_text="Its tools are called mcp__name__tool."
    )
    url = forms.URLField(
        max_length=500,
        required=False,
        label="Address",
        assume_scheme="https",
        help_text="Streamable HTTP, https and public.",
    )
    command = forms.ChoiceField(required=False, help_text="Or a program named in the settings.")
    key = forms.CharField(
        max_length=80, required=False, help_text="Name of a kept key, sent as its bearer token."
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        names = [(name, name) for name in mcp.unused_commands()]
        self.fields["command"].choices = [("", "none"), *names]  # type: ignore[attr-defined]


@admin
@require_http_methods(["GET", "HEAD", "POST"])
def servers(request: PageRequest) -> HttpResponse:
    """The servers there are; a POST adds one."""
    form = ServerForm(request.POST or None)
    if form.is_valid():
        try:
            row = mcp.add(**form.cleaned_data)
        except UserError as error:
            form.add_error(None, str(error))
        else:
            _look(request, row)
            return redirect("tools:mcp")
    context = {
        "form": form,
        "servers": [
            {
                "row": one.row,
                "offers": [(offer, _pretty(offer)) for offer in one.offers],
                "is_missing": one.row.command and one.row.command not in settings.MCP_COMMANDS,
            }
            for one in mcp.listed()
        ],
    }
    return render(request, "tools/mcp.html", context, status=400 if form.errors else 200)


@admin
@require_POST
def act(request: PageRequest, pk: int, what: str) -> HttpResponse:
    """Look again, approve the chosen tools, withdraw, or remove."""
    row = get_object_or_404(McpServer, pk=pk)
    match what:
        case "look":
            _look(request, row)
        case "approve":
            _approve(request, row)
        case "withdraw":
            mcp.withdraw(row)
            messages.success(request, f"No model may call {row.slug} any more.")
        case _:
            mcp.remove(row)
            messages.success(request, f"{row.slug} is removed.")
    return redirect("tools:mcp")


def _look(request: PageRequest, row: McpServer) -> None:
    try:
        number = mcp.look(row)
    except UserError as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, f"{row.slug} offers {number} tools. Approve what models may call."
        )


def _approve(request: PageRequest, row: McpServer) -> None:
    try:
        names = mcp.approve(row, request.POST.getlist("tool"), by=request.user)
    except UserError as error:
        messages.error(request, str(error))
    else:
        told = ", ".join(names) or "nothing"
        messages.success(request, f"Models may call of {row.slug}: {told}.")


def _pretty(offer: mcp.Offer) -> str:
    return json.dumps(offer.declaration, ensure_ascii=False, indent=1)
