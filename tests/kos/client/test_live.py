"""The client against the whole of Kos, over a port of this machine."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.db import transaction

from apps.automation.models import Webhook
from apps.runs import events, services
from apps.runs.figures import metrics
from apps.runs.models import Run, Status
from kos.client import Kos, KosError
from kos.digests import digest_of
from tests.factories import make_artifact, make_deployment, make_run, make_version
from tests.kos.serving import scripted

pytestmark = pytest.mark.django_db(transaction=True)
SAMPLE = {
    "id": "gout",
    "messages": [{"role": "user", "content": "Which dose?"}],
    "rubric": [{"key": "dose", "text": "Names a dose", "points": 1}],
}


def say(run, *said):
    with transaction.atomic():
        held = events.lock(run.pk)
        for kind, data in said:
            events.say(held, kind, **data)


def end(run, status=Status.DONE):
    with transaction.atomic():
        events.turn(events.lock(run.pk), status)


def test_it_knows_who_it_is(kos):
    assert (kos.me()["username"], kos.me()["role"]) == ("ada", "engineer")


def test_a_wrong_token_is_an_error_with_a_sentence(url):
    with Kos(url, "kos_wrong") as stranger, pytest.raises(KosError) as caught:
        stranger.runs.get(1)
    assert caught.value.status == 401


def test_a_run_is_started_changed_stopped_resumed_and_cloned(kos):
    base, version = make_artifact("base"), make_version()
    run = kos.runs.launch(
        "smoke-train", inputs={"base": base.pk}, dataset=version.pk, name="night"
    )
    assert (run.kind, run.status, run.inputs) == ("train", "queued", {"base": base.pk})
    assert kos.runs.update(run, tags=["nightly"], notes="first").tags == ["nightly"]
    assert [one.id for one in kos.runs.queue()] == [run.id]
    assert kos.runs.stop(run).status == "cancelled"
    assert kos.runs.resume(run).status == "queued"
    made = kos.runs.clone(run, name="again", config={"steps": 3})
    assert (made.name, made.config["steps"], made.inputs) == ("again", 3, run.inputs)
    assert isinstance(made.created, datetime)


def test_the_same_key_starts_one_run(kos):
    base, version = make_artifact("base"), make_version()
    given = {"inputs": {"base": base}, "dataset": version.pk, "key": "nightly-1"}
    # A row of the client's own does as well as its number.
    given["inputs"] = {"base": kos.models.get(base.pk)}
    first, second = (kos.runs.launch("smoke-train", **given) for _ in range(2))
    assert first.id == second.id
    assert Run.objects.filter(kind="train").count() == 1


def test_a_wrong_knob_is_named(kos):
    with pytest.raises(KosError, match=r"config\.steps"):
        kos.runs.launch("train", config={"steps": -1})


def test_a_start_can_be_checked_without_starting(kos):
    base, version = make_artifact("base"), make_version()
    plan = kos.runs.validate("smoke-train", inputs={"base": base.pk}, dataset=version.pk)
    assert (plan["kind"], plan["queue"]) == ("train", "gpu")
    assert "smoke-train" in {preset["name"] for preset in kos.runs.presets()}


def test_lists_are_filtered_and_paged(kos, ada):
    wanted = [make_run("merge", status="done", owner=ada, tags=["x"]).pk for _ in range(3)]
    make_run("merge", status="failed", owner=ada)
    found = kos.runs.list(status=["done"], kind="merge", tag=["x"], owner="ada")
    assert sorted(run.id for run in found) == wanted
    pages = [*kos.wire.pages("/api/runs/", most=2)]
    assert len(pages) == Run.objects.count()


def test_an_unknown_filter_is_refused(kos):
    with pytest.raises(KosError) as caught:
        kos.wire.get("/api/runs/", colour="red")
    assert caught.value.status == 422


def test_a_run_is_followed_to_its_end(kos, ada):
    run = make_run("train", owner=ada, status="running", attempt=1)
    say(run, ("note", {"text": "hello", "level": "info"}))
    progress = {"stage": "steps", "done": 1, "total": 2, "unit": "steps"}
    say(run, ("progress", progress))
    end(run)
    moves = []
    assert kos.runs.wait(run.pk, progress=moves.append).is_done
    assert [event.kind for event in kos.runs.stream(run.pk)] == ["note", "progress", "status"]
    assert [event.seq for event in kos.runs.stream(run.pk, after=2)] == [3]
    assert moves[0].share == 0.5


def test_what_a_run_said_and_measured_is_read(kos, ada):
    run = make_run("train", owner=ada, status="running", attempt=1)
    say(run, ("note", {"text": "one"}), ("note", {"text": "two", "level": "warning"}))
    metrics.record(run, 1, {"loss": 2.0}, datetime.now(UTC))
    metrics.record(run, 2, {"loss": None, "kl": 0.5}, datetime.now(UTC))
    assert kos.runs.metrics(run.pk, ["loss"]) == {"loss": [(1, 2.0), (2, None)]}
    assert set(kos.runs.metrics(run.pk)) == {"loss", "kl"}
    assert [line.text for line in kos.runs.log(run.pk)] == ["one", "two"]
    assert [event.data["text"] for event in kos.runs.events(run.pk, after=1)] == ["two"]


def test_a_model_is_listed_traced_and_downloaded(kos, tmp_path):
    artifact = make_artifact("adapter")
    artifact.location.mkdir(parents=True)
    artifact.location.joinpath("adapter.safetensors").write_bytes(bytes(5000))
    artifact.location.joinpath("config.json").write_text("{}")
    digest = digest_of(artifact.location)
    artifact.digest, artifact.size_bytes = digest.sha256, digest.size_bytes
    artifact.save(update_fields=["digest", "size_bytes"])
    part = tmp_path / "copy/adapter.safetensors.part"
    part.parent.mkdir()
    part.write_bytes(bytes(1200))  # an earlier attempt got so far
    assert [one.id for one in kos.models.list(kind="adapter")] == [artifact.pk]
    kos.models.download(artifact.pk, tmp_path / "copy")
    assert digest_of(tmp_path / "copy") == digest
    keys = {node["key"] for node in kos.models.lineage(artifact.pk)["nodes"]}
    assert f"artifact-{artifact.pk}" in keys
    assert kos.runs.artifacts(artifact.run_id)[0].id == artifact.pk


def test_a_dataset_is_imported_listed_exported_and_compared(kos, tmp_path):
    file = tmp_path / "letters.jsonl"
    file.write_text(json.dumps(SAMPLE) + "\n")
    first = kos.datasets.import_file(file, "Letters").version
    file.write_text(json.dumps(SAMPLE | {"id": "flu"}) + "\n" + json.dumps(SAMPLE) + "\n")
    second = kos.datasets.import_file(file, "Letters").version
    assert (first.number, second.number, second.num_examples) == (1, 2, 2)
    assert {one.id for one in kos.datasets.list()} == {first.id, second.id}
    assert kos.datasets.get(first).name == "Letters"
    path = kos.datasets.export(second, tmp_path / "out.jsonl")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["flu", "gout"]
    assert "flu" in json.dumps(kos.datasets.diff(first, second))


@pytest.mark.slow  # the first question builds the corpus of the tools
def test_a_deployed_model_is_asked(kos):
    with scripted.serve() as engine:
        make_deployment(name="far", engine="remote", artifact=None, url=engine.url, model="script")
        assert kos.chat.models() == ["far"]
        deltas = [*kos.chat.stream("far", "Gout?", tools=False)]
        answer = kos.chat.send("far", "Gout?", tools=False)
    assert "".join(delta.text for delta in deltas) == "one two three"
    assert (answer.text, answer.finish_reason) == ("one two three", "stop")
    assert answer.trace_id
    assert [one.name for one in kos.deployments.list()] == ["far"]


def test_a_model_that_is_not_there_is_an_error(kos):
    with pytest.raises(KosError, match="nobody"):
        kos.chat.send("nobody", "Hello?")


def test_webhooks_are_made_listed_and_dropped(kos):
    made = kos.webhooks.create("https://example.org/kos", ["run.done"])
    assert made.secret.startswith("koshook_")
    assert [one["url"] for one in kos.webhooks.list()] == ["https://example.org/kos"]
    assert kos.webhooks.test(made.webhook)["kind"] == "ping"
    assert [one["status"] for one in kos.webhooks.deliveries(made.webhook)] == ["waiting"]
    kos.webhooks.delete(made.webhook)
    assert not Webhook.objects.exists()


def test_the_other_rooms_answer(kos):
    assert [*kos.evals.list()] == []
    assert [*kos.reviews.list()] == []
    assert [*kos.traces.list(limit=5)] == []
    assert kos.deployments.aliases() == []


def test_a_search_finds_what_has_the_words(kos, ada):
    run = make_run("train", owner=ada, name="zebrafish night")
    (hit,) = kos.search("zebrafish")
    assert (hit["title"], hit["url"]) == ("zebrafish night", f"/runs/{run.pk}/")


def test_stopping_twice_is_harmless(kos, ada):
    run = make_run("train", owner=ada)
    services.stop(run)
    assert kos.runs.stop(run.pk).status == "cancelled"
