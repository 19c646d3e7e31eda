from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kos.errors import UserError
from kos.weights import shards
from kos.weights.shards import Index, Spec

TENSORS = {
    "a": torch.arange(12, dtype=torch.float32).view(4, 3),
    "b": torch.tensor(7, dtype=torch.int32),
    "c": torch.ones(3, 2, dtype=torch.bfloat16),
}
SPECS = [Spec(name, value.dtype, tuple(value.shape)) for name, value in TENSORS.items()]


def whole(spec: Spec) -> list[torch.Tensor]:
    return [TENSORS[spec.name]]


def test_a_written_shard_is_read_by_safetensors(tmp_path):
    shards.write_shard(tmp_path / "model.safetensors", SPECS, whole)
    read = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(read[name], value) for name, value in TENSORS.items())


def test_a_shard_of_safetensors_is_read_by_the_index(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    index = Index(tmp_path)
    assert set(index) == set(TENSORS)
    assert all(torch.equal(index[name].read(), value) for name, value in TENSORS.items())


def test_rows_are_read_alone(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert Index(tmp_path)["a"].read_rows(1, 3).tolist() == [[3, 4, 5], [6, 7, 8]]


def test_the_digest_made_while_writing_is_that_of_the_file(tmp_path):
    digest = shards.write_shard(tmp_path / "x.safetensors", SPECS, whole)
    assert digest == hashlib.sha256((tmp_path / "x.safetensors").read_bytes()).hexdigest()


def test_pieces_make_the_same_file_as_the_whole(tmp_path):
    rows = lambda spec: TENSORS[spec.name].view(-1).split(2)  # noqa: E731
    first = shards.write_shard(tmp_path / "1", SPECS, whole)
    assert shards.write_shard(tmp_path / "2", SPECS, rows) == first


def test_a_shard_that_fails_half_way_does_not_appear(tmp_path):
    def fail(spec: Spec) -> list[torch.Tensor]:
        if spec.name == "b":
            raise KeyboardInterrupt
        return whole(spec)

    with pytest.raises(KeyboardInterrupt):
        shards.write_shard(tmp_path / "model.safetensors", SPECS, fail)
    assert not (tmp_path / "model.safetensors").exists()


def test_shards_keep_order_and_stay_below_the_limit():
    parts = shards.split([Spec(str(i), torch.uint8, (40,)) for i in range(5)], 100)
    assert [[spec.name for spec in part] for part in parts] == [["0", "1"], ["2", "3"], ["4"]]


def test_a_tensor_beyond_the_limit_stands_alone():
    parts = shards.split([Spec("a", torch.uint8, (9,)), Spec("b", torch.uint8, (500,))], 100)
    assert len(parts) == 2


def test_an_index_that_names_a_missing_shard_is_refused(tmp_path):
    shards.write_index(tmp_path, {"one.safetensors": SPECS[:1], "two.safetensors": SPECS[1:]})
    with pytest.raises(UserError, match=r"lacks one\.safetensors"):
        Index(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no \.safetensors"):
        Index(tmp_path)


def broken(folder: Path, change: Callable[[bytes], bytes]) -> Path:
    """A file of ``TENSORS`` with other bytes."""
    path = folder / "model.safetensors"
    shards.write_shard(path, SPECS, whole)
    path.write_bytes(change(path.read_bytes()))
    return folder


def test_a_file_cut_short_is_refused_with_the_tensor_it_cuts(tmp_path):
    with pytest.raises(UserError, match=r"model\.safetensors is cut short: c should end"):
        Index(broken(tmp_path, lambda raw: raw[:-1]))


@pytest.mark.parametrize("length", [0, 5, 30])
def test_a_cut_header_is_refused(tmp_path, length):
    with pytest.raises(UserError, match=r"model\.safetensors is cut short"):
        Index(broken(tmp_path, lambda raw: raw[:length]))


def test_bytes_that_no_tensor_owns_are_refused(tmp_path):
    with pytest.raises(UserError, match="3 bytes more than its header names"):
        Index(broken(tmp_path, lambda raw: raw + b"abc"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"shape":[4,3]', b'"shape":[4,4]', "a in model.* should take 64 bytes"),
        (b'"F32"', b'"F99"', "a in model.* is of type F99"),
        (b'"dtype"', b'"DTYPE"', "header of model.* is broken at a"),
        (b"[48,52]", b"[44,48]", "b in model.* begins at byte"),
        (b'{"__', b"['__", "is no JSON"),
    ],
)
def test_a_header_that_lies_is_refused_by_name(tmp_path, old, new, said):
    with pytest.raises(UserError, match=said):
        Index(broken(tmp_path, lambda raw: raw.replace(old, new, 1)))


def test_a_tensor_in_two_shards_is_refused(tmp_path):
    for name in ("1.safetensors", "2.safetensors"):
        shards.write_shard(tmp_path / name, SPECS[:1], whole)
    with pytest.raises(UserError, match=r"a stands in 1\.safetensors and in 2\.safetensors"):
        Index(tmp_path)


def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "x.safetensors.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        shards.write_shard(tmp_path / "x.safetensors", SPECS, whole)
    assert not (tmp_path / "x.safetensors").exists()


def test_tokenizer_files_are_copied_and_weights_are_not(tmp_path):
    for name in ("tokenizer.json", "chat_template.jinja", "config.json", "x.safetensors"):
        (tmp_path / name).write_text("{}")
    shards.copy_companions(tmp_path, tmp_path / "to")
    copied = {path.name for path in (tmp_path / "to").iterdir()}
    assert copied == {"tokenizer.json", "chat_template.jinja"}
