from __future__ import annotations

from django.urls import path

from apps.runs.artifacts import downloads, lineage, shelf
from apps.runs.figures import comparing, plotting
from apps.runs.lists import edits, listing
from apps.runs.operations import operating
from apps.runs.page import configs, logbook, survival, timeline, views
from apps.runs.start import assisting, choosing, designing, machines, starting, weighing
from apps.runs.storage import storing

app_name = "runs"
urlpatterns = [
    path("runs/", listing.list, name="list"),
    path("runs/bulk/", edits.bulk, name="bulk"),
    path("runs/columns/", listing.choose_columns, name="columns"),
    path("runs/new/", choosing.choose, name="choose"),
    path("runs/new/upload/", choosing.upload, name="upload"),
    path("runs/new/<slug:kind>/", starting.new, name="new"),
    path("runs/new/<slug:kind>/part/<slug:path>/", starting.part, name="part"),
    path("runs/new/<slug:kind>/edit/", starting.edit, name="edit"),
    path("runs/new/<slug:kind>/validate/", assisting.validate, name="validate"),
    path("runs/new/<slug:kind>/cost/", assisting.cost, name="cost"),
    path("runs/new/<slug:kind>/yaml/", assisting.download_form, name="download_form"),
    path("runs/new/<slug:kind>/keep/", assisting.keep, name="keep"),
    path("runs/new/<slug:kind>/tensors/", weighing.tensors, name="tensors"),
    path("curriculum/", designing.designer, name="designer"),
    path("presets/", choosing.presets, name="presets"),
    path("presets/<int:pk>/rename/", choosing.rename_preset, name="rename_preset"),
    path("presets/<int:pk>/delete/", choosing.drop_preset, name="drop_preset"),
    path("queue/", operating.queue, name="queue"),
    path("queue/<int:pk>/move/", operating.move, name="move"),
    path("queue/<int:pk>/priority/", operating.prioritise, name="prioritise"),
    path("queue/<int:pk>/cancel/", operating.cancel, name="cancel"),
    path("queue/<int:pk>/put-back/", operating.put_back, name="put_back"),
    path("workers/", operating.workers, name="workers"),
    path("storage/", storing.storage, name="storage"),
    path("storage/tidy/", storing.tidy, name="tidy"),
    path("runs/compare/", comparing.compare, name="compare"),
    path("runs/<int:pk>/", views.detail, name="detail"),
    path("runs/<int:pk>/diagnosis/", views.diagnosis, name="diagnosis"),
    path("runs/<int:pk>/roll-back/", views.roll_back, name="roll_back"),
    path("runs/<int:pk>/metrics/", plotting.charts, name="charts"),
    path("runs/<int:pk>/metrics/pin/", plotting.pin_panel, name="pin_panel"),
    path("runs/<int:pk>/metrics/download/", plotting.download, name="download_metrics"),
    path("runs/<int:pk>/metrics.json", plotting.metrics, name="metrics"),
    path("runs/<int:pk>/timeline/", timeline.timeline, name="timeline"),
    path("runs/<int:pk>/log/", logbook.log, name="log"),
    path("runs/<int:pk>/log.txt", logbook.log_text, name="log_text"),
    path("runs/<int:pk>/config/", configs.config, name="config"),
    path("runs/<int:pk>/config.<slug:form>", configs.config_file, name="config_file"),
    path("runs/<int:pk>/artifacts/", views.artifacts, name="artifacts"),
    path("runs/<int:pk>/survival/", survival.survival, name="survival"),
    path("runs/<int:pk>/rename/", edits.rename, name="rename"),
    path("runs/<int:pk>/notes/", edits.edit_notes, name="edit_notes"),
    path("runs/<int:pk>/tags/", edits.tags, name="tags"),
    path("runs/<int:pk>/stop/", views.stop, name="stop"),
    path("runs/<int:pk>/resume/", views.resume, name="resume"),
    path("models/", shelf.models, name="models"),
    path("models/costs/", machines.costs_page, name="costs"),
    path("models/<int:pk>/", shelf.model, name="model"),
    path("models/<int:pk>/pin/", shelf.pin, name="pin"),
    path("models/<int:pk>/free/", shelf.free, name="free"),
    path("lineage/", lineage.lineage, name="lineage"),
    path("models/<int:pk>/download/", downloads.archive, name="download"),
    path("models/<int:pk>/hashes/", downloads.hashes, name="hashes"),
    path("models/<int:pk>/files/<path:name>", downloads.file, name="file"),
]
