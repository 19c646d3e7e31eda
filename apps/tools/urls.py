from __future__ import annotations

from django.urls import path, re_path

from apps.tools import mcp_views, views

app_name = "tools"
urlpatterns = [
    path("", views.list, name="list"),
    path("keys/", views.keys, name="keys"),
    path("keys/<int:pk>/forget/", views.forget, name="forget"),
    path("corpora/", views.corpora, name="corpora"),
    path("mcp/", mcp_views.servers, name="mcp"),
    re_path(
        r"^mcp/(?P<pk>\d+)/(?P<what>look|approve|withdraw|remove)/\Z",
        mcp_views.act,
        name="mcp_act",
    ),
    path("<slug:name>/", views.detail, name="detail"),
]
