from __future__ import annotations

from django.urls import path

from apps.datasets import transfer, views

app_name = "datasets"
urlpatterns = [
    path("", views.list, name="list"),
    path("import/", views.import_, name="import"),
    path("import/save/", views.save, name="save"),
    path("sample/", views.sample, name="sample"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/export/<str:format>/", transfer.export, name="export"),
    path("<int:pk>/overlap/", transfer.overlap, name="overlap"),
    path("labels/<int:pk>/", transfer.labels, name="labels"),
    path("examples/<int:pk>/", views.example, name="example"),
]
