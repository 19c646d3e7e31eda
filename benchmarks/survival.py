"""What four bits keep of an adapter: weights with the published statistics, and SmolLM2's answers.

    python -m benchmarks.survival weights [--seeds 3] [--rows 2048] [--columns 7168]
    python -m benchmarks.survival answers [--folder var/survival] [--seeds 3] [--prompts 60]

``weights`` makes an expert's matrix as the article describes it (mean |w| 1.4e-2 on an INT4 grid,
a change of rank 44 with mean 4.23e-5, median 3.1e-5, p99 1.9e-4) and measures every format on it.

``answers`` does what the console would, with the product's own jobs: imports SmolLM2-135M, packs
its linears as INT4 in groups of 32 with compressed-tensors' packer, unpacks them (merge), trains
a LoRA on the sample datasets' training answers (sft), and measures survival on the held-out ones
with the packed base. What draws at random is measured with several seeds. Each stage is kept, so
a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from kos.config import Adam, ImportBase, Lora, Merge, Sft, Survival
from kos.events import Event, LocalJob, Note, StepDone
from kos.weights.formats.base import ExportFormat, Target
from kos.weights.formats.bf16 import Bf16
from kos.weights.formats.int4 import Int4
from kos.weights.formats.int4_unbiased import Int4ActivationAware, Int4Stochastic
from kos.weights.formats.mxfp4 import Mxfp4
from kos.weights.formats.nvfp4 import Nvfp4
from kos.weights.formats.nvfp4_variants import (
    Nvfp4ActivationAware,
    Nvfp4FourOverSix,
    Nvfp4Mse,
    Nvfp4Stochastic,
)
from kos.weights.formats.online import Int4Online, Nvfp4Online, without_change

RANK = 44
NAME = "model.layers.1.mlp.experts.0.gate_proj.weight"
SAMPLES = ("consult", "research", "writing")
# Every linear of SmolLM2 is packed, so every one is exported.
ALL: dict[str, Any] = {"quantise": ("*_proj*",), "keep": ("*lm_head*",)}
UNIT: dict[str, Any] = {**ALL, "activations": "unit"}
FORMATS: tuple[ExportFormat, ...] = (
    Bf16(),
    Int4(**ALL),
    Int4Stochastic(**ALL),
    Int4ActivationAware(**ALL),
    Mxfp4(**ALL),
    Nvfp4(**UNIT),
    Nvfp4FourOverSix(**UNIT),
    Nvfp4Mse(**UNIT),
    Nvfp4Stochastic(**UNIT),
    Nvfp4ActivationAware(**UNIT),
    Int4Online(**ALL),
    Nvfp4Online(**UNIT),
)
DRAWN = ("int4_stochastic", "nvfp4_stochastic")


def published(seed: int, *, rows: int, columns: int) -> tuple[Target, Any]:
    """One expert's matrix with the article's statistics, and the adapter's input rows (r, C)."""
    import torch

    from kos.weights import int4

    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=draw) * 1.4e-2 * 1.2533
    packed, scale_RG = int4.quantise(weight.bfloat16())
    base = int4.dequantise(packed, scale_RG, columns)
    inputs = torch.randn(RANK, columns, generator=draw)
    # Rows and columns learn unequally much: that gives the published tail.
    inputs *= torch.exp(0.3 * torch.randn(columns, generator=draw))
    outputs = torch.randn(rows, RANK, generator=draw)
    outputs *= torch.exp(0.3 * torch.randn(rows, 1, generator=draw))
    delta = outputs @ inputs
    delta *= 4.23e-5 / float(delta.abs().mean())
    target = Target(NAME, base, delta, int4.unpack(packed, columns), scale_RG, seed=seed)
    return target, inputs


