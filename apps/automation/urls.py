from __future__ import annotations

from django.urls import path

from apps.automation import views

app_name = "automation"
urlpatterns = [
    path("webhooks/", views.webhooks, name="webhooks"),
    path("webhooks/<int:pk>/", views.webhook, name="webhook"),
    path("webhooks/<int:pk>/act/", views.act, name="act"),
    path("webhooks/deliveries/<int:pk>/replay/", views.replay, name="replay"),
]
