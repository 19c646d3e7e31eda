from __future__ import annotations

from django.urls import path

from apps.runs import lineage, starting, views

app_name = "runs"
urlpatterns = [
    path("runs/", views.list, name="list"),
    path("runs/new/", starting.choose, name="choose"),
    path("runs/new/<slug:kind>/", starting.new, name="new"),
    path("runs/new/<slug:kind>/part/<slug:path>/", starting.part, name="part"),
    path("runs/new/<slug:kind>/preview/", starting.preview, name="preview"),
    path("runs/<int:pk>/", views.detail, name="detail"),
    path("runs/<int:pk>/metrics.json", views.metrics, name="metrics"),
    path("runs/<int:pk>/log/", views.log, name="log"),
    path("runs/<int:pk>/config/", views.config, name="config"),
    path("runs/<int:pk>/artifacts/", views.artifacts, name="artifacts"),
    path("runs/<int:pk>/stop/", views.stop, name="stop"),
    path("runs/<int:pk>/resume/", views.resume, name="resume"),
    path("models/", lineage.models, name="models"),
    path("models/<int:pk>/", lineage.model, name="model"),
]
