"""Addresses below a run's: the rollouts of one of its steps."""

from __future__ import annotations

from django.urls import path

from apps.traces import steps

app_name = "steps"
urlpatterns = [
    path("<int:step>/", steps.detail, name="detail"),
    path("<int:step>/tokens/<int:trace>/", steps.tokens, name="tokens"),
]
