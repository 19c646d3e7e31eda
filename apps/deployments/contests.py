"""Pages that compare deployments: the form, a comparison as it grows, stop."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.guards import PageRequest, engineer
from apps.deployments import comparing
from apps.deployments.forms import CompareForm
from apps.deployments.models import Comparison
from kos.errors import UserError

RECENT = 20


@engineer
@require_http_methods(["GET", "POST"])
def compare(request: PageRequest) -> HttpResponse:
    """Choose prompts and deployments; below, what was compared before."""
    comparing.close_silent()
    chosen = request.GET.getlist("deployment")
    form = CompareForm(
        request.POST if request.method == "POST" else None, initial={"deployments": chosen}
    )
    if form.is_bound and form.is_valid():
        asked = form.cleaned_data
        try:
            made = comparing.make(
                request.user,
                asked["prompts"],
                [*asked["deployments"]],
                max_tokens=asked["max_tokens"],
                temperature=asked["temperature"],
            )
        except UserError as error:
            form.add_error(None, str(error))
        else:
            _start(request, made)
            return redirect("deployments:comparison", made.pk)
    recent = Comparison.objects.select_related("owner")[:RECENT]
    context = {"form": form, "recent": recent}
    status = 400 if form.errors else 200
    return render(request, "deployments/compare.html", context, status=status)


@engineer
@require_safe
def comparison(request: PageRequest, pk: int) -> HttpResponse:
    """The table; htmx asks for it again every second while it grows."""
    comparing.close_silent()
    found = get_object_or_404(Comparison.objects.select_related("owner"), pk=pk)
    context = {
        "comparison": found,
        "rows": comparing.table(found),
        "summary": comparing.summary(found),
    }
    page = "deployments/_comparison.html" if request.htmx else "deployments/comparison.html"
    return render(request, page, context)


@engineer
@require_POST
def stop_comparison(request: PageRequest, pk: int) -> HttpResponse:
    comparing.stop(get_object_or_404(Comparison, pk=pk))
    return redirect("deployments:comparison", pk)


def _start(request: PageRequest, made: Comparison) -> None:
    """Run it in the server's event loop; where there is none, here and now."""
    begin = comparing.start if isinstance(request, ASGIRequest) else comparing.start_and_wait
    async_to_sync(begin)(made)
