from __future__ import annotations

import shutil
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from kos.config import Deploy
from kos.errors import CancelledError, UserError
from kos.events import LocalJob, Note, Serving
from kos.serving import deploy as deploy_module
from kos.serving.client import address, connect_sync
from kos.serving.deploy import deploy, wants_vllm
from tests.kos.serving.tiny import make_tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def job(tmp_path, model) -> LocalJob:
    """A job that is asked to stop as soon as it serves."""
    job = LocalJob(tmp_path, {"model": model})

    def stop_when_serving() -> None:
        if any(isinstance(event, Serving) for event in job.events):
            raise CancelledError

    job.on_check = stop_when_serving
    return job


@pytest.fixture
def fake_vllm(tmp_path, monkeypatch) -> None:
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    fake = Path(__file__).with_name("fake_vllm.py")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {fake} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def serve(job: LocalJob, config: Deploy) -> Serving:
    with pytest.raises(CancelledError):
        deploy(config, job)
    (serving,) = [event for event in job.events if isinstance(event, Serving)]
    return serving


def test_a_small_model_serves_until_it_is_stopped(job):
    answers: list[httpx.Response] = []

    def ask(event) -> None:
        if isinstance(event, Serving):
            with connect_sync(event.url) as http:
                answers.append(http.get("/v1/models"))

    job.on_event = ask
    serving = serve(job, Deploy(name="tiny", server="local"))
    assert answers[0].json()["data"][0]["id"] == serving.model == "tiny"
    assert not Path(address(serving.url).socket).exists()


def test_the_first_answer_is_in_the_log(job):
    serve(job, Deploy(server="local"))
    assert any(isinstance(event, Note) and "First answer" in event.text for event in job.events)


def test_a_deep_folder_gets_a_socket_with_a_short_path(job, tmp_path):
    job.folder = tmp_path / ("x" * 120)
    job.folder.mkdir()
    path = Path(address(serve(job, Deploy(server="local")).url).socket)
    assert len(str(path)) < 60
    assert not path.parent.exists()


def test_a_quantised_model_is_served_by_its_twin(job, model, tmp_path):
    quantised = tmp_path / "quantised"
    shutil.copytree(model, quantised / "twin")
    job.inputs = {"model": quantised}
    serve(job, Deploy(server="local"))
    assert any(isinstance(event, Note) and "twin" in event.text for event in job.events)


def test_a_quantised_model_without_a_twin_is_refused(job, tmp_path):
    (tmp_path / "hf_quant_config.json").write_text("{}")
    job.inputs = {"model": tmp_path}
    with pytest.raises(UserError, match="has no twin"):
        deploy(Deploy(server="local"), job)


def test_vllm_serves_and_is_gone_after_the_stop(job, fake_vllm):
    serve(job, Deploy(name="big", server="vllm"))
    (note,) = [event for event in job.events if isinstance(event, Note) and "First" in event.text]
    assert note.text == "First answer: 'Hello from big.'"
    left = [" ".join(process.cmdline()) for process in psutil.Process().children()]
    assert not any("fake_vllm" in line for line in left)


def test_a_vllm_that_ends_shows_its_log(job, fake_vllm, tmp_path):
    job.inputs = {"model": tmp_path / "nothing"}
    with pytest.raises(UserError, match=r"ended with code 1.*\n.*no model in"):
        deploy(Deploy(server="vllm"), job)


def test_vllm_that_is_not_installed_is_named(job, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="not installed"):
        deploy(Deploy(server="vllm"), job)


def test_auto_takes_vllm_for_a_gpu_or_a_large_model(model, monkeypatch):
    auto = Deploy()
    monkeypatch.setattr(deploy_module, "_has_gpu", lambda: False)
    assert not wants_vllm(auto, model, Path("vllm"))
    monkeypatch.setattr(deploy_module, "SMALL_BYTES", 10)
    assert wants_vllm(auto, model, None)
    monkeypatch.undo()
    monkeypatch.setattr(deploy_module, "_has_gpu", lambda: True)
    assert wants_vllm(auto, model, Path("vllm"))
    assert not wants_vllm(auto, model, None)
