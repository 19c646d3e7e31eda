from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kos.errors import CancelledError, UserError
from kos.weights import layerwise, whole
from kos.weights.activations import Calibration, Seen, input_of, own_input_of
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.layerwise import Disk, Wanted
from kos.weights.moments import Running, leading
from kos.weights.plan_export import dense_layers
from kos.weights.skeleton import Skeleton
from kos.weights.source import Source
from kos.weights.text import Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")
ALL = Nvfp4(quantise=("*",), keep=("*lm_head*", "*mlp.gate.*", "*embed*"))


def batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randint(10, 400, shape, generator=generator) for shape in ((4, 32), (3, 20), (4, 32))
    ]


def run(model: Path, folder: Path, wanted: Wanted = Wanted(), **fields):  # noqa: B008
    return layerwise.calibrate(
        Source(Checkpoint(model)),
        fields.pop("batches", batches()),
        folder,
        wanted=wanted,
        on_layer=fields.pop("on_layer", lambda done, total: None),
        **fields,
    )


def final_states(model: Path, ids: torch.Tensor) -> torch.Tensor:
    """What the last layer makes, before the norm, by transformers in float32."""
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval().model
    loaded.norm = torch.nn.Identity()
    with torch.inference_mode():
        return loaded(ids, use_cache=False).last_hidden_state


