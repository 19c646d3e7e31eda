"""Every address. One word finds URL, view and template: ``runs:detail``."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from kosweb import counting, home, metrics, search, views
from kosweb.api import api, openai_api

urlpatterns = [
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("metrics", metrics.metrics, name="metrics"),
    path("favicon.ico", views.favicon),
    path("api/", api.urls),
    path("v1/", openai_api.urls),
    # One door: Django's own sign-in knows neither the brake nor the second factor.
    path("admin/login/", views.admin_sign_in),
    path("admin/", admin.site.urls),
    path("", home.home, name="home"),
    path("search/", search.search, name="search"),
    path("counts/", counting.counts, name="counts"),
    path("", include("apps.accounts.urls")),
    path("", include("apps.automation.urls")),
    path("datasets/", include("apps.datasets.urls")),
    path("", include("apps.runs.urls")),  # /runs/ and /models/
    path("runs/<int:pk>/steps/", include("apps.traces.step_urls")),
    path("deployments/", include("apps.deployments.urls")),
    path("traces/", include("apps.traces.urls")),
    path("", include("apps.evals.urls")),
    path("tools/", include("apps.tools.urls")),
    path("review/", include("apps.reviews.urls")),
    path("chat/", include("apps.chat.urls")),
]

handler400 = "kosweb.views.unreadable"
handler403 = "kosweb.views.forbidden"
handler404 = "kosweb.views.not_found"
handler500 = "kosweb.views.broken"
