from __future__ import annotations

import json

import pytest
from django.urls import reverse

from apps.runs.models import Run
from apps.runs.page import survival
from tests.factories import make_artifact, make_run

WEIGHTS = {
    "num_tensors": 2,
    "num_weights": 4096.0,
    "mean_weight": 1.4e-2,
    "mean_delta": 4.23e-5,
    "codes_changed": 0.0073,
    "mean_scale": 5.95e-3,
    "half_step": 2.975e-3,
    "half_step_over_delta": 70.3,
    "error": 0.0279,
    "base_error": 0.0,
    "delta_error": 0.0279,
    "slope": 0.986,
    "cos": 0.118,
    "snr_db": -18.4,
}
KIND = "mlp.experts.gate_proj"


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean * 0.9, "high": mean * 1.1}


def make_line(kind: str = "int4_stochastic", slope: float = 0.986, **more) -> dict:
    found = WEIGHTS | {"slope": slope}
    bucket = {"from": 0.03, "to": 0.04, "share": 0.46, "slope": slope}
    last = {"from": 0.06, "to": None, "share": 0.54}
    return {
        "kind": kind,
        "label": f"{kind.upper()}: what it is",
        "bits": 4.5,
        "all": found,
        "kinds": {KIND: found},
        "layers": {KIND: {"1": found, "12": found | {"slope": 1.7}}},
        "buckets": [bucket, last],
        **more,
    }


def make_report(*lines: dict, **more) -> dict:
    sample = {"num_measured": 2, "num_changed": 96, "experts": 2}
    return {"formats": [*lines] or [make_line()], "sample": sample, **more}


def make_behaviour(gain: float, kl: float) -> dict:
    names = ("nll_base", "nll_ideal", "nll_own", "nll_export", "net_gain_kept")
    answers = [{"id": "a", "token": 3, "num_tokens": 9, "said": "<b>5", "instead": "50"}]
    return {
        **{name: interval(1.0) for name in names},
        "gain_kept": interval(gain),
        "kl": interval(kl),
        "parity": {"num_prompts": 1, "same": 0, "median_token": 3, "answers": answers},
    }


@pytest.fixture
def run(db) -> Run:
    return keep(make_run("survival", status="done"), make_report())


def keep(run: Run, report: dict) -> Run:
    path = run.folder / survival.FILES[run.kind]
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(report))
    return run


def page(client, run: Run, query: str = "") -> str:
    return client.get(reverse("runs:survival", args=[run.pk]) + query).content.decode()


def test_the_page_shows_the_weights_and_says_that_it_is_a_sample(engineer, run):
    text = page(engineer, run)
    assert "2 of the 96 weights" in text
    assert "0.986" in text
    assert "The answers were not compared" in text


def test_it_is_a_tab_of_an_export_too(engineer):
    run = keep(make_run("export", status="done"), make_report())
    link = reverse("runs:survival", args=[run.pk])
    assert link in engineer.get(reverse("runs:detail", args=[run.pk])).content.decode()
    assert "INT4_STOCHASTIC" in page(engineer, run)


def test_the_report_among_the_models_leads_here(engineer, run):
    artifact = make_artifact("report", run=run)
    text = engineer.get(reverse("runs:model", args=[artifact.pk])).content.decode()
    assert reverse("runs:survival", args=[run.pk]) in text


def test_a_run_without_a_report_says_so(engineer):
    assert "Nothing measured" in page(engineer, make_run("survival", status="done"))


def test_a_failed_gate_is_told_with_its_numbers(engineer):
    run = keep(make_run("survival", status="done"), make_report(make_line(slope=0.021)))
    text = page(engineer, run)
    assert "The slope is 0.02: under 0.5" in text
    assert "failed" in text


def test_answers_come_first_and_what_a_model_says_stays_text(engineer):
    line = make_line(behaviour=make_behaviour(0.91, 0.019))
    report = make_report(line, ideal={**make_behaviour(1.0, 0.0), "kl_base": interval(0.16)})
    text = page(engineer, keep(make_run("survival", status="done"), report))
    assert "91.0 % (81.9 % to 100.1 %)" in text
    assert "&lt;b&gt;5" in text
    assert "<b>5" not in text


def test_another_format_is_a_link_away(engineer):
    report = make_report(make_line(), make_line("nvfp4", slope=1.5))
    run = keep(make_run("survival", status="done"), report)
    assert "Gate of NVFP4" in page(engineer, run, "?format=1")
    assert "Gate of INT4_STOCHASTIC" in page(engineer, run, "?format=x")


@pytest.mark.parametrize(
    ("slope", "css"),
    [(None, ""), (0.02, "s1"), (0.49, "s2"), (0.6, "s3"), (0.986, "s4"), (1.5, "s5"), (1.9, "s6")],
)
def test_the_heat_has_fixed_classes(slope, css):
    assert survival.heat_class(slope) == css


def test_layers_stand_in_their_order(run):
    line = make_report()["formats"][0]
    assert [cell.text for cell in survival.heat(line)[0].cells] == ["0.99", "1.70"]


def test_strangers_sign_in_and_other_roles_are_refused(stranger, clinician, engineer, run):
    path = reverse("runs:survival", args=[run.pk])
    assert "/sign-in/" in stranger.get(path).headers["Location"]
    assert clinician.get(path).status_code == 403
    assert engineer.post(path).status_code == 405
