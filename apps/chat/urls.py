from __future__ import annotations

from django.urls import path

from apps.chat import views

app_name = "chat"
urlpatterns = [
    path("", views.list, name="list"),
    path("new/", views.new, name="new"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/send/", views.send, name="send"),
    path("<int:pk>/regenerate/", views.regenerate, name="regenerate"),
    path("<int:pk>/stop/", views.stop, name="stop"),
]
