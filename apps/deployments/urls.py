from __future__ import annotations

from django.urls import path

from apps.deployments import accounting, contests, steering, views

app_name = "deployments"
urlpatterns = [
    path("", views.list, name="list"),
    path("remote/", views.remote, name="remote"),
    path("compare/", contests.compare, name="compare"),
    path("compare/<int:pk>/", contests.comparison, name="comparison"),
    path("compare/<int:pk>/stop/", contests.stop_comparison, name="stop_comparison"),
    path("usage/", accounting.usage, name="usage"),
    path("usage/allow/", accounting.allow, name="allow"),
    path("aliases/<slug:name>/", steering.alias, name="alias"),
    path("aliases/<slug:name>/move/", steering.move, name="move"),
    path("aliases/<slug:name>/roll-back/", steering.roll_back, name="roll_back"),
    path("aliases/<slug:name>/share/", steering.share, name="share"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/health/", views.health, name="health"),
    path("<int:pk>/stop/", views.stop, name="stop"),
    path("<int:pk>/start/", views.start, name="start"),
    path("<int:pk>/promote/", views.promote, name="promote"),
]
