from __future__ import annotations

from django.urls import path

from apps.evals import (
    benchmarks,
    comparing,
    examples,
    judging,
    regressing,
    trying,
    variants,
    views,
)

app_name = "evals"
urlpatterns = [
    path("evals/", views.list, name="list"),
    path("evals/import/", views.import_run, name="import"),
    path("evals/compare/", comparing.show, name="compare"),
    path("evals/compare/json/", comparing.as_json, name="compare_json"),
    path("evals/compare/regressions/", regressing.show_changes, name="changes"),
    path("evals/variants/", variants.show, name="variants"),
    path("evals/benchmarks/", benchmarks.show, name="benchmarks"),
    path("evals/benchmarks/<slug:kind>/load/", benchmarks.load, name="load_benchmark"),
    path("evals/judges/", judging.list, name="judges"),
    path("evals/judges/new/", judging.edit, name="new_judge"),
    path("evals/judges/try/", trying.try_judge, name="try_judge"),
    path("evals/judges/compare/", judging.compare, name="compare_judges"),
    path("evals/judges/<int:pk>/", judging.detail, name="judge"),
    path("evals/judges/<int:pk>/edit/", judging.edit, name="edit_judge"),
    path("evals/judges/<int:pk>/status/", judging.change_status, name="judge_status"),
    path("evals/judges/<int:pk>/probe/", judging.probe, name="probe_judge"),
    path("evals/judges/<int:pk>/calibrate/", judging.calibrate, name="calibrate_judge"),
    path("evals/<int:pk>/", views.detail, name="detail"),
    path("evals/run/<int:pk>/", views.show_run, name="run"),
    path("evals/run/<int:pk>/regressions/", regressing.show, name="regressions"),
    path("evals/run/<int:pk>/json/", views.as_json, name="json"),
    path("evals/run/<int:pk>/csv/", views.as_csv, name="csv"),
    path("evals/run/<int:pk>/report/", views.as_html, name="html"),
    path("evals/run/<int:pk>/example/<path:example_id>/", examples.show, name="example"),
    path("evals/grade/<int:pk>/override/", examples.override, name="override"),
]
