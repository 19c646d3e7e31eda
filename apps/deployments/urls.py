from __future__ import annotations

from django.urls import path

from apps.deployments import views

app_name = "deployments"
urlpatterns = [
    path("", views.list, name="list"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/health/", views.health, name="health"),
    path("<int:pk>/stop/", views.stop, name="stop"),
]
