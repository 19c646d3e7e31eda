"""Pages of the tools: what there is, one tool to try, keys, and the records on this machine."""

from __future__ import annotations

import json

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.guards import PageRequest, admin, reader
from apps.tools import services, sources, trials
from apps.tools.forms import ArgumentsForm, KeyForm, uses_of
from apps.tools.models import Key
from kos.chat.declare import declare_typescript
from kos.errors import UserError
from kos.tools.corpus.imports.catalogue import SOURCES


@reader
@require_safe
def list(request: PageRequest) -> HttpResponse:
    desk = services.open_desk(request.user)
    context = {"tools": sources.tools_on(desk), "is_offline": desk.is_offline}
    return render(request, "tools/list.html", context)


@reader
@require_http_methods(["GET", "HEAD", "POST"])
def detail(request: PageRequest, name: str) -> HttpResponse:
    """One tool; a POST calls it and shows what the model would read."""
    tool = sources.find(name, services.open_desk(request.user))
    if tool is None:
        raise Http404
    schema = tool.declaration["function"]["parameters"]
    form = ArgumentsForm(schema, request.POST if request.method == "POST" else None)
    context = {
        "tool": tool,
        "form": form,
        "typescript": declare_typescript([tool.declaration]),
        "json": json.dumps(tool.declaration, ensure_ascii=False, indent=1),
    }
    if form.is_valid():
        context["trial"] = trials.call(name, form.arguments, request.user)
        context["call"] = json.dumps(form.arguments, ensure_ascii=False, indent=1)
    template = "tools/_try.html" if request.htmx else "tools/detail.html"
    return render(request, template, context, status=400 if form.errors else 200)


@admin
@require_http_methods(["GET", "HEAD", "POST"])
def keys(request: PageRequest) -> HttpResponse:
    """The keys there are, never their text; a POST keeps one."""
    form = KeyForm(request.POST or None)
    if form.is_valid():
        data = form.cleaned_data
        try:
            key = services.set_key(data["name"], data["key"], by=request.user, owner=data["owner"])
        except UserError as error:
            form.add_error("key", str(error))
        else:
            messages.success(request, f"The key {key.name} is kept.")
            return redirect("tools:keys")
    kept = [*Key.objects.select_related("owner", "changed_by")]
    context = {"form": form, "keys": kept, "uses": uses_of(kept)}
    return render(request, "tools/keys.html", context, status=400 if form.errors else 200)


@admin
@require_POST
def forget(request: PageRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(Key, pk=pk)
    services.delete_key(key)
    messages.success(request, f"The key {key.name} is forgotten.")
    return redirect("tools:keys")


@reader
@require_safe
def corpora(request: PageRequest) -> HttpResponse:
    corpus = services.open_corpus()
    context = {"shelves": sources.collections_of(corpus), "imports": SOURCES.values()}
    return render(request, "tools/corpora.html", context)