def weights(chosen: argparse.Namespace) -> None:
    """The table of formats on published statistics."""
    import torch

    from kos.weights.survival.measure import measure, subspace_error, without_inputs

    found: dict[str, list[dict[str, float]]] = {}
    buckets: list[dict[str, Any]] = []
    for seed in range(chosen.seeds):
        target, inputs = published(seed, rows=chosen.rows, columns=chosen.columns)
        if seed == 0:
            sizes = target.delta_RC.abs().flatten()[::101]
            out(
                f"mean |w| {float(target.base_RC.abs().mean()):.3g}, "
                f"mean |d| {float(sizes.mean()):.3g}, median {float(sizes.median()):.3g}, "
                f"p99 {float(torch.quantile(sizes, 0.99)):.3g}, "
                f"mean scale {float(target.scale_RG.float().mean()):.3g}\n"
            )
        plain = Target(NAME, target.base_RC.bfloat16().float(), target.delta_RC)
        rows: list[tuple[str, Target, ExportFormat]] = [
            ("BF16 merge of a BF16 base", plain, Bf16()),
            *((name_of(one), target, one) for one in FORMATS if one.needs != "moments"),
            ("MXFP4, OCP's rule", target, Mxfp4(**ALL, scale_rule="ocp")),
        ]
        for name, one, format in rows:
            format = without_inputs(format)
            line = measure([one], [format])[0]
            stored = [format.computed(t, format.encode(t)) for t in (one, without_change(one))]
            kept = stored[0] - stored[1]
            sub = subspace_error(kept, one.delta_RC, inputs)
            found.setdefault(name, []).append({**line["all"], "sub_err": sub})
            if format.kind == "nvfp4":
                buckets = line["buckets"]
    out(table_of_weights(found))
    out(table_of_buckets(buckets))


def table_of_weights(found: dict[str, list[dict[str, float]]]) -> str:
    keys = ("slope", "cos", "snr_db", "sub_err", "error")
    lines = [
        "| export | codes changed | slope | cos | SNR dB | sub_err | relW |",
        "|---|" + "---:|" * 6,
    ]
    for name, seeds in found.items():
        codes = [100 * one["codes_changed"] for one in seeds]
        cells = [f"{fmean(codes):.3f} %"]
        for key in keys:
            values = [one.get(key, 0.0) for one in seeds]
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{fmean(values):.3f}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def table_of_buckets(buckets: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| largest weight of a 16-block, NVFP4 | share | slope | SNR dB |",
        "|---|---:|---:|---:|",
    ]
    for bucket in buckets:
        end = "and more" if bucket["to"] is None else f"to {bucket['to']:g}"
        slope, snr = bucket.get("slope"), bucket.get("snr_db")
        cells = [f"{100 * bucket['share']:.2f} %"]
        cells += ["–" if value is None else f"{value:.2f}" for value in (slope, snr)]  # noqa: RUF001
        lines.append(f"| {bucket['from']:g} {end} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def answers(chosen: argparse.Namespace) -> None:
    """The table of SmolLM2's answers."""
    root = chosen.folder
    packed, plain = base_of(root)
    adapter = trained(root, plain, epochs=chosen.epochs)
    reports = []
    for seed in range(chosen.seeds):
        formats = FORMATS if seed == 0 else [one for one in FORMATS if one.kind in DRAWN]
        if chosen.formats:
            formats = [one for one in formats if one.kind in chosen.formats]
        reports.append(survived(root, packed, adapter, formats, seed, chosen.prompts))
    out(table_of_answers(reports))
    out(" ".join(reports[0]["advice"]["sentences"]) + "\n")


def base_of(root: Path) -> tuple[Path, Path]:
    """SmolLM2 with packed linears, and the same unpacked to BF16 to train on."""
    packed = root / "int4"
    if not packed.exists():
        from kos.data.fetch import import_base

        imported = job(root / "import")
        if not (imported.folder / "base").exists():
            import_base(ImportBase(), imported)
        pack(imported.folder / "base", packed)
    unpacked = job(root / "plain", base=packed)
    if not (unpacked.folder / "merged").exists():
        from kos.weights.merge import merge

        merge(Merge(), unpacked)
    return packed, unpacked.folder / "merged"


def pack(source: Path, folder: Path) -> None:
    """Every linear by Kimi's rule, packed by compressed-tensors itself."""
    import torch
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
    from safetensors.torch import load_file, save_file

    from kos.weights import int4, shards

    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    for name, value in load_file(source / "model.safetensors").items():
        if not name.endswith("_proj.weight"):
            tensors[name] = value
            continue
        codes, scale = int4.quantise(value.float())
        stem = name.removesuffix(".weight")
        tensors[f"{stem}.weight_packed"] = pack_to_int32(int4.unpack(codes, value.shape[1]), 4)
        tensors[f"{stem}.weight_scale"] = scale
        tensors[f"{stem}.weight_shape"] = torch.tensor(value.shape, dtype=torch.int32)
    save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = Int4().config([], ["lm_head.weight"])
    shards.write_json(part / "config.json", config)
    shards.copy_companions(source, part)
    part.rename(folder)


def trained(root: Path, plain: Path, *, epochs: int) -> Path:
    """A LoRA of rank 8 on all linears, from the references of the sample datasets."""
    work = job(root / "sft", base=plain, dataset=dataset(root))
    if not (work.folder / "adapter").exists():
        from kos.rl.sft import sft

        config = Sft(
            epochs=epochs,
            batch_size=8,
            max_length=1024,
            lora=Lora(rank=8, alpha=16),
            adam=Adam(learning_rate=5e-4),
        )
        sft(config, work)
    return work.folder / "adapter"


def dataset(root: Path) -> Path:
    """The three sample sets in one file; their test and validation rows are held out."""
    path = root / "sample.jsonl"
    source = Path(__file__).parents[1] / "kos" / "data" / "sample"
    root.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((source / f"{name}.jsonl").read_text() for name in SAMPLES))
    return path


