from __future__ import annotations

from django.urls import path

from apps.datasets import drafting, entering, history, transfer, views, writing

app_name = "datasets"
urlpatterns = [
    path("", views.list, name="list"),
    path("new/", drafting.new, name="new"),
    path("import/", entering.import_, name="import"),
    path("import/save/", entering.save, name="save"),
    path("work/<int:pk>/", entering.progress, name="work"),
    path("work/<int:pk>/problems/", entering.problems, name="problems"),
    path("sample/", views.sample, name="sample"),
    path("sets/<int:pk>/", views.dataset, name="dataset"),
    path("sets/<int:pk>/diff/", history.choose, name="choose_diff"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/export/<str:format>/", transfer.export, name="export"),
    path("<int:pk>/overlap/", transfer.overlap, name="overlap"),
    path("<int:pk>/repeats/", transfer.find_repeats, name="repeats"),
    path("<int:pk>/delete/", views.delete, name="delete"),
    path("<int:pk>/draft/", drafting.start, name="start_draft"),
    path("<int:old>/diff/<int:new>/", history.diff, name="diff"),
    path("<int:old>/diff/<int:new>/export/", history.diff_export, name="diff_export"),
    path("labels/<int:pk>/", transfer.labels, name="labels"),
    path("examples/<int:pk>/", views.example, name="example"),
    path("examples/<int:pk>/edit/", writing.edit, name="edit"),
    path("drafts/<int:pk>/", drafting.draft, name="draft"),
    path("drafts/<int:pk>/write/", writing.write, name="write"),
    path("drafts/<int:pk>/add/", drafting.add, name="add"),
    path("drafts/<int:pk>/remove/", drafting.remove, name="remove"),
    path("drafts/<int:pk>/revert/", drafting.revert, name="revert"),
    path("drafts/<int:pk>/publish/", drafting.publish, name="publish"),
    path("drafts/<int:pk>/discard/", drafting.discard, name="discard"),
    path("drafts/undo/<int:pk>/", drafting.undo, name="undo"),
]
