"""What a merge and an export would do, shown before they start."""

from __future__ import annotations

import pytest
import torch

from kos.weights import k2_tiny
from tests.factories import make_artifact, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def base(artifacts):
    artifact = make_artifact("base")
    artifact.location.parent.mkdir(parents=True, exist_ok=True)
    k2_tiny.write(artifact.location)
    return artifact


@pytest.fixture
def page(client):
    client.force_login(make_user())
    return client


def show(page, kind, **inputs):
    given = page.get(f"/runs/new/{kind}/").context["form"]
    values = {}
    for form in given.all_forms():
        for field in form:
            value = field.value()
            values[field.html_name] = (
                "\n".join(value) if isinstance(value, tuple | list) else value
            )
    values = {name: value for name, value in values.items() if value not in (None, False)}
    return page.post(f"/runs/new/{kind}/tensors/", values | inputs).content.decode()


def test_an_export_shows_what_is_quantised_and_what_is_kept(page, base):
    text = show(page, "export", **{"run-model": base.pk})
    assert "mlp.experts.gate_proj" in text
    assert "times smaller than BF16" in text
    assert "kept: embedding" in text


def test_a_merge_without_an_adapter_shows_its_files(page, base):
    text = show(page, "merge", **{"run-base": base.pk})
    assert "Without an adapter the text model is written as it is" in text


def test_an_adapter_of_another_model_is_refused_by_name(page, base):
    from safetensors.torch import save_file

    adapter = make_artifact("adapter")
    adapter.location.mkdir(parents=True)
    (adapter.location / "adapter_config.json").write_text('{"r": 1, "lora_alpha": 1}')
    name = "base_model.model.model.layers.0.self_attn.elsewhere"
    factors = {
        f"{name}.lora_A.weight": torch.ones(1, 8),
        f"{name}.lora_B.weight": torch.ones(8, 1),
    }
    save_file(factors, adapter.location / "adapter_model.safetensors")
    text = show(page, "merge", **{"run-base": base.pk, "run-adapter": adapter.pk})
    assert "elsewhere" in text
    assert "fit no weight" in text


def test_nothing_chosen_is_said(page):
    assert "Choose the model to quantise" in show(page, "export")


def test_other_jobs_have_no_such_preview(page):
    assert page.post("/runs/new/train/tensors/").status_code == 404
