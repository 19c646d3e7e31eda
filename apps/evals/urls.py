from __future__ import annotations

from django.urls import path

from apps.evals import views

app_name = "evals"
urlpatterns = [
    path("evals/", views.list, name="list"),
    path("evals/<int:pk>/", views.detail, name="detail"),
]
