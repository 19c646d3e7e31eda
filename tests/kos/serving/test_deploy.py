from __future__ import annotations

import shutil
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from kos.config import Deploy
from kos.errors import CancelledError, UserError
from kos.events import LocalJob, Note, Restarting, Serving
from kos.serving import deploy as deploy_module
from kos.serving import engines
from kos.serving.client import address, connect_sync
from kos.serving.deploy import deploy
from kos.serving.engines import wants_vllm
from tests.kos.serving.tiny import make_adapter, make_tiny


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


def crash(url: str) -> None:
    body = {"model": "big", "messages": [{"role": "user", "content": "crash"}]}
    with connect_sync(url) as http, pytest.raises(httpx.HTTPError):
        http.post("/v1/chat/completions", json=body)


def crash_when_serving(job: LocalJob, *, times: int) -> None:
    """End the server the first ``times`` times that it serves, then stop the job."""
    crashed: list[str] = []

    def on_event(event) -> None:
        if isinstance(event, Serving) and len(crashed) < times:
            crashed.append(event.url)
            crash(event.url)
        elif isinstance(event, Serving):
            raise CancelledError

    job.on_event, job.on_check = on_event, None


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(deploy_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(deploy_module, "LONGEST_WAIT_SECONDS", 0.05)


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
    assert note.text.startswith("First answer: 'Hello from big.'")
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
    monkeypatch.setattr(engines, "has_gpu", lambda: False)
    assert not wants_vllm(auto, model, Path("vllm"))
    monkeypatch.setattr(engines, "SMALL_BYTES", 10)
    assert wants_vllm(auto, model, None)
    monkeypatch.undo()
    monkeypatch.setattr(engines, "has_gpu", lambda: True)
    assert wants_vllm(auto, model, Path("vllm"))
    assert not wants_vllm(auto, model, None)


def test_the_warm_up_is_measured(job, fake_vllm):
    serving = serve(job, Deploy(name="big", server="vllm"))
    assert (serving.engine, serving.dialect) == ("vllm", "hermes")
    assert serving.warm_up["text"] == "Hello from big."
    assert serving.warm_up["num_tokens"] == 5
    assert serving.warm_up["first_token_seconds"] > 0


def test_a_crashed_server_is_started_again_and_the_log_says_so(job, fake_vllm, quick):
    crash_when_serving(job, times=2)
    with pytest.raises(CancelledError):
        deploy(Deploy(name="big", server="vllm"), job)
    again = [event for event in job.events if isinstance(event, Restarting)]
    assert [event.time for event in again] == [1, 2]
    assert "ended with code 9" in again[0].reason
    assert len([event for event in job.events if isinstance(event, Serving)]) == 3


def test_restarts_wait_twice_as_long_each_time_up_to_a_limit(job, fake_vllm, monkeypatch):
    monkeypatch.setattr(deploy_module, "LONGEST_WAIT_SECONDS", 0.0)
    crash_when_serving(job, times=9)
    with pytest.raises(UserError, match="started again 1 times in a row"):
        deploy(Deploy(name="big", server="vllm", restarts=1), job)
    keeper = deploy_module.Keeper(Deploy(restarts=9), job, "vllm", "hermes", has_served=True)
    monkeypatch.setattr(deploy_module, "LONGEST_WAIT_SECONDS", 0.04)
    keeper.wait_after(OSError("gone"))
    assert job.events[-1] == Restarting("gone", 1, 0.04)


def test_a_server_that_hangs_counts_as_crashed(job, monkeypatch, quick):
    monkeypatch.setattr(deploy_module, "HEALTH_SECONDS", 0.0)
    keeper = deploy_module.Keeper(Deploy(), job, "vllm", "hermes", has_served=True)

    class Hanging:
        def check(self) -> None: ...

    with pytest.raises(UserError, match="missed 6 health checks"):
        keeper.watch("http+unix://%2Fnowhere.sock", Hanging())


def test_the_local_server_folds_an_adapter_in(job, model, tmp_path):
    adapter = make_adapter(model, tmp_path / "adapter")
    job.inputs = {"model": model, "adapter": adapter}
    serve(job, Deploy(server="local"))
    assert (job.folder / "folded" / "merged" / "config.json").exists()


def test_vllm_lays_the_adapter_over_the_model(job, fake_vllm, model, tmp_path, monkeypatch):
    told = tmp_path / "line"
    monkeypatch.setenv("FAKE_VLLM_LINE", str(told))
    adapter = make_adapter(model, tmp_path / "adapter")
    job.inputs = {"model": model, "adapter": adapter}
    serve(job, Deploy(name="big", server="vllm"))
    line = told.read_text().splitlines()
    assert "--enable-lora" in line
    assert f"--lora-modules=big={adapter}" in line


def test_a_tool_that_is_not_there_is_refused_before_anything_starts(job):
    with pytest.raises(UserError, match="no tool 'fly'"):
        deploy(Deploy(asking={"tools": ["search_icd", "mcp__a__b", "fly"]}), job)
    assert not job.events