def survived(
    root: Path,
    packed: Path,
    adapter: Path,
    formats: Sequence[ExportFormat],
    seed: int,
    prompts: int,
) -> dict[str, Any]:
    work = job(
        root / f"survival-{seed}", seed, base=packed, adapter=adapter, dataset=dataset(root)
    )
    if not (work.folder / "survival.json").exists():
        from kos.weights.survival.job import survive

        if seed and (root / "survival-0" / "calibration").exists():
            work.inputs["calibration"] = root / "survival-0" / "calibration"
        config = Survival(formats=tuple(formats), prompts=prompts, greedy_tokens=0, layers=6)
        survive(config, work)
    found: dict[str, Any] = json.loads((work.folder / "survival.json").read_text())
    return found


def table_of_answers(reports: Sequence[dict[str, Any]]) -> str:
    ideal = reports[0]["ideal"]
    lines = [
        f"{ideal['num_prompts']} held-out prompts, {ideal['num_tokens']} answer tokens; base NLL "
        f"{ideal['nll_base']['mean']:.4f}, ideal {ideal['nll_ideal']['mean']:.4f}, gain "
        f"{ideal['gain']['mean']:.4f}, KL(ideal ‖ base) {ideal['kl_base']['mean']:.4f}.\n",
        "| export | seed | base in it, NLL | export, NLL | gain kept | KL(ideal ‖ export) | slope | at outputs | relW |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for seed, report in enumerate(reports):
        for line in report["formats"]:
            found, kept = line["behaviour"], line["all"]
            cells = [
                str(seed),
                f"{found['nll_own']['mean']:.4f}",
                f"{found['nll_export']['mean']:.4f}",
                interval(found["gain_kept"], 100, 1, " %"),
                interval(found["kl"], 1, 4),
                f"{kept.get('slope', 0):.3f}",
                f"{kept.get('slope_out', 0):.3f}",
                f"{kept['error']:.4f}",
            ]
            lines.append(f"| {short(line['label'])} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def interval(found: dict[str, float], factor: float, digits: int, unit: str = "") -> str:
    mean, low, high = (f"{factor * found[key]:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean}{unit} ({low} to {high})"


def name_of(format: ExportFormat) -> str:
    return short(format.label())


def short(label: str) -> str:
    return re.split(r":| \(", label)[0]


def job(folder: Path, seed: int = 0, **inputs: Path) -> LocalJob:
    folder.mkdir(parents=True, exist_ok=True)
    return LocalJob(folder, dict(inputs), seed=seed, on_event=tell)


def tell(event: Event) -> None:
    match event:
        case Note(text):
            sys.stderr.write(f"{text}\n")
        case StepDone(step, metrics):
            sys.stderr.write(f"step {step}: loss {metrics['loss']:.4f}\n")


def out(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("weights", "answers"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--columns", type=int, default=7168)
    parser.add_argument("--folder", type=Path, default=Path("var/survival"))
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--formats", nargs="*", help="only these kinds")
    chosen = parser.parse_args()
    {"weights": weights, "answers": answers}[chosen.what](chosen)


if __name__ == "__main__":
    main()
