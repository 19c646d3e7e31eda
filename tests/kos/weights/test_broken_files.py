"""Shards and adapters that are broken, or made to break a reader: always a sentence with a name."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from kos.errors import UserError
from kos.weights.entries import INDEX, Index, read_header, read_json
from kos.weights.lora import Adapter

QUICK = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
A, B = "base_model.model.model.norm.lora_A.weight", "base_model.model.model.norm.lora_B.weight"
FACTORS = {A: torch.ones(2, 8), B: torch.ones(4, 2)}
SHAPES = {"model.norm.weight": (4, 8)}


def write(path: Path, header: object, rest: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)
    return path


def entry(**said):
    return {"x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} | said}


@pytest.mark.parametrize(
    "header",
    [
        [],
        "text",
        b"[" * 50_000,
        b"\xff\xfe\x00",
        {"x": None},
        entry(dtype=["U8"]),
        entry(dtype=None),
        entry(shape=[2.5]),
        entry(shape=[True, 4]),
        entry(shape=["4"]),
        entry(shape=[-4]),
        entry(shape=[1] * 100_000),
        entry(shape=[2**70]),
        entry(shape=4),
        entry(data_offsets=[0]),
        entry(data_offsets=[0, 1e999]),
        entry(data_offsets=[4, 0]),
        entry(data_offsets=[2**62, 2**62 + 4]),
        {"\ud800": entry()["x"] | {"dtype": "?"}},
        {"x": entry()["x"], "y": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}},
    ],
)
def test_a_header_that_lies_is_named_by_its_file(tmp_path, header):
    with pytest.raises(UserError, match=r"shard-1\.safetensors") as found:
        read_header(write(tmp_path / "shard-1.safetensors", header, b"abcd"))
    assert str(found.value).encode()


@pytest.mark.parametrize("length", [0, 7, 2**63, 2**64 - 1, 10**12])
def test_an_absurd_length_of_the_header_reserves_no_memory(tmp_path, length):
    path = tmp_path / "shard.safetensors"
    path.write_bytes(struct.pack("<Q", length)[: 8 if length else 3] + b"{}")
    with pytest.raises(UserError, match=r"shard\.safetensors"):
        read_header(path)


@QUICK
@given(data=st.data())
def test_whatever_bytes_are_changed_a_sentence_names_the_file(tmp_path, data):
    path = tmp_path / "shard.safetensors"
    save_file(FACTORS, path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(200, len(raw) - 1)))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        read_header(path)
    except UserError as error:
        assert "shard.safetensors" in str(error)


@pytest.mark.parametrize(
    "places",
    [
        None,
        [],
        {},
        {"x": 1},
        {"x": "../secret.safetensors"},
        {"x": "/etc/passwd"},
        {"x": "a/b.safetensors"},
        {"x": ".."},
        {"x": "nul\0.safetensors"},
        {"x": "long" * 100},
        {"x": "\ud800"},
    ],
)
def test_an_index_that_names_what_is_not_in_its_folder_is_refused(tmp_path, places):
    (tmp_path / "secret.safetensors").write_bytes(b"")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    with pytest.raises(UserError, match=r"model\.safetensors\.index\.json of model"):
        Index(folder)


@QUICK
@given(text=st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b"\xff\xfe")
@example(b"9" * 5_000)
def test_a_config_of_any_bytes_is_an_object_or_a_sentence(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text)
    try:
        assert isinstance(read_json(tmp_path / "config.json"), dict)
    except UserError as error:
        assert "config.json" in str(error)


def adapter(folder: Path, config: object, factors: dict[str, torch.Tensor] = FACTORS) -> Adapter:
    save_file(factors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return Adapter(folder)


def test_a_sound_adapter_is_read(tmp_path):
    found = adapter(tmp_path, {"lora_alpha": 2}).plan(SHAPES)
    assert [*found] == ["model.norm.weight"]


@pytest.mark.parametrize(
    "config",
    [
        {"lora_alpha": "2"},
        {"lora_alpha": float("nan")},
        {"lora_alpha": float("inf")},
        {"lora_alpha": 10**400},
        {"lora_alpha": None},
        {"lora_alpha": True},
        {"lora_alpha": 2, "alpha_pattern": ["x"]},
        {"lora_alpha": 2, "alpha_pattern": {"x": "much"}},
        {"lora_alpha": 2, "alpha_pattern": {"(": 1}},
    ],
)
def test_an_alpha_that_is_no_number_is_refused_by_its_file(tmp_path, config):
    with pytest.raises(UserError, match=r"adapter_config\.json"):
        adapter(tmp_path, config)


def test_a_pattern_that_takes_for_ever_is_broken_off(tmp_path):
    module = "a" * 60
    factors = {name.replace("model.norm", module): factor for name, factor in FACTORS.items()}
    config = {"lora_alpha": 2, "alpha_pattern": {"(a|aa)+$!": 1}}
    with pytest.raises(UserError, match=f"takes too long to match {module}"):
        adapter(tmp_path, config, factors).plan({f"{module}.weight": (4, 8)})


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.uint8])
def test_factors_of_another_type_are_named_with_their_file(tmp_path, dtype):
    wrong = {A: FACTORS[A].to(dtype), B: FACTORS[B]}
    with pytest.raises(UserError, match=r"lora_A.* in .*adapter_model\.safetensors is of type"):
        adapter(tmp_path, {"lora_alpha": 2}, wrong)


@pytest.mark.parametrize("shape", [(2,), (2, 8, 1), (0, 8), ()])
def test_factors_of_another_shape_fit_nowhere(tmp_path, shape):
    wrong = {A: torch.ones(shape), B: FACTORS[B]}
    with pytest.raises(UserError, match="adapter"):
        adapter(tmp_path, {"lora_alpha": 2}, wrong).plan(SHAPES)
