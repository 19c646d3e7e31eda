"""A disk that fills while weights are written: finished shards stay, and the job goes on later."""

from __future__ import annotations

import pytest
import torch

from kos.config import Merge
from kos.engine.checkpoint import read_state, write_state
from kos.events import LocalJob
from kos.files import no_room
from kos.weights.merge import merge
from kos.weights.shards import Index
from tests.faults.conftest import small_disk
from tests.kos.weights.models import differing, make_peft, run_merge
from tests.kos.weights.test_export import NO_SMOKE, run_export

__all__ = ["small_disk"]
pytestmark = pytest.mark.filterwarnings("ignore")
SHARDS = Merge(shard_gb=0.0001)


def stamps(folder):
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("*.safetensors")}


def test_a_merge_goes_on_where_the_disk_was_full(llama, tmp_path, small_disk):
    adapter = make_peft(llama, tmp_path / "a", target_modules="all-linear")
    inputs = {"base": llama, "adapter": adapter}
    whole = run_merge(tmp_path / "whole", SHARDS, **inputs).folder / "merged"
    job = LocalJob(small_disk.folder / "run", inputs)
    small_disk.fill(leaving=Index(whole).size_bytes // 2)
    with pytest.raises(OSError, match="No space left") as found:
        merge(SHARDS, job)
    assert "make room and resume" in no_room(found.value, job.folder)
    done = stamps(job.folder / "merged")
    assert 0 < len(done) < len(stamps(whole))
    small_disk.clear()
    merge(SHARDS, job)
    assert differing(job.folder / "merged", whole) == []
    assert done.items() <= stamps(job.folder / "merged").items()
    assert not [*job.folder.rglob("*.part")]


def test_an_export_goes_on_where_the_disk_was_full(llama, tmp_path, small_disk):
    config = NO_SMOKE.model_copy(update={"shard_gb": 0.0001})
    whole = run_export(tmp_path / "whole", config, model=llama).folder / "quantised"
    small_disk.fill(leaving=250_000)
    with pytest.raises(OSError, match="No space left") as found:
        run_export(small_disk.folder / "run", config, model=llama)
    assert no_room(found.value, small_disk.folder)
    small_disk.clear()
    run_export(small_disk.folder / "run", config, model=llama)
    assert differing(small_disk.folder / "run" / "quantised", whole) == []


def test_a_checkpoint_that_finds_no_room_leaves_the_last_one_whole(small_disk):
    path = small_disk.folder / "state.pt"
    write_state(path, {"step": 1, "weights": torch.ones(100_000)})
    small_disk.fill(leaving=100_000)
    with pytest.raises((OSError, RuntimeError)) as found:
        write_state(path, {"step": 2, "weights": torch.ones(100_000)})
    assert no_room(found.value, small_disk.folder)
    assert read_state(path)["step"] == 1


def test_a_shard_half_written_is_no_part_of_the_folder(llama, small_disk):
    small_disk.fill(leaving=150_000)
    with pytest.raises(OSError, match="No space left"):
        run_merge(small_disk.folder / "run", SHARDS, base=llama)
    folder = small_disk.folder / "run" / "merged"
    assert len(Index(folder).files) == len(stamps(folder))
