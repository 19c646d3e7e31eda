from __future__ import annotations

import shutil

from workers import machine


def test_a_machine_without_gpus_still_says_what_it_has(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = machine.look()
    assert found["gpus"] == []
    assert 0 < found["memory_used"] < found["memory_total"]
    assert found["cores"] >= 1


def test_a_line_of_nvidia_smi_is_read():
    gpu = machine.gpu_of("1, NVIDIA H200, 1024, 143771, 37, 41")
    assert (gpu["index"], gpu["name"], gpu["utilisation"]) == (1, "NVIDIA H200", 37)
    assert gpu["memory_used"] == 1024**3


def test_what_a_card_does_not_tell_is_left_out():
    gpu = machine.gpu_of("0, GRID A100, [N/A], 40960, [Not Supported], 41")
    assert (gpu["memory_used"], gpu["utilisation"]) == (None, None)


def test_what_is_no_gpu_is_passed_over():
    assert machine.gpu_of("No devices were found") is None
