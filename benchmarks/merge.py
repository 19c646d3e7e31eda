"""Kos's merge against tinker-cookbook's own, on a checkpoint with Kimi K2.5's true matrix shapes.

In one run: the synthetic checkpoint (``k25_shaped``), the floor of copying its bytes,
tinker-cookbook's ``build_hf_model`` with the default and a tuned allocator, and Kos merging into
INT4 (what the cookbook does), into BF16 and straight into NVFP4. Each in a process of its own,
imports counted; CPU is user + system of all its threads, memory its largest resident set. Beside
it correctness: what both make of the packed nibbles, against compressed-tensors, and Kos's NVFP4
bytes against ModelOpt's.

    python -m benchmarks.merge [--layers 3] [--experts 40] [--rounds 1] [--folder F]

The cookbook is installed from PyPI into an environment under the cache folder. 3 layers with 40
experts are 3.8 GB and need 25 GB of disk; ``--layers 2 --experts 4`` runs in two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

COOKBOOK = "tinker-cookbook==0.5.8"
TUNED = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
COOK = (
    "import sys; from tinker_cookbook.weights import build_hf_model as b; "
    "b(base_model=sys.argv[1], adapter_path=sys.argv[2], output_path=sys.argv[3])"
)


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    wall_s: float
    user_s: float
    system_s: float
    peak_gb: float
    written_gb: float

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


def run(command: Sequence[str], out: Path, environment: dict[str, str] | None = None) -> Cost:
    """Run to the end and count; this process stays small, since a child's peak begins at ours."""
    shutil.rmtree(out, ignore_errors=True)
    began = time.monotonic()
    # Compiled Python is kept, or every process would compile its libraries anew.
    told = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})}
    with subprocess.Popen(command, env=told) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with {process.returncode}")
    wall = time.monotonic() - began
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return Cost(wall, used.ru_utime, used.ru_stime, used.ru_maxrss / 1e6, written / 1e9)


def cookbook() -> str:
    """The Python of an environment with tinker-cookbook, made once."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    python = home / "kos" / "benchmarks" / COOKBOOK.replace("==", "-") / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        wanted = (COOKBOOK, f"torch=={version('torch').split('+')[0]}")
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    return str(python)


def ways(folder: Path, python: str) -> dict[str, tuple[list[str], dict[str, str]]]:
    base, adapter = folder / "base", folder / "adapter"
    ours = [sys.executable, "-m", "benchmarks.merge", "--folder", str(folder), "--way"]
    cook = [python, "-c", COOK, str(base), str(adapter)]
    one = {"OMP_NUM_THREADS": "1"}
    return {
        "copy": (["cp", "-r", str(base), str(folder / "copy")], {}),
        "cookbook": ([*cook, str(folder / "cookbook")], {}),
        "cookbook tuned": ([*cook, str(folder / "cookbook tuned")], TUNED),
        "kos int4": ([*ours, "int4"], one),
        "kos bf16": ([*ours, "bf16"], one),
        "kos nvfp4": ([*ours, "nvfp4"], one),
    }


def merge_with_kos(folder: Path, into: str) -> None:
    from kos.config import Merge
    from kos.events import LocalJob
    from kos.weights.merge import merge

    inputs = {"base": folder / "base", "adapter": folder / "adapter"}
    merge(Merge(into=into, shard_gb=1.0), LocalJob(folder / f"kos {into}", inputs))  # type: ignore[arg-type]


def encode_with_kos(folder: Path) -> None:
    """The export's own pass: routed experts to NVFP4, everything else merged to BF16."""
    from kos.weights import plan, plan_export, stream
    from kos.weights.formats.nvfp4 import Nvfp4
    from kos.weights.lora import Adapter
    from kos.weights.source import Source
    from kos.weights.text import Checkpoint

    base = Checkpoint(folder / "base")
    source = Source(base, plan.plan_updates(base, Adapter(folder / "adapter")))
    # No text here to calibrate on: weights alone, whose bytes are the same.
    format = Nvfp4(quantise=("*mlp.experts*",), keep=(), activations="none")
    placed = plan_export.place(source.tensors(), base.config, format)
    work = stream.Work(source, format, placed, shard_bytes=1e9)
    out = folder / "kos nvfp4"
    stream.write(work, out, out / "journal.json", lambda done, total: None)


def measure(folder: Path, rounds: int) -> dict[str, list[Cost]]:
    """All ways in turn, ``rounds`` times, after uncounted runs in which both compile."""
    found: dict[str, list[Cost]] = {}
    python = cookbook()
    chosen = ways(folder, python)
    run([python, "-c", "import tinker_cookbook.weights"], folder / "none")
    first = run(chosen["kos int4"][0], folder / "kos int4", chosen["kos int4"][1])
    print(f"first run, with whatever numba has to compile: {json.dumps(asdict(first))}")
    for _ in range(rounds):
        for way, (command, environment) in chosen.items():
            cost = run(command, folder / way, environment)
            found.setdefault(way, []).append(cost)
            print(f"{way:15s} {json.dumps(asdict(cost))}", flush=True)
            if way in ("copy", "kos bf16"):
                shutil.rmtree(folder / way)
    return found


def middle(costs: list[Cost]) -> Cost:
    """The medians of each number."""
    return Cost(
        *(median(values) for values in zip(*(asdict(c).values() for c in costs), strict=True))
    )


def report(found: dict[str, list[Cost]]) -> str:
    """The table, as Markdown; ratios are the cookbook's number over ours."""
    costs = {way: middle(many) for way, many in found.items()}
    lines = [
        "| | wall s | CPU s (user + system) | peak GB | written GB |",
        "|---|---|---|---|---|",
    ]
    for way, cost in costs.items():
        lines.append(
            f"| {way} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} ({cost.user_s:.1f} + "
            f"{cost.system_s:.1f}) | {cost.peak_gb:.2f} | {cost.written_gb:.2f} |"
        )
    lines += ["", "| cookbook / Kos | CPU | wall | peak |", "|---|---|---|---|"]
    for theirs in ("cookbook", "cookbook tuned"):
        for ours in ("kos int4", "kos bf16", "kos nvfp4"):
            a, b = costs[theirs], costs[ours]
            lines.append(
                f"| {theirs} / {ours} | {a.cpu_s / b.cpu_s:.1f}x | {a.wall_s / b.wall_s:.1f}x "
                f"| {a.peak_gb / b.peak_gb:.1f}x |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=3, help="the first is dense")
    parser.add_argument("--experts", type=int, default=40)
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where there is room; deleted afterwards")
    parser.add_argument("--way", choices=("make", "int4", "bf16", "nvfp4", "check"))
    told = parser.parse_args()
    if told.way == "make":
        from benchmarks.k25_shaped import write

        write(told.folder, layers=told.layers, experts=told.experts, vocab=told.vocab)
    elif told.way == "check":
        from benchmarks.merge_check import check

        print(check(told.folder))
    elif told.way == "nvfp4":
        encode_with_kos(told.folder)
    elif told.way:
        merge_with_kos(told.folder, told.way)
    else:
        whole(told)


def whole(told: argparse.Namespace) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(dir=told.folder) as name:
        folder = Path(name)
        again = [sys.executable, "-m", "benchmarks.merge", "--folder", name]
        sizes = [f"--{key}={getattr(told, key)}" for key in ("layers", "experts", "vocab")]
        subprocess.run([*again, *sizes, "--way", "make"], check=True)
        found = measure(folder, told.rounds)
        print(report(found))
        subprocess.run([*again, "--way", "check"], check=True)


if __name__ == "__main__":
    main()
