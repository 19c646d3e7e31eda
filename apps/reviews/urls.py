from __future__ import annotations

from django.urls import path

from apps.reviews import judging, managing, views

app_name = "reviews"
urlpatterns = [
    path("", views.list, name="list"),
    path("new/", managing.new, name="new"),
    path("judges/", judging.list, name="judges"),
    path("judges/<int:pk>/", judging.detail, name="judge"),
    path("<int:pk>/", managing.detail, name="detail"),
    path("<int:pk>/edit/", managing.edit, name="edit"),
    path("<int:pk>/fill/", managing.fill, name="fill"),
    path("<int:pk>/turn/", managing.turn, name="turn"),
    path("<int:pk>/next/", views.following, name="next"),
    path("<int:pk>/labels/", judging.keep_labels, name="keep_labels"),
    path("<int:pk>/agreement/", views.show_agreement, name="agreement"),
    path("<int:pk>/adjudicate/", views.adjudicate, name="adjudicate"),
    path("<int:pk>/export/<slug:kind>/", views.export, name="export"),
    path("<int:pk>/<int:item_pk>/", views.item, name="item"),
    path("<int:pk>/<int:item_pk>/accept/", views.accept, name="accept"),
    path("<int:pk>/<int:item_pk>/settle/", views.settle, name="settle"),
]
