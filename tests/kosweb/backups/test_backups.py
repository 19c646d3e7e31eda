"""A backup brings back every row and every byte, or says why it cannot."""

from __future__ import annotations

import json
import shutil

import pytest
from django.conf import settings

from apps.accounts import audit
from apps.accounts.models import User
from apps.runs.models import Artifact, Event, Run
from apps.tools import services as tools
from kos.digests import digest_of
from kos.errors import UserError
from kosweb.backups import making, restoring
from tests import factories
from tests.kosweb.backups.conftest import contents
from tests.rest import filled


def quiet(text):
    """Says it to nobody."""


def make_artifact(run, name, content=b"weights"):
    place = run.folder / name
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(content)
    (place / "config.json").write_text("{}")
    found = digest_of(place)
    row = factories.make_artifact("merged", run=run, path=f"{run.pk}/{name}", name=name)
    row.digest, row.size_bytes = found.sha256, found.size_bytes
    row.save(update_fields=["digest", "size_bytes"])
    return row


@pytest.fixture
def furnished(console, artifacts):
    """Rows in every room, and an artifact with files; returns the artifact."""
    run = factories.make_run("train", status="done")
    kept = make_artifact(run, "merged")
    Event.objects.create(
        run=run, seq=1, attempt=1, kind="note", data={"text": "é\\"}, at=run.created
    )
    factories.make_trace(run=run, answer="Tab\tand 漢字\nand \\N")
    file = Artifact.objects.get(pk=filled(run.owner)["/api/models/{id}"])
    Artifact.objects.filter(pk=file.pk).update(digest=digest_of(file.location).sha256)
    tools.set_key("brave", "a-sealed-key", by=run.owner)
    audit.note(run.owner, "exported", run)
    return kept


def test_there_is_a_row_in_every_room(furnished):
    rooms = {name.split("_")[0] for name, found in contents().items() if is_filled(found)}
    assert rooms >= {path.name for path in (settings.ROOT / "apps").glob("[a-z]*")}


def is_filled(found):
    return isinstance(found, tuple) and found[0] > 0


def test_everything_is_as_it_was(furnished, tmp_path, move, settings):
    before, files = contents(), digest_of(settings.ARTIFACTS)
    making.make(tmp_path / "kept", quiet)
    move()
    restoring.restore(tmp_path / "kept", quiet)
    assert contents() == before
    assert digest_of(settings.ARTIFACTS) == files
    newest = max(Run.objects.values_list("pk", flat=True))
    assert factories.make_run(owner=User.objects.first()).pk > newest


def test_it_is_of_one_moment_while_the_console_goes_on(furnished, tmp_path, move, monkeypatch):
    dump = making.database.dump

    def dump_while_others_write(*told):
        factories.make_user("late")
        dump(*told)

    monkeypatch.setattr(making.database, "dump", dump_while_others_write)
    making.make(tmp_path / "kept", quiet)
    move()
    restoring.restore(tmp_path / "kept", quiet)
    assert not User.objects.filter(username="late").exists()


@pytest.mark.parametrize("name", ["database.dump", "model.safetensors"])
def test_a_damaged_file_is_named_and_nothing_restored(furnished, tmp_path, move, name):
    making.make(tmp_path / "kept", quiet)
    [path] = (tmp_path / "kept").rglob(name)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    move()
    with pytest.raises(UserError, match=rf"{name} is damaged; nothing was restored"):
        restoring.restore(tmp_path / "kept", quiet)
    assert contents() == {}


def test_a_missing_file_is_named(furnished, tmp_path, move):
    making.make(tmp_path / "kept", quiet)
    shutil.rmtree(tmp_path / "kept/artifacts")
    move()
    with pytest.raises(UserError, match=r"config.json is missing, .*nothing was restored"):
        restoring.restore(tmp_path / "kept", quiet)


def test_one_that_was_broken_off_is_not_taken_for_whole(furnished, tmp_path, monkeypatch):
    monkeypatch.setattr(making, "write", lambda *told: _break_off())
    with pytest.raises(KeyboardInterrupt):
        making.make(tmp_path / "kept", quiet)
    assert (tmp_path / "kept/database.dump").exists()
    with pytest.raises(UserError, match=r"broken off before it was whole"):
        restoring.restore(tmp_path / "kept", quiet)


