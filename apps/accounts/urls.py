from __future__ import annotations

from django.urls import path

from apps.accounts import (
    arrivals,
    auditing,
    authenticator,
    entrance,
    members,
    preferences,
    saving,
    views,
)

app_name = "accounts"
urlpatterns = [
    path("sign-in/", entrance.sign_in, name="sign_in"),
    path("sign-in/code/", entrance.code, name="code"),
    path("sign-in/provider/", arrivals.provider, name="provider"),
    path("sign-in/provider/back/", arrivals.back, name="back"),
    path("sign-out/", entrance.sign_out, name="sign_out"),
    path("theme/", views.theme, name="theme"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", views.revoke, name="revoke"),
    path("settings/", preferences.settings, name="settings"),
    path("settings/second-factor/", authenticator.authenticator, name="authenticator"),
    path("settings/identity/", arrivals.identity, name="identity"),
    path("settings/sessions/<slug:name>/end/", preferences.end_session, name="end_session"),
    path("members/", members.members, name="members"),
    path("members/<int:pk>/change/", members.change, name="change_member"),
    path("welcome/<str:place>/<str:token>/", members.welcome, name="welcome"),
    path("audit/", auditing.log, name="audit"),
    path("views/", saving.keep, name="keep_view"),
    path("views/<int:pk>/delete/", saving.delete, name="delete_view"),
]
