"""Every address. One word finds URL, view and template: ``runs:detail``."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from kosweb import home, views
from kosweb.api import api, openai_api

urlpatterns = [
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("favicon.ico", views.favicon),
    path("api/", api.urls),
    path("v1/", openai_api.urls),
    path("admin/", admin.site.urls),
    path("", home.home, name="home"),
    path("", include("apps.accounts.urls")),
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

handler403 = "kosweb.views.forbidden"
handler404 = "kosweb.views.not_found"
handler500 = "kosweb.views.broken"