def _break_off():
    raise KeyboardInterrupt


def test_newer_tables_are_refused_with_what_would_do(furnished, tmp_path, move):
    made = making.make(tmp_path / "kept", quiet)
    rewrite(tmp_path / "kept", migrations=[*made.migrations, "runs.9999_tomorrow"])
    move()
    with pytest.raises(UserError, match=r"runs.9999_tomorrow is not known here. Install revision"):
        restoring.restore(tmp_path / "kept", quiet)


def rewrite(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_there_is_never_overwritten(furnished, tmp_path):
    making.make(tmp_path / "kept", quiet)
    with pytest.raises(UserError, match=r"the database has \d+ tables already"):
        restoring.restore(tmp_path / "kept", quiet)


def test_artifacts_that_are_there_are_never_overwritten(furnished, tmp_path, move, settings):
    making.make(tmp_path / "kept", quiet)
    move()
    (settings.ARTIFACTS / "7").mkdir(parents=True)
    with pytest.raises(UserError, match=r"is not empty \(7\)"):
        restoring.restore(tmp_path / "kept", quiet)


def test_a_database_that_fails_leaves_no_artifact(
    furnished, tmp_path, move, settings, monkeypatch
):
    making.make(tmp_path / "kept", quiet)
    move()
    monkeypatch.setattr(restoring.database, "load", lambda *told: _break_off())
    with pytest.raises(KeyboardInterrupt):
        restoring.restore(tmp_path / "kept", quiet)
    restoring.check_emptiness()


def test_a_second_backup_does_not_go_into_the_first(furnished, tmp_path):
    making.make(tmp_path / "kept", quiet)
    with pytest.raises(UserError, match="is not empty"):
        making.make(tmp_path / "kept", quiet)


def test_models_can_stay_away(furnished, tmp_path):
    made = making.make(tmp_path / "kept", quiet, models=False)
    assert [file.path for file in made.files] == ["database.dump"]


def test_hard_links_hold_the_same_bytes_and_no_more_room(furnished, tmp_path):
    making.make(tmp_path / "kept", quiet, links=True)
    kept = tmp_path / "kept/artifacts" / furnished.path / "model.safetensors"
    assert kept.samefile(furnished.location / "model.safetensors")


def test_an_artifact_whose_bytes_rotted_is_left_out_and_named(furnished, tmp_path):
    (furnished.location / "model.safetensors").write_bytes(b"rotten!")
    made = making.make(tmp_path / "kept", quiet)
    [sentence] = [one for one in made.left_out if "are not what was kept" in one]
    assert sentence.startswith(f"merged (artifact {furnished.pk})")


def test_an_artifact_that_is_deleted_is_not_missed(furnished, tmp_path):
    furnished.freed = furnished.created
    furnished.save(update_fields=["freed"])
    made = making.make(tmp_path / "kept", quiet)
    assert not any(f"artifact {furnished.pk})" in sentence for sentence in made.left_out)


def test_with_its_keys_a_sealed_secret_opens_again(furnished, tmp_path, move, settings):
    making.make(tmp_path / "kept", quiet, keys=True)
    move()
    settings.SECRET_KEY = "another, made at the first start"
    settings.VAR = tmp_path
    (tmp_path / "secret_key").write_text(settings.SECRET_KEY)
    said = []
    restoring.restore(tmp_path / "kept", said.append)
    assert not any("sealed" in one for one in said)
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_without_its_keys_it_is_said_what_stays_closed(furnished, tmp_path, move, settings):
    made = making.make(tmp_path / "kept", quiet)
    move()
    settings.SECRET_KEY = "another, made at the first start"
    said = []
    restoring.restore(tmp_path / "kept", said.append)
    assert not made.has_keys
    assert any("3 of 3 sealed secrets" in one for one in said)


def test_a_manifest_cannot_lead_out_of_the_folder(furnished, tmp_path):
    made = making.make(tmp_path / "kept", quiet)
    entry = made.files[0].model_dump() | {"path": "artifacts/../../secret_key"}
    rewrite(tmp_path / "kept", files=[entry])
    with pytest.raises(UserError, match="is damaged"):
        restoring.restore(tmp_path / "kept", quiet)