@pytest.mark.parametrize("model", ["k2_text", "llama"])
def test_the_hidden_states_are_those_of_the_whole_model(request, tmp_path, model):
    folder = request.getfixturevalue(model)
    run(folder, tmp_path, dtype=torch.float32)
    layers = Checkpoint(folder).config["num_hidden_layers"]
    disk = Disk(tmp_path, torch.float32, 128 if model == "k2_text" else 64, batches(), Wanted())
    for (_, hidden), ids in zip(disk.read(layers), batches(), strict=True):
        assert torch.allclose(hidden, final_states(folder, ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["k2_text", "llama"])
def test_largest_inputs_are_modelopts(request, tmp_path, model):
    """Within two BF16 steps: experts are added up in another order."""
    folder = request.getfixturevalue(model)
    ours, _ = run(folder, tmp_path, dtype=torch.bfloat16)
    dense = dense_layers(Checkpoint(folder).config)
    theirs = whole.calibrate(
        folder, batches(), format=ALL, dense_layers=dense, on_batch=lambda count: None
    )
    assert len(theirs.inputs) > 7
    for name, seen in theirs.inputs.items():
        assert ours.inputs[name].amax == pytest.approx(seen.amax, rel=2**-6), name
    exact = [ours.inputs[name].amax == seen.amax for name, seen in theirs.inputs.items()]
    assert sum(exact) > 0.6 * len(exact)


def test_the_routers_choices_are_counted_as_modelopt_sees_them(k2_text, tmp_path):
    ours, _ = run(k2_text, tmp_path, dtype=torch.bfloat16)
    theirs = whole.calibrate(
        k2_text, batches(), format=Nvfp4(), dense_layers=(0,), on_batch=lambda count: None
    )
    assert sorted(ours.coverage) == sorted(theirs.coverage) == [1, 2, 3]
    tokens = sum(batch.numel() for batch in batches())
    for layer, counts in ours.coverage.items():
        assert sum(counts) == 2 * tokens
        # A near tie may fall otherwise in another order of sums.
        moved = sum(abs(a - b) for a, b in zip(counts, theirs.coverage[layer], strict=True))
        assert moved <= 8


def test_packed_experts_need_no_merge(k2, k2_text, tmp_path):
    packed, _ = run(k2, tmp_path / "a")
    plain, _ = run(k2_text, tmp_path / "b")
    assert packed.inputs == plain.inputs


def test_a_stopped_calibration_goes_on_at_its_layer(k2_text, tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        run(k2_text, tmp_path, on_layer=stop)
    told: list[int] = []
    found, _ = run(k2_text, tmp_path, on_layer=lambda done, total: told.append(done))
    assert told == [2, 3, 4]
    assert found.inputs == run(k2_text, tmp_path / "whole")[0].inputs


def test_other_text_begins_anew(llama, tmp_path):
    run(llama, tmp_path)
    told: list[int] = []
    run(llama, tmp_path, batches=batches()[:1], on_layer=lambda done, total: told.append(done))
    assert told == [0, 1, 2]


def test_second_moments_are_those_of_the_inputs(llama, tmp_path):
    name = "model.layers.1.mlp.down_proj"
    found, moments = run(llama, tmp_path, Wanted(frozenset({name}), 128))
    values, vectors = moments[f"{name}.values"], moments[f"{name}.vectors"]
    whole_CC = (vectors * values) @ vectors.T
    assert torch.allclose(whole_CC.diagonal(), moments[f"{name}.diagonal"], rtol=1e-3, atol=1e-7)
    assert float(moments[f"{name}.diagonal"].max()) <= found.inputs[name].amax ** 2
    assert all(key.startswith(name) for key in moments)


def test_an_experts_down_projection_has_moments_of_its_own(k2, tmp_path):
    weights = [f"model.layers.2.mlp.experts.{expert}.down_proj.weight" for expert in range(8)]
    wanted = Wanted(frozenset(map(own_input_of, weights)), 4)
    found, moments = run(k2, tmp_path, wanted)
    found.save(tmp_path / "kept", moments)
    read = Calibration.load(tmp_path / "kept")
    first, second = (read.of(name) for name in weights[:2])
    assert first.amax == second.amax == found.inputs[input_of(weights[0])].amax
    assert first.vectors_CK.shape == (64, 4)
    assert not torch.equal(first.diagonal_C, second.diagonal_C)


def test_an_expert_without_tokens_counts_all_channels_alike(tmp_path):
    stem = "model.layers.1.mlp.experts"
    found = Calibration({f"{stem}.down_proj": Seen(2.0, 5), f"{stem}.0.down_proj": Seen(2.0, 5)})
    found.save(tmp_path, {f"{stem}.0.down_proj.diagonal": torch.tensor([1.0, 3.0])})
    unseen = Calibration.load(tmp_path).of(f"{stem}.1.down_proj.weight")
    assert (unseen.num_tokens, unseen.diagonal_C.tolist()) == (0, [2.0, 2.0])


def test_coverage_names_the_experts_without_tokens():
    found = Calibration(coverage={1: [3, 0, 2], 2: [1, 1, 1]})
    assert found.unseen() == {1: [1], 2: []}
    assert found.show()["coverage"]["unseen"] == 1


def test_the_head_is_recorded_when_it_is_quantised(llama, tmp_path):
    found, _ = run(llama, tmp_path, Wanted(has_head=True))
    assert found.inputs["lm_head"].num_tokens == sum(batch.numel() for batch in batches())


def test_weights_that_read_one_input_share_its_name():
    assert input_of("model.layers.0.mlp.up_proj.weight") == "model.layers.0.mlp.gate_proj"
    assert input_of("a.mlp.experts.7.up_proj.weight") == "a.mlp.experts.gate_up_proj"
    assert own_input_of("a.mlp.experts.7.down_proj.weight") == "a.mlp.experts.7.down_proj"


@pytest.mark.parametrize("size", [64, 1500])
def test_leading_eigenpairs_are_the_largest(size):
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(size, 32, generator=generator))
    spectrum = 2.0 ** -torch.arange(32.0)
    values, vectors = leading((basis * spectrum) @ basis.T, 4)
    assert torch.allclose(values, spectrum[:4], rtol=1e-3)
    assert torch.allclose((vectors.T @ basis[:, :4]).abs(), torch.eye(4), atol=1e-2)


def test_no_tokens_change_nothing():
    running = Running(has_moments=True)
    running.add(torch.zeros(0, 8))
    assert (running.amax, running.num_tokens, running.tensors(2)) == (0.0, 0, {})


def test_only_one_layer_is_ever_filled(k2_text):
    skeleton = Skeleton(
        Source(Checkpoint(k2_text)), dtype=torch.float32, device=torch.device("cpu")
    )
    with skeleton.filled(1) as layer:
        assert not layer.self_attn.o_proj.weight.is_meta
        assert layer.mlp.experts.down_proj.is_meta
    assert all(value.is_meta for one in skeleton.layers for value in one.parameters())


def test_files_that_lack_a_weight_of_their_class_are_refused(k2_text):
    skeleton = Skeleton(
        Source(Checkpoint(k2_text)), dtype=torch.float32, device=torch.device("cpu")
    )
    del skeleton.source.model._weights["model.layers.1.self_attn.o_proj.weight"]
    with pytest.raises(UserError, match="calibrate it with modelopt"), skeleton.filled(1):
        pass
