from __future__ import annotations

from django.urls import path

from apps.runs import downloads, lineage, machines, starting, survival, views, weighing

app_name = "runs"
urlpatterns = [
    path("runs/", views.list, name="list"),
    path("runs/new/", starting.choose, name="choose"),
    path("runs/new/<slug:kind>/", starting.new, name="new"),
    path("runs/new/<slug:kind>/part/<slug:path>/", starting.part, name="part"),
    path("runs/new/<slug:kind>/cost/", starting.cost, name="cost"),
    path("runs/new/<slug:kind>/edit/", starting.edit, name="edit"),
    path("runs/new/<slug:kind>/tensors/", weighing.tensors, name="tensors"),
    path("runs/new/<slug:kind>/preview/", starting.preview, name="preview"),
    path("runs/<int:pk>/", views.detail, name="detail"),
    path("runs/<int:pk>/diagnosis/", views.diagnosis, name="diagnosis"),
    path("runs/<int:pk>/roll-back/", views.roll_back, name="roll_back"),
    path("runs/<int:pk>/metrics.json", views.metrics, name="metrics"),
    path("runs/<int:pk>/log/", views.log, name="log"),
    path("runs/<int:pk>/config/", views.config, name="config"),
    path("runs/<int:pk>/artifacts/", views.artifacts, name="artifacts"),
    path("runs/<int:pk>/survival/", survival.survival, name="survival"),
    path("runs/<int:pk>/stop/", views.stop, name="stop"),
    path("runs/<int:pk>/resume/", views.resume, name="resume"),
    path("models/", lineage.models, name="models"),
    path("models/costs/", machines.costs_page, name="costs"),
    path("models/<int:pk>/", lineage.model, name="model"),
    path("models/<int:pk>/download/", downloads.archive, name="download"),
    path("models/<int:pk>/files/<path:name>", downloads.file, name="file"),
]
