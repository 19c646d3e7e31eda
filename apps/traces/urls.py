from __future__ import annotations

from django.urls import path

from apps.traces import curriculum, rubric, views

app_name = "traces"
urlpatterns = [
    path("", views.list, name="list"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/flag/", views.flag, name="flag"),
    path("<int:pk>/origin/", views.origin, name="origin"),
    path("rubric/", rubric.rubric, name="rubric"),
    path("compare/", views.compare, name="compare"),
    path("curriculum/<slug:kind>/", curriculum.preview, name="curriculum"),
    path("run/<int:pk>/", views.rollouts, name="rollouts"),
]
