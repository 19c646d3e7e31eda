from __future__ import annotations

from django.urls import path

from apps.chat import origins, pairs, shares, upkeep, views

app_name = "chat"
urlpatterns = [
    path("", views.list, name="list"),
    path("new/", views.new, name="new"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/send/", views.send, name="send"),
    path("<int:pk>/edit/<int:message>/", views.edit, name="edit"),
    path("<int:pk>/regenerate/", views.regenerate, name="regenerate"),
    path("<int:pk>/show/<int:message>/", views.show, name="show"),
    path("<int:pk>/stop/", views.stop, name="stop"),
    path("<int:pk>/rename/", upkeep.rename, name="rename"),
    path("<int:pk>/delete/", upkeep.delete, name="delete"),
    path("<int:pk>/source/<int:message>/<slug:name>/", views.source, name="source"),
    path("<int:pk>/origin/<int:message>/", origins.origin, name="origin"),
    path("<int:pk>/feedback/<int:message>/", views.feedback, name="feedback"),
    path("<int:pk>/share/", shares.share, name="share"),
    path("<int:pk>/share/<int:share>/revoke/", shares.revoke, name="revoke"),
    path("<int:pk>/export.md", shares.export_markdown, name="export_markdown"),
    path("<int:pk>/export.json", shares.export_json, name="export_json"),
    path("shared/<str:token>/", shares.shared, name="shared"),
    path(
        "shared/<str:token>/source/<int:message>/<slug:name>/",
        shares.shared_source,
        name="shared_source",
    ),
    path("pairs/<int:pk>/", pairs.pair, name="pair"),
    path("pairs/<int:pk>/send/", pairs.send, name="pair_send"),
    path("pairs/<int:pk>/stop/", pairs.stop, name="pair_stop"),
    path("pairs/<int:pk>/vote/", pairs.vote, name="pair_vote"),
]
