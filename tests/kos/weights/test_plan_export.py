from __future__ import annotations

import pytest

from kos.weights.formats.bf16 import Bf16
from kos.weights.formats.int4 import Int4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.plan_export import (
    dense_layers,
    partners,
    place,
    preview,
    ranges,
    summarise,
    text_tensor,
)
from kos.weights.shards import Index
from kos.weights.text import Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")


def rows_of(folder, format):
    return {row.kind: row for row in preview(folder, format).rows}


def test_experts_and_attention_output_are_quantised_and_the_rest_says_why(k2):
    rows = rows_of(k2, Nvfp4())
    quantised = {kind for kind, row in rows.items() if row.is_quantised}
    experts = {f"mlp.experts.{part}_proj" for part in ("gate", "up", "down")}
    assert quantised == experts | {"self_attn.o_proj"}
    assert rows["mlp.gate_proj"].why == "dense layer"
    assert rows["mlp.shared_experts.up_proj"].why == "kept by *shared_expert*"
    assert rows["self_attn.q_b_proj"].why == rows["lm_head"].why == "not named"
    assert (rows["mlp.experts.up_proj"].layer_ranges, rows["norm"].layer_ranges) == ("1-3", "")


def test_the_carve_out_of_dense_layers_can_be_lifted(k2):
    rows = rows_of(k2, Nvfp4(keep_dense_layers=False))
    assert rows["mlp.gate_proj"].is_quantised


def test_what_is_kept_wins_over_what_is_quantised(k2):
    rows = rows_of(k2, Nvfp4(keep=("*experts*",)))
    assert not rows["mlp.experts.up_proj"].is_quantised


def test_a_pattern_may_name_one_expert(k2):
    pattern = "*layers.2.mlp.experts.5.*"
    placed = preview(k2, Nvfp4(quantise=(pattern,)))
    assert sum(row.num_tensors for row in placed.rows if row.is_quantised) == 3


def test_the_sizes_are_those_of_the_export(k2, tmp_path):
    from kos.weights import stream
    from kos.weights.source import Source
    from kos.weights.stream import Work

    format, source = Int4(), Source(Checkpoint(k2))
    work = Work(source, format, place(source.tensors(), source.model.config, format))
    stream.write(work, tmp_path / "out", tmp_path / "j.json", lambda done, total: None)
    said = preview(k2, format)
    assert said.bytes_after == Index(tmp_path / "out").size_bytes
    assert said.bytes_before == sum(weight.stored_bytes for weight in source.model.values())
    assert sum(layer[4] for layer in said.layers) == said.bytes_after


def test_bf16_is_what_a_merge_weighs(k2, k2_text):
    said = preview(k2, Bf16())
    assert said.bytes_after == said.bytes_bf16 == Index(k2_text).size_bytes
    assert said.ratio == 1.0


def test_columns_that_fill_no_block_stay(k2):
    placed = place(
        [text_tensor(one)._replace(shape=(64, 40)) for one in Checkpoint(k2).values()][:5],
        {},
        Int4(quantise=("*",), keep=()),
    )
    assert all("do not fill blocks of 32" in one.why or "embedding" in one.why for one in placed)


@pytest.mark.parametrize(
    ("config", "dense"),
    [
        ({"n_routed_experts": 8, "num_hidden_layers": 4, "first_k_dense_replace": 1}, {0}),
        ({"n_routed_experts": 8, "num_hidden_layers": 4, "first_k_dense_replace": 3}, {0, 1, 2}),
        ({"num_experts": 8, "num_hidden_layers": 4, "mlp_only_layers": [2]}, {2}),
        ({"num_experts": 8, "num_hidden_layers": 4, "decoder_sparse_step": 2}, {0, 2}),
        ({"num_hidden_layers": 4}, set()),
    ],
)
def test_dense_layers_come_from_the_config(config, dense):
    assert dense_layers(config) == dense


def test_gate_and_up_are_partners():
    assert partners("a.mlp.up_proj.weight") == ["a.mlp.gate_proj.weight", "a.mlp.up_proj.weight"]
    assert partners("a.mlp.down_proj.weight") == ["a.mlp.down_proj.weight"]


def test_ranges_are_short():
    assert ranges([0, 3, 4, 5, 9]) == "0, 3-5, 9"


def test_the_preview_counts_every_weight_once(llama):
    model = Checkpoint(llama)
    found = summarise(place(map(text_tensor, model.values()), model.config, Nvfp4()))
    assert sum(row.num_tensors for row in found.rows) == len(model)
    assert found.show()["rows"][0]["quantised"] is True
